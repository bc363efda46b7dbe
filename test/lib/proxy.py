#!/usr/bin/python3
"""proxy.py: TCP connections that break when a test says so.

    proxy.py serve CONTROL NAME=LISTEN:TARGET ...    links: 127.0.0.1:LISTEN to 127.0.0.1:TARGET
    proxy.py tell CONTROL COMMAND...                 one command; prints the answer, a line

CONTROL is the path of a Unix socket. Commands, each for one link NAME:

    NAME pass               no faults from now on; what was held back goes on
    NAME stall              both directions stand still; new connections are accepted and silent
    NAME delay MILLIS       every piece waits so long
    NAME refuse             new connections are closed at once
    NAME cut                every connection is reset
    NAME bytes up|down N    the next connection to pass N bytes in that direction is reset there:
                            the last piece is delivered in part
    NAME commit before|after [N]  the next N COMMITs of the PostgreSQL protocol (default 1): reset
                            before the command reaches the server, or after the server has
                            answered it, the answer lost
    NAME commit turns N     every Nth COMMIT from now on, in turn before and after
    NAME answer [N]         the next N HTTP requests with a body (INSERT or a statement): it reaches
                            the server, the answer is lost
    NAME insert [N]         the same, of the next N HTTP INSERTs
    NAME body [N]           the next N HTTP INSERTs: a part of the body reaches the server, then the
                            end of the stream, as a client that dies would leave it
    NAME hold before|after TABLE  each HTTP INSERT into TABLE stands still before it reaches the
                            server, or its answer does, until `pass`, which resets the connection
    NAME counts             what has happened so far, as JSON

`pass` also takes back what is armed and has not happened."""

import asyncio
import json
import random
import socket
import struct
import sys

PIECE = 65536
COMMIT = (b"Q\0\0\0\x0bCOMMIT\0", b"\0COMMIT\0\0\0")  # a simple query; a Parse of that text


class Link:
    def __init__(self, name, listen, target):
        self.name, self.listen, self.target = name, listen, target
        self.going = asyncio.Event()
        self.held = asyncio.Event()  # the end of what is held
        self.connections = set()
        self.counts = {}
        self.clear()

    def clear(self):
        self.delay = 0.0
        self.refuse = False
        self.armed = {}  # kind: how many are left
        self.limit = None  # (direction, bytes)
        self.every = 0  # of how many COMMITs one is cut
        self.commits = 0  # since then
        self.hold = None  # (when, table)
        self.held.set()
        self.held = asyncio.Event()
        self.going.set()

    def take(self, kind):
        """True when a fault of this kind is armed: it happens now."""
        if self.armed.get(kind, 0) == 0:
            return False
        self.armed[kind] -= 1
        self.note(kind)
        return True

    def note(self, kind):
        self.counts[kind] = self.counts.get(kind, 0) + 1

    def commit_fault(self):
        """What is to happen to a COMMIT that comes now: "before", "after" or None."""
        self.commits += 1
        if self.every and self.commits % self.every == 0:
            self.armed["commit " + ("after" if self.commits // self.every % 2 else "before")] = 1
        return next((when for when in ("before", "after") if self.take("commit " + when)), None)

    async def accept(self, reader, writer):
        if self.refuse:
            self.note("refused")
            writer.transport.abort()
            return
        await self.going.wait()
        try:
            up = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.transport.abort()
            return
        connection = Connection(self, (reader, writer), up)
        self.connections.add(connection)
        try:
            await connection.run()
        finally:
            self.connections.discard(connection)


def reset(writer):
    """RST, as from a host that knows nothing of the connection."""
    sock = writer.get_extra_info("socket")
    if sock is not None:
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        except OSError:
            pass
    writer.transport.abort()


class Connection:
    def __init__(self, link, client, server):
        self.link = link
        self.client_in, self.client_out = client
        self.server_in, self.server_out = server
        self.mute = None  # or: the server's answers are thrown away; these bytes end the wait
        self.answer = b""
        self.answered = asyncio.Event()

    async def run(self):
        up = asyncio.ensure_future(self.pump(self.client_in, self.server_out, "up"))
        down = asyncio.ensure_future(self.pump(self.server_in, self.client_out, "down"))
        await asyncio.wait((up, down), return_when=asyncio.FIRST_COMPLETED)
        if not up.done() or not down.done():
            # one side has ended: the other may still have something to say
            await asyncio.wait((up, down), timeout=1)
        for task in (up, down):
            task.cancel()
        for writer in (self.client_out, self.server_out):
            writer.close()

    def cut(self):
        reset(self.client_out)
        reset(self.server_out)

    async def pump(self, reader, writer, direction):
        try:
            while True:
                data = await reader.read(PIECE)
                await self.link.going.wait()
                if self.link.delay:
                    await asyncio.sleep(self.link.delay)
                    await self.link.going.wait()
                if not data:
                    writer.write_eof()
                    return
                if not await self.pass_on(data, writer, direction):
                    return
        except (OSError, RuntimeError):
            return

    async def pass_on(self, data, writer, direction):
        """False when that was the connection's end."""
        link = self.link
        if direction == "down" and self.mute:
            self.answer = (self.answer + data)[-4096:]
            if any(end in self.answer for end in self.mute):
                self.answered.set()
            return True
        if link.limit is not None and link.limit[0] == direction:
            if len(data) >= link.limit[1]:
                writer.write(data[: link.limit[1]])
                link.limit = None
                link.note("bytes")
                await self.deliver(writer)
                self.cut()
                return False
            link.limit = (direction, link.limit[1] - len(data))
        if direction == "up" and not await self.request(data):
            return False
        writer.write(data)
        await writer.drain()
        return True

    async def request(self, data):
        """What is to happen at a client's request. False: the connection is over."""
        link = self.link
        fault = link.commit_fault() if any(c in data for c in COMMIT) else None
        if fault == "before":
            self.cut()
            return False
        if fault == "after":
            return await self.lose_answer(data, (b"COMMIT\0", b"ROLLBACK\0"))
        if data.startswith(b"POST ") or data.startswith(b"GET "):
            if b"INSERT" in data and link.hold is not None and link.hold[1] in data:
                return await self.stand_still(data)
            if b"INSERT" in data and link.take("body"):
                return await self.half_body(data)
            if link.take("answer") or (b"INSERT" in data and link.take("insert")):
                return await self.lose_answer(data, (b"",))
        return True

    async def lose_answer(self, data, answers):
        self.mute = answers
        self.server_out.write(data)
        try:
            await self.server_out.drain()
            await asyncio.wait_for(self.rest_of_request(), 5)
        except (OSError, asyncio.TimeoutError):
            pass
        self.cut()
        return False

    async def rest_of_request(self):
        """Passes on what the client still sends until the server has answered."""
        more = asyncio.ensure_future(self.client_in.read(PIECE))
        answered = asyncio.ensure_future(self.answered.wait())
        while not answered.done():
            await asyncio.wait((more, answered), return_when=asyncio.FIRST_COMPLETED)
            if more.done():
                data = more.result()
                if not data:
                    await answered
                    break
                self.server_out.write(data)
                await self.server_out.drain()
                more = asyncio.ensure_future(self.client_in.read(PIECE))
        more.cancel()

    async def stand_still(self, data):
        held = self.link.held
        if self.link.hold[0] == "before":
            self.link.note("hold")
            await held.wait()
            self.cut()
            return False
        self.mute = (b"",)
        self.server_out.write(data)
        await self.server_out.drain()
        await self.rest_of_request()
        self.link.note("hold")
        await held.wait()
        self.cut()
        return False

    async def half_body(self, data):
        head = data.find(b"\r\n\r\n") + 4
        body = len(data) - head
        keep = head + (random.randrange(1, body) if body > 1 else 0)
        self.mute = (b"",)
        self.server_out.write(data[:keep])
        await self.deliver(self.server_out)
        self.server_out.write_eof()
        try:
            await asyncio.wait_for(self.answered.wait(), 2)
        except asyncio.TimeoutError:
            pass
        self.cut()
        return False

    @staticmethod
    async def deliver(writer):
        """Until the kernel has taken all of it: a reset throws away what waits."""
        await writer.drain()
        for _ in range(100):
            if writer.transport.get_write_buffer_size() == 0:
                break
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.02)


def arm(link, what, words):
    if what == "commit" and words[0] == "turns":
        link.every, link.commits = int(words[1]), 0
    elif what == "commit":
        link.armed["commit " + words[0]] = int(words[1]) if len(words) > 1 else 1
    elif what == "bytes":
        link.limit = (words[0], max(1, int(words[1])))
    else:
        link.armed[what] = int(words[0]) if words else 1


def obey(links, line):
    words = line.split()
    link = links[words[0]]
    what, words = words[1], words[2:]
    if what == "pass":
        link.clear()
    elif what == "stall":
        link.going.clear()
        link.note("stall")
    elif what == "delay":
        link.delay = int(words[0]) / 1000
        link.note("delay")
    elif what == "refuse":
        link.refuse = True
    elif what == "hold":
        link.hold = (words[0], words[1].encode())
    elif what == "cut":
        for connection in list(link.connections):
            connection.cut()
            link.note("cut")
    elif what in ("bytes", "commit", "answer", "insert", "body"):
        arm(link, what, words)
    elif what == "counts":
        return json.dumps(link.counts)
    else:
        return "unknown command " + what
    return "ok"


async def serve(control, specs):
    links = {}
    for spec in specs:
        name, ports = spec.split("=")
        listen, target = (int(p) for p in ports.split(":"))
        links[name] = Link(name, listen, target)
        await asyncio.start_server(links[name].accept, "127.0.0.1", listen)

    async def controlled(reader, writer):
        async for line in reader:
            try:
                answer = obey(links, line.decode())
            except (KeyError, IndexError, ValueError) as e:
                answer = "bad command: %r" % e
            writer.write(answer.encode() + b"\n")
            await writer.drain()
        writer.close()

    await asyncio.start_unix_server(controlled, control)
    await asyncio.Event().wait()


def tell(control, *words):
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(10)
        s.connect(control)
        s.sendall(" ".join(words).encode() + b"\n")
        return s.makefile().readline().strip()


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        asyncio.run(serve(sys.argv[2], sys.argv[3:]))
    else:
        answer = tell(*sys.argv[2:])
        print(answer)
        sys.exit(0 if answer[:1] in "o{" else 1)
