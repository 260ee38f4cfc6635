# SPDX-License-Identifier: Apache-2.0
"""mod_etag_composite: pages with Edge Side Includes: what is done to their
markup and fields."""
import gzip
import threading

import pytest

from harness.backend import answer, counting
from harness.httpd import mpm
from harness.net import poll

pytestmark = pytest.mark.skipif(mpm() == "prefork", reason="needs threads")

CONFIG = """
<Location "/esi/">
    ETagCompositeESI On
    ETagCompositeESIAllow /frag /kept
    ProxyPass "http://@BACKEND@/esi/" connectiontimeout=5 timeout=30 retry=0
</Location>
<Location "/always/">
    ETagCompositeESI Always
    ETagCompositeESIAllow /frag
    ProxyPass "http://@BACKEND@/always/" connectiontimeout=5 timeout=30 retry=0
</Location>
<Location "/cached/">
    ETagCache On
    ETagCompositeESI On
    ETagCompositeESIAllow /frag /kept
    ProxyPass "http://@BACKEND@/cached/" connectiontimeout=5 timeout=30 retry=0
</Location>
<Location "/off/">
    ProxyPass "http://@BACKEND@/off/" connectiontimeout=5 timeout=30 retry=0
</Location>
<Location "/frag/">
    ProxyPass "http://@BACKEND@/frag/" connectiontimeout=5 timeout=30 retry=0
</Location>
<Location "/kept/">
    ETagCache On
    ProxyPass "http://@BACKEND@/kept/" connectiontimeout=5 timeout=30 retry=0
</Location>
CustomLog "@ROOT@/composite.log" "%{etag-internal}n %U %>s %{etag-composite}n"
"""

ESI = {"Content-Type": "text/html", "Surrogate-Control": 'content="ESI/1.0"'}
HTML = {"Content-Type": "text/html"}


def page(text, headers=(), status=200, **more):
    return answer(status, dict(ESI, **dict(headers)), text, **more)


def frag(text, headers=(), status=200, **more):
    return answer(status, dict(HTML, **dict(headers)), text, **more)


def include(src, more=""):
    return '<esi:include src="%s"%s/>' % (src, more)


# Markup

def test_fragments_stand_in_the_places_of_their_includes(httpd, backend,
                                                         path):
    backend.on("/esi" + path, page("<p>" + include("/frag/a") + "|"
                                   + include("/kept/b") + "</p>"))
    backend.on("/frag/a", frag("A"))
    backend.on("/kept/b", frag("B", {"Cache-Control": "max-age=60"}))
    got = httpd.get("/esi" + path)
    assert got.status == 200, got
    assert got.body == b"<p>A|B</p>"
    assert int(got.get("Content-Length")) == 10
    assert got.get("Content-Type") == "text/html"
    assert "Surrogate-Control" not in got
    assert got.get("ETag").startswith('"')


@pytest.mark.parametrize("markup, shown", [
    ('a<esi:remove><p>without</p></esi:remove>b', b"ab"),
    ('a<esi:comment text="nobody sees this"/>b', b"ab"),
    ('a<!--esi <p>with</p> -->b', b"a <p>with</p> b"),
    ('a<!-- plain -->b<esi:comment text="x"/>', b"a<!-- plain -->b"),
    ('<!--esi <esi:include src="/frag/a"/> -->', b" A "),
])
def test_markup_is_processed(httpd, backend, path, markup, shown):
    backend.on("/esi" + path, page(markup))
    backend.on("/frag/a", frag("A"))
    got = httpd.get("/esi" + path)
    assert got.status == 200 and got.body == shown
    assert "Surrogate-Control" not in got


def test_markup_that_is_malformed_stays(httpd, backend, path):
    text = '<esi:include/>|<esi:comment text="x"/><esi:remove>never closed'
    backend.on("/esi" + path, page(text))
    got = httpd.get("/esi" + path)
    assert got.body == b'<esi:include/>|<esi:remove>never closed'


def test_what_is_not_allowed_stays(httpd, backend, path):
    refused = "".join(include(url) for url in (
        "/other/a", "/fragile", "http://elsewhere.example/frag/a",
        "/frag/../other", "/frag/%2e%2e/other", "//elsewhere.example/frag/a"))
    backend.on("/esi" + path, page(refused + include("/frag/a")))
    backend.on("/frag/a", frag("A"))
    got = httpd.get("/esi" + path)
    assert got.body == refused.encode() + b"A"
    assert got.get("ETag") is not None


def test_a_fragment_of_several_places_is_asked_for_once(httpd, backend,
                                                        path):
    backend.on("/esi" + path, page("|".join([include("/frag/one")] * 5)))
    backend.on("/frag/one", frag("1"))
    assert httpd.get("/esi" + path).body == b"1|1|1|1|1"
    assert backend.hits("/frag/one") == 1


def test_urls_are_relative_to_the_page_and_have_queries(httpd, backend,
                                                        path):
    backend.on("/esi" + path, page(include("../frag/q?a=1&amp;b=%20c")))
    backend.on("/frag/q", frag("Q"))
    assert httpd.get("/esi" + path).body == b"Q"
    assert backend.requests("/frag/q")[-1].target == "/frag/q?a=1&b=%20c"


def test_fragments_have_fragments_to_a_depth(httpd, backend, path):
    backend.on("/esi" + path, page("0" + include("/frag/d1")))
    for depth in (1, 2, 3, 4):
        backend.on("/frag/d%d" % depth, page(
            "(%d%s)" % (depth, include("/frag/d%d" % (depth + 1)))))
    got = httpd.get("/esi" + path)
    assert got.body == b'0(1(2(3<esi:include src="/frag/d4"/>)))'
    assert backend.hits("/frag/d4") == 0


def test_a_fragment_says_itself_whether_it_has_esi(httpd, backend, path):
    backend.on("/esi" + path, page(include("/frag/plain")))
    backend.on("/frag/plain", frag(include("/frag/b")))
    backend.on("/frag/b", frag("B"))
    assert httpd.get("/esi" + path).body == include("/frag/b").encode()


def test_a_page_that_includes_itself_ends(httpd, backend, path):
    backend.on("/frag/self", page("." + include("/frag/self")))
    backend.on("/esi" + path, page(include("/frag/self")))
    got = httpd.get("/esi" + path)
    assert got.status == 200
    assert got.body == b'.<esi:include src="/frag/self"/>'


def test_pages_that_include_each_other_end(httpd, backend, path):
    backend.on("/frag/x", page("x(%s)" % include("/frag/y")))
    backend.on("/frag/y", page("y(%s)" % include("/frag/x")))
    backend.on("/esi" + path, page(include("/frag/x")))
    got = httpd.get("/esi" + path)
    assert got.status == 200
    assert got.body == b'x(y(x(<esi:include src="/frag/y"/>)))'
    assert backend.hits("/frag/x") == backend.hits("/frag/y") == 1


def test_fragments_are_asked_for_at_once(httpd, backend, path):
    together = threading.Barrier(4)

    def handler(exchange):
        together.wait(20)
        exchange.respond(200, HTML, b".")
    names = ["/frag/at-once-%d" % i for i in range(4)]
    for name in names:
        backend.on(name, handler)
    backend.on("/esi" + path, page("".join(include(n) for n in names)))
    assert httpd.get("/esi" + path).body == b"...."


def test_bytes_of_any_kind_pass(httpd, backend, path):
    data = bytes(range(256)) * 50
    backend.on("/esi" + path, page(data + b'<esi:include src="/frag/bytes"/>'
                                   + data))
    backend.on("/frag/bytes", frag(data))
    assert httpd.get("/esi" + path).body == data * 3


def test_an_empty_fragment_is_one(httpd, backend, path):
    backend.on("/esi" + path, page("a" + include("/frag/empty") + "b"))
    backend.on("/frag/empty", frag(""))
    got = httpd.get("/esi" + path)
    assert got.body == b"ab" and got.get("ETag") is not None


def test_a_page_comes_in_portions_of_any_size(httpd, backend, path):
    text = b'a<esi:include src="/frag/p"/>b<esi:remove>x</esi:remove>c'

    def handler(exchange):
        exchange.head(200, dict(ESI, **{"Transfer-Encoding": "chunked"}))
        for at in range(0, len(text), 3):
            exchange.chunk(text[at:at + 3])
        exchange.end_chunks()
    backend.on("/esi" + path, handler)
    backend.on("/frag/p", frag("P"))
    assert httpd.get("/esi" + path).body == b"aPbc"


# Which responses

def test_what_does_not_say_esi_is_left(httpd, backend, path):
    text = include("/frag/a") + "<esi:remove>x</esi:remove>"
    backend.on("/esi" + path, answer(200, dict(HTML, ETag='"own"'), text))
    got = httpd.get("/esi" + path)
    assert got.body == text.encode()
    assert got.get("ETag") == '"own"'


def test_where_esi_is_off_nothing_is_done(httpd, backend, path):
    backend.on("/off" + path, page(include("/frag/a"), {"ETag": '"own"'}))
    got = httpd.get("/off" + path)
    assert got.body == include("/frag/a").encode()
    assert got.get("ETag") == '"own"'
    assert got.get("Surrogate-Control") == 'content="ESI/1.0"'
    assert "Surrogate-Capability" not in backend.requests("/off" + path)[-1]


@pytest.mark.parametrize("kind, is_done", [
    ("text/html", True), ("Text/HTML; charset=utf-8", True),
    ("application/xhtml+xml", True), ("text/plain", False),
    ("application/json", False)])
def test_always_takes_all_html(httpd, backend, path, kind, is_done):
    name = "/always" + path
    backend.on(name, answer(200, {"Content-Type": kind}, include("/frag/a")))
    backend.on("/frag/a", frag("A"))
    got = httpd.get(name)
    assert got.body == (b"A" if is_done else include("/frag/a").encode())


def test_html_without_esi_stays_as_it_is(httpd, backend, path):
    fields = dict(HTML, ETag='"own"', **{
        "Last-Modified": "Mon, 01 Jan 2024 00:00:00 GMT",
        "Cache-Control": "max-age=60", "Expires": "0"})
    backend.on("/always" + path, answer(200, fields, "<p>nothing</p>"))
    got = httpd.get("/always" + path)
    assert got.body == b"<p>nothing</p>"
    for name in ("ETag", "Last-Modified", "Cache-Control", "Expires"):
        assert got.get(name) == fields[name]
    assert httpd.get("/always" + path,
                     {"If-None-Match": '"own"'}).status == 304


def test_a_page_of_another_coding_passes_as_it_is(httpd, backend, path):
    text = gzip.compress(include("/frag/a").encode())
    backend.on("/esi" + path, page(text, {"Content-Encoding": "gzip, br",
                                          "ETag": '"own"'}))
    got = httpd.get("/esi" + path, {"Accept-Encoding": "gzip"})
    assert got.body == text
    assert got.get("Content-Encoding") == "gzip, br"
    assert got.get("ETag") == '"own"'


@pytest.mark.parametrize("status", [404, 500])
def test_other_statuses_are_processed_without_a_tag(httpd, backend, path,
                                                    status):
    backend.on("/esi" + path, page(include("/frag/a"), {"ETag": '"own"'},
                                   status))
    backend.on("/frag/a", frag("A"))
    got = httpd.get("/esi" + path)
    assert got.status == status and got.body == b"A"
    assert "ETag" not in got


def test_a_redirect_passes(httpd, backend, path):
    backend.on("/esi" + path, answer(302, {"Location": "/elsewhere"}, ""))
    got = httpd.get("/esi" + path)
    assert got.status == 302
    assert got.get("Location").endswith("/elsewhere")


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_only_what_is_read_is_processed(httpd, backend, path, method):
    backend.on("/esi" + path, page(include("/frag/a")))
    got = httpd.request(method, "/esi" + path, body=b"x")
    assert got.body == include("/frag/a").encode()


def test_a_cached_page_is_processed_each_time(httpd, backend, path):
    backend.on("/cached" + path, page(
        include("/frag/turn"), {"Cache-Control": "max-age=60"}))
    backend.on("/frag/turn", counting(HTML))
    assert httpd.get("/cached" + path).body == b"answer 1"
    got = httpd.get("/cached" + path)
    assert got.body == b"answer 2"
    assert got.hit
    assert backend.hits("/cached" + path) == 1


# What is asked for

def test_pages_and_fragments_are_asked_for_whole(httpd, backend, path):
    backend.on("/esi" + path, page(include("/frag/asked")))
    backend.on("/frag/asked", frag("A"))
    httpd.get("/esi" + path, {
        "Accept-Encoding": "gzip, br", "Range": "bytes=0-1",
        "If-None-Match": '"x"', "If-Range": '"y"', "Cookie": "c=1",
        "Accept-Language": "de", "X-Other": "1"})
    asked = backend.requests("/esi" + path)[-1]
    for name in ("Range", "If-None-Match", "If-Range"):
        assert name not in asked
    assert asked.get("Accept-Encoding") == "gzip"
    assert asked.get("Surrogate-Capability") == 'etagere="ESI/1.0"'
    assert asked.get("X-Other") == "1"
    asked = backend.requests("/frag/asked")[-1]
    assert asked.get("Accept-Encoding") == "identity"
    assert asked.get("Surrogate-Capability") == 'etagere="ESI/1.0"'
    assert asked.get("Cookie") == "c=1"
    assert asked.get("Accept-Language") == "de"
    assert "X-Other" not in asked and "If-None-Match" not in asked


def test_other_surrogates_are_told_of_as_well(httpd, backend, path):
    backend.on("/esi" + path, page("x"))
    httpd.get("/esi" + path, {"Surrogate-Capability": 'abc="ESI/1.0"'})
    asked = backend.requests("/esi" + path)[-1]
    assert asked.get("Surrogate-Capability") == \
        'abc="ESI/1.0", etagere="ESI/1.0"'


# Fields

def test_fields_are_those_of_page_and_fragments(httpd, backend, path):
    backend.on("/esi" + path, page(include("/frag/f"), {
        "Cache-Control": "public, max-age=600", "Vary": "Accept",
        "Expires": "0", "ETag": '"p"', "X-Own": "1", "Set-Cookie": "page=1",
        "Content-MD5": "x", "Accept-Ranges": "none",
        "CDN-Cache-Control": "max-age=9"}))
    backend.on("/frag/f", frag("F", {
        "Cache-Control": "max-age=60, must-revalidate", "ETag": '"f"',
        "Vary": "Accept-Language", "X-Frag": "1", "Set-Cookie": "frag=1"}))
    got = httpd.get("/esi" + path)
    assert got.body == b"F"
    words = {word.strip() for word in got.get("Cache-Control").split(",")}
    assert words == {"private", "max-age=60", "must-revalidate"}
    assert {word.strip() for word in got.get("Vary").split(",")} == {
        "Accept", "Accept-Language"}
    assert got.get("X-Own") == "1" and "X-Frag" not in got
    assert got.all("Set-Cookie") == ["page=1"]
    assert got.get("ETag") not in ('"p"', '"f"')
    for name in ("Expires", "Content-MD5", "CDN-Cache-Control",
                 "Last-Modified"):
        assert name not in got


def test_last_modified_is_the_newest_if_all_have_one(httpd, backend, path):
    old = "Mon, 01 Jan 2024 00:00:00 GMT"
    new = "Tue, 02 Jan 2024 00:00:00 GMT"
    backend.on("/esi" + path, page(include("/frag/lm"),
                                   {"Last-Modified": old}))
    backend.on("/frag/lm", frag("F", {"Last-Modified": new}))
    assert httpd.get("/esi" + path).get("Last-Modified") == new
    backend.on("/frag/lm", frag("F"))
    assert "Last-Modified" not in httpd.get("/esi" + path)


def test_head_has_no_tag_of_the_page(httpd, backend, path):
    backend.on("/esi" + path, page(include("/frag/a"), {
        "ETag": '"p"', "Cache-Control": "max-age=60",
        "Last-Modified": "Mon, 01 Jan 2024 00:00:00 GMT"}))
    got = httpd.head("/esi" + path)
    assert got.status == 200 and got.body == b""
    for name in ("ETag", "Last-Modified", "Content-Length",
                 "Surrogate-Control"):
        assert name not in got
    assert got.get("Cache-Control") == "max-age=0"


# Logs

@pytest.mark.parametrize("text, method, fields, word", [
    ("x" + include("/frag/a"), "GET", {}, "whole"),
    ("x" + include("/frag/a"), "GET", {"If-None-Match": "*"}, "304"),
    ("x" + include("/frag/a"), "GET", {"If-Match": '"x"'}, "412"),
    ("x" + include("/frag/a"), "HEAD", {}, "head"),
    ("x" + include("/frag/none"), "GET", {}, "failed"),
    ("x" + include("/frag/500", ' onerror="continue"'), "GET", {},
     "incomplete"),
    ("x", "GET", {}, "plain"),
])
def test_logs_have_a_word_of_it(httpd, backend, path, text, method, fields,
                                word):
    backend.on("/esi" + path, page(text))
    backend.on("/frag/a", frag("A"))
    backend.on("/frag/none", frag("", status=404))
    backend.on("/frag/500", frag("", status=500))
    httpd.request(method, "/esi" + path, fields)
    log = httpd.root / "composite.log"
    start = "- /esi%s " % path
    poll(lambda: start in log.read_text(), "the line")
    assert [line.split()[-1] for line in log.read_text().splitlines()
            if line.startswith(start)] == [word]
