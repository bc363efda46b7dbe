/* pipe.h: libpq's pipeline mode, which sends many commands in one round trip and tells which of
 * them failed.
 *
 * The commands between pipe_start and pipe_finish are sent with one Sync at the end, so the server
 * runs them up to the first that fails. */
#ifndef SINK_PG_PIPE_H
#define SINK_PG_PIPE_H

#include "sink-pg/session.h"

enum step_kind {
    STEP_COMMAND, /* BEGIN, SAVEPOINT ... */
    STEP_PREPARE,
    STEP_CHANGE,    /* a statement that applies one change */
    STEP_SIGNATURE, /* fails with a division by zero when a table changed */
    STEP_PROGRESS,  /* fails with a division by zero when the row is not ours any more */
    STEP_WATCH,     /* the same, also when a table may have changed */
    STEP_COMMIT
};

struct stmt {
    char name[24];
    enum stmt_state { STMT_NEW, STMT_SENT, STMT_READY } state;
};

struct step {
    enum step_kind kind;
    uint32_t change;   /* the caller's number for it, of STEP_CHANGE */
    struct stmt *stmt; /* STEP_PREPARE */
    bool upsert;  /* an update that inserts the missing row, and then affects it, of STEP_CHANGE */
    bool notices; /* an insert that affects the other row whose place it took, of STEP_CHANGE */
    bool done;
    uint64_t affected; /* rows, of the command's tag */
};

/* The server's answer about the step that failed. */
struct pipe_failure {
    bool lost; /* the connection is lost, so the server's progress is unknown */
    enum step_kind kind;
    uint32_t change;
    char sqlstate[6];
    char constraint[64];
    char column[64];
    char type[64]; /* the domain whose constraint it is */
};

/* Zero-initialise to use. Reused for the process's life. */
struct pipe {
    struct session *session;
    struct step *steps;
    size_t count;
    size_t size;
    char watched[40];            /* the time that STEP_PROGRESS answered */
    struct pipe_failure failure; /* after a pipe_finish that failed */
};

int pipe_start(struct pipe *p, struct session *session, struct err *err) MUST_CHECK;

int pipe_command(struct pipe *p, enum step_kind kind, const char *sql, struct err *err) MUST_CHECK;
int pipe_prepare(struct pipe *p, struct stmt *stmt, const char *sql, int count, const Oid *types,
                 struct err *err) MUST_CHECK;

/* change is given back in the failure and in steps. */
int pipe_execute(struct pipe *p, enum step_kind kind, uint32_t change, const struct stmt *stmt,
                 int count, const char *const *values, const int *lengths, const int *formats,
                 struct err *err) MUST_CHECK;

/* Sends Sync, and reads all results. Returns 0, or -1 with err and failure. The session's pipeline
 * mode ends. */
int pipe_finish(struct pipe *p, struct err *err) MUST_CHECK;

/* Leaves pipeline mode after a command could not even be queued. The connection must not be used
 * any more. */
void pipe_free(struct pipe *p);

#endif
