/* programs.h: the processes of the pipeline, with their CPU time and memory, from /proc. They are
 * the peers of the ack socket, and the programs of walpipe that have the same parent as ackd, and
 * that parent, if it is walpipe. So a pipeline whose programs have other parents shows only the
 * peers. */
#ifndef WALPIPE_ACKD_PROGRAMS_H
#define WALPIPE_ACKD_PROGRAMS_H

#include <sys/types.h>

#include "ackd/ackd.h"

/* All workers, the readers, the filters, ackd and walpipe. */
#define PROGRAMS_MAX (WORKERS_MAX + 8)

struct program {
    char name[32]; /* of the executable, as the kernel has it; any byte */
    pid_t pid;
    bool is_worker;
    uint32_t worker; /* its index */
    uint64_t cpu_millis;
    uint64_t resident_bytes;
};

/* Returns the number of programs. Those that cannot be read are left out. */
size_t programs_look(const struct ackd *ackd, struct program programs[PROGRAMS_MAX]);

#endif
