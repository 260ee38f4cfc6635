# SPDX-License-Identifier: Apache-2.0
"""mod_etag_composite: pages with Edge Side Includes whose fragments are
remembered: a client that holds the page is answered by fields alone. The
bytes in the access log are those of fragments' bodies that were read."""
import threading

import pytest

import harness.httpd
from harness.backend import answer, validating
from harness.httpd import mpm
from harness.net import poll

pytestmark = pytest.mark.skipif(mpm() == "prefork", reason="needs threads")

PLACES = """
ETagCache On
ProxyPass "/" "http://@BACKEND@/" connectiontimeout=5 timeout=30 retry=0
CustomLog "@ROOT@/composite.log" \
    "%{etag-internal}n %U %>s %{etag-composite}n %{etag-composite-bytes}n"
"""
CONFIG = PLACES + """
<Location "/page/">
    ETagCompositeESI On
    ETagCompositeESIAllow /frag
</Location>
<Location "/brief/">
    ETagCompositeESI On
    ETagCompositeESIAllow /frag
    ETagCompositeDeadline 2s
</Location>
"""

ESI = {"Content-Type": "text/html", "Surrogate-Control": 'content="ESI/1.0"'}
HOUR = {"Cache-Control": "max-age=3600"}
ASKED = {"Cache-Control": "no-cache"}


def page(text, etag='"p"', headers=HOUR):
    return answer(200, dict(ESI, ETag=etag, **dict(headers)), text)


def frag(text, etag='"f"', headers=HOUR):
    return answer(200, dict({"Content-Type": "text/html"}, ETag=etag,
                            **dict(headers)), text)


def kept(text, etag, headers=()):
    """Stored, and asked for again each time."""
    return validating(dict({"Content-Type": "text/html"}, **ASKED,
                           **dict(headers)), etag, text.encode())


def include(src, more=""):
    return '<esi:include src="%s"%s/>' % (src, more)


class Site:
    """A page and its fragments, at URLs of one test."""

    def __init__(self, httpd, backend, path):
        self.httpd = httpd
        self.backend = backend
        self.page = "/page" + path
        self.path = path

    def frag(self, name):
        return "/frag%s-%s" % (self.path, name)

    def include(self, name, more=""):
        return include(self.frag(name), more)

    def put(self, **handlers):
        for name, handler in handlers.items():
            self.backend.on(self.frag(name), handler)

    def show(self, *texts, etag='"p"', headers=HOUR):
        self.backend.on(self.page, page("".join(texts), etag, headers))

    def get(self, tag=None, headers=()):
        """Returns when its line is in the log: lines come after answers, and
        those of two children might change places."""
        fields = dict(headers)
        before = len(self.lines())
        if tag is not None:
            fields["If-None-Match"] = tag
        got = self.httpd.get(self.page, fields)
        poll(lambda: len(self.lines()) > before, "a line in the log")
        return got

    def tag(self, headers=()):
        """Of the page, which is then remembered."""
        got = self.get(headers=headers)
        assert got.status == 200, got
        return got.get("ETag")

    def lines(self):
        log = self.httpd.root / "composite.log"
        if not log.exists():
            return []
        rows = [line.split() for line in log.read_text().splitlines()]
        return [row[2:] for row in rows if row[:2] == ["-", self.page]]

    def said(self, count):
        """Status, word and bytes of the client's last request of `count`."""
        return poll(lambda: self.lines()[count - 1:count],
                    "%d lines" % count)[0]


@pytest.fixture
def site(httpd, backend, path):
    made = Site(httpd, backend, path)
    made.put(a=frag("AAA"), b=frag("BBB"))
    made.show("<p>", made.include("a"), made.include("b"), "</p>")
    return made


def test_no_byte_is_read_for_a_304(site):
    first = site.get()
    got = site.get(first.get("ETag"))
    assert got.status == 304
    assert got.body == b""
    for name in ("ETag", "Vary", "Cache-Control"):
        assert got.all(name) == first.all(name)
    assert site.said(1) == ["200", "whole", "6"]
    assert site.said(2) == ["304", "304", "0"]
    assert site.backend.hits(site.page) == 1
    assert site.backend.hits(site.frag("a")) == 1


def test_a_page_without_fragments_is_remembered_as_well(site):
    site.show("<p>a<esi:remove>b</esi:remove></p>")
    assert site.get(site.tag()).status == 304
    assert site.said(2) == ["304", "304", "0"]


def test_another_tag_gets_the_page(site):
    tag = site.tag()
    got = site.get('"another"')
    assert got.status == 200
    assert got.body == b"<p>AAABBB</p>"
    assert got.get("ETag") == tag
    assert site.get('"another", W/' + tag).status == 304
    assert site.said(3) == ["304", "304", "0"]


def test_a_fragment_is_asked_whether_it_has_changed(site):
    site.put(b=kept("BBB", '"1"'))
    tag = site.tag()
    assert site.get(tag).status == 304
    assert site.said(2) == ["304", "304", "0"]
    asked = site.backend.requests(site.frag("b"))
    assert [each.get("If-None-Match") for each in asked] == [None, '"1"']
    site.put(b=kept("CCC", '"2"'))
    got = site.get(tag)
    assert got.status == 200
    assert got.body == b"<p>AAACCC</p>"
    assert got.get("ETag") != tag
    assert site.get(got.get("ETag")).status == 304
    assert site.said(4) == ["304", "304", "0"]


def test_a_nested_fragment_counts(site):
    site.put(a=frag("(" + site.include("c") + ")",
                    headers=dict(HOUR, **ESI)),
             c=kept("CCC", '"1"'))
    tag = site.tag()
    assert site.get(tag).status == 304
    assert site.said(2) == ["304", "304", "0"]
    site.put(c=kept("DDD", '"2"'))
    got = site.get(tag)
    assert got.status == 200
    assert got.body == b"<p>(DDD)BBB</p>"


def test_what_a_fragment_includes_may_change(site):
    esi = {"Surrogate-Control": 'content="ESI/1.0"'}
    site.put(a=kept(site.include("c"), '"1"', esi), c=frag("C"),
             d=frag("D"))
    tag = site.tag()
    assert site.get(tag).status == 304
    site.put(a=kept(site.include("d"), '"2"', esi))
    got = site.get(tag)
    assert got.status == 200
    assert got.body == b"<p>DBBB</p>"


def test_a_page_that_has_changed_is_another(site):
    tag = site.tag()
    site.show(site.include("a"), etag='"q"')
    assert site.httpd.request("POST", site.page).status == 200
    site.said(2)
    got = site.get(tag)
    assert got.status == 200
    assert got.body == b"AAA"
    assert site.get(got.get("ETag")).status == 304
    assert site.said(4) == ["304", "304", "0"]


def test_a_page_that_is_asked_for_each_time_is_read(site):
    site.show(site.include("a"), headers=ASKED)
    tag = site.tag()
    got = site.get(tag)
    assert got.status == 304
    assert site.said(2) == ["304", "304", "3"]


@pytest.mark.parametrize("fields", [
    {"If-None-Match": "*"}, {"If-Match": '"x"'},
    {"If-Unmodified-Since": "Mon, 01 Jan 2024 00:00:00 GMT"},
    {"Range": "bytes=0-1"}])
def test_the_page_decides_on_all_else(site, fields):
    tag = site.tag()
    got = site.get(headers=dict({"If-None-Match": tag}, **fields))
    assert got.status == (412 if "If-Match" in fields else 304)
    assert site.said(2) == [str(got.status), str(got.status), "6"]


def test_a_fragment_that_fails_is_for_the_page_to_see(site):
    site.put(b=kept("BBB", '"1"'))
    tag = site.tag()
    site.put(b=answer(404))
    assert site.get(tag).status == 502
    site.put(b=kept("BBB", '"1"'))
    assert site.get(tag).status == 304


def test_what_stood_in_for_a_fragment_is_not_remembered(site):
    site.show(site.include("c", ' alt="%s"' % site.frag("a")))
    site.put(c=answer(500))
    tag = site.tag()
    site.put(c=frag("CCC"))
    got = site.get(tag)
    assert got.status == 200
    assert got.body == b"CCC"


def test_where_something_may_stand_in_the_page_is_read(site):
    """Or what hangs would leave it no time."""
    site.page = "/brief" + site.path
    site.show(site.include("c", ' alt="%s"' % site.frag("a")))
    site.put(c=kept("CCC", '"c"'))
    tag = site.tag()
    assert site.get(tag).status == 304
    over = threading.Event()
    site.put(c=lambda exchange: over.wait(20))
    site.httpd.log.claim("AH01102|AH00898")
    try:
        got = site.get(tag)
    finally:
        over.set()
    assert got.status == 200
    assert got.body == b"AAA"


def test_fragments_without_tags_are_not_remembered(site):
    site.put(b=answer(200, dict(HOUR), "BBB"))
    tag = site.tag()
    got = site.get(tag)
    assert got.status == 304
    assert site.said(2) == ["304", "304", "6"]


def test_a_page_with_a_cookie_is_read(site):
    site.show(site.include("a"), headers=dict(
        {"Set-Cookie": "a=b"}, **HOUR))
    tag = site.tag()
    got = site.get(tag)
    assert got.status == 304
    assert site.said(2) == ["304", "304", "3"]


def test_one_users_tag_is_not_anothers(site):
    public = {"Cache-Control": "public, max-age=3600"}
    site.put(a=frag("AAA", headers=public), b=frag("BBB", headers=public))
    site.show(site.include("a"), site.include("b"), headers=public)
    ann = site.tag({"Cookie": "user=ann"})
    assert site.get(ann, {"Cookie": "user=ann"}).status == 304
    assert site.said(2) == ["304", "304", "0"]
    bob = site.get(ann, {"Cookie": "user=bob"})
    assert bob.status == 200
    assert bob.get("ETag") != ann


def test_each_query_is_a_page(site):
    tag = site.tag()
    site.backend.on(site.page, page("other" + site.include("a")))
    got = site.httpd.get(site.page + "?other", {"If-None-Match": tag})
    assert got.status == 200
    assert got.body == b"otherAAA"
    site.said(2)
    assert site.get(tag).status == 304
    assert site.said(3) == ["304", "304", "0"]


# Of httpd's own

def own(make_httpd, backend, path, config, **options):
    made = Site(make_httpd(config, **options), backend, path)
    made.put(a=frag("AAA"), b=frag("BBB"))
    made.show("<p>", made.include("a"), made.include("b"), "</p>")
    return made


def test_a_reload_with_other_prefixes_forgets(make_httpd, backend, path):
    site = own(make_httpd, backend, path, CONFIG)
    tag = site.tag()
    assert site.get(tag).status == 304
    site.httpd.parts = [part.replace("Allow /frag", "Allow none")
                        for part in site.httpd.parts]
    site.httpd.graceful()
    got = site.get(tag)
    assert got.status == 200
    assert got.body.count(b"<esi:include") == 2
    assert got.get("ETag") != tag


def test_memory_that_is_full_drops_the_oldest(make_httpd, backend, path):
    site = own(make_httpd, backend, path,
               CONFIG + "ETagCompositeESIMemory 64K\n")
    for number in range(300):
        made = Site(site.httpd, backend, "%s-%d" % (path, number))
        made.show(*[include(site.frag("a") + "?%d" % n)
                    for n in range(number % 20)], etag='"%d"' % number)
        tag = made.tag()
    assert made.get(tag).status == 304
    assert made.said(2) == ["304", "304", "0"]
    assert site.get(site.tag()).status == 304


def test_there_may_be_no_memory(make_httpd, backend, path):
    site = own(make_httpd, backend, path,
               CONFIG + "ETagCompositeESIMemory 0\n")
    assert site.get(site.tag()).status == 304
    assert site.said(2) == ["304", "304", "6"]


def test_without_shmcb_pages_are_read(make_httpd, backend, path,
                                      monkeypatch):
    monkeypatch.setattr(harness.httpd, "BASE", harness.httpd.BASE.replace(
        "SSLSessionCache", "# SSLSessionCache"))
    site = own(make_httpd, backend, path, CONFIG, without=("socache_shmcb",),
               prepare=lambda httpd: httpd.log.claim("ETG0525"))
    assert site.get(site.tag()).status == 304
    assert site.said(2) == ["304", "304", "6"]


@pytest.mark.parametrize("size, wrong", [
    ("1", "is neither 0 nor from 64K to 32M"), ("33M", "0 and 32M"),
    ("much", "")])
def test_sizes_are_checked(httpd, size, wrong):
    status, text = httpd.configtest("ETagCompositeESIMemory " + size)
    assert status != 0
    assert "ETagCompositeESIMemory" in text and wrong in text
    status, text = httpd.configtest(
        "<VirtualHost *:1>\nETagCompositeESIMemory 1M\n</VirtualHost>")
    assert "is for all servers" in text
