/* pausetext.c: see pausetext.h. */
#include "walpipe/pausetext.h"

#include <string.h>

#include "lib/lsn.h"
#include "lib/utctime.h"
#include "walpipe/amount.h"

/* Since when the workers of the sink are paused, 0 if they are not. lag is the WAL that they lack.
 * Returns false if the sink is not in this run. */
static bool
find(const struct ack_status *s, const char *sink, uint64_t *since, uint64_t *lag)
{
    for (uint32_t i = 0; i < s->workers_count; i++)
        if (strcmp(s->workers[i].sink, sink) == 0) {
            *since = s->workers[i].paused_since;
            *lag = s->workers[i].lag_bytes;
            return true;
        }
    return false;
}

static bool
is_detached(const struct ack_status *s, const char *sink)
{
    for (uint32_t i = 0; i < s->workers_count; i++)
        if (strcmp(s->workers[i].sink, sink) == 0)
            return s->workers[i].detached;
    return false;
}

static void
say_detached(const struct config *config, const struct sink_config *sink, FILE *out)
{
    if (!sink->detached) {
        fprintf(out, "\nsink %s is detached until the next start; walpipe reload -c %s starts it\n",
                sink->name, config->path);
        return;
    }
    fprintf(out, "\nsink %s is detached since %s; its tables lack changes after %s\n", sink->name,
            utctime_at(sink->paused).text, lsn_format(sink->lacks_from).text);
    fprintf(out, "walpipe resume -c %s --sink %s brings it back by copying all of them again\n",
            config->path, sink->name);
}

void
pausetext_status(const struct config *config, const struct ack_status *status, FILE *out)
{
    for (size_t i = 0; i < config->sinks_count; i++) {
        const struct sink_config *sink = &config->sinks[i];
        uint64_t since, lag;

        if (!find(status, sink->name, &since, &lag))
            continue;
        if (sink->detached || is_detached(status, sink->name)) {
            say_detached(config, sink, out);
            continue;
        }
        if (since != 0 && sink->paused != 0)
            fprintf(
                out,
                "\nsink %s is paused since %s; the source keeps %s of WAL for it, and a restart "
                "reads it again\n"
                "walpipe resume -c %s --sink %s ends the pause\n",
                sink->name, utctime_at(since).text,
                status->lag_known ? amount_bytes(lag).text : "an unknown amount", config->path,
                sink->name);
        else if (since != 0)
            fprintf(out,
                    "\nsink %s is paused until the next start; walpipe reload -c %s starts it\n",
                    sink->name, config->path);
        else if (sink->paused != 0)
            fprintf(
                out,
                "\nsink %s is paused at the next start; walpipe pause -c %s --sink %s pauses it "
                "now\n",
                sink->name, config->path, sink->name);
    }
}

void
pausetext_tables(const struct config *config, const struct sink_config *sink, FILE *out)
{
    if (sink->detached)
        fprintf(
            out,
            "sink %s is detached since %s, its tables lack changes after %s, and walpipe resume "
            "-c %s --sink %s copies all of them again\n",
            sink->name, utctime_at(sink->paused).text, lsn_format(sink->lacks_from).text,
            config->path, sink->name);
    else if (sink->paused != 0)
        fprintf(out, "sink %s is paused since %s, and walpipe resume -c %s --sink %s ends it\n",
                sink->name, utctime_at(sink->paused).text, config->path, sink->name);
}
