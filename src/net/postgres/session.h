/* session.h - a connection that blocks, for ga4relay-ctl: never in the daemon */
#ifndef NET_POSTGRES_SESSION_H
#define NET_POSTGRES_SESSION_H

#include "base/err.h"
#include "base/macros.h"
#include "net/postgres/answer.h"
#include "net/postgres/args.h"

struct pg_session;

/* Goes through the hosts as libpq does, 10 s each unless the string says otherwise. The messages hold no secret. */
int pg_session_open(struct pg_session **ret, const char *conninfo, struct err *err) MUST_CHECK;
struct pg_session *pg_session_close(struct pg_session *s);
/* Any number of commands. What a single text holds is one transaction unless it says otherwise. */
int pg_session_run(struct pg_session *s, const char *sql, struct err *err) MUST_CHECK;
/* One command with parameters (NULL: none). The answer, PG_COMMITTED, is to be cleared. */
int pg_session_ask(struct pg_session *s, const char *sql, const struct pg_args *args, struct pg_answer *ret,
                   struct err *err) MUST_CHECK;
void pg_session_clear(struct pg_answer *answer);

#endif
