#!/usr/bin/env bats
# scripts/prometheus: the alert rules by promtool, and a real Prometheus that scrapes an ackd.

bats_require_minimum_version 1.5.0

setup() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    rules=$WALPIPE_ROOT/scripts/prometheus/walpipe.rules.yml
    type -P promtool prometheus >/dev/null || skip "prometheus is not installed"
}

teardown() {
    servers_end
}

# query EXPRESSION: its value, or nothing.
query() {
    curl -sfG --data-urlencode "query=$1" "http://127.0.0.1:$port/api/v1/query" |
        jq -r '.data.result[0].value[1] // empty'
}

is_value() {
    [ "$(query "$1")" = "$2" ]
}

@test "each alert fires when it should, and none for a pipeline that is well" {
    cp "$rules" "$BATS_TEST_DIRNAME/prometheus_rules.yml" "$SCRATCH/"
    promtool check rules "$SCRATCH/walpipe.rules.yml"
    promtool test rules "$SCRATCH/prometheus_rules.yml"
    # no alert without a test
    for alert in $(sed -n 's/.*- alert: //p' "$rules"); do
        grep -q "alertname=\"$alert\"" "$SCRATCH/prometheus_rules.yml"
    done
}

@test "a real Prometheus scrapes /metrics, and an alert becomes pending" {
    local http
    http=127.0.0.1:$(port_new)
    port=$(port_new)
    cat >"$SCRATCH/prometheus.yml" <<EOF
global: {scrape_interval: 200ms, evaluation_interval: 200ms}
rule_files: [$rules]
scrape_configs: [{job_name: walpipe, static_configs: [{targets: ["$http"]}]}]
EOF
    "$WALPIPE_BIN/ackd" --socket "$SCRATCH/ackd.sock" --state "$SCRATCH/state" --pipeline orders \
        --sink dst=1 --http "$http" 2>"$SCRATCH/log" 3>&- &
    kill_later $!
    prometheus --config.file="$SCRATCH/prometheus.yml" --storage.tsdb.path="$SCRATCH/tsdb" \
        --web.listen-address="127.0.0.1:$port" >"$SCRATCH/prometheus.log" 2>&1 3>&- &
    kill_later $!
    wait_until 30 is_value 'up{job="walpipe"}' 1
    wait_until 10 is_value 'replicator_info{pipeline="orders"}' 1
    wait_until 10 is_value 'ALERTS{alertname="WalpipeSourceDown",alertstate="pending"}' 1
    # every name in the rules is one that ackd may serve
    for name in $(grep -o 'replicator_[a-z_]*' "$rules" | sort -u); do
        grep -q "\"$name\"" "$WALPIPE_ROOT/src/ackd/metrics.c"
    done
}
