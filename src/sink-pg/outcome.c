/* outcome.c: see outcome.h. */
#include "sink-pg/outcome.h"

enum outcome
outcome_of(const struct session *s, const struct err *err)
{
    if (PQstatus(s->conn) != CONNECTION_OK || err->code == EXIT_PEER)
        return OUTCOME_RETRY;
    return err->code == EXIT_REFUSED ? OUTCOME_REFUSED : OUTCOME_FAILED;
}
