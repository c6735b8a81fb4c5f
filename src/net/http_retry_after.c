/* http_retry_after.c - Retry-After and Date, of which any nonsense may come
 *
 * Not CURLINFO_RETRY_AFTER: it cannot tell "0" from an absent header, gives 0 on overflow, 1 for "1.5", and negative
 * numbers for dates that have passed. */
#include "net/http_retry_after.h"

#include <ctype.h>
#include <curl/curl.h>

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

/* All three HTTP date forms begin with a day's name, which keeps curl_getdate() from reading numbers as dates. */
static time_t parse_date(struct slice s)
{
	char text[DATE_MAX];

	if (s.n == 0 || s.n >= sizeof(text) || !isalpha((unsigned char)s.p[0]))
		return -1;
	memcpy(text, s.p, s.n);
	text[s.n] = '\0';
	return curl_getdate(text, NULL);
}

/* A server may name a year of eight digits, which does not fit into microseconds. */
int64_t http_date_us(struct slice value)
{
	time_t when = parse_date(trim(value));

	return when > 0 && when <= INT64_MAX / US_PER_S ? (int64_t)when * US_PER_S : 0;
}

static int64_t until_date(struct slice s, int64_t wall_us)
{
	time_t when = parse_date(s);
	int64_t left;

	if (when < 0)
		return -1;
	left = (int64_t)when - wall_us / US_PER_S;
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
