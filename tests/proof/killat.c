/* killat.c - run a program and kill it, all threads at once, as it enters its n-th system call
 *
 * usage: killat [-n N] [-g GATE] [-o FILE] PROGRAM [ARGUMENT...]
 * Counts the calls of all threads together; with -g from the moment when the file GATE exists. Without -n it kills
 * nothing. At the end FILE holds how many calls there were and the number of the last. Signals are passed on. */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SYSCALL_STOP = SIGTRAP | 0x80 };

static volatile pid_t child;

struct counting {
	const char *gate;
	unsigned long at, n;
	unsigned long long last;
	bool open, killed;
};

static void pass_on(int number)
{
	if (child > 0)
		kill(child, number);
}

static void handle(int number)
{
	struct sigaction sa = {.sa_handler = pass_on, .sa_flags = SA_RESTART};

	sigaction(number, &sa, NULL);
}

static pid_t begin(char **argv)
{
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	ptrace(PTRACE_TRACEME, 0, NULL, NULL);
	raise(SIGSTOP);
	execvp(argv[0], argv);
	_exit(127);
}

static void count(struct counting *c, pid_t tid)
{
	struct __ptrace_syscall_info info;

	if (ptrace(PTRACE_GET_SYSCALL_INFO, tid, sizeof(info), &info) <= 0 || info.op != PTRACE_SYSCALL_INFO_ENTRY)
		return;
	c->open = c->open || !c->gate || access(c->gate, F_OK) == 0;
	if (!c->open || c->killed)
		return;
	c->n++;
	c->last = info.entry.nr;
	if (c->n == c->at) {
		kill(child, SIGKILL);
		c->killed = true;
	}
}

/* What a stopped thread is to be given when it goes on. */
static int signal_of(int status)
{
	int number = WSTOPSIG(status);

	return number == SYSCALL_STOP || number == SIGTRAP || number == SIGSTOP ? 0 : number;
}

static int trace(struct counting *c)
{
	int status;
	pid_t tid;

	while ((tid = waitpid(-1, &status, __WALL)) > 0 || errno == EINTR) {
		if (tid <= 0)
			continue;
		if (WIFSTOPPED(status)) {
			if (WSTOPSIG(status) == SYSCALL_STOP)
				count(c, tid);
			ptrace(PTRACE_SYSCALL, tid, NULL, (void *)(long)signal_of(status));
		} else if (tid == child) {
			return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
		}
	}
	return 127;
}

static void report(const char *path, const struct counting *c)
{
	FILE *out = path ? fopen(path, "w") : NULL;

	if (!out)
		return;
	fprintf(out, "%lu %llu\n", c->n, c->last);
	fclose(out);
}

int main(int argc, char **argv)
{
	struct counting c = {.gate = NULL};
	const char *out = NULL;
	int opt, status, r;

	while ((opt = getopt(argc, argv, "+n:g:o:")) != -1) {
		if (opt == 'n')
			c.at = strtoul(optarg, NULL, 10);
		else if (opt == 'g')
			c.gate = optarg;
		else if (opt == 'o')
			out = optarg;
		else
			return 2;
	}
	if (optind >= argc)
		return 2;
	handle(SIGTERM);
	handle(SIGHUP);
	child = begin(argv + optind);
	if (child < 0 || waitpid(child, &status, 0) != child)
		return 127;
	ptrace(PTRACE_SETOPTIONS, child, NULL,
	       (void *)(long)(PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK | PTRACE_O_TRACEEXEC |
	                      PTRACE_O_EXITKILL));
	ptrace(PTRACE_SYSCALL, child, NULL, NULL);
	r = trace(&c);
	report(out, &c);
	return r;
}
