# SPDX-License-Identifier: Apache-2.0
"""Which bodies are stored gzip-coded, of every size and framing, and which are
left as they are."""
import gzip
import random

import pytest

from conftest import PROXY
from harness import curl
from harness.backend import answer
from harness.call_log import page
from harness.steps import FRESH, settle, stored

CONFIG = PROXY + """
ETagCache On
"""

GZIP, PLAIN = "gzip", "identity"
SIZES = {0: PLAIN, 859: PLAIN, 860: GZIP, 70000: GZIP, 262144: GZIP,
         262145: GZIP, 400000: GZIP, 3000000: GZIP}


@pytest.mark.parametrize("framing", ["length", "chunked"])
@pytest.mark.parametrize("size", sorted(SIZES))
def test_coded_140_bodies_of_every_size(httpd, backend, path, size,
                                         framing):
    body = page(size, size)[:size]

    def sized(exchange):
        fields = dict(FRESH, **{"Content-Type": "application/json",
                                "ETag": '"v1"'})
        if framing == "length":
            exchange.respond(200, fields, body)
            return
        exchange.head(200, dict(fields, **{"Transfer-Encoding": "chunked"}))
        for start in range(0, size, 50000):
            exchange.chunk(body[start:start + 50000])
        exchange.end_chunks()
    backend.on(path, sized)
    first = stored(httpd, backend, path, {"Accept-Encoding": "gzip"})
    assert first.body == body and "Content-Encoding" not in first
    coded, plain, head = curl.ask(httpd, path, [
        ("GET", {"Accept-Encoding": "gzip"}), ("GET", {}), ("HEAD", {})])
    assert coded.hit and plain.hit and head.hit
    assert plain.body == body and plain.get("ETag") == '"v1"'
    assert plain.get("Content-Length") == str(size)
    # httpd itself leaves out a length of 0 here.
    assert head.get("Content-Length") == (str(size) if size else None)
    assert coded.get("Content-Length") == str(len(coded.body))
    if SIZES[size] == GZIP:
        assert coded.get("Content-Encoding") == "gzip"
        assert gzip.decompress(coded.body) == body
        assert len(coded.body) < size * 0.9
        assert coded.get("ETag") not in (None, '"v1"')
    else:
        assert "Content-Encoding" not in coded and coded.body == body
        assert coded.get("ETag") == '"v1"'
    judge_ranges(httpd, path, [({"Accept-Encoding": "gzip"}, coded),
                               ({}, plain)])
    assert backend.hits(path) == 1


def judge_ranges(httpd, path, answers):
    for says, whole in answers:
        last = len(whole.body) - 1
        if last < 800:
            continue
        middle = last // 2
        wanted = [[(0, 0)], [(middle, last)], [(last - 99, last)],
                  [(5, 9), (middle, middle + 99)]]
        parts = curl.ask(httpd, path, [("GET", dict(says, **{
            "Range": "bytes=" + ",".join("%d-%d" % pair for pair in pairs),
            "If-Range": whole.get("ETag")})) for pairs in wanted])
        for pairs, response in zip(wanted, parts):
            assert curl.parts_of(response) == [
                (first, end, len(whole.body), whole.body[first:end + 1])
                for first, end in pairs]


LEFT_ALONE = {
    "image": {"Content-Type": "image/png"},
    "no-type": {"Content-Type": None},
    "no-transform": {"Cache-Control": "max-age=60, no-transform"},
    "content-digest": {"Content-Digest": "sha-256=:%s:" % ("A" * 43 + "=")},
    "repr-digest": {"Repr-Digest": "sha-256=:%s:" % ("A" * 43 + "=")},
}


@pytest.mark.parametrize("name", sorted(LEFT_ALONE))
def test_coded_150_what_is_left_alone(httpd, backend, path, name):
    body = page(1, 5000)
    fields = {"Content-Type": "application/json", "ETag": '"v1"', **FRESH,
              **LEFT_ALONE[name]}
    backend.on(path, answer(200, fields, body))
    stored(httpd, backend, path, {"Accept-Encoding": "gzip"})
    response, part = curl.ask(httpd, path, [
        ("GET", {"Accept-Encoding": "gzip"}),
        ("GET", {"Accept-Encoding": "gzip", "Range": "bytes=5-9",
                 "If-Range": '"v1"'})])
    assert response.hit and response.body == body
    assert "Content-Encoding" not in response
    assert response.get("ETag") == '"v1"'
    assert (part.status, part.body) == (206, body[5:10])
    for key in ("Content-Digest", "Repr-Digest"):
        assert response.get(key) == fields.get(key)


@pytest.mark.parametrize("size", [5000, 300000, 2000000])
def test_coded_151_what_does_not_shrink_is_kept_plain(httpd, backend, path,
                                                       size):
    # Text by its type, chance by its bytes.
    body = random.Random(size).randbytes(size)
    backend.on(path, answer(200, dict(FRESH, **{
        "Content-Type": "text/plain", "ETag": '"v1"'}), body))
    stored(httpd, backend, path, {"Accept-Encoding": "gzip"})
    response, = curl.ask(httpd, path, [("GET", {"Accept-Encoding": "gzip"})])
    assert response.hit and response.body == body
    assert "Content-Encoding" not in response
    assert response.get("ETag") == '"v1"'


def test_coded_152_vary_of_the_backend_stays(httpd, backend, path):
    backend.on(path, answer(200, dict(FRESH, **{
        "Content-Type": "application/json", "Vary": "Accept-Language"}),
        page(2, 5000)))
    asks = {"Accept-Language": "de"}
    with httpd.connect() as connection:
        first = connection.get(path, asks)
        settle(httpd, backend, connection, path)
    second, third = curl.ask(httpd, path, [
        ("GET", asks), ("GET", dict(asks, **{"Accept-Encoding": "gzip"}))])
    for response in (first, second, third):
        names = [name.strip().lower()
                 for name in response.get("Vary").split(",")]
        assert sorted(names) == ["accept-encoding", "accept-language"]
    assert second.hit and third.hit
    assert third.get("Content-Encoding") == "gzip"
    assert backend.hits(path) == 1
