/* tablestext.c: see tablestext.h. */
#include "walpipe/tablestext.h"

#include <inttypes.h>
#include <string.h>

#include "lib/lsn.h"
#include "lib/names.h"
#include "lib/utctime.h"
#include "walpipe/amount.h"

#define UNFINISHED_SHOWN 20
#define BAR_WIDTH        20
#define NAME_WIDTH_MOST  40
#define STATE_WIDTH_MOST 16 /* out-streaming is the longest that this walpipe knows */

static const struct amount_text unknown = {"-"};

static bool
is_streaming(const struct table_progress *t)
{
    return strcmp(t->state, "streaming") == 0;
}

static bool
is_copying(const struct table_progress *t)
{
    return strcmp(t->state, "copying") == 0 || strcmp(t->state, "resync") == 0;
}

/* A table that walpipe did not copy has nothing to show. */
static bool
has_copy(const struct table_progress *t)
{
    return t->copied || !is_streaming(t);
}

/* In tenths of a percent, and not 100 % before it is complete. Negative if not known. */
static int
permille(uint64_t done, uint64_t blocks)
{
    return blocks == 0 ? -1 : (int)((double)done * 1000 / (double)blocks);
}

/* ---- text ---- */

static struct amount_text
percent_text(uint64_t done, uint64_t blocks)
{
    struct amount_text out = unknown;
    int n = permille(done, blocks);

    if (n >= 0)
        snprintf(out.text, sizeof out.text, "%d.%d %%", n / 10, n % 10);
    return out;
}

static struct amount_text
speed_text(const struct tablelist *list, double blocks_per_second)
{
    struct amount_text out = unknown;

    if (blocks_per_second >= 0)
        snprintf(out.text, sizeof out.text, "%.20s/s",
                 amount_bytes((uint64_t)(blocks_per_second * (double)list->block_size)).text);
    return out;
}

static struct amount_text
left_text(uint64_t blocks, double speed)
{
    double seconds = tablelist_seconds(blocks, speed);

    return seconds < 0 ? unknown : amount_millis((uint64_t)(seconds * 1000));
}

/* A name may contain characters that move a terminal's cursor. */
static struct shown_table
show_name(const struct table_progress *t)
{
    struct shown_table name = names_show_table(t->schema, t->name);

    for (char *c = name.text; *c != '\0'; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            *c = '?';
    return name;
}

static void
print_bar(const struct table_progress *t, FILE *out)
{
    int filled = permille(t->done, t->blocks) * BAR_WIDTH / 1000;

    fputs("  [", out);
    for (int i = 0; i < BAR_WIDTH; i++)
        fputc(i < filled ? '#' : ' ', out);
    fputc(']', out);
}

/* Of the first two columns. */
struct widths {
    int name, state;
};

static void
print_table(const struct tablelist *list, const struct table_progress *t, bool bar,
            struct widths widths, FILE *out)
{
    bool sized = t->sized && has_copy(t);
    char rows[24] = "-", missing[24] = "-";

    if (has_copy(t)) {
        snprintf(rows, sizeof rows, "%" PRIu64, t->rows);
        snprintf(missing, sizeof missing, "%" PRIu64, t->missing);
    }
    fprintf(out, "%-*s  %-*s  %12s  %9s  %9s  %7s  %11s  %8s  %7s  %s", widths.name,
            show_name(t).text, widths.state, t->state, rows,
            sized ? amount_bytes(t->done * list->block_size).text : "-",
            t->sized ? amount_bytes(t->blocks * list->block_size).text : "-",
            sized ? percent_text(t->done, t->blocks).text : "-", speed_text(list, t->speed).text,
            is_streaming(t) ? "-" : left_text(t->blocks - t->done, t->speed).text, missing,
            t->copied ? lsn_format(t->l0).text : "-");
    if (bar && is_copying(t) && sized)
        print_bar(t, out);
    fputs(list->block_size > 0 && !t->published ? "  not published\n" : "\n", out);
}

static int
wider(int width, const char *text, int most)
{
    size_t len = strlen(text);

    return len >= (size_t)most ? most : (int)len > width ? (int)len : width;
}

static struct widths
find_widths(const struct tablelist *list, const struct tablestext_how *how)
{
    struct widths widths = {.name = 5, .state = 9};

    for (size_t i = 0; i < list->count; i++) {
        if (how->unfinished_only && is_streaming(&list->tables[i]))
            continue;
        widths.name = wider(widths.name, show_name(&list->tables[i]).text, NAME_WIDTH_MOST);
        widths.state = wider(widths.state, list->tables[i].state, STATE_WIDTH_MOST);
    }
    return widths;
}

static void
print_tables(const struct tablelist *list, struct tablestext_how how, FILE *out)
{
    size_t unfinished = list->count - list->streaming, most = list->count;
    struct widths widths = find_widths(list, &how);

    if (how.unfinished_only)
        most = unfinished < UNFINISHED_SHOWN ? unfinished : UNFINISHED_SHOWN;
    if (most > 0)
        fprintf(out, "%-*s  %-*s  %12s  %9s  %9s  %7s  %11s  %8s  %7s  %s\n", widths.name, "table",
                widths.state, "state", "rows", "copied", "size", "done", "rate", "left", "missing",
                "since");
    for (size_t i = 0; i < most; i++)
        print_table(list, &list->tables[i], how.bars, widths, out);
    if (how.unfinished_only && unfinished > most)
        fprintf(out, "and %zu more\n", unfinished - most);
}

/* The event that ends it, or the command. */
static void
print_behind(const struct tablelist *list, const struct table_progress *t, FILE *out)
{
    struct shown_table name = show_name(t);

    fprintf(out,
            "%s is behind: rows of the target are in the way of its changes, so the target shows "
            "none of them ",
            name.text);
    if (strcmp(t->state, "resync") == 0)
        fputs("until the resync ends, which removes these rows\n", out);
    else if (strcmp(t->state, "out-resync") == 0)
        fputs("until the table is published again, and in the sink's tables, and its resync "
              "ends\n",
              out);
    else
        fprintf(out, "until you run walpipe resync --sink %s --table '%s'\n", list->sink->name,
                name.text);
}

/* The command that ends it stands behind the reason. */
static void
print_parked(const struct tablelist *list, FILE *out)
{
    for (size_t i = 0; i < list->count; i++) {
        const struct copynote *parked = list->tables[i].parked;
        struct shown_table name = show_name(&list->tables[i]);

        if (parked == NULL)
            continue;
        fprintf(out, "%s is parked since %s, at %s: %s%s%s\n", name.text,
                utctime_of((int64_t)(parked->updated / 1000)).text, lsn_format(parked->lsn).text,
                parked->message, parked->hint[0] == '\0' ? "" : "; ", parked->hint);
        fprintf(out, "  when that is mended: walpipe resume -c FILE --sink %s --table '%s'\n",
                list->sink->name, name.text);
    }
}

static void
print_totals(const struct tablelist *list, FILE *out)
{
    fprintf(out, "sink %s: %zu of %zu tables streaming", list->sink->name, list->streaming,
            list->count);
    if (list->streaming < list->count && list->blocks > 0)
        fprintf(out, ", %s of %s copied", percent_text(list->done, list->blocks).text,
                amount_bytes(list->blocks * list->block_size).text);
    if (list->speed >= 0)
        fprintf(out, ", %s, %s left", speed_text(list, list->speed).text,
                left_text(list->blocks - list->done, list->speed).text);
    fputc('\n', out);
}

static struct shown_table
show_note(const struct copynote *note)
{
    return show_name(&(struct table_progress){.schema = note->schema, .name = note->name});
}

/* Behind the tables: the target differs from the source there, until somebody acts. */
static void
print_lacks(const struct tablelist *list, FILE *out)
{
    for (size_t i = 0; i < list->lacks_count; i++) {
        const struct copynote *lack = &list->lacks[i];

        fprintf(out,
                "%s lacks %" PRIu64 " changes of the transaction at %s, which was skipped; "
                "walpipe resync copies it again\n",
                show_note(lack).text, lack->count, lsn_format(lack->lsn).text);
    }
    for (size_t i = 0; i < list->skips_count; i++) {
        const struct copynote *skip = &list->skips[i];

        fprintf(out, "the transaction at %s is to be skipped%s%s, and is not passed yet\n",
                lsn_format(skip->lsn).text, skip->schema[0] == '\0' ? "" : " in ",
                skip->schema[0] == '\0' ? "" : show_note(skip).text);
    }
}

void
tablestext_sink(const struct tablelist *list, struct tablestext_how how, FILE *out)
{
    if (!list->known) {
        fprintf(out, "sink %s: not known: %s\n", list->sink->name, list->why);
        return;
    }
    print_totals(list, out);
    print_tables(list, how, out);
    for (size_t i = 0; i < list->count; i++)
        if (list->tables[i].behind)
            print_behind(list, &list->tables[i], out);
    print_parked(list, out);
    print_lacks(list, out);
}

/* ---- json, where null means not known ---- */

static void
json_tenths_or_null(struct json *j, const char *name, double n)
{
    if (n >= 0)
        json_tenths(j, name, n);
    else
        json_null(j, name);
}

/* The progress of one table, or of all. */
static void
json_progress(struct json *j, const struct tablelist *list, bool known, uint64_t done,
              uint64_t blocks, double speed)
{
    json_uint_or_null(j, "copied_bytes", known, done * list->block_size);
    json_uint_or_null(j, "size_bytes", known, blocks * list->block_size);
    json_tenths_or_null(j, "percent", known ? permille(done, blocks) / 10.0 : -1);
    json_tenths_or_null(j, "bytes_per_second", speed < 0 ? -1 : speed * (double)list->block_size);
    json_tenths_or_null(j, "seconds_left",
                        done == blocks ? -1 : tablelist_seconds(blocks - done, speed));
}

static void
json_parked(struct json *j, const struct copynote *parked)
{
    if (parked == NULL) {
        json_null(j, "parked");
        return;
    }
    json_open_member(j, "parked", '{');
    json_cstr(j, "since", utctime_of((int64_t)(parked->updated / 1000)).text);
    json_lsn_or_null(j, "lsn", parked->lsn);
    json_cstr(j, "reason", parked->message);
    json_cstr(j, "hint", parked->hint);
    json_close(j, '}');
}

static void
json_table(struct json *j, const struct tablelist *list, const struct table_progress *t)
{
    json_open_member(j, NULL, '{');
    json_cstr(j, "schema", t->schema);
    json_cstr(j, "table", t->name);
    json_uint(j, "relid", t->relid);
    json_cstr(j, "state", t->state);
    if (list->block_size > 0)
        json_bool(j, "published", t->published);
    else
        json_null(j, "published");
    json_bool(j, "copied_by_walpipe", t->copied);
    json_bool(j, "behind", t->behind);
    json_uint(j, "rows", t->rows);
    json_tenths_or_null(j, "rows_per_second", t->rows_speed);
    json_progress(j, list, t->sized && has_copy(t), t->done, t->blocks, t->speed);
    json_uint(j, "missing_keys", t->missing);
    json_lsn_or_null(j, "since_lsn", t->l0);
    json_parked(j, t->parked);
    json_close(j, '}');
}

/* A lack, or a skip, which has no table if it is of all. */
static void
json_skip(struct json *j, const struct copynote *note)
{
    json_open_member(j, NULL, '{');
    json_lsn(j, "lsn", note->lsn);
    json_cstr(j, "schema", note->schema);
    json_cstr(j, "table", note->name);
    if (note->kind == COPYNOTE_LACKS)
        json_uint(j, "changes", note->count);
    json_close(j, '}');
}

void
tablestext_json(struct json *j, const struct tablelist *list, bool unfinished_only)
{
    json_cstr(j, "sink", list->sink->name);
    json_cstr(
        j, "paused_since",
        list->sink->paused == 0 || list->sink->detached ? "" : utctime_at(list->sink->paused).text);
    json_cstr(j, "detached_since", list->sink->detached ? utctime_at(list->sink->paused).text : "");
    json_bool(j, "known", list->known);
    json_cstr(j, "error", list->known ? "" : list->why);
    json_lsn_or_null(j, "lsn", list->lsn);
    json_uint(j, "tables_total", list->count);
    json_uint(j, "tables_streaming", list->streaming);
    json_uint(j, "tables_copying", list->copying);
    json_uint(j, "tables_resync", list->resync);
    json_uint(j, "tables_parked", list->parked);
    json_progress(j, list, list->known && list->block_size > 0, list->done, list->blocks,
                  list->speed);
    json_open_member(j, "tables", '[');
    for (size_t i = 0; i < list->count; i++)
        if (!unfinished_only || !is_streaming(&list->tables[i]))
            json_table(j, list, &list->tables[i]);
    json_close(j, ']');
    json_open_member(j, "lacks", '[');
    for (size_t i = 0; i < list->lacks_count; i++)
        json_skip(j, &list->lacks[i]);
    json_close(j, ']');
    json_open_member(j, "skips", '[');
    for (size_t i = 0; i < list->skips_count; i++)
        json_skip(j, &list->skips[i]);
    json_close(j, ']');
}
