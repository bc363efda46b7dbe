/* init.h: walpipe init, which writes a first config file with comments. */
#ifndef WALPIPE_INIT_H
#define WALPIPE_INIT_H

#include "lib/base.h"

/* As many of one type as a first config may have. */
#define INIT_TARGETS_MAX 8

/* The options of the command line. */
struct init {
    const char *file;                 /* to be written */
    const char *source;               /* conninfo */
    const char *pg[INIT_TARGETS_MAX]; /* conninfo */
    size_t pg_count;
    const char *ch[INIT_TARGETS_MAX]; /* URL */
    size_t ch_count;
};

/* Writes the file with mode 0600, or in /etc/walpipe 0640 with the directory's group. The pipeline,
 * its slot and its publication get the file's name without ".conf". Returns -1 with err if the file
 * is there already, if a server's address has a password, which other users could see in the list
 * of processes, or if it cannot be written. */
int init_write(const struct init *init, struct err *err) MUST_CHECK;

#endif
