/* help.c - the --help texts, built from the tables of commands and options */
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"
#include "ctl/ctl.h"

enum { HELP_COLUMN = 22 };

/* Pads by characters, not bytes: "ID…" is three columns wide. */
static void print_padded(const char *text)
{
	size_t width = utf8_count(text, strlen(text));

	printf("  %s%*s", text, width < HELP_COLUMN ? (int)(HELP_COLUMN - width) : 1, "");
}

void help_print_all(void)
{
	size_t n;
	const struct ctl_command *c = ctl_commands(&n);
	char left[64];

	puts("usage: ga4relay-ctl [-s SOCKET] [--json] COMMAND [OPTION…] [WORD…]\n\n"
	     "Looks into a running ga4relay and steers it.\n");
	for (size_t i = 0; i < n; i++) {
		snprintf(left, sizeof(left), "%s%s%s", c[i].name, c[i].words[0] ? " " : "", c[i].words);
		print_padded(left);
		puts(c[i].help);
	}
	puts("\nEvery command has --help and --json. --offline FILE works on the outbox of a\n"
	     "stopped daemon (list, show, count, export, check, remove, restore); --fleet on\n"
	     "the queue that relays share in PostgreSQL. ids piped in with - compose:\n"
	     "  ga4relay-ctl --json list --state dead | jq .id | ga4relay-ctl retry -\n\n"
	     "Exit: 0 done; 1 the daemon said no, or an id is unknown; 2 usage; 3 no daemon.\n"
	     "See ga4relay-ctl(8).");
}

static void print_option(const struct ctl_option_info *o)
{
	char left[64];
	const char letter[] = {'-', o->letter, ',', ' ', '\0'};

	snprintf(left, sizeof(left), "%s--%s%s%s", o->letter ? letter : "", o->name, o->value ? " " : "",
	         o->value ? o->value : "");
	print_padded(left);
	puts(o->help);
}

void help_print(const struct ctl_command *command)
{
	size_t n;
	const struct ctl_option_info *o = ctl_options(&n);

	printf("usage: ga4relay-ctl %s%s%s%s\n\n%s\n", command->name, command->options ? " [OPTION…]" : "",
	       command->words[0] ? " " : "", command->words, command->help);
	if (command->detail)
		fputs(command->detail, stdout);
	putchar('\n');
	for (size_t i = 0; i < n; i++)
		if (o[i].bit & (command->options | OPT_SOCKET | OPT_JSON | OPT_HELP))
			print_option(&o[i]);
}
