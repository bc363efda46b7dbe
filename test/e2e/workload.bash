# workload.bash: ten tables of every shape that matters, and clients that change them all at once.
#
#   workload_tables SERVER [DB]      creates them
#   workload_run SERVER N [DB]       six clients, N transactions each: inserts, updates, deletes, key
#                                    changes, savepoints, rollbacks, TRUNCATEs, TOASTed values
#   WORKLOAD_TABLES                  their names
#
# Each client has its own keys, so that they do not wait for each other for ever; the tables are
# everybody's.

# shellcheck disable=SC2034 # for those who source this
WORKLOAD_TABLES='w_int w_text w_toast w_pair w_uuid w_numbers w_json w_log w_full w_truncated'

workload_tables() {
    pg_sql "$1" - "${2:-}" <<'SQL'
CREATE TABLE w_int (id int PRIMARY KEY, v int);
CREATE TABLE w_text (id int PRIMARY KEY, "Grüße" text, b varchar(20) NOT NULL DEFAULT '', c char(8));
CREATE TABLE w_toast (id bigint PRIMARY KEY, n int, big text, other text);
ALTER TABLE w_toast ALTER big SET STORAGE EXTERNAL, ALTER other SET STORAGE EXTERNAL;
CREATE TABLE w_pair (a int, b text, v numeric(18,4), PRIMARY KEY (a, b));
CREATE TABLE w_uuid (id uuid PRIMARY KEY, d date, ts timestamp, tz timestamptz, seconds timestamp(0));
CREATE TABLE w_numbers (id smallint, k int, flag bool, f8 float8, f4 float4, n numeric,
                        PRIMARY KEY (k, id));
CREATE TABLE w_json (id int PRIMARY KEY, j jsonb, list int[], bytes bytea, at interval, ip inet);
CREATE TABLE w_log (at timestamp, client int, note text);
CREATE TABLE w_full (id int PRIMARY KEY, v text, w int);
ALTER TABLE w_full REPLICA IDENTITY FULL;
CREATE TABLE w_truncated (id int PRIMARY KEY, v text);
SQL
}

# What pgbench runs. :c is the client's first key; :k and :m are two of its keys.
workload_scripts() {
    cat >"$1/head" <<'SQL'
\set c :client_id * 10000
\set k :c + random(0, 149)
\set m :c + random(150, 299)
\set n random(0, 149)
\set r random(1, 1000000)
\set x random(1, 100)
SQL
    cat "$1/head" - >"$1/mixed" <<'SQL'
BEGIN;
INSERT INTO w_int VALUES (:k, :r) ON CONFLICT (id) DO UPDATE SET v = excluded.v;
UPDATE w_int SET id = :m WHERE id = :k AND :x < 20 AND NOT EXISTS (SELECT FROM w_int WHERE id = :m);
INSERT INTO w_text VALUES (:k, 'tab	' || :r, :x, 'c' || :x) ON CONFLICT (id)
    DO UPDATE SET "Grüße" = nullif(excluded."Grüße", w_text."Grüße"), c = NULL;
DELETE FROM w_text WHERE id = :k + 1 AND :x > 50;
SAVEPOINT s;
UPDATE w_int SET v = -1 WHERE id BETWEEN :c AND :c + 20;
DELETE FROM w_pair WHERE a = :k;
INSERT INTO w_log VALUES ('2020-01-01 00:00:00.5', :client_id, 'never');
ROLLBACK TO s;
INSERT INTO w_pair VALUES (:k, 'key ' || :x % 5, :r / 7.0) ON CONFLICT (a, b) DO UPDATE SET v = -excluded.v;
UPDATE w_pair SET b = 'moved ' || :r WHERE a = :k AND b = 'key 1';
RELEASE s;
INSERT INTO w_log VALUES (timestamp '2026-01-01' + :r * interval '1 millisecond', :client_id, 'n' || :x);
COMMIT;
SQL
    cat "$1/head" - >"$1/toast" <<'SQL'
BEGIN;
INSERT INTO w_toast VALUES (:k, 0, repeat(md5(:r::text), 100), repeat('o', 3000))
    ON CONFLICT (id) DO UPDATE SET n = w_toast.n + 1;
UPDATE w_toast SET big = repeat(md5(:r::text), 90 + :x) WHERE id = :k AND :x < 30;
UPDATE w_toast SET id = :m, n = -n WHERE id = :k AND :x > 70
    AND NOT EXISTS (SELECT FROM w_toast WHERE id = :m);
UPDATE w_toast SET other = NULL WHERE id = :m AND :x > 90;
INSERT INTO w_full VALUES (:k, repeat('f', :x), :r) ON CONFLICT (id) DO UPDATE SET w = :x;
DELETE FROM w_full WHERE id = :k + 1 AND :x > 60;
COMMIT;
SQL
    cat "$1/head" - >"$1/types" <<'SQL'
BEGIN;
INSERT INTO w_uuid VALUES (md5((:k)::text)::uuid, date '2020-01-01' + :x::int,
        timestamp '2021-01-01 00:00:00' + :r * interval '1 microsecond',
        timestamptz '2022-06-01 12:00:00+02' + :r * interval '1 second',
        timestamp '2023-01-01' + :r * interval '1 second')
    ON CONFLICT (id) DO UPDATE SET d = NULL, ts = excluded.ts, seconds = excluded.seconds;
DELETE FROM w_uuid WHERE id = md5((:k + 1)::text)::uuid;
INSERT INTO w_numbers VALUES (:n, :client_id, :x > 50, :r / 8.0, :x / 4.0, :r::numeric / 1000)
    ON CONFLICT (k, id) DO UPDATE SET flag = NOT w_numbers.flag, f8 = NULL, n = excluded.n;
INSERT INTO w_json VALUES (:k, jsonb_build_object('k', :k, 'q', '"\ é'), ARRAY[:x, NULL, :r],
        decode(md5(:r::text) || '00', 'hex'), :r * interval '1 second', '10.0.0.1')
    ON CONFLICT (id) DO UPDATE SET j = w_json.j || excluded.j, bytes = excluded.bytes, ip = NULL;
SAVEPOINT a;
SAVEPOINT b;
INSERT INTO w_json VALUES (:m) ON CONFLICT DO NOTHING;
ROLLBACK TO a;
INSERT INTO w_truncated VALUES (:k, 'row ' || :r) ON CONFLICT (id) DO UPDATE SET v = excluded.v;
COMMIT;
SQL
    cat "$1/head" - >"$1/rollback" <<'SQL'
BEGIN;
UPDATE w_int SET v = 0 WHERE id BETWEEN :c AND :c + 300;
DELETE FROM w_text WHERE id BETWEEN :c AND :c + 300;
INSERT INTO w_log SELECT now(), :client_id, 'rolled back' FROM generate_series(1, 50);
ROLLBACK;
SQL
    cat "$1/head" - >"$1/bulk" <<'SQL'
BEGIN;
INSERT INTO w_int SELECT :c + 1000 + g, g FROM generate_series(1, 500) AS g
    ON CONFLICT (id) DO UPDATE SET v = w_int.v + 1;
DELETE FROM w_int WHERE id BETWEEN :c + 1000 + :x AND :c + 1000 + 2 * :x;
INSERT INTO w_truncated SELECT :c + 1000 + g, 'bulk' FROM generate_series(1, 200) AS g
    ON CONFLICT DO NOTHING;
COMMIT;
SQL
    echo 'TRUNCATE w_truncated;' >"$1/truncate"
}

workload_run() {
    local dir=$SCRATCH/workload name scripts=()
    mkdir -p "$dir"
    workload_scripts "$dir"
    for name in mixed@12 toast@6 types@6 rollback@2 bulk@1 truncate@1; do
        scripts+=(-f "$dir/$name")
    done
    if ! "$(pg_bindir)/pgbench" -n -c 6 -j 2 -t "$2" "${scripts[@]}" "$(pg_conninfo "$1" "${3:-}")" \
        >"$dir/log" 2>&1 3>&- || grep -q 'client .* aborted' "$dir/log"; then
        cat "$dir/log" >&2
        return 1
    fi
}
