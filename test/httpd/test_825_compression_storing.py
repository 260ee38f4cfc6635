# SPDX-License-Identifier: Apache-2.0
"""What is stored gzip-coded: by size, type, ratio, and how the body came. On a
hit a client that takes gzip gets the stored bytes, so its Content-Encoding
says how they are kept."""
import gzip
import random

import pytest

from conftest import PROXY
from harness.backend import answer
from harness.client import Truncated
from harness.steps import FRESH, stored

CONFIG = PROXY + """
ETagCache On
<Location "/off/">
    ETagCacheCompress Off
</Location>
<Location "/fast/">
    ETagCacheCompress gzip:1
</Location>
<Location "/best/">
    ETagCacheCompress gzip:9
</Location>
<Location "/small/">
    ETagCacheMaxObject 10000
</Location>
"""

TLS = CONFIG
GZ = {"Accept-Encoding": "gzip"}
TEXT = {"Content-Type": "text/plain"}
KB = 1024


def lines(size, seed=1):
    """Text as it is: it shrinks to about a third."""
    chance = random.Random(seed)
    text = b"".join(b"%d %s\n" % (chance.randrange(10 ** 6),
                                  chance.choice([b"apples", b"pears"]))
                    for _ in range(size // 11 + 2))
    return text[:size]


def noise(size, seed=1):
    return random.Random(seed).randbytes(size)


def chunked(fields, body, step=7000):
    def handler(exchange):
        exchange.head(200, dict(fields, **{"Transfer-Encoding": "chunked"}))
        for at in range(0, len(body), step):
            exchange.chunk(body[at:at + step])
        exchange.end_chunks()
    return handler


def kept(httpd, path, body):
    """How the stored bytes are kept: "gzip" or None. Every client gets the
    whole body."""
    found = []
    for headers in (GZ, {}):
        response = httpd.get(path, headers)
        assert response.hit
        assert int(response.get("Content-Length")) == len(response.body)
        coding = response.get("Content-Encoding")
        assert headers or coding is None
        plain = gzip.decompress(response.body) if coding else response.body
        assert plain == body
        head = httpd.head(path, headers)
        for name in ("Content-Length", "Content-Encoding", "ETag", "Vary"):
            assert head.get(name) == response.get(name)
        if headers:
            found.append(coding)
    if found[0]:
        assert "Accept-Encoding" in httpd.get(path).get("Vary")
    return found[0]


@pytest.mark.parametrize("send", ["length", "chunked"])
@pytest.mark.parametrize("size, coding", [(859, None), (860, "gzip")])
def test_storing_100_from_860_bytes_on(httpd, backend, path, size, coding,
                                       send):
    body = lines(size)
    fields = dict(FRESH, **TEXT)
    backend.on(path, answer(200, fields, body) if send == "length"
               else chunked(fields, body))
    first = stored(httpd, backend, path, GZ)
    assert first.body == body and "Content-Encoding" not in first
    assert kept(httpd, path, body) == coding


@pytest.mark.parametrize("kind, coding", [
    ("text/html; charset=utf-8", "gzip"), ("application/json", "gzip"),
    ("APPLICATION/JSON;a=b", "gzip"), ("application/hal+json", "gzip"),
    ("image/svg+xml", "gzip"), ("application/javascript", "gzip"),
    ("image/png", None), ("application/zip", None), ("video/mp4", None),
    ("application/octet-stream", None), ("text/event-stream", None),
    (None, None)])
def test_storing_110_by_type(httpd, backend, path, kind, coding):
    body = lines(5000)
    backend.on(path, answer(200, dict(FRESH, **{"Content-Type": kind}), body))
    first = stored(httpd, backend, path)
    assert ("Vary" in first) == (coding is not None)
    assert kept(httpd, path, body) == coding


# Held to see which form is shorter: 256 KB.
BODIES = {
    "noise": (noise(5000), None),
    "9 percent": (noise(4600) + bytes(400), None),
    "12 percent": (noise(4350) + bytes(650), "gzip"),
    "at the limit": (lines(256 * KB), "gzip"),
    "noise at the limit": (noise(256 * KB), None),
    "over the limit": (lines(256 * KB + 1), "gzip"),
    "noise over the limit": (noise(256 * KB + 1), None),
    "noise after text": (lines(300 * KB) + noise(600 * KB), "gzip"),
    "text after noise": (noise(300 * KB) + lines(600 * KB), None),
    "large": (lines(3000 * KB), "gzip"),
}


@pytest.mark.parametrize("send", ["length", "chunked"])
@pytest.mark.parametrize("name", BODIES)
def test_storing_120_by_ratio(httpd, backend, path, name, send):
    body, coding = BODIES[name]
    fields = dict(FRESH, **TEXT)
    backend.on(path, answer(200, fields, body) if send == "length"
               else chunked(fields, body, 50000))
    assert stored(httpd, backend, path).body == body
    assert kept(httpd, path, body) == coding
    assert backend.hits(path) == 1


def test_storing_121_ranges_of_both_forms_of_a_large_body(httpd, backend,
                                                          path):
    body = lines(2000 * KB)
    backend.on(path, answer(200, dict(FRESH, **TEXT), body))
    stored(httpd, backend, path)
    for headers in (GZ, {}):
        whole = httpd.get(path, headers).body
        for said, piece in [
                ("bytes=0-0", whole[:1]), ("bytes=-7", whole[-7:]),
                ("bytes=100000-200000", whole[100000:200001]),
                ("bytes=%d-" % (len(whole) - 3), whole[-3:])]:
            part = httpd.get(path, dict(headers, Range=said))
            assert part.status == 206 and part.body == piece
        several = httpd.get(path, dict(headers, Range="bytes=70000-70009,"
                                       "10-19,150000-150009"))
        assert several.status == 206
        places = [several.body.index(whole[at:at + 10])
                  for at in (70000, 10, 150000)]
        assert places == sorted(places)
        beyond = httpd.get(path, dict(headers,
                                      Range="bytes=%d-" % len(whole)))
        assert beyond.status == 416
    # Within the plain form, beyond the coded one.
    said = {"Range": "bytes=%d-" % (len(body) - 1)}
    assert httpd.get(path, said).status == 206
    assert httpd.get(path, dict(GZ, **said)).status == 416


@pytest.mark.http2
@pytest.mark.parametrize("tls", [True, False])
def test_storing_122_large_bodies_over_http2(httpd, backend, path, tls):
    body = lines(3000 * KB)
    backend.on(path, answer(200, dict(FRESH, **TEXT), body))
    stored(httpd, backend, path, tls=tls)
    response = httpd.curl(path, "-H", "Host: localhost", tls=tls)
    assert response.version == "HTTP/2" and response.hit
    assert response.body == body and "Content-Encoding" not in response
    part = httpd.curl(path, "-H", "Host: localhost", "-r",
                      "1000000-2999999", tls=tls)
    assert part.status == 206 and part.body == body[1000000:3000000]


def test_storing_130_levels(httpd, backend, path):
    body = lines(100000)
    lengths = {}
    for route in ("", "/fast", "/best"):
        backend.on(route + path, answer(200, dict(FRESH, **TEXT), body))
        stored(httpd, backend, route + path)
        assert kept(httpd, route + path, body) == "gzip"
        lengths[route] = len(httpd.get(route + path, GZ).body)
    assert lengths["/best"] <= lengths[""] < lengths["/fast"]
    backend.on("/off" + path, answer(200, dict(FRESH, **TEXT), body))
    assert "Vary" not in stored(httpd, backend, "/off" + path)
    assert kept(httpd, "/off" + path, body) is None


@pytest.mark.parametrize("send", ["length", "chunked"])
def test_storing_140_the_limit_is_of_the_backends_bytes(httpd, backend, path,
                                                        send):
    for size, is_stored in ((10000, True), (10001, False)):
        target = "/small%s-%d" % (path, size)
        body = lines(size)
        fields = dict(FRESH, **TEXT)
        backend.on(target, answer(200, fields, body) if send == "length"
                   else chunked(fields, body))
        assert stored(httpd, backend, target).body == body
        assert httpd.get(target, GZ).hit == is_stored


@pytest.mark.parametrize("cut", [500, 200 * KB, 500 * KB])
def test_storing_150_a_body_that_is_cut_is_not_stored(httpd, backend, path,
                                                      cut):
    body = lines(600 * KB)

    def broken(exchange):
        exchange.head(200, dict(FRESH, **TEXT, **{
            "Content-Length": str(len(body))}))
        exchange.send(body[:cut])
        exchange.cut()
    backend.on(path, broken)
    with httpd.connect() as connection:
        with pytest.raises(Truncated):
            connection.get(path, GZ)
    httpd.log.claim("prematurely|AH01102|AH01110|AH02429|AH00574")
    backend.on(path, answer(200, dict(FRESH, **TEXT), body))
    second = stored(httpd, backend, path, GZ)
    assert not second.hit and second.body == body
    assert kept(httpd, path, body) == "gzip"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_storing_160_vary_is_there_before_anything_is_stored(httpd, backend,
                                                             path, method):
    backend.on(path, answer(200, dict(FRESH, **TEXT), lines(5000)))
    response = httpd.request(method, path, dict(GZ))
    assert response.get("Vary") == "Accept-Encoding"


def test_storing_161_a_part_that_missed_says_vary_as_well(httpd, backend,
                                                          path):
    backend.on(path, answer(206, dict(TEXT, **{
        "Content-Range": "bytes 0-4/5000", "ETag": '"v1"'}), lines(5)))
    part = httpd.get(path, {"Range": "bytes=0-4"})
    assert (part.status, part.get("Vary")) == (206, "Accept-Encoding")


def test_storing_170_what_may_not_be_stored_is_left_alone(httpd, backend,
                                                          path):
    backend.on(path, answer(200, dict(TEXT, **{"Cache-Control": "no-store"}),
                            lines(5000)))
    response = httpd.get(path, GZ)
    assert "Vary" not in response and "Content-Encoding" not in response
