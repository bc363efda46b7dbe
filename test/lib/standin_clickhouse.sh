#!/bin/bash
# systemctl where no systemd runs, for clickhouse-server: start, stop and restart, which wait until it
# answers on its address.
set -euo pipefail

# shellcheck disable=SC2016 # the inner shell expands it
start() {
    ! kill -0 "$(cat /var/lib/clickhouse/pid 2>/dev/null)" 2>/dev/null || return 0
    cd /var/lib/clickhouse
    setsid setpriv --reuid clickhouse --regid clickhouse --init-groups -- bash -c \
        'echo $$ >/var/lib/clickhouse/pid && exec clickhouse-server --config-file=/etc/clickhouse-server/config.xml' \
        </dev/null >>/var/log/clickhouse-server/out 2>&1 &
    for ((i = 0; i < 600; i++)); do
        ! curl -sfk --noproxy '*' "https://db4:8443/ping" >/dev/null || return 0
        sleep 0.1
    done
    echo "clickhouse-server does not answer" >&2
    return 1
}

stop() {
    local pid
    pid=$(cat /var/lib/clickhouse/pid)
    kill -TERM "$pid"
    while kill -0 "$pid" 2>/dev/null; do sleep 0.1; done
}

case "$*" in
'start clickhouse-server') start ;;
'stop clickhouse-server') stop ;;
'restart clickhouse-server') stop && start ;;
*) echo "the stand-in knows no: systemctl $*" >&2 && exit 1 ;;
esac
