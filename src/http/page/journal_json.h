/* journal_json.h - an entry of the journal as JSON, for the page and for GET /api/events (ga4relay(8), The live page)
 */
#ifndef HTTP_PAGE_JOURNAL_JSON_H
#define HTTP_PAGE_JOURNAL_JSON_H

#include "base/buf.h"
#include "base/macros.h"
#include "conf/conf.h"
#include "event/stream_table.h"
#include "http/page/journal.h"

const char *journal_verdict_name(enum journal_verdict v);
const char *journal_state_name(enum journal_state s);
/* Appends one object. is_update: without what never changes, for a reader that has it. 0, -ENOBUFS, -ENOMEM. */
int journal_write(struct buf *out, const struct journal_entry *e, const struct streams *streams,
                  bool is_update) MUST_CHECK;

#endif
