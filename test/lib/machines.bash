# machines.bash: a small network of machines on this one: namespaces with names, addresses and files
# of their own, so that commands can name hosts, standard ports and paths as on real machines. Source
# it after servers.bash. Needs root and the right to make namespaces.
#
#   machines_possible               true if this user may
#   machines_new NAME[=ADDRESS] ... the machines; those of them without an address serve nothing
#   on NAME COMMAND...              runs there, as root; its /etc, /root, /run, /srv, /usr/local/bin,
#                                   /var/lib and /var/log are its own
#   machine_postgres NAME           a cluster 15/main as Debian's packages make it, started, with TLS
#   machine_clickhouse NAME         ClickHouse with Debian's config files, started, with TLS
#   machine_walpipe NAME            the programs, their user, and stand-ins for systemd
#   machine_dir NAME                where its files are: DIR/etc, DIR/lib and so on
#
# All machines see the same processes, which end with servers_end.

machines_possible() {
    [ "$UID" -eq 0 ] && propagation=$(machines_propagation) &&
        unshare --net --mount --propagation "$propagation" --pid --fork --kill-child --mount-proc true 2>/dev/null
}

# In a chroot (scripts/bare-debian) the root is no mount, so it cannot be made private. There all
# mounts have to be private already, or ours would be seen outside.
machines_propagation() {
    if unshare --mount true 2>/dev/null; then
        echo private
    else
        ! grep -q ' shared:' /proc/self/mountinfo && echo unchanged
    fi
}

machine_dir() { echo "$SCRATCH/machines/$1"; }

# Of the network namespace's only interface: up, with one more address, from which the machines
# connect to each other.
MACHINES_INTERFACE='
import fcntl, os, signal, socket, struct
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
def request(code, name, kind, value):
    fcntl.ioctl(s, code, struct.pack("16sH", name, kind) + value)
def address(text):
    return struct.pack("=H4s8x", 0, socket.inet_aton(text))
request(0x8914, b"lo", 0x49, b"\0" * 14)                          # SIOCSIFFLAGS: up, running
request(0x8916, b"lo:1", socket.AF_INET, address("10.1.0.9"))     # SIOCSIFADDR
request(0x891c, b"lo:1", socket.AF_INET, address("255.255.255.0"))  # SIOCSIFNETMASK
signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # process 1 of the namespace has orphans to collect
os.execvp("sleep", ["sleep", "infinity"])
'

machines_new() {
    local spec name propagation top=$SCRATCH/machines hosts=''
    mkdir "$top"
    propagation=$(machines_propagation)
    for spec; do
        [ "$spec" = "${spec%=*}" ] || hosts+="${spec#*=} ${spec%=*}"$'\n'
    done
    unshare --net --mount --propagation "$propagation" --pid --fork --kill-child --mount-proc python3 -c "$MACHINES_INTERFACE" \
        </dev/null >/dev/null 2>"$top/log" 3>&- 4>&- &
    kill_later $!
    wait_until 10 machines_world $!
    for spec; do
        name=${spec%=*}
        machine_files "$top/$name" "$hosts"
        # shellcheck disable=SC2016 # the inner shell expands them
        in_world unshare --mount --propagation "$propagation" bash -c '
            for place in etc root run srv usr/local/bin var/lib var/log; do
                mount --bind "$1/${place##*/}" "/$place"
            done
            echo $$ >"$1/pid.new" && mv "$1/pid.new" "$1/pid"
            exec sleep infinity' machine "$top/$name" </dev/null >>"$top/log" 2>&1 3>&- 4>&- &
        disown
        wait_until 10 test -s "$top/$name/pid"
    done
}

machines_world() { # PID of unshare: process 1 of its namespace is its child
    local init
    read -r init _ <"/proc/$1/task/$1/children" || true # no line's end there
    grep -q sleep "/proc/$init/comm" && echo "$init" >"$SCRATCH/machines/init"
}

machine_files() { # DIR HOSTS
    local dir=$1
    mkdir -p "$dir"/{root,bin,run/postgresql,srv,lib/postgresql,log/postgresql,lib/clickhouse,log/clickhouse-server}
    chmod 755 "$dir"
    chown postgres: "$dir"/{run,lib,log}/postgresql
    chown clickhouse: "$dir"/lib/clickhouse "$dir"/log/clickhouse-server 2>/dev/null || true
    cp -a /etc "$dir/etc"
    rm -rf "$dir"/etc/postgresql/* "$dir"/etc/walpipe
    # the address from which all machines connect has a name of its own
    printf '127.0.0.1 localhost\n10.1.0.9 walpipe1\n%s' "$2" >"$dir/etc/hosts"
}

in_world() {
    nsenter -t "$(cat "$SCRATCH/machines/init")" -m -n -p -r -- "$@"
}

on() {
    local dir=$SCRATCH/machines/$1
    shift
    in_world nsenter -t "$(cat "$dir/pid")" -m -r -- env -i -C / HOME=/root LANG=C.UTF-8 TERM=dumb \
        PATH=/srv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
        ASAN_OPTIONS="$ASAN_OPTIONS" UBSAN_OPTIONS="$UBSAN_OPTIONS" LSAN_OPTIONS="$LSAN_OPTIONS" "$@"
}

# ---- certificates: one authority for all ----

machines_authority() { # [NAME]: $SCRATCH/machines/NAME.pem and .key
    local top=$SCRATCH/machines name=${1:-ca}
    openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj "/CN=$name" -keyout "$top/$name.key" \
        -out "$top/$name.pem" 2>/dev/null
}

# machine_certificate NAME AUTHORITY FILE: FILE.pem and FILE.key
machine_certificate() {
    local top=$SCRATCH/machines
    openssl req -newkey rsa:2048 -nodes -subj "/CN=$1" -keyout "$3.key" -out "$3.csr" 2>/dev/null
    openssl x509 -req -in "$3.csr" -CA "$top/$2.pem" -CAkey "$top/$2.key" -CAcreateserial -days 30 \
        -extfile <(echo "subjectAltName=DNS:$1") -out "$3.pem" 2>/dev/null
    rm "$3.csr"
}

# ---- the programs on them ----

machine_address() {
    awk -v name="$1" '$2 == name { print $1 }' "$(machine_dir "$1")/etc/hosts"
}

# The files and settings of Debian's pg_createcluster, without its initdb.
machine_postgres() {
    local name=$1 dir conf
    dir=$(machine_dir "$name") conf=$dir/etc/postgresql/15/main
    mkdir -p "$conf" "$dir/lib/postgresql/15"
    cp -a --reflink=auto "$(pg_template)" "$dir/lib/postgresql/15/main"
    pg_renew_identity "$dir/lib/postgresql/15/main"
    cat >"$conf/postgresql.conf" <<CONF
data_directory = '/var/lib/postgresql/15/main'
hba_file = '/etc/postgresql/15/main/pg_hba.conf'
ident_file = '/etc/postgresql/15/main/pg_ident.conf'
external_pid_file = '/var/run/postgresql/15-main.pid'
unix_socket_directories = '/var/run/postgresql'
port = 5432
listen_addresses = '$(machine_address "$name")'
ssl = on
ssl_cert_file = '/etc/postgresql/15/main/server.pem'
ssl_key_file = '/etc/postgresql/15/main/server.key'
cluster_name = '15/main'
timezone = 'UTC'
fsync = off
shared_buffers = 64MB
CONF
    printf '%s\n' 'local all postgres peer' 'local all all peer' 'host all all 127.0.0.1/32 scram-sha-256' \
        'local replication all peer' >"$conf/pg_hba.conf"
    echo manual >"$conf/start.conf"
    touch "$conf/pg_ident.conf" "$conf/environment"
    machine_certificate "$name" ca "$conf/server"
    chmod 600 "$conf/server.key"
    chown -R postgres: "$dir/lib/postgresql" "$dir/etc/postgresql"
    on "$name" pg_ctlcluster 15 main start
}

machine_clickhouse() {
    local name=$1 dir conf
    dir=$(machine_dir "$name") conf=$dir/etc/clickhouse-server
    machine_certificate "$name" ca "$conf/server"
    mkdir -p "$conf/config.d" "$conf/users.d"
    cat >"$conf/config.d/machine.xml" <<XML
<yandex>
    <listen_host>$(machine_address "$name")</listen_host>
    <https_port>8443</https_port>
    <timezone>UTC</timezone>
    <openSSL><server>
        <certificateFile>/etc/clickhouse-server/server.pem</certificateFile>
        <privateKeyFile>/etc/clickhouse-server/server.key</privateKeyFile>
        <dhParamsFile remove="remove"/>
    </server></openSSL>
</yandex>
XML
    chown -R clickhouse: "$conf"
    mkdir -p "$(machine_dir "$name")/srv/bin"
    install -m 755 "$WALPIPE_ROOT/test/lib/standin_clickhouse.sh" "$(machine_dir "$name")/srv/bin/systemctl"
    on "$name" systemctl start clickhouse-server
}

machine_walpipe() {
    local dir
    dir=$(machine_dir "$1")
    mkdir -p "$dir/srv/bin" "$dir/lib/walpipe" "$dir/etc/walpipe"
    # the machine does not see them where they are if that is below /root
    cp -r "$WALPIPE_BIN" "$dir/srv/walpipe"
    ln -s ../walpipe/walpipe ../walpipe/evcat "$dir/srv/bin"
    cp "$WALPIPE_ROOT/test/lib/standin_systemd.py" "$dir/srv/bin/systemctl"
    ln -s systemctl "$dir/srv/bin/journalctl"
    sed 's,/usr/local/bin,/srv/bin,' "$WALPIPE_ROOT/scripts/systemd/walpipe@.service" >"$dir/srv/walpipe@.service"
    # as the package's postinst
    on "$1" useradd --system --no-create-home --home-dir /var/lib/walpipe --shell /usr/sbin/nologin walpipe
    on "$1" chown root:walpipe /etc/walpipe
    chmod 750 "$dir/etc/walpipe"
}
