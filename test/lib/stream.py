#!/usr/bin/python3
"""stream.py: walpipe's streams for tests: build them and read them.

As a module, with PYTHONPATH=test/lib:

    from stream import *
    sys.stdout.buffer.write(hello() + relation(1, "public", "t", [col("id", key=True)]) + ...)

As a program:

    stream.py py < code.py > stream     runs code with everything below in reach; out(...) writes
    stream.py json < stream             one JSON object a frame, raw: {"type": 19, "elements": [...]}
    stream.py types < stream            one type's name a line

Written from docs/frame.7, docs/events.7, docs/ack.7 and PostgreSQL's protocol chapter, not from
walpipe's C code: the two check each other.
"""

import json
import struct
import sys
import uuid

import msgpack

# ---- frames ----

TYPES = {
    0: "hello", 1: "wal", 2: "keepalive", 3: "end", 4: "tableinfo",
    16: "relation", 17: "begin", 18: "origin", 19: "insert", 20: "update", 21: "delete",
    22: "truncate", 23: "message", 24: "commit", 25: "watermark", 26: "barrier", 27: "layout",
    28: "tableinfo",
    32: "table", 33: "range", 34: "rows", 35: "absent", 36: "range end", 37: "horizon", 38: "touched",
    39: "table end",
}

UNCHANGED = msgpack.ExtType(1, b"")
RUN_ID = bytes(range(16))


def framed(body):
    return struct.pack(">I", len(body)) + body


def frame(*elements):
    """One frame of exactly these elements."""
    return framed(msgpack.packb(list(elements), use_bin_type=True,
                                unicode_errors="surrogateescape"))


def unpack(body):
    return msgpack.unpackb(body, raw=False, unicode_errors="surrogateescape",
                           strict_map_key=False)


def read_frames(stream):
    """Yields each frame's list of elements; raises EOFError inside a frame."""
    while True:
        head = stream.read(4)
        if not head:
            return
        if len(head) < 4:
            raise EOFError("end of file inside a frame's length")
        length, = struct.unpack(">I", head)
        body = b""
        while len(body) < length:
            chunk = stream.read(length - len(body))
            if not chunk:
                raise EOFError("end of file inside a frame")
            body += chunk
        yield unpack(body)


class Incoming:
    """Bytes as they come from a socket, and the frames among them."""

    def __init__(self):
        self.pending = b""

    def add(self, data):
        self.pending += data

    def frame(self):
        """The next whole frame's elements, or None."""
        if len(self.pending) < 4:
            return None
        end_ = 4 + struct.unpack_from(">I", self.pending)[0]
        if len(self.pending) < end_:
            return None
        body, self.pending = self.pending[4:end_], self.pending[end_:]
        return unpack(body)

    def frames(self, data):
        """Yields what becomes whole with data."""
        self.add(data)
        while (elements := self.frame()) is not None:
            yield elements


# ---- both streams ----

def hello(stream="event", program="test", run_id=RUN_ID, system_identifier=7000000000000000001,
          timeline=1, database="postgres", slot="s", publications=("p",), server_version=150020,
          proto_version=1, start_lsn=0x1000, sink="", shard=0, shards=0, magic="walpipe", version=1,
          previous_timeline=0, switch_lsn=0):
    return frame(0, magic, version, stream, program, run_id, system_identifier, timeline, database,
                 slot, list(publications), server_version, proto_version, start_lsn, sink, shard,
                 shards, *((previous_timeline, switch_lsn) if previous_timeline else ()))


def end(reason="drain"):
    return frame(3, reason)


# ---- the wal stream and pgoutput's messages ----

def wal(message, start=0, end=0, time=0):
    return frame(1, start, end, time, message)


def keepalive(wal_end, time=0):
    return frame(2, wal_end, time)


def _cstr(text):
    return (text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape")) + b"\0"


def _xid(xid):
    return b"" if xid is None else struct.pack(">I", xid)


def _tuple(row):
    out = struct.pack(">H", len(row))
    for value in row:
        if value is None:
            out += b"n"
        elif value is UNCHANGED or value == UNCHANGED:
            out += b"u"
        elif isinstance(value, bytes):
            out += b"b" + struct.pack(">I", len(value)) + value
        else:
            data = value.encode("utf-8", "surrogateescape")
            out += b"t" + struct.pack(">I", len(data)) + data
    return out


def pg_begin(final_lsn, time=0, xid=700):
    return b"B" + struct.pack(">QqI", final_lsn, time, xid)


def pg_commit(commit_lsn, end_lsn, time=0, flags=0):
    return b"C" + struct.pack(">BQQq", flags, commit_lsn, end_lsn, time)


def pg_origin(lsn, name):
    return b"O" + struct.pack(">Q", lsn) + _cstr(name)


def pg_relation(relid, schema, name, columns, identity="d", xid=None):
    """columns: (name, key, type_oid, typmod) or col(...) each; schema "" is pg_catalog."""
    out = b"R" + _xid(xid) + struct.pack(">I", relid) + _cstr(schema) + _cstr(name)
    out += identity.encode() + struct.pack(">H", len(columns))
    for name_, key, oid, typmod, *_ in columns:
        out += struct.pack(">B", 1 if key else 0) + _cstr(name_) + struct.pack(">Ii", oid, typmod)
    return out


def pg_type(oid, schema, name, xid=None):
    return b"Y" + _xid(xid) + struct.pack(">I", oid) + _cstr(schema) + _cstr(name)


def pg_insert(relid, row, xid=None):
    return b"I" + _xid(xid) + struct.pack(">I", relid) + b"N" + _tuple(row)


def pg_update(relid, new, key=None, old=None, xid=None):
    out = b"U" + _xid(xid) + struct.pack(">I", relid)
    if key is not None:
        out += b"K" + _tuple(key)
    if old is not None:
        out += b"O" + _tuple(old)
    return out + b"N" + _tuple(new)


def pg_delete(relid, key=None, old=None, xid=None):
    out = b"D" + _xid(xid) + struct.pack(">I", relid)
    return out + (b"K" + _tuple(key) if key is not None else b"O" + _tuple(old))


def pg_truncate(relids, flags=0, xid=None):
    return b"T" + _xid(xid) + struct.pack(">IB", len(relids), flags) + \
        b"".join(struct.pack(">I", relid) for relid in relids)


def pg_message(lsn, prefix, content, transactional=True, xid=None):
    return b"M" + _xid(xid) + struct.pack(">BQ", 1 if transactional else 0, lsn) + \
        _cstr(prefix) + struct.pack(">I", len(content)) + content


def pg_stream_start(xid, first=True):
    return b"S" + struct.pack(">IB", xid, 1 if first else 0)


def pg_stream_stop():
    return b"E"


def pg_stream_commit(xid, commit_lsn, end_lsn, time=0, flags=0):
    return b"c" + struct.pack(">IBQQq", xid, flags, commit_lsn, end_lsn, time)


def pg_stream_abort(xid, subxid):
    return b"A" + struct.pack(">II", xid, subxid)


# ---- the event stream, frame by frame ----

TEXT, INT4, INT8, NUMERIC, BOOL, UUID = 25, 23, 20, 1700, 16, 2950


def col(name, key=False, oid=TEXT, typmod=-1, type_schema="", type_name=""):
    return (name, key, oid, typmod, type_schema, type_name)


def relation(relid, schema, name, columns, identity="d"):
    return frame(16, relid, identity, schema, name, [list(c) for c in columns])


def attribute(attnum, name, oid=TEXT, typmod=-1, not_null=False, has_default=False, missing=None):
    return [attnum, name, oid, typmod, not_null, has_default, missing]


def tableinfo(relid, schema, name, columns, primary=(), identity_key=None, identity="d", lsn=0x1000,
              type_=28):
    """columns: attribute(...) each; identity_key: the primary key unless given. type_ 4: in the wal
    stream."""
    key = list(primary) if identity_key is None else list(identity_key)
    if identity in "fn" and identity_key is None:
        key = []
    return frame(type_, relid, lsn, identity, schema, name, list(primary), key, columns)


def begin(commit_lsn, time=0, xid=700):
    return frame(17, commit_lsn, time, xid)


def origin(lsn, name):
    return frame(18, lsn, name)


def insert(relid, ordinal, row, key_hash=0):
    return frame(19, key_hash, relid, ordinal, list(row))


def update(relid, ordinal, new, key=None, old=None, key_hash=0, old_key_hash=None):
    kind = "K" if key is not None else "O" if old is not None else None
    row = key if key is not None else old
    return frame(20, key_hash, relid, ordinal, key_hash if old_key_hash is None else old_key_hash,
                 kind, None if row is None else list(row), list(new))


def delete(relid, ordinal, key=None, old=None, key_hash=0):
    return frame(21, key_hash, relid, ordinal, "K" if key is not None else "O",
                 list(key if key is not None else old))


def truncate(ordinal, relids, flags=0):
    return frame(22, ordinal, flags, list(relids))


def message(lsn, prefix, content, transactional=True):
    return frame(23, transactional, lsn, prefix, content)


def commit(commit_lsn, end_lsn, events, time=0):
    return frame(24, commit_lsn, end_lsn, time, events)


def watermark(lsn):
    return frame(25, lsn)


def barrier(id_, applier):
    return frame(26, id_, applier)


def layout(shards, shard_key="key", whole=()):
    """whole: "a.b -> c.d" each, in order, or "*"."""
    return frame(27, "shards %d\nshard_key %s\n" % (shards, shard_key) +
                 "".join("whole %s\n" % w for w in whole))


# ---- rows that exist already: version 2 of the event stream ----

def copytable(life, relid, schema, name, columns, identity="d", part=None, rows=0, bytes_=0, definition="",
              sinks=()):
    """The frame `table`."""
    return frame(32, life, relid if part is None else part, rows, bytes_, definition, list(sinks),
                 relid, identity, schema, name, [list(c) for c in columns])


def range_(life, number, relid, schema, name, columns, identity="d", kind="b", from_=(0, 0), file=1,
           snapshot=(1, 1, ()), mark=0x1000, floor=0x1000, sinks=()):
    xmin, xmax, running = snapshot
    return frame(33, life, number, kind, list(from_), file, [xmin, xmax, list(running)], mark, floor,
                 list(sinks), relid, identity, schema, name, [list(c) for c in columns])


def _packed_rows(rows):
    return b"".join(msgpack.packb(list(row), use_bin_type=True, unicode_errors="surrogateescape")
                    for row in rows)


def rows(life, number, rows_, hashes=(), type_=34):
    """hashes: one for each row before route, none behind it."""
    return frame(type_, life, number, len(rows_), _packed_rows(rows_),
                 b"".join(struct.pack(">Q", h) for h in hashes))


def absent(life, number, keys, hashes=()):
    return rows(life, number, keys, hashes, 35)


def range_end(life, number, count, to=None):
    return frame(36, life, number, None if to is None else list(to), count)


def horizon(xmin, xmax, running=()):
    return frame(37, [xmin, xmax, list(running)])


def touched(relid, ordinal, key=None):
    """key None: the whole table."""
    return frame(38, relid, ordinal, None if key is None else list(key))


def table_end(life, how="d"):
    return frame(39, life, how)


def unpack_rows(data):
    unpacker = msgpack.Unpacker(raw=False, unicode_errors="surrogateescape")
    unpacker.feed(data)
    return list(unpacker)


# ---- the key hash of events(7) ----

MASK = (1 << 64) - 1
# bool bytea "char" name int8 int2 int4 text oid varchar date time timestamp timestamptz uuid
CANONICAL = {16, 17, 19, 20, 21, 23, 25, 26, 1043, 2950}


def text_of(oid, value):
    """The text of a value in binary format (bytes) of one of the types in CANONICAL."""
    if oid in (20, 21, 23):
        return str(int.from_bytes(value, "big", signed=True)).encode()
    if oid == 26:
        return str(int.from_bytes(value, "big")).encode()
    if oid == 16:
        return b"t" if value == b"\1" else b"f"
    if oid == 17:
        return b"\\x" + value.hex().encode()
    if oid == 2950:
        return str(uuid.UUID(bytes=value)).encode()
    return value


def _fnv(h, data):
    for byte in data:
        h = (h ^ byte) * 0x100000001b3 & MASK
    return h


def key_hash(relid, columns, row, identity="d", old=None):
    h = _fnv(0xcbf29ce484222325, struct.pack(">I", relid))
    if identity not in "fn":
        for n, (column, value) in enumerate(zip(columns, row)):
            if not column[1] or column[2] not in CANONICAL:
                continue
            if value == UNCHANGED and old is not None:
                value = old[n]
            if isinstance(value, bytes):
                value = text_of(column[2], value)
            if isinstance(value, str):
                value = value.encode("utf-8", "surrogateescape")
            h = _fnv(h, (value if isinstance(value, bytes) else b"") + b"\0")
    h ^= h >> 33
    h = h * 0xff51afd7ed558ccd & MASK
    h ^= h >> 33
    h = h * 0xc4ceb9fe1a85ec53 & MASK
    return h ^ h >> 33


class Events:
    """An event stream that counts its own ordinals, LSNs and hashes.

        e = Events(sink="dst", shards=1)
        e.table(1, "public", "t", [col("id", key=True), col("v")])
        e.begin(); e.insert(1, ["1", "a"]); e.update(1, ["1", "b"]); e.delete(1, ["1", None])
        e.commit(); e.watermark(); e.end()
        out(e.bytes)

    Each transaction takes 0x100 bytes of WAL: begin() at 0x2000, 0x2100 ...; commit's end LSN is
    0x28 past its commit LSN, and the next transaction's begin may be asked for by lsn=."""

    def __init__(self, lsn=0x2000, shard_key="key", whole=(), **hello_fields):
        self.bytes = hello(**hello_fields)
        if hello_fields.get("shards", 0) > 1:
            self.bytes += layout(hello_fields["shards"], shard_key, whole)
        self.lsn = lsn
        self.ordinal = 0
        self.tables = {}

    def add(self, data):
        self.bytes += data
        return self

    def table(self, relid, schema, name, columns, identity="d"):
        self.tables[relid] = (columns, identity)
        return self.add(relation(relid, schema, name, columns, identity))

    def begin(self, lsn=None, **fields):
        self.lsn = self.lsn if lsn is None else lsn
        self.ordinal = 0
        return self.add(begin(self.lsn, **fields))

    def _hash(self, relid, row, old=None):
        columns, identity = self.tables[relid]
        return key_hash(relid, columns, row, identity, old)

    def insert(self, relid, row):
        self.ordinal += 1
        return self.add(insert(relid, self.ordinal, row, self._hash(relid, row)))

    def update(self, relid, new, key=None, old=None):
        self.ordinal += 1
        before = key if key is not None else old
        new_hash = self._hash(relid, new, before)
        old_hash = new_hash if before is None else self._hash(relid, before)
        return self.add(update(relid, self.ordinal, new, key, old, new_hash, old_hash))

    def delete(self, relid, key=None, old=None):
        self.ordinal += 1
        row = key if key is not None else old
        return self.add(delete(relid, self.ordinal, key, old, self._hash(relid, row)))

    def truncate(self, relids, flags=0):
        self.ordinal += 1
        return self.add(truncate(self.ordinal, relids, flags))

    def commit(self, events=None):
        self.add(commit(self.lsn, self.lsn + 0x28, self.ordinal if events is None else events))
        self.lsn += 0x100
        return self

    def watermark(self, lsn=None):
        return self.add(watermark(self.lsn - 8 if lsn is None else lsn))

    def end(self, reason="drain"):
        return self.add(end(reason))


class Wal:
    """A wal stream: w = Wal(); w.add(pg_begin(...)); w.keepalive(lsn); w.end(); out(w.bytes)"""

    def __init__(self, **hello_fields):
        self.bytes = hello(stream="wal", program="pg-wal-read", **hello_fields)

    def add(self, *messages, start=0, end=0):
        for m in messages:
            self.bytes += wal(m, start, end)
        return self

    def keepalive(self, lsn):
        self.bytes += keepalive(lsn)
        return self

    def end(self, reason="drain"):
        self.bytes += end(reason)
        return self


# ---- the ack socket: ack(7); each message is frame(TYPE, run_id, ...) ----

(SOURCE, RECEIVED, SLOT, DRAINING, WAITING, REGISTER, REACHED, TARGET, BARRIER_REACHED, BARRIER_DONE,
 FINISHED, DIFFERENCES, STATUS_REQUEST) = 1, 2, 3, 4, 5, 8, 9, 10, 11, 12, 13, 14, 16
ACCEPTED, REFUSED, FEEDBACK, DRAINED, GO, STATUS = 32, 33, 34, 35, 36, 37
COPIER, ASK, TABLE_STATE, COPIED, MISSING, COPY_COUNTS, TABLE_COUNTS, LACKS = 6, 7, 15, 17, 18, 19, 20, 21
CONTROL, CONTROLLED = 22, 23
RUN_IS, RELAYED, ANSWERED = 38, 39, 40
FEEDBACK_BYTES = ">cQQQqB"  # PostgreSQL's standby status update


def feedback_bytes(write, flush):
    return struct.pack(FEEDBACK_BYTES, b"r", write, flush, flush, 0, 0)


def unpack_feedback(data):
    """(write, flush, time, reply requested)"""
    tag, write, flush, apply, when, reply = struct.unpack(FEEDBACK_BYTES, data)
    assert tag == b"r" and flush == apply
    return write, flush, when, reply


# ---- as a program ----

def out(*parts):
    for part in parts:
        sys.stdout.buffer.write(part.bytes if isinstance(part, (Events, Wal)) else part)


def jsonable(value):
    if isinstance(value, msgpack.ExtType):
        return {"ext": value.code}
    if isinstance(value, bytes):
        return {"hex": value.hex()}
    if isinstance(value, list):
        return [jsonable(v) for v in value]
    return value


def main():
    what = sys.argv[1] if len(sys.argv) > 1 else ""
    if what == "py":
        exec(compile(sys.stdin.read(), "<stdin>", "exec"), globals())
    elif what == "json":
        for elements in read_frames(sys.stdin.buffer):
            print(json.dumps({"type": TYPES.get(elements[0], elements[0]),
                              "elements": jsonable(elements[1:])}))
    elif what == "types":
        for elements in read_frames(sys.stdin.buffer):
            print(TYPES.get(elements[0], elements[0]))
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
