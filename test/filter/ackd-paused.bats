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
