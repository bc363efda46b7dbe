#!/usr/bin/env bats
# The image of scripts/container/Dockerfile: built on a Debian that debootstrap makes, and run by
# podman against servers on loopback, as Kubernetes and as compose.yaml would run it.

bats_require_minimum_version 1.5.0

# Why no image can be made here, or nothing.
missing() {
    local program
    [ "$UID" -eq 0 ] || echo "needs root"
    for program in buildah podman crun debootstrap; do
        PATH=$PATH:/usr/sbin type -P "$program" >/dev/null || echo "$program is not installed"
    done
    mountpoint -q / || echo "this root is a chroot, in which crun can start no container"
    unshare --mount mount -t tmpfs tmpfs /mnt 2>/dev/null || echo "may not mount here"
}

setup_file() {
    [ -z "$(missing)" ] || return 0
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    namespace_begin
    base_make
    image_make
    servers_make
}

# crun refuses a machine that has control groups of both versions. So podman gets a namespace in
# which it sees those of version 2, and uses none.
namespace_begin() {
    # shellcheck disable=SC2016 # the inner shell expands them
    unshare --mount sh -c 'umount -R /sys/fs/cgroup; mount -t cgroup2 none /sys/fs/cgroup &&
        : >"$1/ready" && exec sleep infinity' sh "$SCRATCH" 2>/dev/null 3>&- 4>&- &
    echo $! >"$SCRATCH/namespace"
    kill_later $!
    wait_until 10 test -e "$SCRATCH/ready"
}

# The images and containers of this test alone, which end with $SCRATCH.
container() {
    local program=$1
    shift
    nsenter --mount --target "$(cat "$SCRATCH/namespace")" "$program" --root "$SCRATCH/images" \
        --runroot "$SCRATCH/running" "$@"
}

# This machine's package sources and proxies lead to the network in the base, too.
base_make() {
    local base=$SCRATCH/base mirror
    # shellcheck disable=SC2016 # apt expands them
    apt-get indextargets --format 'deb $(REPO_URI) $(RELEASE) main' 'Created-By: Packages' \
        'Component: main' | grep -w '[^ ]*bookworm[^ ]*' | sort -u >"$SCRATCH/sources"
    mirror=$(sed -n 's/^deb \([^ ]*\) bookworm main$/\1/p' "$SCRATCH/sources" | head -n 1)
    PATH=$PATH:/usr/sbin debootstrap --variant=minbase bookworm "$base" \
        "${mirror:-http://deb.debian.org/debian}" >"$SCRATCH/log" 2>&1 || {
        tail -n 20 "$SCRATCH/log" >&2
        return 1
    }
    [ ! -s "$SCRATCH/sources" ] || cp "$SCRATCH/sources" "$base/etc/apt/sources.list"
    apt-config dump Acquire >"$base/etc/apt/apt.conf.d/00host"
    echo force-unsafe-io >"$base/etc/dpkg/dpkg.cfg.d/00test"
    rm -rf "$base"/var/cache/apt/archives/*.deb
    tar -C "$base" -c . | container podman import --quiet - localhost/base >/dev/null
    rm -rf "$base"
}

image_make() {
    container buildah build --isolation chroot --network host --build-arg BASE=localhost/base \
        -f "$WALPIPE_ROOT/scripts/container/Dockerfile" -t localhost/walpipe "$WALPIPE_ROOT" \
        >"$SCRATCH/log" 2>&1 || {
        tail -n 20 "$SCRATCH/log" >&2
        return 1
    }
}

# Passwords by TCP, as in a cluster.
servers_make() {
    local server
    for server in src dst; do
        pg_new $server
        pg_sql $server "CREATE ROLE walpipe LOGIN REPLICATION PASSWORD '$server-geheim'"
        pg_sql $server "CREATE DATABASE shop OWNER walpipe"
        printf 'local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n' \
            >"$(pg_data $server)/pg_hba.conf"
        kill -HUP "$(pg_pid $server)"
    done
    pg_sql src - shop <"$WALPIPE_ROOT/scripts/container/source.sql"
    pg_sql src "ALTER TABLE item OWNER TO walpipe" shop
    ch_new olap
    ch_stop olap
    sed -i 's#</users>#<writer><password>ch-geheim</password><networks><ip>127.0.0.1</ip></networks>\
<profile>default</profile><quota>default</quota></writer></users>#' "$SCRATCH/olap/users.xml"
    ch_start olap
    ch_sql olap "CREATE DATABASE shop"
}

teardown_file() {
    [ -z "$(missing)" ] || return 0
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    container podman rm --all --force --time 5 >/dev/null 2>&1 || true
    container podman rmi --all --force >/dev/null 2>&1 || true
    servers_end
}

setup() {
    local why
    why=$(missing)
    [ -z "$why" ] || skip "$(paste -sd ';' <<<"$why")"
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    dir=$SCRATCH/t$BATS_TEST_NUMBER
    mkdir "$dir" "$dir/config"
    chmod 755 "$dir" "$dir/config"
}

teardown() {
    if [ -z "${BATS_TEST_COMPLETED:-}" ] && [ -n "${dir:-}" ]; then
        container podman logs "t$BATS_TEST_NUMBER" 2>&1 | tail -n 30 || true
    fi
}

# config FILE: the example, with the servers of this test.
config() {
    port=$(port_new)
    sed -e "s,^http .*,http = 127.0.0.1:$port," \
        -e "s,^conninfo .*host=source.*,conninfo = host=127.0.0.1 port=$(pg_port src) dbname=shop user=walpipe," \
        -e "s,^conninfo .*host=target.*,conninfo = host=127.0.0.1 port=$(pg_port dst) dbname=shop user=walpipe," \
        -e "s,^url .*,url = $(ch_url olap)," -e "s,^user .*,user = writer," \
        -e "s,^\(name\|slot\) .*,\1 = t$BATS_TEST_NUMBER," "$1" >"$dir/config/pipeline.conf"
    ! grep -e databases -e 'host=[a-z]' "$dir/config/pipeline.conf" || false
}

# image_run ARGUMENT...: this test's container, as strict as Kubernetes' "restricted" wants it.
image_run() {
    container podman run --name "t$BATS_TEST_NUMBER" --network host --cgroups disabled \
        --ulimit nofile=4096:4096 --ulimit nproc=4096:4096 --log-driver k8s-file \
        --read-only --read-only-tmpfs=false --cap-drop ALL --security-opt no-new-privileges \
        -v "$dir/config:/etc/walpipe:ro" "$@"
}

rows_are() {
    [ "$(pg_sql dst "SELECT count(*) FROM item" shop)" -eq "$1" ] &&
        [ "$(ch_sql olap "SELECT count() FROM (SELECT id FROM shop.item GROUP BY id)")" -eq "$1" ]
}

answers() {
    curl -sf --noproxy '*' --max-time 5 "http://127.0.0.1:$port/$1"
}

stopped_with() {
    container podman stop --time 75 "t$BATS_TEST_NUMBER"
    [ "$(container podman inspect --format '{{.State.ExitCode}}' "t$BATS_TEST_NUMBER")" = "$1" ]
}

@test "container: another user, a read-only root, secrets of the group: copies, streams, drains, goes on" {
    local user=20000 root
    config "$WALPIPE_ROOT/scripts/kubernetes/orders/pipeline.conf"
    mkdir "$dir/secrets"
    echo src-geheim >"$dir/secrets/source.pw"
    echo ch-geheim >"$dir/secrets/olap.pw"
    # as a kubelet does for fsGroup
    mkdir -m 2770 "$dir/state"
    chmod 440 "$dir"/secrets/*
    chgrp -R $user "$dir/secrets" "$dir/state"
    image_run --user $user:$user -e WALPIPE_DST_PASSWORD=dst-geheim -d \
        -v "$dir/secrets:/run/walpipe:ro" -v "$dir/state:/var/lib/walpipe" localhost/walpipe
    wait_until 90 rows_are 3
    pg_sql src "INSERT INTO item VALUES (4, 'kiwi')" shop
    wait_until 60 rows_are 4
    answers livez
    answers readyz
    container podman exec "t$BATS_TEST_NUMBER" walpipe status -c /etc/walpipe/pipeline.conf
    root=$(container podman inspect --format '{{.State.Pid}}' "t$BATS_TEST_NUMBER")
    [ "$(awk '/^CapEff:|^NoNewPrivs:|^Seccomp:/ { print $2 }' "/proc/$root/status" | paste -sd ' ')" = \
        "0000000000000000 1 2" ]
    [ "$(stat -c '%u %a' "$dir/state/orders")" = "$user 2700" ]
    stopped_with 0
    pg_sql src "INSERT INTO item VALUES (5, 'lime')" shop
    container podman start "t$BATS_TEST_NUMBER"
    wait_until 60 rows_are 5
    stopped_with 0
    [ "$(pg_sql src "SELECT active FROM pg_replication_slots WHERE slot_name = 't$BATS_TEST_NUMBER'")" = f ]
    container podman logs "t$BATS_TEST_NUMBER" >"$dir/log" 2>&1
    grep -q drained "$dir/log"
    ! grep geheim "$dir/log" || false
    pg_sql src "DELETE FROM item WHERE id > 3" shop
}

@test "container: the image's own user, a new volume, and every password as a variable" {
    config "$WALPIPE_ROOT/scripts/container/pipeline.conf"
    pg_sql dst "TRUNCATE item" shop
    ch_sql olap "DROP TABLE shop.item"
    image_run -e WALPIPE_SOURCE_PASSWORD=src-geheim -e WALPIPE_DST_PASSWORD=dst-geheim \
        -e WALPIPE_OLAP_PASSWORD=ch-geheim -d -v "t$BATS_TEST_NUMBER:/var/lib/walpipe" localhost/walpipe
    wait_until 90 rows_are 3
    container podman exec "t$BATS_TEST_NUMBER" walpipe tables -c /etc/walpipe/pipeline.conf
    stopped_with 0
}

@test "container: without a volume for its state it ends with 100 and says so" {
    config "$WALPIPE_ROOT/scripts/container/pipeline.conf"
    run -100 image_run -e WALPIPE_SOURCE_PASSWORD=src-geheim localhost/walpipe
    echo "$output"
    [[ "$output" == *"could not make state directory"*"Read-only file system"* ]]
}

@test "container: no compiler is in it, and its user is a number that is not root's" {
    [ "$(container podman image inspect --format '{{.Config.User}} {{.Config.Entrypoint}}' \
        localhost/walpipe)" = "10001:10001 [walpipe]" ]
    run -127 image_run --entrypoint sh localhost/walpipe -c 'type gcc cc g++ make || exit 127'
    echo "$output"
    [ "$(grep -c 'not found' <<<"$output")" -eq 4 ]
}
