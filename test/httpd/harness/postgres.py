# SPDX-License-Identifier: Apache-2.0
"""A PostgreSQL server of the tests' own, on a Unix socket and on a port of
127.0.0.1, which can be frozen, stopped and started again; and a connection to
it through libpq, which the server's package brings.

It refuses to run as root: then it runs as the user postgres. It is ended by
pid, frozen or not, at the latest when Python ends."""
import atexit
import ctypes
import glob
import itertools
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile

from .net import free_port, poll

SETTINGS = ["fsync=off", "full_page_writes=off", "synchronous_commit=off",
            "max_connections=200", "shared_buffers=32MB",
            "log_min_messages=panic", "client_min_messages=warning",
            "autovacuum=off"]


class DatabaseError(Exception):
    """What the server said."""


class PostgresServer:
    def __init__(self):
        found = sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb"))
        assert found, "PostgreSQL is not there (packages/test lists it)"
        self.programs = os.path.dirname(found[-1])
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="etg-pg-"))
        self.folder.chmod(0o755)
        if os.getuid() == 0:
            shutil.chown(self.folder, "postgres", "postgres")
        self.port = free_port()
        self.process = None
        self.is_frozen = False
        self.numbers = itertools.count(1)
        atexit.register(self.close)
        subprocess.run(
            self.words("initdb", "-D", "data", "-A", "trust",
                       "-U", "postgres", "--no-sync", "-E", "UTF8",
                       "--locale=C"),
            cwd=self.folder, check=True, stdout=subprocess.DEVNULL)
        self.start()

    def words(self, program, *more):
        """A command line that gives up root, and ends with us."""
        user = (["--reuid", "postgres", "--regid", "postgres",
                 "--init-groups"] if os.getuid() == 0 else [])
        return ["setpriv", "--pdeathsig", "QUIT", *user,
                os.path.join(self.programs, program), *more]

    def where(self, name="postgres", tcp=False):
        """What libpq connects with."""
        return ("host=%s port=%d user=postgres dbname=%s sslmode=disable "
                "gssencmode=disable" % ("127.0.0.1" if tcp else self.folder,
                                        self.port, name))

    # life

    def start(self):
        """Starts it on the same port; returns when it answers."""
        assert self.process is None, "it runs already"
        settings = [word for setting in SETTINGS for word in ("-c", setting)]
        with open(self.folder / "output.log", "ab") as out:
            self.process = subprocess.Popen(
                self.words("postgres", "-D", "data", "-k", str(self.folder),
                           "-h", "127.0.0.1", "-p", str(self.port),
                           *settings),
                cwd=self.folder, stdin=subprocess.DEVNULL, stdout=out,
                stderr=out, start_new_session=True)
        poll(self.answers, "PostgreSQL on port %d" % self.port, 60)
        return self

    def answers(self):
        assert self.process.poll() is None, \
            "PostgreSQL ended: %s" % (self.folder / "output.log").read_text()
        try:
            PostgresConnection(self.where()).close()
            return True
        except DatabaseError:
            return False

    def end(self, how):
        if self.process is not None:
            self.thaw()
            self.process.send_signal(how)
            self.process.wait(60)
            self.process = None

    def stop(self):
        """All connections are cut, and new ones refused."""
        self.end(signal.SIGINT)

    def kill(self):
        """The same without a word to anybody."""
        self.end(signal.SIGQUIT)

    def restart(self):
        self.stop()
        return self.start()

    def pids(self):
        """The server and the processes that serve its connections."""
        pid = self.process.pid
        with open("/proc/%d/task/%d/children" % (pid, pid)) as listing:
            return [pid] + [int(word) for word in listing.read().split()]

    def freeze(self):
        """It keeps its connections and takes new ones (the kernel does), and
        answers nothing."""
        self.is_frozen = True
        # The first is the one that makes others.
        poll(lambda: all(map(stopped, self.pids())),
             "the stop of PostgreSQL", interval=0.002)

    def thaw(self):
        if self.is_frozen:
            for pid in reversed(self.pids()):
                send(pid, signal.SIGCONT)
            self.is_frozen = False

    def close(self):
        """Ends it for good."""
        atexit.unregister(self.close)
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    # databases

    def create(self):
        """The name of a new, empty database."""
        name = "test_%d" % next(self.numbers)
        self.ask("CREATE DATABASE %s" % name)
        return name

    def drop(self, name):
        if self.process is not None:
            self.thaw()
            self.ask("DROP DATABASE IF EXISTS %s WITH (FORCE)" % name)

    def ask(self, text):
        connection = PostgresConnection(self.where())
        try:
            return connection.execute(text)
        finally:
            connection.close()


def stopped(pid):
    """Stops a process; has it come to be so?"""
    send(pid, signal.SIGSTOP)
    try:
        with open("/proc/%d/stat" % pid) as stat:
            return stat.read().rpartition(")")[2].split()[0] in "TZ"
    except (FileNotFoundError, ProcessLookupError):
        return True


def send(pid, which):
    try:
        os.kill(pid, which)
    except ProcessLookupError:
        pass


def libpq():
    library = ctypes.CDLL("libpq.so.5")
    pointer, text, number = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int
    for name, result, arguments in [
            ("PQconnectdb", pointer, [text]), ("PQfinish", None, [pointer]),
            ("PQstatus", number, [pointer]),
            ("PQerrorMessage", text, [pointer]),
            ("PQexec", pointer, [pointer, text]),
            ("PQresultStatus", number, [pointer]),
            ("PQntuples", number, [pointer]),
            ("PQnfields", number, [pointer]),
            ("PQgetisnull", number, [pointer, number, number]),
            ("PQgetvalue", text, [pointer, number, number]),
            ("PQclear", None, [pointer])]:
        call = getattr(library, name)
        call.restype, call.argtypes = result, arguments
    return library


class PostgresConnection:
    """One connection, for one thread at a time. Values come as strings."""
    library = None

    def __init__(self, where):
        if PostgresConnection.library is None:
            PostgresConnection.library = libpq()
        self.own = self.library.PQconnectdb(where.encode())
        if self.library.PQstatus(self.own) != 0:
            said = self.said()
            self.close()
            raise DatabaseError(said)

    def said(self):
        return self.library.PQerrorMessage(self.own).decode().strip()

    def execute(self, text):
        """The rows of the last statement, a list of tuples."""
        result = self.library.PQexec(self.own, text.encode())
        try:
            if self.library.PQresultStatus(result) not in (0, 1, 2):
                raise DatabaseError(self.said())
            return [tuple(self.value(result, row, column) for column
                          in range(self.library.PQnfields(result)))
                    for row in range(self.library.PQntuples(result))]
        finally:
            self.library.PQclear(result)

    def value(self, result, row, column):
        if self.library.PQgetisnull(result, row, column):
            return None
        return self.library.PQgetvalue(result, row, column).decode()

    def close(self):
        if self.own:
            self.library.PQfinish(self.own)
            self.own = None
