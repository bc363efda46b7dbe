# beside.bash: walpipe beside PostgreSQL's own subscription: both bring the same changes into two
# databases of one server, which must then be equal. Source it after servers.bash and pipeline.bash.
# Servers "$from" and "$to" are there.
#
#   beside_new NAME           database NAME on $from; NAME_sub and NAME_wal on $to
#   src SQL, sub SQL, wal SQL in these databases; targets SQL: in both of $to
#   beside_start [OPTIONS]    publishes all tables, and starts both; OPTIONS are more lines of [sink]
#   beside_wait               until both have all that the source wrote
#   same TABLE...             the two databases have the same rows; as_source TABLE...: also $from
#   wal_as_source TABLE...    walpipe's rows are the source's, where the subscription's are wrong
#   beside_stop               ends both; walpipe was never restarted

from=source
to=target

beside_new() {
    name=$1
    conf=$SCRATCH/$name.conf
    pg_sql "$from" "CREATE DATABASE $name"
    pg_sql "$to" "CREATE DATABASE ${name}_sub"
    pg_sql "$to" "CREATE DATABASE ${name}_wal"
}

src() { pg_sql "$from" "$1" "$name"; }
sub() { pg_sql "$to" "$1" "${name}_sub"; }
wal() { pg_sql "$to" "$1" "${name}_wal"; }
targets() { sub "$1" && wal "$1"; }

beside_start() {
    cat >"$conf" <<CONF
[pipeline]
name        = $name
state_dir   = $SCRATCH/$name.state
copy        = no
[source]
conninfo    = $(pg_conninfo "$from" "$name")
slot        = $name
publication = $name
create_slot = yes
[sink dst]
type        = pg
conninfo    = $(pg_conninfo "$to" "${name}_wal")
flush_interval = 100ms
${1:-}
CONF
    [ "$(src "SELECT count(*) FROM pg_publication")" -gt 0 ] || src "CREATE PUBLICATION $name FOR ALL TABLES"
    sub "CREATE SUBSCRIPTION $name CONNECTION '$(pg_conninfo "$from" "$name")' PUBLICATION $name
         WITH (copy_data = false, slot_name = ${name}_sub)" 2>/dev/null || return 1
    pipeline_start "$conf"
}

# The apply worker of a table that was just added may still be on its way to "ready".
beside_ready() {
    [ "$(sub "SELECT count(*) FROM pg_subscription_rel WHERE srsubstate <> 'r'")" = 0 ]
}

beside_wait() {
    local last
    wait_until 60 beside_ready || return 1
    last=$(src 'SELECT pg_current_wal_lsn()') || return 1
    caught_up "$conf" "$from" "$name" 120 || return 1
    wait_until 120 beside_reached "$last" || {
        grep -E 'ERROR|DETAIL' "$(pg_log "$to")" | tail -n 3 >&2
        return 1
    }
}

beside_reached() {
    [ "$(src "SELECT confirmed_flush_lsn >= '$1' FROM pg_replication_slots WHERE slot_name = '${name}_sub'")" = t ]
}

# ONLY: each table's own rows. The order of columns is each database's own.
beside_rows() {
    local only=ONLY
    [ "$("$1" "SELECT relkind FROM pg_class WHERE oid = '$2'::regclass")" = r ] || only=
    "$1" "COPY (SELECT to_jsonb(t)::text FROM $only $2 AS t ORDER BY 1) TO STDOUT"
}

same() {
    local table
    for table in "$@"; do
        beside_rows sub "$table" >"$SCRATCH/$name.want"
        beside_rows wal "$table" >"$SCRATCH/$name.got"
        diff "$SCRATCH/$name.want" "$SCRATCH/$name.got" >"$SCRATCH/$name.diff" && continue
        echo "$table: the subscription's rows (<) and walpipe's (>):"
        head -n 20 "$SCRATCH/$name.diff" | cut -c 1-300
        return 1
    done
}

wal_as_source() {
    local table
    for table in "$@"; do
        beside_rows src "$table" >"$SCRATCH/$name.want"
        beside_rows wal "$table" >"$SCRATCH/$name.got"
        diff "$SCRATCH/$name.want" "$SCRATCH/$name.got" >"$SCRATCH/$name.diff" && continue
        echo "$table: the source's rows (<) and walpipe's (>):"
        head -n 20 "$SCRATCH/$name.diff" | cut -c 1-300
        return 1
    done
}

as_source() {
    same "$@" && wal_as_source "$@"
}

beside_stop() {
    sub "DROP SUBSCRIPTION $name" 2>/dev/null
    pipeline_stop "$conf" && no_restart "$conf"
}

# For teardown.
beside_end() {
    [ -n "${BATS_TEST_COMPLETED:-}" ] || tail -n 30 "$conf.log" || true
    if [ -e "$conf.pid" ] && pid=$(pipeline_pid "$conf"); then
        end_process "$pid" KILL 5
    fi
    sub "DROP SUBSCRIPTION IF EXISTS $name" 2>/dev/null || true
}
