/* fuzz_conf.c - the configuration: read whole, or refused with a sentence that names the file */
#include "base/log.h"
#include "conf/conf.h"
#include "fuzz.h"

static void no_warning(void *arg, const char *option)
{
	(void)arg, (void)option;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct conf *conf = NULL, *other = NULL;
	struct err err = {{0}};
	char *text = malloc(size + 1);

	CHECK(text);
	memcpy(text, size ? (const char *)data : "", size);
	text[size] = '\0';
	log_set_level((enum log_level)0);
	if (conf_parse(&conf, text, "fuzz.conf", &err) < 0) {
		CHECK(!conf && strstr(err.text, "fuzz.conf") && !strchr(err.text, '\n'));
	} else {
		CHECK(conf->n_streams > 0 && conf->default_stream < conf->n_streams);
		CHECK(conf_parse(&other, text, "fuzz.conf", &err) == 0);
		CHECK(conf_keep_fixed(conf, other, no_warning, NULL) == 0);
	}
	conf_free(conf);
	conf_free(other);
	free(text);
	return 0;
}
