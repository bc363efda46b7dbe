/* ackd decides which LSN is safe. This file has its options, wiring and exit code. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ackd/ackd.h"
#include "ackd/admission.h"
#include "ackd/http.h"
#include "ackd/loop.h"
#include "ackd/options.h"
#include "lib/clock.h"
#include "lib/lsn.h"
#include "lib/sig.h"
#include "lib/sock.h"
#include "lib/statedir.h"
#include "lib/verdict.h"

static int
load_checkpoint(struct ackd *a, struct err *err)
{
    int found = checkpoint_read(a->dir, a->dir_path, &a->checkpoint, err);

    if (found <= 0)
        return found;
    if (strcmp(a->checkpoint.pipeline, a->pipeline) != 0) {
        err_set(err, EXIT_REFUSED, "checkpoint \"%s/%s\" belongs to pipeline \"%s\", not to \"%s\"",
                a->dir_path, CHECKPOINT_NAME, a->checkpoint.pipeline, a->pipeline);
        return err_hint(err, "give each pipeline a state_dir of its own");
    }
    a->checkpoint_known = true;
    a->checkpoint_safe_seen = a->checkpoint.safe_lsn;
    return 0;
}

/* The answer that pg-wal-read would get. */
static enum admission
admit(const struct ackd *a, const struct options *options, struct err *err)
{
    struct ack_source s = {.system_identifier = options->system_identifier,
                           .timeline = (uint32_t)options->timeline,
                           .confirmed_lsn = options->confirmed_lsn};

    if (options->system_identifier == 0)
        return ADMISSION_RUN;
    snprintf(s.database, sizeof s.database, "%s", options->database);
    snprintf(s.slot, sizeof s.slot, "%s", options->slot);
    return admission_source(a->checkpoint_known ? &a->checkpoint : NULL, a->dir_path, &s, err);
}

static void
check_checkpoint(struct ackd *a, const struct options *options, struct verdicts *verdicts)
{
    struct err err = {0};

    if (load_checkpoint(a, &err) != 0 || admit(a, options, &err) == ADMISSION_REFUSED)
        verdict_fail(verdicts, NULL, &err);
    else if (!a->checkpoint_known)
        verdict_say(verdicts, VERDICT_OK, "there is no checkpoint yet");
    else
        verdict_say(verdicts, VERDICT_OK, "checkpoint: slot \"%s\" of database \"%s\", at %s",
                    a->checkpoint.slot, a->checkpoint.database,
                    lsn_format(a->checkpoint.safe_lsn).text);
}

/* For --check. Looks, and changes nothing. Returns the exit code. */
static int
check(struct ackd *a, const struct options *options)
{
    struct verdicts verdicts = {.out = stdout};
    struct err err = {0};

    a->dir = statedir_open_existing(a->dir_path, &err);
    if (a->dir >= 0)
        check_checkpoint(a, options, &verdicts);
    else if (a->dir != STATEDIR_MISSING)
        verdict_fail(&verdicts, NULL, &err);
    return verdicts.failed ? EXIT_REFUSED : EXIT_DONE;
}

static int
serve(struct ackd *a, const struct options *options, struct err *err)
{
    struct http *http = NULL;
    int result;

    a->dir = statedir_open(a->dir_path, err);
    /* The lock is kept until the process ends. */
    if (a->dir < 0 || statedir_lock(a->dir, a->dir_path, STATEDIR_ACKD, err) < 0 ||
        load_checkpoint(a, err) != 0)
        return -1;
    if (reached_read(a->dir_path, &a->reached, err) != 0)
        return -1;
    a->seen = walend_read(a->dir);
    if (options->http != NULL && (http = http_open(a, options->http, err)) == NULL)
        return -1;
    /* This comes last, so that a peer that can connect may rely on us being ready. */
    a->listener = sock_listen(options->socket, err);
    result = a->listener < 0 ? -1 : loop_run(a, http, err);
    http_close(http);
    return result;
}

int
main(int argc, char **argv)
{
    struct ackd *a = calloc(1, sizeof *a);
    struct options options;
    struct err err = {0};
    int code = EXIT_DONE;

    if (a == NULL)
        return EXIT_PEER;
    a->log = (struct log){.program = "ackd"};
    a->started_at = clock_micros();
    for (size_t i = 0; i < CONNS_MAX; i++)
        a->conns[i].fd = -1;
    sig_ignore_pipe();
    sig_wait_for_end();
    switch (options_parse(argc, argv, a, &options, &err)) {
    case OPT_GO:
        if (options.check)
            code = check(a, &options);
        else if (serve(a, &options, &err) != 0)
            code = log_failure(&a->log, &err);
        break;
    case OPT_DONE:
        break;
    case OPT_BAD:
        code = log_failure(&a->log, &err);
    }
    for (size_t i = 0; i < CONNS_MAX; i++)
        if (a->conns[i].fd >= 0)
            conn_close(&a->conns[i]);
    free(a->reached);
    free(a);
    return code;
}
