/* ids.c - event ids from the command line or from standard input */
#include "ctl/ids.h"

#include <stdio.h>
#include <string.h>

#include "base/parse.h"

struct portion {
	ids_fn *fn;
	void *arg;
	size_t n;
	enum ctl_exit code;
	uint64_t ids[IDS_PORTION];
};

static void hand_on(struct portion *p)
{
	enum ctl_exit code;

	if (p->n == 0)
		return;
	code = p->fn(p->arg, p->ids, p->n);
	if (code > p->code)
		p->code = code;
	p->n = 0;
}

/* The daemon's ids are positive signed 64-bit integers, as in SQLite. */
static bool is_id(struct slice word, uint64_t *ret)
{
	return parse_u64(word, ret) == 0 && *ret > 0 && *ret <= INT64_MAX;
}

static bool add(struct portion *p, struct slice word)
{
	uint64_t id;

	if (!is_id(word, &id))
		return false;
	p->ids[p->n++] = id;
	if (p->n == IDS_PORTION)
		hand_on(p);
	return p->code < CTL_USAGE;
}

static struct slice trimmed(const char *line)
{
	size_t n = strlen(line);

	while (n > 0 && strchr(" \t\r\n", line[n - 1]))
		n--;
	return (struct slice){line, n};
}

static enum ctl_exit from_stdin(struct portion *p)
{
	char line[64];

	for (unsigned long number = 1; p->code < CTL_USAGE && fgets(line, sizeof(line), stdin); number++) {
		struct slice word = trimmed(line);

		if (word.n == 0 || add(p, word) || p->code >= CTL_USAGE)
			continue;
		ctl_complain("standard input, line %lu: not an id (a decimal number, one a line)", number);
		return CTL_USAGE;
	}
	return ferror(stdin) ? CTL_REFUSED : CTL_DONE;
}

/* Checks all words first, so that a mistyped id changes nothing. */
static enum ctl_exit check_words(const struct ctl *ctl)
{
	uint64_t id;

	for (size_t i = 0; i < ctl->args.n_words; i++) {
		const char *word = ctl->args.words[i];

		if (strcmp(word, "-") == 0 || is_id(slice_of(word), &id))
			continue;
		ctl_complain("%s: \"%s\" is not an id; ids are decimal numbers, see ga4relay-ctl list",
		             ctl->args.command->name, word);
		return CTL_USAGE;
	}
	return CTL_DONE;
}

enum ctl_exit ids_each(const struct ctl *ctl, ids_fn *fn, void *arg)
{
	struct portion p = {.fn = fn, .arg = arg, .code = CTL_DONE};
	enum ctl_exit code = check_words(ctl);

	for (size_t i = 0; i < ctl->args.n_words && code == CTL_DONE && p.code < CTL_USAGE; i++) {
		const char *word = ctl->args.words[i];

		if (strcmp(word, "-") == 0)
			code = from_stdin(&p);
		else
			(void)add(&p, slice_of(word));
	}
	if (code == CTL_DONE && p.code < CTL_USAGE)
		hand_on(&p);
	return code > p.code ? code : p.code;
}
