/* ackclient.h: a worker's side of the ack socket. Registers, reports, and waits at barriers.
 * Blocking, because ackd always reads. Every sink that is written in C uses it. */
#ifndef WALPIPE_ACKCLIENT_H
#define WALPIPE_ACKCLIENT_H

#include "lib/ackconn.h"
#include "lib/event.h"

/* Connects to ackd at path. ackconn_close() ends it. Poll its descriptor for reading too. If it is
 * readable outside a wait, ackd is gone. */
int ackclient_connect(struct ackconn *ack, const char *path, struct err *err) MUST_CHECK;

/* Registers the worker for hello's run and waits for ackd's answer. A refusal becomes err with
 * EXIT_REFUSED. program is the worker's own name. durable_lsn is the progress found in the target,
 * 0 if it keeps none. timeline is the timeline of that progress. */
int ackclient_register(struct ackconn *ack, const char *program, const struct hello *hello,
                       uint64_t durable_lsn, uint32_t timeline, enum ack_position position,
                       struct err *err) MUST_CHECK;

int ackclient_reached(struct ackconn *ack, const struct ack_reached *reached,
                      struct err *err) MUST_CHECK;

/* Reports differences, which must not be empty. */
int ackclient_differences(struct ackconn *ack, const struct ack_differences *differences,
                          struct err *err) MUST_CHECK;

/* Reports to pg-table-read about a copy. Only for hello's version STREAM_VERSION_COPY. There is no
 * answer. */
int ackclient_table_state(struct ackconn *ack, const struct table_state *state,
                          struct err *err) MUST_CHECK;
int ackclient_copied(struct ackconn *ack, const struct range_copied *copied,
                     struct err *err) MUST_CHECK;

/* keys has at most COPYMSG_OPAQUE_MAX bytes. */
int ackclient_missing(struct ackconn *ack, uint64_t life, struct bytes keys,
                      struct err *err) MUST_CHECK;

int ackclient_lacks(struct ackconn *ack, const struct ack_lacks *lacks, struct err *err) MUST_CHECK;
int ackclient_copy_counts(struct ackconn *ack, const struct copy_counts *counts,
                          struct err *err) MUST_CHECK;

/* The changes of a table since the last report, which are durable, or the state of its copy. */
int ackclient_table_counts(struct ackconn *ack, const struct ack_table_counts *counts,
                           struct err *err) MUST_CHECK;

/* message is the reason why the target is down, "" if it is alive. */
int ackclient_target(struct ackconn *ack, bool alive, const char *message,
                     struct err *err) MUST_CHECK;

/* Everything before the barrier is durable. Reports it and waits until ackd lets this worker
 * continue. */
int ackclient_barrier_wait(struct ackconn *ack, const struct barrier_event *barrier,
                           struct err *err) MUST_CHECK;
int ackclient_barrier_done(struct ackconn *ack, uint64_t id, struct err *err) MUST_CHECK;

int ackclient_finished(struct ackconn *ack, struct err *err) MUST_CHECK;

#endif
