/* replay.c - feeds files to a target without a fuzzer: the corpus, with the ordinary compiler
 *
 * replay FILE-OR-DIRECTORY... ; ends at the first input that the target does not survive. */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/fd.h"
#include "fuzz.h"

enum { INPUT_MAX = 16 << 20 };

static char input[4096]; /* the present one's name, for the last word */

static void on_abort(int signo)
{
	(void)signo;
	(void)!write(STDERR_FILENO, input, strlen(input));
	_exit(1);
}

static unsigned replay_path(const char *path);

static unsigned replay_file(const char *path)
{
	_cleanup_(buf_free) struct buf b = BUF_INIT(INPUT_MAX);
	struct err err;

	if (file_read(path, &b, &err) < 0) {
		fprintf(stderr, "replay: %s\n", err.text);
		exit(1);
	}
	snprintf(input, sizeof(input), "%s\n", path);
	LLVMFuzzerTestOneInput((const uint8_t *)(b.data ? b.data : ""), b.len);
	return 1;
}

static unsigned replay_directory(const char *path)
{
	struct dirent **names;
	int n = scandir(path, &names, NULL, alphasort);
	unsigned inputs = 0;
	char inner[4096];

	for (int i = 0; i < n; i++) {
		if (names[i]->d_name[0] != '.') {
			snprintf(inner, sizeof(inner), "%s/%s", path, names[i]->d_name);
			inputs += replay_path(inner);
		}
		free(names[i]);
	}
	if (n >= 0)
		free(names);
	return inputs;
}

static unsigned replay_path(const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0) {
		fprintf(stderr, "replay: %s: %s\n", path, strerror(errno));
		exit(1);
	}
	return S_ISDIR(st.st_mode) ? replay_directory(path) : replay_file(path);
}

int main(int argc, char **argv)
{
	unsigned inputs = 0;

	signal(SIGABRT, on_abort);
	signal(SIGSEGV, on_abort);
	for (int i = 1; i < argc; i++)
		inputs += replay_path(argv[i]);
	printf("%s: %u inputs\n", argv[0], inputs);
	return inputs ? 0 : 1;
}
