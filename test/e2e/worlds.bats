#!/usr/bin/env bats
# Random set-ups, shortly; `make worlds` has more time. test/worlds/worlds.py --world SEED.N repeats
# one of them, with everything that it does.

bats_require_minimum_version 1.5.0

worlds() {
    "$BATS_TEST_DIRNAME/../worlds/worlds.py" --out "$BATS_TEST_TMPDIR/worlds" "$@" 3>&-
}

@test "the small worlds that ended wrong once: equal, or refused where nothing else is right" {
    worlds --fixed --installed
}

@test "random worlds: every one ends equal, or refused before anything wrong is confirmed" {
    worlds --seed 7 --seconds 25 --installed
}

@test "random worlds with copies, of which damaged ones are copied again: equal, or refused" {
    worlds --seed 13 --seconds 30 --installed --copies 1
}

@test "worlds: a pipeline that fails at the same change again and again does not get on" {
    cd "$BATS_TEST_DIRNAME/../worlds"
    python3 -B - <<'EOF_PY'
import progress

class Fake:
    time, runs = 0.0, 0
    def worked(self):
        return 0
    def durable(self):  # runs of 8 s, each of which comes as far as 30 changes
        return {"dst/0": min(30, int(self.time % 8 * 10))} if self.time % 8 > 1 else {}

fake = Fake()
judge = progress.Progress(fake, 20, lambda: fake.time)
while not judge.hangs("0/1"):
    fake.time += 0.1
    assert fake.time < 30, "a loop is taken for progress"
assert fake.time > 20, "no patience"
judge = progress.Progress(fake, 20, lambda: fake.time)
fake.durable = lambda: {"dst/0": int(fake.time / 15)}
for _ in range(5000):
    fake.time += 0.1
    assert not judge.hangs("0/1"), "a slow worker is taken for one that hangs"
EOF_PY
}
