# SPDX-License-Identifier: Apache-2.0
"""Real memcached processes on the loopback address or a unix socket, which
can be frozen, killed and brought back empty.

    with Memcached() as one:
        one.address                  # "127.0.0.1:PORT", or the socket's path
        one.freeze(); one.thaw()     # SIGSTOP, SIGCONT
        one.kill(); one.start()      # back on the same address, empty
        one.stats()["cmd_get"]; one.flush()

They are ended by pid, frozen or not, at the latest when Python ends."""
import atexit
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import urllib.parse

from .net import free_port, poll


class Memcached:
    """One server. `memory` in MiB; `words` go to its command line."""

    def __init__(self, memory=64, unix=False, threads=1, words=()):
        self.memory = memory
        self.threads = threads
        self.words = list(words)
        self.folder = self.path = self.port = self.process = None
        self.is_frozen = False
        if unix:
            self.folder = pathlib.Path(tempfile.mkdtemp(prefix="etg-mc-"))
            self.folder.chmod(0o755)
            if os.getuid() == 0:
                shutil.chown(self.folder, "www-data", "www-data")
            self.path = str(self.folder / "memcached.sock")
        else:
            self.port = free_port()
        atexit.register(self.close)

    @property
    def address(self):
        return self.path if self.path else "127.0.0.1:%d" % self.port

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.close()

    def __repr__(self):
        return "<memcached %s>" % self.address

    # life

    def command(self):
        where = (["-s", self.path, "-a", "0777"] if self.path
                 else ["-l", "127.0.0.1", "-p", str(self.port), "-U", "0"])
        user = ["-u", "www-data"] if os.getuid() == 0 else []
        return ["memcached", *where, *user, "-m", str(self.memory),
                "-t", str(self.threads), "-c", "4096", *self.words]

    def start(self):
        """Starts it, empty; returns when it answers."""
        assert self.process is None, "it runs already"
        self.process = subprocess.Popen(
            self.command(), stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True)
        try:
            poll(self.answers, "memcached on %s" % self.address)
        except AssertionError:
            self.kill()
            raise
        return self

    def answers(self):
        assert self.process.poll() is None, \
            "memcached ended with status %s" % self.process.returncode
        try:
            return self.ask("version").startswith("VERSION")
        except OSError:
            return False

    def end(self, how):
        if self.process is not None:
            self.thaw()
            self.process.send_signal(how)
            self.process.wait(20)
            self.process = None

    def stop(self):
        self.end(signal.SIGTERM)

    def kill(self):
        self.end(signal.SIGKILL)

    def restart(self):
        """Back at once, and empty."""
        self.kill()
        return self.start()

    def freeze(self):
        """It keeps its connections and takes new ones (the kernel does), and
        answers nothing."""
        self.process.send_signal(signal.SIGSTOP)
        self.is_frozen = True
        poll(self.is_stopped, "the stop of memcached", interval=0.002)

    def thaw(self):
        if self.is_frozen:
            self.process.send_signal(signal.SIGCONT)
            self.is_frozen = False

    def is_stopped(self):
        with open("/proc/%d/stat" % self.process.pid) as stat:
            return stat.read().rpartition(")")[2].split()[0] == "T"

    def close(self):
        """Ends it for good."""
        atexit.unregister(self.close)
        self.kill()
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)

    # its text protocol

    def connect(self, timeout=5):
        family = socket.AF_UNIX if self.path else socket.AF_INET
        connection = socket.socket(family)
        connection.settimeout(timeout)
        connection.connect(self.path or ("127.0.0.1", self.port))
        return connection

    def ask(self, line, end=None):
        """Sends a line; its answer up to `end` (default: one line)."""
        mark = (end or "\r\n").encode()
        with self.connect() as connection:
            connection.sendall(line.encode() + b"\r\n")
            answer = b""
            while not answer.endswith(mark):
                data = connection.recv(65536)
                if not data:
                    break
                answer += data
        return answer.decode("latin-1")

    def stats(self, what=""):
        """Its statistics as a dict of strings."""
        rows = self.ask(("stats %s" % what).strip(), "END\r\n").splitlines()
        return dict(row.split(" ", 2)[1:] for row in rows
                    if row.startswith("STAT ") and row.count(" ") >= 2)

    def count(self, name):
        return int(self.stats()[name])

    def flush(self):
        assert self.ask("flush_all").startswith("OK")

    def keys(self):
        """Every key it holds (not for large caches)."""
        rows = self.ask("lru_crawler metadump all", "END\r\n").splitlines()
        return [urllib.parse.unquote(row.split()[0][4:]) for row in rows
                if row.startswith("key=")]

    def get(self, key):
        """What it holds under a key, or None."""
        answer = self.ask("get %s" % key, "END\r\n").encode("latin-1")
        head, _, rest = answer.partition(b"\r\n")
        return rest[:int(head.split()[3])] if rest else None


class Cluster:
    """Several servers, started together."""

    def __init__(self, count=3, **options):
        self.servers = [Memcached(**options) for _ in range(count)]

    def __enter__(self):
        for server in self.servers:
            server.start()
        return self

    def __exit__(self, *_):
        for server in self.servers:
            server.close()

    def __getitem__(self, index):
        return self.servers[index]

    def __iter__(self):
        return iter(self.servers)

    def __len__(self):
        return len(self.servers)

    @property
    def addresses(self):
        """As in a memcached:// URI."""
        return ",".join(server.address for server in self.servers)

    def uri(self, namespace="etg", **options):
        query = "&".join("%s=%s" % pair for pair in options.items())
        return "memcached://%s/%s%s" % (self.addresses, namespace,
                                        "?" + query if query else "")

    def flush(self):
        for server in self.servers:
            server.flush()

    def keys(self):
        return {key for server in self.servers for key in server.keys()}
