# sink-pg-copy.bash: a table that is copied while the stream goes on (docs/copy.md), for
# sink-pg-copy.bats, sink-pg-copy-notes.bats and sink-pg-copy-ways.bats.

# A stream of version 2, and the frames of a table t(id, v, big), relid 1.
COPY_PRELUDE='
T = [col("id", True, INT4), col("v"), col("big")]
e = Events(sink="dst", shards=1, version=2)
def tx(xid, *changes):
    e.begin(xid=xid)
    for name, *args in changes:
        getattr(e, name)(1, *args)
    e.commit()
def ask(*parts):
    for part in parts or [None]: e.add(copytable(0, 1, "public", "t", T, definition="d", part=part))
    e.add(table_end(0, "l"))
def life(n, part=None): e.add(copytable(n, 1, "public", "t", T, definition="d", part=part))
def block(n, number, rows_, to=None, from_=(0, 0), snapshot=(100, 100, ()), mark=0x2028, kind="b", keys=()):
    e.add(range_(n, number, 1, "public", "t", T, from_=from_, snapshot=snapshot, mark=mark, floor=0x100000, kind=kind))
    if rows_: e.add(rows(n, number, rows_))
    if keys: e.add(absent(n, number, [[k, None, None] for k in keys]))
    e.add(range_end(n, number, len(rows_) + len(keys), to))
'

make_table() {
    sql "CREATE TABLE t (id int PRIMARY KEY, v text, big text)"
}
