/* value.h - one option's value, read, compared, copied and freed by its table row; private to conf/ */
#ifndef CONF_VALUE_H
#define CONF_VALUE_H

#include "conf/reader.h"

/* base is the struct conf or struct conf_stream that holds the member; name is the option's name in messages. */
int value_default(const struct conf_option_info *opt, void *base) MUST_CHECK;
int value_read(const struct reader *rd, const struct conf_option_info *opt, const char *name,
               const config_setting_t *setting, void *base) MUST_CHECK;
bool value_equal(const struct conf_option_info *opt, const void *a, const void *b);
/* 0 or -ENOMEM. */
int value_copy(const struct conf_option_info *opt, void *to, const void *from) MUST_CHECK;
void value_free(const struct conf_option_info *opt, void *base);

/* Checks a string setting by its table row without storing it. *ret is valid as long as libconfig's tree. */
int value_text(const struct reader *rd, const struct conf_option_info *opt, const char *name,
               const config_setting_t *setting, const char **ret) MUST_CHECK;

#endif
