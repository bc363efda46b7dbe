/* walpipe_pauses.c: the file of a paused sink is read as it was written, odd ones are refused. */
/* clang-format off: make reads one line
 * links: walpipe/pauses walpipe/pausetrial walpipe/reloadnote walpipe/pool lib/log lib/detachnote lib/lsn lib/statefile lib/io lib/sock lib/lockfile lib/clock lib/opt lib/err */
/* clang-format on */
#include "walpipe/pauses.h"
#include "walpipe/pausetrial.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"

static struct sink_config sinks[] = {{.name = "dst"}, {.name = "olap.2"}};
static struct config config = {.path = "x.conf", .sinks = sinks, .sinks_count = 2};
static char dir[] = "/tmp/pauses.XXXXXX", path[64];

static void
put(const char *text)
{
    FILE *file = fopen(path, "w");

    fputs(text, file);
    fclose(file);
}

static bool
is_refused(const char *text)
{
    struct pause pause = {.since = 7};
    struct err err = {0};

    put(text);
    return pauses_read(&config, "olap.2", &pause, &err) != 0 && err.code == EXIT_REFUSED &&
           pause.since == 0;
}

static void
forms(void)
{
    static const char *const odd[] = {"",
                                      "since=5\n",
                                      "since=5\nby=",
                                      "since=5\nby=x",
                                      "since=0\nby=x\n",
                                      "since=-5\nby=x\n",
                                      "since= 5\nby=x\n",
                                      "since=5 \nby=x\n",
                                      "since=1234567890123\nby=x\n",
                                      "since=5\nby=x\n\n",
                                      "since=5\nby=x\nmore=1\n",
                                      "by=x\nsince=5\n"};
    struct pause pause;
    struct err err = {0};

    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++)
        check(is_refused(odd[i]), "file %zu is refused", i);
    put("since=5\nby=x\n");
    check(pauses_read(&config, "olap.2", &pause, &err) == 0 && pause.since == 5 &&
              strcmp(pause.by, "x") == 0,
          "and the right form is read");
    unlink(path);
    mkdir(path, 0700);
    check(pauses_read(&config, "olap.2", &pause, &err) != 0 && err.code == EXIT_REFUSED,
          "a directory is refused");
    rmdir(path);
}

static void
round_trip(void)
{
    struct pause now = pauses_now(), pause;
    struct err err = {0};
    bool differ;

    check(now.since > 1700000000 && now.by[0] != '\0', "a pause knows its time and its user");
    check(pauses_apply(&config, &err) == 0 && sinks[1].paused == 0, "no file is no pause");
    check(pauses_write(&config, "olap.2", &now, &err) == 0, "written");
    check(pauses_differ(&config, &differ, &err) == 0 && differ, "which the sinks do not know yet");
    check(pauses_apply(&config, &err) == 0 && sinks[1].paused == now.since && sinks[0].paused == 0,
          "and then do");
    check(pauses_differ(&config, &differ, &err) == 0 && !differ, "so nothing differs");
    config.only = true;
    check(pauses_apply(&config, &err) != 0, "with copy = only no sink may be paused");
    config.only = false;
    check(pauses_write(&config, "dst", &now, &err) == 0 && pauses_apply(&config, &err) != 0 &&
              sinks[0].paused == 0,
          "not every sink may be paused");
    check(pauses_remove(&config, "dst", &err) == 0 && pauses_remove(&config, "dst", &err) == 0,
          "removed, also when it is gone");
    check(pauses_remove(&config, "olap.2", &err) == 0 &&
              pauses_read(&config, "olap.2", &pause, &err) == 0 && pause.since == 0,
          "and no pause any more");
    check(pauses_write(&config, "gone", &now, &err) == 0 && pauses_apply(&config, &err) != 0 &&
              err.code == EXIT_REFUSED && strstr(err.message, "\"gone\"") != NULL,
          "a sink that is not in the config may not be paused");
    check(pauses_remove(&config, "gone", &err) == 0 && pauses_apply(&config, &err) == 0,
          "and then nothing is refused");
    put("since=5\nby=x\nmore");
    check(pauses_apply(&config, &err) != 0, "an odd file stops the start");
    unlink(path);
}

static bool
detached_is_refused(const char *text)
{
    struct pause pause = {.since = 7};
    struct err err = {0};

    put(text);
    return pauses_read(&config, "olap.2", &pause, &err) != 0 && err.code == EXIT_REFUSED &&
           pause.since == 0 && pause.detached.since == 0 && strstr(err.hint, "resume") != NULL;
}

/* path is that of the file by now. */
static void
detached(void)
{
    static const char *const odd[] = {"",
                                      "since=5\n",
                                      "since=5\nlsn=0/1\nwhy=x",
                                      "since=0\nlsn=0/1\nwhy=x\n",
                                      "since=-5\nlsn=0/1\nwhy=x\n",
                                      "since=1234567890123\nlsn=0/1\nwhy=x\n",
                                      "since=5\nlsn=x\nwhy=x\n",
                                      "since=5\nlsn=0/1\nwhy=x\n\n",
                                      "lsn=0/1\nsince=5\nwhy=x\n"};
    struct pause both = pauses_now(), pause;
    struct err err = {0};
    bool differ;

    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++)
        check(detached_is_refused(odd[i]), "detached file %zu is refused", i);
    unlink(path);
    both.detached = (struct detachnote){.since = 9, .lsn = 0x10, .why = "a reason"};
    check(pauses_write(&config, "olap.2", &both, &err) == 0 &&
              pauses_read(&config, "olap.2", &pause, &err) == 0 && pause.since == both.since &&
              pause.detached.since == 9 && pause.detached.lsn == 0x10 &&
              strcmp(pause.detached.why, "a reason") == 0,
          "a sink may be both");
    check(pauses_apply(&config, &err) == 0 && sinks[1].detached && sinks[1].paused == 9 &&
              sinks[1].lacks_from == 0x10 && !sinks[0].detached,
          "and counts as detached");
    unlink(path);
    check(pauses_differ(&config, &differ, &err) == 0 && differ, "which is not the same as paused");
    check(pauses_write(&config, "olap.2", &both, &err) == 0 &&
              pauses_remove(&config, "olap.2", &err) == 0 && pauses_apply(&config, &err) == 0 &&
              sinks[1].paused == 0 && !sinks[1].detached,
          "both files are removed");
}

/* ackd has detached it, and it is resumed before the next life of the programs. path is that of the
 * file. */
static void
trial(void)
{
    struct pause pause = {.detached = {.since = 9, .lsn = 0x10, .why = "a reason"}};
    struct pausetrial t = {0};
    struct unit_end end = {.code = EXIT_REFUSED, .started = true, .sink = &sinks[1]};
    struct log log = {.program = "walpipe"};
    struct err err = {0};

    log_begin(&log, LOG_ERROR, LOG_JSON);
    sinks[1].paused = 0;
    check(pauses_write(&config, "olap.2", &pause, &err) == 0, "a detached sink");
    pausetrial_note(&t, &config);
    check(pauses_remove(&config, "olap.2", &err) == 0 && pausetrial_begin(&t, &config) &&
              pausetrial_undo(&t, &config, &end, &log) &&
              pauses_read(&config, "olap.2", &pause, &err) == 0 && pause.detached.lsn == 0x10 &&
              pause.since == 0,
          "is on trial after its resume, and detached again");
    unlink(path);
    pausetrial_note(&t, &config);
    check(!pausetrial_undo(&t, &config, &end, &log), "and not on trial any more");
    pausetrial_free(&t);
    snprintf(path, sizeof path, "%s/reload", dir);
    unlink(path);
}

int
main(void)
{
    if (mkdtemp(dir) == NULL)
        return 1;
    config.state_dir = dir;
    snprintf(path, sizeof path, "%s/paused.olap.2", dir);
    forms();
    round_trip();
    snprintf(path, sizeof path, "%s/detached.olap.2", dir);
    detached();
    trial();
    rmdir(dir);
    return check_done();
}
