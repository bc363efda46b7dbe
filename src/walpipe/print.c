/* print.c: see print.h. The script is made from the plan's own argument vectors, so that it cannot
 * differ from the programs that run starts. It is one ( ... ) group. Pasted into an interactive
 * shell it neither changes that shell nor needs a file. Passwords appear as the names of variables,
 * and are never printed. */
#include "walpipe/print.h"

#include <string.h>

#include "walpipe/override.h"
#include "walpipe/passwords.h"
#include "walpipe/words.h"

/* The width after which the next option begins a new line. */
#define LINE_WIDTH 88

struct printing {
    const struct config *config;
    const struct plan *plan;
    struct pool pool;
    FILE *out;
};

/* The command's words, quoted, with a break before an option where the line gets long. */
static void
print_words(struct printing *p, const char *const *argv, const char *indent)
{
    size_t column = strlen(indent);

    for (size_t i = 0; argv[i] != NULL; i++) {
        const char *word = words_quote(&p->pool, argv[i]);
        bool option = strncmp(argv[i], "--", 2) == 0;
        size_t pair = strlen(word) + 1;

        if (option && argv[i + 1] != NULL)
            pair += strlen(argv[i + 1]) + 1;
        if (i > 0 && option && column + pair > LINE_WIDTH) {
            fprintf(p->out, " \\\n%s    ", indent);
            column = strlen(indent) + 4;
        } else if (i > 0) {
            fputc(' ', p->out);
        }
        fputs(word, p->out);
        column += strlen(word) + 1;
    }
}

static void
print_password_need(struct printing *p, const char *owner, const char *of)
{
    const char *name = passwords_variable(&p->pool, owner);

    fprintf(p->out, "[ -n \"${%s:-}\" ] || { echo %s >&2; exit 100; }\n", name,
            words_quote(&p->pool, pool_print(&p->pool, "set %s to the password of %s", name, of)));
}

/* run decides anew, with the source and the targets. */
static void
print_open_choices(struct printing *p)
{
    const struct config *c = p->config;

    for (size_t i = 0; i < c->sinks_count; i++)
        if (c->sinks[i].copy_open)
            fprintf(p->out,
                    "# copy is not set for sink %s, which %s here; walpipe run decides at its "
                    "start.\n",
                    c->sinks[i].name,
                    c->sinks[i].copies ? "copies as in the last run" : "copies nothing");
}

static void
print_overrides(struct printing *p)
{
    const struct overrides *o = p->config->overrides;

    for (size_t i = 0; o != NULL && i < o->count; i++)
        fprintf(p->out, "# With --set %s\n", words_quote(&p->pool, o->given[i]));
}

/* The script ends as any other. */
static void
print_only(struct printing *p)
{
    if (p->config->only)
        fputs("# copy = only: when pg-table-read has ended, every table is copied. Then drain "
              "this; walpipe\n"
              "# run compares the targets' notes and drops the slot.\n",
              p->out);
}

/* file is NULL if the password comes from the variable. */
static void
print_password(struct printing *p, const char *owner, const char *file)
{
    if (file == NULL)
        fprintf(p->out, "PGPASSWORD=$%s ", passwords_variable(&p->pool, owner));
    else
        fprintf(p->out, "PGPASSWORD=$(cat %s) ", words_quote(&p->pool, file));
}

static void
print_sink_password(struct printing *p, const struct sink_config *sink)
{
    if (sink->password == NULL)
        return;
    if (sink->type == SINK_CH)
        fprintf(p->out, "WALPIPE_CH_PASSWORD=$%s ", passwords_variable(&p->pool, sink->name));
    else
        print_password(p, sink->name, sink->password_file);
}

static void
print_head(struct printing *p, const char *programs)
{
    const struct config *c = p->config;

    fprintf(
        p->out,
        "#!/bin/bash\n"
        "# Pipeline \"%s\", from %s: what `walpipe run` starts, once.\n"
        "# Ctrl-C, or SIGTERM to pg-wal-read, drains it. Exit codes: 0 drained, 100 a person\n"
        "# must solve the problem, 111 run it again. Take the # away before a tee to keep a copy\n"
        "# of a stream; evcat < FILE shows one.\n",
        c->name, words_quote(&p->pool, c->path));
    print_overrides(p);
    print_open_choices(p);
    print_only(p);
    fprintf(p->out,
            "(\n"
            "set -u\n"
            "PATH=%s:$PATH\n",
            words_quote(&p->pool, programs));
    if (c->source.password != NULL && c->source.password_file == NULL)
        print_password_need(p, "source", "[source]");
    for (size_t i = 0; i < c->sinks_count; i++)
        if (c->sinks[i].password != NULL && c->sinks[i].password_file == NULL)
            print_password_need(p, c->sinks[i].name,
                                pool_print(&p->pool, "[sink %s]", c->sinks[i].name));
    fprintf(p->out,
            "mkdir -p %1$s && chmod 0700 %1$s || exit 100\nrm -f %1$s/login.* %1$s/copy_limits\n\n",
            words_quote(&p->pool, c->state_dir));
}

/* The parts that are not in argv, which are a program's password or its worker. */
static void
print_prefix(struct printing *p, const struct plan_program *program, const char *indent)
{
    const struct sink_config *sink = program->sink;

    if ((program->role == PLAN_READER || program->role == PLAN_TABLE_READER) &&
        p->config->source.password != NULL)
        print_password(p, "source", p->config->source.password_file);
    if (sink != NULL)
        print_sink_password(p, sink);
    if (!program->foreign)
        return;
    fprintf(p->out,
            "WALPIPE_ACKD=%s \\\n%s    WALPIPE_SINK=%s WALPIPE_SHARD=%u WALPIPE_PIPELINE=%s "
            "\\\n%s    ",
            words_quote(&p->pool, p->config->socket), indent, sink->name, program->shard,
            p->config->name, indent);
}

static void
print_program(struct printing *p, const struct plan_program *program, const char *indent)
{
    fputs(indent, p->out);
    print_prefix(p, program, indent);
    print_words(p, program->argv, indent);
}

/* route's arguments with each --to /dev/fd/N replaced by >(the worker). */
static void
print_route(struct printing *p, const struct plan_program *route)
{
    const char *const *argv = route->argv;
    uint32_t worker = 0;

    fputs("    route", p->out);
    for (size_t i = 1; argv[i] != NULL; i++) {
        if (strcmp(argv[i], "--to") == 0) {
            const struct plan_program *program = &p->plan->programs[1 + worker++];

            fputs(" \\\n        --to >(\n", p->out);
            print_program(p, program, "            ");
            fputs(program->foreign ? " >&2\n        )" : "\n        )", p->out);
            i++;
        } else if (strcmp(argv[i], "--copy") == 0) {
            fputs(" \\\n        --copy <(\n", p->out);
            print_program(p, &p->plan->programs[plan_table_reader(p->plan)], "            ");
            fputs("\n        )", p->out);
            i++;
        } else if (strcmp(argv[i], "--sink") == 0) {
            fprintf(p->out, " \\\n      --sink %s", words_quote(&p->pool, argv[++i]));
        } else {
            /* The options after the last worker must not look like the worker's. */
            fprintf(p->out, "%s%s", strcmp(argv[i], "--log-level") == 0 ? " \\\n      " : " ",
                    words_quote(&p->pool, argv[i]));
        }
    }
    fputs("\n", p->out);
}

/* A target's answer about its tables, for route, as layoutfile.c writes it. */
static void
print_layouts(struct printing *p)
{
    const struct config *c = p->config;

    for (size_t i = 0; i < c->sinks_count; i++) {
        const struct sink_config *sink = &c->sinks[i];
        const char *path;

        if (!plan_has_layout(sink))
            continue;
        path = words_quote(&p->pool, plan_layout_path(c, &p->pool, sink));
        print_sink_password(p, sink);
        print_words(p, plan_layout_arguments(c, &p->pool, sink), "");
        fprintf(p->out,
                " > %1$s.new &&\n    mv %1$s.new %1$s || [ -e %1$s ] || echo '*' > %1$s\n\n", path);
    }
}

void
print_script(const struct config *config, const struct plan *plan, const char *programs, FILE *out)
{
    struct printing p = {.config = config, .plan = plan, .out = out};
    const struct plan_program *route = &plan->programs[plan_route(plan)];

    print_head(&p, programs);
    print_layouts(&p);
    print_program(&p, &plan->programs[0], "");
    fputs(" &\nackd=$!\n\n", out);
    print_program(&p, &plan->programs[plan_reader(plan)], "");
    fputs(" |\n    # tee -i wal.bin |\n", out);
    print_program(&p, &plan->programs[plan_decode(plan)], "    ");
    fputs(" |\n    # tee -i events.bin |\n", out);
    print_route(&p, route);
    fputs("codes=\" ${PIPESTATUS[*]} \"\n\n"
          "# ackd ends with the pipeline, but not when that never began.\n"
          "[[ $codes != *[1-9]* ]] || { sleep 1; kill \"$ackd\" 2>/dev/null; }\n"
          "wait \"$ackd\"\n"
          "[[ $codes != *' 100 '* ]] || exit 100\n"
          "[[ $codes != *[1-9]* ]] || exit 111\n"
          ")\n",
          out);
    pool_free(&p.pool);
}
