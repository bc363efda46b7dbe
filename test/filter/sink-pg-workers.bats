#!/usr/bin/env bats
# sink-pg alone: several workers and their barriers.

load sink-pg

# ---- several workers ----

@test "four workers and barriers: truncate and moving rows come in their place (traps 58, 81, 94)" {
    sql "CREATE TABLE t (id int PRIMARY KEY, v text, big text)"
    stream /dev/null <<PY
import random
T = [col("id", True, INT4), col("v"), col("big")]
SHARDS = 4
streams = [Events(sink="dst", shard=n, shards=SHARDS) for n in range(SHARDS)]
def shard(id): return key_hash(1, T, [id, None, None]) % SHARDS
counts = [0] * SHARDS
def to(n, data): streams[n].add(data); counts[n] += 1
for s in streams: s.table(1, "public", "t", T)
r, model, lsn, bar = random.Random(5), {}, 0x2000, 0
for x in range(200):
    for s in streams: s.add(begin(lsn))
    counts = [0] * SHARDS; ordinal = 0
    for c in range(r.randint(1, 30)):
        ordinal += 1; id = str(r.randint(1, 40)); what = r.random()
        if what < 0.01:
            bar += 1; a = r.randrange(SHARDS)
            for s in streams: s.add(barrier(bar, a))
            to(a, truncate(ordinal, [1])); model = {}
        elif id not in model:
            model[id] = ["a%d" % x, "toast %d" % x]; to(shard(id), insert(1, ordinal, [id] + model[id]))
        elif what < 0.2:
            del model[id]; to(shard(id), delete(1, ordinal, [id, None, None]))
        elif what < 0.4:
            new = next(str(n) for n in range(41, 9999) if str(n) not in model)
            model[new] = ["moved", model.pop(id)[1]]
            if shard(new) != shard(id):
                bar += 1
                for s in streams: s.add(barrier(bar, shard(id)))
            to(shard(id), update(1, ordinal, [new, "moved", UNCHANGED], [id, None, None]))
        else:
            model[id][0] = "u%d" % x; to(shard(id), update(1, ordinal, [id, model[id][0], UNCHANGED]))
    for n, s in enumerate(streams): s.add(commit(lsn, lsn + 0x28, counts[n]))
    lsn += 0x100
for n, s in enumerate(streams):
    s.end(); open("$T/s%d" % n, "wb").write(s.bytes)
open("$T/expected", "w").write("".join("%s|%s|%s\n" % (k, *model[k]) for k in sorted(model, key=int)))
PY
    for again in 1 2; do
        workers=()
        for n in 0 1 2 3; do
            "$WALPIPE_BIN/sink-pg" --conninfo "$(pg_conninfo dst "$db")" --pipeline p --ackd "$ack" \
                --batch-rows 7 <"$T/s$n" 2>>"$T/err$n" 3>&- &
            workers+=($!)
            pids+=($!)
        done
        for pid in "${workers[@]}"; do
            wait_status 0 "$pid"
        done
        sql "SELECT * FROM t ORDER BY id" | diff "$T/expected" -
        # the second time everything is skipped, and the barriers are kept all the same
    done
    [ "$(sql "SELECT count(*), count(DISTINCT lsn), count(partial_ordinal) FROM walpipe.progress")" = "4|1|0" ]
}

@test "a barrier inside a transaction: its first part is durable, and skipped after a restart" {
    sql "CREATE TABLE log (v text)"
    start_sink
    exec 8>"$T/in"
    stream "$T/s" <<'PY'
e = Events(sink="dst", shards=2); e.table(1, "public", "log", [col("v")], "d")
e.begin(); e.insert(1, ["1"]); e.insert(1, ["2"]); e.add(barrier(1, 1)); out(e)
PY
    cat "$T/s" >&8
    wait_until 10 grep -q barrier_reached "$acks"
    [ "$(sql "SELECT partial_commit_lsn, partial_ordinal, lsn, (SELECT count(*) FROM log) FROM walpipe.progress WHERE shard = 0")" = "0/2000|2|0/0|2" ]
    kill -9 "$sink"
    wait "$sink" || true
    exec 8>&-
    # ackd starts anew with the unit
    kill "$ackd"
    wait_until 5 test ! -S "$ack"
    start_ackd
    stream "$T/s" <<'PY'
e = Events(sink="dst", shards=2); e.table(1, "public", "log", [col("v")], "d")
e.watermark(0x1800)
e.begin(); e.insert(1, ["1"]); e.insert(1, ["2"]); e.insert(1, ["3"]); e.commit(); e.end(); out(e)
PY
    sink <"$T/s"
    [ "$status" -eq 0 ]
    [ "$(sql "SELECT count(*), count(DISTINCT v) FROM log")" = "3|3" ]
    [ "$(sql "SELECT lsn, partial_ordinal FROM walpipe.progress WHERE shard = 0")" = "0/2028|" ]
}
