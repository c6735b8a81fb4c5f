/* placeholder.c - recognizes ids and secrets that nobody has replaced yet: the sample's, or words that say so */
#include <string.h>
#include <strings.h>

#include "base/macros.h"
#include "conf/conf.h"

/* GA4 answers 204 to each of them as to a real one. */
static const char *const sample_ids[] = {"G-ABC1234567", "1:123:ios:abc", "1:123:android:abc"};

/* In a secret, whatever the case. Real ones are 22 random letters, digits, '_' and '-'. */
static const char *const words[] = {"placeholder", "changeme", "change-me",  "change_me",  "replace",
                                    "your-",       "your_",    "yoursecret", "api_secret", "api-secret",
                                    "example",     "dummy",    "xxxxx"};

/* G-XXXXXXXXXX, as Google's documentation writes it. */
static bool is_all_x(const char *id)
{
	size_t n = strlen(id);

	return n > 4 && strncasecmp(id, "G-", 2) == 0 && strspn(id + 2, "xX") == n - 2;
}

static const char *check_id(const char *id)
{
	for (size_t i = 0; i < ARRAY_LEN(sample_ids); i++)
		if (strcasecmp(id, sample_ids[i]) == 0)
			return "the id is the sample's";
	return is_all_x(id) ? "the id is a placeholder" : NULL;
}

static const char *check_secret(const char *secret)
{
	if (strcasecmp(secret, "secret") == 0 || secret[0] == '<')
		return "the secret is a placeholder";
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (strcasestr(secret, words[i]))
			return "the secret is a placeholder";
	return NULL;
}

const char *conf_placeholder(const struct conf_stream *stream)
{
	const char *id = check_id(stream->id), *secret = stream->secret ? check_secret(stream->secret) : NULL;

	if (id && secret)
		return "the id and the secret are placeholders";
	return id ? id : secret;
}
