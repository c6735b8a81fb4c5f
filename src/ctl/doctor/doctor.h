/* doctor.h - the state that the checks of `ga4relay-ctl doctor` share */
#ifndef CTL_DOCTOR_DOCTOR_H
#define CTL_DOCTOR_DOCTOR_H

#include "conf/conf.h"
#include "ctl/client.h"
#include "ctl/ctl.h"
#include "ctl/output/finding.h"

struct doctor {
	struct ctl *ctl;
	struct client client;
	bool no_access;      /* this user may not open the control socket */
	bool running;        /* a daemon answers the control socket */
	struct conf *conf;   /* NULL: could not be read */
	char config[512];    /* path of the configuration */
	bool clock_compared; /* the clock was compared with an endpoint's */
	unsigned failed, warnings;
};

/* Prints and counts one finding. */
void doctor_say(struct doctor *d, enum ctl_finding result, const char *what, const char *advice, const char *fmt, ...)
        PRINTF_LIKE(5, 6);

void doctor_files(struct doctor *d);   /* doctor_files.c: sockets, outbox, disk */
void doctor_fleet(struct doctor *d);   /* doctor_fleet.c: the fleet's database, if there is one */
void doctor_network(struct doctor *d); /* doctor_network.c: names, TLS, clock */

#endif
