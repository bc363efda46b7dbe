"""servers.py: test/lib's real servers (servers.bash, majors.bash, chdb.bash) from Python."""

import os
import subprocess

ROOT = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
FILES = ("servers", "majors", "pipeline", "chdb")
INSTALLED = 15  # the major version that Debian 12 has


class Failure(Exception):
    """A server or a function of test/lib failed."""


class Servers:
    """Calls the functions of test/lib by name: servers("pg_new", "source")."""

    def __init__(self):
        made = subprocess.run(["bash", "-c", '. "$1/test/lib/servers.bash" && echo "$SCRATCH" && env -0',
                               "bash", ROOT], check=True, stdout=subprocess.PIPE).stdout
        self.scratch = made.split(b"\n")[0].decode()
        pairs = (p.split(b"=", 1) for p in made.split(b"\n", 1)[1].split(b"\0") if b"=" in p)
        self.env = {k.decode(): v.decode() for k, v in pairs}

    def __call__(self, *words):
        sources = " && ".join(f'. "$1/test/lib/{f}.bash"' for f in FILES)
        done = subprocess.run(["bash", "-c", f'{sources} && shift && "$@"', "bash", ROOT, *words],
                              env=self.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        if done.returncode != 0:
            raise Failure(f"{' '.join(words[:2])}: failed; see above")
        return done.stdout.strip("\n")

    def path(self, name):
        return os.path.join(self.scratch, name)

    def postgres(self, name, major, *settings):
        """A new PostgreSQL of that major version, started."""
        if major == INSTALLED:
            self("pg_new", name, *settings)
        else:
            self("major_new", name, str(major), *settings)

    def bindir(self, major):
        return "" if major == INSTALLED else self("major_install", str(major))
