#!/usr/bin/env bats
# --set, and variables of the environment in the config file: the programs get them, and nobody a
# secret that is not theirs. test/unit/walpipe_config.c has the forms and the mistakes.

bats_require_minimum_version 1.5.0

load walpipe

# has NAME OPTION VALUE: the program NAME was started with them.
has() {
    grep -A 1 -x -- "$2" "$SCRATCH/args.$1" | grep -qxF -- "$3"
}

@test "--set changes what the file says, and stays when the file is read again" {
    run_options=(--set source.slot=other --set=sink.a.tables='audit.*, public.t')
    run "$walpipe" print -c "$conf" "${run_options[@]}"
    [ "$status" -eq 0 ]
    [[ $output == *"# With --set source.slot=other"*"--slot other "* ]]
    [[ $output == *"--tables 'audit.*, public.t'"* ]]
    bash -n <<<"$output"
    start
    wait_until 10 started
    has pg-wal-read --slot other
    has route --tables 'audit.*, public.t'
    sed -i 's/^copy = no/&\ncopy_rate = 7/' "$conf"
    kill -HUP "$run_pid"
    wait_until 10 logged "copy_rate = 7"
    # the file still says slot = s
    run ! logged "have changed too"
    kill -TERM "$run_pid"
    ends 0
}

@test "--set of a whole pipeline's place: the other commands need it, too" {
    run_options=(--set pipeline.state_dir="$SCRATCH/elsewhere")
    start
    wait_until 10 started
    run "$walpipe" reload -c "$conf"
    [ "$status" -eq 111 ]
    run "$walpipe" reload -c "$conf" "${run_options[@]}"
    [ "$status" -eq 0 ]
}

@test "--set: every mistake is exit 100, says where, and shows no password" {
    local words given
    for words in "--set slot=x" "--set source.conninfo:geheim" "--set geheim" "--set source.slots=x" "--set sink.c.shards=2" \
        "--set source.slot=X" "--set source.conninfo=password=geheim" "--set sink.a.conninfo=postgresql://u:geheim@h"; do
        # shellcheck disable=SC2086 # words
        run "$walpipe" check -c "$conf" $words
        [ "$status" -eq 100 ]
        [[ $output != *geheim* ]]
        given=${words%%=*}
        [[ $given == *sink* || $given == *source.* && $given != *geheim* ]] || given="--set number 1"
        jq -e --arg given "$given" '.level == "error" and (.message | contains($given)) and .hint != ""' <<<"$output"
    done
    run "$walpipe" init "$SCRATCH/new" --source host=a --pg host=b --set source.slot=x
    [ "$status" -eq 100 ]
    [ ! -e "$SCRATCH/new" ]
}

@test "variables of the environment: their values reach the programs, and passwords only those who log in" {
    sed -i 's/password=quellgeheim/password=${WT_SOURCE} ; or so/; s/password=zielgeheim/${WT_TARGET}/
        s/^slot = s/slot = ${WT_SLOT}_slot/' "$conf"
    start WT_SOURCE="qu'ell geheim" WT_TARGET="password=zielgeheim dbname=d" WT_SLOT=my TOKEN=42
    wait_until 10 started
    has pg-wal-read --slot my_slot
    [[ $(cat "$SCRATCH/args.sink-a-0") == *"dbname='d'"* ]]
    grep -qx "PGPASSWORD=qu'ell geheim" "$SCRATCH/env.pg-wal-read"
    grep -qx PGPASSWORD=zielgeheim "$SCRATCH/env.sink-a-1"
    [ "$(grep -l geheim "$SCRATCH"/env.* | wc -l)" -eq 3 ]
    grep -qx TOKEN=42 "$SCRATCH/env.sink-b-0"
    grep -qx WT_SLOT=my "$SCRATCH/env.sink-b-0"
    run ! grep -l geheim "$SCRATCH"/args.* "$SCRATCH/log"
    logged "takes from the environment: WT_SOURCE, WT_SLOT, WT_TARGET"
    WT_SOURCE="qu'ell geheim" WT_TARGET="password=zielgeheim dbname=d" WT_SLOT=my \
        run "$walpipe" print -c "$conf"
    [ "$status" -eq 0 ]
    [[ $output != *geheim* ]]
    [[ $output == *"--slot my_slot"* ]]
    kill -TERM "$run_pid"
    ends 0
}

@test "a variable that is not set: exit 100 with its line and name; \$\${ is no variable" {
    sed -i 's/quellgeheim/a${WT_NONE}b/' "$conf"
    run "$walpipe" print -c "$conf"
    [ "$status" -eq 100 ]
    jq -e --arg where "$conf:7: conninfo: the environment variable WT_NONE is not set" '.message == $where' <<<"$output"
    # as the hint says
    sed -i 's/a${WT_NONE}b/a$${WT_NONE}b/' "$conf"
    start
    wait_until 10 started
    grep -qxF 'PGPASSWORD=a${WT_NONE}b' "$SCRATCH/env.pg-wal-read"
    run ! logged "takes from the environment"
}
