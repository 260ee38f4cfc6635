# SPDX-License-Identifier: Apache-2.0
"""Databases with a table of products, and a backend that renders pages of
it.

    database.products(250)            # products(id, name, price, updated_at)
    database.update(3); database.insert(); database.delete(7)
    database.execute("SELECT ...")    # rows, on this thread's connection
    database.conf                     # ETagFreshnessDatabase ...
    with database.lock(): ...         # a long write in another connection
    database.freeze(); database.thaw(); database.stop(); database.start()

    backend.on(path, render(database))      # ?page=1, as JSON

Changes are committed when the call returns. The last four are PostgreSQL's
alone: SQLite is a file."""
import contextlib
import datetime
import json
import os
import pathlib
import shutil
import sqlite3
import tempfile
import threading
import urllib.parse

from .postgres import PostgresConnection

FIRST = 1700000000      # the oldest product's second
PER_PAGE = 100

# What the pages below show: their rows in order, and how many there are.
STATEMENT = ("SELECT (SELECT count(*) FROM products), id, name, price, "
             "updated_at FROM products ORDER BY id LIMIT %d OFFSET "
             "(CAST(%%s AS INTEGER) - 1) * %d")


def from_line(per=PER_PAGE, params="query:page=1"):
    """The line that reads what render() shows."""
    return 'ETagFreshnessFrom sql "%s" %s' % (STATEMENT % (per, per), params)


def stamp(moment=None):
    """A timestamp both databases take: of now, or of an epoch second."""
    now = (datetime.datetime.now(datetime.timezone.utc) if moment is None
           else datetime.datetime.fromtimestamp(moment,
                                                datetime.timezone.utc))
    return now.strftime("%Y-%m-%d %H:%M:%S.%f+00")


def at_first(change, *values):
    """For render(): change(*values), while the first page is made."""
    def during(exchange):
        if exchange.number == 1:
            change(*values)
    return during


def names_on(page):
    """The names of the products on a page, an answer of render()."""
    return [row[1] for row in json.loads(page.body)["products"]]


def literal(value):
    if value is None:
        return "NULL"
    if isinstance(value, (int, float)):
        return str(value)
    return "'%s'" % value.replace("'", "''")


class Database:
    """What both kinds share. Each thread has a connection of its own."""
    driver = params = time_type = None
    begins = "BEGIN"

    def __init__(self):
        self.local = threading.local()
        self.opened = []

    @property
    def conf(self):
        return 'ETagFreshnessDatabase %s "%s"\n' % (self.driver, self.params)

    @property
    def where(self):
        return self.driver, self.params

    def connection(self):
        if getattr(self.local, "connection", None) is None:
            self.local.connection = self.connect()
            self.opened.append(self.local.connection)
        return self.local.connection

    def begin(self):
        """A transaction; execute("COMMIT") ends it."""
        self.execute(self.begins)

    def forget(self):
        """Connects anew next time."""
        self.local = threading.local()

    def close(self):
        self.forget()
        for connection in self.opened:
            connection.close()

    def execute(self, text, *values):
        """Runs it with each %s filled in as a literal; its rows."""
        if values:
            text = text % tuple(map(literal, values))
        return self.run(self.connection(), text)

    # products

    def products(self, count=0):
        """The table anew, with rows 1 to count."""
        self.execute("DROP TABLE IF EXISTS products")
        self.execute("CREATE TABLE products (id INTEGER PRIMARY KEY, name "
                     "TEXT, price INTEGER, updated_at %s)" % self.time_type)
        for first in range(1, count + 1, 500):
            rows = [(i, "name %d" % i, i % 1000, stamp(FIRST + i))
                    for i in range(first, min(first + 500, count + 1))]
            self.execute("INSERT INTO products VALUES %s" % ", ".join(
                "(%s)" % ", ".join(map(literal, row)) for row in rows))

    def update(self, number, name=None, at=None):
        """Changes a product, now (or so that it says it was at a second)."""
        when = stamp(at)
        self.execute("UPDATE products SET name = %s, updated_at = %s "
                     "WHERE id = %s", name or "changed " + when, when, number)

    def insert(self, number=None, name="new", at=None):
        """Adds a product, behind all others if no number is given."""
        if number is None:
            number = 1 + int(self.execute(
                "SELECT coalesce(max(id), 0) FROM products")[0][0])
        self.execute("INSERT INTO products VALUES (%s, %s, 1, %s)", number,
                     name, stamp(at))
        return number

    def delete(self, number):
        self.execute("DELETE FROM products WHERE id = %s", number)

    def page(self, number=1, per=PER_PAGE):
        """What a page shows, of one moment."""
        rows = self.execute(STATEMENT % (per, per), number)
        count = int(rows[0][0] if rows else self.execute(
            "SELECT count(*) FROM products")[0][0])
        return {"page": number, "num_pages": -(-count // per),
                "products": [list(map(str, row[1:])) for row in rows]}


class SqliteFile(Database):
    """A file that is there."""
    driver = "sqlite3"
    time_type = "TEXT"
    # Not later, where it might fail.
    begins = "BEGIN IMMEDIATE"

    def __init__(self, path):
        super().__init__()
        self.path = path
        self.params = str(path)

    def connect(self):
        connection = sqlite3.connect(self.path, timeout=30,
                                     isolation_level=None,
                                     check_same_thread=False)
        connection.execute("PRAGMA synchronous = OFF")
        return connection

    @staticmethod
    def run(connection, text):
        return connection.execute(text).fetchall()


class Sqlite(SqliteFile):
    """One of a test's own, that httpd's children can read, and write
    beside."""

    def __init__(self, wal=False):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="etg-db-"))
        self.folder.chmod(0o755)
        super().__init__(self.folder / "db.sqlite3")
        self.path.touch()
        self.execute("PRAGMA journal_mode = %s" % ("WAL" if wal
                                                   else "DELETE"))
        if os.getuid() == 0:
            for path in (self.folder, *self.folder.iterdir()):
                shutil.chown(path, "www-data", "www-data")

    @contextlib.contextmanager
    def lock(self):
        """A long write: nobody else reads (but for WAL, where they do)."""
        connection = self.connect()
        connection.execute("BEGIN EXCLUSIVE")
        try:
            yield connection
        finally:
            connection.execute("ROLLBACK")
            connection.close()

    def close(self):
        super().close()
        shutil.rmtree(self.folder, ignore_errors=True)


class PostgresDatabase(Database):
    """One that is there."""
    driver = "pgsql"
    time_type = "TIMESTAMPTZ"

    def __init__(self, params):
        super().__init__()
        self.params = params

    def connect(self):
        return PostgresConnection(self.params)

    @staticmethod
    def run(connection, text):
        return connection.execute(text)


class Postgres(PostgresDatabase):
    """A test's own on the tests' server; by its socket or its port."""

    def __init__(self, server, tcp=False):
        self.server = server
        self.name = server.create()
        super().__init__(server.where(self.name, tcp))

    @contextlib.contextmanager
    def lock(self):
        """A long write: nobody else reads."""
        connection = self.connect()
        connection.execute("BEGIN")
        connection.execute("LOCK TABLE products IN ACCESS EXCLUSIVE MODE")
        try:
            yield connection
        finally:
            connection.close()

    def freeze(self):
        self.server.freeze()

    def thaw(self):
        self.server.thaw()

    def stop(self):
        self.forget()
        self.server.stop()

    def start(self):
        self.server.start()

    def close(self):
        super().close()
        if self.server.process is None:
            self.server.start()
        self.server.drop(self.name)


def open_database(kind, server=None):
    """sqlite3, sqlite3-wal, pgsql (by its socket) or pgsql-tcp."""
    if kind.startswith("sqlite3"):
        return Sqlite(wal=kind == "sqlite3-wal")
    return Postgres(server, tcp=kind == "pgsql-tcp")


def connect_again(driver, params):
    """From another process: connect_again(*database.where)."""
    kind = SqliteFile if driver == "sqlite3" else PostgresDatabase
    return kind(params)


def render(database, headers=(), per=PER_PAGE, before=0, after=0, more=None):
    """A handler that renders the page of ?page=, read when it answers.
    `before` and `after` reading it takes so many seconds, or calls that with
    the exchange. more(): a dict to show beside it."""
    def handler(exchange):
        query = urllib.parse.parse_qs(
            exchange.request.target.partition("?")[2])
        work(before, exchange)
        page = database.page(int(query.get("page", ["1"])[0]), per)
        page.update(more() if more else {})
        work(after, exchange)
        fields = {"Content-Type": "application/json", **dict(headers)}
        exchange.respond(200, fields, json.dumps(page).encode())
    return handler


def work(what, exchange):
    if callable(what):
        what(exchange)
    elif what:
        exchange.pause(what)
