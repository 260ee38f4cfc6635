# SPDX-License-Identifier: Apache-2.0
"""Requests that only pass to the backend carry its own tags, not those we made
of them: unsafe ones, uncacheable URLs, private requests, ranges on a miss."""
import gzip
import re

import pytest

from conftest import PROXY
from harness import curl
from harness.backend import answer, in_turn, validating
from harness.call_log import page
from harness.steps import FRESH, stored

CONFIG = PROXY + """
AddOutputFilterByType DEFLATE text/html text/plain text/css
ETagCache On
"""
GZ = {"Accept-Encoding": "gzip"}
PAGE = page(7, 6000)
CODED = r'"v1;etg-gzip-[0-9a-f]{16}"'


def html(body=PAGE, etag='"v1"', **more):
    return answer(200, dict(FRESH, **{"Content-Type": "text/html",
                                      "ETag": etag}, **more), body)


def decoded(response):
    codings = response.all("Content-Encoding")
    assert codings in ([], ["gzip"]), codings
    return gzip.decompress(response.body) if codings else response.body


PASSING = [
    # what the client holds, what the backend must see
    ('"v1;etg-gzip-0123456789abcdef"', '"v1"'),
    ('W/"v1;etg-gzip"', 'W/"v1"'),
    ('"v1;etg-plain"', '"v1"'),
    ('"v1"', '"v1"'),
    ('"x", "v1;etg-gzip-0123456789abcdef"', '"x", "v1"'),
    ("*", "*"),
]


@pytest.mark.parametrize("held, own", PASSING)
@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "POST"])
def test_passing_100_unsafe_requests_carry_the_backends_tag(
        httpd, backend, path, method, held, own):
    backend.on(path, answer(204, {}))
    curl.ask(httpd, path, [(method, {name: held})
                           for name in ("If-Match", "If-None-Match")])
    match, none_match = backend.requests(path)
    for seen in (match.get("If-Match"), none_match.get("If-None-Match")):
        assert re.split(r", *", seen) == re.split(r", *", own)


def test_passing_101_a_client_updates_what_it_got_coded(httpd, backend,
                                                        path):
    def page_or_update(exchange):
        if exchange.request.method == "GET":
            html()(exchange)
        elif exchange.request.get("If-Match") == '"v1"':
            exchange.respond(204, {"ETag": '"v2"'})
        else:
            exchange.respond(412, {})
    backend.on(path, page_or_update)
    stored(httpd, backend, path)
    coded, = curl.ask(httpd, path, [("GET", GZ)])
    assert re.fullmatch(CODED, coded.get("ETag"))
    statuses = [curl.ask(httpd, path, [("PUT", {"If-Match": tag})])[0].status
                for tag in ('"other"', coded.get("ETag"))]
    assert statuses == [412, 204]


@pytest.mark.parametrize("held, own", PASSING[:4])
def test_passing_110_uncacheable_urls_as_well(httpd, backend, path, held,
                                              own):
    def private(exchange):
        status = 304 if exchange.request.get("If-None-Match") == own else 200
        exchange.respond(status, {"Cache-Control": "no-store", "ETag": own,
                                  "Content-Type": "text/html"}, PAGE)
    backend.on(path, private)
    stored(httpd, backend, path)
    for says in (GZ, {}):
        response, = curl.ask(httpd, path, [
            ("GET", dict(says, **{"If-None-Match": held}))])
        assert backend.requests(path)[-1].get("If-None-Match") == own
        assert response.status == 304


def test_passing_111_private_requests_as_well(httpd, backend, path):
    """The first fetch may turn out to be for all; the second does not."""
    backend.on(path, validating({"Cache-Control": "private, max-age=60",
                                 "Content-Type": "text/html"}, body=PAGE))
    says = {"Authorization": "Basic eDp5",
            "If-None-Match": '"v1;etg-gzip-0123456789abcdef"'}
    for response in curl.ask(httpd, path, [("GET", says)] * 2):
        assert response.status == 304
    first, second = [request.get("If-None-Match")
                     for request in backend.requests(path)]
    assert first in (None, '"v1"') and second == '"v1"'


@pytest.mark.parametrize("tag", ['"v1;etg-gzip-0123456789abcdef"',
                                 '"v1;etg-plain"'])
def test_passing_120_a_range_of_a_coded_tag_asks_for_the_whole(
        httpd, backend, path, tag):
    backend.on(path, html())
    response, = curl.ask(httpd, path, [("GET", dict(GZ, **{
        "Range": "bytes=100-199", "If-Range": tag}))])
    seen = backend.requests(path)[0]
    assert "Range" not in seen and "If-Range" not in seen
    assert response.status == 200 and decoded(response) == PAGE


DATE = "Sun, 01 Nov 2026 08:00:00 GMT"


@pytest.mark.parametrize("control", ["max-age=100", "no-store"])
def test_passing_122_a_part_known_by_date_alone_may_be_coded(
        httpd, backend, path, control):
    backend.on(path, answer(200, {
        "Content-Type": "text/html", "Last-Modified": DATE,
        "Cache-Control": control}, PAGE))
    response, = curl.ask(httpd, path, [("GET", dict(GZ, **{
        "Range": "bytes=100-199", "If-Range": DATE}))])
    seen = backend.requests(path)[0]
    assert "Range" not in seen and "If-Range" not in seen
    assert response.status == 200 and decoded(response) == PAGE


def test_passing_123_who_takes_no_gzip_goes_on_by_date(httpd, backend, path):
    backend.on(path, answer(206, {
        "Content-Range": "bytes 100-199/%d" % len(PAGE),
        "Last-Modified": DATE, "Content-Type": "text/html"}, PAGE[100:200]))
    response, = curl.ask(httpd, path, [("GET", {
        "Range": "bytes=100-199", "If-Range": DATE})])
    assert backend.requests(path)[0].get("If-Range") == DATE
    assert (response.status, response.body) == (206, PAGE[100:200])


def test_passing_121_a_range_of_the_backends_tag_goes_as_it_is(httpd, backend,
                                                               path):
    backend.on(path, in_turn(answer(206, {
        "Content-Range": "bytes 100-199/%d" % len(PAGE), "ETag": '"v1"',
        "Content-Type": "text/html", **FRESH}, PAGE[100:200]), html()))
    response, = curl.ask(httpd, path, [("GET", {
        "Range": "bytes=100-199", "If-Range": '"v1"'})])
    seen = backend.requests(path)[0]
    assert seen.get("Range") == "bytes=100-199"
    assert seen.get("If-Range") == '"v1"'
    assert (response.status, response.body) == (206, PAGE[100:200])
