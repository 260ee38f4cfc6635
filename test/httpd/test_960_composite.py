# SPDX-License-Identifier: Apache-2.0
"""mod_etag_composite: one response made of several, with one tag; its parts
at once, and not asked for again while they hold."""
import json
import threading
import time

import pytest

from harness.backend import answer
from harness.httpd import mpm

# Without threads parts are asked for one after another.
together = pytest.mark.skipif(mpm() == "prefork", reason="needs threads")

CONFIG = """
<Location "/kept/">
    ETagCache On
    ProxyPass "http://@BACKEND@/kept/" connectiontimeout=5 timeout=30 retry=0
</Location>
<Location "/plain/">
    ProxyPass "http://@BACKEND@/plain/" connectiontimeout=5 timeout=30 retry=0
</Location>
<Location "/three">
    SetHandler etag-composite
    ETagCompositePart products "/kept/products?page=%s" query:page=1
    ETagCompositePart user     "/kept/user"
    ETagCompositePart offers   "/kept/offers"
</Location>
<Location "/uncached">
    SetHandler etag-composite
    ETagCompositePart a "/kept/a"
    ETagCompositePart b "/plain/b"
</Location>
<LocationMatch "^/of/(.*)$">
    SetHandler etag-composite
    ETagCompositePart a "/kept/of/%s" path:1
    ETagCompositePart b "/kept/by" pointer=/items/1
</LocationMatch>
<Location "/language">
    SetHandler etag-composite
    ETagCompositePart a "/plain/in?l=%s" header:X-Lang
    ETagCompositePart b "/plain/b"
</Location>
<Location "/outer">
    SetHandler etag-composite
    ETagCompositePart inner "/three"
</Location>
<Location "/empty">
    SetHandler etag-composite
</Location>
<Location "/template">
    SetHandler etag-composite
    ETagCompositeTemplate page.json
    ETagCompositePart a "/kept/a"
    ETagCompositePart b "/plain/b"
</Location>
CustomLog "@ROOT@/composite.log" "%{etag-internal}n %U %>s %{etag-composite}n %{etag-composite-bytes}n"
"""

HOUR = {"Cache-Control": "max-age=3600"}
PARTS = ("products", "user", "offers")


def prepare(httpd):
    (httpd.root / "page.json").write_text(
        '{"v": 1.0, "all": [{"$part": "b"}, {"$part": "a"}, '
        '{"$part": "b"}]}')


def part(text, etag=None, headers=HOUR, **more):
    return answer(200, dict(headers, ETag=etag), text, **more)


@pytest.fixture
def page(httpd):
    """A page of /three that no other test asks for."""
    page.number = getattr(page, "number", 0) + 1
    return "/three?page=%d" % page.number


@pytest.fixture
def three(httpd, backend):
    """Three parts that our cache keeps, all new."""
    httpd.request("PURGE", "/kept/user")
    httpd.request("PURGE", "/kept/offers")
    backend.on("/kept/products", part(b'[1, 2.50, 1e400]', '"p1"'))
    backend.on("/kept/user", part(b'{"name": "\\u00e9"}', '"u1"'))
    backend.on("/kept/offers", part(b' [] \n', '"o1"'))


def hits(backend):
    return [backend.hits("/kept/" + name) for name in PARTS]


def last_line(httpd):
    """Of the composite log, of a request that a client made."""
    text = (httpd.root / "composite.log").read_text()
    return [line for line in text.splitlines() if line.startswith("- ")][-1]


def hold(httpd, target, got, **more):
    fields = {"If-None-Match": got.get("ETag")}
    return httpd.get(target, dict(fields, **more))


# The composite

def test_three_parts_are_one_object(httpd, backend, three, page):
    got = httpd.get(page)
    assert got.status == 200, got
    assert got.get("Content-Type") == "application/json"
    assert int(got.get("Content-Length")) == len(got.body)
    assert json.loads(got.body) == {
        "products": [1, 2.5, float("inf")], "user": {"name": "\u00e9"},
        "offers": []}
    assert list(json.loads(got.body)) == list(PARTS)
    assert b"[1, 2.50, 1e400]" in got.body
    assert got.get("ETag").startswith('"')
    assert "ETag-Composite" not in got


@together
def test_parts_are_asked_for_at_once(httpd, backend, three, page):
    spans = {}

    def slow(name, seconds):
        def handler(exchange):
            begin = time.monotonic()
            exchange.pause(seconds)
            spans[name] = (begin, time.monotonic())
            exchange.respond(200, HOUR, b'"%s"' % name.encode())
        return handler
    for name, seconds in zip(PARTS, (0.05, 0.1, 0.3)):
        backend.on("/kept/" + name, slow(name, seconds))
    assert httpd.get(page).status == 200
    last_begin = max(begin for begin, _ in spans.values())
    first_end = min(end for _, end in spans.values())
    assert len(spans) == 3 and last_begin < first_end, spans


@together
def test_no_part_waits_for_another(httpd, backend, three, page):
    together = threading.Barrier(3)

    def handler(exchange):
        together.wait(20)
        exchange.respond(200, HOUR, b"1")
    for name in PARTS:
        backend.on("/kept/" + name, handler)
    assert httpd.get(page).status == 200


def test_head_has_the_fields_of_get(httpd, backend, three, page):
    got = httpd.get(page)
    head = httpd.request("HEAD", page)
    assert head.status == 200 and head.body == b""
    for name in ("ETag", "Content-Length", "Content-Type", "Cache-Control"):
        assert head.get(name) == got.get(name)


def test_other_methods_are_refused(httpd, three, page):
    got = httpd.request("POST", page, body=b"x")
    assert got.status == 405
    assert "GET" in got.get("Allow")


# 304

def test_while_parts_are_fresh_the_answer_is_304_without_a_body_read(
        httpd, backend, three, page):
    got = httpd.get(page)
    before = hits(backend)
    for _ in range(3):
        again = hold(httpd, page, got)
        assert again.status == 304 and again.body == b""
        assert again.get("ETag") == got.get("ETag")
        assert again.get("Cache-Control") == got.get("Cache-Control")
    assert hits(backend) == before
    httpd.stop()
    words = last_line(httpd).split()
    httpd.start()
    assert words[2:] == ["304", "304", "0"]


def test_while_parts_are_fresh_no_backend_is_asked(httpd, backend, three,
                                                   page):
    got = httpd.get(page)
    before = hits(backend)
    again = httpd.get(page)
    assert again.body == got.body
    assert again.get("ETag") == got.get("ETag")
    assert hits(backend) == before


def test_a_first_request_with_a_tag_gets_the_whole(httpd, backend, three,
                                                   page):
    got = httpd.get(page, {"If-None-Match": '"other"'})
    assert got.status == 200
    assert json.loads(got.body)["offers"] == []
    assert max(hits(backend)) == 1


def test_of_a_changed_part_only_that_one_is_fetched(httpd, backend, three,
                                                    page):
    got = httpd.get(page)
    httpd.request("PURGE", "/kept/user")
    backend.on("/kept/user", part(b'{"name": "new"}', '"u2"'))
    backend.on("/kept/offers", part(b"[1]", '"o2"'))    # still fresh
    again = hold(httpd, page, got)
    assert again.status == 200
    assert again.get("ETag") != got.get("ETag")
    assert json.loads(again.body)["user"] == {"name": "new"}
    assert json.loads(again.body)["offers"] == []
    assert hits(backend)[1:] == [1, 0]


def test_a_part_without_a_tag_counts_by_its_body(httpd, backend):
    backend.on("/kept/a", part(b"1", '"a"'))
    backend.on("/plain/b", part(b'"same"', headers={}))
    got = httpd.get("/uncached")
    assert got.get("ETag").startswith('"')
    assert hold(httpd, "/uncached", got).status == 304
    assert backend.hits("/plain/b") == 2      # one each: kept for round two
    backend.on("/plain/b", part(b'"other"', headers={}))
    again = hold(httpd, "/uncached", got)
    assert again.status == 200
    assert json.loads(again.body) == {"a": 1, "b": "other"}
    assert backend.hits("/plain/b") == 1


def test_a_weak_part_makes_a_weak_whole(httpd, backend):
    backend.on("/kept/a", part(b"1", '"a"'))
    backend.on("/plain/b", part(b"2", 'W/"b"', {}))
    got = httpd.get("/uncached")
    assert got.get("ETag").startswith('W/"')
    assert hold(httpd, "/uncached", got).status == 304


def test_equal_tags_of_other_parts_are_another_composite(httpd, backend,
                                                         three):
    backend.on("/kept/products", part(b"[]", '"same"'))
    one = httpd.get("/three?page=901")
    other = httpd.get("/three?page=902")
    assert one.get("ETag") != other.get("ETag")


def test_a_date_alone_gives_no_304(httpd, backend, three, page):
    old = "Mon, 01 Jan 2024 00:00:00 GMT"
    for name in PARTS:
        backend.on("/kept/" + name, part(
            b"1", headers=dict(HOUR, **{"Last-Modified": old})))
    got = httpd.get(page)
    assert got.get("Last-Modified") == old
    assert httpd.get(page, {"If-Modified-Since": old}).status == 200


def test_if_match_of_another_tag_is_412(httpd, three, page):
    assert httpd.get(page, {"If-Match": '"other"'}).status == 412


# Fields

def test_the_shortest_life_and_the_worst_word_count(httpd, backend, three,
                                                    page):
    backend.on("/kept/products", part(b"1", headers={
        "Cache-Control": "public, max-age=600", "Vary": "Accept-Language"}))
    backend.on("/kept/user", part(b"1", headers={
        "Cache-Control": "public, max-age=60, must-revalidate"}))
    backend.on("/kept/offers", part(b"1", headers={
        "Cache-Control": "max-age=900", "Vary": "X-Kind"}))
    got = httpd.get(page)
    words = {word.strip() for word in got.get("Cache-Control").split(",")}
    assert words == {"max-age=60", "must-revalidate"}
    vary = {word.strip().lower() for word in got.get("Vary").split(",")}
    assert vary == {"accept-language", "x-kind"}


def test_no_store_of_one_is_no_store_of_all(httpd, backend, three, page):
    backend.on("/kept/offers", part(b"1", headers={
        "Cache-Control": "no-store"}))
    assert httpd.get(page).get("Cache-Control") == "no-store"


def test_a_field_in_a_url_is_in_vary(httpd, backend):
    backend.on("/plain/in", part(b"1"))
    backend.on("/plain/b", part(b"2", headers=dict(HOUR, Vary="Accept")))
    got = httpd.get("/language", {"X-Lang": "de"})
    assert {word.strip() for word in got.get("Vary").split(",")} == {
        "Accept", "X-Lang"}
    assert backend.requests("/plain/in")[-1].target == "/plain/in?l=de"


def test_what_comes_with_a_part_stays_there(httpd, backend, three, page):
    backend.on("/kept/user", part(b"1", headers=dict(
        HOUR, **{"Set-Cookie": "a=b", "X-Own": "1"})))
    got = httpd.get(page)
    assert got.status == 200
    assert "Set-Cookie" not in got and "X-Own" not in got


# What parts are asked with

def test_parts_get_the_fields_that_are_forwarded_and_no_others(
        httpd, backend):
    backend.on("/kept/a", part(b"1"))
    backend.on("/plain/b", part(b"2"))
    httpd.get("/uncached", {"Accept-Language": "de", "X-Other": "1",
                            "Cookie": "a=1", "Range": "bytes=0-1",
                            "Accept-Encoding": "gzip"})
    request = backend.requests("/plain/b")[-1]
    assert request.get("Accept-Language") == "de"
    assert request.get("Cookie") == "a=1"
    assert "X-Other" not in request and "Range" not in request
    assert request.get("Accept-Encoding") == "identity"


def test_values_are_encoded_where_they_stand(httpd, backend):
    backend.otherwise(part(b"1"))
    backend.on("/kept/by", part(b'{"items": [1, {"x": 2.0}]}'))
    got = httpd.get("/of/a%20b%3F")
    backend.otherwise(None)
    assert got.body == b'{"a":1,"b":{"x": 2.0}}'
    assert [request.target for path in list(backend.seen)
            for request in backend.requests(path)
            if path.startswith("/kept/of/")] == ["/kept/of/a%20b%3F"]


def test_values_that_lead_elsewhere_are_the_clients_mistake(httpd, backend):
    backend.on("/kept/by", part(b"1"))
    got = httpd.get("/of/x;y/..;")
    assert got.status == 400
    assert json.loads(got.body)["part"] == "a"
    assert backend.hits("/kept/by") == 0


# Private composites

def test_a_composite_with_credentials_is_private(httpd, backend, three,
                                                 page):
    got = httpd.get(page, {"Cookie": "session=1"})
    assert "private" in got.get("Cache-Control")
    assert "private" not in httpd.get(page).get("Cache-Control")


def test_no_user_has_anothers_tag(httpd, backend):
    backend.on("/kept/a", part(b"1", '"a"'))
    backend.on("/plain/b", part(b"2", '"b"'))
    tags = {httpd.get("/uncached", fields).get("ETag") for fields in (
        {}, {"Cookie": "a=1"}, {"Cookie": "a=2"},
        {"Authorization": "Basic YTpi"})}
    assert len(tags) == 4
    mine = httpd.get("/uncached", {"Cookie": "a=1"})
    assert hold(httpd, "/uncached", mine, Cookie="a=1").status == 304
    assert hold(httpd, "/uncached", mine, Cookie="a=2").status == 200


# Templates

def test_a_template_is_filled(httpd, backend):
    backend.on("/kept/a", part(b"1", '"a"'))
    backend.on("/plain/b", part(b"2.0", '"b"'))
    httpd.request("PURGE", "/kept/a")
    got = httpd.get("/template")
    assert got.body == b'{"v": 1.0, "all": [2.0, 1, 2.0]}'
    assert hold(httpd, "/template", got).status == 304
    assert got.get("ETag") != httpd.get("/uncached").get("ETag")


# What is no composite

def test_a_composite_is_no_part_of_another(httpd, three):
    got = httpd.get("/outer")
    assert got.status == 502
    assert json.loads(got.body)["part"] == "inner"
    httpd.log.claim("and so no part of one")


def test_a_composite_without_parts_is_a_mistake(httpd):
    assert httpd.get("/empty").status == 500
    httpd.log.claim("and no ETagCompositePart")
