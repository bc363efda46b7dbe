/* settings.h: the settings that ClickHouse's answers depend on, set regardless of the user's
 * profile. */
#ifndef WALPIPE_SINKCH_SETTINGS_H
#define WALPIPE_SINKCH_SETTINGS_H

#include "lib/buf.h"

/* Sent when a server refuses the very first query because of its query cache. Only newer servers
 * do. */
#define SETTINGS_NO_QUERY_CACHE "&use_query_cache=0"

#define SETTINGS_JSON   "input_format_binary_read_json_as_string"
#define SETTINGS_TOKEN  "insert_deduplication_token"
#define SETTINGS_HEADER "input_format_with_types_use_header"
#define SETTINGS_BLOCK  "max_insert_block_size"

/* Appends their names, each after ", ", as literals. */
void settings_put_names(struct buf *sql);

/* The server has the setting `name` as value. Appends "&name=..." if it must be sent. */
void settings_want(struct bytes name, struct bytes value, struct buf *settings);

#endif
