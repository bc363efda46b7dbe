/* status.c: see status.h. It takes two answers of ackd, SAMPLE_MILLIS apart. The second one is
 * shown, and the difference gives the rates. After a restart in between, the run id has changed,
 * and there are no rates. */
#include "walpipe/status.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "lib/ackconn.h"
#include "lib/clock.h"
#include "lib/statedir.h"
#include "walpipe/statustext.h"
#include "walpipe/tables.h"

#define SAMPLE_MILLIS 1000

/* While walpipe runs without an ackd, it is between two starts, at most 8 s apart. */
#define START_PATIENCE_MILLIS 10000

/* ackd answers at once. If it does not, it is stuck. */
#define ANSWER_SECONDS 5

/* Waits for ackd's answer, which is a status. */
static int
hear(struct ackconn *conn, struct ack_status *status, struct err *err)
{
    struct ack_message message;
    int found;

    while ((found = ackconn_next(conn, &message, err)) == 0)
        switch (frame_fill(&conn->reader, conn->fd, err)) {
        case FILL_READ:
            break;
        case FILL_AGAIN:
            err_set(err, EXIT_PEER, "ackd did not answer within %d seconds", ANSWER_SECONDS);
            return err_hint(err, "ackd's process may be stopped, or the machine overloaded: see "
                                 "the log of walpipe run");
        case FILL_EOF:
            (void)ackconn_gone_error(err);
            return err_hint(err, "the pipeline is just ending or restarting: try again");
        case FILL_FAILED:
            return -1;
        }
    if (found < 0)
        return -1;
    if (message.type != ACK_STATUS || !ackmsg_status_decode(message.status, status)) {
        err_set(err, EXIT_REFUSED, "ackd's answer is not a status this walpipe understands");
        return err_hint(err, "walpipe and the running ackd must be of one release");
    }
    return 0;
}

static int
sample(struct ackconn *conn, struct ack_status *status, struct err *err)
{
    struct ack_message request = {.type = ACK_STATUS_REQUEST};

    return ackconn_say(conn, &request, err) != 0 ? -1 : hear(conn, status, err);
}

static int
open_ackd(const struct config *config, bool waits, struct ackconn *conn, struct err *err)
{
    struct timeval patience = {.tv_sec = ANSWER_SECONDS};
    bool is_run = statedir_is_run(config->state_dir);

    if (ackconn_open(conn, config->socket, waits && is_run ? START_PATIENCE_MILLIS : 0, err) != 0) {
        char why[sizeof err->message];

        memcpy(why, err->message, sizeof why);
        err_set(err, EXIT_PEER, "pipeline \"%s\" is %s: %.900s", config->name,
                is_run ? "starting" : "not running", why);
        return is_run ? err_hint(err, "the log of walpipe run shows why it does not start")
                      : err_hint(err, "start it with walpipe run -c %.400s", config->path);
    }
    setsockopt(conn->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    return 0;
}

/* The pipeline may end between the two. Then the first one stands, without rates. */
static void
sample_again(struct ackconn *conn, struct status_samples *s)
{
    struct err ignored;

    s->micros = clock_micros();
    poll(NULL, 0, SAMPLE_MILLIS);
    if (sample(conn, &s->now, &ignored) == 0)
        s->micros = clock_micros() - s->micros;
    else {
        s->now = s->before;
        s->micros = 0;
    }
}

static int
sample_twice(const struct config *config, struct status_samples *s, struct err *err)
{
    struct ackconn conn;
    int result = open_ackd(config, true, &conn, err);

    if (result == 0)
        result = sample(&conn, &s->before, err);
    if (result == 0)
        sample_again(&conn, s);
    ackconn_close(&conn);
    return result;
}

int
status_ask(const struct config *config, struct ack_status *status, struct err *err)
{
    struct ackconn conn;
    int result = open_ackd(config, false, &conn, err);

    if (result == 0)
        result = sample(&conn, status, err);
    ackconn_close(&conn);
    return result;
}

/* A target that is down need not be asked. */
static bool
has_news(const struct ack_worker_status *w, const struct sink_config *sink)
{
    const struct copy_counts *n = &w->copies;

    bool copies = w->copies_known && n->waiting + n->copying + n->resync + n->parked > 0;

    return (copies || w->lacks.tables > 0) && w->target_alive && strcmp(w->sink, sink->name) == 0;
}

static bool
choose(const struct config *config, const struct ack_status *s, bool *sinks)
{
    bool any = false;

    for (size_t i = 0; i < config->sinks_count; i++)
        for (uint32_t w = 0; w < s->workers_count; w++)
            if (has_news(&s->workers[w], &config->sinks[i]))
                any = sinks[i] = true;
    return any;
}

/* The workers tell ackd whether a table is not streaming yet, or lacks changes. Only then targets
 * and source are asked. */
static int
read_copies(struct status_samples *s, const struct config *config, struct pool *pool,
            struct err *err)
{
    bool *sinks = pool_take(pool, (config->sinks_count + 1) * sizeof *sinks);
    struct tables_choice choice = {.config = config, .source = s->now.source_alive, .sinks = sinks};
    struct tables_found found;

    if (!choose(config, &s->now, sinks))
        return 0;
    if (tables_read(&choice, &found, pool, err) != 0)
        return -1;
    s->copies = found.lists;
    s->copies_count = config->sinks_count;
    return 0;
}

/* The pipeline cannot be asked. Its last error is probably the reason. */
static void
log_last_error(const struct log *log, const struct status_samples *s)
{
    const struct lasterror *e = &s->last_error;
    struct log_field fields[] = {{.name = "exit_code", .number = e->exit_code},
                                 {.name = "hint", .text = e->hint}};

    if (s->failed)
        log_write_fields(log, LOG_WARNING, fields, e->hint[0] == '\0' ? 1 : 2,
                         "the last error of the pipeline, at %s: %s: %s", e->time, e->program,
                         e->message);
}

int
status_show(const struct config *config, const struct log *log, bool json)
{
    struct status_samples *samples = calloc(1, sizeof *samples);
    struct pool pool = {0};
    struct err err = {0};
    int code = EXIT_DONE;

    if (samples == NULL) {
        err_set(&err, EXIT_PEER, "out of memory for the status");
        return log_failure(log, &err);
    }
    samples->config = config;
    wholelist_read(&samples->wholes, config, &pool);
    if (sample_twice(config, samples, &err) != 0 || read_copies(samples, config, &pool, &err) != 0)
        code = EXIT_PEER;
    samples->failed = lasterror_read(config->state_dir, &samples->last_error);
    if (code != EXIT_DONE) {
        log_last_error(log, samples);
        code = log_failure(log, &err);
    } else if (json) {
        statustext_json(config->name, samples, stdout);
    } else {
        statustext_table(config->name, samples, stdout);
    }
    pool_free(&pool);
    free(samples);
    return code;
}
