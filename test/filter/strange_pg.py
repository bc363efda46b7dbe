#!/usr/bin/python3
"""Speaks PostgreSQL's protocol and answers every question with the same rows, whatever was asked.

usage: strange_pg.py DIRECTORY PORT COLUMNS ROWS VALUE    VALUE: text, or NULL
"""
import os, socket, struct, sys

directory, port, columns, rows, value = sys.argv[1:]
columns, rows = int(columns), int(rows)


def message(kind, body=b""):
    return kind + struct.pack("!i", len(body) + 4) + body


field = b"c\0" + struct.pack("!ihihih", 0, 0, 25, -1, -1, 0)
cell = struct.pack("!i", -1) if value == "NULL" else struct.pack("!i", len(value)) + value.encode()
DESCRIPTION = message(b"T", struct.pack("!h", columns) + field * columns)
ROWS = message(b"D", struct.pack("!h", columns) + cell * columns) * rows + message(b"C", b"SELECT 1\0")
READY = message(b"Z", b"I")
# libpq asks for what it does not find here, and reads answers without columns through NULL itself.
PARAMETERS = (b"server_version\00015.1", b"client_encoding\0UTF8", b"standard_conforming_strings\0on",
              b"in_hot_standby\0off", b"default_transaction_read_only\0off")
HELLO = (message(b"R", struct.pack("!i", 0)) + b"".join(message(b"S", p + b"\0") for p in PARAMETERS)
         + message(b"K", struct.pack("!ii", 1, 1)) + READY)


def answer(kind, body):
    if kind == b"Q":
        asked = body.startswith((b"SELECT", b"IDENTIFY"))
        return (DESCRIPTION + ROWS if asked else message(b"C", b"SET\0")) + READY
    return {b"P": message(b"1"), b"B": message(b"2"), b"D": DESCRIPTION, b"E": ROWS,
            b"S": READY}.get(kind, b"")


def serve(conn):
    with conn, conn.makefile("rb") as stream:
        while True:  # a request for TLS or GSS comes before the startup packet
            size, code = struct.unpack("!ii", stream.read(8))
            stream.read(size - 8)
            if code == 196608:
                break
            conn.sendall(b"N")
        conn.sendall(HELLO)
        while kind := stream.read(1):
            body = stream.read(struct.unpack("!i", stream.read(4))[0] - 4)
            if kind == b"X":
                return
            conn.sendall(answer(kind, body))


listener = socket.socket(socket.AF_UNIX)
listener.bind(f"{directory}/.s.PGSQL.{port}")
listener.listen(8)
while True:
    client, _ = listener.accept()
    try:
        serve(client)
    except (OSError, struct.error):
        pass
