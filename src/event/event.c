/* event.c - the end of a submission */
#include "event/event.h"

#include <stdlib.h>

struct submission *submission_unref(struct submission *s)
{
	if (s && --s->refs == 0)
		free(s->block);
	return NULL;
}
