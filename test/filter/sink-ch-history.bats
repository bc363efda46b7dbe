#!/usr/bin/env bats
# sink-ch alone: rows of another cluster or timeline in the target.

load sink-ch

# rows FIRST LAST [HELLO...]: the stream of inserts into t, a transaction each, from lsn 0x2000 on.
rows() {
    local first=$1 last=$2
    shift 2
    {
        echo "e = Events(sink='olap', shards=1, $*)"
        cat <<EOF
e.table(1, "public", "t", [col("id", True, INT4), col("v")])
for i in range($first, $last + 1):
    e.begin(); e.insert(1, [str(i), "v%d" % i]); e.commit()
e.end()
out(e)
EOF
    } | /usr/bin/python3 "$WALPIPE_ROOT/test/lib/stream.py" py
}

comment() {
    q "SELECT comment FROM system.columns WHERE database = '$DB' AND table = '${1:-t}' AND name = '_version'"
}

comment_is() {
    [ "$(comment)" = "$1" ] || {
        echo "the comment is \"$(comment)\"" >&2
        return 1
    }
}

@test "the bug was that rows of a lost tail stayed after a failover to a standby that was behind" {
    table t 'id Int32, v String' id
    rows 1 10 timeline=1 >"$DIR/in"
    sink <"$DIR/in"
    comment_is 'walpipe: rows of 7000000000000000001/1 public.t'
    local end
    end=$(reached)
    # the standby was promoted before it had the last transaction
    rows 1 2 timeline=2, previous_timeline=1, switch_lsn=0x2100, lsn=0x2200 >"$DIR/behind"
    exits 100 sink <"$DIR/behind"
    log_has 'the source left timeline 1 at 0/2100, and sink olap has in its target changes of that timeline up to'
    is "SELECT count() FROM t" 10
    # nothing was registered, so nothing is confirmed
    [ "$(jq -s 'map(select(.message == "register")) | length' "$DIR/acks")" -eq 1 ]
    # one that had everything is the same source
    rows 11 12 timeline=2, previous_timeline=1, "switch_lsn=0x$end", "lsn=0x$end + 0x100" >"$DIR/whole"
    sink <"$DIR/whole"
    is "SELECT count() FROM t" 12
    comment_is 'walpipe: rows of 7000000000000000001/2 public.t'
    # and the old primary is not
    exits 100 sink <"$DIR/in"
    log_has 'the later timeline 2: this is the primary from before a promotion'
}

@test "what was sent but not noted before a failover is found in the table itself" {
    table t 'id Int32, v String' id
    table other 'id Int32, v String' id
    rows 1 10 >"$DIR/in"
    sink <"$DIR/in"
    # as if the sink had been killed between the last rows and their note
    q "TRUNCATE TABLE walpipe_progress"
    q "INSERT INTO walpipe_progress (pipeline, sink, shard, shards, system_identifier, timeline, slot, lsn)
        VALUES ('p', 'olap', 0, 1, 7000000000000000001, 1, 's', 8200)"
    events >"$DIR/behind" <<'EOF'
e = Events(lsn=0x2200, sink="olap", shards=1, timeline=2, previous_timeline=1, switch_lsn=0x2100)
e.table(2, "public", "other", [col("id", True, INT4), col("v")])
e.begin(); e.insert(2, ["1", "x"]); e.commit(); e.end()
EOF
    exits 100 sink <"$DIR/behind"
    log_has "the source left timeline 1 at 0/2100, and \`$DB\`.\`t\` has changes of that timeline up to"
    is "SELECT count() FROM other" 0
    # copied anew by hand
    q "TRUNCATE TABLE t"
    q "INSERT INTO t VALUES (1, 'copied', 0, 0)"
    sink <"$DIR/behind"
    is "SELECT count() FROM other" 1
    comment_is 'walpipe: rows of 7000000000000000001/2 public.t'
}

@test "the bug was that a rebuilt source's rows lost against the old cluster's, or against its truncate" {
    table t 'id Int32, v String' id
    events >"$DIR/old" <<'EOF'
e = Events(lsn=0x900000, sink="olap", shards=1)
e.table(1, "public", "t", [col("id", True, INT4), col("v")])
e.begin(); e.insert(1, ["1", "old"]); e.commit()
e.begin(); e.truncate([1]); e.commit()
e.begin(); e.insert(1, ["2", "old"]); e.commit(); e.end()
EOF
    sink <"$DIR/old"
    rows 1 3 system_identifier=7000000000000000002 >"$DIR/new"
    exits 100 sink <"$DIR/new"
    log_has 'what sink olap wrote from another cluster: walpipe_progress has system identifier 7000000000000000001, the source 7000000000000000002'
    [ "$(jq -s 'map(select(.message == "register")) | length' "$DIR/acks")" -eq 1 ]
    # as "walpipe drop" does; the table still says whose rows it has
    "$WALPIPE_BIN/sink-ch" --url "$URL" --database "$DB" --pipeline p --sink olap --drop-progress
    is "SELECT count() FROM walpipe_progress" 0
    exits 100 sink <"$DIR/new"
    log_has "\`$DB\`.\`t\` holds rows of another cluster: its system identifier is 7000000000000000001"
    log_has 'empty the tables in the targets, set copy = yes'
    q "TRUNCATE TABLE t"
    q "INSERT INTO t VALUES (1, 'copied', 0, 0)"
    sink <"$DIR/new"
    is "SELECT id, v FROM t FINAL ORDER BY id" $'1 v1\n2 v2\n3 v3'
    comment_is 'walpipe: rows of 7000000000000000002/1 public.t'
}

# killed_before_its_note TABLE CHANGE QUERY ROW: two transactions, the second one CHANGE, which ends at 0x2128. The
# sink is killed after ClickHouse has both and before the second is noted.
killed_before_its_note() {
    events >"$DIR/in" <<EOF
e.table(1, "public", "t", $1)
e.begin(); e.insert(1, ["1", "a"]); e.commit()
e.begin(); $2; e.commit()
EOF
    mkfifo "$DIR/fifo"
    sink --batch-rows 1 --flush-interval 10min <"$DIR/fifo" &
    local pid=$!
    exec 7>"$DIR/fifo"
    cat "$DIR/in" >&7
    wait_until 10 is "$3" "$4"
    kill -KILL "$(child_of "$pid")"
    wait "$pid" || true
    exec 7>&-
    is "SELECT max(lsn) FROM walpipe_progress WHERE shards > 0" $((0x2028))
}

child_of() { # the sink below timeout
    pgrep -P "$1" -x sink-ch || pgrep -P "$(pgrep -P "$1")" -x sink-ch
}

# promoted SWITCH TABLE [CHANGES]: the stream of a standby that was promoted there.
promoted() {
    local changes='e.begin(); e.insert(1, ["9", "new"]); e.commit()'
    events <<EOF
e = Events(lsn=0x2200, sink="olap", shards=1, timeline=2, previous_timeline=1, switch_lsn=$1)
e.table(1, "public", "t", $2)
${3-$changes}
e.end()
EOF
}

plain='[col("id", False, INT4), col("v")], identity="n"'
keyed='[col("id", True, INT4), col("v")]'

@test "the bug was that a lost tail was not noticed in a table that cannot say whose rows it holds" {
    q "CREATE TABLE t (id Int32, v String) ENGINE = MergeTree ORDER BY tuple()"
    killed_before_its_note "$plain" 'e.insert(1, ["2", "lost"])' "SELECT count() FROM t" 2
    promoted 0x2100 "$plain" >"$DIR/behind"
    exits 100 sink <"$DIR/behind"
    log_has 'the source left timeline 1 at 0/2100, and sink olap may have in its target changes of that timeline up to 0/2101'
    is "SELECT count() FROM t" 2
    # one that had it is the same source
    promoted 0x2128 "$plain" >"$DIR/whole"
    sink <"$DIR/whole"
    is "SELECT count() FROM t" 3
}

@test "the way out of a tail that may be lost: a person repairs the table, and says so" {
    q "CREATE TABLE t (id Int32, v String) ENGINE = MergeTree ORDER BY tuple()"
    killed_before_its_note "$plain" 'e.insert(1, ["2", "lost"])' "SELECT count() FROM t" 2
    promoted 0x2100 "$plain" >"$DIR/behind"
    exits 100 sink <"$DIR/behind"
    log_has 'or correct the rows in ClickHouse where they are, and run \"walpipe adopt\"'
    q "CREATE TABLE repaired AS t"
    q "INSERT INTO repaired SELECT * FROM t WHERE id = 1"
    q "DROP TABLE t"
    q "RENAME TABLE repaired TO t"
    promoted 0x2100 "$plain" '' |
        "$WALPIPE_BIN/sink-ch" --url "$URL" --database "$DB" --pipeline p --adopt do >"$DIR/said" 2>>"$DIR/log"
    sink <"$DIR/behind"
    is "SELECT id FROM t ORDER BY id" "1
9"
}

@test "the bug was that a lost tail was not noticed where the user may not ALTER, until its table had a row" {
    q "CREATE TABLE t (id Int32, v String, _version UInt64 COMMENT 'mine', _is_deleted UInt8)
        ENGINE = ReplacingMergeTree(_version) ORDER BY id"
    killed_before_its_note "$keyed" 'e.insert(1, ["2", "lost"])' "SELECT count() FROM t" 2
    promoted 0x2100 "$keyed" >"$DIR/behind"
    exits 100 sink <"$DIR/behind"
    log_has 'may have in its target changes of that timeline up to 0/2101'
}

@test "the bug was that a truncate that the new primary never had was not noticed in such a table" {
    q "CREATE TABLE t (id Int32, v String) ENGINE = MergeTree ORDER BY tuple()"
    killed_before_its_note "$plain" 'e.truncate([1]); e.insert(1, ["2", "lost"])' "SELECT count(), sum(id) FROM t" "1 2"
    promoted 0x2100 "$plain" >"$DIR/behind"
    exits 100 sink <"$DIR/behind"
    log_has 'may have in its target changes of that timeline up to 0/2101'
}

@test "tables that say whose rows they hold need no note before their rows" {
    table t 'id Int32, v String' id
    rows 1 3 >"$DIR/in"
    sink --batch-rows 1 <"$DIR/in"
    is "SELECT count() FROM walpipe_progress WHERE shards = 0" 0
}

@test "a table that nobody marked is refused when its rows are ahead of the source" {
    table t 'id Int32, v String' id
    q "INSERT INTO t VALUES (1, 'hides', $(((0x900000 >> 2) << 14)), 0)"
    rows 1 3 >"$DIR/in"
    exits 100 sink <"$DIR/in"
    log_has "\`$DB\`.\`t\` holds rows of positions up to 0/900000, and the source's changes begin at 0/1000"
    # a truncate that was noted by an earlier release, of a cluster that is gone
    q "TRUNCATE TABLE t"
    q "ALTER TABLE t COMMENT COLUMN _version 'walpipe: truncated at $(((0x900000 >> 2) << 14)).0'"
    sink <"$DIR/in"
    is "SELECT count() FROM t" 3
}

@test "a table that is made gets its mark with it" {
    rows 1 3 >"$DIR/in"
    sink --create-tables <"$DIR/in"
    is "SELECT count() FROM t" 3
    comment_is 'walpipe: rows of 7000000000000000001/1 public.t'
}

@test "state that an earlier release wrote is carried on, also where a replay begins before its rows" {
    table t 'id Int32, v String' id
    rows 1 3 >"$DIR/in"
    sink <"$DIR/in"
    q "ALTER TABLE t COMMENT COLUMN _version ''"
    sink <"$DIR/in"
    is "SELECT count() FROM t FINAL" 3
    comment_is 'walpipe: rows of 7000000000000000001/1 public.t'
    q "ALTER TABLE t COMMENT COLUMN _version 'walpipe: truncated at 5.0'"
    sink <"$DIR/in"
    comment_is 'walpipe: truncated at 5.0; rows of 7000000000000000001/1 public.t'
}

@test "a table that another source table writes to is refused; a renamed one can be told" {
    table t 'id Int32, v String' id
    rows 1 3 >"$DIR/in"
    sink <"$DIR/in"
    events >"$DIR/renamed" <<'EOF'
e.table(1, "public", "u", [col("id", True, INT4), col("v")])
e.begin(); e.insert(1, ["4", "u"]); e.commit(); e.end()
EOF
    exits 100 sink --map 'public.u -> t' <"$DIR/renamed"
    log_has "holds rows of \\\"public.t\\\", and \\\"public.u\\\" of the source goes there too"
    local run
    run=$(grep -o "ALTER TABLE [^\"]*COMMENT COLUMN [^\"]*'" "$DIR/log" | tail -n 1)
    q "$run"
    sink --map 'public.u -> t' <"$DIR/renamed"
    is "SELECT count() FROM t" 4
}

@test "two promotions between two starts: refused with the LSN to compare, and adopted" {
    table t 'id Int32, v String' id
    rows 1 10 >"$DIR/in"
    sink <"$DIR/in"
    local end
    end=$(reached)
    promotions() {
        events <<EOF
e = Events(lsn=0x4000, sink="olap", shards=1, timeline=3, previous_timeline=2, switch_lsn=0x3f00)
e.table(1, "public", "t", [col("id", True, INT4), col("v")])
$1
e.end()
EOF
    }
    promotions 'e.begin(); e.update(1, ["1", "third"]); e.delete(1, key=["2", None]); e.insert(1, ["11", "third"]); e.commit()' >"$DIR/third"
    exits 100 sink <"$DIR/third"
    log_has "the progress of sink olap is of timeline 1, up to 0/${end^^}, the source is on timeline 3"
    q "TRUNCATE TABLE walpipe_progress"
    exits 100 sink <"$DIR/third"
    log_has "holds rows of timeline 1, up to 0/2900, the source is on timeline 3"
    promotions '' | "$WALPIPE_BIN/sink-ch" --url "$URL" --database "$DB" --pipeline p --adopt do >"$DIR/said" 2>>"$DIR/log"
    sink <"$DIR/third"
    is "SELECT count(), countIf(v = 'third') FROM t FINAL WHERE _is_deleted = 0" "10 2"
}

# ---- adoption ----

old_cluster() { # from 0x900000 on: an update, a truncate, rows
    table t 'id Int32, v String, big Nullable(String)' id
    events >"$DIR/old" <<'EOF'
e = Events(lsn=0x900000, sink="olap", shards=1)
e.table(1, "public", "t", [col("id", True, INT4), col("v"), col("big")])
e.begin(); e.insert(1, ["1", "gone", "x"]); e.commit()
e.begin(); e.truncate([1]); e.commit()
e.begin()
for i in range(1, 6): e.insert(1, [str(i), "old", "big%d" % i])
e.commit(); e.end()
EOF
    sink <"$DIR/old"
}

# new_cluster SYSTEM CHANGES: a stream of another cluster, from 0x1000 on.
new_cluster() {
    events <<EOF
e = Events(system_identifier=$1, sink="olap", shards=1)
e.table(1, "public", "t", [col("id", True, INT4), col("v"), col("big")])
$2
e.end()
EOF
}

adopt() { # look|do SYSTEM
    new_cluster "$2" '' >"$DIR/tables"
    "$WALPIPE_BIN/sink-ch" --url "$URL" --database "$DB" --pipeline p --adopt "$1" <"$DIR/tables" >"$DIR/said" 2>>"$DIR/log"
}

check_says() { # SYSTEM
    new_cluster "$1" '' | "$WALPIPE_BIN/sink-ch" --url "$URL" --database "$DB" --pipeline p --check >"$DIR/said" 2>>"$DIR/log"
}

changes='
e.begin(); e.update(1, ["1", "new", UNCHANGED]); e.commit()
e.begin(); e.delete(1, key=["2", None, None]); e.commit()
e.begin(); e.insert(1, ["6", "new", "y"]); e.commit()'

@test "an adopted history wins against the old one's rows and truncate" {
    old_cluster
    exits 100 check_says 7000000000000000002
    grep -q "^FAIL .*\`$DB\`.\`t\` holds rows of another cluster" "$DIR/said"
    grep -q '^FAIL .*what sink olap wrote from another cluster' "$DIR/said"
    # the person is told, and nothing changes
    local before floor
    before=$(comment)
    adopt look 7000000000000000002
    floor=$(sed -n "s/^warn .*\`t\` holds rows of another cluster.*; old rows have versions below \([0-9]*\),.*/\1/p" "$DIR/said")
    is "SELECT max(_version) < $floor FROM t" 1
    comment_is "$before"
    # two rows are repaired with that version: one differs, one is not the source's
    q "INSERT INTO t VALUES (3, 'repaired', 'r', $floor, 0), (4, 'old', 'r', $floor, 1)"
    adopt do 7000000000000000002
    grep -q '^warn .*adopted: ' "$DIR/said"
    comment | grep -Eq '^walpipe: rows of 7000000000000000002/1\+[0-9]+ public.t$'
    comment >"$DIR/offset"
    is "SELECT count() FROM walpipe_progress WHERE system_identifier = 7000000000000000001" 0
    check_says 7000000000000000002
    # again: nothing is raised a second time
    adopt do 7000000000000000002
    grep -q '^ok .*nothing to adopt' "$DIR/said"
    comment_is "$(cat "$DIR/offset")"
    new_cluster 7000000000000000002 "$changes" >"$DIR/new"
    sink <"$DIR/new"
    sink <"$DIR/new"
    is "SELECT id, v, big FROM t FINAL WHERE _is_deleted = 0 ORDER BY id" \
        $'1 new big1\n3 repaired r\n5 old big5\n6 new y'
    # its own truncate, twice
    new_cluster 7000000000000000002 "$changes
e.begin(); e.truncate([1]); e.commit()
e.begin(); e.insert(1, ['7', 'new', 'z']); e.commit()" >"$DIR/truncated"
    sink <"$DIR/truncated"
    sink <"$DIR/truncated"
    is "SELECT id FROM t FINAL WHERE _is_deleted = 0" 7
    # the old cluster has no way back
    exits 100 sink <"$DIR/old"
}

@test "a second adoption wins against the first, and a promotion keeps the offset" {
    old_cluster
    adopt do 7000000000000000002
    new_cluster 7000000000000000002 "$changes" >"$DIR/new"
    sink <"$DIR/new"
    adopt do 7000000000000000003
    new_cluster 7000000000000000003 'e.begin(); e.update(1, ["1", "third", UNCHANGED]); e.commit()' >"$DIR/third"
    sink <"$DIR/third"
    is "SELECT v, big FROM t FINAL WHERE id = 1" "third big1"
    comment >"$DIR/offset"
    events >"$DIR/promoted" <<'EOF'
e = Events(system_identifier=7000000000000000003, timeline=2, previous_timeline=1, switch_lsn=0x4000,
    lsn=0x4100, sink="olap", shards=1)
e.table(1, "public", "t", [col("id", True, INT4), col("v"), col("big")])
e.begin(); e.update(1, ["1", "promoted", UNCHANGED]); e.commit(); e.end()
EOF
    sink <"$DIR/promoted"
    is "SELECT v, big FROM t FINAL WHERE id = 1" "promoted big1"
    comment_is "$(sed 's,/1+,/2+,' "$DIR/offset")"
    # a tail that the next timeline does not have is still found, by its position in the history
    events >"$DIR/behind" <<'EOF'
e = Events(system_identifier=7000000000000000003, timeline=3, previous_timeline=2, switch_lsn=0x4080,
    lsn=0x4200, sink="olap", shards=1)
e.end()
EOF
    q "TRUNCATE TABLE walpipe_progress"
    exits 100 sink <"$DIR/behind"
    log_has "the source left timeline 2 at 0/4080, and \`$DB\`.\`t\` has changes of that timeline up to 0/4"
}

@test "a table that lost its mark after an adoption is refused, not written to without the offset" {
    old_cluster
    adopt do 7000000000000000002
    new_cluster 7000000000000000002 "$changes" >"$DIR/new"
    sink <"$DIR/new"
    q "ALTER TABLE t COMMENT COLUMN _version ''"
    exits 100 sink <"$DIR/new"
    log_has "holds rows of positions up to"
    adopt do 7000000000000000002
    new_cluster 7000000000000000002 "$changes
e.begin(); e.update(1, ['1', 'newer', UNCHANGED]); e.commit()" >"$DIR/newer"
    sink <"$DIR/newer"
    is "SELECT v FROM t FINAL WHERE id = 1" "newer"
}

@test "no room for another history, and a comment of somebody else's, are said and change nothing" {
    old_cluster
    q "INSERT INTO t VALUES (9, 'last', '', 18446744073709551615, 0)"
    exits 100 adopt do 7000000000000000002
    grep -q '^FAIL .*have no room for another history' "$DIR/said"
    q "TRUNCATE TABLE t"
    q "INSERT INTO t VALUES (9, 'old', '', $(((0x900000 >> 2) << 14)), 0)"
    q "ALTER TABLE t COMMENT COLUMN _version 'mine'"
    exits 100 adopt do 7000000000000000002
    grep -q '^FAIL .*the comment of column _version of .* cannot be written' "$DIR/said"
    comment_is mine
    is "SELECT count() > 0 FROM walpipe_progress WHERE system_identifier = 7000000000000000001" 1
}
