/* in_place.h - files whose bytes are written over in place, also on btrfs, which copies them */
#ifndef OUTBOX_IN_PLACE_H
#define OUTBOX_IN_PLACE_H

#include <stdbool.h>

/* On btrfs a write over old bytes takes new room, and the old room is free only when everything else of the old
 * extent was written over too. On a full disk not even a deletion can be recorded then. An empty file can be exempted
 * from that (as by chattr +C); it goes without the checksums and the compression of the file system. */

/* Is this file, or directory, on a file system that copies? */
bool in_place_matters(int fd);
/* Exempts an empty file. Where that does not matter, or cannot be had, nothing happens. */
void in_place_set(int fd);
/* Are its bytes written over in place? */
bool in_place_is_set(int fd);

#endif
