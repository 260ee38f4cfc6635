# SPDX-License-Identifier: Apache-2.0
"""mod_etag_freshness while its source is in trouble: every request is
answered by the backend after the budget at the latest, the log says so once a
second, no child dies, and digests decide again without a restart.

The bounds are generous: a budget of 50 ms, troubles that would last for
ever, and answers in less than ten seconds."""
import re
import signal
import time

import pytest

from conftest import PROXY
from harness.backend import answer
from harness.crowd import Crowd
from harness.database import from_line
from harness.httpd import is_running, mpm
from harness.memcached import Memcached
from harness.net import poll

SOON = 10

SQL = from_line()
MEMCACHED = 'ETagFreshnessFrom memcached "products-version"'

ALONE = PROXY + """
<Location "/">
    ETagFreshness On
    ETagFreshnessOverride On
    ETagFreshnessBudget 50ms
    @FROM@
</Location>
"""

CACHED = ALONE + """
ETagCache On
<Location "/">
    ETagCacheOverride "public, no-cache"
</Location>
"""

WAYS = pytest.mark.parametrize("way", ["alone", "cached"])
LINE = re.compile(r"\[([^]]+)\] \[etag_freshness:warn\] \[pid (\d+)\D.*"
                  r"ETG0185: freshness: unknown for (\d+) requests?")


class Route:
    """A page whose backend never fails, and whose data may."""

    def __init__(self, make_httpd, backend, path, way, settings, line=SQL):
        config = {"alone": ALONE, "cached": CACHED}[way]
        self.backend = backend
        self.path = path
        backend.on(path, answer(200, {"Content-Type": "text/plain"}, "page"))
        self.httpd = make_httpd(settings + config.replace("@FROM@", line),
                                cache=way == "cached")
        self.httpd.log.claim("ETG0185")
        self.tag = None

    def get(self):
        """An answer, in time; was the backend asked for it?"""
        before = self.backend.hits(self.path)
        began = time.monotonic()
        got = self.httpd.get(self.path, {"If-None-Match": self.tag}
                             if self.tag else {})
        assert time.monotonic() - began < SOON, got
        assert got.status == 304 or (got.status, got.body) == (200, b"page")
        if got.status == 200 and got.get("ETag"):
            self.tag = got.get("ETag")
        return got, self.backend.hits(self.path) > before

    def works(self):
        """Asks until the data decides, without the backend."""
        def spared():
            got, was_asked = self.get()
            return got.status == 304 and not was_asked
        poll(spared, "a 304 without the backend")

    def falls_back(self, count=5):
        """Every request goes to the backend, one by one and together."""
        for _ in range(count):
            _, was_asked = self.get()
            assert was_asked
        # prefork begins with eight children, and takes seconds for more.
        with Crowd(self.httpd, 6 if mpm() == "prefork" else 20) as crowd:
            crowd.ask(self.path).answers()
        for member in crowd.members:
            assert member.error is None, member.error
            assert member.response.body == b"page", member.response
            assert member.seconds < SOON, member.seconds

    def complaints(self):
        """(second, pid, count) of each line about unknown data."""
        return [(second_of(moment), pid, int(count)) for moment, pid, count
                in LINE.findall(self.httpd.log.text())]

    def complained(self):
        """While it is asked there are lines that count what was unknown, and
        at most one a second in each child."""
        def counted():
            self.get()
            return any(count > 1 for _, _, count in self.complaints())
        poll(counted, "a line in the log with a count", 30, interval=0.1)
        last = {}
        for second, pid, count in self.complaints():
            # The clock of the log is not the one that is measured with.
            assert second - last.get(pid, 0) > 0.9, self.complaints()
            last[pid] = second

    def suffers(self):
        """The backend answers, and the log says why."""
        self.falls_back()
        self.complained()


class Frozen:
    """with Frozen(server): it does not answer."""

    def __init__(self, server):
        self.server = server

    def __enter__(self):
        self.server.freeze()

    def __exit__(self, *_):
        self.server.thaw()


def second_of(moment):
    """Mon Nov 23 01:39:09.884010 2026 as seconds."""
    whole, _, rest = moment.partition(".")
    fraction, _, year = rest.partition(" ")
    return time.mktime(time.strptime(
        "%s %s" % (whole, year), "%a %b %d %H:%M:%S %Y")) \
        + float("0." + fraction)


@pytest.fixture
def memcached():
    with Memcached() as server:
        yield server


@pytest.fixture
def start(make_httpd, backend, path):
    """start(way, settings, line): a route that works."""
    def start_it(way, settings, line=SQL):
        route = Route(make_httpd, backend, path, way, settings, line)
        route.works()
        return route
    return start_it


@pytest.fixture
def start_on(start):
    """start_on(database, way): a route that works, of ten products."""
    def start_it(database, way):
        database.products(10)
        return start(way, database.conf)
    return start_it


@WAYS
def test_postgresql_frozen(start_on, pgsql, way):
    route = start_on(pgsql, way)
    with Frozen(pgsql):
        route.suffers()
        assert "exit signal" not in route.httpd.log.text()
    route.works()


@WAYS
def test_postgresql_locked_by_a_long_write(start_on, pgsql, way):
    route = start_on(pgsql, way)
    with pgsql.lock():
        route.suffers()
    route.works()


@WAYS
def test_sqlite_locked_by_a_long_write(start_on, sqlite, way):
    route = start_on(sqlite, way)
    with sqlite.lock():
        route.suffers()
    route.works()


@WAYS
def test_sqlite_with_a_wal_is_read_during_a_long_write(
        start_on, make_database, way):
    database = make_database("sqlite3-wal")
    route = start_on(database, way)
    with database.lock() as writer:
        writer.execute("UPDATE products SET name = 'not yet'")
        route.works()


@WAYS
def test_a_table_is_dropped_and_made_again(start_on, database, way):
    route = start_on(database, way)
    database.execute("DROP TABLE products")
    route.suffers()
    database.products(11)
    route.works()


@WAYS
def test_a_column_is_renamed_and_back(start_on, database, way):
    route = start_on(database, way)
    database.execute("ALTER TABLE products RENAME COLUMN price TO cost")
    route.suffers()
    database.execute("ALTER TABLE products RENAME COLUMN cost TO price")
    route.works()


@WAYS
def test_postgresql_restarted(start_on, pgsql, way):
    route = start_on(pgsql, way)
    pgsql.stop()
    try:
        route.suffers()
    finally:
        pgsql.start()
    route.works()
    # And so fast that nobody notices.
    pgsql.stop()
    pgsql.start()
    route.works()


@WAYS
def test_an_sqlite_file_taken_away_and_back(start_on, sqlite, way):
    route = start_on(sqlite, way)
    aside = sqlite.path.with_name("aside")
    sqlite.path.rename(aside)
    route.suffers()
    assert not sqlite.path.exists()
    aside.rename(sqlite.path)
    route.works()


def conf_of(server):
    return "ETagFreshnessMemcached %s\n" % server.address


def put(server, value):
    assert server.ask("set products-version 0 0 %d\r\n%s"
                      % (len(value), value)).startswith("STORED")


@WAYS
def test_memcached_frozen(start, memcached, way):
    put(memcached, "1")
    route = start(way, conf_of(memcached), MEMCACHED)
    with Frozen(memcached):
        route.suffers()
    route.works()


@WAYS
def test_memcached_killed_and_back_empty(start, memcached, way):
    put(memcached, "1")
    route = start(way, conf_of(memcached), MEMCACHED)
    memcached.kill()
    route.suffers()
    memcached.start()
    # Empty: the application has not said its version yet.
    route.falls_back()
    put(memcached, "2")
    route.works()


@pytest.mark.parametrize("kind", ["pgsql", "sqlite3"])
def test_a_graceful_reload_while_it_does_not_answer(start_on, make_database,
                                                    kind):
    database = make_database(kind)
    route = start_on(database, "alone")
    before = route.httpd.children()
    route.httpd.log.claim("ETG018")
    lock = database.lock() if kind == "sqlite3" else Frozen(database)
    with lock:
        route.falls_back()
        route.httpd.graceful()
        poll(lambda: not any(map(is_running, before)),
             "the end of the old children", 15)
        assert "exit signal" not in route.httpd.log.text()
        route.falls_back()
        before = route.httpd.children()
    route.works()


@pytest.mark.parametrize("kind", ["pgsql", "sqlite3"])
def test_a_stop_while_it_does_not_answer(start_on, make_database, kind):
    database = make_database(kind)
    route = start_on(database, "alone")
    lock = database.lock() if kind == "sqlite3" else Frozen(database)
    with lock:
        route.falls_back(2)
        route.httpd.claim_end()
        route.httpd.log.claim("AH00045")      # after three seconds
        children = route.httpd.children()
        route.httpd.process.send_signal(signal.SIGTERM)
        poll(lambda: route.httpd.process.poll() is not None, "the end", 15)
        assert not any(map(is_running, children))
        assert "sending a SIGKILL" not in route.httpd.log.text()
        route.httpd.stop()
