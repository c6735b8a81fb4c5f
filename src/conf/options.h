/* options.h - the contents of an option table row; private to conf/ */
#ifndef CONF_OPTIONS_H
#define CONF_OPTIONS_H

#include "conf/conf.h"

enum option_type {
	OPTION_TEXT,        /* char * */
	OPTION_PATH,        /* char *, absolute */
	OPTION_SOCKET_PATH, /* char *, absolute and short enough for sun_path */
	OPTION_GROUP,       /* char *, "" or a group that exists on this machine */
	OPTION_URL,         /* char *, an endpoint */
	OPTION_PROXY,       /* char *, may hold a password: never printed */
	OPTION_LISTEN,      /* char *, address:port or unix:path */
	OPTION_SECRET,      /* char *, never printed, wiped */
	OPTION_NAMES,       /* char **, NULL-terminated */
	OPTION_MODE,        /* mode_t */
	OPTION_COUNT,       /* unsigned or uint64_t */
	OPTION_SIZE,        /* size_t or uint64_t, bytes */
	OPTION_DURATION,    /* int64_t, microseconds */
	OPTION_BOOL,        /* bool */
	OPTION_WORD,        /* an enum or a bool, set to the word's value */
	OPTION_STREAMS      /* read by conf_streams.c */
};

struct option_word {
	const char *name;
	int value;
};

#endif
