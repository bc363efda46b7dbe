/* described.c: see described.h. */
#include "walpipe/described.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/io.h"
#include "lib/pgtableinfo.h"
#include "lib/pqx.h"
#include "walpipe/helper.h"
#include "walpipe/plan.h"
#include "walpipe/words.h"

static int
memory_file(struct err *err)
{
    int fd = memfd_create("walpipe-tables", MFD_CLOEXEC);

    if (fd < 0)
        return err_set(err, EXIT_PEER, "could not make a file in memory: %s", strerror(errno));
    return fd;
}

/* Reads the catalog data that a relation event lacks. Without it sinks know less, as they do if the
 * source cannot be asked while the pipeline runs. */
static PGresult *
ask_table_infos(const struct catalog *catalog, struct err *err)
{
    struct buf relids = {0};
    char text[16], *sql;
    PGresult *result = NULL;

    for (size_t i = 0; i < catalog->tables.count; i++) {
        int n = snprintf(text, sizeof text, "%s%u", i == 0 ? "" : ",",
                         catalog->tables.relations[i].relid);

        buf_append(&relids, text, (size_t)n);
    }
    buf_append(&relids, "", 1);
    sql = relids.failed
              ? NULL
              : pgtableinfo_question(PQserverVersion(catalog->conn), (const char *)relids.data);
    if (sql != NULL)
        result = pqx_exec(catalog->conn, "read what the catalog says of the tables", sql, err);
    free(sql);
    buf_free(&relids);
    return result;
}

/* Both are in the order of oids. infos is NULL if there is none. */
static int
encode_tables(const struct catalog *catalog, const PGresult *infos, struct buf *out,
              struct err *err)
{
    struct tableinfo info = {0};
    int encoded = 0, at = 0, more = infos == NULL ? 1 : pgtableinfo_take(infos, &at, &info, err);

    for (size_t i = 0; encoded == 0 && i < catalog->tables.count; i++) {
        encoded = relation_encode(out, &catalog->tables.relations[i]);
        if (encoded != 0 || more != 0 || info.relid != catalog->tables.relations[i].relid)
            continue;
        encoded = tableinfo_encode(out, FRAME_TABLEINFO, &info);
        tableinfo_free(&info);
        more = pgtableinfo_take(infos, &at, &info, err);
    }
    tableinfo_free(&info);
    return encoded;
}

int
described_open(const struct catalog *catalog, struct err *err)
{
    struct buf out = {0};
    struct err ignored = {0};
    PGresult *infos = catalog->conn == NULL ? NULL : ask_table_infos(catalog, &ignored);
    int encoded = hello_encode(&out, &catalog->hello), fd = -1;

    if (encoded == 0)
        encoded = encode_tables(catalog, infos, &out, &ignored);
    PQclear(infos);
    if (encoded == 0)
        encoded = end_encode(&out, "check");
    if (encoded != 0)
        err_set(err, EXIT_PEER, "no memory to describe the source's tables");
    else
        fd = memory_file(err);
    if (fd >= 0 && io_write_all(fd, (struct bytes){out.data, buf_len(&out)}, err) != 0) {
        close(fd);
        fd = -1;
    }
    buf_free(&out);
    return fd;
}

/* route decides which tables the sink gets, and whether they can be sharded as configured. All its
 * workers' streams are alike here, so only the first one's is kept. */
static const char *const *
route_arguments(const struct config *config, struct pool *pool, const struct sink_config *sink)
{
    struct words w = {.pool = pool};

    words_add(&w, "route");
    words_add_option(&w, "--sink", sink->name);
    words_add_option(&w, "--shard-key", sink->shard_key);
    if (sink->tables != NULL)
        words_add_option(&w, "--tables", sink->tables);
    words_add_option(&w, "--to", "/dev/fd/3");
    for (uint32_t shard = 1; shard < sink->shards; shard++)
        words_add_option(&w, "--to", "/dev/null");
    plan_add_log(&w, config);
    return w.list;
}

int
described_route(const struct config *config, struct pool *pool, const char *programs,
                const struct sink_config *sink, int source, struct err *err)
{
    struct helper helper = {.directory = programs,
                            .argv = route_arguments(config, pool, sink),
                            .env = plan_clean_env(pool, (const char *const *)environ),
                            .in = source};
    char *output;
    int code;

    helper.out = memory_file(err);
    if (helper.out < 0)
        return -1;
    if (lseek(source, 0, SEEK_SET) != 0)
        code = err_set(err, EXIT_PEER, "could not read a file in memory: %s", strerror(errno));
    else
        code = helper_run(&helper, pool, &output, err);
    if (code == EXIT_DONE && lseek(helper.out, 0, SEEK_SET) == 0)
        return helper.out;
    close(helper.out);
    if (code < 0)
        return -1;
    return err_set(err, (enum exit_code)code,
                   "route ended with exit code %d: its own message is in the log", code);
}
