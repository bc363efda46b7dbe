#!/usr/bin/env bats
# ackd alone: who is detached, and when, and the run without a detached sink.

load ackd

@test "the others are confirmed without a detached sink, drain, and prove a slot that was moved" {
    play <<'EOF'
with tempfile.TemporaryDirectory() as state:
    os.chmod(state, 0o700)
    with Ackd("dst=1 olap=2", state=state, extra=("--detached", "olap")) as a:
        r = Reader(a).start(100)
        w = Worker(a).start("dst", 0, 1)
        r.got(900)
        w.reached(900)
        r.confirmed(900)
        r.say(DRAINING)
        w.say(FINISHED)
        r.drained()
        assert a.checkpoint()["safe_lsn"] == "0/384", a.checkpoint()
    with Ackd("dst=1 olap=2", state=state, extra=("--detached", "olap")) as a:
        r = Reader(a).start(1500)
        w = Worker(a).start("dst", 0, 1, durable=1600)
        r.got(1600)
        w.reached(1600)
        r.confirmed(1600)
EOF
}

@test "a worker of a detached sink is refused, and some sink must be attached" {
    play <<'EOF'
with Ackd("dst=1 olap=1", extra=("--detached", "olap=5")) as a:
    Reader(a).start(100)
    w = Worker(a)
    w.register("olap", 0, 1, durable=900)
    w.expect(REFUSED)
    a.wait_log('olap.* is detached')
EOF
    for arguments in "--detached a --detached b" "--detached c" "--detach-after a" "--detach-after a=0"; do
        # shellcheck disable=SC2086 # several words
        run "$WALPIPE_BIN/ackd" --socket "$BATS_TEST_TMPDIR/s" --state "$BATS_TEST_TMPDIR/d" --sink a=1 --sink b=1 $arguments
        [ "$status" -eq 100 ] || return 1
    done
}

@test "a paused sink is detached beyond the limit, when its file is on disk, and not before" {
    play <<'EOF'
with tempfile.TemporaryDirectory() as state:
    os.chmod(state, 0o700)
    # nothing in a target that it never reached would tell later what it lacks
    with Ackd("dst=1 olap=1", state=state, extra=("--paused", "olap", "--detach-after", "olap=1000")) as a:
        r = Reader(a).start(100)
        Worker(a).start("dst", 0, 1)
        r.slot(current=9000)
        r.never_more_than(100, 1)
        assert not os.path.exists(state + "/detached.olap")
    os.unlink(a.socket_path) if os.path.exists(a.socket_path) else None
    with open(state + "/reached", "w") as f:
        f.write("7 olap 0/64\n")
    with Ackd("dst=1 olap=1", state=state, extra=("--paused", "olap", "--detach-after", "olap=1000")) as a:
        r = Reader(a).start(100)
        w = Worker(a).start("dst", 0, 1)
        r.slot(current=1100)
        r.got(1100)
        w.reached(1100)
        r.never_more_than(100, 1)
        # a file that cannot be written detaches nobody
        os.mkdir(state + "/detached.olap")
        r.slot(current=1101)
        a.wait_log("sink olap cannot be detached")
        r.never_more_than(100, 1)
        os.rmdir(state + "/detached.olap")
        r.slot(current=1101)
        a.exit(111, "sink olap is detached: it is paused, and is 1001 bytes of WAL behind")
        with open(state + "/detached.olap") as f:
            lines = f.read().splitlines()
            assert lines[0].startswith("since=") and lines[1] == "lsn=0/64" and lines[2].startswith("why="), lines
    # a supervisor that starts the sink nevertheless
    with Ackd("dst=1 olap=1", state=state, extra=("--paused", "olap", "--detach-after", "olap=1000")) as a:
        r = Reader(a).start(100)
        Worker(a).start("dst", 0, 1)
        r.slot(current=1101)
        a.exit(100, "is detached since an earlier run, but was started")
EOF
}

@test "a failing sink is detached after 30 seconds, a slow one and the last one never" {
    play <<'EOF'
def case(name, end, *extra, sinks="dst=1 olap=1"):
    at = time.monotonic() # earlier than ackd's
    state = tempfile.mkdtemp(prefix="ackd.")
    if name == "missing":
        with open(state + "/reached", "w") as f:
            f.write("7 olap 0/64\n")
    a = Ackd(sinks, state=state, extra=extra)
    a.__enter__()
    r = Reader(a).start(100)
    workers = {s: Worker(a).start(s, 0, 1) for s in ("dst", "olap") if not (name in ("missing", "never") and s == "olap")}
    r.got(9000)
    workers["dst"].reached(9000)
    if name in ("down", "alone"):
        workers["olap"].say(TARGET, False, "gone")
    if name == "back":
        workers["olap"].say(TARGET, False, "gone")
    return name, a, r, workers, end, at

limit = ("--detach-after", "olap=1000")
cases = [case("slow", None, *limit), case("down", "its target does not answer", *limit),
         case("missing", "its target does not answer", *limit), case("never", None, *limit),
         case("back", None, *limit),
         case("without", None), case("alone", None, *limit, "--paused", "third", sinks="dst=1 olap=1 third=1")]
begun = time.monotonic()
while time.monotonic() - begun < 34:
    time.sleep(1)
    for name, a, r, workers, end, at in cases:
        young, age = a.process.poll() is None, time.monotonic() - at
        try:
            r.slot(current=9000)
            if name == "back" and 14 < age < 17:
                workers["olap"].say(TARGET, True, "")
                workers["olap"].say(TARGET, False, "gone")
        except OSError:
            pass # it has ended, or is about to
        assert young or age >= 30, "%s is detached too early:\n%s" % (name, a.log())
for name, a, r, workers, end, at in cases:
    if end is not None:
        a.exit(111, "sink olap is detached: " + end)
    elif name != "alone":
        assert a.process.poll() is None, "%s is detached:\n%s" % (name, a.log())
for name, a, r, workers, end, at in cases:
    a.__exit__(None, None, None)
EOF
}

@test "a target behind the slot: its sink is detached, if it may be, and otherwise refused" {
    play <<'EOF'
with Ackd("dst=1 olap=1", extra=("--detach-after", "olap=1000")) as a:
    Reader(a).start(500)
    Worker(a).register("olap", 0, 1, durable=400)
    a.exit(111, "sink olap is detached: the source has removed changes that its target lacks; its target has the changes up to 0/190")
for sinks, extra in (("dst=1 olap=1", ()), ("dst=1 olap=1", ("--detach-after", "olap=1000", "--detached", "dst")),
                     ("olap=1", ("--detach-after", "olap=1000"))):
    with Ackd(sinks, extra=extra) as a:
        Reader(a).start(500)
        w = Worker(a)
        w.register("olap", 0, 1, durable=400)
        w.expect(REFUSED)
EOF
}

@test "a detached sink degrades the health, and the pages say since when and from where on it lacks changes" {
    play <<'EOF'
since = int(time.time()) - 3600
with tempfile.TemporaryDirectory() as state:
    os.chmod(state, 0o700)
    with open(state + "/detached.olap", "w") as f:
        f.write("since=%d\nlsn=0/64\nwhy=x\n" % since)
    with Ackd("dst=1 olap=2", state=state, extra=("--http", "127.0.0.1:0", "--detached", "olap=%d" % since)) as a:
        r = Reader(a).start(500)
        w = Worker(a).start("dst", 0, 1)
        r.got(900)
        w.reached(900)
        a.wait_http("/healthz", 200, "sink dst/0: ok")
        lines = a.http("/healthz")[1].splitlines()
        assert lines[0] == "degraded: sink olap is detached, and walpipe resume --sink olap brings it back", lines
        at = "detached since " + time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(since))
        assert "sink olap/1: " + at + ": its tables lack changes" in lines, lines
        metrics = a.http("/metrics")[1]
        assert 'replicator_sink_detached{sink="dst"} 0\n' in metrics and 'replicator_sink_detached{sink="olap"} 1\n' in metrics
        assert 'replicator_sink_paused{sink="olap"} 0\n' in metrics and 'replicator_sink_paused_seconds' not in metrics
        assert 3600 <= float(re.search(r'replicator_sink_detached_seconds\{sink="olap"\} (\S+)', metrics).group(1)) < 3660
        assert 'replicator_worker_lag_bytes{sink="olap",shard="0"} 800\n' in metrics, metrics
        assert 'replicator_target_up{sink="olap"' not in metrics
        s = json.loads(a.http("/status.json")[1])
        assert s["healthy"] and [x["state"] for x in s["workers"]] == ["ok", "detached", "detached"], s["workers"]
        assert s["sinks"][1] == {"name": "olap", "shards": 2, "detached_since": since}, s["sinks"]
EOF
}
