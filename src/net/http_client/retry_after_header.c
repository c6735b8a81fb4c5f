/* retry_after_header.c - strict parsers for the Retry-After and Date headers
 *
 * CURLINFO_RETRY_AFTER is not used, because it cannot distinguish "0" from an absent header and
 * returns 0 on overflow, 1 for "1.5" and negative numbers for dates that have passed. */
#include "net/http_client/retry_after_header.h"

#include <ctype.h>
#include <time.h>

#include "base/clock.h"
#include "base/parse.h"

enum { DATE_MAX = 64 };

static struct slice trim(struct slice s)
{
	while (s.n > 0 && isspace((unsigned char)s.p[0])) {
		s.p++;
		s.n--;
	}
	while (s.n > 0 && isspace((unsigned char)s.p[s.n - 1]))
		s.n--;
	return s;
}

/* Returns the seconds since 1970, or -1 if the text is not a date in one of the three forms of
 * RFC 9110, section 5.6.7. The names are parsed in English, because this program never calls
 * setlocale(). curl_getdate() is not used, because it returns libcurl's time_t, which has 32
 * bits on some systems and ends in 2038. */
static int64_t parse_date(struct slice s)
{
	static const char *const forms[] = {
	        "%a, %d %b %Y %H:%M:%S GMT",
	        "%a, %d-%b-%y %H:%M:%S GMT",
	        "%a %b %d %H:%M:%S %Y",
	};
	char text[DATE_MAX];

	if (s.n == 0 || s.n >= sizeof(text))
		return -1;
	memcpy(text, s.p, s.n);
	text[s.n] = '\0';
	for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
		struct tm tm = {0};
		const char *rest = strptime(text, forms[i], &tm);

		if (rest && *rest == '\0')
			return (int64_t)timegm(&tm);
	}
	return -1;
}

int64_t http_date_us(struct slice value)
{
	int64_t when = parse_date(trim(value));

	return when > 0 ? when * US_PER_S : 0;
}

static int64_t until_date(struct slice s, int64_t wall_us)
{
	int64_t when = parse_date(s), left;

	if (when < 0)
		return -1;
	left = when - wall_us / US_PER_S;
	if (left < 0)
		return -1;
	return left >= US_PER_H / US_PER_S ? US_PER_H : left * US_PER_S;
}

int64_t http_retry_after(struct slice value, int64_t wall_us)
{
	struct slice s = trim(value);
	uint64_t seconds;

	if (s.n == 0)
		return -1;
	if (!isdigit((unsigned char)s.p[0]))
		return until_date(s, wall_us);
	if (parse_u64(s, &seconds) < 0)
		return -1;
	return seconds >= US_PER_H / US_PER_S ? US_PER_H : (int64_t)seconds * US_PER_S;
}
