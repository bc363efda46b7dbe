# route.bash: what the tests of route alone share: hand-made event streams in, one stream per worker
# out.

setup() {
    . "$BATS_TEST_DIRNAME/../lib/servers.bash"
    . "$BATS_TEST_DIRNAME/filters.bash"
    route=$WALPIPE_BIN/route
    release=$WALPIPE_ROOT/build/release/bin
}

teardown() {
    servers_end
}

# spread N [OPTION]...: routes $in to the N files $T/0, $T/1, ... of the sink "dst"
spread() {
    local n=$1 i to=()
    shift
    for ((i = 0; i < n; i++)); do
        : >"$T/$i"
        to+=(--to "$T/$i")
    done
    try "$route" --sink dst "$@" "${to[@]}"
}

# worker I JQ: true of the frames that worker I got
worker() {
    shown "$T/$1"
    expect "$2"
}

# A table of one text key, three keys on three different workers of three: $a, $b, $c.
three_keys() {
    cat <<'PY'
cols = [col("id", key=True), col("v")]
by_shard = {}
for n in range(100):
    by_shard.setdefault(key_hash(1, cols, [str(n)]) % 3, []).append(str(n))
(a, a2), (b, b2), (c, c2) = (by_shard[n][:2] for n in range(3))
PY
}

whole() {
    "$WALPIPE_BIN/evcat" <"$1" >/dev/null 2>&1
}
