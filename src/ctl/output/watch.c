/* watch.c - the terminal for a screen that repeats */
#include "ctl/output/watch.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

enum { PAUSE_MS = 1000 };

/* Set by the signal handler. */
static volatile sig_atomic_t ended;
static struct termios before;
static bool has_keys;

static void on_signal(int number)
{
	if (number != SIGWINCH)
		ended = 1;
}

void watch_begin(void)
{
	const struct sigaction action = {.sa_handler = on_signal}; /* no SA_RESTART: a signal interrupts the pause */
	struct termios keys;

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGWINCH, &action, NULL);
	has_keys = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO) && tcgetattr(STDIN_FILENO, &before) == 0;
	if (!has_keys)
		return;
	keys = before;
	keys.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	(void)tcsetattr(STDIN_FILENO, TCSANOW, &keys);
}

void watch_end(void)
{
	if (has_keys)
		(void)tcsetattr(STDIN_FILENO, TCSANOW, &before);
}

bool watch_pause(void)
{
	struct pollfd keys = {.fd = has_keys ? STDIN_FILENO : -1, .events = POLLIN};
	char key = 0;

	if (!ended && poll(&keys, 1, PAUSE_MS) > 0 && read(STDIN_FILENO, &key, 1) <= 0)
		has_keys = false; /* the terminal was closed */
	return !ended && key != 'q' && key != 'Q';
}

static size_t height(void)
{
	struct winsize window;

	return ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) == 0 ? window.ws_row : 0;
}

int watch_show(struct buf *screen)
{
	size_t rows = height(), lines = 0, at = 0;
	int r = 0;

	fputs("\033[H", stdout);
	while (at < screen->len && (rows == 0 || lines + 1 < rows)) {
		const char *lf = memchr(screen->data + at, '\n', screen->len - at);
		size_t n = lf ? (size_t)(lf - screen->data) - at : screen->len - at;

		/* Overwrite the old line and erase its rest, so that nothing flickers. */
		fwrite(screen->data + at, 1, n, stdout);
		fputs("\033[K\n", stdout);
		at += n + 1;
		lines++;
	}
	fputs(at < screen->len ? "… a higher window shows more\033[K\033[J" : "\033[J", stdout);
	if (fflush(stdout) != 0)
		r = -1;
	return r;
}
