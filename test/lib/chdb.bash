# chdb.bash: a ClickHouse of today beside Debian's old one: the engine (libchdb, from npm) behind
# test/chdb/front.c. Source it after servers.bash.
#
#   chdb_install      fetches the library once a user and version; prints its path
#   chdb_available, chdb_or_skip      for setup_file and setup: without network or npm, skip
#   chdb_new NAME     a new, empty engine, started; ch_url, ch_sql, ch_stop, ch_kill and ch_log of
#                     servers.bash work with NAME; chdb_start starts it again

CHDB_PACKAGE=@chdb/lib-linux-x64-gnu@26.5.3

chdb_install() {
    local dir=/tmp/walpipe-test-chdb-$UID-${CHDB_PACKAGE##*@}
    local library=$dir/node_modules/${CHDB_PACKAGE%@*}/libchdb.so
    mkdir -p "$dir" || return 1
    (
        flock 9
        [ -e "$dir/complete" ] && exit 0
        type -P npm >/dev/null || {
            servers_fail "npm is not installed, which would fetch $CHDB_PACKAGE"
            exit 1
        }
        # node has certificates of its own; those of the system may know one more: a proxy's
        if [ -e /etc/ssl/certs/ca-certificates.crt ]; then
            export NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt
        fi
        cd "$dir" && npm install --no-audit --no-fund --no-save --prefix . "$CHDB_PACKAGE" \
            >npm.log 2>&1 </dev/null || {
            servers_fail "npm could not fetch $CHDB_PACKAGE: $(grep -v '^$' npm.log | head -n 3)"
            exit 1
        }
        touch complete
    ) 9>"$dir/lock" || return 1
    echo "$library"
}

# In setup_file, where bats cannot skip: true when there is an engine; else each test's setup has to
# call chdb_or_skip.
chdb_available() {
    chdb_install >/dev/null 2>"$BATS_FILE_TMPDIR/no-chdb" && rm "$BATS_FILE_TMPDIR/no-chdb"
}

chdb_or_skip() {
    [ ! -e "$BATS_FILE_TMPDIR/no-chdb" ] || skip "$(paste -sd ' ' "$BATS_FILE_TMPDIR/no-chdb")"
}

chdb_start() {
    local dir=$SCRATCH/$1 library
    library=$(chdb_install) || return 1
    # two files may run side by side
    flock "$WALPIPE_ROOT/build" make -s -C "$WALPIPE_ROOT" build/test/chdb-front || return 1
    # shellcheck disable=SC2016 # the inner shell expands them
    setsid bash -c 'cd "$2" && echo $$ >"$2/pid" && exec "$1" "$3" "$2/data" "$(cat "$2/port")"' \
        chdb "$WALPIPE_ROOT/build/test/chdb-front" "$dir" "$library" \
        </dev/null >>"$dir/log" 2>&1 3>&- 4>&- &
    disown
    wait_until 5 test -s "$dir/pid" || return 1
    kill_later "$(ch_pid "$1")"
    wait_until 60 ch_answers "$1" && return 0
    tail -n 30 "$dir/log" >&2
    servers_fail "could not start chdb \"$1\", its log's end is above"
}

chdb_new() {
    local dir=$SCRATCH/$1
    mkdir -p "$dir/data" || return 1
    port_new >"$dir/port"
    chdb_start "$1"
}
