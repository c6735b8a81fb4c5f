/* phase.h - what the whole process is doing; the daemon sets it, everybody else reads it. Loop thread only */
#ifndef BASE_PHASE_H
#define BASE_PHASE_H

enum phase {
	PHASE_RUNNING,
	PHASE_DRAINING, /* takes nothing new in, finishes what is there */
	PHASE_ABORTING, /* the same, but requests in flight were cut off and none starts */
	PHASE_STOPPED   /* the loop ends with this turn */
};

#endif
