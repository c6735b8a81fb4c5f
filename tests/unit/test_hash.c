/* test_hash.c - SipHash-1-3 against another implementation's values (CPython 3.11's hash of bytes) */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/collections/hash.h"
#include "base/macros.h"

static void equals_another_implementation(void **state)
{
	static const struct hash_key zero = {0, 0};
	static const struct hash_key key = {UINT64_C(0xdc504fd368cd90af), UINT64_C(0xb920bb9ffe99e9c1)};
	unsigned char bytes[63];

	(void)state;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (unsigned char)i;
	/* PYTHONHASHSEED=0: the zero key; lengths around a word's end */
	assert_true(hash_bytes(&zero, "a", 1) == UINT64_C(0x407448d2b89b1813));
	assert_true(hash_bytes(&zero, "abcdefg", 7) == UINT64_C(0x6db12aae9070f506));
	assert_true(hash_bytes(&zero, "abcdefgh", 8) == UINT64_C(0x3f7b849c0b8e35ea));
	assert_true(hash_bytes(&zero, "abcdefghi", 9) == UINT64_C(0xf89b34a3d11eb6e5));
	assert_true(hash_bytes(&zero, bytes, sizeof(bytes)) == UINT64_C(0x385d3e39e5f37359));
	/* PYTHONHASHSEED=42 */
	assert_true(hash_bytes(&key, "hello, relay", 12) == UINT64_C(0x8d574b47aad9f29c));
	assert_true(hash_bytes(&key, bytes, 15) == UINT64_C(0x94ace24d68c18cf8));
}

static void keys_differ(void **state)
{
	struct hash_key a, b;

	(void)state;
	hash_key_init(&a);
	hash_key_init(&b);
	assert_false(a.k0 == b.k0 && a.k1 == b.k1);
	assert_true(hash_bytes(&a, "x", 1) != hash_bytes(&b, "x", 1));
	assert_true(hash_bytes(&a, NULL, 0) == hash_bytes(&a, "", 0));
}

static void consecutive_ids_spread(void **state)
{
	unsigned char seen[256] = {0};

	(void)state;
	for (uint64_t id = 1; id <= 256; id++)
		seen[hash_u64(id) & 255]++;
	for (size_t i = 0; i < ARRAY_LEN(seen); i++)
		assert_in_range(seen[i], 0, 8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(equals_another_implementation),
	        cmocka_unit_test(keys_differ),
	        cmocka_unit_test(consecutive_ids_spread),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
