/* ackjson.c: see ackjson.h. */
#include "lib/ackjson.h"

void
ackjson_lag(struct json *j, bool known, uint64_t bytes, int64_t micros)
{
    json_uint_or_null(j, "lag_bytes", known, bytes);
    if (micros >= 0)
        json_thousandths(j, "lag_seconds", (double)micros / 1e6);
    else
        json_null(j, "lag_seconds");
}

void
ackjson_slot(struct json *j, const struct ack_slot *slot)
{
    json_lsn_or_null(j, "current_lsn", slot->current_lsn);
    json_lsn_or_null(j, "restart_lsn", slot->restart_lsn);
    json_uint(j, "retained_bytes", slot->retained_bytes);
    json_uint(j, "xmin_age", slot->xmin_age);
    json_bool(j, "output_full", slot->output_full);
    json_cstr(j, "wal_status", slot->wal_status);
    json_uint_or_null(j, "safe_wal_size", slot->safe_wal_size >= 0, (uint64_t)slot->safe_wal_size);
}

void
ackjson_copies(struct json *j, const struct copy_counts *counts)
{
    if (counts == NULL) {
        json_null(j, "copies");
        return;
    }
    json_open_member(j, "copies", '{');
    json_uint(j, "tables_waiting", counts->waiting);
    json_uint(j, "tables_copying", counts->copying);
    json_uint(j, "tables_resync", counts->resync);
    json_uint(j, "tables_parked", counts->parked);
    json_uint(j, "tables_streaming", counts->streaming);
    json_uint(j, "rows", counts->rows);
    json_uint(j, "bytes", counts->bytes);
    json_close(j, '}');
}

void
ackjson_differences(struct json *j, const char *sink, const struct ack_differences *d)
{
    json_open_member(j, NULL, '{');
    json_cstr(j, "sink", sink);
    json_cstr(j, "table", d->relation);
    json_uint(j, "updates_missing", d->updates_missing);
    json_uint(j, "deletes_missing", d->deletes_missing);
    json_uint(j, "inserts_existing", d->inserts_existing);
    json_uint(j, "schema_changes", d->schema_changes);
    json_close(j, '}');
}
