# ackd.bash: what the tests of ackd alone share: it runs between a fake pg-wal-read and fake workers
# (ackd_peers.py).

setup() {
    here=$BATS_TEST_DIRNAME
    export WALPIPE_BIN=${WALPIPE_BIN:-$here/../../build/asan/bin}
    export PYTHONPATH=$here:$here/../lib PYTHONDONTWRITEBYTECODE=1
    export TMPDIR=$BATS_TEST_TMPDIR
}

# Runs the Python program on stdin.
play() {
    { echo 'from ackd_peers import *'; cat; } >"$BATS_TEST_TMPDIR/play.py"
    timeout 60 /usr/bin/python3 "$BATS_TEST_TMPDIR/play.py" 3>&-
}
