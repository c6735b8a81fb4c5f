/* verify_token.c - reads the bearer token, from a file that only its user can read or from standard input */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "ctl/verify/verify.h"

/* A token reads all of an account's reports for an hour. */
static enum ctl_exit check_mode(int fd, const char *path)
{
	struct stat sb;

	if (fstat(fd, &sb) < 0) {
		ctl_complain("verify: %s: %s", path, strerror(errno));
		return CTL_REFUSED;
	}
	if (S_ISREG(sb.st_mode) && (sb.st_mode & 0007)) {
		ctl_complain(
		        "verify: %s has mode %04o: others on this machine can use the token. chmod 0600 it, or let a "
		        "pipe bring it: gcloud auth print-access-token | ga4relay-ctl verify --token-file - …",
		        path, (unsigned)(sb.st_mode & 07777));
		return CTL_REFUSED;
	}
	return CTL_DONE;
}

/* Reads at most the size of the token and one byte. */
static ssize_t read_whole(int fd, char *out, size_t size)
{
	size_t n = 0;
	ssize_t got = 1;

	while (n < size && got != 0) {
		got = read(fd, out + n, size - n);
		if (got < 0 && errno != EINTR)
			return -errno;
		n += got > 0 ? (size_t)got : 0;
	}
	return (ssize_t)n;
}

/* White space around it, as the end of a line, is no part of the token. */
static enum ctl_exit check_token(struct verify *v, ssize_t n, const char *path)
{
	static const char space[] = " \t\r\n";
	const char *start;
	size_t length;

	if (n < 0 || n > VERIFY_TOKEN_MAX) {
		ctl_complain("verify: %s: %s", path, n < 0 ? strerror((int)-n) : "too long for an access token");
		return CTL_REFUSED;
	}
	v->token[n] = '\0';
	start = v->token + strspn(v->token, space);
	length = strcspn(start, space);
	if (length == 0 || strlen(v->token) != (size_t)n || start[length + strspn(start + length, space)] != '\0' ||
	    *start == '{') {
		ctl_complain("verify: %s holds %s; it must hold what gcloud auth print-access-token prints, one word",
		             path,
		             length == 0     ? "nothing"
		             : *start == '{' ? "JSON (a service account's key?)"
		                             : "more than one word");
		return CTL_REFUSED;
	}
	memmove(v->token, start, length);
	explicit_bzero(v->token + length, sizeof(v->token) - length);
	return CTL_DONE;
}

enum ctl_exit verify_read_token(struct verify *v)
{
	const char *path = v->ctl->args.token_file;
	bool is_stdin = strcmp(path, "-") == 0;
	int fd = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
	enum ctl_exit code;

	if (is_stdin)
		path = "standard input";
	if (fd < 0) {
		ctl_complain("verify: %s: %s", path, strerror(errno));
		return CTL_REFUSED;
	}
	code = check_mode(fd, path);
	if (code == CTL_DONE)
		code = check_token(v, read_whole(fd, v->token, sizeof(v->token)), path);
	if (!is_stdin)
		fd_close(fd);
	return code;
}
