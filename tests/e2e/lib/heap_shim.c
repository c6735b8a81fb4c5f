/* heap_shim.c - preloaded into a relay under test: how many bytes it has from malloc
 *
 * Ten times a second they are written to the file of one int64_t that GA4RELAY_TEST_HEAP names. What is free but not
 * given back to the system is not among them: unlike resident memory they stay the same, to some KiB, where nothing
 * leaks. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static void *watch(void *in_use)
{
	static const struct timespec pause = {.tv_nsec = 100000000};

	for (;;) {
		struct mallinfo2 m = mallinfo2();

		*(volatile int64_t *)in_use = (int64_t)(m.uordblks + m.hblkhd);
		nanosleep(&pause, NULL);
	}
	return NULL;
}

__attribute__((constructor)) static void begin(void)
{
	const char *path = getenv("GA4RELAY_TEST_HEAP");
	int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
	void *p = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof(int64_t), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	pthread_t thread;

	if (p == MAP_FAILED || pthread_create(&thread, NULL, watch, p) != 0)
		abort();
	close(fd);
}
