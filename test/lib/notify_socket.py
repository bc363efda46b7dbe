"""A service manager's notification socket: prints each message as one line, its assignments joined
by "; ". The socket's name is the argument, with '@' in front for the abstract namespace."""
import socket
import sys

name = sys.argv[1]
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
    s.bind("\0" + name[1:] if name[0] == "@" else name)
    while True:
        print(s.recv(4096).decode().replace("\n", "; "), flush=True)
