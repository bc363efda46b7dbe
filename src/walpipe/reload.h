/* reload.h: reads the config file again while the pipeline runs, at SIGHUP, and looks at the pauses
 * of its sinks again, at SIGUSR1. copy_workers and copy_rate take effect at once. For every other
 * change the programs are ended and started again. If they refuse the new config within 30 seconds,
 * walpipe goes back to the one before, unless rows could then be missing. */
#ifndef WALPIPE_RELOAD_H
#define WALPIPE_RELOAD_H

#include <sys/types.h>

#include "lib/log.h"
#include "walpipe/config.h"

/* The time in which a refusal is taken for one of the new config. */
#define RELOAD_TRIAL_MILLIS 30000

/* In the pool of the config that came behind it. */
struct reload_before {
    struct reload_before *next; /* NULL, or what was on trial when config was, and earlier */
    struct config config;
};

struct reload {
    struct config *config;        /* in force, owned by the caller */
    struct config next;           /* for the next start of the programs */
    struct reload_before *before; /* taken back if the new one is refused */
    bool waiting;                 /* there is a next one */
    bool again;                   /* the programs are started again for other pauses */
    bool trying;                  /* there is one before */
    uint64_t taken_at;            /* clock_micros() of the last change */
};

/* Writes the limits for pg-table-read, which it reads at its start. Returns -1 with err. */
int reload_write_limits(const struct config *config, struct err *err) MUST_CHECK;

/* At SIGHUP. Tells the pg-table-read with this pid, 0 if none runs, its limits. Returns whether the
 * programs have to be started again. A file with a mistake, or one that describes another pipeline,
 * changes nothing. Everything is logged. */
bool reload_read(struct reload *reload, const struct log *log, pid_t table_reader);

/* At SIGUSR1, from walpipe pause and resume. Returns whether the programs have to be started again,
 * because other sinks are paused than before. The config file is not read. */
bool reload_pauses(struct reload *reload, const struct log *log);

/* When no program runs. Puts the next config in force, and returns whether there was one. */
bool reload_take(struct reload *reload, const struct log *log);

/* When the programs did not start or have refused to go on because of why. Puts the config before
 * in force again, and returns whether that was so. It is not where programs have started and the
 * new config changes which rows an old target gets: the changes of this time would be missing. */
bool reload_undo(struct reload *reload, const struct err *why, bool started, const struct log *log);

/* Frees all but the config in force. */
void reload_free(struct reload *reload);

#endif
