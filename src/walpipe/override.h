/* override.h: the options --set SECTION.KEY=VALUE, which override keys of the config file. */
#ifndef WALPIPE_OVERRIDE_H
#define WALPIPE_OVERRIDE_H

#include "walpipe/inifile.h"

/* Enough for all keys of a pipeline with many sinks. More are a mistake in a script. */
#define OVERRIDES_MAX 64

/* As given, for example "source.slot=orders", "sink.dst.shards=2" or
 * "sink.olap.table.public.t.json=text". */
struct overrides {
    const char *given[OVERRIDES_MAX];
    size_t count;
};

/* Changes the sections of the file at path, which must be there. The values take the place of all
 * lines with their keys. Of several for one key the last one counts. Returns 0, or -1 with err. */
int override_sections(const struct overrides *overrides, const char *path,
                      struct inifile_section *sections, struct pool *pool,
                      struct err *err) MUST_CHECK;

#endif
