/* progress.c: see progress.h. */
#include "walpipe/compare/progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/clock.h"
#include "lib/pqx.h"
#include "walpipe/amount.h"
#include "walpipe/compare/workers.h"

#define DRAW_MICROS 250000u
#define BAR_WIDTH   20

/* A table that was never analyzed has -1, or 0 before version 14. */
static const char estimate_sql[] =
    "WITH RECURSIVE r AS (SELECT $1::oid AS oid UNION ALL SELECT i.inhrelid FROM r"
    "  JOIN pg_inherits i ON i.inhparent = r.oid JOIN pg_class c ON c.oid = r.oid"
    "    AND c.relkind = 'p') "
    "SELECT coalesce(sum(greatest(c.reltuples, 0)) FILTER (WHERE c.relkind <> 'p'), 0)::int8"
    " FROM r JOIN pg_class c ON c.oid = r.oid";

int
progress_estimate(PGconn *source, uint32_t relid, uint64_t *rows, struct err *err)
{
    static const char what[] = "estimate the rows of a table";
    char oid[16];
    const char *params[] = {oid};
    PGresult *row;

    snprintf(oid, sizeof oid, "%" PRIu32, relid);
    row = pqx_shaped(pqx_exec_params(source, what, estimate_sql, 1, params, err), what, 1, 1, "v",
                     err);
    if (row == NULL)
        return -1;
    *rows = strtoull(PQgetvalue(row, 0, 0), NULL, 10);
    PQclear(row);
    return 0;
}

static void
draw_bar(const struct progress *p, uint64_t micros)
{
    double done = p->rows >= p->total ? 1 : (double)p->rows / (double)p->total;
    int filled = (int)(done * BAR_WIDTH);

    fprintf(stderr, "[%.*s%*s] %3d%%", filled, "####################", BAR_WIDTH - filled, "",
            (int)(done * 100));
    if (done > 0.01 && done < 1)
        fprintf(stderr, ", %s left",
                amount_millis((uint64_t)((double)micros / 1000 * (1 - done) / done)).text);
}

void
progress_add(struct progress *p, uint64_t rows)
{
    p->rows += rows;
    if (p->fd >= 0)
        workers_progress(p->fd, rows);
    else
        progress_draw(p);
}

void
progress_draw(struct progress *p)
{
    uint64_t now = clock_micros(), micros;

    if (p->begun == 0)
        p->begun = now;
    if (!p->shown || p->fd >= 0 || now - p->drawn < DRAW_MICROS)
        return;
    p->drawn = now;
    micros = now - p->begun;
    fputs("\r\033[K", stderr);
    if (p->total > 0)
        draw_bar(p, micros);
    fprintf(stderr, "  %s", p->sink);
    if (p->table != NULL)
        fprintf(stderr, " %s.%s", p->schema, p->table);
    fprintf(stderr, ", %" PRIu64 " rows", p->rows);
    if (micros > 1000000)
        fprintf(stderr, ", %.0f per second", (double)p->rows * 1e6 / (double)micros);
    fflush(stderr);
}

void
progress_clear(struct progress *p)
{
    if (p->shown && p->drawn != 0)
        fputs("\r\033[K", stderr);
    p->drawn = 0;
}
