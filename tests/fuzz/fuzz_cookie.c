/* fuzz_cookie.c - ids out of Google's cookies, and the strict readers of numbers */
#include "base/parse.h"
#include "fuzz.h"
#include "ga4/cookie.h"

static bool inside(struct slice part, struct slice whole)
{
	return part.n > 0 && part.p >= whole.p && part.p + part.n <= whole.p + whole.n;
}

static void check_digits(struct slice s, bool may_have_dot)
{
	for (size_t i = 0; i < s.n; i++)
		CHECK((s.p[i] >= '0' && s.p[i] <= '9') || (may_have_dot && s.p[i] == '.'));
}

static void check_numbers(struct slice s)
{
	char text[32];
	uint64_t v, again;
	int64_t us, us_again;

	if (parse_u64(s, &v) == 0)
		check_digits(s, false);
	if (parse_size(s, &v) == 0)
		CHECK(parse_size(slice_of(format_size(v, text)), &again) == 0 && again == v);
	if (parse_duration_us(s, &us) == 0 && us % 1000 == 0)
		CHECK(parse_duration_us(slice_of(format_duration(us, text)), &us_again) == 0 && us_again == us);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_copy(data, size);
	struct slice s = {text, size}, id;

	if (cookie_client_id(s, &id)) {
		CHECK(inside(id, s));
		check_digits(id, true);
	}
	if (cookie_session_id(s, &id)) {
		uint64_t v;

		CHECK(inside(id, s) && id.n <= 40);
		check_digits(id, false);
		CHECK(parse_u64(id, &v) == 0 && v > 0);
	}
	check_numbers(s);
	free(text);
	return 0;
}
