# filters.bash: what the tests of pgout-decode, route and evcat share. Source it in setup(); needs
# servers.bash before it.
#
#   build [FILE]                 writes the stream that the Python on stdin makes with stream.py
#   try COMMAND...               runs it with stdin from $in; sets status, leaves $T/out and $T/err
#   one_error CODE TEXT [HINT]   the last try ended with CODE and one JSON line that says TEXT
#   golden NAME                  path of a golden file

T=$BATS_TEST_TMPDIR

build() {
    /usr/bin/python3 "$WALPIPE_ROOT/test/lib/stream.py" py >"${1:-$T/in}"
    in=${1:-$T/in}
}

golden() {
    echo "$WALPIPE_ROOT/test/golden/$1"
}

try() {
    status=0
    timeout -k 1 60 "$@" <"${in:-/dev/null}" >"$T/out" 2>"$T/err" 3>&- || status=$?
}

one_error() {
    local code=$1 text=$2 hint=${3:-}
    if [ "$status" -ne "$code" ] || [ "$(wc -l <"$T/err")" -ne 1 ] ||
        ! jq -e --arg text "$text" --arg hint "$hint" '.level == "error" and
            (.message | contains($text)) and ($hint == "" or (.hint | contains($hint)))' \
            <"$T/err" >/dev/null; then
        echo "expected exit $code and one error line with \"$text\"${hint:+ and the hint \"$hint\"}"
        echo "got exit $status and:"
        cat "$T/err"
        return 1
    fi
}

# What evcat makes of $T/out, as one JSON array in $T/json.
shown() {
    "$WALPIPE_BIN/evcat" <"${1:-$T/out}" | jq -s . >"$T/json"
}

# expect JQ: true of $T/json
expect() {
    jq -e "$1" "$T/json" >/dev/null && return 0
    echo "not true of the stream: $1"
    jq -c '.[]' "$T/json" | cut -c1-300 | head -n 40
    return 1
}
