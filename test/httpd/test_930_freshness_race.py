# SPDX-License-Identifier: Apache-2.0
"""mod_etag_freshness against a writer: 10,000 requests, and none is answered
with what was past when it was sent. See harness.race for what is right."""
import json

import pytest

from conftest import PROXY
from harness.crowd import Crowd
from harness.database import at_first, from_line, render
from harness.httpd import mpm
from harness.net import poll
from harness.race import race

REQUESTS = 10000
PER = 20

ALONE = PROXY + """
<Location "/">
    ETagFreshness On
    ETagFreshnessOverride On
    ETagFreshnessBudget 500ms
    %s
</Location>
""" % from_line(PER)

CACHED = ALONE + """
ETagCache On
<Location "/">
    ETagCacheOverride "public, no-cache"
</Location>
"""

KINDS = ["sqlite3", "sqlite3-wal", "pgsql"]


def start(make_httpd, make_database, kind, config, cache):
    database = make_database(kind)
    database.products(3 * PER)
    httpd = make_httpd(database.conf + config, cache=cache)
    # A writer may keep SQLite's readers away for longer than the budget.
    httpd.log.claim("ETG0185")
    return database, httpd


def judge(verdict, backend, path, requests):
    print("%s, backend asked %d times" % (verdict, backend.hits(path)))
    assert verdict.answered >= requests
    assert not verdict.stale, (verdict, verdict.stale[:3])
    assert not verdict.torn, (verdict, verdict.torn[:3])
    # It was a race, and the backend was spared.
    assert verdict.states > 50, verdict
    assert verdict.unchanged > requests / 20, verdict
    assert backend.hits(path) < requests * 0.9, (verdict,
                                                 backend.hits(path))


@pytest.mark.parametrize("kind", KINDS)
def test_alone_no_answer_is_older_than_its_request(make_httpd, backend,
                                                   make_database, kind,
                                                   path):
    database, httpd = start(make_httpd, make_database, kind, ALONE, False)
    backend.on(path, render(database, per=PER))
    judge(race(httpd, database, path, REQUESTS, per=PER), backend, path,
          REQUESTS)


@pytest.mark.parametrize("kind", KINDS)
def test_cached_no_answer_is_older_than_its_request(make_httpd, backend,
                                                    make_database, kind,
                                                    path):
    database, httpd = start(make_httpd, make_database, kind, CACHED, True)
    backend.on(path, render(database, per=PER))
    judge(race(httpd, database, path, REQUESTS, per=PER), backend, path,
          REQUESTS)


def test_shared_look_ups_are_found_to_be_old(make_httpd, backend,
                                             make_database, path):
    """What the operator may allow, and the proof that these tests see it."""
    database, httpd = start(
        make_httpd, make_database, "sqlite3-wal",
        ALONE.replace("ETagFreshness On",
                      "ETagFreshness On\nETagFreshnessShare 1s"), False)
    backend.on(path, render(database, per=PER))
    for _ in range(10):
        verdict = race(httpd, database, path, 2000, per=PER)
        if verdict.stale:
            break
    # On a busy machine many are unknown, and few are answered alone.
    assert verdict.stale, verdict


WAYS = pytest.mark.parametrize("config, cache", [(ALONE, False),
                                                 (CACHED, True)],
                               ids=["alone", "cached"])


def ids(answer):
    return [int(row[0]) for row in json.loads(answer.body)["products"]]


def names(answer):
    return [row[1] for row in json.loads(answer.body)["products"]]


def ask(httpd, path, held=None):
    """An answer, the held one if it is still good."""
    tag = held.get("ETag") if held is not None else None
    got = httpd.get(path, {"If-None-Match": tag} if tag else {})
    return held if got.status == 304 else got


def poll_spared(httpd, backend, path):
    """Asks until the backend is not asked; that answer."""
    held = None
    for _ in range(100):
        held = ask(httpd, path, held)
        before = backend.hits(path)
        held = ask(httpd, path, held)
        if backend.hits(path) == before:
            return held
    raise AssertionError("the backend is asked every time")


@pytest.fixture
def serve(make_httpd, backend, path):
    """serve(database, config, cache, before, after): a server, and a backend
    that does this before and after it reads the page it shows."""
    def serve_it(database, config, cache, before=0, after=0):
        httpd = make_httpd(database.conf + config, cache=cache)
        backend.on(path, render(database, per=PER, before=before,
                                after=after))
        return httpd
    return serve_it


@WAYS
def test_a_row_that_came_and_went_is_not_shown_later(
        serve, backend, database, config, cache, path):
    """It came before the page was rendered, and went when the page was
    there: the data is again what it was when the request arrived."""
    database.products(10)
    httpd = serve(database, config, cache,
                  before=at_first(database.insert, 999))
    first = ask(httpd, path)
    assert 999 in ids(first)
    database.delete(999)
    assert 999 not in ids(ask(httpd, path, first))
    assert 999 not in ids(ask(httpd, path))
    assert 999 not in ids(poll_spared(httpd, backend, path))


@WAYS
def test_a_change_behind_the_page_being_rendered_is_seen(
        serve, backend, database, config, cache, path):
    """The page is older than the data when its head comes back."""
    database.products(10)
    httpd = serve(database, config, cache,
                  after=at_first(database.update, 3, "another"))
    first = ask(httpd, path)
    assert "another" not in names(first)
    assert "another" in names(ask(httpd, path, first))
    assert "another" in names(ask(httpd, path))
    assert "another" in names(poll_spared(httpd, backend, path))


@WAYS
def test_a_change_before_the_page_is_rendered_is_seen(
        serve, backend, database, config, cache, path):
    """The page is newer than the digest that was read first."""
    database.products(10)
    httpd = serve(database, config, cache,
                  before=at_first(database.update, 3, "another"))
    first = ask(httpd, path)
    assert "another" in names(first)
    database.update(3, "a third")
    assert "a third" in names(ask(httpd, path, first))
    assert "a third" in names(poll_spared(httpd, backend, path))


@WAYS
def test_every_change_is_seen_by_the_next_request(
        serve, backend, database, config, cache, path):
    """One after the other, without a race: no time is needed to notice."""
    database.products(10)
    httpd = serve(database, config, cache)
    held = poll_spared(httpd, backend, path)
    for number in range(50):
        database.update(1 + number % 10, "turn %d" % number)
        held = ask(httpd, path, held)
        assert "turn %d" % number in names(held)
    spared = poll_spared(httpd, backend, path)
    assert names(spared) == names(held)


# Look-ups are shared within a child.
ONE_CHILD = """
StartServers 1
ServerLimit 1
MaxRequestWorkers 64
""" if mpm() != "prefork" else ""

SLOW = ("SELECT id, name, price, updated_at, CAST(pg_sleep(0.2) AS TEXT) "
        "FROM products")


@WAYS
def test_a_look_up_that_began_before_a_request_is_not_shared(
        serve, backend, pgsql, config, cache, path):
    """It sees the rows as they were when it began, and is still under way
    when the request comes."""
    pgsql.products(1)
    httpd = serve(pgsql, ONE_CHILD + config.replace(
        from_line(PER), 'ETagFreshnessFrom sql "%s"' % SLOW).replace(
        "500ms", "5s"), cache)
    held = poll_spared(httpd, backend, path)
    with Crowd(httpd, 1) as crowd:
        crowd.ask(path)
        poll(lambda: pgsql.execute(
            "SELECT 1 FROM pg_stat_activity WHERE state = 'active' AND query "
            "LIKE '%pg_sleep%' AND pid <> pg_backend_pid()"),
            "the look-up of the first request")
        pgsql.update(1, "another")
        assert names(ask(httpd, path, held)) == ["another"]
        crowd.answers()


@WAYS
def test_a_counter_sees_what_came_and_went_within_one_fetch(
        serve, backend, sqlite, config, cache, path):
    """Two equal readings cannot: before the row came, and after it went.
    Where that may happen, the statement reads something that never goes
    back."""
    sqlite.products(10)
    sqlite.execute("CREATE TABLE edits (number INTEGER PRIMARY KEY)")
    for change in ("INSERT", "DELETE"):
        sqlite.execute("CREATE TRIGGER counted_%s AFTER %s ON products BEGIN "
                       "INSERT INTO edits VALUES (NULL); END"
                       % (change.lower(), change))
    httpd = serve(sqlite, config.replace(
        "(SELECT count(*) FROM products)",
        "(SELECT count(*) FROM products), (SELECT count(*) FROM edits)"),
        cache, before=at_first(sqlite.insert, 999),
        after=at_first(sqlite.delete, 999))
    first = ask(httpd, path)
    assert 999 in ids(first)
    assert 999 not in ids(ask(httpd, path, first))
    assert 999 not in ids(poll_spared(httpd, backend, path))
