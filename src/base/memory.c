/* memory.c - the resident memory of the process, and returning free memory to the system */
#include "base/memory.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

#include "base/fd.h"

size_t memory_resident(void)
{
	_cleanup_(fd_closep) int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
	char text[128];
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	unsigned long pages;

	if (n <= 0)
		return 0;
	text[n] = '\0';
	if (sscanf(text, "%*s %lu", &pages) != 1)
		return 0;
	return (size_t)pages * (size_t)sysconf(_SC_PAGESIZE);
}

void memory_give_back(void)
{
#ifdef __GLIBC__
	/* By itself glibc returns only memory at the end of its heap, which is little after a
	 * burst of events of all ages and sizes (57 MiB stayed resident, 27 MiB after this
	 * call). */
	malloc_trim(0);
#endif
}
