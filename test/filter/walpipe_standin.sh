#!/bin/bash
# walpipe_standin.sh: stands in for every program of the pipeline, under that program's name, in
# walpipe.bats. Passes lines on; "end" is the last one. It writes beside its own directory, NAME
# being the program or, for a worker, sink-SINK-SHARD: started.NAME, args.NAME, env.NAME, fds.NAME,
# told, heard, finished. The file settings there may say FAILS=NAME and CODE, that one exits with CODE at
# once, ENDS=NAME, that one does with 0, the first time only, NEVER_ENDS=NAME, that one hangs, LATE=NAME, that one refuses after the others ended, or
# NEVER_BEGINS=1, pg-wal-read ends by the signal, and later than the others.

me=${0##*/}
place=$(cd "$(dirname "$0")/.." && pwd) # walpipe passes no variable of the test's
name=$me
if [ "$me" = sink-pg ]; then
    [[ " $* " != *" --layout "* ]] || exit 0 # no table must go whole
    if [[ " $* " == *" --drop-progress "* ]]; then
        name=sink-drop
    elif [ -n "${WALPIPE_SINK:-}" ]; then
        name=sink-$WALPIPE_SINK-$WALPIPE_SHARD
    else # the two workers of sink a are alike: they count themselves
        exec 9>>"$place/workers"
        flock 9
        number=$(wc -l <"$place/workers")
        name=sink-a-$((number % 2))
        echo x >&9
        exec 9>&-
    fi
fi

fds=
for fd in "/proc/$$/fd"/*; do # by the shell itself: a pipe would add to them
    [ -e "$fd" ] && [ "${fd##*/}" != 255 ] && fds="$fds ${fd##*/}"
done
echo "${fds# }" >"$place/fds.$name"
printf '%s\n' "$@" >"$place/args.$name"
env >"$place/env.$name"
# shellcheck disable=SC1091 # the test's
[ -e "$place/settings" ] && . "$place/settings"

drained() {
    until [ -e "$place/finished" ] && [ "$(wc -l <"$place/finished")" -ge 3 ]; do sleep 0.05; done
}

trap '' TERM INT
[ "$me" = pg-wal-read ] && trap 'echo pg-wal-read >>"$place/told"' TERM INT
# As the real one: the first SIGTERM is left to pg-wal-read.
[ "$me" = ackd ] && trap 'echo TERM >>"$place/heard"; trap - TERM' TERM
echo "$$ " >>"$place/started.$name"
[ "${FAILS:-}" = "$name" ] && exit "${CODE:-1}"
[ "${ENDS:-}" = "$name" ] && rm "$place/settings" && exit 0
[[ " $* " == *" --drop-"* ]] && exit 0

# pass OUTPUT...: lines from stdin to the outputs, until "end".
pass() {
    local line output
    while read -r line; do
        for output in "$@"; do
            echo "$line" >"$output" || exit 111
        done
        [ "$line" = end ] && return 0
    done
    [ "${LATE:-}" = "$name" ] && sleep 0.5 && exit 100
    exit 111
}

case $me in
pg-wal-read)
    # a trap runs at once in wait, not in sleep
    until [ -e "$place/told" ]; do sleep 0.1 & wait "$!"; done
    [ -z "${NEVER_BEGINS:-}" ] || { exec >&- && sleep 0.5 && trap - TERM && kill "$$"; }
    echo end
    drained
    ;;
pgout-decode) pass /dev/stdout ;;
route)
    outputs=()
    while [ $# -gt 0 ]; do
        [ "$1" = --to ] && outputs+=("$2")
        shift
    done
    pass "${outputs[@]}"
    ;;
sink-*)
    [ "${NEVER_ENDS:-}" = "$name" ] && while :; do sleep 0.1; done
    pass
    echo "$name" >>"$place/finished"
    ;;
ackd) drained ;;
pg-table-read) drained ;;
esac
exit 0
