# SPDX-License-Identifier: Apache-2.0
"""A composite's 304 by what our cache holds of its parts: without an internal
request, a backend or a body; and every case in which that is no answer."""
import itertools
import json
import os

import pytest

from conftest import PROXY
from harness.backend import answer, http_date
from harness.database import from_line, render
from harness.httpd import mpm
from harness.memcached import Memcached
from harness.net import poll
from harness.steps import held_by_its_data
from harness.trouble import STORE_LOG, uri

PRODUCTS = 5
KINDS = {
    "kept": "", "ahead": "ETagCacheRefreshAhead 0.25",
    "plain": "ETagCache Off", "seen": "ETagCache Observe",
    "bypassed": 'ETagCacheBypass "true"',
    "data": "ETagFreshness On\nETagFreshnessOverride On\n"
            "ETagFreshnessBudget 2s\n" + from_line(),
    "guarded": "Require expr \"-f '@ROOT@/open'\"",
    "by-env": """
        <RequireAny>
            Require env is-inside
            Require expr "-f '@ROOT@/open'"
        </RequireAny>""",
    "by-field": """
        SetEnvIf Request_URI "/closed/" is-closed
        <RequireAny>
            <RequireAll>
                Require all granted
                Require not env is-closed
            </RequireAll>
            Require expr "-f '@ROOT@/open'"
        </RequireAny>""",
    "by-address": """
        <RequireAny>
            Require local
            Require expr "-f '@ROOT@/open'"
        </RequireAny>""",
    "elsewhere": """
        RewriteEngine On
        RewriteRule "elsewhere/(.*)" "/kept/$1" [PT]""",
}
CONFIG = PROXY + """
ETagCache On
""" + "".join("""
<Location "/%s/">
    %s
</Location>
<Location "/of/%s">
    ProxyPass !
    SetHandler etag-composite
    ETagCache Off
    SetEnvIf Host . is-inside
    ETagCompositePart a "/%s/closed/a?%%s" query:n
    ETagCompositePart b "/kept/b?%%s" query:n
</Location>
""" % (kind, lines, kind, kind) for kind, lines in KINDS.items()) + """
CustomLog "@ROOT@/composite.log" \
    "%{etag-internal}n %U%q %>s %{etag-composite-bytes}n"
"""

HOUR = {"Cache-Control": "max-age=3600"}
STALE = {"Cache-Control": "max-age=60", "Date": http_date(1700000000)}


def prepare(httpd):
    (httpd.root / "open").write_text("")
    if mpm() == "prefork":
        httpd.log.claim("ETG0160")         # no ETagCacheRefreshAhead there


NUMBERS = itertools.count(1)


@pytest.fixture
def number():
    """Of URLs that no other test asks for."""
    return next(NUMBERS)


def part(text, etag, headers=HOUR, **more):
    return answer(200, dict(headers, ETag=etag, **more), text)


@pytest.fixture
def parts(backend):
    for kind in KINDS:
        backend.on("/%s/closed/a" % kind, part(b'"a"', '"a"'))
    backend.on("/kept/b", part(b'"b"', '"b"'))


def log_lines(httpd, number):
    """Words of each: who made it, target, status, bytes of bodies."""
    with open(httpd.root / "composite.log") as lines:
        rows = [line.split() for line in lines]
    return [row for row in rows if row[1].endswith(("?%d" % number,
                                                    "n=%d" % number))]


def internal(httpd, number):
    """Paths that were asked for inside of httpd."""
    return [row[1].split("?")[0] for row in log_lines(httpd, number)
            if row[0] == "composite"]


class Page:
    """A composite, the tag it had, and what asking again takes."""

    def __init__(self, httpd, backend, kind, number, fields=()):
        self.httpd, self.backend = httpd, backend
        self.kind, self.number = kind, number
        self.target = "/of/%s?n=%d" % (kind, number)
        self.fields = dict(fields)
        # The second has from the store what may be there.
        for _ in range(2):
            got = httpd.get(self.target, self.fields)
            assert got.status == 200, got
        self.tag, self.body = got.get("ETag"), got.body

    def hold(self, fields=None, method="GET"):
        """Asks with the tag. The answer, paths of internal requests, and how
        often each backend was asked."""
        inside = len(internal(self.httpd, self.number))
        before = self.hits()
        fields = dict(self.fields if fields is None else fields)
        got = self.httpd.request(method, self.target,
                                 dict(fields, **{"If-None-Match": self.tag}))
        after = self.hits()
        return (got, internal(self.httpd, self.number)[inside:],
                [one - other for one, other in zip(after, before)])

    def hits(self):
        return [self.backend.hits("/%s/closed/a" % self.kind),
                self.backend.hits("/kept/b")]

    def is_held(self, **more):
        got, inside, asked = self.hold(**more)
        assert got.status == 304 and got.body == b"", got
        assert got.get("ETag") == self.tag
        assert inside == [] and asked == [0, 0]
        return got

    def last_line(self):
        def find():
            rows = [row for row in log_lines(self.httpd, self.number)
                    if row[0] == "-" and row[2] == "304"]
            return rows and rows[-1]
        return poll(find, "the line of the 304")


@pytest.fixture
def page(httpd, backend, parts, number):
    def make(kind, **fields):
        return Page(httpd, backend, kind, number, **fields)
    return make


@pytest.fixture
def closed(httpd):
    """What it needs is taken away; and there again afterwards."""
    httpd.log.claim("AH01630|ETG0506")
    yield lambda: os.unlink(httpd.root / "open")
    (httpd.root / "open").write_text("")


# Held

def test_a_304_needs_no_request_inside_of_httpd(page):
    kept = page("kept")
    got = kept.is_held()
    assert got.get("Cache-Control").startswith("max-age=")
    assert "Age" in got
    assert kept.last_line()[2:] == ["304", "0"]


def test_a_head_is_answered_as_well(page):
    page("kept").is_held(method="HEAD")


def test_another_tag_gets_the_whole(page):
    kept = page("kept")
    kept.tag = '"other"'
    got, inside, asked = kept.hold()
    assert got.status == 200 and got.body == kept.body
    assert sorted(inside) == ["/kept/b", "/kept/closed/a"]   # once each
    assert asked == [0, 0]


@pytest.mark.parametrize("kind", ["plain", "seen", "bypassed"])
def test_only_what_is_not_held_is_asked_for(page, kind):
    one = page(kind)
    got, inside, asked = one.hold()
    assert got.status == 304
    assert inside == ["/%s/closed/a" % kind] and asked == [1, 0]


def test_what_is_redirected_by_its_handler_is_asked_for(page):
    """What it leads to may have access rules of its own."""
    got, inside, _ = page("elsewhere").hold()
    assert got.status == 304 and len(inside) == 1


def test_a_304_needs_no_bodies_in_the_store(httpd, backend, page):
    large = json.dumps(["x" * (1 << 20)]).encode()
    backend.on("/kept/closed/a", part(large, '"large"'))
    kept = page("kept")
    files = [path for path in (httpd.root / "store").rglob("*")
             if path.is_file() and len(large) <= path.stat().st_size
             < len(large) + 65536]
    assert files
    for path in files:
        path.unlink()
    kept.is_held()
    assert kept.last_line()[3] == "0"


@pytest.mark.skipif(mpm() == "prefork", reason="nothing is refreshed")
def test_looks_keep_what_is_in_use_from_expiring(httpd, backend, page):
    """They count as hits for ETagCacheRefreshAhead."""
    backend.on("/ahead/closed/a", part(b'"a"', '"a"',
                                       {"Cache-Control": "max-age=4"}))
    one = page("ahead")

    def is_refreshed():
        assert one.hold()[0].status == 304
        made_by = [row[0] for row in log_lines(httpd, one.number)]
        return made_by.count("refresh") >= 2
    poll(is_refreshed, "two refreshes")


# Changed

@pytest.mark.parametrize("kind", ["soft", "hard"])
def test_a_purged_part_is_asked_for(httpd, backend, page, kind):
    kept = page("kept")
    purged = httpd.request("PURGE", "/kept/b?%d" % kept.number,
                           {"ETag-Purge": kind})
    assert purged.status == 200, purged
    got, inside, asked = kept.hold()
    assert got.status == 304              # it is as it was
    assert set(inside) == {"/kept/b"} and asked[1] >= 1
    kept.is_held()


def test_a_purged_part_that_has_changed_makes_another_whole(
        httpd, backend, page):
    kept = page("kept")
    httpd.request("PURGE", "/kept/b?%d" % kept.number)
    backend.on("/kept/b", part(b'"new"', '"new"'))
    got, _, asked = kept.hold()
    assert got.status == 200 and json.loads(got.body)["b"] == "new"
    assert got.get("ETag") != kept.tag and asked == [0, 1]
    kept.tag = got.get("ETag")
    kept.is_held()


def test_a_purge_by_tag_is_seen(httpd, backend, page):
    backend.on("/kept/b", part(b'"b"', '"b"', **{"Surrogate-Key": "goods"}))
    kept = page("kept")
    kept.is_held()
    assert httpd.request("PURGE", "/", {"Surrogate-Key": "goods"}).status == 200
    backend.on("/kept/b", part(b'"new"', '"new"'))
    got, _, asked = kept.hold()
    assert got.status == 200 and asked == [0, 1]


@pytest.mark.parametrize("more", ["", ", stale-while-revalidate=999999999",
                                  ", no-cache"])
def test_what_is_stale_is_not_held(backend, page, more):
    fields = dict(STALE, **{"Cache-Control": "max-age=60" + more})
    backend.on("/kept/closed/a", part(b'"a"', '"a"', fields))
    got, inside, _ = page("kept").hold()
    assert got.status == 304
    assert inside == ["/kept/closed/a"]


def test_what_has_no_tag_is_not_held(backend, page):
    backend.on("/kept/b", answer(200, HOUR, b'"b"'))
    kept = page("kept")
    assert kept.tag is not None           # of its body
    got, _, asked = kept.hold()
    assert got.status == 304 and asked == [0, 0]


# Data

def test_data_is_read_first(httpd, backend, shop, page, number):
    """Which takes a request inside of httpd."""
    backend.on("/data/closed/a", render(shop, HOUR))
    held_by_its_data(httpd, "/data/closed/a?%d" % number)
    one = page("data")
    got, inside, asked = one.hold()
    assert got.status == 304
    assert inside == ["/data/closed/a"] and asked == [0, 0]
    shop.update(3, "another")
    got, inside, asked = one.hold()
    assert got.status == 200 and b"another" in got.body
    assert got.get("ETag") != one.tag and asked == [1, 0]


# For whom

@pytest.mark.parametrize("kind", ["guarded", "by-env", "by-field",
                                  "by-address"])
def test_what_is_refused_is_not_held(httpd, page, closed, kind):
    """Nor is it known by variables or the address of who asked for the whole:
    a request for the part has others."""
    one = page(kind)
    one.is_held()
    closed()
    got, _, asked = one.hold()
    assert got.status == 502, got
    assert json.loads(got.body)["part"] == "a"
    assert asked == [0, 0]


def test_what_is_let_in_again_is_held_again(httpd, page, closed):
    one = page("guarded")
    closed()
    assert one.hold()[0].status == 502
    (httpd.root / "open").write_text("")
    one.is_held()


def test_each_language_is_held_by_its_own_tag(backend, page):
    def speak(exchange):
        language = exchange.request.get("Accept-Language")
        exchange.respond(200, dict(HOUR, Vary="Accept-Language",
                                   ETag='"%s"' % language),
                         json.dumps(language).encode())
    backend.on("/kept/closed/a", speak)
    german = page("kept", fields={"Accept-Language": "de"})
    english = page("kept", fields={"Accept-Language": "en"})
    assert german.tag != english.tag
    german.is_held()
    assert "Accept-Language" in english.is_held().get("Vary")
    got, _, _ = german.hold(fields={"Accept-Language": "en"})
    assert got.status == 200 and got.body == english.body
    got, _, asked = german.hold(fields={"Accept-Language": "fr"})
    assert got.status == 200 and json.loads(got.body)["a"] == "fr"
    assert asked == [1, 0]


def test_what_is_one_users_is_not_held(backend, page):
    def greet(exchange):
        name = exchange.request.get("Cookie")
        exchange.respond(200, {"Cache-Control": "private, max-age=60",
                               "ETag": '"%s"' % name},
                         json.dumps(name).encode())
    backend.on("/kept/closed/a", greet)
    backend.on("/kept/b", part(b'"b"', '"b"', {
        "Cache-Control": "public, max-age=60"}))
    one = page("kept", fields={"Cookie": "name=one"})
    got, inside, asked = one.hold()
    assert got.status == 304
    assert inside == ["/kept/closed/a"] and asked == [1, 0]
    got, _, _ = one.hold(fields={"Cookie": "name=two"})
    assert got.status == 200 and json.loads(got.body)["a"] == "name=two"


def test_what_is_everybodys_is_held_by_each_users_own_tag(backend, page):
    for path in ("/kept/closed/a", "/kept/b"):
        backend.on(path, part(b'"same"', '"same"', {
            "Cache-Control": "public, max-age=60"}))
    one = page("kept", fields={"Cookie": "name=one"})
    two = page("kept", fields={"Cookie": "name=two"})
    assert one.tag != two.tag and one.body == two.body
    one.is_held()
    two.is_held()
    assert one.hold(fields={"Cookie": "name=two"})[0].status == 200


# Without

def test_a_store_that_is_gone_holds_nothing(make_httpd, backend, shop, parts,
                                            number):
    with Memcached() as memcached:
        httpd = make_httpd(shop.conf + CONFIG + 'ETagCacheMetaStore "%s"\n'
                           % uri(memcached.address), prepare=prepare)
        httpd.log.claim(STORE_LOG)
        kept = Page(httpd, backend, "kept", number)
        kept.is_held()
        memcached.kill()
        got, inside, asked = kept.hold()
        assert got.status == 304
        assert sorted(inside) == ["/kept/b", "/kept/closed/a"]
        assert asked == [1, 1]


def test_without_a_cache_all_parts_are_asked_for(make_httpd, backend, parts,
                                                 number):
    httpd = make_httpd("""
        ProxyPass "/of/" !
        """ + PROXY + """
        <Location "/of/kept">
            SetHandler etag-composite
            ETagCompositePart a "/kept/closed/a?%s" query:n
            ETagCompositePart b "/kept/b?%s" query:n
        </Location>
        CustomLog "@ROOT@/composite.log" "%{etag-internal}n %U%q %>s -"
        """, cache=False)
    kept = Page(httpd, backend, "kept", number)
    got, inside, asked = kept.hold()
    assert got.status == 304
    assert sorted(inside) == ["/kept/b", "/kept/closed/a"]
    assert asked == [1, 1]
