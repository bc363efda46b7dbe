/* sandbox.h: for programs that need nothing but their pipes: after their inputs and outputs are
 * open, the kernel takes every other right from them. What bytes from outside could make of such a
 * program then is at worst one that writes wrong frames. */
#ifndef WALPIPE_SANDBOX_H
#define WALPIPE_SANDBOX_H

#include "lib/base.h"

enum sandbox_state {
    SANDBOX_ON,
    SANDBOX_ABSENT /* this kernel, machine or build has none */
};

/* From here on the process can read, write, poll and close what is open, get memory and the time,
 * handle signals and end. Anything else, as open, connect or exec, ends it by SIGSYS. New
 * privileges are out of the question too. */
enum sandbox_state sandbox_enter(void);

/* False in a build with AddressSanitizer, whose own needs (a leak check forks and traces) would be
 * refused. */
bool sandbox_fits_build(void);

#endif
