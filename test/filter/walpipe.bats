#!/usr/bin/env bats
# walpipe alone: its commands without a server, and its supervision of stand-ins (standin.sh) in the
# place of the pipeline's programs. test/e2e/run.bats does the same with real ones.

bats_require_minimum_version 1.5.0

load walpipe

# ---- the command line and the config ----

@test "usage: help and version; every mistake is exit 100 and one line" {
    run "$walpipe" --help
    [ "$status" -eq 0 ]
    [[ $output == *"walpipe COMMAND -c FILE"* ]]
    run "$walpipe" --version
    [ "$status" -eq 0 ]
    [[ $output == "walpipe (walpipe) "* ]]
    for words in "" "fly -c x" "run" "run -c" "run more -c x" "run --json -c x" "check --yes -c x" "check --json -c x" "tables --yes -c x" \
        "run --config" "run -x"; do
        # shellcheck disable=SC2086 # words
        run "$walpipe" $words
        [ "$status" -eq 100 ]
        [ "${#lines[@]}" -eq 1 ]
        jq -e '.level == "error" and (.hint | contains("walpipe --help"))' <<<"$output"
    done
}

@test "a mistake in the config is exit 100 with file and line, for every command" {
    sed -i 's/^slot = s/slot = S/' "$conf"
    for command in run check print status tables drop; do
        run "$walpipe" "$command" -c "$conf"
        [ "$status" -eq 100 ]
        jq -e --arg where "$conf:8: slot" '.message | startswith($where)' <<<"$output"
    done
    [ ! -e "$SCRATCH/state" ]
}

@test "a config that is not there" {
    run "$walpipe" run --config "$SCRATCH/none"
    [ "$status" -eq 100 ]
    [[ $output == *"No such file"* ]]
}

# The bug was that walpipe waited for ever.
@test "a config or a password file that is a FIFO is refused; a symbolic link to a file is not" {
    mkfifo "$SCRATCH/fifo"
    for command in run check print; do
        run timeout 10 "$walpipe" "$command" -c "$SCRATCH/fifo"
        [ "$status" -eq 100 ]
        jq -e '(.message | endswith("fifo\" is not a regular file")) and (.hint | contains("write the config into a file"))' <<<"$output"
    done
    run timeout 10 "$walpipe" print -c <(cat "$conf")
    [ "$status" -eq 100 ]
    run "$walpipe" print -c /dev/stdin <"$conf"
    [ "$status" -eq 0 ]
    # as Kubernetes mounts a ConfigMap and a Secret
    mkdir "$SCRATCH/..2026" && ln -s ..2026 "$SCRATCH/..data" && ln -s ..data/c.conf "$SCRATCH/c.conf"
    ln -s ..data/password "$SCRATCH/password"
    sed 's/ password=[^ ]*//' "$conf" >"$SCRATCH/..2026/c.conf"
    printf 'geheim\n' >"$SCRATCH/..2026/password" && chmod 600 "$SCRATCH/..2026/password"
    sed -i "s|^slot = .*|&\npassword_file = $SCRATCH/password|" "$SCRATCH/..2026/c.conf"
    run timeout 60 "$walpipe" check -c "$SCRATCH/c.conf"
    [[ $output != *"regular file"* && $output == *"ok    config $SCRATCH/c.conf"* ]]
    sed -i "s|^password_file = .*|password_file = $SCRATCH/fifo|" "$SCRATCH/..2026/c.conf"
    run timeout 10 "$walpipe" check -c "$SCRATCH/c.conf"
    [ "$status" -eq 100 ]
    [[ $output == *'password file '*'fifo\" is not a regular file'* ]]
}

# ---- print ----

@test "print is a script that bash understands, without a password in it (trap 146)" {
    run "$walpipe" print -c "$conf"
    [ "$status" -eq 0 ]
    [[ $output != *geheim* ]]
    bash -n <<<"$output"
    [[ $output == *"# tee -i wal.bin |"*"# tee -i events.bin |"* ]]
}

@test "print runs the programs with the arguments that run gives them" {
    start
    wait_until 10 started
    kill -TERM "$run_pid"
    ends 0
    for file in "$SCRATCH"/args.*; do mv "$file" "${file/args/run}"; done
    rm -r "$SCRATCH"/started.* "$SCRATCH/told" "$SCRATCH/finished" "$SCRATCH/state"
    WALPIPE_LIBEXEC=$programs "$walpipe" print -c "$conf" >"$SCRATCH/script"
    WALPIPE_SOURCE_PASSWORD=x WALPIPE_A_PASSWORD=y \
        bash "$SCRATCH/script" 2>"$SCRATCH/log" 3>&- &
    script=$!
    kill_later "$script"
    wait_until 10 started
    kill -TERM "$(pid_of pg-wal-read)"
    wait "$script"
    [ "$(stat -c %a "$SCRATCH/state")" = 700 ]
    for name in ackd pgout-decode pg-wal-read sink-a-0 sink-a-1 sink-b-0; do
        diff "$SCRATCH/run.$name" "$SCRATCH/args.$name"
    done
    diff <(sed s,/dev/fd/.*,, "$SCRATCH/run.route") <(sed s,/dev/fd/.*,, "$SCRATCH/args.route")
    grep -qx PGPASSWORD=x "$SCRATCH/env.pg-wal-read"
    grep -qx PGPASSWORD=y "$SCRATCH/env.sink-a-1"
}

@test "print asks for a password that is not set" {
    "$walpipe" print -c "$conf" >"$SCRATCH/script"
    run bash "$SCRATCH/script" 3>&-
    [ "$status" -eq 100 ]
    [[ $output == *"WALPIPE_SOURCE_PASSWORD"*"password of [source]"* ]]
    [ ! -e "$SCRATCH/state" ]
}

# ---- run: start ----

@test "secrets go by the environment, only to whom they belong (trap 146)" {
    start PGPASSFILE=/some/file TOKEN=42
    wait_until 10 started
    run ! grep -l geheim "$SCRATCH"/args.*
    [ "$(grep -l PGPASSWORD=quellgeheim "$SCRATCH"/env.*)" = "$SCRATCH/env.pg-wal-read" ]
    [ "$(grep -l PGPASSWORD=zielgeheim "$SCRATCH"/env.* | wc -l)" -eq 2 ]
    for name in ackd route pgout-decode; do
        run ! grep -E '^(PG|TOKEN)' "$SCRATCH/env.$name"
    done
    grep -qx TOKEN=42 "$SCRATCH/env.sink-b-0"
    grep -qx "WALPIPE_ACKD=$SCRATCH/state/ackd.sock" "$SCRATCH/env.sink-b-0"
    grep -qx WALPIPE_PIPELINE=t "$SCRATCH/env.sink-b-0"
    for pid in "$run_pid" $(pgrep -P "$run_pid"); do
        run ! grep -a geheim "/proc/$pid/cmdline"
    done
    run ! grep geheim "$SCRATCH/log"
}

@test "a program inherits 0, 1, 2 and route its workers, nothing else (trap 141)" {
    exec 7<"$conf" # what walpipe was given is not passed on
    start
    wait_until 10 started
    echo "route: $(cat "$SCRATCH/fds.route")"
    [ "$(cat "$SCRATCH/fds.route")" = "0 1 2 3 4 5" ]
    for name in ackd pgout-decode pg-wal-read sink-a-0 sink-a-1 sink-b-0; do
        echo "$name: $(cat "$SCRATCH/fds.$name")"
        [ "$(cat "$SCRATCH/fds.$name")" = "0 1 2" ]
    done
    exec 7<&-
}

@test "the state directory is private; one of others is refused (trap 145)" {
    start
    wait_until 10 started
    [ "$(stat -c %a "$SCRATCH/state")" = 700 ]
    kill -TERM "$run_pid"
    ends 0
    chmod 750 "$SCRATCH/state"
    run "$walpipe" run -c "$conf"
    [ "$status" -eq 100 ]
    [[ $output == *"open to other users (mode 0750)"* ]]
    rm -r "$SCRATCH/state" && touch "$SCRATCH/state"
    run "$walpipe" run -c "$conf"
    [ "$status" -eq 100 ]
    [[ $output == *"not a directory"* ]]
}

@test "a second walpipe with the same state directory is refused, and drop too" {
    start
    wait_until 10 started
    for command in run "drop --yes"; do
        # shellcheck disable=SC2086 # words
        run "$walpipe" $command -c "$conf"
        [ "$status" -eq 100 ]
        [[ $output == *"in use by another walpipe"* ]]
    done
    process_alive "$run_pid"
}

@test "a program that is not there: exit 100, and what was started is gone" {
    rm "$programs/route"
    start
    ends 100
    logged "could not start .*/route"
    run ! pgrep -f "$programs/"
}

# ---- run: end ----

@test "SIGTERM and SIGINT drain: only pg-wal-read is told, all end by themselves, exit 0" {
    for signal in TERM INT; do
        start
        wait_until 10 started
        kill "-$signal" "$run_pid"
        ends 0
        [ "$(cat "$SCRATCH/told")" = pg-wal-read ]
        [ "$(wc -l <"$SCRATCH/finished")" -eq 3 ]
        run ! logged "was killed"
        rm "$SCRATCH"/started.* "$SCRATCH/told" "$SCRATCH/finished" "$SCRATCH/workers"
    done
}

@test "SIGTERM to the whole process group: pg-wal-read hears of it once (trap 142)" {
    start
    wait_until 10 started
    [ "$(ps -o pgid= -p "$(pid_of pg-wal-read)" | tr -d ' ')" -ne "$run_pid" ]
    [ "$(ps -o pgid= -p "$(pid_of route)" | tr -d ' ')" -eq "$run_pid" ]
    # walpipe hears of it last, as it may on a busy machine
    kill -STOP "$run_pid"
    kill -TERM -- "-$run_pid"
    wait_until 10 test -e "$SCRATCH/heard"
    kill -CONT "$run_pid"
    ends 0
    [ "$(grep -c pg-wal-read "$SCRATCH/told")" -eq 1 ]
    [ "$(wc -l <"$SCRATCH/finished")" -eq 3 ]
}

@test "SIGTERM to pg-wal-read alone drains as well" {
    start
    wait_until 10 started
    kill -TERM "$(pid_of pg-wal-read)"
    ends 0
    [ "$(wc -l <"$SCRATCH/finished")" -eq 3 ]
}

@test "a second SIGTERM, two seconds later, does not wait for the drain: exit 111" {
    settings NEVER_ENDS=sink-a-0
    start
    wait_until 10 started
    kill -TERM "$run_pid"
    wait_until 10 logged "draining the pipeline"
    # the bug was that timeout(1), which signals the process and its group, ended it so
    kill -TERM "$run_pid"
    sleep 2.2 # within two seconds both are one
    process_alive "$run_pid"
    run ! logged "second signal: killing"
    kill -TERM "$run_pid"
    ends 111
    logged "second signal: killing"
    process_gone "$(pid_of sink-a-0)"
}

@test "kill -9 of walpipe takes all programs with it (trap 143)" {
    start
    wait_until 10 started
    local pids
    pids=$(cut -d ' ' -f 1 "$SCRATCH"/started.*)
    kill -9 "$run_pid"
    for pid in $pids; do
        wait_until 5 process_gone "$pid"
    done
}

@test "what an exec sink leaves behind is ended with the pipeline" {
    write_conf "(setsid sleep 1000 & echo \$! >$SCRATCH/left); exec $programs/sink-pg"
    start
    wait_until 10 started
    kill -TERM "$run_pid"
    ends 0
    wait_until 5 process_gone "$(cat "$SCRATCH/left")"
}

@test "children that walpipe had before are left alone" {
    env WALPIPE_LIBEXEC="$programs" bash -c "sleep 1000 & echo \$! >$SCRATCH/mine
        exec $walpipe run -c $conf" 2>"$SCRATCH/log" 3>&- &
    run_pid=$!
    kill_later "$run_pid"
    wait_until 10 started
    kill_later "$(cat "$SCRATCH/mine")"
    kill -TERM "$run_pid"
    ends 0
    process_alive "$(cat "$SCRATCH/mine")"
}

# ---- run: restart ----

@test "a program that dies ends the others and all start again, ackd is told how often" {
    start
    wait_until 10 started
    kill -9 "$(pid_of pgout-decode)"
    wait_until 10 started 2
    logged "the pipeline ended because pgout-decode (pid [0-9]*) was killed by signal 9 (Killed)"
    logged "restarting the pipeline in [0-9]* ms (restart 1)"
    [ "$(grep -c 'the pipeline ended because' "$SCRATCH/log")" -eq 1 ]
    grep -A 1 -x -- --restarts "$SCRATCH/args.ackd" | grep -x 1
    kill -TERM "$run_pid"
    ends 0
}

@test "a program that does not notice is killed after two seconds" {
    settings NEVER_ENDS=sink-a-1
    start
    wait_until 10 started
    local pid
    pid=$(pid_of sink-a-1)
    kill -9 "$(pid_of route)"
    wait_until 5 logged "killing programs that have not ended: .*sink a/."
    wait_until 5 process_gone "$pid"
    wait_until 10 started 2
}

@test "exit code 100 of any program is not tried again" {
    settings FAILS=sink-a-1 CODE=100
    start
    ends 100
    logged "the pipeline ended because sink a/. (pid [0-9]*) ended with exit code 100"
    run ! logged restarting
}

@test "the bug was that the first program to end was blamed, not the one that refused" {
    settings FAILS=route CODE=111 LATE=sink-a-1
    start
    ends 100
    [ "$(grep -c 'the pipeline ended because' "$SCRATCH/log")" -eq 1 ]
    tail -n 1 "$SCRATCH/log" | tee /dev/stderr |
        jq -e '.level == "error" and .exit_code == 100 and
               (.message | test("^the pipeline ended because sink a/. .* exit code 100$")) and
               (.hint | test("^the error of sink a/. above says why$"))'
}

@test "the bug was that pgout-decode and route left no reason for the last line of the log" {
    rm "$programs/pgout-decode" "$programs/route"
    ln -s "$WALPIPE_BIN"/{pgout-decode,route} "$programs"
    start
    wait_until 10 test -e "$SCRATCH/started.pg-wal-read"
    kill -TERM "$(pid_of pg-wal-read)" # what it writes then is no stream
    ends 100
    tail -n 1 "$SCRATCH/log" | tee /dev/stderr | jq -e '.exit_code == 100 and
        (.message | test("^the pipeline ended because pgout-decode .* exit code 100: .*frame"))'
    [ "$(cat "$SCRATCH/state/error.route" | head -n 1)" = neighbour ]
}

@test "log_format: text for all programs; auto is text on a terminal and JSON elsewhere" {
    sed -i '/^log_level/a log_format = text' "$conf"
    start
    wait_until 10 started
    kill -TERM "$run_pid"
    ends 0
    run ! grep -v '^20[-0-9T:.]*Z walpipe: ' "$SCRATCH/log"
    for name in ackd pg-wal-read pgout-decode route sink-a-0; do
        grep -A 1 -x -- --log-format "$SCRATCH/args.$name" | grep -x text
    done
    rm -r "$SCRATCH"/{started.*,told,finished,workers,state}
    sed -i 's/^log_format.*/log_format = auto/' "$conf"
    env WALPIPE_LIBEXEC="$programs" /usr/bin/python3 "$here/../lib/on_pty.py" "$SCRATCH/screen" \
        "$walpipe" run -c "$conf" 3>&- &
    run_pid=$!
    kill_later "$run_pid"
    wait_until 10 started
    kill -USR1 "$run_pid"
    ends 0
    grep -a '20[-0-9T:.]*Z walpipe: draining the pipeline' "$SCRATCH/screen"
    run ! grep -a '"level"' "$SCRATCH/screen"
    run ! grep -l -- --log-format "$SCRATCH"/args.*
}

@test "the bug was that SIGTERM to a pipeline that had just failed gave 111, in the pause after it 0" {
    settings FAILS=pg-wal-read CODE=111 NEVER_ENDS=sink-a-0
    start
    wait_until 10 logged "pg-wal-read (pid [0-9]*) ended with exit code 111"
    kill -TERM "$run_pid"
    ends 0
}

@test "the bug was that a sink was blamed for the end of a pipeline that was stopped while it waited for the source" {
    settings NEVER_BEGINS=1
    start
    wait_until 10 started
    kill -TERM "$run_pid"
    ends 0
    logged "pg-wal-read (pid [0-9]*) was killed by signal 15 .* before it had begun"
    run ! logged "the pipeline ended because"
    [ ! -e "$SCRATCH/state/last_error" ]
}

# copying: the config of a pipeline that copies, and so has pg-table-read as its eighth program.
copying() {
    sed -i '/^\[sink a\]/a copy = yes' "$conf"
}

all_eight() {
    [ "$(cat "$SCRATCH"/started.* 2>/dev/null | wc -l)" -eq $((8 * ${1:-1})) ]
}

@test "pg-table-read gets the source's password, and route its output; both drain with the others" {
    copying
    start
    wait_until 10 all_eight
    [ "$(grep -l PGPASSWORD=quellgeheim "$SCRATCH"/env.* | wc -l)" -eq 2 ]
    grep -qx PGPASSWORD=quellgeheim "$SCRATCH/env.pg-table-read"
    [ "$(cat "$SCRATCH/fds.route")" = "0 1 2 3 4 5 6" ]
    [ "$(cat "$SCRATCH/fds.pg-table-read")" = "0 1 2" ]
    grep -A 1 -x -- --copy "$SCRATCH/args.route" | grep -x /dev/fd/6
    kill -TERM -- "-$run_pid"
    ends 0
    [ "$(grep -c pg-wal-read "$SCRATCH/told")" -eq 1 ]
    run ! logged "was killed"
}

@test "print runs pg-table-read too, with the arguments that run gives it" {
    copying
    start
    wait_until 10 all_eight
    kill -TERM "$run_pid"
    ends 0
    mv "$SCRATCH/args.pg-table-read" "$SCRATCH/run.pg-table-read"
    mv "$SCRATCH/args.route" "$SCRATCH/run.route"
    rm -r "$SCRATCH"/started.* "$SCRATCH/told" "$SCRATCH/finished" "$SCRATCH/state"
    WALPIPE_LIBEXEC=$programs "$walpipe" print -c "$conf" >"$SCRATCH/script"
    WALPIPE_SOURCE_PASSWORD=x WALPIPE_A_PASSWORD=y \
        bash "$SCRATCH/script" 2>"$SCRATCH/log" 3>&- &
    script=$!
    kill_later "$script"
    wait_until 10 all_eight
    kill -TERM "$(pid_of pg-wal-read)"
    wait "$script"
    diff "$SCRATCH/run.pg-table-read" "$SCRATCH/args.pg-table-read"
    diff <(sed s,/dev/fd/.*,, "$SCRATCH/run.route") <(sed s,/dev/fd/.*,, "$SCRATCH/args.route")
    grep -qx PGPASSWORD=x "$SCRATCH/env.pg-table-read"
}

@test "pg-table-read is supervised: killed, all start again; 100 is not tried again" {
    copying
    start
    wait_until 10 all_eight
    kill -9 "$(pid_of pg-table-read)"
    wait_until 10 all_eight 2
    logged "the pipeline ended because pg-table-read (pid [0-9]*) was killed by signal 9 (Killed)"
    kill -TERM "$run_pid"
    ends 0
    rm -r "$SCRATCH"/{started.*,told,finished,workers}
    settings FAILS=pg-table-read CODE=100
    start
    ends 100
    logged "the pipeline ended because pg-table-read (pid [0-9]*) ended with exit code 100"
}

@test "pg-table-read that ends before the stream: drained, and started again" {
    copying
    settings ENDS=pg-table-read
    start
    wait_until 10 logged "pg-table-read has ended before the stream"
    wait_until 10 logged "restarting the pipeline"
    rm "$SCRATCH/told" "$SCRATCH/finished"
    run ! logged "was killed"
    wait_until 10 all_eight 2
    kill -TERM "$run_pid"
    ends 0
}

@test "an exec sink whose command cannot be run: exit 100" {
    write_conf "/nonexistent/sink"
    start
    ends 100
    logged "sink b/0 (pid [0-9]*) ended with exit code 127"
}

@test "restarts come slower and slower; SIGTERM in between ends at once with 0" {
    settings FAILS=route CODE=111
    start
    wait_until 20 logged "(restart 5)"
    kill -TERM "$run_pid"
    ends 0
    # each wait is between half and all of 100, 200, 400, ...
    jq -r 'select(.message | startswith("restarting")) | .message' "$SCRATCH/log" | head -n 5 |
        awk '{ most = 100 * 2 ^ (NR - 1); if ($5 < most / 2 || $5 > most) { print; exit 1 } }'
}

# ---- status and drop ----

@test "status of a pipeline that does not run: exit 111" {
    run "$walpipe" status -c "$conf"
    [ "$status" -eq 111 ]
    [[ $output == *'pipeline \"t\" is not running'* ]]
}

@test "the last error is kept: status shows it while the pipeline does not run, and drop removes it" {
    settings FAILS=sink-a-1 CODE=100
    start
    ends 100
    run "$walpipe" status -c "$conf"
    [ "$status" -eq 111 ]
    jq -e '.level == "warning" and .exit_code == 100 and .hint == "the log says more" and
        (.message | test("^the last error of the pipeline, at 20[-0-9T:.]+Z: sink a/[01]: sink a/[01] .* exit code 100$"))
        ' <<<"${lines[0]}"
    [[ ${lines[1]} == *'pipeline \"t\" is not running'* ]]
    settings FAILS=none
    WALPIPE_LIBEXEC=$programs "$walpipe" drop --yes -c "$conf"
    run -111 "$walpipe" status -c "$conf"
    [ "${#lines[@]}" -eq 1 ]
}

@test "the bug was that status failed between two starts of the pipeline" {
    start
    wait_until 10 started
    "$walpipe" status -c "$conf" --json >"$SCRATCH/status" 3>&- &
    local asking=$!
    sleep 0.5
    kill -0 "$asking" # it waits: an ackd will come
    "$WALPIPE_BIN/ackd" --socket "$SCRATCH/state/ackd.sock" --state "$SCRATCH/state" \
        --pipeline t --sink a=2 2>/dev/null 3>&- &
    kill_later $!
    wait "$asking"
    jq -e '.run_id == null and .lag_bytes == null and .source.alive == false' "$SCRATCH/status"
}

@test "drop asks, and does nothing without a yes" {
    for answer in n "" Yes; do
        run "$walpipe" drop -c "$conf" <<<"$answer"
        [ "$status" -eq 1 ]
        [[ $output == *"[y/N]"*"nothing was dropped"* ]]
    done
    run "$walpipe" drop -c "$conf" </dev/null
    [ "$status" -eq 1 ]
    [[ $output == *"nothing was dropped"* ]]
}

@test "drop drops nothing else while the slot is there, runs the programs that drop, and removes the checkpoint last" {
    mkdir -m 700 "$SCRATCH/state" && touch "$SCRATCH/state/checkpoint"
    # the bug was that these stayed for ever
    touch "$SCRATCH"/state/{error.ackd,error.sink.gone.0,login.source,layout.a,wal_end}
    settings FAILS=pg-wal-read CODE=111
    run env WALPIPE_LIBEXEC="$programs" "$walpipe" drop --yes -c "$conf"
    [ "$status" -eq 111 ]
    grep -qx -- --drop-slot "$SCRATCH/args.pg-wal-read"
    # the bug was that the progress was dropped, and the pipeline could not go on with its slot
    [ ! -e "$SCRATCH/args.sink-drop" ]
    [[ $output == *"could not drop slot s"*"kept the progress in the targets and in $SCRATCH/state"* ]]
    # the bug was that the checkpoint of a slot that is still there was removed
    [ -e "$SCRATCH/state/checkpoint" ] && [ -e "$SCRATCH/state/layout.a" ]
    settings FAILS=none
    run env WALPIPE_LIBEXEC="$programs" "$walpipe" drop --yes -c "$conf"
    [ "$status" -eq 0 ]
    grep -qx -- --drop-progress "$SCRATCH/args.sink-drop"
    [ "$(grep -A 1 -x -- --sink "$SCRATCH/args.sink-drop" | tail -n 1)" = a ]
    [[ $output == *"dropped slot s"*"dropped progress of sink a"*"removed $SCRATCH/state/checkpoint"* ]]
    [ "$(ls "$SCRATCH/state")" = lock ]
}
