/* postgres_private.h - what the files of this room share: struct pg and its parts */
#ifndef NET_POSTGRES_POSTGRES_PRIVATE_H
#define NET_POSTGRES_POSTGRES_PRIVATE_H

#include <netinet/in.h>
#include <sys/queue.h>

#include <libpq-fe.h>

#include "net/postgres/postgres.h"

enum {
	HOSTS_MAX = 16,
	ADDRESSES_MAX = 8,  /* of one name */
	PREPARED_MAX = 64,  /* different statements */
	SERVER_MAX = 300,   /* "host:port" */
	KEYWORDS_MAX = 100, /* of libpq's connection string */
};

/* ---- hosts.c: the servers that a connection string names ---- */

struct pg_host {
	char *host, *address, *port; /* NULL: not given */
};
struct pg_hosts {
	size_t n;
	struct pg_host hosts[HOSTS_MAX];
	PQconninfoOption *options; /* everything, as libpq reads it */
};
/* Messages quote nothing of the string. */
int pg_hosts_parse(struct pg_hosts *ret, const char *conninfo, struct err *err) MUST_CHECK;
void pg_hosts_free(struct pg_hosts *h);
/* Fills the arrays for PQconnectStartParams(), for one server at one address ("": as libpq finds it). The strings are
 * those of h and of the caller. */
struct pg_keywords {
	const char *names[KEYWORDS_MAX], *values[KEYWORDS_MAX];
	size_t n;
};
void pg_hosts_keywords(const struct pg_hosts *h, size_t which, const char *address, const char *application,
                       struct pg_keywords *ret);
/* "host:port" for messages. */
void pg_hosts_name(const struct pg_hosts *h, size_t which, char *out, size_t size);
/* It needs no resolver: a socket's folder, or an address. */
bool pg_host_is_address(const struct pg_host *host);

/* ---- resolve.c ---- */

struct pg_resolver;
struct pg_addresses {
	size_t n;
	char text[ADDRESSES_MAX][INET6_ADDRSTRLEN];
};
/* error: NULL or static text. Called once, never before pg_resolve() returned. */
typedef void pg_resolved_fn(void *arg, const struct pg_addresses *addresses, const char *error);
/* -ENOMEM: done() is not called. */
int pg_resolve(struct pg_resolver **ret, struct loop *loop, const char *name, pg_resolved_fn *done,
               void *arg) MUST_CHECK;
/* Without a call of done(), or after it. Takes NULL. */
struct pg_resolver *pg_resolver_free(struct pg_resolver *r);

/* ---- pg ---- */

/* A statement in flight. */
struct pg_entry {
	STAILQ_ENTRY(pg_entry) link;
	const struct pg_statement *statement;
	pg_done_fn *done;
	void *arg;
	PGresult *result;
	bool prepares;        /* the answer to PREPARE comes first */
	bool checks;          /* the answer of the check of synchronous_standby_names follows */
	bool is_checking;     /* … and is awaited now */
	bool warned;          /* the COMMIT was answered with a warning */
	bool failed;          /* by the server's word */
	bool not_synchronous; /* by the check */
	char sqlstate[6];
	char error[256];
};
STAILQ_HEAD(pg_entries, pg_entry);

enum pg_step {
	STEP_BACKING_OFF,
	STEP_RESOLVING,
	STEP_CONNECTING, /* in libpq */
	STEP_PREPARING,  /* connected: the first checks */
	STEP_UP
};

struct pg {
	struct loop *loop;
	struct pg_config config; /* conninfo is a copy of its own */
	char *conninfo;
	char application[64]; /* unlike that of any other process, for pg_stat_activity */
	pg_state_fn *on_state;
	void *arg;
	struct pg_hosts hosts;

	enum pg_step step;
	struct loop_timer *timer; /* the backoff's end, or when the server is too late */
	int64_t step_since_us;    /* monotonic: since when the address is tried, or up */
	unsigned failures;        /* rounds over all hosts in a row */
	int64_t since_us, retry_at_us;
	char why[300], server[SERVER_MAX];
	/* connect.c */
	size_t host; /* being tried */
	struct pg_resolver *resolver;
	struct pg_addresses addresses;
	size_t address;
	PGconn *conn;
	struct loop_watch *watch;
	int watched_fd;
	char unfit[200]; /* why the first checks refuse this server; "": they do not */
	bool leftover;   /* a connection was given up, and its backend may still wait for a standby */
	bool synchronous;
	int version;
	/* pipeline.c */
	struct pg_entries entries;
	unsigned in_flight;
	const struct pg_statement *prepared[PREPARED_MAX];
	size_t n_prepared;
	int64_t head_since_us; /* monotonic: since when the first entry is the first */
	bool is_pumping, state_changed;
	bool is_broken; /* a statement was sent in part: to be closed */
};

/* ---- connect.c ---- */

int64_t pg_backoff_us(unsigned failures);
/* Begins a round over all hosts. */
void pg_connect(struct pg *pg);
/* Ends what is under way, or the connection; entries are not touched. */
void pg_disconnect(struct pg *pg);
/* This address, or this host, will not do: the next one, or the backoff. */
void pg_connect_failed(struct pg *pg, const char *why);
/* The first checks are done. */
void pg_connected(struct pg *pg);

/* ---- session_setup.c: what a new connection must be before it is used ---- */

void pg_prepare_session(struct pg *pg);
extern const struct pg_statement pg_check_sync;

/* ---- pipeline.c ---- */

int pg_enqueue(struct pg *pg, const struct pg_statement *statement, const struct pg_args *args, bool checks,
               pg_done_fn *done, void *arg) MUST_CHECK;
/* Reads what has arrived and calls done() of what is complete. */
void pg_pump(struct pg *pg);
/* The connection is gone, and what was in flight is unknown. */
void pg_fail_entries(struct pg *pg, const char *why);
void pg_on_notice(void *arg, const PGresult *notice);
/* The first line of a message of libpq or the server, without the line break. */
void pg_first_line(char *out, size_t size, const char *message);

/* ---- postgres.c ---- */

/* The connection is lost, or the attempt. */
void pg_lost(struct pg *pg, const char *why);
void pg_set_step(struct pg *pg, enum pg_step step);
/* The timer for the step, or for the first entry. */
void pg_set_timer(struct pg *pg);

#endif
