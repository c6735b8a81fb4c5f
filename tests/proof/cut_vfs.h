/* cut_vfs.h - a SQLite VFS that keeps what was synced apart from what was only written, and can cut the power
 *
 * Every file is written through to the real one, so the program under test sees an ordinary disk. Beside it the
 * VFS keeps the content as of the last sync and the writes since. A cut takes, for each file, the synced content
 * and an arbitrary part of the later writes: whole, dropped, or torn at 512-byte sectors, in any order. */
#ifndef TESTS_PROOF_CUT_VFS_H
#define TESTS_PROOF_CUT_VFS_H

#include <stdbool.h>
#include <stdint.h>

/* Registers the VFS under this name. before_op is called before each write, truncate and sync. */
#define CUT_VFS_NAME "cut"
int cut_vfs_register(void (*before_op)(void *arg), void *arg);
/* Writes what a disk could hold if the power went now into dir (one file for each open one, same base names).
 * chance returns a random number. 0 or -1. */
int cut_vfs_image(const char *dir, uint64_t (*chance)(void *arg), void *arg);
/* Forgets everything that is known of files (between runs). */
void cut_vfs_reset(void);
/* From now on, each sync fails when this says so (NULL: none does). What it should have written is clean then: any
 * part of it is on the disk, and no later sync writes the rest unless it is written to the file again. */
void cut_vfs_fail_syncs(bool (*fails)(void *arg), uint64_t (*chance)(void *arg), void *arg);
uint64_t cut_vfs_syncs(void);

#endif
