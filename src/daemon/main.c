/* main.c - ga4relay's command line */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/process.h"
#include "daemon/daemon.h"

#define DEFAULT_CONF GA4RELAY_SYSCONFDIR "/ga4relay/ga4relay.conf"

static const char usage[] =
        "usage: ga4relay [-c FILE] [-t] [-V] [-h] [--sandbox[=DIR] [--http=ADDR:PORT]]\n"
        "\n"
        "Takes events on a Unix socket, keeps them safe and delivers them to Google Analytics 4.\n"
        "\n"
        "  -c, --config FILE     configuration (default " DEFAULT_CONF ")\n"
        "  -t, --test            check the configuration, say what is wrong, and exit\n"
        "      --sandbox[=DIR]   try it without configuration, network or account: a socket, an outbox and a\n"
        "                        stand-in for GA4 that prints what it receives, in DIR or a temporary directory\n"
        "      --http=ADDR:PORT  with --sandbox: a live page of every line and what becomes of it, such as\n"
        "                        127.0.0.1:8125\n"
        "  -V, --version         print the version\n"
        "  -h, --help            print this\n"
        "\n"
        "It stays in the foreground and logs to standard error. SIGTERM drains and stops, SIGHUP reloads.\n"
        "Exit: 0 stopped as asked; 1 failed at run time; 2 usage; 75 another instance holds the outbox;\n"
        "78 wrong configuration, or an outbox that is not ours or newer. See ga4relay(8) and ga4relay-ctl(8).\n";

enum { OPT_SANDBOX = 256, OPT_HTTP };

static const struct option long_options[] = {
        {"config", required_argument, NULL, 'c'},
        {"test", no_argument, NULL, 't'},
        {"version", no_argument, NULL, 'V'},
        {"help", no_argument, NULL, 'h'},
        {"sandbox", optional_argument, NULL, OPT_SANDBOX},
        {"http", required_argument, NULL, OPT_HTTP},
        {NULL, 0, NULL, 0},
};

static int usage_error(void)
{
	fputs("try: ga4relay --help\n", stderr);
	return EXIT_USAGE;
}

int main(int argc, char **argv)
{
	struct daemon_options options = {.conf_path = DEFAULT_CONF};
	bool test = false, conf_given = false;
	int c;

	process_begin();
	while ((c = getopt_long(argc, argv, "c:tVh", long_options, NULL)) != -1) {
		switch (c) {
		case 'c':
			options.conf_path = optarg;
			conf_given = true;
			break;
		case 't':
			test = true;
			break;
		case OPT_SANDBOX:
			options.sandbox = true;
			options.sandbox_dir = optarg;
			break;
		case OPT_HTTP:
			options.sandbox_http = optarg;
			break;
		case 'V':
			puts("ga4relay " GA4RELAY_VERSION);
			return EXIT_OK;
		case 'h':
			fputs(usage, stdout);
			return EXIT_OK;
		default:
			return usage_error();
		}
	}
	if (optind < argc) {
		fprintf(stderr, "ga4relay: unexpected argument '%s'\n", argv[optind]);
		return usage_error();
	}
	if (options.sandbox && (test || conf_given)) {
		fputs("ga4relay: --sandbox brings its own configuration: leave out -c and -t\n", stderr);
		return usage_error();
	}
	if (options.sandbox_http && !options.sandbox) {
		fputs("ga4relay: --http is for --sandbox; a relay has http.listen and http.page in its "
		      "configuration\n",
		      stderr);
		return usage_error();
	}
	log_init(LOG_LEVEL_INFO, log_stderr_is_journal());
	return test ? daemon_check_config(options.conf_path) : daemon_run(&options);
}
