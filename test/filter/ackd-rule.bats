#!/usr/bin/env bats
# ackd alone: what is confirmed, when, in whose run; feedback and barriers.

load ackd

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
    a.wait_log("refused worker dst/0 of another run \\(0102030405060708090a0b0c0d0e0f10\\)")
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
