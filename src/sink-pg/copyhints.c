/* copyhints.c: see copyhints.h. */
#include "sink-pg/copyhints.h"

void
copyhints_set(struct copying *c)
{
    c->kind_hint =
        "stop walpipe; in one transaction of the target empty the table and delete its rows from "
        "walpipe.tables and walpipe.held; then start again, and it is copied";
    c->remade_hint =
        "if nothing else writes to the target's table, run walpipe resync for it, or stop walpipe, "
        "and in one transaction of the target empty the table and delete its rows from "
        "walpipe.tables; after the next start it is copied";
    c->back_hint =
        "if nothing else writes to the target's table, run walpipe resync for it, or stop walpipe, "
        "and in one transaction of the target empty the table, delete its rows from walpipe.held, "
        "and set state = 'waiting', "
        "done = '' and rows = 0 in its rows of walpipe.tables; after the next start it is copied; "
        "or, if no change was lost, remove 'out-' from state and set definition = '' there";
    c->renamed_hint =
        "rename the target table, too (drop an empty one that has its new name), and start again; "
        "if tables have exchanged names, then set schema and name to the new ones and target = '' "
        "in their rows of walpipe.tables as well; or, if nothing else writes to the new target "
        "table, stop walpipe, and in one transaction of the target empty it, delete its rows from "
        "walpipe.held, and set state = 'waiting', done = '' and rows = 0 in its rows of "
        "walpipe.tables";
    c->moved_hint =
        "set map back; if you have moved the table in the target as well, set target = '' in its "
        "rows of walpipe.tables; or, if nothing else writes to the new target table, stop walpipe, "
        "and in one transaction of the target empty that table, delete its rows from walpipe.held, "
        "and set state = 'waiting', done = '' and rows = 0 in its rows of walpipe.tables; after "
        "the next start it is copied again";
}
