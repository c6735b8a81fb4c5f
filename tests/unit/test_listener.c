/* test_listener.c - bytes to lines and replies back, whatever the client does */
#include "listener_fixture.h"

#include <linux/sockios.h>
#include <sys/ioctl.h>

/* Every way to cut the text in two gives the same lines. */
static void splitting_changes_nothing(void **state)
{
	static const char text[] = "a\r\n\n \t\nbb\n\r\nc c";
	struct fixture *f = *state;

	for (size_t cut = 0; cut < sizeof(text); cut++) {
		int fd = client(f);
		put(f, fd, text, cut);
		settle(f);
		put(f, fd, text + cut, sizeof(text) - 1 - cut);
		settle(f);
		assert_int_equal(f->n_lines, 2);
		close(fd);
		UNTIL(f, f->closes == cut + 1);
		assert_int_equal(f->n_lines, 3);
		expect_line(f, 0, LINE_OK, "a");
		expect_line(f, 1, LINE_OK, "bb");
		expect_line(f, 2, LINE_OK, "c c");
		assert_int_equal(f->lines[0].conn, cut + 1); /* ids are never used again */
		forget_lines(f);
	}
	assert_int_equal(listener_memory(f->l), 0);
}

static void tells_who_writes(void **state)
{
	struct fixture *f = *state;
	int fd = client(f);

	puts_to(f, fd, "x\n");
	UNTIL(f, f->n_lines == 1);
	assert_int_equal(f->peer.pid, getpid());
	assert_int_equal(f->peer.uid, getuid());
	close(fd);
}

struct long_case {
	size_t n;
	const char *end;
	enum line_kind kind;
};

static void send_long(struct fixture *f, const struct long_case *c, size_t piece)
{
	char *text = malloc(c->n + 8);
	size_t n = c->n + strlen(c->end);
	int fd = client(f);

	memset(text, 'x', c->n);
	strcpy(text + c->n, c->end);
	for (size_t at = 0; at < n; at += piece) {
		put(f, fd, text + at, n - at < piece ? n - at : piece);
		turn(f);
	}
	puts_to(f, fd, "next\n");
	UNTIL(f, f->n_lines == 2);
	assert_int_equal(f->lines[0].kind, c->kind);
	if (c->kind == LINE_OK)
		assert_int_equal(f->lines[0].n, c->n);
	else
		assert_true(f->lines[0].n > f->config.max_line);
	expect_line(f, 1, LINE_OK, "next");
	forget_lines(f);
	close(fd);
	free(text);
}

static void longest_line_to_the_byte(void **state)
{
	struct fixture *f = *state;
	size_t max = f->config.max_line;
	const struct long_case cases[] = {
	        {max, "\n", LINE_OK},         {max, "\r\n", LINE_OK},     {max + 1, "\n", LINE_LONG},
	        {max + 1, "\r\n", LINE_LONG}, {max, "\rx\n", LINE_LONG},  {max - 1, "\rx\n", LINE_LONG},
	        {max + 2, "\n", LINE_LONG},   {5 * max, "\n", LINE_LONG},
	};
	const size_t pieces[] = {SIZE_MAX / 2, 60000, 4093};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (size_t j = 0; j < sizeof(pieces) / sizeof(pieces[0]); j++)
			send_long(f, &cases[i], pieces[j]);
}

static void skips_in_constant_memory(void **state)
{
	struct fixture *f = *state;
	static char block[100000];
	int fd = client(f);

	memset(block, 'x', sizeof(block));
	for (int i = 0; i < 50; i++) {
		put(f, fd, block, sizeof(block));
		turn(f);
		assert_true(listener_memory(f->l) <= 2 * f->config.max_line);
	}
	assert_int_equal(f->n_lines, 1);
	assert_int_equal(f->n_long, 1);
	assert_true(listener_memory(f->l) < 8192);
	shutdown(fd, SHUT_WR); /* its end brings nothing more */
	UNTIL(f, f->closes == 1);
	assert_int_equal(f->n_lines, 1);
	close(fd);
}

static void half_close_gets_every_reply(void **state)
{
	struct fixture *f = *state;
	char text[64] = "";
	int fd = client(f);

	f->answer = false;
	puts_to(f, fd, "a\nb\nc");
	shutdown(fd, SHUT_WR);
	UNTIL(f, f->n_lines == 3);
	settle(f);
	assert_int_equal(get(fd, text, sizeof(text)), 0);
	assert_int_equal(f->closes, 0);
	assert_true(listener_reply(f->l, f->lines[0].conn, SLICE_LIT("1\n")));
	settle(f);
	assert_true(listener_reply(f->l, f->lines[0].conn, SLICE_LIT("2\n")));
	assert_true(listener_reply(f->l, f->lines[0].conn, SLICE_LIT("3\n")));
	assert_int_equal(read_to_end(f, fd, text, sizeof(text)), 6);
	assert_memory_equal(text, "1\n2\n3\n", 6);
	assert_int_equal(f->closes, 1);
	assert_false(listener_reply(f->l, f->lines[0].conn, SLICE_LIT("4\n")));
	close(fd);
}

/* Writes numbered lines without reading: every one arrives, and the replies that fit are whole and in order. */
static void who_does_not_read_turns_quiet(void **state)
{
	struct fixture *f = *state;
	enum { LINES = 60000, REPLY = 24 };
	static char text[LINES * 8], replies[LINES * REPLY];
	size_t n = 0;
	int fd;

	f->config.max_unread = 8192;
	f->keep_lines = false;
	f->reply = SLICE_LIT("01234567890123456789012\n");
	listener_set_limits(f->l, &f->config);
	fd = client(f);
	for (int i = 0; i < LINES; i++)
		n += (size_t)sprintf(text + n, "%d\n", i);
	put(f, fd, text, n);
	UNTIL(f, f->n_lines == LINES);
	assert_true(f->unread > 0);
	assert_true(listener_memory(f->l) <= 4 * 8192);
	puts_to(f, fd, "later\n");
	UNTIL(f, f->n_lines == LINES + 1);
	shutdown(fd, SHUT_WR);
	settle(f);
	assert_int_equal(f->closes, 0); /* what fits waits for its reader */
	n = read_to_end(f, fd, replies, sizeof(replies));
	assert_int_equal(n % REPLY, 0);
	assert_int_equal(n / REPLY, LINES + 1 - f->unread);
	for (size_t at = 0; at < n; at += REPLY)
		assert_memory_equal(replies + at, f->reply.p, REPLY);
	close(fd);
}

/* Pipelining far beyond max_unread is fine for a client that reads. */
static void who_reads_is_never_quiet(void **state)
{
	struct fixture *f = *state;
	enum { LINES = 200000 };
	static char text[LINES * 2];
	size_t written = 0, read = 0;
	int64_t end_us = real_us() + 20 * US_PER_S;
	int fd;

	f->config.max_unread = 4096;
	f->keep_lines = false;
	f->reply = SLICE_LIT("01234567890123456789012\n");
	listener_set_limits(f->l, &f->config);
	fd = client(f);
	for (size_t i = 0; i < LINES; i++)
		memcpy(text + 2 * i, "x\n", 2);
	while (read < LINES * f->reply.n) {
		char sink[65536];
		ssize_t r =
		        written < sizeof(text) ? send(fd, text + written, sizeof(text) - written, MSG_NOSIGNAL) : 0;
		written += r > 0 ? (size_t)r : 0;
		turn(f);
		r = get(fd, sink, sizeof(sink));
		assert_true(r >= 0);
		read += (size_t)r;
		assert_true(real_us() < end_us);
	}
	assert_int_equal(f->unread, 0);
	close(fd);
}

enum { HELD_REPLY = 512 };
static char held_reply[HELD_REPLY];

/* Writes lines without reading until the relay stops reading them: its replies are long, and 8 KiB may wait. */
static int held_client(struct fixture *f)
{
	size_t before;
	int fd;

	f->config.max_unread = 8192;
	f->keep_lines = false;
	memset(held_reply, 'r', HELD_REPLY - 1);
	held_reply[HELD_REPLY - 1] = '\n';
	f->reply = (struct slice){held_reply, HELD_REPLY};
	listener_set_limits(f->l, &f->config);
	fd = client(f);
	do {
		before = f->n_lines;
		puts_to(f, fd, "x\nx\nx\nx\n");
		settle(f);
	} while (f->n_lines > before);
	assert_int_equal(f->unread, 0);
	return fd;
}

/* One piece of 3.5 KiB within reply_patience is enough; none for as long is the end of the replies. */
static void who_takes_a_piece_in_time_is_waited_for(void **state)
{
	struct fixture *f = *state;
	static char sink[1 << 20];
	int fd = held_client(f);
	size_t held = f->n_lines, read = 0;

	for (int i = 0; i < 100; i++) {
		read += (size_t)get(fd, sink, 4096);
		clock_ahead_us += 9 * US_PER_S / 10;
		settle(f);
		puts_to(f, fd, "x\nx\nx\nx\nx\nx\nx\nx\nx\nx\n");
	}
	assert_int_equal(f->unread, 0);
	assert_true(f->n_lines > held);
	clock_ahead_us += 9 * US_PER_S / 10;
	settle(f);
	assert_int_equal(f->unread, 0);
	clock_ahead_us += 2 * US_PER_S / 10;
	UNTIL(f, f->unread > 0);
	shutdown(fd, SHUT_WR);
	settle(f);
	read += read_to_end(f, fd, sink, sizeof(sink));
	assert_int_equal(read, (f->n_lines - f->unread) * HELD_REPLY);
	close(fd);
}

/* A connection that became quiet is read at once, however much is written to it. */
static void a_quiet_connection_is_not_held_again(void **state)
{
	struct fixture *f = *state;
	int fd = held_client(f);
	char *lines = calloc(20000, 2);

	clock_ahead_us += 11 * US_PER_S / 10;
	UNTIL(f, f->unread > 0);
	settle(f);
	size_t before = f->n_lines;
	int64_t ahead = clock_ahead_us;
	for (int i = 0; i < 20000; i++)
		memcpy(lines + 2 * i, "x\n", 2);
	put(f, fd, lines, 40000);
	UNTIL(f, f->n_lines == before + 20000);
	assert_int_equal(clock_ahead_us, ahead);
	free(lines);
	close(fd);
}

/* The client takes a little at a time, until nothing is left that waits. */
static void take_slowly(struct fixture *f, int fd, uint64_t conn)
{
	static char sink[8192];
	size_t left = 1;

	for (int i = 0; i < 1000 && left > 0 && left < SIZE_MAX; i++) {
		(void)get(fd, sink, sizeof(sink));
		clock_ahead_us += US_PER_S / 10;
		settle(f);
		left = listener_unwritten(f->l, conn);
	}
}

static void note_drained(void *arg, uint64_t conn)
{
	(void)conn;
	((struct fixture *)arg)->unread++; /* counts calls here */
}

/* What was held back is written by the clock, too: whoever waits for room, or for the end, hears of it. */
static void a_held_connection_goes_on(void **state)
{
	struct fixture *f = *state;
	struct slice answer = {calloc(1, 400000), 400000};

	f->answer = false;
	f->config.max_unread = 4096;
	listener_set_limits(f->l, &f->config);
	for (uint64_t conn = 1; conn <= 2; conn++) {
		int fd = client(f);
		puts_to(f, fd, "a\n");
		UNTIL(f, f->n_lines == conn);
		assert_true(listener_reply(f->l, conn, answer));
		settle(f);
		assert_true(listener_unwritten(f->l, conn) > 0);
		shutdown(fd, SHUT_WR);
		settle(f); /* held: its end is not read */
		if (conn == 1)
			listener_when_drained(f->l, conn, 0, note_drained, f);
		else
			listener_close_conn(f->l, conn);
		take_slowly(f, fd, conn);
		UNTIL(f, f->unread == 1 && f->closes == conn);
		close(fd);
	}
	free((char *)(uintptr_t)answer.p);
}

/* The time in which the storage, not the client, holds up the replies does not count. */
static void patience_begins_with_the_first_reply_that_waits(void **state)
{
	struct fixture *f = *state;
	static char lines[2000 * 2];
	int fd;

	f->config.max_unread = 4096;
	f->keep_lines = f->answer = false;
	f->reply = SLICE_LIT("01234567890123456789012\n");
	listener_set_limits(f->l, &f->config);
	fd = client(f);
	for (int i = 0; i < 2000; i++)
		memcpy(lines + 2 * i, "x\n", 2);
	put(f, fd, lines, sizeof(lines));
	settle(f);
	assert_true(f->n_lines < 2000);
	clock_ahead_us += 10 * US_PER_S;
	settle(f);
	f->answer = true;
	for (size_t n = f->n_lines; n > 0; n--)
		assert_true(listener_reply(f->l, 1, f->reply));
	settle(f);
	assert_int_equal(f->unread, 0);
	close(fd);
}

/* What is announced counts: a turn hands over no more lines than may be answered, and takes them back exactly. */
static void announced_replies_are_waiting_replies(void **state)
{
	struct fixture *f = *state;
	int fd;

	f->config.max_unread = 16384;
	f->expect = 1000;
	f->keep_lines = f->answer = false;
	listener_set_limits(f->l, &f->config);
	fd = client(f);
	for (int i = 0; i < 100; i++)
		puts_to(f, fd, "x\n");
	settle(f);
	assert_in_range(f->n_lines, 12, 13); /* (16384 - 4096) / 1048, and one more */
	for (size_t done = 0; done < 100; done++) {
		UNTIL(f, f->n_lines > done);
		listener_expect(f->l, 1, -1000);
		assert_true(listener_reply(f->l, 1, SLICE_LIT("ok\n")));
	}
	f->expect = 0;
	for (int i = 0; i < 200; i++)
		puts_to(f, fd, "x\n");
	settle(f);
	assert_int_equal(f->n_lines, 300);
	close(fd);
}

/* A shutdown waits a second, not an hour. */
static void patience_is_short_in_a_drain(void **state)
{
	struct fixture *f = *state;
	int fd;

	f->config.reply_patience_us = US_PER_H;
	fd = held_client(f);
	listener_drain(f->l);
	for (int i = 0; i < 30 && !listener_drained(f->l); i++) {
		clock_ahead_us += US_PER_S / 10;
		settle(f);
	}
	assert_true(listener_drained(f->l));
	close(fd);
}

static void wait_us(struct fixture *f, int64_t us)
{
	clock_ahead_us += us;
	settle(f);
}

/* Once per connection, after a minute in which the line was not ended; bytes that come now and then do not end it. */
static void a_line_that_does_not_end_is_reported(void **state)
{
	struct fixture *f = *state;
	int fd = client(f), other = client(f), idle = client(f), held;

	puts_to(f, idle, "whole\n");
	puts_to(f, fd, "{\"a\":");
	settle(f);
	wait_us(f, 50 * US_PER_S);
	puts_to(f, fd, "1}");
	puts_to(f, other, "x");
	wait_us(f, 5 * US_PER_S);
	assert_int_equal(f->stalled, 0);
	wait_us(f, 6 * US_PER_S);
	assert_int_equal(f->stalled, 1);
	assert_int_equal(f->stalled_bytes, 7);
	assert_int_equal(f->peer.pid, getpid());
	wait_us(f, 60 * US_PER_S);
	assert_int_equal(f->stalled, 2);
	assert_int_equal(f->stalled_bytes, 1);
	wait_us(f, 600 * US_PER_S);
	puts_to(f, fd, "\nanother");
	settle(f);
	wait_us(f, 600 * US_PER_S);
	assert_int_equal(f->stalled, 2);
	assert_int_equal(f->n_lines, 2);
	/* One that is not read, because of others, is not to blame. */
	held = client(f);
	puts_to(f, held, "y");
	settle(f);
	listener_pause(f->l, true);
	puts_to(f, held, "\n");
	wait_us(f, 70 * US_PER_S);
	assert_int_equal(f->stalled, 2);
	listener_pause(f->l, false);
	settle(f);
	wait_us(f, 70 * US_PER_S);
	assert_int_equal(f->stalled, 2);
	close(fd);
	close(other);
	close(idle);
	close(held);
}

/* Trap 15: a reply to a client that has gone fails while its input is still unread. */
static void who_wrote_and_closed_loses_nothing(void **state)
{
	struct fixture *f = *state;
	enum { LINES = 20000 };
	static char text[LINES * 8];
	size_t n = 0;
	int fd = client(f);

	f->keep_lines = false;
	UNTIL(f, listener_connections(f->l) == 1);
	listener_pause(f->l, true);
	for (int i = 0; i < LINES; i++)
		n += (size_t)sprintf(text + n, "%d\n", i);
	assert_int_equal(send(fd, text, n, MSG_NOSIGNAL), n);
	settle(f);
	close(fd);
	settle(f);
	assert_int_equal(f->n_lines, 0);
	listener_pause(f->l, false);
	UNTIL(f, f->closes == 1);
	assert_int_equal(f->n_lines, LINES);
	assert_int_equal(f->unsent_calls, 1);
	assert_true(f->unsent_lines > 0);
	assert_int_equal(f->unsent_lines + f->unread, LINES); /* each reply that nobody read is known */
	assert_int_equal(listener_memory(f->l), 0);
}

/* The other order: the reply is out, unread, when the client closes; recv() says ECONNRESET after the data. */
static void reset_is_an_end_of_file(void **state)
{
	struct fixture *f = *state;
	int fd = client(f);

	puts_to(f, fd, "a\n");
	UNTIL(f, f->n_lines == 1);
	settle(f);
	puts_to(f, fd, "b\nc");
	close(fd);
	UNTIL(f, f->closes == 1);
	assert_int_equal(f->n_lines, 3);
	expect_line(f, 2, LINE_OK, "c");
}

static void pause_stops_reading_and_nothing_is_lost(void **state)
{
	struct fixture *f = *state;
	int fd = client(f);

	puts_to(f, fd, "a\n");
	UNTIL(f, f->n_lines == 1);
	listener_pause(f->l, true);
	assert_true(listener_paused(f->l));
	puts_to(f, fd, "b\n");
	settle(f);
	assert_int_equal(f->n_lines, 1);
	listener_pause(f->l, false);
	UNTIL(f, f->n_lines == 2);
	close(fd);
}

static void pause_in_the_middle_of_a_chunk(void **state)
{
	struct fixture *f = *state;
	char text[20000];
	int fd = client(f);

	for (size_t i = 0; i < sizeof(text); i += 2)
		memcpy(text + i, "x\n", 2);
	f->keep_lines = false;
	f->pause_at = 5000;
	put(f, fd, text, sizeof(text));
	settle(f);
	assert_int_equal(f->n_lines, 5000);
	settle(f);
	assert_int_equal(f->n_lines, 5000);
	close(fd);
	f->pause_at = 0;
	listener_pause(f->l, false);
	UNTIL(f, f->closes == 1);
	assert_int_equal(f->n_lines, 10000);
}

/* Lines that cost much: the turn ends, replies go out, and the rest is read in the next turns. */
static void reading_ends_with_its_time(void **state)
{
	struct fixture *f = *state;
	char text[2000];
	int fd = client(f);

	for (size_t i = 0; i < sizeof(text); i += 2)
		memcpy(text + i, "x\n", 2);
	f->keep_lines = false;
	f->line_costs_us = 100;
	put(f, fd, text, sizeof(text)); /* 1000 lines: 100 ms of work */
	for (size_t before = 0; f->n_lines < 1000; before = f->n_lines) {
		turn(f);
		assert_true(f->n_lines - before <= 64); /* two looks at the clock */
	}
	close(fd);
}

/* Few lines cost as much as many when they are long: 20 clients, each with one of 20 KiB that takes 3 ms. */
static void long_lines_end_a_turn_too(void **state)
{
	enum { CLIENTS = 20, LONG = 20 * 1024 };
	struct fixture *f = *state;
	static char text[LONG + 1];
	int fds[CLIENTS];

	memset(text, 'x', LONG);
	text[LONG] = '\n';
	for (int i = 0; i < CLIENTS; i++)
		fds[i] = client(f);
	settle(f);
	f->keep_lines = false;
	f->line_costs_us = 3000;
	for (int i = 0; i < CLIENTS; i++)
		assert_int_equal(send(fds[i], text, sizeof(text), MSG_NOSIGNAL), sizeof(text));
	for (size_t before = 0; f->n_lines < CLIENTS; before = f->n_lines) {
		turn(f);
		assert_true(f->n_lines - before <= 1);
	}
	for (int i = 0; i < CLIENTS; i++)
		close(fds[i]);
}

/* However it is cut into pieces, and only there. */
static void a_byte_order_mark_at_the_start_is_ignored(void **state)
{
	struct fixture *f = *state;
	int fd;

	for (size_t cut = 1; cut < 5; cut++) {
		fd = client(f);
		put(f, fd, "\xef\xbb\xbf{}\n", cut);
		settle(f);
		puts_to(f, fd, &"\xef\xbb\xbf{}\n"[cut]);
		UNTIL(f, f->n_lines == cut);
		expect_line(f, cut - 1, LINE_OK, "{}");
		close(fd);
	}
	fd = client(f);
	puts_to(f, fd, "\n\xef\xbb\xbf{}\n\xef\xbb\xbf{}\n");
	UNTIL(f, f->n_lines == 6);
	expect_line(f, 4, LINE_OK, "\xef\xbb\xbf{}");
	expect_line(f, 5, LINE_OK, "\xef\xbb\xbf{}");
	close(fd);
}

enum { CROWD = 40, HEAP = 60000 };

static void crowd_writes(struct fixture *f, int fds[CROWD], char c)
{
	static char text[HEAP];

	memset(text, c, sizeof(text));
	for (int i = 0; i < CROWD; i++)
		fds[i] = client(f);
	settle(f);
	for (int i = 0; i < CROWD; i++)
		assert_int_equal(send(fds[i], text, sizeof(text), MSG_NOSIGNAL), sizeof(text));
}

/* How many of them have input that the kernel still holds. */
static int unread_of(const int fds[CROWD])
{
	int n = 0, bytes;

	for (int i = 0; i < CROWD; i++) {
		assert_int_equal(ioctl(fds[i], SIOCOUTQ, &bytes), 0);
		n += bytes > 0;
	}
	return n;
}

static void close_all(const int *fds, size_t n)
{
	for (size_t i = 0; i < n; i++)
		close(fds[i]);
}

/* Each look at the clock takes 100 us: after a few of them a turn reads no further, whatever it is that comes. */
static void all_input_ends_a_turn(void **state)
{
	static const char kinds[] = {'\n', '\r', ' ', 'x', '\0'};
	struct fixture *f = *state;
	int fds[CROWD];

	f->keep_lines = false;
	for (size_t i = 0; i < sizeof(kinds); i++) {
		clock_step_us = 0;
		crowd_writes(f, fds, kinds[i]);
		clock_step_us = 100;
		turn(f);
		assert_true(unread_of(fds) > CROWD / 4);
		close_all(fds, CROWD);
		UNTIL(f, f->closes == (i + 1) * CROWD);
	}
}

/* A client with a line now and then does not wait for a crowd that always has more. */
static void a_crowd_waits_behind_who_was_idle(void **state)
{
	struct fixture *f = *state;
	int fds[CROWD], good = client(f);
	unsigned turns = 0;

	crowd_writes(f, fds, '\n');
	clock_step_us = 100;
	for (int i = 0; i < 200; i++)
		turn(f);
	for (int i = 0; i < 5; i++) {
		size_t before = f->n_lines;

		puts_to(f, good, "good\n");
		for (turns = 0; f->n_lines == before; turns++)
			turn(f);
		assert_true(turns <= 3);
		assert_true(unread_of(fds) > 0 || listener_memory(f->l) > HEAP); /* the crowd still waits */
	}
	close_all(fds, CROWD);
	close(good);
}

/* Clients that always have more than is read of them: each gets its share. */
static void a_pause_serves_nobody_first(void **state)
{
	struct fixture *f = *state;
	enum { CLIENTS = 8, ROUNDS = 160 };
	static char text[30000];
	size_t served[CLIENTS + 1] = {0}, least = SIZE_MAX, most = 0;
	int fds[CLIENTS];

	f->pause_at = 1500;
	for (size_t i = 0; i < sizeof(text); i += 30)
		memcpy(text + i, "01234567890123456789012345678\n", 30);
	for (int i = 0; i < CLIENTS; i++)
		fds[i] = client(f);
	for (int round = 0; round < ROUNDS; round++) {
		for (int i = 0; i < CLIENTS; i++)
			while (send(fds[i], text, sizeof(text), MSG_NOSIGNAL) == sizeof(text))
				;
		turn(f); /* pressure comes in the middle of it … */
		for (int i = 0; i < CLIENTS; i++)
			while (get(fds[i], (char[4096]){0}, 4096) > 0)
				;
		listener_pause(f->l, false); /* … and has gone with its end */
		for (size_t i = 0; i < f->n_lines; i++)
			served[f->lines[i].conn]++;
		forget_lines(f);
	}
	for (int i = 1; i <= CLIENTS; i++) {
		least = served[i] < least ? served[i] : least;
		most = served[i] > most ? served[i] : most;
	}
	assert_true(least * 2 >= most);
	for (int i = 0; i < CLIENTS; i++)
		close(fds[i]);
}

static void limit_lets_the_kernel_queue(void **state)
{
	struct fixture *f = *state;
	int fds[4];

	f->config.max_connections = 2;
	listener_set_limits(f->l, &f->config);
	for (int i = 0; i < 4; i++) {
		fds[i] = client(f);
		puts_to(f, fds[i], "x\n");
	}
	UNTIL(f, f->n_lines == 2);
	settle(f);
	assert_int_equal(listener_connections(f->l), 2);
	close(fds[0]);
	UNTIL(f, f->n_lines == 3);
	assert_int_equal(listener_connections(f->l), 2);
	close(fds[1]);
	UNTIL(f, f->n_lines == 4);
	close(fds[2]);
	close(fds[3]);
}

static void limit_closes_who_idled(void **state)
{
	struct fixture *f = *state;
	int idle, half, busy, next;

	f->answer = false;
	f->config.max_connections = 3;
	listener_set_limits(f->l, &f->config);
	idle = client(f);
	half = client(f);
	busy = client(f);
	puts_to(f, half, "part");
	puts_to(f, busy, "unanswered\n");
	UNTIL(f, f->n_lines == 1 && listener_connections(f->l) == 3);
	clock_ahead_us += 6 * US_PER_MIN;
	settle(f);
	assert_int_equal(listener_connections(f->l), 3); /* only when somebody waits */
	next = client(f);
	puts_to(f, next, "x\n");
	UNTIL(f, f->n_lines == 2);
	assert_int_equal(f->closes, 1);
	assert_int_equal(get(idle, (char[8]){0}, 8), -1);
	assert_int_equal(get(half, (char[8]){0}, 8), 0);
	assert_int_equal(get(busy, (char[8]){0}, 8), 0);
	close(idle);
	close(half);
	close(busy);
	close(next);
}

/* Trap 16: out of descriptors, accepting waits instead of spinning, and goes on by itself. */
static void out_of_descriptors_waits(void **state)
{
	struct fixture *f = *state;
	struct rlimit before, tight;
	int fd = client(f);
	unsigned turns = 0;
	int64_t until;

	if (getenv("UNDER"))
		skip(); /* valgrind has a limit of descriptors of its own */
	puts_to(f, fd, "x\n");
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	tight = (struct rlimit){.rlim_cur = (rlim_t)fd + 1, .rlim_max = before.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
	until = real_us() + 60 * US_PER_MS;
	while (real_us() < until) {
		assert_int_equal(loop_turn(f->loop, true),
		                 0); /* would spin, were the listening socket still watched */
		turns++;
	}
	assert_true(turns < 10);
	assert_int_equal(f->n_lines, 0);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	UNTIL(f, f->n_lines == 1);
	close(fd);
}

static void memory_short_keeps_small_lines_going(void **state)
{
	struct fixture *f = *state;
	static char part[50000];
	int big[3], small;

	f->config.max_memory = 100 * 1024;
	listener_set_limits(f->l, &f->config);
	memset(part, 'x', sizeof(part));
	for (int i = 0; i < 3; i++) {
		big[i] = client(f);
		UNTIL(f, listener_connections(f->l) == (unsigned)i + 1);
		put(f, big[i], part, sizeof(part));
		settle(f);
	}
	small = client(f);
	memset(part, 'y', 16384);
	part[16384] = '\n';
	put(f, small, part, 16385);
	UNTIL(f, f->n_lines == 1);
	assert_int_equal(f->lines[0].n, 16384);
	puts_to(f, big[2], "\n");
	settle(f);
	assert_int_equal(f->n_lines, 1); /* stands still */
	assert_true(listener_memory(f->l) < 200 * 1024);
	clock_ahead_us += 31 * US_PER_S;
	UNTIL(f, f->n_long == 1); /* who stood longest gives way, and that is enough */
	assert_int_equal(f->lines[1].conn, 1);
	assert_int_equal(f->lines[1].n, 50000);
	UNTIL(f, f->n_lines == 3);
	assert_int_equal(f->lines[2].conn, 3);
	assert_int_equal(f->lines[2].n, 50000);
	puts_to(f, big[0], "rest of it\nwhole\n");
	UNTIL(f, f->n_lines == 4);
	expect_line(f, 3, LINE_OK, "whole");
	for (int i = 0; i < 3; i++)
		close(big[i]);
	close(small);
}

static void take_drained(void *arg, uint64_t conn)
{
	struct fixture *f = arg;

	f->unread++; /* counts calls here */
	if (f->unread < 5) {
		assert_true(listener_reply(f->l, conn, SLICE_LIT("chunk\n")));
		listener_when_drained(f->l, conn, 0, take_drained, f);
	}
}

static void streams_an_answer(void **state)
{
	struct fixture *f = *state;
	char text[64];
	int fd = client(f);

	f->answer = false;
	puts_to(f, fd, "list\n");
	shutdown(fd, SHUT_WR); /* half-closed: stays open while the answer goes on */
	UNTIL(f, f->n_lines == 1);
	assert_true(listener_reply(f->l, 1, SLICE_LIT("first\n")));
	assert_int_equal(listener_unwritten(f->l, 1), 6);
	listener_when_drained(f->l, 1, 0, take_drained, f);
	assert_int_equal(read_to_end(f, fd, text, sizeof(text)), 30);
	assert_int_equal(f->unread, 5);
	assert_int_equal(listener_unwritten(f->l, 1), SIZE_MAX);
	close(fd);
}

static void closes_on_request_after_writing(void **state)
{
	struct fixture *f = *state;
	char text[64];
	int fd = client(f);

	puts_to(f, fd, "a\nb\n");
	UNTIL(f, f->n_lines == 2);
	assert_true(listener_reply(f->l, 1, SLICE_LIT("bye\n")));
	listener_close_conn(f->l, 1);
	assert_int_equal(read_to_end(f, fd, text, sizeof(text)), 10);
	assert_memory_equal(text, "ok\nok\nbye\n", 10);
	close(fd);
}

static void quiet_on_request(void **state)
{
	struct fixture *f = *state;
	char text[64];
	int fd = client(f);

	f->answer = false;
	puts_to(f, fd, "a\nb\nc\n");
	UNTIL(f, f->n_lines == 3);
	assert_true(listener_reply(f->l, 1, SLICE_LIT("1\n")));
	listener_quiet(f->l, 1);
	assert_false(listener_reply(f->l, 1, SLICE_LIT("3\n")));
	shutdown(fd, SHUT_WR);
	assert_int_equal(read_to_end(f, fd, text, sizeof(text)), 2);
	close(fd);
}

static void send_fd(int sock, int fd)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct iovec iov = {.iov_base = (char[]){"x\n"}, .iov_len = 2};
	struct msghdr msg = {.msg_iov = &iov,
	                     .msg_iovlen = 1,
	                     .msg_control = control.space,
	                     .msg_controllen = sizeof(control.space)};
	struct cmsghdr *m = CMSG_FIRSTHDR(&msg);

	m->cmsg_level = SOL_SOCKET;
	m->cmsg_type = SCM_RIGHTS;
	m->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(m), &fd, sizeof(fd));
	assert_int_equal(sendmsg(sock, &msg, 0), 2);
}

static void descriptors_are_taken_when_asked_for(void **state)
{
	struct fixture *f = *state;
	struct stat a, b;
	int fd;

	f->ops.on_fd = on_fd;
	open_listener(f);
	fd = client(f);
	send_fd(fd, fd);
	UNTIL(f, f->n_lines == 1);
	assert_int_equal(f->fds, 1);
	assert_int_equal(fstat(fd, &a), 0);
	assert_int_equal(fstat(f->last_fd, &b), 0);
	assert_int_equal(a.st_ino, b.st_ino);
	assert_int_equal(fcntl(f->last_fd, F_GETFD), FD_CLOEXEC);
	close(f->last_fd);
	close(fd);
}

static void descriptors_are_dropped_otherwise(void **state)
{
	struct fixture *f = *state;
	int fd = client(f), p[2];

	assert_int_equal(pipe(p), 0);
	send_fd(fd, p[1]);
	close(p[1]);
	UNTIL(f, f->n_lines == 1);
	assert_int_equal(read(p[0], (char[1]){0}, 1), 0); /* nobody holds the writing end */
	close(p[0]);
	close(fd);
}

int main(void)
{
#define OPEN(test) cmocka_unit_test_setup_teardown(test, setup_open, teardown)
	const struct CMUnitTest tests[] = {
	        OPEN(splitting_changes_nothing),
	        OPEN(tells_who_writes),
	        OPEN(longest_line_to_the_byte),
	        OPEN(skips_in_constant_memory),
	        OPEN(half_close_gets_every_reply),
	        OPEN(who_does_not_read_turns_quiet),
	        OPEN(who_reads_is_never_quiet),
	        OPEN(who_takes_a_piece_in_time_is_waited_for),
	        OPEN(a_quiet_connection_is_not_held_again),
	        OPEN(a_held_connection_goes_on),
	        OPEN(patience_begins_with_the_first_reply_that_waits),
	        OPEN(announced_replies_are_waiting_replies),
	        OPEN(patience_is_short_in_a_drain),
	        OPEN(a_line_that_does_not_end_is_reported),
	        OPEN(who_wrote_and_closed_loses_nothing),
	        OPEN(reset_is_an_end_of_file),
	        OPEN(pause_stops_reading_and_nothing_is_lost),
	        OPEN(pause_in_the_middle_of_a_chunk),
	        OPEN(reading_ends_with_its_time),
	        OPEN(long_lines_end_a_turn_too),
	        OPEN(a_byte_order_mark_at_the_start_is_ignored),
	        OPEN(all_input_ends_a_turn),
	        OPEN(a_crowd_waits_behind_who_was_idle),
	        OPEN(a_pause_serves_nobody_first),
	        OPEN(limit_lets_the_kernel_queue),
	        OPEN(limit_closes_who_idled),
	        OPEN(out_of_descriptors_waits),
	        OPEN(memory_short_keeps_small_lines_going),
	        OPEN(streams_an_answer),
	        OPEN(closes_on_request_after_writing),
	        OPEN(quiet_on_request),
	        cmocka_unit_test_setup_teardown(descriptors_are_taken_when_asked_for, setup, teardown),
	        OPEN(descriptors_are_dropped_otherwise),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
