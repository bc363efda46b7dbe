#!/usr/bin/env bats
# ackd alone with a paused sink, whose workers do not run: nothing is confirmed in the whole run.

load ackd

@test "nothing is confirmed while a sink is paused, and the others drain" {
    play <<'EOF'
with Ackd("dst=1 olap=2", extra=("--paused", "olap")) as a:
    r = Reader(a).start(100)
    w = Worker(a).start("dst", 0, 1)
    r.got(900)
    w.reached(900)
    r.never_more_than(100, 1.5)
    r.say(DRAINING)
    w.say(FINISHED)
    r.drained()
    assert a.checkpoint()["safe_lsn"] == "0/64", a.checkpoint()
    assert a.checkpoint()["sinks"] == "dst/1 olap/2", "it is not new after the pause"
EOF
}

@test "a worker of a paused sink is refused" {
    play <<'EOF'
with Ackd("dst=1 olap=1", extra=("--paused", "olap")) as a:
    Reader(a).start(100)
    w = Worker(a)
    w.register("olap", 0, 1, durable=900)
    w.expect(REFUSED)
    a.wait_log('olap.* is paused')
EOF
}

@test "a slot that another walpipe has moved stays unproved while a sink is paused" {
    play <<'EOF'
with tempfile.TemporaryDirectory() as state:
    os.chmod(state, 0o700)
    with Ackd("dst=1 olap=1", state=state) as a:
        r = Reader(a).start(100)
    with Ackd("dst=1 olap=1", state=state, extra=("--paused", "olap")) as a:
        r = Reader(a).start(500)
        w = Worker(a).start("dst", 0, 1, durable=600)
        r.got(900)
        w.reached(900)
        r.never_more_than(500, 1.5)
        assert a.safe() == 100, "the checkpoint waits for the proof of olap"
    with Ackd("dst=1 olap=1", state=state) as a:
        r = Reader(a).start(500)
        w = Worker(a)
        w.register("olap", 0, 1, durable=400)
        w.expect(REFUSED)
        a.wait_log("the slot is ahead of what sink olap/0 found")
EOF
}

@test "a paused sink degrades the health, and the pages say since when it is paused" {
    play <<'EOF'
http = ("--http", "127.0.0.1:0")
since = int(time.time()) - 3600
with Ackd("dst=1 olap=2", extra=(*http, "--paused", "olap=%d" % since)) as a:
    r = Reader(a).start(100)
    w = Worker(a).start("dst", 0, 1)
    r.got(900)
    w.reached(900)
    a.wait_http("/healthz", 200, "sink dst/0: ok")
    lines = a.http("/healthz")[1].splitlines()
    assert lines[0] == "degraded: sink olap is paused, and walpipe resume --sink olap ends it", lines
    paused = "paused since " + time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(since))
    assert "sink olap/1: " + paused in lines, lines
    metrics = a.http("/metrics")[1]
    assert 'replicator_sink_paused{sink="dst"} 0\n' in metrics
    assert 'replicator_sink_paused{sink="olap"} 1\n' in metrics
    seconds = float(re.search(r'replicator_sink_paused_seconds\{sink="olap"\} (\S+)', metrics).group(1))
    assert 3600 <= seconds < 3660, seconds
    assert 'replicator_sink_paused_seconds{sink="dst"}' not in metrics
    assert 'replicator_target_up{sink="dst"' in metrics and 'replicator_target_up{sink="olap"' not in metrics
    s = json.loads(a.http("/status.json")[1])
    assert s["healthy"] and [x["state"] for x in s["workers"]] == ["ok", "paused", "paused"], s["workers"]
    assert s["sinks"] == [{"name": "dst", "shards": 1}, {"name": "olap", "shards": 2, "paused_since": since}]
    w.say(TARGET, False, "gone")
    a.wait_http("/healthz", 503, "sink dst/0: target down: gone")
    assert "degraded" not in a.http("/healthz")[1]
EOF
}

@test "a source that lost WAL which a paused sink has is refused, in each run of the pause" {
    play <<'EOF'
with tempfile.TemporaryDirectory() as state:
    os.chmod(state, 0o700)
    with Ackd("dst=1 olap=2", state=state) as a:
        r = Reader(a).start(100)
        workers = [Worker(a).start(*w) for w in (("dst", 0, 1), ("olap", 0, 2), ("olap", 1, 2))]
        r.got(900)
        for w, lsn in zip(workers, (400, 900, 500)):
            w.reached(lsn)
        r.say(DRAINING)
        for w in workers:
            w.say(FINISHED)
        r.drained()
        r.close()
        a.exit(0)
    with open(state + "/reached") as f:
        lines = f.read().splitlines()
        assert [x.split()[1:] for x in lines] == [["dst", "0/190"], ["olap", "0/384"]], lines
    # this run neither loses nor changes what is known of olap
    with Ackd("dst=1 olap=2", state=state, extra=("--paused", "olap")) as a:
        r = Reader(a).start(400)
        w = Worker(a).start("dst", 0, 1, durable=400)
        r.got(950)
        w.reached(950)
        r.slot(current=950, restart=50)
        r.slot(current=950, restart=50)
        r.say(DRAINING)
        w.say(FINISHED)
        r.drained()
        r.close()
        a.exit(0)
    with Ackd("dst=1 olap=2", state=state, extra=("--paused", "olap")) as a:
        r = Reader(a).start(400)
        w = Worker(a).start("dst", 0, 1, durable=400)
        r.slot(current=890, restart=50)
        r.slot(current=890, restart=50)
        a.exit(100, "WAL ends at 0/37A, before 0/384, which paused sink olap already has")
EOF
}

@test "--paused needs a sink that is there, and a time" {
    run "$WALPIPE_BIN/ackd" --socket "$BATS_TEST_TMPDIR/s" --state "$BATS_TEST_TMPDIR/d" --sink dst=1 --paused dst2=5
    [ "$status" -eq 100 ] && [[ $output == *'no --sink before it names \"dst2\"'* ]]
    run "$WALPIPE_BIN/ackd" --socket "$BATS_TEST_TMPDIR/s" --state "$BATS_TEST_TMPDIR/d" --sink dst=1 --paused dst=x
    [ "$status" -eq 100 ] && [[ $output == *'--paused'* ]]
}
