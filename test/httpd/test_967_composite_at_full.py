# SPDX-License-Identifier: Apache-2.0
"""mod_etag_composite: what it is for, whole: three parts at once, one of them
watched at its database, all of them in our cache, and a tag that is answered
without a byte of a body. With a local store and with memcached; no clock
decides."""
import itertools
import json
import threading

import pytest

from harness.backend import answer
from harness.database import from_line, render
from harness.httpd import mpm
from harness.memcached import Memcached
from harness.net import poll

at_once = pytest.mark.skipif(mpm() == "prefork", reason="needs threads")

PER = 10
CONFIG = """
ProxyPass "/part/" "http://@BACKEND@/part/" connectiontimeout=5 timeout=30 retry=0
<Location "/part/">
    ETagCache On
</Location>
<Location "/part/products">
    ETagCacheOverride "public, no-cache"
    ETagFreshness On
    ETagFreshnessOverride On
    ETagFreshnessBudget 2s
    %s
</Location>
<Location "/dashboard">
    SetHandler etag-composite
    ETagCompositePart products "/part/products?page=%%s" query:page=1
    ETagCompositePart user     "/part/user"
    ETagCompositePart offers   "/part/offers" optional default=[]
</Location>
<Location "/kept">
    SetHandler etag-composite
    ETagCache On
    ETagCompositePart user     "/part/user"
    ETagCompositePart offers   "/part/offers"
</Location>
CustomLog "@ROOT@/composite.log" "%%{X-Ask}i %%{etag-composite}n %%{etag-composite-bytes}n"
""" % from_line(PER)

PARTS = ("products", "user", "offers")
HOUR = {"Cache-Control": "public, max-age=3600"}
MEGABYTE = "x" * (1 << 20)

asks = itertools.count(1)
stores = itertools.count(1)


@pytest.fixture(scope="module")
def memcached():
    with Memcached(memory=128) as server:
        yield server


@pytest.fixture(params=["local", "memcached"])
def store(request):
    if request.param == "local":
        return ""
    server = request.getfixturevalue("memcached")
    return ('ETagCacheMetaStore "memcached://%s/full%d?timeout=2s'
            '&connect-timeout=2s"\n' % (server.address, next(stores)))


class Dashboard:
    """The httpd, its data, and its three backends."""

    def __init__(self, httpd, shop, backend, filler=""):
        self.httpd = httpd
        self.shop = shop
        self.backend = backend
        self.filler = filler
        backend.on("/part/products", render(
            shop, per=PER, more=lambda: {"filler": filler}))
        self.put("user", 1)
        self.put("offers", 1)

    def put(self, name, version):
        """What a backend has from now on."""
        self.backend.on("/part/" + name, answer(
            200, dict(HOUR, ETag='"%s-%d"' % (name, version),
                      **{"Surrogate-Key": name}),
            json.dumps({"version": version, "filler": self.filler})))

    def hits(self):
        return {name: self.backend.hits("/part/" + name) for name in PARTS}

    def settled(self, target="/dashboard"):
        """Asks until no backend is asked; that answer."""
        def spared():
            before = self.hits()
            got = self.httpd.get(target)
            assert got.status == 200, got
            return got if self.hits() == before else None
        return poll(spared, "an answer of which all is in the store")

    def ask(self, held, target="/dashboard"):
        """With a tag that is held; the answer, and the words of its line in
        the log."""
        number = str(next(asks))
        got = self.httpd.get(target, {"If-None-Match": held.get("ETag"),
                                      "X-Ask": number})
        return got, poll(lambda: self.words(number), "a line in the log")

    def words(self, number):
        for line in (self.httpd.root / "composite.log").read_text() \
                .splitlines():
            if line.split()[0] == number:
                return line.split()[1:]
        return None


@pytest.fixture
def serve(make_httpd, make_database, backend, store):
    def serve_it(filler=""):
        shop = make_database("sqlite3-wal")
        shop.products(3 * PER)
        httpd = make_httpd(store + shop.conf + CONFIG)
        return Dashboard(httpd, shop, backend, filler)
    return serve_it


@pytest.fixture
def small(serve):
    return serve()


def shown(got):
    return json.loads(got.body)


@at_once
def test_three_parts_are_at_their_backends_at_the_same_time(small):
    """None of them answers before all of them are asked."""
    together = threading.Barrier(3)

    def handler(exchange):
        together.wait(20)
        exchange.respond(200, HOUR, b'{"version": 1}')
    for name in PARTS:
        small.backend.on("/part/" + name, handler)
    got = small.httpd.get("/dashboard")
    assert got.status == 200 and list(shown(got)) == list(PARTS)
    assert not together.broken
    assert small.hits() == dict.fromkeys(PARTS, 1)


@at_once
def test_a_tag_asks_for_all_parts_at_the_same_time_too(small):
    together = threading.Barrier(3)

    def handler(exchange):
        together.wait(20)
        exchange.respond(200, HOUR, b'{"version": 1}')
    for name in PARTS:
        small.backend.on("/part/" + name, handler)
    got = small.httpd.get("/dashboard", {"If-None-Match": '"x"'})
    assert got.status == 200 and list(shown(got)) == list(PARTS)
    assert not together.broken


def test_no_backend_is_asked_while_all_is_fresh(small):
    first = small.settled()
    before = small.hits()
    for _ in range(5):
        again = small.httpd.get("/dashboard")
        assert again.body == first.body
        assert again.get("ETag") == first.get("ETag")
    assert small.hits() == before


def test_of_data_that_moved_one_part_is_fetched_and_the_tag_moves(small):
    held = small.settled()
    before = small.hits()
    for turn in range(1, 4):
        small.shop.update(3, "turn %d" % turn)
        got, words = small.ask(held)
        assert got.status == 200, (got, words)
        assert got.get("ETag") != held.get("ETag")
        assert shown(got)["products"] == dict(small.shop.page(1, PER),
                                              filler="")
        assert small.hits() == dict(before,
                                    products=before["products"] + turn)
        held = got
        got, words = small.ask(held)
        assert got.status == 304 and words == ["304", "0"]
    assert small.hits() == dict(before, products=before["products"] + 3)


def test_data_of_another_page_moves_nothing_here(small):
    first = small.settled("/dashboard?page=1")
    second = small.settled("/dashboard?page=2")
    before = small.hits()
    small.shop.update(PER + 1, "on page 2")
    assert small.ask(first, "/dashboard?page=1")[0].status == 304
    assert small.hits() == before
    got, _ = small.ask(second, "/dashboard?page=2")
    assert got.status == 200
    assert "on page 2" in json.dumps(shown(got)["products"])
    assert small.hits() == dict(before, products=before["products"] + 1)


@pytest.mark.parametrize("filler", ["", MEGABYTE],
                         ids=["small", "megabytes"])
def test_what_has_not_changed_is_304_without_a_byte_read(serve, filler):
    dashboard = serve(filler)
    held = dashboard.settled()
    assert len(held.body) > 3 * len(filler)
    before = dashboard.hits()
    for _ in range(3):
        got, words = dashboard.ask(held)
        assert got.status == 304 and got.body == b""
        assert got.get("ETag") == held.get("ETag")
        assert words == ["304", "0"]
    assert dashboard.hits() == before
    # The counter counts.
    got, words = dashboard.ask(small_tag(held))
    assert got.status == 200 and words[0] == "whole"
    assert int(words[1]) > 3 * len(filler)
    assert dashboard.hits() == before


def small_tag(got):
    """One that nobody has, for ask()."""
    return {"ETag": got.get("ETag")[:-2] + '"'}


def test_a_part_that_changed_is_in_the_next_composite(small):
    """Announced by a purge, its own and by tag, soft and hard."""
    held = small.settled()
    version = 1
    for target, fields in [
            ("/part/user", {}), ("/part/user", {"ETag-Purge": "hard"}),
            ("/part/", {"Surrogate-Key": "user"}),
            ("/part/", {"Surrogate-Key": "user", "ETag-Purge": "hard"})]:
        version += 1
        small.put("user", version)
        before = small.hits()
        assert small.ask(held)[0].status == 304     # fresh as it was
        assert small.httpd.request("PURGE", target, fields).status == 200
        got, _ = small.ask(held)
        assert got.status == 200
        assert shown(got)["user"]["version"] == version
        assert small.hits() == dict(before, user=before["user"] + 1)
        held = small.settled()
        assert held.get("ETag") == got.get("ETag")


# A composite that our cache keeps as a whole

def composite_hit(dashboard):
    def hit():
        got = dashboard.httpd.get("/kept")
        return got if got.hit else None
    return poll(hit, "a composite in the store")


def test_a_composite_is_kept_as_a_whole(small):
    first = composite_hit(small)
    assert "Surrogate-Key" not in first
    before = small.hits()
    got, words = small.ask(first, "/kept")
    assert got.status == 304 and got.hit
    assert words == ["-", "-"]          # its handler was not asked at all
    assert small.hits() == before


@pytest.mark.parametrize("fields", [{}, {"ETag-Purge": "hard"}],
                         ids=["soft", "hard"])
@pytest.mark.parametrize("name", ["user", "offers"])
def test_what_purges_a_part_by_tag_purges_the_whole(small, name, fields):
    first = composite_hit(small)
    small.put(name, 2)
    assert composite_hit(small).body == first.body
    purge = dict(fields, **{"Surrogate-Key": name})
    assert small.httpd.request("PURGE", "/part/", purge).status == 200
    got, words = small.ask(first, "/kept")
    assert got.status == 200 and not got.hit
    assert words[0] == "whole"
    assert shown(got)[name]["version"] == 2
    assert got.get("ETag") != first.get("ETag")
    assert sum(small.hits().values()) == 2      # put() begins anew: and one


@pytest.mark.parametrize("fields", [{}, {"ETag-Purge": "hard"}],
                         ids=["soft", "hard"])
def test_a_composite_is_purged_by_its_own_url(small, fields):
    first = composite_hit(small)
    before = small.hits()
    assert small.httpd.request("PURGE", "/kept", fields).status == 200
    got, words = small.ask(first, "/kept")
    assert got.status == 304 and not got.hit
    assert words[0] in ("304", "whole")
    assert small.hits() == before               # its parts are there still
    assert composite_hit(small).get("ETag") == first.get("ETag")
