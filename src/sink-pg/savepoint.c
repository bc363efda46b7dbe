/* savepoint.c: see savepoint.h. */
#include "sink-pg/savepoint.h"

static enum outcome
run(struct session *s, const char *what, const char *sql, struct err *err)
{
    return session_exec(s, what, sql, err) == 0 ? OUTCOME_DONE : outcome_of(s, err);
}

enum outcome
savepoint_set(struct session *s, struct err *err)
{
    return run(s, "set a savepoint", SAVEPOINT_SET, err);
}

enum outcome
savepoint_keep(struct session *s, struct err *err)
{
    return run(s, "release the savepoint", SAVEPOINT_KEEP, err);
}

enum outcome
savepoint_undo(struct session *s, struct err *err)
{
    return run(s, "roll back to the savepoint", "ROLLBACK TO " SAVEPOINT_SET "; " SAVEPOINT_KEEP,
               err);
}
