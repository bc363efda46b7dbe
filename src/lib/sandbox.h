/* sandbox.h: for programs that need only their pipes. After their inputs and outputs are open, the
 * kernel takes every other right from them. If bytes from outside take over such a program, the
 * worst that it can do is write wrong frames. */
#ifndef WALPIPE_SANDBOX_H
#define WALPIPE_SANDBOX_H

#include "lib/base.h"

enum sandbox_state {
    SANDBOX_ON,
    SANDBOX_ABSENT /* this kernel, machine or build has none */
};

/* From here on the process can read, write, poll and close open descriptors, get memory and the
 * time, handle signals and end. Any other call, such as open, connect or exec, ends it by SIGSYS.
 * It cannot gain privileges either. */
enum sandbox_state sandbox_enter(void);

/* Returns false in a build with AddressSanitizer, because its own calls (a leak check forks and
 * traces) would be refused. */
bool sandbox_fits_build(void);

#endif
