/* dumpable_shim.c - preloaded into a relay whose tests do not run as root: it may be traced, and read in /proc
 *
 * The relay forbids both to all but root (PR_SET_DUMPABLE), which is tested as root. Here that wish alone is granted
 * without effect, so that strace and /proc/PID tell an ordinary user what the other tests look at. */
#include <stdarg.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

int prctl(int option, ...)
{
	unsigned long arg[4];
	va_list ap;

	va_start(ap, option);
	for (int i = 0; i < 4; i++)
		arg[i] = va_arg(ap, unsigned long);
	va_end(ap);
	if (option == PR_SET_DUMPABLE)
		return 0;
	return (int)syscall(SYS_prctl, option, arg[0], arg[1], arg[2], arg[3]);
}
