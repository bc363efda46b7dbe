#!/usr/bin/python3
"""sinkch_fake.py: a ClickHouse that answers what a test wants.

    sinkch_fake.py PORT PLAN

PLAN is JSON: {"version": "24.8.4.13", "settings": {"async_insert": "1"}, "types": ["UInt128", ...],
"tables": {"t": {"engine": ..., "engine_full": ..., "sorting_key": ..., "columns": [[name, type,
kind, in_partition_key]]}}, "inserts": [answer, ...]}. Every INSERT takes the next answer, when none
is left 200 with an empty body: {"status": 200, "headers": {}, "body": ""}, or "close" (no answer).
"alter": {"answer": answer, "adds": [name, type, kind, in_partition_key]}: ALTER ... ADD COLUMN of the table
t gets that answer, and the column is there afterwards.
"same_types": how often the columns of t have their types when they are asked for, before they have others.
"dropped": views that are there when EXISTS asks and gone when DESCRIBE or SHOW CREATE does.
Every request becomes a line of JSON on stdout."""

import json
import re
import struct
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

plan = json.load(open(sys.argv[2]))


def string(text):
    data = text.encode()
    out, n = b"", len(data)
    while n >= 0x80:
        out += bytes([n & 0x7f | 0x80])
        n >>= 7
    return out + bytes([n]) + data


def literal(query, name):
    found = re.search(r"%s = '([^']*)'" % name, query)
    return found.group(1) if found else None


def types(query):
    t = plan["tables"][re.search(r"\.`(\w+)` WHERE 0", query).group(1)]
    known = {n: ty for n, ty, _, _ in t["columns"]}
    names = re.findall(r"`(\w+)`", query.split(" FROM ")[0])
    lines = [names, [known[n].replace("'", "\\'") for n in names]]
    plan["same_types"] = plan.get("same_types", 1000) - 1
    if plan["same_types"] < 0:
        lines[1][-1] = "String"
    return "".join("\t".join(line) + "\n" for line in lines).encode()


def answer_query(query):
    if "TabSeparatedWithNamesAndTypes" in query:
        return types(query)
    if "version()" in query:
        return string(plan["version"])
    if "system.data_type_families" in query:
        return b"".join(string(t) for t in plan.get("types", []))
    if "system.settings" in query:
        return b"".join(string(n) + string(v) for n, v in plan.get("settings", {}).items())
    if "system.databases" in query:
        return b"d\n"
    statement = re.match(r"(EXISTS|SHOW CREATE) TABLE .*\.`(\w+)` FORMAT RowBinary", query)
    if statement:
        t = plan["tables"].get(statement.group(2))
        if statement.group(1) == "EXISTS":
            return bytes([t is not None])
        return string("CREATE TABLE d.t (`id` Int32) ENGINE = " + t["engine_full"])
    if "system.tables" in query:
        t = plan["tables"].get(literal(query, "name"))
        return b"" if t is None else string(t["engine"]) + string(t["sorting_key"])
    if "system.columns" in query:
        t = plan["tables"].get(literal(query, "table"), {"columns": []})
        return b"".join(string(n) + string(ty) + string(k) + bytes([p])
                        for n, ty, k, p in t["columns"])
    return b""


def dropped(query):
    statement = re.match(r"(EXISTS|DESCRIBE|SHOW CREATE) TABLE .*\.`(\w+)` FORMAT TabSeparated", query)
    if not statement or statement.group(2) not in plan.get("dropped", []):
        return {}
    if statement.group(1) == "EXISTS":
        return {"body": "1\n"}
    return {"status": 404, "body": "Code: 60. DB::Exception: Table does not exist. (UNKNOWN_TABLE)"}


def alter(query):
    if "alter" not in plan or not re.match(r"ALTER TABLE \S+\.`t` ADD COLUMN ", query):
        return {}
    plan["tables"]["t"]["columns"].append(plan["alter"]["adds"])
    return plan["alter"]["answer"]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        params = {k: v[0] for k, v in parse_qs(urlsplit(self.path).query).items()}
        query = params.get("query", body.decode("latin-1"))
        insert = query.startswith("INSERT") and "walpipe_progress" not in query
        print(json.dumps({"query": query, "params": params, "insert": insert, "path": self.path,
                          "body": body.hex() if insert else "",
                          "user": self.headers.get("X-ClickHouse-User"),
                          "key": self.headers.get("X-ClickHouse-Key"),
                          "expect": self.headers.get("Expect")}), flush=True)
        answer = dropped(query) or alter(query)
        if insert and plan["inserts"]:
            answer = plan["inserts"].pop(0)
        if answer == "close":
            self.close_connection = True
            return
        data = answer.get("body", "").encode() if insert or answer else answer_query(query)
        self.send_response(answer.get("status", 200))
        for name, value in answer.get("headers", {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
