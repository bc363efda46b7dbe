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
        grep -q "\"$name\"" "$WALPIPE_ROOT"/src/ackd/*metrics.c
    done
}

# A pipeline that has everything: a slot with and without a limit, copies, differences, a target that
# was down. Each query of the dashboard must have a result in a real Prometheus that scrapes it.
@test "each query of the Grafana dashboard finds something in a real Prometheus" {
    local http dashboard=$WALPIPE_ROOT/scripts/prometheus/walpipe.dashboard.json
    http=127.0.0.1:$(port_new)
    port=$(port_new)
    jq -r '[.. | objects | (.expr // empty), (.query | objects | .query)] | unique[]' "$dashboard" |
        sed 's/\$pipeline/.*/g; s/\$instance/.*/g; s/\$__rate_interval/1m/g' >"$SCRATCH/queries"
    [ "$(wc -l <"$SCRATCH/queries")" -gt 25 ]
    # the annotation is of restarts, of which there are none
    grep -v '^changes(replicator_restarts_total' "$SCRATCH/queries" >"$SCRATCH/finding"
    # as recording rules, which promtool parses
    grep -v '^label_values' "$SCRATCH/queries" | jq -Rn '{groups: [{name: "dashboard", rules: [inputs |
        {record: "r", expr: .}]}]} | .groups[0].rules |= [to_entries[] | .value.record += "\(.key)" | .value]' >"$SCRATCH/parsed.yml"
    promtool check rules "$SCRATCH/parsed.yml"
    # panels do not overlap, and each has a title, a unit and an explanation
    jq -e '[.panels[] | select(.type != "row")] | length > 15 and all(.[]; .title != "" and .description != "" and
        .fieldConfig.defaults.unit != null and (.targets | length > 0) and .gridPos.x + .gridPos.w <= 24)' "$dashboard"
    jq -e '[.panels[] | .gridPos as $g | range($g.x; $g.x + $g.w) as $x | range($g.y; $g.y + $g.h) as $y | "\($x) \($y)"] |
        length == (unique | length)' "$dashboard"
    cat >"$SCRATCH/prometheus.yml" <<EOF
global: {scrape_interval: 200ms}
scrape_configs: [{job_name: walpipe, static_configs: [{targets: ["$http"]}]}]
EOF
    prometheus --config.file="$SCRATCH/prometheus.yml" --storage.tsdb.path="$SCRATCH/tsdb" \
        --web.listen-address="127.0.0.1:$port" >"$SCRATCH/prometheus.log" 2>&1 3>&- &
    kill_later $!
    PYTHONPATH=$BATS_TEST_DIRNAME:$WALPIPE_ROOT/test/lib TMPDIR=$SCRATCH timeout 120 \
        /usr/bin/python3 - "$http" "$port" "$SCRATCH/finding" 3>&- <<'EOF'
from ackd_peers import *
from stream import COPIED, COPY_COUNTS, TABLE_COUNTS
import urllib.parse

http, port, queries = sys.argv[1], sys.argv[2], [q.strip() for q in open(sys.argv[3])]

def ask(path, **fields):
    with urllib.request.urlopen("http://127.0.0.1:%s/api/v1/%s?%s" % (port, path, urllib.parse.urlencode(fields))) as a:
        answer = json.load(a)
    assert answer["status"] == "success", answer
    return answer["data"]

def found(query):
    names = re.fullmatch(r"label_values\((.*), (\w+)\)", query)
    if names:
        return ask("label/%s/values" % names[2], **{"match[]": names[1]})
    return ask("query", query=query)["result"]

with Ackd("dst=2 olap=1", extra=("--http", http)) as a:
    r = Reader(a).start(100)
    w = [Worker(a).start("dst", i, 2, version=2) for i in range(2)] + [Worker(a).start("olap", 0, 1)]
    w[2].say(TARGET, False, "down")
    w[2].say(TARGET, True, "")
    w[0].say(DIFFERENCES, "public.t", 1, 2, 3)
    w[0].say(TABLE_COUNTS, "public.t", "", 5, 1, 2, 3)
    lsn = 100
    def live():
        global lsn
        lsn += 1000
        r.got(lsn, commit=int((time.time() - 946684800) * 1e6))
        r.slot(current=lsn + 50, safe=limit)
        for worker in w:
            worker.reached(lsn, events=5, rows=5, micros=2000, commit=int((time.time() - 946684801) * 1e6))
        w[0].say(COPY_COUNTS, 1, 1, 0, 0, 1, 10, 1000)
        w[0].say(COPIED, 1, 1, False)
        for peer in [r] + w:
            while peer.hear(0) is not None:
                pass
    # the time until the slot is lost is known at once only without a limit
    left, deadline = queries, time.monotonic() + 60
    for limit, wait_for in ((-1, "until_lost"), (2**40, "")):
        while any(wait_for in q for q in left):
            assert time.monotonic() < deadline, "no result: " + "\n".join(left)
            live()
            time.sleep(0.3)
            try:
                left = [q for q in left if not found(q)]
            except urllib.error.URLError as e:
                assert not isinstance(e, urllib.error.HTTPError), (e, e.read())
EOF
}
