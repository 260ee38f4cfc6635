# SPDX-License-Identifier: Apache-2.0
"""Bad input from both sides: an answer as without the cache, nothing stored
that should not be."""
import pytest

from conftest import PROXY
from harness.backend import answer, counting
from harness.steps import FRESH, stored

CONFIG = PROXY + """
ETagCache On
LimitRequestLine 65536
LimitRequestFieldSize 131072
ProxyIOBufferSize 131072
<Location "/many/">
    ETagCacheMaxVariants 1000
</Location>
"""

GARBAGE = [
    "max-age", "max-age=", "max-age=-5", "max-age=1.5", "=,=,=", ",,,,",
    "max-age=60=60", "\"", "max-age=\"60", "private=\"", "no-cache=\"",
    "max-age=60;public", "max-age 60", "a" * 8000, "x=\"\\\"\\", "\x80\xff",
    "no-store\x0b", "max-age=0x10", "max-age=1e9",
    ", ".join("a%d=%d" % (number, number) for number in range(600)),
]


@pytest.mark.parametrize("value", GARBAGE,
                         ids=[str(index) for index in range(len(GARBAGE))])
def test_malformed_100_cache_control(httpd, backend, path, value):
    httpd.log.claim(r"\[proxy")
    backend.on(path, counting({"Cache-Control": value}))
    for _ in range(2):
        response = stored(httpd, backend, path)
        assert response.status == 200 and b"answer" in response.body


@pytest.mark.parametrize("field", ["Date", "Expires", "Last-Modified", "Age",
                                   "ETag", "Vary", "Content-Language"])
@pytest.mark.parametrize("value", ["", "garbage", "-1", "99999999999999999999",
                                   "Mon, 99 Abc 2020 99:99:99 GMT", '"',
                                   "\x80\xff", "a, b, c"])
def test_malformed_110_response_fields(httpd, backend, path, field, value):
    backend.on(path, counting(dict(FRESH, **{field: value})))
    for _ in range(2):
        response = stored(httpd, backend, path)
        assert response.status == 200 and b"answer" in response.body


ODD_REQUESTS = [
    ("If-None-Match", '"'), ("If-None-Match", "a" * 60000),
    ("If-None-Match", ", ".join('"%d"' % n for n in range(5000))),
    ("If-Modified-Since", "yesterday"), ("If-Range", "W/"),
    ("Range", "bytes=" + ",".join("0-%d" % n for n in range(3000))),
    ("Range", "bytes=" + "9" * 5000 + "-"), ("Range", "bytes"),
    ("Cache-Control", "max-age=" + "9" * 5000),
    ("Cache-Control", 'only-if-cached="'), ("Cookie", ";" * 5000),
    ("Cookie", "=;=;a"), ("Accept-Language", "," * 5000),
    ("Accept-Encoding", "gzip;q=" + "1" * 5000), ("Host", "LOCALHOST:"),
    ("Connection", ",".join("x%d" % n for n in range(2000))),
    ("X-Forwarded-Host", "a" * 60000), ("Authorization", "")]


@pytest.mark.parametrize("field,value", ODD_REQUESTS,
                         ids=["%s-%d" % (field, len(value))
                              for field, value in ODD_REQUESTS])
def test_malformed_120_request_fields(httpd, backend, path, field, value):
    backend.on(path, answer(200, dict(FRESH, ETag='"v"', **{
        "Last-Modified": "Sun, 09 Sep 2001 01:46:40 GMT"}), b"0123456789"))
    stored(httpd, backend, path)
    response = httpd.get(path, {field: value})
    assert response.status in (200, 206, 304, 400, 416), response.status
    assert httpd.get(path).body == b"0123456789"


def test_malformed_130_long_header_values(httpd, backend, path):
    value = "v" * 65000
    backend.on(path, counting(dict(FRESH, **{"X-Long": value})))
    httpd.log.claim(r"\[proxy")
    for _ in range(2):
        response = stored(httpd, backend, path)
        assert response.status in (200, 502)
        if response.status == 200:
            assert response.get("X-Long") == value
    backend.on(path + "-r", counting(dict(FRESH, Vary="X-Long")))
    for number in range(2):
        response = stored(httpd, backend, path + "-r",
                          {"X-Long": value + str(number)})
        assert response.body == b"answer %d" % (number + 1)
    assert httpd.get(path + "-r", {"X-Long": value + "0"}).body == b"answer 1"


def test_malformed_131_many_header_fields(httpd, backend, path):
    fields = [("Cache-Control", "max-age=60")]
    fields += [("X-%d" % number, "v" * 50) for number in range(90)]
    backend.on(path, counting(fields))
    first = stored(httpd, backend, path)
    second = httpd.get(path)
    assert first.status == second.status == 200
    for number in range(90):
        assert second.get("X-%d" % number) == "v" * 50


@pytest.mark.parametrize("length", [8000, 16000, 40000])
def test_malformed_132_long_urls(httpd, backend, path, length):
    backend.on(path, counting(FRESH))
    one, other = (path + "?" + "a" * length + end for end in "bc")
    assert stored(httpd, backend, one).body == b"answer 1"
    assert stored(httpd, backend, other).body == b"answer 2"
    response = httpd.get(one)
    assert response.body in (b"answer 1", b"answer 3")
    if length <= 8000:
        assert response.hit
    assert httpd.get(other).body != response.body


def test_malformed_133_a_thousand_variants(httpd, backend, path):
    def varying(exchange):
        exchange.respond(200, dict(FRESH, Vary="X-A"),
                         exchange.request.get("X-A").encode())
    for target in (path, "/many" + path):
        backend.on(target, varying)
        with httpd.connect() as connection:
            for number in list(range(1000)) + [0, 1, 998, 999]:
                value = "value-%d" % number
                assert connection.get(target, {"X-A": value}).text == value


def test_malformed_134_vary_names_many_fields(httpd, backend, path):
    names = ", ".join("X-%d" % number for number in range(500))
    backend.on(path, counting(dict(FRESH, Vary=names)))
    stored(httpd, backend, path, {"X-7": "a"})
    assert not httpd.get(path, {"X-7": "b"}).hit


@pytest.mark.parametrize("target", [
    "/%00", "/%2e%2e/", "/a%0d%0ab", "/\x80\xff", "/a b", "*", "/?%", "/%"])
def test_malformed_140_odd_targets(httpd, backend, target):
    backend.otherwise(counting(FRESH))
    httpd.log.claim("AH|core|proxy")
    try:
        for _ in range(2):
            response = httpd.get(target)
            assert response.status in (200, 400, 403, 404)
    finally:
        backend.otherwise(None)


def test_malformed_141_no_host_at_all(httpd, backend, path):
    backend.on(path, counting(FRESH))
    for _ in range(2):
        response = httpd.get(path, version="HTTP/1.0", host=None)
        assert response.status == 200


def test_malformed_142_repeated_fields_that_should_be_single(httpd, backend,
                                                            path):
    backend.on(path, counting([
        ("Cache-Control", "max-age=60"), ("ETag", '"a"'), ("ETag", '"b"'),
        ("Age", "1"), ("Age", "2"), ("Date", "x"),
        ("Expires", "0"), ("Expires", "1")]))
    for _ in range(3):
        assert httpd.get(path).status == 200


def test_malformed_143_two_content_lengths(httpd, backend, path):
    httpd.log.claim(r"\[proxy|AH0")

    def two(exchange):
        exchange.head(200, [("Cache-Control", "max-age=60"),
                            ("Content-Length", "4"),
                            ("Content-Length", "8")])
        exchange.send(b"bodybody")
        exchange.cut()
    backend.on(path, two)
    for _ in range(2):
        with httpd.connect() as connection:
            try:
                assert connection.get(path).status in (200, 502)
            except ValueError:
                pass                # both lengths are passed on as they are
    backend.on(path, answer(200, FRESH, b"whole"))
    assert httpd.get(path).body in (b"whole", b"body")


def test_malformed_144_control_bytes_in_a_response_field(httpd, backend,
                                                        path):
    httpd.log.claim(r"\[proxy|AH0|\[core|\[http")

    def odd(exchange):
        exchange.send(b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\n"
                      b"X-Odd: a\x01b\r\nNo colon here\r\n: no name\r\n"
                      b"Content-Length: 2\r\n\r\nok")
        exchange.keep = False
    backend.on(path, odd)
    for _ in range(2):
        assert httpd.get(path).status in (200, 500, 502)
