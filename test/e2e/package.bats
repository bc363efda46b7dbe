#!/usr/bin/env bats
# The Debian package: what is in it, and a pipeline that runs from its files.

bats_require_minimum_version 1.5.0

setup_file() {
    type -P dh lintian >/dev/null || return 0
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    make -s -C "$WALPIPE_ROOT" deb >&2
    mkdir "$SCRATCH/root"
    dpkg-deb -x "$WALPIPE_ROOT"/build/deb/walpipe_*.deb "$SCRATCH/root"
}

teardown_file() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    servers_end
}

setup() {
    type -P dh lintian >/dev/null || skip "debhelper or lintian is not installed"
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    source "$BATS_TEST_DIRNAME/../lib/pipeline.bash"
    root=$SCRATCH/root
}

@test "package: lintian finds no error" {
    lintian --allow-root --fail-on error "$WALPIPE_ROOT"/build/deb/walpipe_*.deb
}

@test "package: every program has its manual page, and people's path has only what they call" {
    local program
    for program in "$root"/usr/lib/walpipe/*; do
        [ -e "$root/usr/share/man/man1/${program##*/}.1.gz" ]
        "$program" --version
    done
    [ "$(ls "$root/usr/bin")" = $'evcat\nwalpipe' ]
    grep -q '^ExecStart=/usr/bin/walpipe ' "$root/lib/systemd/system/walpipe@.service"
}

rows_are() {
    [ "$(pg_sql dst "SELECT count(*) FROM t")" -eq "$1" ]
}

@test "package: a pipeline runs from its files" {
    local conf=$SCRATCH/walpipe.conf server
    pg_new src
    pg_new dst
    for server in src dst; do
        pg_sql $server "CREATE TABLE t (id int PRIMARY KEY)"
    done
    pg_sql src "CREATE PUBLICATION p FOR ALL TABLES; INSERT INTO t SELECT generate_series(1, 100)"
    cat >"$conf" <<CONF
[pipeline]
name = packaged
state_dir = $SCRATCH/state
copy = yes
[source]
conninfo = $(pg_conninfo src)
slot = packaged
publication = p
[sink dst]
type = pg
conninfo = $(pg_conninfo dst)
CONF
    "$root/usr/bin/walpipe" check -c "$conf"
    WALPIPE_BIN=$root/usr/bin pipeline_start "$conf"
    wait_until 60 rows_are 100
    pg_sql src "INSERT INTO t SELECT generate_series(101, 200)"
    wait_until 60 rows_are 200
    pipeline_stop "$conf"
}

# completed WORD...: what bash offers for the last word.
completed() {
    # shellcheck disable=SC2016 # the inner shell expands them
    bash -c 'source "$1/usr/share/bash-completion/completions/walpipe"
        PATH=$1/usr/bin:$PATH
        shift
        COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
        _walpipe
        echo "${COMPREPLY[*]}"' bash "$root" "$@"
}

@test "package: bash completes commands, options and a config's sinks" {
    printf '[sink dst]\n[sink other]\n' >"$SCRATCH/sinks.conf"
    [ "$(completed walpipe chec)" = check ]
    [ "$(completed walpipe check --conf)" = --config ]
    [ "$(completed walpipe check -c "$SCRATCH/sinks")" = "$SCRATCH/sinks.conf" ]
    [ "$(completed walpipe adopt -c "$SCRATCH/sinks.conf" --sink o)" = other ]
    [ "$(completed walpipe run -c "$SCRATCH/sinks.conf" --set s)" = "source. sink.dst. sink.other." ]
}
