/* process.c - process-wide settings that each program makes before it opens or reads anything */
#include "base/process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

/* The parent may have closed 0, 1 or 2. A socket or file that got one of these numbers would
 * receive log lines or output. They are opened read-only, so that writing fails as it does on a
 * closed descriptor. */
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
	/* Keeps secrets out of core files and from debuggers of the same user
	 * (ga4relay.conf(5)). */
	prctl(PR_SET_DUMPABLE, 0);
	/* A file at its size limit (RLIMIT_FSIZE) must be an error of write(), not kill the
	 * process. */
	signal(SIGXFSZ, SIG_IGN);
	hold_standard_descriptors();
}
