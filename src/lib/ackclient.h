/* ackclient.h: a worker's side of the ack socket: register, report, wait at barriers. Blocking:
 * ackd always reads. Used by every sink that is written in C. */
#ifndef WALPIPE_ACKCLIENT_H
#define WALPIPE_ACKCLIENT_H

#include "lib/ackconn.h"
#include "lib/event.h"

/* Connects to ackd at path; ackconn_close() ends it. Poll its descriptor for reading too: readable
 * outside a wait means that ackd is gone. */
int ackclient_connect(struct ackconn *ack, const char *path, struct err *err) MUST_CHECK;

/* Registers the worker for hello's run and waits for ackd's answer; a refusal becomes err with
 * EXIT_REFUSED. program is the worker's own name; durable_lsn the progress found in the target, 0
 * where it keeps none, and timeline what that is of. */
int ackclient_register(struct ackconn *ack, const char *program, const struct hello *hello,
                       uint64_t durable_lsn, uint32_t timeline, struct err *err) MUST_CHECK;

int ackclient_reached(struct ackconn *ack, const struct ack_reached *reached,
                      struct err *err) MUST_CHECK;

/* What differs is not empty. */
int ackclient_differences(struct ackconn *ack, const struct ack_differences *differences,
                          struct err *err) MUST_CHECK;

/* What pg-table-read hears of a copy; only where hello's version is STREAM_VERSION_COPY. Nothing is
 * answered. */
int ackclient_table_state(struct ackconn *ack, const struct table_state *state,
                          struct err *err) MUST_CHECK;
int ackclient_copied(struct ackconn *ack, const struct range_copied *copied,
                     struct err *err) MUST_CHECK;

/* keys: at most COPYMSG_OPAQUE_MAX bytes. */
int ackclient_missing(struct ackconn *ack, uint64_t life, struct bytes keys,
                      struct err *err) MUST_CHECK;

/* message says why the target is down; "" when it is alive. */
int ackclient_target(struct ackconn *ack, bool alive, const char *message,
                     struct err *err) MUST_CHECK;

/* All before the barrier is durable: reports it and waits until ackd lets this worker go on. */
int ackclient_barrier_wait(struct ackconn *ack, const struct barrier_event *barrier,
                           struct err *err) MUST_CHECK;
int ackclient_barrier_done(struct ackconn *ack, uint64_t id, struct err *err) MUST_CHECK;

int ackclient_finished(struct ackconn *ack, struct err *err) MUST_CHECK;

#endif
