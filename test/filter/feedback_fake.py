#!/usr/bin/python3
"""feedback_fake.py SOCKET FLUSH_LSN: an ackd that accepts pg-wal-read and, once something was
received, sends one feedback with this flush LSN (decimal; "received": what was received)."""
import os
import socket
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from stream import frame, unpack  # noqa: E402

SOURCE, RECEIVED, ACCEPTED, FEEDBACK = 1, 2, 32, 34


def messages(sock):
    pending = b""
    while True:
        data = sock.recv(65536)
        if not data:
            return
        pending += data
        while len(pending) >= 4:
            n, = struct.unpack_from(">I", pending)
            if len(pending) < 4 + n:
                break
            body, pending = pending[4:4 + n], pending[4 + n:]
            yield unpack(body)


listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen(1)
peer, _ = listener.accept()
for message in messages(peer):
    if message[0] == SOURCE:
        peer.sendall(frame(ACCEPTED, message[1]))
    if message[0] == RECEIVED:
        lsn = message[2] if sys.argv[2] == "received" else int(sys.argv[2])
        status = struct.pack(">cQQQqB", b"r", message[2], lsn, lsn, 0, 0)
        peer.sendall(frame(FEEDBACK, message[1], status))
