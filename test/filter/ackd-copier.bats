#!/usr/bin/env bats
# ackd alone: it passes the workers' messages about copies on to pg-table-read.

load ackd

@test "pg-table-read hears of the run when all workers are there, before or after it came" {
    play <<'PY'
with Ackd("dst=2") as a:
    c = Copier(a)
    r = Reader(a).start(100, system=42, timeline=3)
    w = [Worker(a).start("dst", 0, 2, version=2)]
    assert c.hear(0.3) is None
    w.append(Worker(a).start("dst", 1, 2, version=2))
    assert c.hear() == [RUN_IS, RUN_ID, 42, 3, "shop", "orders", 150000, 100, 60000, 0, 0, False]
with Ackd() as a:
    r = Reader(a).start(100)
    w = Worker(a).start()
    assert Copier(a).hear()[:4] == [RUN_IS, RUN_ID, 7, 1]
PY
}

@test "what workers say of a copy comes as it was said; answered comes behind the last answer" {
    play <<'PY'
with Ackd("a=2 b=1 old=1") as a:
    r = Reader(a).start(100)
    w = [Worker(a).start("a", 0, 2, version=2), Worker(a).start("a", 1, 2, version=2),
         Worker(a).start("b", 0, 1, version=2), Worker(a).start("old")]
    c = Copier(a).start()
    c.ask(0)
    c.ask(5, "a")
    for i, worker in enumerate(w[:3]):
        worker.say(TABLE_STATE, 0, 16384, 16385, "h", False, b"done")
        worker.say(TABLE_STATE, 0, 0, 0, "w", True, b"")
        where = ("a", i) if i < 2 else ("b", 0)
        assert c.relayed(*where) == [TABLE_STATE, RUN_ID, 0, 16384, 16385, "h", False, b"done"]
        assert c.relayed(*where) == [TABLE_STATE, RUN_ID, 0, 0, 0, "w", True, b""]
    assert c.expect(ANSWERED)[2:] == [0, 3]
    w[0].say(TABLE_STATE, 5, 1, 1, "w", True, b"")
    w[0].say(TABLE_STATE, 5, 1, 1, "w", True, b"")  # counts once
    w[2].say(TABLE_STATE, 5, 1, 1, "w", True, b"")  # was not asked
    for _ in range(3):
        c.expect(RELAYED)
    assert c.hear(0.2) is None
    w[1].say(TABLE_STATE, 5, 1, 1, "r", True, b"why")
    c.relayed("a", 1)
    assert c.expect(ANSWERED)[2:] == [5, 2]
    w[1].say(COPIED, 5, 9, True)
    w[1].say(MISSING, 5, b"k" * 512 * 1024)
    assert c.relayed("a", 1) == [COPIED, RUN_ID, 5, 9, True]
    assert c.relayed("a", 1) == [MISSING, RUN_ID, 5, b"k" * 512 * 1024]
PY
}

@test "a command that comes before pg-table-read waits for it; without one it is refused at once" {
    play <<'PY'
def command(a):
    peer = Peer(a, bytes(16))
    peer.say(CONTROL, 0, "resync", "", "public", "t")
    return peer

with Ackd() as a:
    r = Reader(a).start(100)
    w = Worker(a).start(version=2)
    early, left = command(a), command(a)
    assert early.hear(0.3) is None
    left.close()
    c = Copier(a).start()
    asked = c.expect(CONTROL)
    assert asked[3:] == ["resync", "", "public", "t"], asked
    c.say(CONTROLLED, asked[2], True, "", "")
    assert early.expect(CONTROLLED)[3] is True
    assert c.hear(0.3) is None
    late = command(a)
    number = c.expect(CONTROL)[2]
    c.say(CONTROLLED, number, False, "no", "")
    assert late.expect(CONTROLLED)[3:5] == [False, "no"]
    c.close()
    a.wait_log("pg-table-read is gone")
    assert "without pg-table-read" in command(a).expect(CONTROLLED)[4]
with Ackd() as a:
    r = Reader(a).start(100)
    w = Worker(a).start(version=1)
    assert "without pg-table-read" in command(a).expect(CONTROLLED)[4]
PY
}

@test "nobody reads copies: answered at once, by no worker" {
    play <<'PY'
with Ackd() as a:
    r, w = Reader(a).start(100), None
    w = Worker(a).start(version=1)
    c = Copier(a).start()
    c.ask(0)
    assert c.expect(ANSWERED)[2:] == [0, 0]
PY
}

@test "what pg-table-read asked before is heeded before a worker's answer" {
    play <<'PY'
with Ackd() as a:
    r = Reader(a).start(100)
    w = Worker(a).start(version=2)
    c = Copier(a).start()
    for life in range(1, 200):
        a.process.send_signal(signal.SIGSTOP)
        # Both wait when ackd goes on, and the worker's connection is the older one: it comes first.
        c.ask(life)
        w.say(TABLE_STATE, life, 1, 1, "w", True, b"")
        a.process.send_signal(signal.SIGCONT)
        c.expect(RELAYED)
        assert c.expect(ANSWERED)[2:] == [life, 1]
PY
}

@test "copies change nothing of what is confirmed, with pg-table-read alive, stuck or dead" {
    play <<'PY'
with Ackd("dst=2") as a:
    r = Reader(a).start(100)
    w = [Worker(a).start("dst", i, 2, version=2) for i in range(2)]
    c = Copier(a).start()
    r.got(900)
    c.ask(3)
    w[0].reached(900)
    for worker in w:
        worker.say(TABLE_STATE, 3, 1, 1, "w", True, b"")
        worker.say(COPIED, 3, 1, True)
    r.never_more_than(100, 0.5)
    w[1].reached(500)
    r.confirmed(500)
    # It reads no more. 16 MiB later its connection is closed, and nobody has waited.
    for n in range(60):
        w[1].say(MISSING, 3, b"x" * 500000)
    w[1].reached(800)
    r.confirmed(800)
    a.wait_log("closed the connection of pg-table-read: a peer on the ack socket does not read")
    c.close()
    w[0].say(MISSING, 3, b"nobody hears this")
    w[1].reached(900)
    r.confirmed(900)
    size = [l for l in open("/proc/%d/status" % a.process.pid) if l.startswith("VmRSS")][0]
    print(size)
    Copier(a).expect(REFUSED)  # its ranges and those of the first one could not be told apart
    r.say(DRAINING)
    for worker in w:
        worker.say(FINISHED)
    r.drained()
    r.close()
    a.exit(0)
PY
}

@test "pg-table-read hears that the source's stream has ended" {
    play <<'PY'
with Ackd() as a:
    r = Reader(a).start(100)
    w = Worker(a).start(version=2)
    c = Copier(a).start()
    r.got(900)
    r.say(DRAINING)
    c.expect(DRAINING)
    w.reached(900)
    w.say(FINISHED)
    r.drained()
    r.close()
    a.exit(0)
    c.expect_closed()
PY
}

@test "what pg-table-read may not say costs it its connection, and nobody else" {
    play <<'PY'
def refused(text, say):
    with Ackd("dst=1 old=1") as a:
        r = Reader(a).start(100)
        w = [Worker(a).start(version=2), Worker(a).start("old")]
        c = Copier(a).start()
        say(c)
        if text:
            message = c.hear()
            while message[0] == ANSWERED:
                message = c.hear()
            assert message[0] == REFUSED and text in message[2], message
        c.expect_closed()
        r.got(900)
        for worker in w:
            worker.reached(900)
        r.confirmed(900)

refused('there is no sink "no"', lambda c: c.ask(1, "no"))
refused('sink "old" does not read copies', lambda c: c.ask(1, "old"))
refused("asked of twice", lambda c: [c.ask(1), c.ask(1)])
refused("more than 256 lives", lambda c: [c.ask(n) for n in range(257)])
refused(None, lambda c: c.say(REACHED, 900, 0, 0, 0))
refused(None, lambda c: c.say(SOURCE, 7, 1, "shop", "orders", 150000, 100, 60000, 0, 0))
refused(None, lambda c: c.say(ASK, 1, [], run=OTHER_RUN))
with Ackd() as a:
    c = Copier(a)
    second = Copier(a)
    assert "another pg-table-read" in second.expect(REFUSED)[2]
    second.expect_closed()
    c.say(ASK, 1, [])  # before the run
    c.expect_closed()
    r = Reader(a).start(100)
    w = Worker(a).start()
    Copier(a).start()
PY
}

@test "a worker that does not read copies and speaks of one has a bug" {
    play <<'PY'
with Ackd() as a:
    r = Reader(a).start(100)
    w = Worker(a).start()
    w.say(COPIED, 1, 1, True)
    a.exit(101, "worker dst/0 spoke of a copy, but does not read copies")
PY
}
