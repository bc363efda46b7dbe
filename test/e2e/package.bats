#!/usr/bin/env bats
# The Debian package: the files in it, a pipeline that runs from them, and its upgrade under a pipeline.

bats_require_minimum_version 1.5.0

setup_file() {
    type -P dh lintian >/dev/null || return 0
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    make -s -C "$WALPIPE_ROOT" deb >&2
    mkdir "$SCRATCH/root"
    dpkg-deb -x "$WALPIPE_ROOT"/build/deb/walpipe_*.deb "$SCRATCH/root"
    pg_new src
    pg_new dst
}

teardown_file() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    servers_end
}

setup() {
    type -P dh lintian >/dev/null || skip "debhelper or lintian is not installed"
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    source "$BATS_TEST_DIRNAME/../lib/pipeline.bash"
    source "$BATS_TEST_DIRNAME/../lib/machines.bash"
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

@test "package: its sample config is that of operations.md, and walpipe reads it" {
    local sample=$root/usr/share/doc/walpipe/examples/orders.conf
    diff <(grep -v '^;' "$sample" | sed '/./,$!d') \
        <(sed -n "/^cat >orders.conf <<'END'$/,/^END$/p" "$WALPIPE_ROOT/docs/operations.md" | sed '1d;$d')
    "$root/usr/bin/walpipe" print -c "$sample" --set pipeline.state_dir="$SCRATCH/sample" >"$SCRATCH/script"
    grep -q 'cat /etc/walpipe/orders.dst.pw' "$SCRATCH/script"
    [ -x "$root/usr/share/doc/walpipe/examples/example-sink.py" ]
}

rows_are() {
    [ "$(pg_sql dst "SELECT count(*) FROM t")" -eq "$1" ]
}

@test "package: a pipeline runs from its files" {
    local conf=$SCRATCH/walpipe.conf server
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

# ---- a machine on which dpkg installs it ----

# An overlay over this machine's root: whatever is written there is gone at the end.
machine_begin() {
    local propagation
    propagation=$(machines_propagation) || return 1
    mkdir "$SCRATCH/upper" "$SCRATCH/machine"
    # shellcheck disable=SC2016 # the inner shell expands them
    unshare --mount --propagation "$propagation" bash -euc '
        mount -t tmpfs tmpfs "$1/upper"
        mkdir "$1/upper/files" "$1/upper/work"
        mount -t overlay -o "lowerdir=/,upperdir=$1/upper/files,workdir=$1/upper/work" overlay "$1/machine"
        mount --rbind /dev "$1/machine/dev"
        mount -t proc proc "$1/machine/proc"
        mount -t tmpfs tmpfs "$1/machine/run"
        : >"$1/ready"
        exec sleep infinity' machine "$SCRATCH" </dev/null >"$SCRATCH/machine.log" 2>&1 3>&- 4>&- &
    machine=$!
    kill_later "$machine"
    wait_until 10 eval '[ -e "$SCRATCH/ready" ] || process_gone "$machine"'
    [ -e "$SCRATCH/ready" ]
}

# there COMMAND...: as root on that machine.
there() {
    nsenter --mount --root --target "$machine" chroot "$SCRATCH/machine" \
        env -i LANG=C.UTF-8 PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root DEBIAN_FRONTEND=noninteractive "$@"
}

# package_version VERSION: the package with another version; prints its file.
package_version() {
    local tree=$SCRATCH/tree.$1
    dpkg-deb -R "$WALPIPE_ROOT"/build/deb/walpipe_*.deb "$tree"
    sed -i "s/^Version: .*/Version: $1/" "$tree/DEBIAN/control"
    dpkg-deb -b "$tree" "$SCRATCH/walpipe-$1.deb" >/dev/null
    echo "$SCRATCH/walpipe-$1.deb"
}

upgraded_has() {
    [ "$(pg_sql dst "SELECT count(*) FROM t" upgraded)" -eq "$1" ]
}

# old_files: how many programs of the pipeline run from a file that dpkg has replaced.
old_files() {
    local pid
    for pid in "$run" $(pgrep -P "$run"); do
        readlink "/proc/$pid/exe"
    done | grep -c deleted || true
}

@test "package: dpkg replaces it under a pipeline that runs, and a purge leaves the configs" {
    local first second server run
    [ "$UID" -eq 0 ] && machine_begin || skip "may not mount an overlay here: $(tail -n 1 "$SCRATCH/machine.log")"
    first=$(package_version 0.1.0)
    second=$(package_version 0.1.1)
    there dpkg -i "$first"
    [ "$(there stat -c '%U %G %a' /etc/walpipe)" = "root walpipe 750" ]
    for server in src dst; do
        pg_sql $server "CREATE DATABASE upgraded"
        pg_sql $server "CREATE TABLE t (id int PRIMARY KEY)" upgraded
    done
    pg_sql src "CREATE PUBLICATION p FOR ALL TABLES" upgraded
    cat >"$SCRATCH/upgraded.conf" <<CONF
[pipeline]
name = upgraded
state_dir = /var/lib/walpipe/upgraded
[source]
conninfo = host=127.0.0.1 port=$(pg_port src) user=postgres dbname=upgraded
slot = upgraded
publication = p
[sink dst]
type = pg
conninfo = host=127.0.0.1 port=$(pg_port dst) user=postgres dbname=upgraded
CONF
    there install -m 640 -g walpipe "$SCRATCH/upgraded.conf" /etc/walpipe/upgraded.conf
    there install -d -m 700 -o walpipe -g walpipe /var/lib/walpipe/upgraded
    there runuser -u walpipe -- walpipe run -c /etc/walpipe/upgraded.conf </dev/null >"$SCRATCH/upgraded.log" 2>&1 3>&- &
    kill_later $!
    wait_until 30 grep -q "streaming from slot" "$SCRATCH/upgraded.log"
    run=$(pgrep -f "^walpipe run -c /etc/walpipe/upgraded.conf" | head -n 1)
    there dpkg -i "$second"
    [ "$(there dpkg-query -W -f '${Version}' walpipe)" = 0.1.1 ]
    [ "$(old_files)" -ge 7 ]
    pg_sql src "INSERT INTO t SELECT generate_series(1, 100)" upgraded
    wait_until 30 upgraded_has 100
    # the next start, of whatever reason, is of the new programs alone
    kill -9 "$(pgrep -P "$run" -x sink-pg)"
    wait_until 30 eval '[ "$(old_files)" -eq 0 ]'
    pg_sql src "INSERT INTO t SELECT generate_series(101, 200)" upgraded
    wait_until 30 upgraded_has 200
    kill "$run"
    wait_until 60 process_gone "$run"
    there dpkg -r walpipe
    there test -d /var/lib/walpipe/upgraded
    there dpkg -P walpipe
    there test -e /etc/walpipe/upgraded.conf
    there test ! -e /var/lib/walpipe
    there test ! -e /usr/bin/walpipe
    pg_sql src "SELECT pg_drop_replication_slot('upgraded')"
}
