#!/usr/bin/env bats
# ackd's status page and its JSON, also in a real headless Chromium.

bats_require_minimum_version 1.5.0

load ackd

# What the plays share: a pipeline whose names, messages and rows want to become markup.
hostile='
EVIL = "</script><img src=x onerror=alert(1)>\"\\\\&amp;\u2028é\x7f"
http = ("--http", "127.0.0.1:0")

from stream import TABLE_COUNTS

def begin(a):
    r = Reader(a).start(100, database=EVIL[:40], slot="orders")
    dst = [Worker(a).start("dst", i, 2, version=2) for i in range(2)]
    olap = Worker(a).start("olap", 0, 1)
    r.got(900)
    r.slot(current=1100, restart=50, status="extended", safe=2**40)
    dst[0].reached(700, events=3, rows=2, micros=1500)
    dst[0].say(DIFFERENCES, EVIL, 3, 0, 1)
    dst[0].say(TABLE_COUNTS, EVIL, "waiting", 5, 1, 2, 0)
    dst[1].say(TABLE_COUNTS, EVIL, "streaming", 5, 0, 0, 1)
    olap.say(TARGET, False, EVIL + " is down")
    a.wait_http("/healthz", 503, "sink olap/0: target down")
    return r, dst, olap
'

needs_chromium() {
    type -P chromium >/dev/null || skip "chromium is not installed"
}

@test "status.json is one object with all parts, and only the points after since" {
    play <<EOF
$hostile
with Ackd("dst=2 olap=1", extra=(*http, "--restarts", "4")) as a:
    empty = json.loads(a.http("/status.json")[1])
    assert empty["safe_lsn"] is None and empty["lag_bytes"] is None and empty["slot"] is None, empty
    assert not empty["healthy"] and [w["waits"] for w in empty["workers"]] == ["start"] * 3
    r, dst, olap = begin(a)
    s = json.loads(a.http("/status.json")[1])
    assert s["pipeline"] == "orders" and s["restarts"] == 4 and not s["healthy"]
    assert s["source"]["alive"] and s["source"]["slot"] == "orders" and s["source"]["received_lsn"] == "0/384"
    assert s["slot"]["retained_bytes"] == 1050 and s["slot"]["safe_wal_size"] == 2**40
    assert s["lag_bytes"] == 1000 and s["sinks"] == [{"name": "dst", "shards": 2}, {"name": "olap", "shards": 1}]
    w = s["workers"]
    assert [x["state"] for x in w] == ["ok", "ok", "target down"], w
    assert w[0]["events"] == 3 and w[0]["batch_micros"] == 1500 and w[0]["reached_lsn"] == "0/2BC"
    assert w[2]["waits"] == "target" and w[2]["target_message"].startswith("</script><img")
    assert s["differences"][0]["table"].startswith("</script><img") and s["differences"][0]["sink"] == "dst"
    assert [e["program"] for e in s["errors"]] == ["sink olap/0"] and s["errors"][0]["hint"]
    # all fake peers are one process
    assert {"ackd", "python3"} <= {p["name"] for p in s["programs"] if p["resident_bytes"] > 0}, s["programs"]
    assert s["tables"] == [{"sink": "dst", "table": EVIL, "state": "copying", "inserts": 10, "updates": 1,
                            "deletes": 2, "truncates": 1}], s["tables"]
    assert a.http("/metrics")[1].count('replicator_table_changes_total{sink="dst",table="</script><img') == 4
    points = s["history"]
    assert points and points[0]["changes"] == [0, 0]
    assert json.loads(a.http("/status.json?since=%d" % points[-1]["time"])[1])["history"] == []
    for odd in ("-1", "x", "", "99999999999999999999999", "1&since=2"):
        assert a.http("/status.json?since=" + odd)[0] == 200, odd
    # the newest error comes first
    olap.say(TARGET, False, "another reason")
    a.wait_http("/healthz", 503, "sink olap/0: target down: another reason")
    errors = json.loads(a.http("/status.json")[1])["errors"]
    assert [e["message"][:7] for e in errors] == ["another", "</scrip"], errors
EOF
}

@test "the page has a strict policy, a new number each time, and nothing from outside" {
    play <<EOF
$hostile
def get(path):
    port = a.wait_log(r"HTTP on \\S+, port (\\d+)").group(1)
    with urllib.request.urlopen("http://127.0.0.1:%s%s" % (port, path), timeout=PATIENCE) as answer:
        return answer.headers, answer.read().decode()

with Ackd("dst=2 olap=1", extra=http) as a:
    begin(a)
    seen = set()
    for _ in range(3):
        headers, page = get("/")
        policy = dict(p.strip().split(" ", 1) for p in headers["Content-Security-Policy"].split(";"))
        nonce = re.fullmatch("'nonce-([0-9a-f]{32})'", policy["script-src"]).group(1)
        assert policy == {"default-src": "'none'", "script-src": "'nonce-%s'" % nonce,
                          "style-src": "'nonce-%s'" % nonce, "connect-src": "'self'", "img-src": "data:",
                          "base-uri": "'none'", "form-action": "'none'", "frame-ancestors": "'none'"}, policy
        assert re.findall(r'<(\\w+) nonce="([0-9a-f]*)"', page) == [("style", nonce), ("script", nonce)]
        seen.add(nonce)
    assert len(seen) == 3 and "0" * 32 not in seen
    assert headers["Content-Type"] == "text/html; charset=utf-8" and headers["X-Content-Type-Options"] == "nosniff"
    # no state is in the page itself, and nothing comes from elsewhere
    assert "orders" not in page and "img src=x" not in page
    assert re.findall(r'https?://[^"]*', page) == ["http://www.w3.org/2000/svg"]
    assert not re.search(r"innerHTML|insertAdjacentHTML|document\\.write|eval\\(|\\bsrc=", page)
    assert get("/status.json")[0]["Content-Type"] == "application/json"
    assert a.http("/", "HEAD") == (200, "") and a.http("/", "POST", b"x")[0] == 405
EOF
}

@test "Chromium draws the page: every part, hostile names as text, no error" {
    needs_chromium
    play <<EOF
$hostile
import html

def dump(width):
    port = a.wait_log(r"HTTP on \\S+, port (\\d+)").group(1)
    done = subprocess.run(
        ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--user-data-dir=" + tempfile.mkdtemp(),
         "--enable-logging=stderr", "--window-size=%d,1200" % width, "--virtual-time-budget=6000", "--dump-dom",
         "http://127.0.0.1:%s/" % port], capture_output=True, text=True, timeout=50)
    console = [l for l in done.stderr.splitlines() if "CONSOLE" in l]
    assert console == [], console
    return done.stdout

def text(page, tag):
    part = re.search(r'<(\\w+)[^>]* id="%s"[^>]*>(.*?)</\\1>' % tag, page, re.S)
    return html.unescape(re.sub(r"<[^>]*>", " ", part.group(2))) if part else ""

with Ackd("dst=2 olap=1", extra=(*http, "--restarts", "4")) as a:
    begin(a)
    for width in (1280, 390):
        page = dump(width)
        assert re.search(r'data-drawn="[1-9]', page), page[-2000:]
        assert text(page, "name") == "orders" and text(page, "pill") == "not healthy", text(page, "pill")
        flow = page[page.index('id="flow"'):page.index('id="back"')]
        for part in ("PostgreSQL 15.0", "pg-wal-read", "pgout-decode", "route", "dst (fake)", "olap (fake)", "target down"):
            assert part in flow, (part, flow)
        assert "olap/0" in text(page, "workers") and "target down" in text(page, "workers")
        for table in ("tables", "differences"):
            assert "</script><img src=x onerror=alert(1)>" in text(page, table), table
        assert "copying" in text(page, "tables")
        assert "</script><img" in text(page, "errors") and "</script><img" in text(page, "banner")
        assert "<img" not in page and page.count("<script") == 1
        assert page.count('class="plot"') == 3
        assert "1.05 kB" in page and "wal_status extended" in page and "1.10 TB until" in page
EOF
}
