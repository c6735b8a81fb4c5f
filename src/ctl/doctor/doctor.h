/* doctor.h - the state and the output that the checks of `ga4relay-ctl doctor` share */
#ifndef CTL_DOCTOR_DOCTOR_H
#define CTL_DOCTOR_DOCTOR_H

#include "conf/conf.h"
#include "ctl/client.h"
#include "ctl/ctl.h"

enum doctor_result { DOCTOR_OK, DOCTOR_NOTE, DOCTOR_WARNING, DOCTOR_FAILED };

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

/* Prints one finding: what was checked, the result, and what to do about it (advice NULL: nothing). */
void doctor_say(struct doctor *d, enum doctor_result result, const char *what, const char *advice, const char *fmt,
                ...) PRINTF_LIKE(5, 6);

void doctor_files(struct doctor *d);   /* doctor_files.c: sockets, outbox, disk */
void doctor_network(struct doctor *d); /* doctor_network.c: names, TLS, clock */

#endif
