/* process.c - what each of our programs is before it opens or reads anything */
#include "base/process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

/* Who starts us may have closed 0, 1 or 2: a socket or a file that got such a number would receive what is meant for
 * the log or the terminal. Held read-only, so that writing fails as it does on a closed one. */
static void hold_standard_descriptors(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDONLY);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

void process_begin(void)
{
	/* Secrets must not land in a core file or be read by a debugger of the same user (ga4relay.conf(5)). */
	prctl(PR_SET_DUMPABLE, 0);
	/* A file that may not grow further (RLIMIT_FSIZE) is an error of write(), not the end of the process. */
	signal(SIGXFSZ, SIG_IGN);
	hold_standard_descriptors();
}
