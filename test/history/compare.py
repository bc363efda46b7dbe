"""compare.py: do a target's rows equal the source's? Row by row; the first differences as text.

PostgreSQL's rows are compared as COPY writes them, ClickHouse's by a canonical text of each value,
which both sides are brought to. Knows no workload."""

import collections
import decimal
import io
import struct

from shapes import quote

SHOWN = 5  # differences of one table

NULL = "\\N"


def unescape(cell):
    """COPY's and TabSeparated's text format."""
    if "\\" not in cell:
        return cell
    out, at, letters = [], 0, {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "0": "\0"}
    while at < len(cell):
        if cell[at] == "\\":
            at += 1
            out.append(letters.get(cell[at], cell[at]))
        else:
            out.append(cell[at])
        at += 1
    return "".join(out)


def pg_columns(cursor, relation):
    """[(name, type)] of what the stream carries, by name."""
    cursor.execute("SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute WHERE "
                   "attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped AND "
                   "attgenerated = ''", [relation])
    return sorted(cursor.fetchall())


def pg_rows(cursor, relation, columns, where=None):
    """Each row as COPY's line, in no order."""
    cursor.execute("SET datestyle = ISO; SET timezone = 'UTC'; SET intervalstyle = postgres; "
                   "SET bytea_output = hex; SET extra_float_digits = 3")
    names = ", ".join(quote(name) for name, _ in columns)
    out = io.StringIO()
    cursor.copy_expert(f"COPY (SELECT {names} FROM {relation} "
                       f"WHERE {where or 'true'}) TO STDOUT", out)
    return out.getvalue().split("\n")[:-1]


# ---- ClickHouse ----

def canonical(text, pg_type, ch_type):
    """What a value must look like in ClickHouse; both sides go through this."""
    ch_type = ch_type.replace("Nullable(", "").rstrip(")") if "Nullable" in ch_type else ch_type
    if text is None:
        return NULL
    if ch_type.startswith("String"):
        return text
    if ch_type == "Float64":
        return repr(float(text))
    if ch_type == "Float32":
        return repr(struct.unpack("f", struct.pack("f", float(text)))[0])
    if ch_type.startswith("Decimal"):
        return str(decimal.Decimal(text).normalize() + 0)
    if ch_type.startswith("Date") and text.startswith("0000-00-00"):
        return text.replace("0000-00-00", "1970-01-01")  # how 18.16 writes day 0
    if pg_type == "boolean":
        return {"t": "1", "f": "0", "true": "1", "false": "0"}.get(text, text)
    if ch_type.startswith("DateTime64"):
        return canonical_time(text)
    return text


def canonical_time(text):
    """Clamped to what DateTime64 has, with all six digits."""
    seconds, _, fraction = text.removesuffix("+00").partition(".")
    if seconds < "1900":
        return "1900-01-01 00:00:00.000000"
    if seconds >= "2300":
        return "2299-12-31 23:59:59.999999"
    return f"{seconds}.{fraction:0<6}"


def expected_of(cell, pg_type, ch_type):
    """From a cell of COPY."""
    if cell == NULL:
        return NULL
    text = unescape(cell)
    if "String" in ch_type:
        data = bytes.fromhex(text[2:]) if pg_type == "bytea" else text.encode()
        return data.hex().upper()
    return canonical(text, pg_type, ch_type)


def found_of(cell, pg_type, ch_type):
    return NULL if cell == NULL else canonical(unescape(cell), pg_type, ch_type)


def ch_types(ch, database, table):
    rows = ch(f"SELECT name, type FROM system.columns WHERE database = '{database}' AND table = "
              f"{ch_literal(table)}")
    return {unescape(n): unescape(t) for n, t in (line.split("\t") for line in rows)}


def ch_literal(text):
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def ch_name(name):
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"


def ch_rows(ch, database, table, columns, keyed):
    """(types, rows) or None when the table is not there."""
    types = ch_types(ch, database, table)
    if not types:
        return None
    cells = ", ".join(f"hex({ch_name(n)})" if "String" in types.get(n, "") else
                      f"toString({ch_name(n)})" for n, _ in columns)
    name = table + "_current" if keyed else table
    return types, ch(f"SELECT {cells} FROM {database}.{ch_name(name)}")


def missing_columns(columns, types):
    return [name for name, _ in columns if name not in types]


# ---- differences ----

def differences(expected, found, columns, keys):
    """Texts about rows that are on one side only; rows of one key are shown side by side."""
    expected, found = collections.Counter(expected), collections.Counter(found)
    names = [name for name, _ in columns]
    places = [names.index(key) for key in keys]
    by_key = collections.defaultdict(lambda: ([], []))
    for side, rows in enumerate((expected - found, found - expected)):
        for row, count in rows.items():
            cells = row.split("\t")
            by_key[tuple(cells[p] for p in places) or row][side].append((cells, count))
    out = []
    for key, (missing, surplus) in sorted(by_key.items())[:SHOWN]:
        title = ", ".join(f"{n}={k[:100]}" for n, k in zip(keys, key)) if keys else "row"
        if len(missing) == len(surplus) == 1:
            out.append(f"{title}: " + "; ".join(
                f"{n} is {s[:100]}, not {w[:100]}"
                for n, w, s in zip(names, missing[0][0], surplus[0][0]) if w != s))
            continue
        for what, rows in (("missing", missing), ("too much", surplus)):
            for cells, count in rows:
                out.append(f"{title}: {what}{f' {count} times' if count > 1 else ''}: " +
                           ", ".join(f"{n}={c[:100]}" for n, c in zip(names, cells)))
    if len(by_key) > SHOWN:
        out.append(f"and {len(by_key) - SHOWN} more")
    return out


def published_columns(source, relation, published):
    return [c for c in pg_columns(source, relation) if published is None or c[0] in published]


def compare_pg(source, target, relation, keys, where=None, published=None):
    columns = published_columns(source, relation, published)
    return differences(pg_rows(source, relation, columns, where), pg_rows(target, relation, columns),
                       columns, keys)


def compare_ch(source, ch, database, relation, table, keys, where=None, published=None):
    """`table` is its name there; keyed ones are read through their view."""
    columns = published_columns(source, relation, published)
    rows = pg_rows(source, relation, columns, where)
    got = ch_rows(ch, database, table, columns, bool(keys))
    if got is None:
        return [f"no table {table} for {len(rows)} rows"] if rows else []
    types, found = got
    if missing_columns(columns, types):
        # created when a row needs it: nothing with this column was changed yet
        return [f"no column {n}" for n in missing_columns(columns, types)]

    def lines(rows, of):
        return ["\t".join(of(cell, pg_type, types[name])
                          for cell, (name, pg_type) in zip(row.split("\t"), columns)) for row in rows]

    return differences(lines(rows, expected_of), lines(found, found_of), columns,
                       keys)
