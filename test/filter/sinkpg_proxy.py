#!/usr/bin/python3
"""sinkpg_proxy.py: between a sink and its PostgreSQL; cuts connections around COMMIT.

    sinkpg_proxy.py PORT_FILE SERVER_PORT

Listens on a free port of 127.0.0.1, writes it to PORT_FILE. Every few commits the connection is
cut: in turn before the command reaches the server, and after it did, with the answer lost."""

import socket
import sys
import threading

CUT_EVERY = 9


class Proxy:
    def __init__(self, server_port):
        self.server_port = server_port
        self.commits = 0
        self.cuts = 0
        self.lock = threading.Lock()

    def decide(self):
        """None, "before" or "after"."""
        with self.lock:
            self.commits += 1
            if self.commits % CUT_EVERY != 0:
                return None
            self.cuts += 1
            return "before" if self.cuts % 2 else "after"

    def serve(self, client):
        server = socket.create_connection(("127.0.0.1", self.server_port))
        answers = threading.Event()  # set: the server's answers are dropped
        threading.Thread(target=self.back, args=(server, client, answers), daemon=True).start()
        while True:
            try:
                data = client.recv(65536)
            except OSError:
                data = b""
            if not data:
                break
            cut = self.decide() if b"COMMIT\0" in data else None
            if cut == "before":
                print("cut before", flush=True)
                break
            if cut == "after":
                answers.set()
                server.sendall(data)
                # the server ends the session by itself, after the commit, at our EOF
                server.shutdown(socket.SHUT_WR)
                self.done.wait(5)
                print("cut after", flush=True)
                break
            server.sendall(data)
        for sock in (client, server):
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            sock.close()

    done = threading.Event()

    def back(self, server, client, answers):
        while True:
            try:
                data = server.recv(65536)
                if not data:
                    self.done.set()
                    return
                if not answers.is_set():
                    client.sendall(data)
            except OSError:
                return


def main():
    proxy = Proxy(int(sys.argv[2]))
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(16)
    with open(sys.argv[1] + ".new", "w") as f:
        f.write(str(listener.getsockname()[1]))
    import os
    os.rename(sys.argv[1] + ".new", sys.argv[1])
    while True:
        client, _ = listener.accept()
        proxy.done.clear()
        threading.Thread(target=proxy.serve, args=(client,), daemon=True).start()


if __name__ == "__main__":
    main()
