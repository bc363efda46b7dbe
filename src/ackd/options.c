/* options.c: see options.h. */
#include "ackd/options.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "lib/lsn.h"

/* As Unix time, the year 5138. */
#define PAUSED_MAX UINT64_C(99999999999)

/* Names appear in the labels of metrics, in the checkpoint and in "dst/0" without quoting. */
static bool
good_name(const char *name, size_t len)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                  "_-.";

    return len >= 1 && len <= NAME_MAX_BYTES && strspn(name, allowed) >= len;
}

static int
check_sink_name(const struct ackd *a, const char *text, size_t len, struct err *err)
{
    if (!good_name(text, len))
        return err_set(err, EXIT_REFUSED,
                       "--sink: \"%s\" is not NAME=SHARDS with a name of letters, digits, _, - "
                       "and . (at most %d bytes)",
                       text, NAME_MAX_BYTES);
    for (uint32_t i = 0; i < a->sinks_count; i++)
        if (strlen(a->sinks[i].name) == len && memcmp(a->sinks[i].name, text, len) == 0)
            return err_set(err, EXIT_REFUSED, "--sink: sink \"%s\" is given twice",
                           a->sinks[i].name);
    return 0;
}

static int
add_sink(const struct opt_spec *spec, const char *text, void *options, struct err *err)
{
    struct ackd *a = ((struct options *)options)->ackd;
    const char *equals = strrchr(text, '=');
    size_t len = equals == NULL ? 0 : (size_t)(equals - text);
    struct sink *s = &a->sinks[a->sinks_count];
    uint64_t shards;

    (void)spec;
    if (check_sink_name(a, text, len, err) != 0 ||
        opt_number("--sink", equals + 1, 1, WORKERS_MAX, &shards, err) != 0)
        return -1;
    if (shards > WORKERS_MAX - a->workers_count)
        return err_set(err, EXIT_REFUSED, "--sink: more than %u workers in all sinks together",
                       WORKERS_MAX);
    memcpy(s->name, text, len);
    s->shards = (uint32_t)shards;
    s->first_worker = a->workers_count;
    for (uint32_t shard = 0; shard < s->shards; shard++)
        a->workers[a->workers_count++] = (struct worker){.sink = a->sinks_count, .shard = shard};
    a->sinks_count++;
    return 0;
}

/* The sink that the text "NAME" or "NAME=VALUE" names. *value is behind the name, at its '='. */
static struct sink *
find_sink(const struct opt_spec *spec, const char *text, void *options, const char **value,
          struct err *err)
{
    struct ackd *a = ((struct options *)options)->ackd;
    size_t len = strcspn(text, "=");
    char name[NAME_MAX_BYTES + 1];
    struct sink *s;

    snprintf(name, sizeof name, "%.*s", (int)len, text);
    s = len < sizeof name ? ackd_find_sink(a, name) : NULL;
    if (s == NULL)
        err_set(err, EXIT_REFUSED, "--%s: no --sink before it names \"%.*s\"", spec->name, (int)len,
                text);
    *value = text + len;
    return s;
}

/* Of --paused and --detached. */
static int
take_aside(const struct opt_spec *spec, const char *text, void *options, struct err *err)
{
    const char *value;
    struct sink *s = find_sink(spec, text, options, &value, err);
    bool detached;

    if (s == NULL)
        return -1;
    detached = strcmp(spec->name, "detached") == 0;
    s->detached = s->detached || detached;
    s->paused = true;
    s->paused_since = (uint64_t)time(NULL);
    return *value == '\0' ? 0
                          : opt_number(detached ? "--detached" : "--paused", value + 1, 1,
                                       PAUSED_MAX, &s->paused_since, err);
}

static int
take_detach_after(const struct opt_spec *spec, const char *text, void *options, struct err *err)
{
    const char *value;
    struct sink *s = find_sink(spec, text, options, &value, err);

    if (s == NULL)
        return -1;
    if (*value == '\0')
        return err_set(err, EXIT_REFUSED, "--%s: \"%s\" is not NAME=BYTES", spec->name, text);
    return opt_number("--detach-after", value + 1, 1, UINT64_MAX, &s->detach_after, err);
}

static int
take_pipeline(const struct opt_spec *spec, const char *value, void *options, struct err *err)
{
    struct ackd *a = ((struct options *)options)->ackd;

    (void)spec;
    if (!good_name(value, strlen(value)))
        return err_set(err, EXIT_REFUSED,
                       "--pipeline: \"%s\" is not a name of letters, digits, _, - and . (at "
                       "most %d bytes)",
                       value, NAME_MAX_BYTES);
    memcpy(a->pipeline, value, strlen(value) + 1);
    return 0;
}

static int
take_confirmed(const struct opt_spec *spec, const char *value, void *options, struct err *err)
{
    struct options *o = options;

    if (lsn_parse(value, &o->confirmed_lsn))
        return 0;
    return err_set(err, EXIT_REFUSED, "--%s: \"%s\" is not an LSN", spec->name, value);
}

#define TO(field) .offset = offsetof(struct options, field)

static const struct opt_spec specs[] = {
    {"socket", "PATH", "listen here for pg-wal-read and the workers", OPT_TEXT, TO(socket)},
    {"state", "DIR", "keep the checkpoint here (mode 0700, made when missing)", OPT_TEXT, TO(state),
     .required = true},
    {"sink", "NAME=SHARDS", "a sink and how many workers it has; repeat for each", OPT_CALL,
     .take = add_sink},
    {"paused", "NAME[=SECONDS]", "a sink, paused since then, whose workers do not run", OPT_CALL,
     .take = take_aside},
    {"detached", "NAME[=SECONDS]", "a sink that is given up since then: nothing waits for it",
     OPT_CALL, .take = take_aside},
    {"detach-after", "NAME=BYTES", "give up this sink if it is paused or fails, so far behind",
     OPT_CALL, .take = take_detach_after},
    {"http", "ADDR:PORT", "serve the status page, /healthz, /livez, /readyz and /metrics", OPT_TEXT,
     TO(http)},
    {"pipeline", "NAME", "the pipeline's name, which the checkpoint must have", OPT_CALL,
     .take = take_pipeline},
    {"check", NULL, "print whether a run can continue from the checkpoint", OPT_FLAG, TO(check)},
    {"system-identifier", "N", "--check: the source's, to be compared with the checkpoint",
     OPT_NUMBER, TO(system_identifier), .min = 1, .max = UINT64_MAX},
    {"timeline", "N", "--check: the source's", OPT_NUMBER, TO(timeline), .min = 1,
     .max = UINT32_MAX},
    {"database", "NAME", "--check: the source's", OPT_TEXT, TO(database)},
    {"slot", "NAME", "--check: the slot", OPT_TEXT, TO(slot)},
    {"confirmed", "LSN", "--check: the slot's confirmed_flush_lsn; none: there is no slot",
     OPT_CALL, .take = take_confirmed},
    {"restarts", "N", "how often the supervisor has restarted the pipeline", OPT_NUMBER,
     TO(restarts), .max = UINT32_MAX},
    {"log-level", "LEVEL", "debug, info, warning or error (default: info)", OPT_LEVEL,
     TO(log_level)},
    {"log-format", "FORMAT", "text, json or auto: text on a terminal (default: auto)", OPT_WORD,
     TO(log_format), .words = log_format_names},
};

static const struct opt_program program = {
    .name = "ackd",
    .usage = "--socket PATH --state DIR --sink NAME=SHARDS [--sink ...] [OPTION]...",
    .purpose = "Collects the durable LSNs of all workers and confirms the safe LSN to the source.",
    .specs = specs,
    .specs_count = sizeof specs / sizeof *specs};

/* Makes the sinks' line of the checkpoint. */
static void
describe_sinks(struct ackd *a)
{
    size_t at = 0;

    for (uint32_t i = 0; i < a->sinks_count; i++)
        at += (size_t)snprintf(a->sinks_line + at, sizeof a->sinks_line - at, "%s%s/%u",
                               i == 0 ? "" : " ", a->sinks[i].name, a->sinks[i].shards);
}

static int
check_options(const struct ackd *ackd, const struct options *options, struct err *err)
{
    if (options->check)
        return options->system_identifier != 0 &&
                       (opt_require(&program, "database", options, err) != 0 ||
                        opt_require(&program, "slot", options, err) != 0)
                   ? -1
                   : 0;
    if (opt_require(&program, "socket", options, err) != 0)
        return -1;
    if (ackd->sinks_count == 0) {
        err_set(err, EXIT_REFUSED, "option --sink is missing");
        return err_hint(err, "see ackd --help");
    }
    for (uint32_t i = 0; i < ackd->sinks_count; i++)
        if (!ackd->sinks[i].detached)
            return 0;
    return err_set(err, EXIT_REFUSED,
                   "every --sink is --detached: nobody would have the changes that are confirmed");
}

enum opt_status
options_parse(int argc, char **argv, struct ackd *ackd, struct options *options, struct err *err)
{
    enum opt_status status;

    *options = (struct options){.ackd = ackd, .log_level = LOG_INFO};
    status = opt_parse(&program, argc, argv, options, err);
    log_begin(&ackd->log, options->log_level, options->log_format);
    if (status != OPT_GO)
        return status;
    if (check_options(ackd, options, err) != 0)
        return OPT_BAD;
    ackd->dir_path = options->state;
    ackd->restarts = options->restarts;
    describe_sinks(ackd);
    return OPT_GO;
}
