#!/usr/bin/python3
"""systemctl and journalctl where no systemd runs: as much of them as docs/operations.md uses, for
walpipe@NAME. ExecStart, User and RestartPreventExitStatus come from the unit file beside it; the
service manager's other promises (limits, hardening, the watchdog) are not kept.

    systemctl start|stop|restart|reload|enable [--now]|disable [--now]|is-active|status UNIT
    journalctl -u UNIT [-t walpipe] [-o cat] [-n LINES]

As in a real journal, the unit's log also has lines of systemd, which -t walpipe leaves out."""

import os
import pwd
import signal
import socket
import subprocess
import sys
import time

UNIT_FILE = os.environ.get("WALPIPE_UNIT", "/srv/walpipe@.service")
RUN, LOG = "/run/units", "/var/log"


def unit_settings(name):
    settings = {}
    with open(UNIT_FILE, encoding="utf-8") as f:
        for line in f:
            key, _, value = line.strip().partition("=")
            settings[key] = value.replace("%i", name)
    return settings


class Unit:
    def __init__(self, unit):
        self.unit = unit.removesuffix(".service")
        kind, _, self.name = self.unit.partition("@")
        if kind != "walpipe" or not self.name:
            sys.exit(f"Unit {unit} not found.")
        self.settings = unit_settings(self.name)
        self.log = f"{LOG}/{self.unit}.log"
        os.makedirs(RUN, exist_ok=True)

    def get(self, what):
        try:
            with open(f"{RUN}/{self.unit}.{what}", encoding="utf-8") as f:
                return f.read()
        except FileNotFoundError:
            return ""

    def put(self, what, value):
        new = f"{RUN}/{self.unit}.new"
        with open(new, "w", encoding="utf-8") as f:
            f.write(str(value))
        os.replace(new, f"{RUN}/{self.unit}.{what}")

    def state(self):
        return self.get("state") or "inactive"

    def wait(self, states, seconds):
        deadline = time.monotonic() + seconds
        while self.state() not in states:
            if time.monotonic() > deadline:
                sys.exit(f"{self.unit} is {self.state()}")
            time.sleep(0.02)

    def become(self):
        user = pwd.getpwnam(self.settings["User"])
        os.initgroups(user.pw_name, user.pw_gid)
        os.setgid(user.pw_gid)
        os.setuid(user.pw_uid)
        os.umask(0o077)
        os.chdir("/")

    def say(self, line):
        with open(self.log, "a", encoding="utf-8") as log:
            log.write(f"{self.unit}.service: {line}\n")

    def run_once(self, environment):
        with open(self.log, "ab") as log:
            child = subprocess.Popen(self.settings["ExecStart"].split(), stdin=subprocess.DEVNULL, stdout=log,
                                     stderr=log, env=environment, preexec_fn=self.become)
        self.put("pid", child.pid)
        return child.wait()

    def supervise(self):
        """In a process of its own: until the program drains, or a person has to mend something."""
        user = pwd.getpwnam(self.settings["User"])
        state_dir = f"/var/lib/{self.settings['StateDirectory']}"
        os.makedirs(state_dir, exist_ok=True)
        os.chown(state_dir, user.pw_uid, user.pw_gid)
        os.chmod(state_dir, 0o700)
        path = f"{RUN}/{self.unit}.notify"
        if os.path.exists(path):
            os.unlink(path)
        ready = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        ready.bind(path)
        os.chmod(path, 0o777)
        environment = {**os.environ, "NOTIFY_SOCKET": path, "HOME": "/"}
        if os.fork() == 0:  # hears READY=1
            while True:
                if b"READY=1" in ready.recv(4096) and self.state() == "activating":
                    self.put("state", "active")
        while True:
            code = self.run_once(environment)
            if code != 0:
                self.say(f"Main process exited, code=exited, status={code}/n/a")
                self.say("Failed with result 'exit-code'.")
            if code == 0 or self.get("stop"):
                return "inactive"
            if str(code) in self.settings["RestartPreventExitStatus"].split():
                return "failed"
            time.sleep(1)

    def start(self):
        if self.state() in ("active", "activating"):
            return
        self.put("stop", "")
        self.put("state", "activating")
        if os.fork() == 0:
            os.setsid()
            nothing = os.open("/dev/null", os.O_RDWR)
            for descriptor in range(3):
                os.dup2(nothing, descriptor)
            state = "failed"
            try:
                state = self.supervise()
            finally:
                self.put("state", state)
                os.killpg(0, signal.SIGKILL)
        self.wait(("active", "inactive", "failed"), 30)
        if self.state() == "failed":
            sys.exit(f"Job for {self.unit}.service failed because the control process exited with error code.")

    def stop(self):
        if self.state() not in ("active", "activating"):
            return
        self.put("stop", "yes")
        os.kill(int(self.get("pid")), signal.SIGTERM)
        self.wait(("inactive", "failed"), 80)


def systemctl(arguments):
    words = [a for a in arguments if not a.startswith("-")]
    command, unit = words[0], Unit(words[1])
    if command in ("start", "restart") or command == "enable" and "--now" in arguments:
        if command == "restart":
            unit.stop()
        unit.start()
    elif command == "stop" or command == "disable" and "--now" in arguments:
        unit.stop()
    elif command == "reload":
        os.kill(int(unit.get("pid")), signal.SIGHUP)
    elif command == "is-active":
        if "--quiet" not in arguments:
            print(unit.state())
        sys.exit(unit.state() != "active")
    elif command == "status":
        print(f"{unit.unit}.service\n     Active: {unit.state()}")
        sys.exit(0 if unit.state() == "active" else 3)
    elif command not in ("enable", "disable"):
        sys.exit(f"the stand-in knows no {command}")


def journalctl(arguments):
    unit = Unit(arguments[arguments.index("-u") + 1])
    with open(unit.log, encoding="utf-8") as f:
        lines = f.readlines()
    if "-t" in arguments:
        lines = [line for line in lines if not line.startswith(f"{unit.unit}.service: ")]
    if "-n" in arguments:
        lines = lines[-int(arguments[arguments.index("-n") + 1]):]
    sys.stdout.writelines(lines)


if os.path.basename(sys.argv[0]) == "journalctl":
    journalctl(sys.argv[1:])
else:
    systemctl(sys.argv[1:])
