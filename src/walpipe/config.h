/* config.h: reads the config file (walpipe.conf(5)). Checks every key, fills in defaults, and takes
 * passwords out of connection strings. */
#ifndef WALPIPE_CONFIG_H
#define WALPIPE_CONFIG_H

#include "walpipe/configdata.h"

/* Reads and checks the file at path with the overrides, NULL for none, which must outlive config.
 * Returns 0, or -1 with err (EXIT_REFUSED, "PATH:LINE: ..." or "--set SECTION.KEY: ..."). Free
 * config in both cases. */
int config_read(const char *path, const struct overrides *overrides, struct config *config,
                struct err *err) MUST_CHECK;

/* The names of its variables, with commas between them. "" if there are none. */
const char *config_variables(const struct config *config, struct pool *pool);

void config_free(struct config *config);

#endif
