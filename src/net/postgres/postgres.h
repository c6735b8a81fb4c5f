/* postgres.h - one connection to a PostgreSQL server of several, kept up: statements in a pipeline, one transaction
 * each
 *
 * Asynchronous on the loop, without a thread. Names are resolved by libevent, because libpq would block in
 * getaddrinfo(3). An outcome is known only when the server has answered the COMMIT: the end of the statement itself
 * says nothing yet. Loop thread only. */
#ifndef NET_POSTGRES_POSTGRES_H
#define NET_POSTGRES_POSTGRES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/macros.h"
#include "base/slice.h"
#include "net/loop.h"
#include "net/postgres/answer.h"
#include "net/postgres/args.h"

struct pg;

struct pg_config {
	const char *conninfo; /* libpq's string, secret; copied */
	const char *role;     /* for application_name: "ga4relay edge" */
	/* The server must be configured to wait for a synchronous standby before it acknowledges a COMMIT */
	bool require_sync;
	int64_t connect_timeout_us;   /* per address: connect, TLS, authentication and the first checks; 0: 10 s */
	int64_t statement_timeout_us; /* for an answer, the COMMIT's wait for standbys included; 0: 30 s */
};

/* Called after each change of the state or of `synchronous`. Must not free pg. */
typedef void pg_state_fn(void *arg);

/* Begins to connect. Whatever the server does, this returns at once. */
int pg_open(struct pg **ret, struct loop *loop, const struct pg_config *config, pg_state_fn *on_state, void *arg,
            struct err *err) MUST_CHECK;
/* done() of what is in flight is called with PG_UNKNOWN. Takes NULL, returns NULL. Not from a done() or on_state().
 */
struct pg *pg_free(struct pg *pg);
/* For a reload. A changed conninfo ends the connection: what is in flight becomes PG_UNKNOWN. -EINVAL: nothing is
 * changed. */
int pg_set_config(struct pg *pg, const struct pg_config *config, struct err *err) MUST_CHECK;
/* Whether libpq can read the string; the message quotes nothing of it. */
int pg_check_conninfo(const char *conninfo, struct err *err) MUST_CHECK;

enum pg_state { PG_CONNECTING, PG_BACKING_OFF, PG_UP };

struct pg_status {
	enum pg_state state;
	const char *why;     /* the last failure; "": none since it is up. Holds no secret */
	const char *server;  /* "host:port" of this connection, or of the last one; "": none yet */
	int64_t since_us;    /* monotonic: when it came up, or when it went away */
	int64_t retry_in_us; /* while backing off */
	bool synchronous;    /* it waits for standbys, as of the last answer; meaningless unless up */
	int version;         /* the server's, such as 150006 */
	unsigned in_flight;  /* statements */
};
/* Strings are valid until the next call of anything here. */
void pg_get_status(const struct pg *pg, struct pg_status *ret);
static inline bool pg_is_synchronous(const struct pg *pg)
{
	struct pg_status s;

	pg_get_status(pg, &s);
	return s.state == PG_UP && s.synchronous;
}

/* A statement with parameters $1, $2, …; prepared once per connection. Static: compared by address. */
struct pg_statement {
	const char *name, *sql;
};

enum pg_mode {
	PG_ANY,    /* the server's acknowledgement is enough */
	PG_DURABLE /* … if it still waits for synchronous standbys after that COMMIT; as PG_ANY without require_sync
	            */
};
typedef void pg_done_fn(void *arg, const struct pg_answer *answer);

/* Sends the statement as a transaction of its own. Answers come in the order of the calls; done() is called once if
 * this returned 0, and never before it returns. -ENOTCONN: not PG_UP; -ENOMEM: also when args ran out of memory. The
 * args may be reused at once. */
int pg_send(struct pg *pg, const struct pg_statement *statement, const struct pg_args *args, enum pg_mode mode,
            pg_done_fn *done, void *arg) MUST_CHECK;

#endif
