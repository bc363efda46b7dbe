/* settings.c: see settings.h. A setting is sent only if the server knows it and has another value.
 * A setting that it does not know is an error, and so is one that the user may not change. */
#include "sink-ch/settings.h"

#include <string.h>

static const struct {
    const char *name;
    const char *value;
} wanted[] = {
    /* an answer to an insert means that the rows are where they belong */
    {"async_insert", "0"},
    {"insert_distributed_sync", "1"},
    {"distributed_foreground_insert", "1"},
    {"input_format_null_as_default", "0"}, /* never a silent default */
    /* RowBinary as it is written and read here */
    {SETTINGS_JSON, "1"},
    {SETTINGS_HEADER, "1"},
    {"input_format_with_names_use_header", "1"},
    {"output_format_binary_write_json_as_string", "1"},
    {"input_format_binary_decode_types_in_binary_format", "0"},
    {"output_format_binary_encode_types_in_binary_format", "0"},
    {"aggregate_functions_null_for_empty", "0"},
    {"empty_result_for_aggregation_by_empty_set", "0"},
    /* all rows, as the query asks for them, and the newest */
    {"final", "0"},
    {"limit", "0"},
    {"offset", "0"},
    {"additional_result_filter", ""},
    {"use_query_cache", "0"},
    {"select_sequential_consistency", "1"},
    {"fallback_to_stale_replicas_for_distributed_queries", "0"},
    {"skip_unavailable_shards", "0"},
    {"transform_null_in", "0"},
    /* an error, not a part of the answer */
    {"result_overflow_mode", "throw"},
    {"read_overflow_mode", "throw"},
    {"read_overflow_mode_leaf", "throw"},
    {"timeout_overflow_mode", "throw"},
    {"timeout_overflow_mode_leaf", "throw"},
    {"set_overflow_mode", "throw"},
    {"group_by_overflow_mode", "throw"},
    {"distinct_overflow_mode", "throw"},
    {"transfer_overflow_mode", "throw"},
    {"sort_overflow_mode", "throw"},
    /* a table gets exactly the columns of its statement */
    {"data_type_default_nullable", "0"},
};

void
settings_put_names(struct buf *sql)
{
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        buf_append(sql, ", '", 3);
        buf_append(sql, wanted[i].name, strlen(wanted[i].name));
        buf_append(sql, "'", 1);
    }
}

static bool
bytes_are(struct bytes b, const char *text)
{
    return b.len == strlen(text) && memcmp(b.data, text, b.len) == 0;
}

void
settings_want(struct bytes name, struct bytes value, struct buf *settings)
{
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
        if (bytes_are(name, wanted[i].name) && !bytes_are(value, wanted[i].value)) {
            buf_append(settings, "&", 1);
            buf_append(settings, name.data, name.len);
            buf_append(settings, "=", 1);
            buf_append(settings, wanted[i].value, strlen(wanted[i].value));
        }
}
