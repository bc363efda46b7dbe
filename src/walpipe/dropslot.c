/* dropslot.c: see dropslot.h. */
#include "walpipe/dropslot.h"

#include <unistd.h>

#include "walpipe/plan.h"
#include "walpipe/words.h"

void
dropslot_prepare(struct helper *helper, const struct config *config, struct pool *pool)
{
    const struct source_config *source = &config->source;
    struct words w = {.pool = pool};

    words_add(&w, "pg-wal-read");
    words_add_option(&w, "--conninfo", source->conninfo);
    words_add_option(&w, "--slot", source->slot);
    words_add(&w, "--drop-slot");
    helper->argv = w.list;
    helper->env =
        plan_login_env(pool, (const char *const *)environ, source->password, source->password_file);
}

int
dropslot_run(const struct config *config, struct pool *pool, struct err *err)
{
    struct helper helper = {.directory = plan_programs_directory(pool, err), .in = -1, .out = -1};
    char *output = NULL;
    int code;

    if (helper.directory == NULL)
        return -1;
    dropslot_prepare(&helper, config, pool);
    code = helper_run(&helper, pool, &output, err);
    if (code <= 0)
        return code;
    err_set(err, code == EXIT_REFUSED ? EXIT_REFUSED : EXIT_PEER,
            "could not drop slot \"%s\": pg-wal-read ended with exit code %d", config->source.slot,
            code);
    return err_hint(err, "the error of pg-wal-read above says why; the next start tries again");
}
