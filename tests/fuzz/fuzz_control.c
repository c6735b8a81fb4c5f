/* fuzz_control.c - bytes on the control socket: every line that comes back is a JSON object */
#include "world.h"
#include "json/json_read.h"

static void check_answer(struct slice answer)
{
	static struct json_in *reader;
	const struct json_doc *d;
	struct err err;

	if (!reader)
		reader = json_in_new(32);
	CHECK(reader);
	while (answer.n) {
		const char *end = memchr(answer.p, '\n', answer.n);
		struct slice line = {answer.p, end ? (size_t)(end - answer.p) : answer.n};

		if (!end)
			return; /* cut off by us */
		if (json_in_read(reader, line, &d, &err) < 0) {
			fprintf(stderr, "%s\n%.*s\n", err.text, SLICE_ARG(line));
			abort();
		}
		answer.p += line.n + 1;
		answer.n -= line.n + 1;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(buf_free) struct buf answer = BUF_INIT(64 << 20);
	struct world *w;

	if (size > WORLD_INPUT_MAX)
		return 0;
	w = world_get();
	if (w->inputs == 0) { /* something to list, show and act upon */
		static const char lines[] =
		        "{\"client_id\":\"1.2\",\"name\":\"refund\",\"params\":{\"transaction_id\":\"T-1\"}}\n"
		        "{\"client_id\":\"1.3\",\"user_id\":\"u\",\"events\":[{\"name\":\"a\"},{\"name\":\"b\"}]}\n"
		        "{\"stream\":\"app\",\"app_instance_id\":\"x\",\"name\":\"c\"}\nnonsense\n";
		world_talk(w, "event.sock", lines, sizeof(lines) - 1, sizeof(lines), &answer);
		buf_clear(&answer);
	}
	world_talk(w, "control.sock", (const char *)data, size, size, &answer);
	check_answer(buf_slice(&answer));
	return 0;
}
