/* acted.c - what a command that changes events reports at its end */
#include "ctl/output/acted.h"

#include <stdio.h>

#include "ctl/output/terminal_text.h"

void acted_print(const struct ctl *ctl, const struct acted *a, const char *done)
{
	char changed[32], in_flight[32];

	if (ctl->args.json) {
		printf("{\"changed\":%llu,\"in_flight\":%llu,\"unknown\":%llu}\n", (unsigned long long)a->changed,
		       (unsigned long long)a->in_flight, (unsigned long long)a->unknown);
		return;
	}
	printf("%s event%s %s", text_count(a->changed, changed), a->changed == 1 ? "" : "s", done);
	if (a->in_flight)
		printf("; %s in flight left alone", text_count(a->in_flight, in_flight));
	putchar('\n');
}
