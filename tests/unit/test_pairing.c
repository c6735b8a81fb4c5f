/* test_pairing.c - the mark of an outbox: where it is, and that a page half written still has one */
#include "outbox/file/pages.h"
#include "outbox/file/pairing.h"
#include "outbox/file/wal_owner.h"
#include "store_fixture.h"

enum { PAGE = PAGES_SIZE_NEW, SECTOR = 512 };

static void read_page(struct fixture *f, uint32_t number, unsigned char page[PAGE])
{
	int fd = open(f->path, O_RDONLY);

	assert_true(fd >= 0);
	assert_int_equal(pread(fd, page, PAGE, (off_t)(number - 1) * PAGE), PAGE);
	close(fd);
}

/* The mark of a closed file, and its page. */
static struct pair_mark mark_of(struct fixture *f, unsigned char page[PAGE])
{
	struct pair_mark mark;
	uint32_t number;

	read_page(f, 1, page);
	number = pair_mark_page(page, PAGE);
	assert_true(number > 1);
	read_page(f, number, page);
	assert_true(pair_mark_read(page, PAGE, &mark));
	return mark;
}

static void a_closed_file_is_whole_under_a_new_mark(void **state)
{
	struct fixture *f = *state;
	unsigned char page[PAGE];
	struct pair_mark first, second;

	put(f, f->web, "1.2", "refund");
	fixture_close(f);
	first = mark_of(f, page);
	assert_true(first.whole);
	assert_true(first.before != 0);
	assert_int_equal(fixture_open(f), 0);
	f->st->fatal = true; /* as killed */
	fixture_close(f);
	second = mark_of(f, page);
	assert_false(second.whole);
	assert_true(second.now != first.now);
	assert_true(second.before == first.now);
}

static void half_a_page_is_one_mark_or_the_other(void **state)
{
	struct fixture *f = *state;
	unsigned char a[PAGE], b[PAGE], torn[PAGE];
	struct pair_mark first, second, read;

	fixture_close(f);
	first = mark_of(f, a);
	for (int i = 0; i < 5; i++) {
		assert_int_equal(fixture_open(f), 0);
		for (int n = 0; n < 300; n++)
			put(f, f->web, "1.2", "refund");
		fixture_close(f);
	}
	second = mark_of(f, b);
	for (unsigned sectors = 0; sectors < 1u << (PAGE / SECTOR); sectors++) {
		for (int i = 0; i < PAGE / SECTOR; i++)
			memcpy(torn + i * SECTOR, (sectors >> i & 1 ? a : b) + i * SECTOR, SECTOR);
		assert_true(pair_mark_read(torn, PAGE, &read));
		assert_true(read.now == first.now || read.now == second.now);
		assert_true(read.before == first.before || read.before == second.before);
	}
}

static void other_pages_have_no_mark(void **state)
{
	struct fixture *f = *state;
	unsigned char page[PAGE];
	struct pair_mark mark;
	uint32_t number;

	put(f, f->web, "1.2", "refund");
	fixture_close(f);
	read_page(f, 1, page);
	number = pair_mark_page(page, PAGE);
	for (uint32_t i = 1; i * PAGE < (uint32_t)file_size(f->path); i++) {
		read_page(f, i, page);
		assert_int_equal(pair_mark_read(page, PAGE, &mark), i == number);
	}
	memset(page, 0, PAGE);
	assert_false(pair_mark_read(page, PAGE, &mark));
	assert_int_equal(pair_mark_page(page, PAGE), 0);
}

/* As after an upgrade in the middle of a life: what the older version left in its WAL is its own. */
static void a_file_without_marks_keeps_its_wal(void **state)
{
	struct fixture *f = *state;
	struct wal_look look;
	struct err err;

	fixture_close(f);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(fixture_open(f), 0);
		assert_int_equal(db_exec(&f->st->db, "DROP TABLE pairing", &err), 0);
		assert_int_equal(db_checkpoint(&f->st->db, true), 0);
		for (int n = 0; n < 100; n++) {
			f->st->pairing = (struct pairing){.begins = false}; /* it writes none */
			put(f, f->web, "1.2", "refund");
		}
		f->st->fatal = true; /* as killed */
		fixture_close(f);
		assert_int_equal(wal_look(f->path, &look, &err), 0);
		assert_int_equal(look.kind, WAL_OWN);
		assert_false(look.is_needed);
	}
	assert_int_equal(fixture_open(f), 0);
	assert_int_equal(count_of(f, f->web, STATE_QUEUED), 200);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(a_closed_file_is_whole_under_a_new_mark, setup, teardown),
	        cmocka_unit_test_setup_teardown(half_a_page_is_one_mark_or_the_other, setup, teardown),
	        cmocka_unit_test_setup_teardown(other_pages_have_no_mark, setup, teardown),
	        cmocka_unit_test_setup_teardown(a_file_without_marks_keeps_its_wal, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
