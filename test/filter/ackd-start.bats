#!/usr/bin/env bats
# ackd alone: what it finds at its start in its checkpoint, at the slot and in the targets.

load ackd

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
    a.wait_log("every target has all changes up to the slot's position 0/164")
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
    assert a.http("/readyz") == (200, "standby\n"), a.http("/readyz")
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
    a.wait_log('sink ."olap." is new to this pipeline: it gets the changes after 0/64')
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
Ackd(state=state).exit(100, "is open to other users .mode 0750.*chmod 0700")
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
