/* control.c: see control.h. */
#include "ackd/control.h"

#include <stdio.h>
#include <string.h>

/* Answers the command, and closes its connection. */
static void
answer(struct ackd *a, struct conn *conn, const struct copy_controlled *controlled)
{
    struct ack_message m = {.type = ACK_CONTROLLED, .run_id = a->run_id, .controlled = *controlled};
    struct err ignored = {0};

    if (conn_send(conn, &m, &ignored) != 0)
        conn->eof = true;
    conn->closing = true;
}

static void
refuse(struct ackd *a, struct conn *conn, const char *message, const char *hint)
{
    struct copy_controlled no = {0};

    snprintf(no.message, sizeof no.message, "%s", message);
    snprintf(no.hint, sizeof no.hint, "%s", hint);
    answer(a, conn, &no);
}

static struct control *
free_slot(struct ackd *a)
{
    for (size_t i = 0; i < CONTROLS_MAX; i++)
        if (a->controls[i].conn == NULL)
            return &a->controls[i];
    return NULL;
}

/* The workers' streams are those of a pipeline with pg-table-read, and it has not been here. */
static bool
copier_will_come(const struct ackd *a)
{
    for (uint32_t i = 0; i < a->workers_count; i++)
        if (a->workers[i].reads_copies)
            return a->copier == NULL && !a->copier_served;
    return false;
}

static void
forward(struct ackd *a, struct control *slot)
{
    struct ack_message m = {.type = ACK_CONTROL, .run_id = a->run_id, .control = slot->request};
    struct err why = {0};

    slot->waits = false;
    if (conn_send(a->copier, &m, &why) != 0)
        a->copier->closing = a->copier->eof = true;
}

void
control_copier_served(struct ackd *a)
{
    for (size_t i = 0; i < CONTROLS_MAX; i++)
        if (a->controls[i].conn != NULL && a->controls[i].waits)
            forward(a, &a->controls[i]);
}

/* Its workers do not run, and pg-table-read would wait for them. */
static const struct sink *
find_aside(const struct ackd *a, const struct copy_control *control)
{
    for (uint32_t i = 0; i < a->sinks_count; i++)
        if (a->sinks[i].paused && strcmp(a->sinks[i].name, control->sink) == 0)
            return &a->sinks[i];
    return NULL;
}

void
control_request(struct ackd *a, struct conn *conn, const struct copy_control *control)
{
    struct control *slot = free_slot(a);
    const struct sink *aside = find_aside(a, control);
    bool waits = copier_will_come(a);

    if (!a->running || a->draining || !ledger_complete(&a->ledger)) {
        refuse(a, conn, "the pipeline is starting or ending",
               "try again; walpipe status shows its state");
        return;
    }
    if (aside != NULL) {
        refuse(a, conn, aside->detached ? "the sink is detached" : "the sink is paused",
               aside->detached ? "run walpipe resume first, which copies all its tables again"
                               : "run walpipe resume first, then try again");
        return;
    }
    if (!waits && (a->copier == NULL || !a->copier_served)) {
        refuse(a, conn, "no table can be copied: the pipeline runs without pg-table-read",
               "set copy = yes in the sink and start again; this does not copy tables that are "
               "streaming, so run walpipe resync then");
        return;
    }
    if (slot == NULL) {
        refuse(a, conn, "too many requests wait for an answer", "try again");
        return;
    }
    *slot = (struct control){
        .conn = conn, .number = ++a->last_control, .waits = waits, .request = *control};
    slot->request.number = slot->number;
    if (!waits)
        forward(a, slot);
}

void
control_answer(struct ackd *a, const struct copy_controlled *controlled)
{
    for (size_t i = 0; i < CONTROLS_MAX; i++) {
        struct control *slot = &a->controls[i];

        if (slot->conn == NULL || slot->number != controlled->number)
            continue;
        answer(a, slot->conn, controlled);
        slot->conn = NULL;
    }
}

void
control_conn_gone(struct ackd *a, const struct conn *conn)
{
    for (size_t i = 0; i < CONTROLS_MAX; i++)
        if (a->controls[i].conn == conn)
            a->controls[i].conn = NULL;
}

void
control_copier_gone(struct ackd *a)
{
    for (size_t i = 0; i < CONTROLS_MAX; i++) {
        struct conn *conn = a->controls[i].conn;

        if (conn == NULL)
            continue;
        refuse(
            a, conn, "pg-table-read has ended before it answered",
            "walpipe tables shows whether the table is in state resync; if it is not, try again");
        a->controls[i].conn = NULL;
    }
}
