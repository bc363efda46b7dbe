#!/usr/bin/env bats
# ackd alone: the end, broken and hostile peers, its reports and its command line.

load ackd

# ---- the end ----

@test "drain: the last feedback, then drained, then exit 0" {
    play <<'EOF'
with Ackd("dst=2") as a:
    r = Reader(a).start(100)
    w = [Worker(a).start("dst", i, 2) for i in range(2)]
    r.got(900)
    w[0].reached(900)
    w[0].say(FINISHED)
    w[0].close()
    r.say(DRAINING)
    r.never_more_than(100, 0.3)  # nor is it drained
    w[1].reached(900)
    w[1].say(FINISHED)
    assert r.confirmed(900) == (900, 900)
    r.drained()
    assert a.safe() == 900
    w[1].close()
    r.close()
    a.exit(0, "drained: every worker has finished, confirmed 0/384")
EOF
}

@test "a drain waits for the checkpoint" {
    play <<'EOF'
with Ackd() as a:
    r = Reader(a).start(100)
    w = Worker(a).start()
    r.got(900)
    os.mkdir(a.checkpoint_path + ".tmp")
    r.say(DRAINING)
    w.reached(900)
    w.say(FINISHED)
    r.never_more_than(100, 1.5)
    os.rmdir(a.checkpoint_path + ".tmp")
    r.confirmed(900)
    r.drained()
    r.close()
    a.exit(0)
EOF
}

@test "the first SIGTERM in a run is pg-wal-read's business, before a run it ends ackd (trap 142)" {
    play <<'EOF'
with Ackd() as a:
    r = Reader(a).start(100)
    w = Worker(a).start()
    a.process.send_signal(signal.SIGTERM)
    r.got(900)
    w.reached(900)
    r.confirmed(900)
    r.say(DRAINING)
    w.say(FINISHED)
    r.drained()
    r.close()
    a.exit(0)
with Ackd() as a:
    a.process.send_signal(signal.SIGTERM)
    a.exit(0, "stopped before a run began")
EOF
}

# ---- hostile and broken peers ----

@test "garbage from a stranger closes its connection and nothing else" {
    play <<'EOF'
with Ackd() as a:
    r = Reader(a).start(100)
    w = Worker(a).start()
    for data in (b"GET / HTTP/1.0\r\n\r\n", b"\xff\xff\xff\xff", b"\0\0\0\0", b"\0\0\0\1\xc0",
                 b"\0\0\0\5\x95\x01\xc4\x00\x00", b"\0\0\0\3\x93\x01\xdd",
                 b"\0\0\0\6\xdd\xff\xff\xff\xff\x01"):
        p = Peer(a)
        p.raw(data)
        p.expect_closed()
    for message in ((REACHED, 900, 0, 0, 0), (RECEIVED, 900, False), (FINISHED,), (ACCEPTED,),
                    (FEEDBACK, b"x" * 34), (REGISTER, "fake", "dst", 0, 1), (99,),
                    (REGISTER, "p" * 32, "dst", 0, 1, 0), (STATUS, b"")):
        p = Peer(a)
        p.say(*message)
        p.expect_closed()
    half = Peer(a)
    half.raw(b"\0\0\1\0half a message")
    half.close()
    a.wait_log("disconnected inside a message")
    r.got(900)
    w.reached(900)
    r.confirmed(900)
EOF
}

@test "garbage from a member of the run ends it with 101" {
    play <<'EOF'
for who in ("reader", "worker"):
    for data in (b"\xff\xff\xff\xff", b"\0\0\0\1\xc0"):
        with Ackd() as a:
            r = Reader(a).start(100)
            w = Worker(a).start()
            (r if who == "reader" else w).raw(data)
            a.exit(101, "pg-wal-read: " if who == "reader" else "worker dst/0: ")
for message in ((RECEIVED, 900, False), (DRAINING,), (REGISTER, "fake", "dst", 0, 1, 0),
                (BARRIER_DONE, 1), (BARRIER_REACHED, 1, 1)):
    with Ackd() as a:
        r = Reader(a).start(100)
        w = Worker(a).start()
        w.say(*message)
        a.exit(101, "worker")
with Ackd() as a:
    r = Reader(a).start(100)
    r.got(900)
    r.got(899)
    a.exit(101, "pg-wal-read received 0/383 after 0/384")
EOF
}

@test "a message in single bytes, and many in one write (trap 134)" {
    play <<'EOF'
with Ackd() as a:
    r = Reader(a).start(100)
    w = Worker(a)
    for byte in frame(REGISTER, RUN, "fake", "dst", 0, 1, 0):
        w.raw(bytes([byte]))
    w.expect(ACCEPTED)
    r.got(10**6)
    block = b""
    for lsn in range(1000, 21000):
        block += frame(REACHED, RUN, lsn, 1, 0, 0)
    w.raw(block)
    r.confirmed(20999)
EOF
}

@test "a peer that never reads is dropped and holds nobody up (trap 138)" {
    play <<'EOF'
with Ackd("dst=200") as a:
    r = Reader(a).start(100)
    p = Peer(a)
    try:
        for i in range(10000):
            p.say(STATUS_REQUEST, run=bytes(16))
        raise AssertionError("it was never dropped")
    except (BrokenPipeError, ConnectionResetError):
        pass
    a.wait_log("does not read")
    assert Peer(a).hear(0.1) is None
    r.got(900, reply=True)
    assert r.feedback() == (900, 100)
EOF
}

@test "as many workers as there may be, and one more is refused on the command line" {
    play <<'EOF'
with Ackd("dst=255 olap=1") as a:
    r = Reader(a).start(100)
    w = [Worker(a).start("dst", i, 255) for i in range(255)] + [Worker(a).start("olap", 0, 1)]
    r.got(900)
    for p in w[:-1]:
        p.reached(900)
    r.never_more_than(100, 0.3)
    w[-1].reached(900)
    r.confirmed(900)
Ackd("dst=256 olap=1").exit(100, "more than 256 workers")
EOF
}

# ---- reports ----

@test "healthz says which part is not well" {
    play <<'EOF'
with Ackd("dst=1 olap=1", extra=("--http", "127.0.0.1:0")) as a:
    def health(code, *lines):
        status, body = a.http("/healthz")
        assert status == code and all(line in body.splitlines() for line in lines), (status, body)
    health(503, "source: pg-wal-read is not connected", "sink dst/0: not registered")
    assert a.http("/livez") == (200, "ok\n") and a.http("/readyz") == (503, "not ready\n")
    r = Reader(a).start(0)
    health(503, "source: the slot is being created")
    r.start(100)
    health(503, "source: ok", "sink dst/0: not registered", "sink olap/0: not registered")
    dst = Worker(a).start("dst")
    olap = Worker(a).start("olap")
    health(200, "source: ok", "sink dst/0: ok", "sink olap/0: ok", "checkpoint: ok")
    olap.say(TARGET, False, "connection\nrefused")
    a.wait_log("target of olap/0 is down")
    health(503, "sink olap/0: target down: connection refused", "sink dst/0: ok")
    assert a.http("/livez") == (200, "ok\n") and a.http("/readyz") == (200, "active\n")
    olap.say(TARGET, True, "")
    a.wait_log("target of olap/0 is back")
    health(200, "sink olap/0: ok")
    # the reason stays when all is well again
    assert re.search(r"^last error: 20[-0-9T:.]+Z: sink olap/0: connection refused \(the sink waits",
                     a.http("/healthz")[1], re.M)
    r.got(200)
    a.wait_http("/healthz", 200, "sink dst/0: busy or stuck: silent for ")
    assert a.http("/healthz", "HEAD") == (200, "")
    assert a.http("/x")[0] == 404 and a.http("/metrics/x")[0] == 404
    assert a.http("/metrics", "POST", b"x=1")[0] == 405 and a.http("/healthz", "DELETE")[0] == 405
EOF
}

@test "metrics are right, and promtool finds nothing to say" {
    play <<'EOF'
def check(text):
    if not shutil.which("promtool"):
        return print("# promtool is not installed")
    done = subprocess.run(["promtool", "check", "metrics"], input=text, text=True,
                          capture_output=True)
    assert done.returncode == 0 and done.stderr == "" and done.stdout == "", done

with Ackd("dst=2 olap=1", extra=("--http", "127.0.0.1:0", "--restarts", "4")) as a:
    check(a.http("/metrics")[1])
    r = Reader(a).start(100)
    w = [Worker(a).start("dst", i, 2) for i in range(2)] + [Worker(a).start("olap", 0, 1)]
    r.got(900)
    r.slot(current=1100, restart=50, status="extended", safe=2**40)
    w[0].reached(700, events=3, rows=2, micros=1500)
    w[0].reached(800, events=4, rows=2000, micros=70 * 10**6)
    w[1].reached(300)
    w[2].reached(500)
    r.confirmed(300)
    text = a.http("/metrics")[1]
    check(text)
    values = dict(line.rsplit(" ", 1) for line in text.splitlines() if line[0] != "#")
    for name, value in (
            ("replicator_source_up", "1"), ("replicator_restarts_total", "4"),
            ("replicator_lag_bytes", "800"), ("replicator_safe_lsn", "300"),
            ("replicator_received_lsn", "900"), ("replicator_slot_retained_bytes", "1050"),
            ("replicator_slot_safe_wal_size_bytes", str(2**40)),
            ('replicator_slot_wal_status{status="extended"}', "1"),
            ('replicator_slot_wal_status{status="lost"}', "0"),
            ('replicator_target_up{sink="olap",shard="0"}', "1"),
            ('replicator_events_processed_total{sink="dst",shard="0"}', "7"),
            ('replicator_events_processed_total{sink="dst",shard="1"}', "0"),
            ('replicator_worker_reached_lsn{sink="dst",shard="1"}', "300"),
            ('replicator_worker_lag_bytes{sink="dst",shard="1"}', "800"),
            ('replicator_batch_size_bucket{sink="dst",shard="0",le="1"}', "0"),
            ('replicator_batch_size_bucket{sink="dst",shard="0",le="10"}', "1"),
            ('replicator_batch_size_bucket{sink="dst",shard="0",le="+Inf"}', "2"),
            ('replicator_batch_size_sum{sink="dst",shard="0"}', "2002"),
            ('replicator_sink_latency_seconds_bucket{sink="dst",shard="0",le="0.0025"}', "1"),
            ('replicator_sink_latency_seconds_bucket{sink="dst",shard="0",le="60"}', "1"),
            ('replicator_sink_latency_seconds_count{sink="dst",shard="0"}', "2"),
            ('replicator_sink_latency_seconds_sum{sink="dst",shard="0"}', "70.0015")):
        assert values[name] == value, (name, values.get(name))
    assert 'replicator_info{version="' in text
    waits = [name for name, value in values.items() if name.startswith("replicator_waiting") and value == "1"]
    assert 'replicator_waiting{program="pg-wal-read",for="upstream"}' in waits, waits
    for name in ('replicator_program_cpu_seconds_total{program="ackd"}',
                 'replicator_program_resident_memory_bytes{program="ackd"}'):
        assert float(values[name]) >= 0, name
    r.slot(current=1100, status="unreserved", safe=-1)
    r.got(901, reply=True)
    r.feedback()
    assert "replicator_slot_safe_wal_size_bytes +Inf" in a.http("/metrics")[1]
    a.wait_log('warning.*replication slot ."orders." is unreserved')
EOF
}

@test "lag in seconds: the age of the last commit that is in every sink, and 0 when all is there" {
    play <<'EOF'
def micros(ago):
    return int((time.time() - ago - 946684800) * 1e6)

def values(a):
    return dict(line.rsplit(" ", 1) for line in a.http("/metrics")[1].splitlines() if line[0] != "#")

def is_near(value, wanted):
    return value is not None and abs(float(value) - wanted) < 30

with Ackd("dst=2", extra=("--http", "127.0.0.1:0")) as a:
    r = Reader(a).start(100)
    w = [Worker(a).start("dst", i, 2) for i in range(2)]
    def settle():
        r.got(last[0], reply=True)
        while r.feedback() is None:
            pass
        return values(a)
    last = [900]
    r.got(900, commit=micros(100))
    got = settle()
    # not known yet, which is not 0
    assert not any("lag_seconds" in name or "durable" in name for name in got), got
    assert is_near(got["replicator_received_commit_timestamp_seconds"], time.time() - 100)
    w[0].reached(500, commit=micros(1000))
    w[1].reached(300, commit=micros(2000))
    r.confirmed(300)
    got = settle()
    assert is_near(got["replicator_lag_seconds"], 2000), got
    assert is_near(got["replicator_durable_commit_timestamp_seconds"], time.time() - 2000)
    assert is_near(got['replicator_worker_lag_seconds{sink="dst",shard="0"}'], 1000)
    assert is_near(got['replicator_worker_lag_seconds{sink="dst",shard="1"}'], 2000)
    # a worker without changes has what the other one has
    w[1].reached(600)
    r.confirmed(500)
    got = settle()
    assert is_near(got["replicator_lag_seconds"], 1000), got
    # all is there, though the last commit is old
    for worker in w:
        worker.reached(900, commit=micros(100))
    r.confirmed(900)
    got = settle()
    assert float(got["replicator_lag_seconds"]) == 0, got
    # after hours of rest a new commit is late since it came, not since the last one
    r.slot(current=900)
    r.got(950, reply=True)
    last[0] = 950
    got = settle()
    assert 0 < float(got["replicator_lag_seconds"]) < 30, got
    # the source's clock is ahead of ours
    r.slot(current=2000)
    for worker in w:
        worker.reached(950, commit=micros(-500))
    r.confirmed(950)
    got = settle()
    assert float(got["replicator_lag_seconds"]) == 0, got
EOF
}

@test "metrics of copies: tables by state, rows, bytes and ranges, only of workers that say so" {
    play <<'EOF'
from stream import COPIED, COPY_COUNTS, LACKS

with Ackd("dst=2 olap=1", extra=("--http", "127.0.0.1:0")) as a:
    r = Reader(a).start(100)
    w = [Worker(a).start("dst", i, 2, version=2) for i in range(2)] + [Worker(a).start("olap", 0, 1)]
    def values():
        text = a.http("/metrics")[1]
        if shutil.which("promtool"):
            done = subprocess.run(["promtool", "check", "metrics"], input=text, text=True, capture_output=True)
            assert done.returncode == 0 and done.stderr == "" and done.stdout == "", done
        return dict(line.rsplit(" ", 1) for line in text.splitlines() if line.startswith("replicator_copy"))
    assert values() == {}
    w[0].say(COPY_COUNTS, 3, 2, 4, 0, 1, 100, 5000)
    w[0].say(COPIED, 1, 1, True)
    w[0].say(COPIED, 1, 2, False)
    w[0].say(COPIED, 1, 2, True)
    w[0].say(COPY_COUNTS, 0, 0, 1, 2, 6, 20, 1000)
    for worker in w:
        worker.reached(100)
    r.confirmed(100)
    got = values()
    labels = 'sink="dst",shard="0"'
    assert got == {"replicator_copy_%s{%s%s}" % (name, labels, extra): n for name, extra, n in (
        ("tables", ',state="waiting"', "0"), ("tables", ',state="copying"', "0"),
        ("tables", ',state="resync"', "1"), ("tables", ',state="parked"', "2"), ("tables", ',state="streaming"', "6"), ("rows_total", "", "120"), ("bytes_total", "", "6000"),
        ("ranges_total", ',result="written"', "2"), ("ranges_total", ',result="dropped"', "1"))}, got
    # While a table is parked the pipeline is degraded, not dead.
    assert a.http("/healthz")[0] == 200
    assert a.http("/healthz")[1].startswith("degraded: sink dst: tables that are parked after an error: 2;")
    # And while a table lacks changes. The last word of any worker counts.
    w[2].say(LACKS, 1, 20)
    w[0].say(LACKS, 2, 30)
    w[0].say(COPY_COUNTS, 0, 0, 0, 0, 9, 0, 0)
    a.wait_http("/healthz", 200, "degraded: sink dst: tables that lack changes which were skipped: 2;")
    assert "degraded: sink olap: tables that lack changes which were skipped: 1;" in a.http("/healthz")[1]
    assert "parked" not in a.http("/healthz")[1]
    metrics = a.http("/metrics")[1]
    assert 'replicator_sink_lacking_tables{sink="dst"} 2\n' in metrics, metrics
    assert 'replicator_sink_lacking_changes{sink="olap"} 20\n' in metrics, metrics
    s = json.loads(a.http("/status.json")[1])["sinks"]
    assert [x.get("lacking_tables") for x in s] == [2, 1], s
    w[0].say(LACKS, 0, 0)
    w[0].say(COPY_COUNTS, 0, 0, 1, 0, 6, 20, 1000)
    w[2].say(COPY_COUNTS, 0, 0, 1, 0, 6, 20, 1000)
    a.exit(101, "worker olap/0 spoke of a copy, but does not read copies")
EOF
}

@test "the bug was that lag vanished from the metrics while the source was away" {
    play <<'EOF'
def values(a):
    lines = a.http("/metrics")[1].splitlines()
    return dict(line.rsplit(" ", 1) for line in lines if line[0] != "#")

http = ("--http", "127.0.0.1:0")
with Ackd("dst=1 olap=1", extra=http) as a:
    assert not any("lag" in name for name in values(a))  # never seen: unknown is not 0
    r = Reader(a).start(100)
    dst = Worker(a).start("dst")
    # a target that has been down since the start is behind what is confirmed, not behind 0/0
    r.got(900)
    r.slot(current=1100)
    dst.reached(700)
    a.wait_http("/metrics", 200, 'replicator_worker_lag_bytes{sink="dst",shard="0"} 400')
    assert values(a)['replicator_worker_lag_bytes{sink="olap",shard="0"}'] == "1000"
    Worker(a).start("olap").reached(400)
    r.confirmed(400)
    r.got(1200)
    a.wait_http("/metrics", 200, "replicator_lag_bytes 800")
    r.close()
    a.exit(111)
    state, a.own = a.state, False
with Ackd("dst=1 olap=1", state=state, extra=http) as a:
    Reader(a).waits("could not connect: refused", standby=False)
    a.wait_http("/healthz", 503, "source: could not connect: refused")
    assert a.http("/readyz") == (503, "not ready: could not connect: refused\n")
    now = values(a)
    assert now["replicator_lag_bytes"] == "800" and now["replicator_safe_lsn"] == "400"
    assert now['replicator_worker_lag_bytes{sink="dst",shard="0"}'] == "800"
    assert "replicator_received_lsn" not in now
    a.kill()
for damage in (b"", b"7", b"7 0/4B0", b"7 x\n", b"8 0/4B0\n", b"\xff" * 100):
    with open(os.path.join(state, "wal_end"), "wb") as f:
        f.write(damage)
    with Ackd("dst=1 olap=1", state=state, extra=http) as a:
        assert not any("lag" in name for name in values(a)), damage
        a.kill()
shutil.rmtree(state)
EOF
}

@test "differences: by table, with any name, and the tables beyond the 200th of a sink together" {
    play <<'EOF'
from stream import DIFFERENCES

with Ackd("dst=2 olap=1", extra=("--http", "127.0.0.1:0")) as a:
    r = Reader(a).start(100)
    w = [Worker(a).start("dst", i, 2) for i in range(2)] + [Worker(a).start("olap", 0, 1)]
    w[0].say(DIFFERENCES, "public.t", 3, 0, 0)
    w[1].say(DIFFERENCES, "public.t", 4, 2, 0)
    w[2].say(DIFFERENCES, "public.t", 0, 0, 5)
    w[2].say(DIFFERENCES, 's."a\nb\\', 1, 0, 0)
    w[2].say(DIFFERENCES, "public.t", 0, 0, 0, 2)
    for worker in w:
        worker.reached(100)
    r.confirmed(100)
    for n in range(300):
        w[0].say(DIFFERENCES, "public.t%d" % n, 1, 1, 0)
    w[2].say(DIFFERENCES, "public.one_more", 0, 7, 0)
    r.got(200)
    for worker in w:
        worker.reached(200)
    r.confirmed(200)

    lines = [l for l in a.http("/metrics")[1].splitlines() if l.startswith("replicator_differences_total")]
    c = dict(l[len("replicator_differences_total"):].rsplit(" ", 1) for l in lines)
    for name, value in (('{sink="dst",table="public.t",kind="update_missing"}', "7"),
                        ('{sink="dst",table="public.t",kind="delete_missing"}', "2"),
                        ('{sink="olap",table="public.t",kind="insert_existing"}', "5"),
                        ('{sink="olap",table="public.t",kind="schema_change"}', "2"),
                        ('{sink="olap",table="s.\\"a\\nb\\\\",kind="update_missing"}', "1"),
                        ('{sink="dst",table="public.t0",kind="update_missing"}', "1"),
                        ('{sink="dst",table="public.t196",kind="delete_missing"}', "1"),
                        ('{sink="dst",table="",kind="update_missing"}', "103"),
                        ('{sink="olap",table="",kind="delete_missing"}', "7")):
        assert c[name] == value, (name, c.get(name))
    assert '{sink="dst",table="public.t197",kind="delete_missing"}' not in c
    assert len(c) == 2 + 2 + 1 + 2 * 197 + 2 + 1, len(c)
EOF
}

@test "status is answered to anybody of the same user, also before a run" {
    play <<'EOF'
with Ackd("dst=2", extra=("--restarts", "3")) as a:
    def status():
        p = Peer(a, run=bytes(16))
        p.say(STATUS_REQUEST)
        return msgpack.unpackb(p.expect(STATUS)[2], raw=False)
    before = status()
    r = Reader(a).start(100)
    w = Worker(a).start("dst", 1, 2)
    r.got(900, reply=True)
    r.feedback()
    now = status()
    flat = [x for x in now if not isinstance(x, list)]
    assert before[0] == STATUS and before[1] is False and now[1] is True and before[2:4] == [False, ""]
    for value in ("shop", "orders", RUN, 900, 800, 3):
        assert value in flat, (value, now)
    workers, tables = [x for x in now if isinstance(x, list)][-2:]
    assert tables == []
    assert [[x[0], x[1], x[2]] for x in workers] == [["dst", 0, False], ["dst", 1, True]], workers
EOF
}

# ---- the command line ----

@test "help, version and wrong options" {
    ackd=$WALPIPE_BIN/ackd
    run "$ackd" --help
    [ "$status" -eq 0 ]
    [[ $output == *"--sink NAME=SHARDS"* ]]
    run "$ackd" --version
    [ "$status" -eq 0 ]
    for options in "" "--sink dst" "--sink dst=0" "--sink dst=257" "--sink =1" "--sink a/b=1" \
        "--sink dst=1 --sink dst=2" "--bogus" "--log-level loud" "--restarts -1" "--pipeline a=b" \
        "--socket /x --state /x" "--socket s --state d --sink a=1 operand"; do
        # shellcheck disable=SC2086
        run "$ackd" $options
        [ "$status" -eq 100 ]
        [[ $output == *'"level":"error"'* ]]
    done
}

@test "HTTP addresses: wrong, taken, IPv6" {
    play <<'EOF'
for address in ("9187", "127.0.0.1", ":9187", "127.0.0.1:", "127.0.0.1:http", "::1:-1"):
    Ackd(extra=("--http", address)).exit(100, "is not ADDRESS:PORT|could not look up")
with Ackd(extra=("--http", "127.0.0.1:0")) as a:
    port = a.wait_log(r"port (\d+)").group(1)
    Ackd(extra=("--http", "127.0.0.1:" + port)).exit(111, "Address already in use")
    idle = socket.create_connection(("127.0.0.1", int(port)))
    idle.sendall(b"GET /metr")  # a client that stalls holds nobody up
    r = Reader(a).start(100)
    r.got(900, reply=True)
    assert r.feedback() == (900, 100)
    assert a.http("/metrics")[0] == 200
EOF
}
