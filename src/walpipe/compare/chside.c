/* chside.c: see chside.h. The lines are described in sink-ch's compare.h. */
#include "walpipe/compare/chside.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/buf.h"
#include "lib/io.h"
#include "walpipe/plan.h"
#include "walpipe/spawn.h"

/* A list of the most rows, and far beyond. */
#define ANSWER_MAX (256u << 20)

/* Of a line that describes a column. */
#define COLUMN_FIELDS 10

int
chprogram_start(struct chprogram *program, const struct config *config,
                const struct sink_config *sink, int stream, struct pool *pool, struct err *err)
{
    const char *directory = plan_programs_directory(pool, err);
    const char *const *argv = plan_sink_arguments(config, pool, sink, PLAN_COMPARE);
    struct spawn spawn = {.argv = argv,
                          .env = plan_sink_env(pool, (const char *const *)environ, sink),
                          .in = stream,
                          .out = STDERR_FILENO,
                          .extra_count = 1};
    int ends[2];

    if (directory == NULL)
        return -1;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
        return err_set(err, EXIT_PEER, "could not make a socket: %s", strerror(errno));
    spawn.file = plan_program_path(pool, directory, argv[0]);
    spawn.extra = &ends[1];
    program->pid = spawn_child(&spawn, err);
    close(ends[1]);
    program->fd = ends[0];
    program->answers = program->pid < 0 ? NULL : fdopen(ends[0], "r");
    if (program->answers != NULL)
        return 0;
    close(ends[0]);
    if (program->pid < 0)
        return -1;
    return err_set(err, EXIT_PEER, "could not read from sink-ch: %s", strerror(errno));
}

int
chprogram_end(struct chprogram *program)
{
    struct err ignored;
    int code = EXIT_DONE;

    if (program->answers != NULL)
        fclose(program->answers);
    if (program->pid > 0)
        code = spawn_wait(program->pid, &ignored);
    *program = (struct chprogram){0};
    return code;
}

/* ---- questions ---- */

static void
put(struct buf *line, const char *text)
{
    buf_append(line, text, strlen(text));
}

static void
put_field(struct buf *line, const char *text)
{
    put(line, "\t");
    if (text == NULL) {
        put(line, "-");
        return;
    }
    if (strcmp(text, "-") == 0)
        put(line, "\\");
    for (; *text != '\0'; text++)
        switch (*text) {
        case '\\':
            put(line, "\\\\");
            break;
        case '\t':
            put(line, "\\t");
            break;
        case '\n':
            put(line, "\\n");
            break;
        default:
            buf_append(line, text, 1);
        }
}

static void
put_number(struct buf *line, const char *before, uint64_t number)
{
    char text[32];

    snprintf(text, sizeof text, "%s%" PRIu64, before, number);
    put(line, text);
}

static void
put_range(struct buf *line, const struct chside *s, const struct question *q)
{
    if (s->shape->finder >= 0)
        put_number(line, "\t", (uint64_t)s->shape->finder);
    else
        put_field(line, NULL);
    put_field(line, q->from);
    put_field(line, q->to);
}

static void
put_chosen(struct buf *line, const struct chside *s, const struct question *q)
{
    put_number(line, "\t", q->buckets);
    if (q->chosen_count == 0 || q->keys_count > 0)
        put_field(line, NULL);
    for (size_t i = 0; q->keys_count == 0 && i < q->chosen_count; i++)
        put_number(line, i == 0 ? "\t" : ",", q->chosen[i]);
    if (q->keys_count == 0)
        put_field(line, NULL);
    for (size_t i = 0; i < q->keys_count; i++)
        put_number(line, i == 0 ? "\t" : ",", q->keys[i].hash);
    for (size_t i = 0; s->shape->finder >= 0 && i < q->keys_count; i++)
        put_field(line, q->keys[i].value);
}

static int
send_line(struct chside *s, struct buf *line, struct err *err)
{
    int rc;

    put(line, "\n");
    rc = line->failed ? err_set(err, EXIT_PEER, "out of memory for a question")
                      : io_write_all(s->program->fd,
                                     (struct bytes){line->data + line->start, buf_len(line)}, err);
    buf_free(line);
    return rc;
}

static int
ask(struct side *side, const struct question *q, struct err *err)
{
    static const char *const kinds[] = {[QUESTION_SUM] = "sum",
                                        [QUESTION_BUCKETS] = "buckets",
                                        [QUESTION_LIST] = "list",
                                        [QUESTION_ROWS] = "rows"};
    struct chside *s = (struct chside *)side;
    struct buf line = {0};

    put(&line, kinds[q->kind]);
    put_number(&line, "\t", s->relid);
    put_range(&line, s, q);
    if (q->kind != QUESTION_SUM)
        put_chosen(&line, s, q);
    return send_line(s, &line, err);
}

/* ---- answers ---- */

static int
gone(struct err *err)
{
    err_set(err, EXIT_PEER, "sink-ch --compare has ended");
    return err_hint(err, "its own message is above");
}

/* failed CODE MESSAGE HINT */
static int
take_failure(char *line, struct err *err)
{
    char *fields[4] = {"", "", "", ""}, *at = line;

    line[strcspn(line, "\n")] = '\0';
    for (size_t i = 0; i < 4 && at != NULL; i++) {
        fields[i] = at;
        at = strchr(at, '\t');
        if (at != NULL)
            *at++ = '\0';
    }
    err_set(err, (enum exit_code)strtol(fields[1], NULL, 10), "%s", fields[2]);
    return err_hint(err, "%s", fields[3]);
}

/* Reads an answer, to be freed. NULL with err. */
static char *
read_answer(struct chside *s, size_t *len, struct err *err)
{
    char *line = NULL, *body = NULL;
    size_t size = 0;
    unsigned long long bytes;

    if (getline(&line, &size, s->program->answers) <= 0) {
        (void)gone(err);
    } else if (sscanf(line, "ok\t%llu", &bytes) != 1) {
        (void)take_failure(line, err);
    } else if (bytes > ANSWER_MAX || (body = malloc(bytes + 1)) == NULL) {
        err_set(err, EXIT_PEER, "out of memory for rows to compare");
    } else if (fread(body, 1, bytes, s->program->answers) != bytes) {
        (void)gone(err);
        free(body);
        body = NULL;
    } else {
        body[bytes] = '\0';
        *len = bytes;
    }
    free(line);
    return body;
}

/* Removes ClickHouse's escapes of a field. Returns NULL for NULL. */
static const char *
unescape(char *field)
{
    static const char from[] = "btnrf0", to[] = "\b\t\n\r\f";
    char *end = field;

    if (strcmp(field, "\\N") == 0)
        return NULL;
    for (const char *at = field; *at != '\0'; at++) {
        char c = *at;

        if (c == '\\' && at[1] != '\0') {
            const char *escape = strchr(from, *++at);

            c = escape == NULL ? *at : to[escape - from];
        }
        *end++ = c;
    }
    *end = '\0';
    return field;
}

static void
measure(struct answer *answer, const char *body)
{
    for (const char *at = body; *at != '\0'; at++) {
        answer->rows += *at == '\n';
        answer->columns += answer->rows == 0 && *at == '\t';
    }
    answer->columns++;
}

/* body belongs to the answer from here on. */
static int
split(struct answer *answer, char *body, struct err *err)
{
    size_t most, count = 0;

    *answer = (struct answer){.memory = body, .release = free};
    measure(answer, body);
    most = answer->rows * answer->columns;
    answer->fields = calloc(most + 1, sizeof *answer->fields);
    if (answer->fields == NULL)
        return err_set(err, EXIT_PEER, "out of memory for rows to compare");
    for (char *at = body; *at != '\0' && count < most;) {
        char *end = at + strcspn(at, "\t\n");
        bool last = *end == '\0';

        *end = '\0';
        answer->fields[count++] = unescape(at);
        at = last ? end : end + 1;
    }
    return count == most ? 0 : err_set(err, EXIT_PEER, "ClickHouse's answer is malformed");
}

static int
hear(struct side *side, struct answer *answer, struct err *err)
{
    size_t len;
    char *body = read_answer((struct chside *)side, &len, err);

    return body == NULL ? -1 : split(answer, body, err);
}

void
chside_begin(struct chside *s, struct chprogram *program, uint32_t relid)
{
    *s = (struct chside){.side = {.ask = ask, .hear = hear}, .program = program, .relid = relid};
}

static uint32_t
number_at(const struct answer *answer, size_t row, size_t column)
{
    return (uint32_t)strtoul(answer_field(answer, row, column), NULL, 10);
}

/* COLUMN CANON ARRAY FIT WIDTH SCALE LOW HIGH KEY WHY */
static bool
take_column(struct chcolumn *column, const struct answer *answer, size_t row, struct pool *pool)
{
    struct canon_column *canon = &column->canon;
    const char *low = answer_field(answer, row, 6), *high = answer_field(answer, row, 7);

    for (size_t i = 0; i < COLUMN_FIELDS; i++)
        if (answer_field(answer, row, i) == NULL)
            return false;
    column->number = number_at(answer, row, 0);
    canon->canon = canon_find(answer_field(answer, row, 1));
    canon->array = number_at(answer, row, 2) == 1;
    canon->fit = (enum canon_fit)number_at(answer, row, 3);
    canon->width = number_at(answer, row, 4);
    canon->scale = number_at(answer, row, 5);
    column->key = answer_field(answer, row, 8)[0] == '1';
    column->why = pool_copy(pool, answer_field(answer, row, 9));
    if (canon->fit > CANON_FITTING || !canon_limit_is_plain(low) || !canon_limit_is_plain(high))
        return false;
    snprintf(canon->low, sizeof canon->low, "%s", low);
    snprintf(canon->high, sizeof canon->high, "%s", high);
    return true;
}

static int
take_table(struct chtable *table, const struct answer *answer, struct pool *pool, struct err *err)
{
    if (answer->rows > 0 && answer->columns != COLUMN_FIELDS)
        return err_set(err, EXIT_BUG, "sink-ch described a table otherwise than expected");
    table->columns = pool_take(pool, (answer->rows + 1) * sizeof *table->columns);
    table->count = answer->rows;
    for (size_t i = 0; i < answer->rows; i++)
        if (!take_column(&table->columns[i], answer, i, pool))
            return err_set(err, EXIT_BUG, "sink-ch described a column otherwise than expected");
    return 0;
}

/* The first line is a word, and the others are the answer's. */
int
chside_describe(struct chside *s, struct chtable *table, struct pool *pool, struct err *err)
{
    struct answer answer = {0};
    struct buf line = {0};
    size_t len, word;
    char *body;
    int rc;

    put(&line, "table");
    put_number(&line, "\t", s->relid);
    if (send_line(s, &line, err) != 0 || (body = read_answer(s, &len, err)) == NULL)
        return -1;
    word = strcspn(body, "\n");
    table->keyed = strncmp(body, "keyed", word) == 0;
    if (strncmp(body, "missing", word) == 0) {
        free(body);
        return 1;
    }
    if (body[word] == '\n')
        word++;
    memmove(body, body + word, len - word + 1);
    rc = split(&answer, body, err);
    if (rc == 0)
        rc = take_table(table, &answer, pool, err);
    answer_free(&answer);
    return rc;
}
