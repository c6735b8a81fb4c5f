/* doctor.h - what the checks of `ga4relay-ctl doctor` share */
#ifndef CTL_DOCTOR_DOCTOR_H
#define CTL_DOCTOR_DOCTOR_H

#include "conf/conf.h"
#include "ctl/client.h"
#include "ctl/ctl.h"

enum doctor_result { DOCTOR_OK, DOCTOR_NOTE, DOCTOR_WARNING, DOCTOR_FAILED };

struct doctor {
	struct ctl *ctl;
	struct client client;
	bool running;        /* a daemon answers */
	struct conf *conf;   /* NULL: cannot be read here */
	char config[512];    /* its path */
	bool clock_compared; /* with an endpoint's */
	unsigned failed, warnings;
};

/* One line: what was looked at, how it is, and what to do (NULL: nothing). */
void doctor_say(struct doctor *d, enum doctor_result result, const char *what, const char *advice, const char *fmt,
                ...) PRINTF_LIKE(5, 6);

void doctor_files(struct doctor *d);   /* doctor_files.c: sockets, outbox, disk */
void doctor_network(struct doctor *d); /* doctor_network.c: names, TLS, clock */

#endif
