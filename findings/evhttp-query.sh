#!/bin/bash
# evhttp-query.sh - one parameter without "=" and evhttp knows no parameter at all
# shellcheck source=findings/lib.sh
. "$(dirname "$0")/lib.sh"

cat <<'TEXT'
version     libevent 2.1.12
source      Debian 12, libevent-dev; event2/http.h: evhttp_parse_query_str()
good guess  A query is a list of parameters. One without "=" (?debug&measurement_id=…) is there with an empty value, or is
            left out; so is the empty one of a doubled "&". Its neighbours are not concerned.
behaviour   The whole query is thrown away, also the parameters that were read before: the function returns -1 and the list
            is empty. An "&" at the end is fine. A handler that looks for its parameters without that result answers that
            none was given.
TEXT
debs "libevent-dev=2.1.12-*" "libevent-core-2.1-7=2.1.12-*" "libevent-extra-2.1-7=2.1.12-*"

cat >try.c <<'SOURCE'
#include <stdio.h>
#include <sys/queue.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>

static void parse(const char *query)
{
	struct evkeyvalq list;
	struct evkeyval *one;
	int r = evhttp_parse_query_str(query, &list);

	printf("%-18s returns %d:", query, r);
	TAILQ_FOREACH(one, &list, next)
		printf(" %s is '%s'", one->key, one->value);
	putchar('\n');
	evhttp_clear_headers(&list);
}

int main(void)
{
	parse("id=G-1&secret=s");
	parse("id=G-1&secret=s&");
	parse("id=G-1&secret=");
	parse("id=G-1&secret=s&debug");
	parse("id=G-1&&secret=s");
	return 0;
}
SOURCE
compile gcc try.c -levent_extra -levent_core
expect ./try <<'OUTPUT'
id=G-1&secret=s    returns 0: id is 'G-1' secret is 's'
id=G-1&secret=s&   returns 0: id is 'G-1' secret is 's'
id=G-1&secret=     returns 0: id is 'G-1' secret is ''
id=G-1&secret=s&debug returns -1:
id=G-1&&secret=s   returns -1:
OUTPUT
