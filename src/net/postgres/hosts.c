/* hosts.c - the servers that a connection string names, and libpq's parameters for one of them */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/postgres/postgres_private.h"

static const char *value_of(const struct pg_hosts *h, const char *keyword)
{
	for (const PQconninfoOption *o = h->options; o->keyword; o++)
		if (strcmp(o->keyword, keyword) == 0)
			return o->val && o->val[0] ? o->val : NULL;
	return NULL;
}

static size_t count_items(const char *list)
{
	size_t n = 1;

	for (const char *p = list; p && *p; p++)
		n += *p == ',';
	return list ? n : 0;
}

/* The i-th item of a list separated by commas; of a list of one item that item. *ret NULL: empty. */
static int take_item(const char *list, size_t i, char **ret)
{
	*ret = NULL;
	if (!list)
		return 0;
	if (count_items(list) == 1)
		i = 0;
	for (; i > 0; i--)
		list = strchr(list, ',') + 1;
	if (strcspn(list, ",") == 0)
		return 0;
	*ret = strndup(list, strcspn(list, ","));
	return *ret ? 0 : -ENOMEM;
}

static int split(struct pg_hosts *h, struct err *err)
{
	const char *host = value_of(h, "host"), *address = value_of(h, "hostaddr"), *port = value_of(h, "port");
	size_t n = count_items(host), n_addresses = count_items(address), n_ports = count_items(port);

	h->n = n > 0 ? n : n_addresses > 0 ? n_addresses : 1;
	if (h->n > HOSTS_MAX)
		return err_set(err, -EINVAL, "the connection string names more than %d hosts", HOSTS_MAX);
	if (n_addresses > 0 && n_addresses != h->n)
		return err_set(err, -EINVAL, "the connection string has %zu hosts and %zu addresses", h->n,
		               n_addresses);
	if (n_ports > 1 && n_ports != h->n)
		return err_set(err, -EINVAL, "the connection string has %zu hosts and %zu ports", h->n, n_ports);
	for (size_t i = 0; i < h->n; i++)
		if (take_item(host, i, &h->hosts[i].host) < 0 || take_item(address, i, &h->hosts[i].address) < 0 ||
		    take_item(port, i, &h->hosts[i].port) < 0)
			return err_set(err, -ENOMEM, "connection string: out of memory");
	return 0;
}

int pg_hosts_parse(struct pg_hosts *ret, const char *conninfo, struct err *err)
{
	struct pg_hosts h = {.options = PQconninfoParse(conninfo, NULL)};
	int r;

	/* libpq's own message may quote a part of the password. */
	if (!h.options)
		return err_set(err, -EINVAL,
		               "cannot be read as a connection string of libpq: keyword=value pairs, or "
		               "postgresql://… (a value with spaces stands in single quotes)");
	r = split(&h, err);
	if (r < 0)
		pg_hosts_free(&h);
	else
		*ret = h;
	return r;
}

void pg_hosts_free(struct pg_hosts *h)
{
	for (size_t i = 0; i < h->n && i < HOSTS_MAX; i++) {
		free(h->hosts[i].host);
		free(h->hosts[i].address);
		free(h->hosts[i].port);
	}
	for (PQconninfoOption *o = h->options; o && o->keyword; o++)
		if (o->val)
			explicit_bzero(o->val, strlen(o->val));
	PQconninfoFree(h->options);
	*h = (struct pg_hosts){0};
}

int pg_check_conninfo(const char *conninfo, struct err *err)
{
	struct pg_hosts h;
	int r = pg_hosts_parse(&h, conninfo, err);

	if (r == 0)
		pg_hosts_free(&h);
	return r;
}

bool pg_host_is_address(const struct pg_host *host)
{
	struct in6_addr ip;

	return host->address || !host->host || host->host[0] == '/' || host->host[0] == '@' ||
	       inet_pton(AF_INET, host->host, &ip) == 1 || inet_pton(AF_INET6, host->host, &ip) == 1;
}

static void add(struct pg_keywords *k, const char *name, const char *value)
{
	if (!value || !value[0] || k->n + 1 >= KEYWORDS_MAX)
		return;
	k->names[k->n] = name;
	k->values[k->n++] = value;
}

/* What the string does not say. The time-outs of TCP find a host that is gone although nothing is sent to it. */
static const struct {
	const char *name, *value;
} defaults[] = {
        {"target_session_attrs", "read-write"},
        {"gssencmode", "disable"}, /* asking for a ticket blocks */
        {"keepalives_idle", "10"},
        {"keepalives_interval", "5"},
        {"keepalives_count", "3"},
        {"tcp_user_timeout", "30000"},
};

static bool is_ours(const char *keyword)
{
	static const char *const names[] = {"host",
	                                    "hostaddr",
	                                    "port",
	                                    "connect_timeout",
	                                    "application_name",
	                                    "client_encoding",
	                                    "load_balance_hosts",
	                                    "replication"};

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (strcmp(names[i], keyword) == 0)
			return true;
	return false;
}

void pg_hosts_keywords(const struct pg_hosts *h, size_t which, const char *address, const char *application,
                       struct pg_keywords *ret)
{
	const struct pg_host *host = &h->hosts[which];

	ret->n = 0;
	for (const PQconninfoOption *o = h->options; o->keyword; o++)
		if (!is_ours(o->keyword))
			add(ret, o->keyword, o->val);
	for (size_t i = 0; i < ARRAY_LEN(defaults); i++)
		if (!value_of(h, defaults[i].name))
			add(ret, defaults[i].name, defaults[i].value);
	add(ret, "host", host->host);
	add(ret, "hostaddr", address[0] ? address : host->address);
	add(ret, "port", host->port);
	add(ret, "application_name", application);
	add(ret, "client_encoding", "UTF8");
	ret->names[ret->n] = ret->values[ret->n] = NULL;
}

void pg_hosts_name(const struct pg_hosts *h, size_t which, char *out, size_t size)
{
	const struct pg_host *host = &h->hosts[which];

	snprintf(out, size, "%.200s:%.20s",
	         host->host      ? host->host
	         : host->address ? host->address
	                         : "(default)",
	         host->port ? host->port : "5432");
}
