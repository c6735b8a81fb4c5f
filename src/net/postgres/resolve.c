/* resolve.c - a server's name to its addresses, by libevent's resolver: no thread, and nothing blocks
 *
 * It reads /etc/hosts and asks the servers of /etc/resolv.conf, read anew each time. Names that only a module of
 * nsswitch.conf knows are not found: such a server is named by hostaddr. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>

#include <event2/dns.h>
#include <event2/event.h>
#include <event2/util.h>

#include "net/postgres/postgres_private.h"

struct pg_resolver {
	struct loop *loop;
	struct evdns_base *dns;
	struct evdns_getaddrinfo_request *request;
	struct loop_timer *later; /* calls done() from the loop also when the answer was known at once */
	pg_resolved_fn *done;
	void *arg;
	struct pg_addresses addresses;
	const char *error;
	bool unwanted; /* freed with the answer: libevent reports a cancelled request in a later turn */
};

static void collect(struct pg_addresses *ret, const struct evutil_addrinfo *list)
{
	for (const struct evutil_addrinfo *a = list; a && ret->n < ADDRESSES_MAX; a = a->ai_next) {
		const void *ip =
		        a->ai_family == AF_INET6
		                ? (const void *)&((const struct sockaddr_in6 *)(const void *)a->ai_addr)->sin6_addr
		                : (const void *)&((const struct sockaddr_in *)(const void *)a->ai_addr)->sin_addr;

		if ((a->ai_family == AF_INET || a->ai_family == AF_INET6) &&
		    inet_ntop(a->ai_family, ip, ret->text[ret->n], INET6_ADDRSTRLEN))
			ret->n++;
	}
}

static void free_now(void *p)
{
	struct pg_resolver *r = p;

	if (r->dns)
		evdns_base_free(r->dns, 0);
	loop_timer_free(r->later);
	free(r);
}

static void on_answer(int error, struct evutil_addrinfo *list, void *arg)
{
	struct pg_resolver *r = arg;

	r->request = NULL;
	collect(&r->addresses, list);
	if (list)
		evutil_freeaddrinfo(list);
	if (r->unwanted) {
		loop_defer(r->loop, free_now, r);
		return;
	}
	if (r->addresses.n == 0)
		r->error = error ? evutil_gai_strerror(error) : "the name has no address";
	loop_timer_set(r->later, 0);
}

static void on_later(void *arg)
{
	struct pg_resolver *r = arg;

	r->done(r->arg, &r->addresses, r->error);
}

static struct evdns_base *open_dns(struct loop *loop)
{
	struct evdns_base *dns = evdns_base_new(loop_base(loop), 0);

	/* Without the file the local resolver is asked, as resolv.conf(5) says. */
	if (dns && evdns_base_resolv_conf_parse(dns, DNS_OPTIONS_ALL, "/etc/resolv.conf") != 0 &&
	    evdns_base_count_nameservers(dns) == 0)
		(void)evdns_base_nameserver_ip_add(dns, "127.0.0.1");
	return dns;
}

int pg_resolve(struct pg_resolver **ret, struct loop *loop, const char *name, pg_resolved_fn *done, void *arg)
{
	struct pg_resolver *r = calloc(1, sizeof(*r));
	const struct evutil_addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};

	if (!r)
		return -ENOMEM;
	*r = (struct pg_resolver){.loop = loop, .done = done, .arg = arg};
	r->later = loop_timer_new(loop, on_later, r);
	r->dns = r->later ? open_dns(loop) : NULL;
	if (!r->dns) {
		pg_resolver_free(r);
		return -ENOMEM;
	}
	r->request = evdns_getaddrinfo(r->dns, name, NULL, &hints, on_answer, r);
	*ret = r;
	return 0;
}

struct pg_resolver *pg_resolver_free(struct pg_resolver *r)
{
	if (!r)
		return NULL;
	if (r->request) {
		r->unwanted = true;
		evdns_getaddrinfo_cancel(r->request);
	} else {
		free_now(r);
	}
	return NULL;
}
