#!/usr/bin/env bats
# What becomes of PostgreSQL's values in ClickHouse: types_ch.cases through the whole pipeline, in text
# and in binary format, under every on_overflow, into ClickHouse 18.16 and one of today, both in a
# time zone with clock changes (traps 118 to 123, 131).

setup_file() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    source "$BATS_TEST_DIRNAME/../lib/chdb.bash"
    export TZ=America/New_York
    pg_new source timezone=Asia/Kathmandu datestyle=German,DMY intervalstyle=sql_standard
    ch_new old
    ch_stop old
    sed -i 's,<timezone>UTC,<timezone>America/New_York,' "$SCRATCH/old/config.xml"
    ch_start old
    ! chdb_available || chdb_new new
    for tag in $(tags); do
        for format in off on; do
            cases prepare "$(pg_conninfo source)" "$tag" "$(ch_url "$tag")" "$format"
        done
    done
    texts_prepare
    pg_sql source "CREATE PUBLICATION p FOR ALL TABLES"
}

# texts.wide: a column for each built-in type of types_pg_values.sql, whose values stand below each
# other. Not those whose binary format is not read: see types(7).
texts_prepare() {
    local format
    {
        echo '\set binary on'
        cat "$BATS_TEST_DIRNAME/types_pg_values.sql"
        cat <<'SQL'
CREATE SCHEMA texts;
CREATE UNLOGGED TABLE texts.cases AS
    SELECT type, value, row_number() OVER (PARTITION BY type ORDER BY n) AS n, dense_rank() OVER (ORDER BY type) AS c
      FROM cases
     WHERE to_regtype(type)::oid < 16384 AND type !~ '^(bytea|reg.*|tid|pg_snapshot|txid_snapshot|int2vector|oidvector|refcursor|aclitem|tsvector|tsquery)$';
SELECT format('CREATE TABLE texts.wide (id int PRIMARY KEY, %s)', string_agg(format('c%s %s', c, type), ', '))
  FROM (SELECT DISTINCT c, type FROM texts.cases) AS t
\gexec
SQL
    } | pg_sql source -
    for format in off on; do
        ch_sql old "CREATE DATABASE ${format}_texts"
        pg_sql source "SELECT format('CREATE TABLE texts_wide (id Int32, %s, _version UInt64, _is_deleted UInt8)
                ENGINE = ReplacingMergeTree(_version) ORDER BY id', string_agg(format('c%s Nullable(String)', c), ', '))
            FROM (SELECT DISTINCT c FROM texts.cases) AS t" | ch_sql old - "${format}_texts"
    done
}

# texts_insert FIRST: with ids from there on
texts_insert() {
    pg_sql source - <<SQL
SET datestyle = ISO; SET intervalstyle = postgres;
SELECT format('INSERT INTO texts.wide (id, %s) VALUES (%s, %s)', string_agg('c' || c, ', '), $1 - 1 + n,
    string_agg(format('CAST(%L AS %s)', value, type), ', ')) FROM texts.cases GROUP BY n
\gexec
SQL
}

teardown_file() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    servers_end
}

setup() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    source "$BATS_TEST_DIRNAME/../lib/pipeline.bash"
    source "$BATS_TEST_DIRNAME/../lib/chdb.bash"
    export TZ=UTC
    conf=$SCRATCH/t$BATS_TEST_NUMBER.conf
}

teardown() {
    if [ -z "${BATS_TEST_COMPLETED:-}" ]; then
        grep -v '"level":"info"' "$conf.log" | tail -n 20 || true
    fi
    if [ -e "$conf.pid" ] && pid=$(pipeline_pid "$conf"); then
        end_process "$pid" KILL 5
    fi
}

# The servers that there are.
tags() {
    echo old
    [ ! -e "$SCRATCH/new/port" ] || echo new
}

cases() {
    PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3 "$BATS_TEST_DIRNAME/types_ch.py" "$@"
}

config() {
    local format=$1 tag policy
    cat >"$conf" <<CONF
[pipeline]
name        = types_$format
state_dir   = $SCRATCH/types_$format.state
copy        = no
[source]
conninfo    = $(pg_conninfo source)
slot        = types_$format
publication = p
binary      = $format
CONF
    for tag in $(tags); do
        for policy in error clamp null; do
            cat >>"$conf" <<CONF
[sink ${tag}_$policy]
type        = ch
url         = $(ch_url "$tag")
database    = ${format}_$policy
on_overflow = $policy
tables      = $tag.$policy
flush_interval = 100ms
CONF
        done
    done
    cat >>"$conf" <<CONF
[sink texts]
type        = ch
url         = $(ch_url old)
database    = ${format}_texts
tables      = texts.wide
CONF
}

# arrives off|on ID
arrives() {
    local tag policy
    config "$1"
    "$WALPIPE_BIN/walpipe" print -c "$conf" | grep -q -- '--on-overflow clamp'
    pipeline_start "$conf"
    for tag in $(tags); do
        cases insert "$(pg_conninfo source)" "$tag" "$2"
    done
    texts_insert "${2}000"
    caught_up "$conf" source "types_$1"
    cases texts "$(pg_conninfo source)" "$(ch_url old)" "$1_texts" "${2}000"
    for tag in $(tags); do
        cases compare "$tag" "$(ch_url "$tag")" "$1" "$2"
        # tombstones of all types
        for policy in error clamp null; do
            pg_sql source "DELETE FROM $tag.$policy WHERE id = $2"
        done
    done
    caught_up "$conf" source "types_$1"
    pipeline_stop "$conf"
    no_restart "$conf"
    for tag in $(tags); do
        for policy in error clamp null; do
            [ "$(ch_sql "$tag" "SELECT count() FROM ${tag}_$policy FINAL WHERE _is_deleted = 0" "$1_$policy")" = 0 ]
        done
    done
    # what was altered is said, once a column
    grep -q 'a value of column .* of table \\"old.clamp\\" does not fit Int8 and was clamped' "$conf.log"
    grep -q 'of table \\"old.null\\" does not fit Nullable(Int8) and was made null' "$conf.log"
    [ "$(grep -c 'of table \\"old.error\\" does not fit' "$conf.log")" = 0 ]
}

@test "values arrive as they are, clamped or as null" {
    arrives off 1
}

@test "and in binary format" {
    arrives on 2
}

@test "what does not fit is refused, with table, column, key, value and LSN (traps 118, 119, 121)" {
    ackd=$SCRATCH/ackd.sock
    /usr/bin/python3 "$WALPIPE_ROOT/test/lib/fake_ackd.py" "$ackd" >"$SCRATCH/acks" 3>&- &
    kill_later $!
    wait_until 10 test -S "$ackd"
    cases refuse "$(pg_conninfo source)" old "$(ch_url old)" refused "$WALPIPE_BIN/sink-ch" "$ackd"
    [ ! -e "$SCRATCH/new/port" ] ||
        cases refuse "$(pg_conninfo source)" new "$(ch_url new)" refused "$WALPIPE_BIN/sink-ch" "$ackd" "$(ch_url old)"
}

# mapping TAG: what walpipe check says of public.every, a column a line
mapping() {
    "$WALPIPE_BIN/walpipe" check -c "$conf" >"$SCRATCH/check" || true
    sed -n "s/^ok  *sink made: table public.every -> [^:]*: [^:]*: //p" "$SCRATCH/check" | sed 's/, \([a-z]*[0-9]* \)/\n\1/g'
}

@test "create_tables: the types that types(7) names, before and after they are made" {
    pg_sql source "CREATE TABLE every (id int PRIMARY KEY, a bool, b int2, c int8, d oid, e float4, f float8,
        g numeric, h numeric(10,2), i numeric(50,2), j numeric(100,2), k numeric(5,-2), l uuid, m date, n time,
        o timestamp, p timestamp(0), q timestamptz, r text, s varchar(9), t bytea, u jsonb, v inet, w mood, x int4[], y small)"
    for tag in $(tags); do
        ch_sql "$tag" "CREATE DATABASE made"
        rm -rf "$SCRATCH/made_$tag.state"
        cat >"$conf" <<CONF
[pipeline]
name        = made
state_dir   = $SCRATCH/made_$tag.state
copy        = no
[source]
conninfo    = $(pg_conninfo source)
slot        = made_$tag
publication = p
[sink made]
type        = ch
url         = $(ch_url "$tag")
database    = made
create_tables = yes
tables      = public.every
CONF
        # shellcheck disable=SC2016
        old='id int4 -> Int32
a bool -> Nullable(UInt8)
b int2 -> Nullable(Int16)
c int8 -> Nullable(Int64)
d oid -> Nullable(UInt32)
e float4 -> Nullable(Float32)
f float8 -> Nullable(Float64)
g numeric -> Nullable(String)
h numeric(10,2) -> Nullable(Decimal(10, 2))
i numeric(50,2) -> Nullable(String)
j numeric(100,2) -> Nullable(String)
k numeric(5,-2) -> Nullable(String)
l uuid -> Nullable(UUID)
m date -> Nullable(Date)
n time -> Nullable(String)
o timestamp -> Nullable(String)
p timestamp -> Nullable(DateTime('\''UTC'\''))
q timestamptz -> Nullable(String)
r text -> Nullable(String)
s varchar -> Nullable(String)
t bytea -> Nullable(String)
u jsonb -> Nullable(String)
v inet -> Nullable(String)
w public.mood -> Nullable(String)
x int4[] -> Nullable(String)
y int2 -> Nullable(Int16)'
        new=$(sed "s/UInt8/Bool/; /^i/s/String/Decimal(50, 2)/; /^m/s/Date/Date32/
            s/DateTime(/DateTime64(0, /; /^[oq]/s/String/DateTime64(6, 'UTC')/" <<<"$old")
        diff <(echo "${!tag}") <(mapping) || {
            cat "$SCRATCH/check"
            false
        }
        pipeline_start "$conf"
        pg_sql source "INSERT INTO every (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET a = true"
        caught_up "$conf" source "made_$tag"
        pipeline_stop "$conf"
        diff <(echo "${!tag}") <(mapping) || {
            cat "$SCRATCH/check"
            false
        }
        grep -q "^warn .*column \"m\" of .*: infinity and dates outside the type's range do not fit: a value that does not fit stops" "$SCRATCH/check"
        [ "$(grep -c '^FAIL' "$SCRATCH/check")" = 0 ]
    done
}
