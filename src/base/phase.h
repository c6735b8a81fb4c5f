/* phase.h - the phase of the process, set by the daemon; loop thread only */
#ifndef BASE_PHASE_H
#define BASE_PHASE_H

enum phase {
	PHASE_RUNNING,
	PHASE_DRAINING, /* accepts nothing new and finishes pending work */
	PHASE_ABORTING, /* as draining, but requests in flight were cancelled and none is started */
	PHASE_STOPPED   /* the loop ends after this turn */
};

#endif
