/* cut_vfs.c - a SQLite VFS that keeps what was synced apart from what was only written, and can cut the power */
#include "cut_vfs.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_FILES = 8, SECTOR = 512 };

struct op {
	struct op *next;
	bool truncate;
	sqlite3_int64 at; /* offset, or the new size */
	size_t n;
	unsigned char data[];
};

struct disk_file {
	char name[512];
	unsigned char *synced; /* content as of the last sync */
	size_t synced_len;
	struct op *first, **last; /* since then, oldest first */
	bool used;
};

struct cut_file {
	sqlite3_file base;
	struct disk_file *disk; /* NULL: a temporary file, not on the disk that counts */
	sqlite3_file *real;
};

static struct {
	sqlite3_vfs vfs, *real;
	struct disk_file files[MAX_FILES];
	void (*before_op)(void *arg);
	void *arg;
	uint64_t syncs;
	bool (*fails)(void *arg);
	uint64_t (*chance)(void *arg);
	void *fails_arg;
} cut;

/* What was there before it was opened here counts as synced: the store builds a new outbox under another name. */
static void content_load(struct disk_file *f)
{
	FILE *in = fopen(f->name, "r");
	char chunk[4096];
	size_t n;

	while (in && (n = fread(chunk, 1, sizeof(chunk), in)) > 0) {
		f->synced = realloc(f->synced, f->synced_len + n);
		if (!f->synced)
			abort();
		memcpy(f->synced + f->synced_len, chunk, n);
		f->synced_len += n;
	}
	if (in)
		fclose(in);
}

static struct disk_file *disk_find(const char *name)
{
	struct disk_file *spare = NULL;

	for (size_t i = 0; i < MAX_FILES; i++) {
		if (cut.files[i].used && strcmp(cut.files[i].name, name) == 0)
			return &cut.files[i];
		if (!cut.files[i].used && !spare)
			spare = &cut.files[i];
	}
	if (!spare)
		abort();
	*spare = (struct disk_file){.used = true};
	spare->last = &spare->first;
	snprintf(spare->name, sizeof(spare->name), "%s", name);
	content_load(spare);
	return spare;
}

static void ops_forget(struct disk_file *f)
{
	while (f->first) {
		struct op *op = f->first;

		f->first = op->next;
		free(op);
	}
	f->last = &f->first;
}

static void content_resize(unsigned char **p, size_t *len, size_t want)
{
	if (want > *len) {
		*p = realloc(*p, want);
		if (!*p)
			abort();
		memset(*p + *len, 0, want - *len);
	}
	*len = want;
}

static void content_write(unsigned char **p, size_t *len, size_t at, const unsigned char *data, size_t n)
{
	if (at + n > *len)
		content_resize(p, len, at + n);
	memcpy(*p + at, data, n);
}

static void op_apply(unsigned char **p, size_t *len, const struct op *op)
{
	if (op->truncate)
		content_resize(p, len, (size_t)op->at);
	else
		content_write(p, len, (size_t)op->at, op->data, op->n);
}

static void op_note(struct disk_file *f, bool truncate, const void *data, size_t n, sqlite3_int64 at)
{
	struct op *op = malloc(sizeof(*op) + n);

	if (!op)
		abort();
	*op = (struct op){.truncate = truncate, .at = at, .n = n};
	if (n > 0)
		memcpy(op->data, data, n);
	*f->last = op;
	f->last = &op->next;
}

static void announce(const struct cut_file *f)
{
	if (f->disk && cut.before_op)
		cut.before_op(cut.arg);
}

static int cut_close(sqlite3_file *file)
{
	struct cut_file *f = (struct cut_file *)file;

	return f->real->pMethods->xClose(f->real);
}

static int cut_read(sqlite3_file *file, void *p, int n, sqlite3_int64 at)
{
	struct cut_file *f = (struct cut_file *)file;

	return f->real->pMethods->xRead(f->real, p, n, at);
}

static int cut_write(sqlite3_file *file, const void *p, int n, sqlite3_int64 at)
{
	struct cut_file *f = (struct cut_file *)file;

	announce(f);
	if (f->disk)
		op_note(f->disk, false, p, (size_t)n, at);
	return f->real->pMethods->xWrite(f->real, p, n, at);
}

static int cut_truncate(sqlite3_file *file, sqlite3_int64 size)
{
	struct cut_file *f = (struct cut_file *)file;

	announce(f);
	if (f->disk)
		op_note(f->disk, true, NULL, 0, size);
	return f->real->pMethods->xTruncate(f->real, size);
}

/* Keeps any subset of the sectors of one write. */
static void tear(unsigned char **p, size_t *len, const struct op *op, uint64_t (*chance)(void *), void *arg)
{
	for (size_t at = 0; at < op->n; at += SECTOR) {
		size_t n = op->n - at < SECTOR ? op->n - at : SECTOR;

		if (chance(arg) & 1)
			content_write(p, len, (size_t)op->at + at, op->data + at, n);
	}
}

/* What was written since the last sync, as far as it reached the disk: all, nothing, or any part of it. */
static void apply_some(const struct disk_file *f, unsigned char **p, size_t *len, uint64_t (*chance)(void *),
                       void *arg)
{
	uint64_t mood = chance(arg) % 4;

	for (const struct op *op = f->first; op && mood > 0; op = op->next) {
		uint64_t dice = chance(arg) % 8;

		if (mood == 1 || dice < 3)
			op_apply(p, len, op);
		else if (dice < 6 && !op->truncate)
			tear(p, len, op, chance, arg);
	}
}

/* The real file need not be synced: what survives is decided by cut_vfs_image(). */
static int cut_sync(sqlite3_file *file, int flags)
{
	struct cut_file *f = (struct cut_file *)file;
	struct disk_file *disk = f->disk;
	int rc = SQLITE_OK;

	(void)flags;
	announce(f);
	cut.syncs++;
	if (!disk)
		return SQLITE_OK;
	if (disk->first && cut.fails && cut.fails(cut.fails_arg)) {
		apply_some(disk, &disk->synced, &disk->synced_len, cut.chance, cut.fails_arg);
		rc = SQLITE_IOERR_FSYNC;
	} else {
		for (const struct op *op = disk->first; op; op = op->next)
			op_apply(&disk->synced, &disk->synced_len, op);
	}
	ops_forget(disk);
	return rc;
}

static int cut_size(sqlite3_file *file, sqlite3_int64 *ret)
{
	struct cut_file *f = (struct cut_file *)file;

	return f->real->pMethods->xFileSize(f->real, ret);
}

static int cut_lock(sqlite3_file *file, int level)
{
	struct cut_file *f = (struct cut_file *)file;

	return f->real->pMethods->xLock(f->real, level);
}

static int cut_unlock(sqlite3_file *file, int level)
{
	struct cut_file *f = (struct cut_file *)file;

	return f->real->pMethods->xUnlock(f->real, level);
}

static int cut_check_lock(sqlite3_file *file, int *ret)
{
	struct cut_file *f = (struct cut_file *)file;

	return f->real->pMethods->xCheckReservedLock(f->real, ret);
}

static int cut_control(sqlite3_file *file, int op, void *arg)
{
	struct cut_file *f = (struct cut_file *)file;

	return f->real->pMethods->xFileControl(f->real, op, arg);
}

static int cut_sector(sqlite3_file *file)
{
	(void)file;
	return SECTOR;
}

/* The weakest promises a disk can make: nothing atomic, nothing in order, no safe overwrite. */
static int cut_characteristics(sqlite3_file *file)
{
	(void)file;
	return 0;
}

/* Version 1: no shared memory, no mmap, as with locking_mode=EXCLUSIVE. */
static const sqlite3_io_methods methods = {
        .iVersion = 1,
        .xClose = cut_close,
        .xRead = cut_read,
        .xWrite = cut_write,
        .xTruncate = cut_truncate,
        .xSync = cut_sync,
        .xFileSize = cut_size,
        .xLock = cut_lock,
        .xUnlock = cut_unlock,
        .xCheckReservedLock = cut_check_lock,
        .xFileControl = cut_control,
        .xSectorSize = cut_sector,
        .xDeviceCharacteristics = cut_characteristics,
};

static int cut_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *ret_flags)
{
	struct cut_file *f = (struct cut_file *)file;
	int r;

	(void)vfs;
	*f = (struct cut_file){.real = (sqlite3_file *)(f + 1)};
	r = cut.real->xOpen(cut.real, name, f->real, flags, ret_flags);
	if (r != SQLITE_OK)
		return r;
	if (name && (flags & (SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_WAL | SQLITE_OPEN_MAIN_JOURNAL)))
		f->disk = disk_find(name);
	f->base.pMethods = &methods;
	return SQLITE_OK;
}

static int cut_delete(sqlite3_vfs *vfs, const char *name, int dir_sync)
{
	(void)vfs;
	for (size_t i = 0; i < MAX_FILES; i++) {
		struct disk_file *f = &cut.files[i];

		if (!f->used || strcmp(f->name, name) != 0)
			continue;
		ops_forget(f);
		free(f->synced);
		*f = (struct disk_file){.used = false};
	}
	return cut.real->xDelete(cut.real, name, dir_sync);
}

int cut_vfs_register(void (*before_op)(void *arg), void *arg)
{
	cut.real = sqlite3_vfs_find(NULL);
	cut.before_op = before_op;
	cut.arg = arg;
	cut.vfs = *cut.real;
	cut.vfs.zName = CUT_VFS_NAME;
	cut.vfs.pNext = NULL;
	cut.vfs.szOsFile = (int)sizeof(struct cut_file) + cut.real->szOsFile;
	cut.vfs.xOpen = cut_open;
	cut.vfs.xDelete = cut_delete;
	return sqlite3_vfs_register(&cut.vfs, 0) == SQLITE_OK ? 0 : -1;
}

static int image_write(const struct disk_file *f, const char *dir, uint64_t (*chance)(void *), void *arg)
{
	const char *base = strrchr(f->name, '/');
	unsigned char *content = NULL;
	size_t len = 0;
	char path[1024];
	FILE *out;
	bool good;

	content_write(&content, &len, 0, f->synced ? f->synced : (const unsigned char *)"", f->synced_len);
	apply_some(f, &content, &len, chance, arg);
	snprintf(path, sizeof(path), "%s/%s", dir, base ? base + 1 : f->name);
	out = fopen(path, "w");
	good = out && (len == 0 || fwrite(content, 1, len, out) == len);
	if (out && fclose(out) != 0)
		good = false;
	chmod(path, 0600);
	free(content);
	return good ? 0 : -1;
}

int cut_vfs_image(const char *dir, uint64_t (*chance)(void *arg), void *arg)
{
	int r = 0;

	for (size_t i = 0; i < MAX_FILES && r == 0; i++)
		if (cut.files[i].used)
			r = image_write(&cut.files[i], dir, chance, arg);
	return r;
}

void cut_vfs_fail_syncs(bool (*fails)(void *arg), uint64_t (*chance)(void *arg), void *arg)
{
	cut.fails = fails;
	cut.chance = chance;
	cut.fails_arg = arg;
}

void cut_vfs_reset(void)
{
	for (size_t i = 0; i < MAX_FILES; i++) {
		ops_forget(&cut.files[i]);
		free(cut.files[i].synced);
		cut.files[i] = (struct disk_file){.used = false};
	}
	cut.syncs = 0;
}

uint64_t cut_vfs_syncs(void)
{
	return cut.syncs;
}
