#!/usr/bin/env bats
# ackd alone, between a fake pg-wal-read and fake workers (ackd_fake.py).

setup() {
    here=$BATS_TEST_DIRNAME
    export WALPIPE_BIN=${WALPIPE_BIN:-$here/../../build/asan/bin}
    export PYTHONPATH=$here PYTHONDONTWRITEBYTECODE=1
    export TMPDIR=$BATS_TEST_TMPDIR
}

# Runs the Python program on stdin.
play() {
    { echo 'from ackd_fake import *'; cat; } >"$BATS_TEST_TMPDIR/play.py"
    timeout 60 /usr/bin/python3 "$BATS_TEST_TMPDIR/play.py" 3>&-
}

# ---- the ack rule ----

@test "the slowest worker decides what is confirmed, and the checkpoint is written first (traps 8, 163)" {
    play <<'EOF'
with Ackd("dst=2") as a:
    r = Reader(a).start(100)
    assert a.safe() == 100, "the first checkpoint is there before the reader is accepted"
    w = [Worker(a).start("dst", i, 2) for i in range(2)]
    r.got(900)
    w[0].reached(700)
    w[1].reached(300)
    assert r.confirmed(300) == (900, 300)
    w[1].reached(800)
    assert r.confirmed(700) == (900, 700)
    c = a.checkpoint()
    assert c["safe_lsn"] == "0/2BC" and c["slot"] == "orders" and c["database"] == "shop"
    assert c["system_identifier"] == "7" and c["timeline"] == "1" and c["sinks"] == "dst/2"
    assert os.stat(a.checkpoint_path).st_mode & 0o777 == 0o600
    assert os.stat(a.socket_path).st_mode & 0o777 == 0o600
EOF
}

@test "an LSN is never sent before its checkpoint is on disk (trap 15)" {
    play <<'EOF'
with Ackd() as a:
    r = Reader(a).start(100)
    w = Worker(a).start()
    r.got(1000000)
    for lsn in range(1000, 300000, 997):
        w.reached(lsn)
        got = r.feedback(0.002)
        while got:
            assert got[1] <= a.safe(), "%r was sent, the checkpoint says %#x" % (got, a.safe())
            got = r.feedback(0)
EOF
}

@test "nothing is confirmed until every worker has registered and reported (trap 160)" {
    play <<'EOF'
with Ackd("dst=1 olap=2") as a:
    r = Reader(a).start(100, timeout=600)
    one = Worker(a).start("dst", 0, 1)
    two = Worker(a).start("olap", 1, 2)
    r.got(900)
    one.reached(900)
    two.reached(900)
    r.never_more_than(100, 1)
    three = Worker(a).start("olap", 0, 2)
    r.never_more_than(100, 0.5)
    three.reached(500)
    r.confirmed(500)
EOF
}

@test "a worker that knows its progress need not report first" {
    play <<'EOF'
with Ackd("dst=1 olap=1") as a:
    r = Reader(a).start(100)
    Worker(a).start("dst", 0, 1, durable=400)
    olap = Worker(a).start("olap", 0, 1)
    r.got(350)
    olap.reached(300)
    r.never_more_than(100, 0.3)  # a target is ahead of what was received: a replay
    r.got(500)
    r.confirmed(300)
    olap.reached(450)
    r.confirmed(400)
EOF
}

@test "the bug was that a worker ahead of a replay could not repeat its progress: 101 at every start" {
    play <<'EOF'
with Ackd("dst=1 olap=1") as a:
    r = Reader(a).start(100)
    dst = Worker(a).start("dst", 0, 1, durable=400)
    olap = Worker(a).start("olap", 0, 1)
    r.got(150)
    dst.reached(400)
    olap.reached(150)
    r.never_more_than(100, 0.3)
    r.got(400)
    r.confirmed(150)
    olap.reached(400)
    r.confirmed(400)
EOF
}

@test "a report that overtakes pg-wal-read's is no error" {
    play <<'EOF'
with Ackd() as a:
    r = Reader(a).start(100)
    w = Worker(a).start()
    for lsn in range(200, 3000):
        r.got(lsn)  # always first, but on another socket
        w.reached(lsn)
    r.confirmed(2999)
EOF
}

@test "a worker that goes back ends the run with 101, and nothing is confirmed for it (traps 12, 164)" {
    play <<'EOF'
with Ackd() as a:
    r = Reader(a).start(100)
    w = Worker(a).start()
    r.got(900)
    w.reached(500)
    r.confirmed(500)
    w.reached(499)
    a.exit(101, "worker dst/0 went back: it reported 0/1F3 after 0/1F4")
    assert a.safe() == 500
EOF
}

@test "a worker that reports what was never received ends the run with 101 (trap 11)" {
    play <<'EOF'
with Ackd() as a:
    r = Reader(a).start(100)
    w = Worker(a).start()
    r.got(900)
    w.reached(2**63)
    a.exit(101, "worker dst/0 reported 80000000/0 as durable, but only 0/384 was received")
    assert a.safe() == 100
EOF
}

@test "reports below the start of a replay are no news and no error (traps 13, 168)" {
    play <<'EOF'
with Ackd() as a:
    r = Reader(a).start(100)
    w = Worker(a).start(durable=600)
    r.got(50)
    r.got(700)
    w.reached(40)
    w.reached(300)
    r.confirmed(600)
    w.reached(700)
    r.confirmed(700)
EOF
}

# ---- runs ----

@test "a worker of another run is turned away and counts for nothing (trap 161)" {
    play <<'EOF'
with Ackd() as a:
    early = Worker(a)
    early.register()
    early.expect_closed()  # no run has begun
    r = Reader(a).start(100)
    stale = Worker(a, run=OTHER_RUN)
    stale.register()
    try:
        stale.reached(900)
        stale.expect_closed()
    except BrokenPipeError:
        pass  # closed before it could say so
    a.wait_log("turned away worker dst/0 of another run \\(0102030405060708090a0b0c0d0e0f10\\)")
    w = Worker(a).start()
    r.got(900)
    r.never_more_than(100, 0.5)
    w.reached(500)
    r.confirmed(500)
    w.say(REACHED, 900, 0, 0, 0, run=OTHER_RUN)
    a.exit(101, "worker dst/0: sent a message of another run")
EOF
}

@test "unknown sinks, shards and second registrations are refused, the run goes on (traps 167, 169)" {
    play <<'EOF'
with Ackd("dst=2") as a:
    r = Reader(a).start(100)
    w = [Worker(a).start("dst", i, 2) for i in range(2)]
    for args, message in ((("other", 0, 1), 'there is no sink "other"'),
                          (("dst", 0, 3), "has 2 shards, not shard 0 of 3"),
                          (("dst", 2, 2), "has 2 shards, not shard 2 of 2"),
                          (("dst", 1, 2), "dst/1 is registered already")):
        p = Worker(a)
        p.register(*args)
        refusal = p.expect(REFUSED)
        assert message in refusal[2] and refusal[3], refusal
        p.expect_closed()
    r.got(900)
    for p in w:
        p.reached(900)
    r.confirmed(900)
EOF
}

@test "a second pg-wal-read is refused while one is connected" {
    play <<'EOF'
with Ackd() as a:
    r = Reader(a).start(100)
    w = Worker(a).start()
    second = Reader(a, run=OTHER_RUN)
    second.source(100)
    assert "another pg-wal-read" in second.expect(REFUSED)[2]
    second.expect_closed()
    r.got(900)
    w.reached(900)
    r.confirmed(900)
EOF
}

@test "a lost worker ends the run with 111 and is named (trap 162)" {
    play <<'EOF'
with Ackd("dst=2") as a:
    r = Reader(a).start(100)
    w = [Worker(a).start("dst", i, 2) for i in range(2)]
    w[1].close()
    a.exit(111, "worker dst/1 disconnected before it finished")
with Ackd() as a:
    r = Reader(a).start(100)
    w = Worker(a).start()
    r.close()
    a.exit(111, "pg-wal-read disconnected before the pipeline was drained")
with Ackd("dst=2") as a:
    r = Reader(a).start(100)
    w = [Worker(a).start("dst", i, 2) for i in range(2)]
    r.say(DRAINING)
    w[0].say(FINISHED)
    r.close()  # "drained" was not said: not a clean end
    a.exit(111, "pg-wal-read disconnected before the pipeline was drained")
EOF
}

# ---- starts ----

@test "without a slot and a checkpoint the reader may create the slot" {
    play <<'EOF'
with Ackd() as a:
    r = Reader(a).start(0)
    assert not os.path.exists(a.checkpoint_path)
    r.start(0x123456789)
    assert a.safe() == 0x123456789
    w = Worker(a).start()
    r.got(0x200000000)
    w.reached(0x200000000)
    r.confirmed(0x200000000)
EOF
}

@test "a slot ahead of the checkpoint: a sink that cannot tell is refused, again and again (trap 15)" {
    play <<'EOF'
with Ackd() as a:
    Reader(a).start(100)
    state = a.state
    a.own = False
for durable, what in ((0, "cannot tell whether its target has"), (355, "ahead of what sink dst/0 found")):
    for again in (1, 2):
        with Ackd(state=state) as a:
            r = Reader(a).start(356)
            a.wait_log("0/164, ahead of the checkpoint at 0/64: either another walpipe")
            r.got(1000, reply=True)
            r.never_more_than(356, 0.3)
            w = Worker(a)
            w.register(durable=durable)
            refusal = w.expect(REFUSED)
            assert what in refusal[2] and "0/164" in refusal[2], refusal
            assert (durable and "1 bytes" or "256 bytes") in refusal[2], refusal
            w.expect_closed()
            assert a.safe() == 100, "nothing is noted that is not proved"
with Ackd(state=state) as a:
    Reader(a).start(99)  # forgotten by the source in a crash: trap 13
    assert a.safe() == 100, "the checkpoint never goes down"
shutil.rmtree(state)
EOF
}

@test "a slot ahead of the checkpoint: every sink's target must prove that it has it all (trap 15)" {
    play <<'EOF'
with Ackd("dst=2") as a:
    Reader(a).start(100)
    state = a.state
    a.own = False
with Ackd("dst=2", state=state) as a:
    r = Reader(a).start(356)
    first = Worker(a).start("dst", 0, 2, durable=356)
    r.got(1000)
    first.reached(900)
    r.never_more_than(356, 0.3)
    assert a.safe() == 100, "one of two is no proof"
    second = Worker(a).start("dst", 1, 2, durable=400)
    second.reached(800)
    r.confirmed(800)
    a.wait_log("every target has what the slot says, up to 0/164")
    assert a.safe() == 800
with Ackd("dst=2", state=state) as a:
    Reader(a).start(800)
    assert "ahead of the checkpoint" not in a.log()
shutil.rmtree(state)
EOF
}

@test "what the reader waits for, and a slot that another one was faster to take" {
    play <<'EOF'
with Ackd(extra=("--http", "127.0.0.1:0")) as a:
    r = Reader(a)
    r.waits("slot x is in use by 7")
    r.waits("slot x is in use by 8")
    a.wait_http("/healthz", 503, "source: standby: slot x is in use by 8")
    a.wait_http("/metrics", 200, "replicator_standby 1")
    r.source(100)
    r.expect(ACCEPTED)
    # the slot was free and is not any more
    r.waits("slot x is in use by 9")
    a.wait_http("/healthz", 503, "source: standby: slot x is in use by 9")
    r.source(200)
    while r.hear()[0] != ACCEPTED:
        pass
    a.wait_http("/metrics", 200, "replicator_standby 0")
    w = Worker(a)
    w.register(durable=150)
    w.expect(REFUSED)
    w = Worker(a).start(durable=200)
    r.got(300)
    w.reached(300)
    r.confirmed(300)
    # but not in the middle of a run
    r.waits("for what?")
    a.exit(101, "in the middle of its run")
with Ackd() as a:
    r = Reader(a)
    r.waits("slot x is in use by 7")
    r.close()
    a.exit(111, "before a run began")
with Ackd() as a:
    r = Reader(a)
    r.waits("the slot is being made", standby=False)
    a.process.terminate()
    a.exit(0, "stopped before a run began")
EOF
}

@test "a slot that is gone, another cluster, database or slot are refused (traps 15, 16)" {
    play <<'EOF'
with Ackd() as a:
    Reader(a).start(100)
    state = a.state
    a.own = False
for change, message in (({"confirmed": 0}, 'slot "orders" is gone'),
                        ({"system": 8}, "another cluster"),
                        ({"database": "shop2"}, 'database "shop2"'),
                        ({"slot": "orders2"}, 'slot is "orders2"'),
                        ({"timeline": 0}, "later timeline 1")):
    with Ackd(state=state) as a:
        r = Reader(a)
        r.source(**{"confirmed": 100, **change})
        assert message in r.expect(REFUSED)[2]
        a.exit(100, "exit_code\":100")
shutil.rmtree(state)
EOF
}

@test "after a promotion: a slot that came along is accepted with a warning, one ahead must be proved (trap 16)" {
    play <<'EOF'
with Ackd() as a:
    Reader(a).start(100)
    state = a.state
    a.own = False
with Ackd(state=state) as a:
    r = Reader(a).start(101, timeline=2)
    w = Worker(a)
    w.register()
    w.expect(REFUSED)
    assert a.safe() == 100 and a.checkpoint()["timeline"] == "1"
with Ackd(state=state) as a:
    r = Reader(a).start(90, timeline=2)
    a.wait_log("warning.*from timeline 1 to 2")
    assert a.safe() == 90 and a.checkpoint()["timeline"] == "2"
    r.slot(current=200)
    r.slot(current=200)
with Ackd(state=state) as a:
    r = Reader(a).start(90, timeline=3)
    r.slot(current=89)  # the new primary never had what was confirmed
    r.slot(current=89)
    a.exit(100, "the source lost WAL")
shutil.rmtree(state)
EOF
}

@test "a target whose progress is of the timeline before: up to where they part (trap 16)" {
    play <<'EOF'
with Ackd() as a:
    r = Reader(a).start(100, timeline=3, previous=2, switch=150)
    for timeline, durable, message in ((2, 151, "left timeline 2 at 0/96, and sink dst/0 found"),
                                       (1, 120, "of timeline 1, the source is on timeline 3"),
                                       (2, 99, "the slot is ahead of what sink dst/0 found")):
        w = Worker(a)
        w.register(durable=durable, timeline=timeline)
        assert message in w.expect(REFUSED)[2], message
        w.expect_closed()
    w = Worker(a).start(durable=150, timeline=2)
    r.got(900)
    w.reached(900)
    r.confirmed(900)
with Ackd() as a:
    Reader(a).start(100, timeline=3)  # the source does not tell where it began
    w = Worker(a)
    w.register(durable=100, timeline=2)
    w.expect(REFUSED)
    Worker(a).start(durable=500, timeline=3)
EOF
}

@test "a target that is behind the slot, or ahead of the source's WAL, is refused (traps 15, 112)" {
    play <<'EOF'
with Ackd() as a:
    r = Reader(a).start(100)
    w = Worker(a)
    w.register(durable=99)
    refusal = w.expect(REFUSED)
    assert "the slot is ahead of what sink dst/0 found" in refusal[2], refusal
    w.expect_closed()
    w = Worker(a).start(durable=500)
    r.slot(current=499)
    r.slot(current=500)
    r.slot(current=499)
    r.slot(current=499)
    a.exit(100, "WAL ends at 0/1F3, before 0/1F4, which sink dst/0 already has")
EOF
}

@test "a new sink in an old pipeline is pointed out (trap 167)" {
    play <<'EOF'
with Ackd("dst=1") as a:
    Reader(a).start(100)
    state = a.state
    a.own = False
with Ackd("dst=2 olap=1", state=state) as a:
    Reader(a).start(100)
    a.wait_log('sink ."olap." is new to this pipeline: it gets changes after 0/64')
    a.wait_log('sink ."dst." had 1 shards and has 2 now')
    assert a.checkpoint()["sinks"] == "dst/2 olap/1"
with Ackd("olap=1 dst=2", state=state) as a:
    Reader(a).start(100)
    assert "warning" not in a.log()
shutil.rmtree(state)
EOF
}

@test "a damaged, foreign or unreadable checkpoint is refused at the start (trap 163)" {
    play <<'EOF'
with Ackd() as a:
    Reader(a).start(100)
    state, path = a.state, a.checkpoint_path
    a.own = False
good = open(path).read()
lines = good[:good.index("check=")]
assert sealed(lines) == good

def refused(text, why, **more):
    with open(path, "w") as f:
        f.write(text)
    a = Ackd(state=state, **more)
    a.exit(100, why)
    assert path in a.log()
    os.unlink(a.log_path)
    assert open(path).read() == text, "it was left alone"

refused("", "it is empty")
refused(good[:-1], "check line does not match")
refused(good.replace("0/64", "0/65"), "check line does not match")
refused(sealed(lines.replace("format=1", "format=2")), "its format is not 1")
refused(sealed(lines.replace("slot=orders\n", "")), "a line is missing")
refused(sealed(lines.replace("pipeline=orders", "pipeline=other")), "belongs to pipeline")
refused(good, "belongs to pipeline", pipeline="other")
os.unlink(path)
os.mkdir(path)
a = Ackd(state=state).exit(100, "cannot use checkpoint")
shutil.rmtree(state)
EOF
}

@test "kill -9 and a new start keep the checkpoint (trap 163)" {
    play <<'EOF'
with Ackd() as a:
    r = Reader(a).start(100)
    w = Worker(a).start()
    r.got(900)
    w.reached(700)
    r.confirmed(700)
    a.kill()
    state = a.state
    a.own = False
with Ackd(state=state) as a:  # over the stale socket: trap 147
    assert a.safe() == 700
    r = Reader(a, run=OTHER_RUN).start(650)
    w = Worker(a, run=OTHER_RUN).start()
    r.got(660)
    w.reached(660)
    r.confirmed(660)
    assert a.safe() == 700
    r.got(900)
    w.reached(800)
    r.confirmed(800)
    assert a.safe() == 800
shutil.rmtree(state)
EOF
}

@test "a checkpoint that cannot be written holds the confirmation back until it can (trap 151)" {
    play <<'EOF'
with Ackd(extra=("--http", "127.0.0.1:0")) as a:
    r = Reader(a).start(100, timeout=600)
    w = Worker(a).start()
    r.got(900)
    os.mkdir(a.checkpoint_path + ".tmp")
    w.reached(700)
    a.wait_log("error.*could not write checkpoint.*nothing is confirmed beyond 0/64")
    r.never_more_than(100, 1.5)
    status, body = a.http("/healthz")
    assert status == 503 and "checkpoint: could not be written" in body, body
    assert "replicator_checkpoint_up 0" in a.http("/metrics")[1]
    w.reached(800)
    os.rmdir(a.checkpoint_path + ".tmp")
    r.confirmed(800)
    assert a.http("/healthz")[0] == 200
EOF
}

@test "a state directory that others may use is refused, a missing one is made (trap 145)" {
    play <<'EOF'
base = tempfile.mkdtemp()
state = os.path.join(base, "made")
with Ackd(state=state) as a:
    assert os.stat(state).st_mode & 0o7777 == 0o700
os.chmod(state, 0o750)
Ackd(state=state).exit(100, "has mode 0750, others may use it.*chmod 0700")
os.chmod(state, 0o700)
if os.geteuid() == 0:
    os.chown(state, 1, 1)
    Ackd(state=state).exit(100, "belongs to user id 1, not to 0")
Ackd(state=os.path.join(base, "no", "such")).exit(100, "could not make state directory")
EOF
}

@test "two ackds for one directory or one socket: the second is refused (trap 147)" {
    play <<'EOF'
with Ackd() as a:
    r = Reader(a).start(100)
    Ackd(state=a.state).exit(111, "is in use by another ackd")
    done = subprocess.run([BIN + "/ackd", "--state", tempfile.mkdtemp(), "--sink", "dst=1",
                           "--socket", a.socket_path], stderr=subprocess.PIPE, text=True)
    assert done.returncode == 111 and "is in use by another process" in done.stderr, done
    w = Worker(a).start()
    r.got(900)
    w.reached(900)
    r.confirmed(900)
EOF
}

# ---- feedback ----

@test "feedback goes on a timer of a third of wal_sender_timeout, with nothing new to say (traps 5, 6)" {
    play <<'EOF'
with Ackd() as a:
    r = Reader(a).start(100, timeout=900)
    w = Worker(a).start()
    begin = time.monotonic()
    got = [r.feedback(2) for i in range(4)]
    assert got == [(100, 100)] * 4, got
    assert 0.6 < time.monotonic() - begin < 2.5
    assert r.asked  # for a sign of life
    r.got(900)
    w.reached(900)
    r.confirmed(900)
    assert not r.asked  # what has news needs no answer
EOF
}

@test "a reply request is answered at once, a storm of them ten times a second (traps 3, 4)" {
    play <<'EOF'
with Ackd() as a:
    r = Reader(a).start(100)
    Worker(a).start()
    r.got(900, reply=True)
    assert r.feedback(0.5) == (900, 100)
    count, deadline = 0, time.monotonic() + 2
    while time.monotonic() < deadline:
        r.got(900, reply=True)
        count += r.feedback(0.001) is not None
    assert 10 <= count <= 25, count
EOF
}

@test "news of the received LSN alone goes once a second (trap 3)" {
    play <<'EOF'
with Ackd() as a:
    r = Reader(a).start(100)
    Worker(a).start()
    count, lsn, deadline = 0, 1000, time.monotonic() + 3.5
    while time.monotonic() < deadline:
        lsn += 1
        r.got(lsn)
        count += r.feedback(0.001) is not None
    assert 3 <= count <= 5, count
EOF
}

@test "a flood of reports becomes at most a hundred confirmations a second (trap 172)" {
    play <<'EOF'
with Ackd() as a:
    r = Reader(a).start(100)
    w = Worker(a).start()
    r.got(10**9)
    count, lsn, begin = 0, 1000, time.monotonic()
    while time.monotonic() < begin + 2:
        lsn += 1
        w.reached(lsn)
        count += r.feedback(0) is not None
    r.confirmed(lsn)
    assert 5 <= count <= 210, count
EOF
}

# ---- barriers ----

@test "a barrier: the applier goes first, then the others" {
    play <<'EOF'
with Ackd("dst=3 olap=1") as a:
    Reader(a).start(100)
    w = [Worker(a).start("dst", i, 3) for i in range(3)]
    Worker(a).start("olap", 0, 1)
    for barrier in (1, 2):
        w[0].say(BARRIER_REACHED, barrier, 1)
        w[1].say(BARRIER_REACHED, barrier, 1)
        assert w[0].hear(0.2) is None and w[1].hear(0.2) is None
        w[2].say(BARRIER_REACHED, barrier, 1)
        assert w[1].expect(GO)[2] == barrier
        assert w[0].hear(0.2) is None and w[2].hear(0.2) is None
        w[1].say(BARRIER_DONE, barrier)
        assert w[0].expect(GO)[2] == barrier and w[2].expect(GO)[2] == barrier
        assert w[1].hear(0.1) is None
EOF
}

@test "workers that disagree about a barrier end the run with 101" {
    play <<'EOF'
with Ackd("dst=2") as a:
    Reader(a).start(100)
    w = [Worker(a).start("dst", i, 2) for i in range(2)]
    w[0].say(BARRIER_REACHED, 1, 0)
    w[1].say(BARRIER_REACHED, 1, 1)
    a.exit(101, "wait at another barrier")
EOF
}

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
    body = msgpack.packb([REGISTER, RUN, "fake", "dst", 0, 1, 0], use_bin_type=True)
    for byte in struct.pack(">I", len(body)) + body:
        w.raw(bytes([byte]))
    w.expect(ACCEPTED)
    r.got(10**6)
    block = b""
    for lsn in range(1000, 21000):
        body = msgpack.packb([REACHED, RUN, lsn, 1, 0, 0], use_bin_type=True)
        block += struct.pack(">I", len(body)) + body
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
    olap.say(TARGET, True, "")
    a.wait_log("target of olap/0 is back")
    health(200, "sink olap/0: ok")
    r.got(200)
    a.wait_http("/healthz", 200, "sink dst/0: busy or stuck: silent for ")
    assert a.http("/healthz", "HEAD") == (200, "")
    assert a.http("/")[0] == 404 and a.http("/metrics/x")[0] == 404
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
    r.slot(current=1100, status="unreserved", safe=-1)
    r.got(901, reply=True)
    r.feedback()
    assert "replicator_slot_safe_wal_size_bytes +Inf" in a.http("/metrics")[1]
    a.wait_log('warning.*replication slot ."orders." is unreserved')
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
    workers = [x for x in now if isinstance(x, list)][-1]
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
