#!/usr/bin/env bats
# TLS to all three servers, with a certificate authority of the test's own: what it vouches for is
# used, everything else is refused, and nothing falls back to plain text.

bats_require_minimum_version 1.5.0

setup_file() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    local name
    certificates "$SCRATCH/tls"
    pg_new source ssl=on "ssl_cert_file=$SCRATCH/tls/good.pem" "ssl_key_file=$SCRATCH/tls/pg.key"
    pg_new target ssl=on "ssl_cert_file=$SCRATCH/tls/good.pem" "ssl_key_file=$SCRATCH/tls/pg.key"
    for name in source target; do
        printf 'local all all trust\nhostssl all all 127.0.0.1/32 trust\n' \
            >"$(pg_data $name)/pg_hba.conf"
        pg_reload $name
    done
    ch_new olap
    ch_stop olap
    port_new >"$SCRATCH/olap/https_port"
    # It takes only clients with a certificate of the same authority.
    sed -i "s#</yandex>#<https_port>$(cat "$SCRATCH/olap/https_port")</https_port><openSSL><server>\
<certificateFile>$SCRATCH/tls/good.pem</certificateFile>\
<privateKeyFile>$SCRATCH/tls/server.key</privateKeyFile>\
<caConfig>$SCRATCH/tls/ca.pem</caConfig><loadDefaultCAFile>false</loadDefaultCAFile>\
<verificationMode>strict</verificationMode></server></openSSL></yandex>#" "$SCRATCH/olap/config.xml"
    ch_start olap
}

teardown_file() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    servers_end
}

setup() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    source "$BATS_TEST_DIRNAME/../lib/pipeline.bash"
    name=t$BATS_TEST_NUMBER
    conf=$SCRATCH/$name.conf
    tls=$SCRATCH/tls
}

teardown() {
    if [ -z "${BATS_TEST_COMPLETED:-}" ]; then
        tail -n 30 "$SCRATCH/$name".*log 2>/dev/null || true
    fi
    if [ -e "$conf.pid" ] && pid=$(pipeline_pid "$conf"); then
        end_process "$pid" KILL 5
    fi
}

# certificate NAME ALTERNATIVE-NAMES DAYS: NAME.pem for server.key, by the authority ca.
certificate() {
    echo "subjectAltName=$2" >"$1.ext"
    openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days "$3" \
        -extfile "$1.ext" -out "$1.pem"
}

certificates() {
    mkdir "$1"
    (
        cd "$1" || exit
        openssl req -x509 -newkey rsa:2048 -nodes -days 2 -keyout ca.key -out ca.pem -subj /CN=ca
        openssl req -x509 -newkey rsa:2048 -nodes -days 2 -keyout other.key -out other.pem \
            -subj /CN=other
        openssl req -newkey rsa:2048 -nodes -keyout server.key -out server.csr -subj /CN=server
        certificate good DNS:localhost,IP:127.0.0.1 2
        certificate elsewhere DNS:elsewhere.example 2
        certificate expired DNS:localhost,IP:127.0.0.1 -1
        cp server.key pg.key
        chmod 600 ./*.key
        [ "$UID" -ne 0 ] || chown postgres: pg.key
    ) >"$1.log" 2>&1 || {
        cat "$1.log" >&2
        return 1
    }
}

pg_reload() {
    kill -HUP "$(pg_pid "$1")"
}

# pg_tls NAME DB [CA] [HOST]: a conninfo that insists on the authority and the name.
pg_tls() {
    echo "host=${4:-localhost} port=$(pg_port "$1") user=postgres dbname=$2" \
        "sslmode=verify-full sslrootcert=$tls/${3:-ca}.pem"
}

# config [CA]: a source and both targets, all by TLS.
config() {
    pg_sql source "CREATE DATABASE $name"
    pg_sql source "CREATE TABLE t (id int PRIMARY KEY, v text)" "$name"
    pg_sql source "CREATE PUBLICATION p FOR ALL TABLES" "$name"
    pg_sql target "CREATE DATABASE $name"
    pg_sql target "CREATE TABLE t (id int PRIMARY KEY, v text)" "$name"
    ch_sql olap "CREATE DATABASE $name"
    cat >"$conf" <<CONF
[pipeline]
name = $name
state_dir = $SCRATCH/$name.state
copy = no
[source]
conninfo = $(pg_tls source "$name" "${1:-}")
slot = $name
publication = p
[sink dst]
type = pg
conninfo = $(pg_tls target "$name" "${1:-}")
flush_interval = 50ms
[sink olap]
type = ch
url = https://localhost:$(cat "$SCRATCH/olap/https_port")
database = $name
ca_file = $tls/${1:-ca}.pem
cert_file = $tls/good.pem
key_file = $tls/server.key
create_tables = yes
flush_interval = 100ms
CONF
}

rows() {
    pg_sql target 'SELECT count(*) FROM t' "$name"
    ch_sql olap 'SELECT count() FROM t FINAL WHERE _is_deleted = 0' "$name"
}

rows_are() {
    local got
    got=$(rows | tr '\n' ' ')
    [ "$got" = "$1 $1 " ] || { echo "$got" && false; }
}

# A server that answers nobody, with the certificate NAME: the handshake is all that matters.
tls_server() {
    local port
    port=$(port_new)
    openssl s_server -accept "127.0.0.1:$port" -cert "$tls/$1.pem" -key "$tls/server.key" -www \
        </dev/null >"$SCRATCH/s_server.log" 2>&1 3>&- &
    kill_later $!
    disown
    wait_until 10 port_listens "$port"
    url=https://localhost:$port
}

check_sink_ch() {
    run "$WALPIPE_BIN/sink-ch" --check --url "$url" --database d "$@" <"$SCRATCH/hello"
    echo "$output"
}

@test "a backlog and lone commits replicate by TLS to and from every server" {
    local n
    config
    pipeline_start "$conf"
    pg_sql source "INSERT INTO t SELECT g, repeat(md5(g::text), 20) FROM generate_series(1, 30000) g" \
        "$name"
    wait_until 60 rows_are 30000
    # A lone commit must not wait for more bytes to come: each of these would wait for long.
    for n in 30001 30002 30003 30004 30005; do
        pg_sql source "INSERT INTO t VALUES ($n, 'lone')" "$name"
        wait_until 20 rows_are "$n"
    done
    [ "$(pg_sql source "SELECT bool_and(s.ssl) AND count(*) > 0 FROM pg_stat_ssl s
        JOIN pg_stat_activity a USING (pid) WHERE a.application_name ~ '^walpipe'
        OR a.backend_type = 'walsender'")" = t ]
    [ "$(pg_sql target "SELECT bool_and(s.ssl) AND count(*) > 0 FROM pg_stat_ssl s
        JOIN pg_stat_activity a USING (pid) WHERE a.application_name ~ 'walpipe'")" = t ]
    pipeline_stop "$conf"
    no_restart "$conf"
}

@test "an authority that did not sign the servers' certificates: refused at each server" {
    config other
    run "$WALPIPE_BIN/walpipe" check -c "$conf"
    [ "$status" -eq 100 ]
    [[ "$output" == *"FAIL"*"source"*"certificate verify failed"*"sslrootcert must name"* ]]
    run "$WALPIPE_BIN/walpipe" run -c "$conf"
    [ "$status" -eq 100 ]
    [[ "$output" == *"certificate verify failed"* ]]
    # With the right one for the source, each sink says so itself.
    sed -i "/^conninfo.*port=$(pg_port source) /s/other.pem/ca.pem/" "$conf"
    run "$WALPIPE_BIN/walpipe" check -c "$conf"
    echo "$output"
    [ "$status" -eq 100 ]
    grep -q 'FAIL.*dst.*certificate verify failed.*sslrootcert must name' <<<"$output"
    grep -q 'FAIL.*olap.*SSL certificate problem.*ca_file must name' <<<"$output"
    rm -f "$SCRATCH/$name.state/checkpoint"
    run "$WALPIPE_BIN/walpipe" run -c "$conf"
    [ "$status" -eq 100 ]
}

@test "PostgreSQL: another name, a certificate that expired, no TLS at all: refused" {
    local settings="SELECT pg_reload_conf()"
    pg_sql source "ALTER SYSTEM SET ssl_cert_file = '$tls/elsewhere.pem'"
    pg_sql source "$settings"
    wait_until 20 refused_as 'does not match host name' 'must name the host'
    pg_sql source "ALTER SYSTEM SET ssl_cert_file = '$tls/expired.pem'"
    pg_sql source "$settings"
    wait_until 20 refused_as 'certificate verify failed' 'has expired'
    pg_sql source "ALTER SYSTEM SET ssl = off"
    pg_sql source "$settings"
    wait_until 20 refused_as 'server does not support SSL' 'the server needs ssl = on'
    pg_sql source "ALTER SYSTEM RESET ALL"
    pg_sql source "$settings"
}

# refused_as TEXT HINT: the source's reader ends with 100 and this message.
refused_as() {
    run -100 "$WALPIPE_BIN/pg-wal-read" --conninfo "$(pg_tls source postgres)" --slot s \
        --publication p --no-ack
    echo "$output"
    [[ "$output" == *"$1"*"$2"* ]]
}

@test "ClickHouse: another name, a certificate that expired, no TLS at all: refused" {
    PYTHONPATH=$BATS_TEST_DIRNAME/../lib /usr/bin/python3 -c '
import sys; from stream import *; sys.stdout.buffer.write(hello("event") + end())' >"$SCRATCH/hello"
    tls_server elsewhere
    check_sink_ch --ca-file "$tls/ca.pem"
    [ "$status" -eq 100 ]
    [[ "$output" == *"no alternative certificate subject name matches"* ]]
    tls_server expired
    check_sink_ch --ca-file "$tls/ca.pem"
    [ "$status" -eq 100 ]
    [[ "$output" == *"certificate has expired"* ]]
    tls_server good
    check_sink_ch
    [ "$status" -eq 100 ]
    [[ "$output" == *"SSL certificate problem"* ]]
    url=https://localhost:$(cat "$SCRATCH/olap/port")
    check_sink_ch --ca-file "$tls/ca.pem"
    [ "$status" -eq 100 ]
    [[ "$output" == *"SSL"* ]]
}

@test "ClickHouse: TLS files that do not fit, and a key that others may read, are refused" {
    PYTHONPATH=$BATS_TEST_DIRNAME/../lib /usr/bin/python3 -c '
import sys; from stream import *; sys.stdout.buffer.write(hello("event") + end())' >"$SCRATCH/hello"
    url=$(ch_url olap)
    check_sink_ch --ca-file "$tls/ca.pem"
    [ "$status" -eq 100 ]
    [[ "$output" == *"need an https URL"* ]]
    url=https://localhost:$(cat "$SCRATCH/olap/https_port")
    check_sink_ch --ca-file "$tls/none.pem"
    [ "$status" -eq 100 ]
    [[ "$output" == *"could not open CA file"* ]]
    check_sink_ch --ca-file "$tls/ca.pem" --cert-file "$tls/good.pem"
    [ "$status" -eq 100 ]
    [[ "$output" == *"belong together"* ]]
    cp "$tls/server.key" "$tls/open.key"
    chmod 644 "$tls/open.key"
    check_sink_ch --ca-file "$tls/ca.pem" --cert-file "$tls/good.pem" --key-file "$tls/open.key"
    [ "$status" -eq 100 ]
    [[ "$output" == *"is open to others (mode 0644)"* ]]
    # Without a certificate of its own this server does not talk to it.
    check_sink_ch --ca-file "$tls/ca.pem"
    [ "$status" -eq 100 ]
    [[ "$output" == *"FAIL"* ]]
}

@test "the end of a PostgreSQL server's certificate becomes a metric, which needs no login" {
    local script=$WALPIPE_ROOT/scripts/prometheus/postgres-certificates end
    end=$(date -u -d "$(openssl x509 -noout -enddate -in "$tls/good.pem" | sed 's/notAfter=//')" +%s)
    "$script" "127.0.0.1:$(pg_port source)" "127.0.0.1:$(pg_port target)" >"$SCRATCH/certificates"
    cat "$SCRATCH/certificates"
    grep -qx "walpipe_certificate_end_seconds{server=\"127.0.0.1:$(pg_port target)\"} $end" "$SCRATCH/certificates"
    if type -P promtool >/dev/null; then
        promtool check metrics <"$SCRATCH/certificates"
    fi
    # neither nobody nor one without TLS stops the others
    run -111 "$script" "127.0.0.1:$(port_new)" "127.0.0.1:$(cat "$SCRATCH/olap/port")" "127.0.0.1:$(pg_port source)"
    [[ "$output" == *"could not get a certificate from"*"could not get a certificate from"*"} $end"* ]]
    run -100 "$script"
}
