/* passwords.h: passwords of servers that do not stand in the config itself, but in the file of
 * password_file or in an environment variable. */
#ifndef WALPIPE_PASSWORDS_H
#define WALPIPE_PASSWORDS_H

#include "walpipe/config.h"

/* The variable for the password of the sink owner, or of "source", such as
 * "WALPIPE_DST_PASSWORD". */
const char *passwords_variable(struct pool *pool, const char *owner);

/* Decides where each password comes from: conninfo, password_file, or else its variable. The file
 * of a ClickHouse sink is left to sink-ch, and so is WALPIPE_CH_PASSWORD, which all ClickHouse
 * sinks without a file and a variable of their own share. Reads no file. Returns -1 with err if a
 * server has two, or if two servers have one variable. */
int passwords_choose(struct config *config, struct err *err) MUST_CHECK;

/* Reads the files, again if they were read before, so that a password that was changed is used by
 * the next programs. Returns -1 with err at the first that cannot be read; its password and the
 * following ones stay as they were. */
int passwords_read(const struct config *config, struct err *err) MUST_CHECK;

#endif
