#!/bin/bash
# libconfig-integers.sh - libconfig 1.5 reads an integer that does not fit as another one
# shellcheck source=findings/lib.sh
. "$(dirname "$0")/lib.sh"

cat <<'TEXT'
version     libconfig 1.5
source      Debian 12, libconfig-dev; libconfig.h: config_read_string(), config_lookup_int(), config_lookup_int64()
good guess  The manual has 32-bit integers, and 64-bit ones with an L behind. A number that does not fit into 32 bits is an
            error of the file, or becomes a 64-bit one; asking for an int where an L stands fails, as asking for one where a
            string stands does.
behaviour   The number is taken modulo 2^32 without a word: 5000000000 bytes are 705032704, a limit of 2^31 is a negative
            one, and config_lookup_int64() gives the wrapped number too. An L-number that does not fit an int is 0 to
            config_lookup_int(), which reports success. (In 1.7.3 such a number is a 64-bit one, and config_lookup_int()
            fails.)
TEXT
debs "libconfig-dev=1.5-*" "libconfig9=1.5-*"

cat >try.c <<'SOURCE'
#include <libconfig.h>
#include <stdio.h>

static void look(const char *text)
{
	config_t config;
	long long wide = -1;
	int narrow = -1, got_narrow, got_wide;

	config_init(&config);
	if (!config_read_string(&config, text)) {
		printf("%-18s %s\n", text, config_error_text(&config));
	} else {
		got_narrow = config_lookup_int(&config, "n", &narrow);
		got_wide = config_lookup_int64(&config, "n", &wide);
		printf("%-18s int: %s %d; int64: %s %lld\n", text, got_narrow ? "found" : "none", narrow, got_wide ? "found" : "none",
		       wide);
	}
	config_destroy(&config);
}

int main(void)
{
	look("n = 2147483647;");
	look("n = 2147483648;");
	look("n = 5000000000;");
	look("n = 5000000000L;");
	look("n = \"5\";");
	return 0;
}
SOURCE
compile gcc try.c -lconfig
expect ./try <<'OUTPUT'
n = 2147483647;    int: found 2147483647; int64: found 2147483647
n = 2147483648;    int: found -2147483648; int64: found -2147483648
n = 5000000000;    int: found 705032704; int64: found 705032704
n = 5000000000L;   int: found 0; int64: found 5000000000
n = "5";           int: none -1; int64: none -1
OUTPUT
