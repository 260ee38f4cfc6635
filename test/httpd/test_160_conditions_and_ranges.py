# SPDX-License-Identifier: Apache-2.0
"""Conditional and range requests on hits. The judge is httpd itself: the same
file is served at /plain/ without the cache and at /cached/ with it, and the
two answers must be alike."""
import re

import pytest

from harness.backend import answer, http_date
from harness.steps import FRESH, hit, stored

CONFIG = """
Alias "/plain/" "@DOCROOT@/"
Alias "/cached/" "@DOCROOT@/"
<Directory "@DOCROOT@">
    Header set Cache-Control max-age=60
</Directory>
<Location "/cached/">
    ETagCache On
</Location>
<Location "/proxied/">
    ETagCache On
</Location>
ProxyPass "/proxied/" "http://@BACKEND@/proxied/"
"""

BODY = bytes(index % 251 for index in range(10000))
WRITTEN = 1000000000


@pytest.fixture(scope="module")
def twin(httpd):
    """The file in both places, stored in one; its validators."""
    httpd.file("twin.bin", BODY, mtime=WRITTEN)
    httpd.file("empty.bin", b"", mtime=WRITTEN)
    hit(httpd, "/cached/twin.bin")
    hit(httpd, "/cached/empty.bin")
    response = httpd.get("/plain/twin.bin")
    assert response.get("ETag").startswith('"')
    return {"TAG": response.get("ETag"), "DATE": http_date(WRITTEN),
            "BEFORE": http_date(WRITTEN - 100),
            "AFTER": http_date(WRITTEN + 100),
            "FUTURE": http_date(4000000000)}


CONDITIONS = [
    {},
    {"If-None-Match": "TAG"}, {"If-None-Match": '"x"'},
    {"If-None-Match": '"x", TAG'}, {"If-None-Match": '"x" ,\tTAG,"y"'},
    {"If-None-Match": "*"},
    {"If-None-Match": "W/TAG"},
    {"If-Modified-Since": "DATE"}, {"If-Modified-Since": "BEFORE"},
    {"If-Modified-Since": "AFTER"}, {"If-Modified-Since": "garbage"},
    {"If-None-Match": '"x"', "If-Modified-Since": "AFTER"},
    {"If-None-Match": "TAG", "If-Modified-Since": "DATE"},
    {"If-Match": "TAG"}, {"If-Match": '"x"'}, {"If-Match": "*"},
    {"If-Unmodified-Since": "DATE"}, {"If-Unmodified-Since": "BEFORE"},
    {"If-Unmodified-Since": "AFTER"},
    {"If-Match": "TAG", "If-None-Match": "TAG"},
]

RANGES = [
    {}, {"Range": "bytes=0-99"}, {"Range": "bytes=100-"},
    {"Range": "bytes=-100"}, {"Range": "bytes=0-0"},
    {"Range": "bytes=9999-"}, {"Range": "bytes=0-99999"},
    {"Range": "bytes=-99999"},
    {"Range": "bytes=10000-"}, {"Range": "bytes=99999-100000"},
    {"Range": "bytes=0-9,100-109"}, {"Range": "bytes=0-9,-10"},
    {"Range": "bytes=5-1"}, {"Range": "bytes=a-b"}, {"Range": "lines=1-2"},
    {"Range": "bytes="}, {"Range": "bytes=0-"}, {"Range": "bytes=-0"},
    {"Range": "bytes=0-99", "If-Range": "TAG"},
    {"Range": "bytes=0-99", "If-Range": '"x"'},
    {"Range": "bytes=0-99", "If-Range": "W/TAG"},
    {"Range": "bytes=0-99", "If-Range": "DATE"},
    {"Range": "bytes=0-99", "If-Range": "BEFORE"},
    {"Range": "bytes=0-99", "If-Range": "garbage"},
]


def with_values(headers, values):
    for word, value in values.items():
        headers = {key: text.replace(word, value)
                   for key, text in headers.items()}
    return headers


def essence(response):
    """What must be alike. The boundary of multipart answers is chance."""
    kind = response.get("Content-Type") or ""
    body = response.body
    match = re.search("boundary=(.+)", kind)
    if match:
        body = body.replace(match.group(1).encode(), b"BOUNDARY")
        kind = kind.replace(match.group(1), "BOUNDARY")
    found = {"status": response.status, "body": body}
    if response.status < 400:
        found["Content-Type"] = kind
        for name in ("ETag", "Last-Modified", "Content-Length",
                     "Content-Range", "Cache-Control", "Accept-Ranges"):
            found[name] = response.get(name)
        if match:
            del found["Content-Length"]
    else:
        found["body"] = b""
        found["Content-Range"] = response.get("Content-Range")
    return found


def may_differ(condition, wanted):
    """Where core does not do what RFC 9110 section 13.2.2 says: beside Range
    it compares If-None-Match strongly, and beside If-Range it does not look
    at it at all."""
    weak = condition.get("If-None-Match") == "W/TAG" and wanted
    return weak or ("If-Range" in wanted and (
        "If-None-Match" in condition or "If-Modified-Since" in condition))


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("name", ["twin.bin", "empty.bin"])
def test_conditions_100_hits_answer_as_the_file_would(httpd, twin, method,
                                                      name):
    wrong = []
    with httpd.connect() as connection:
        for condition in CONDITIONS:
            for wanted in RANGES:
                if may_differ(condition, wanted):
                    continue
                headers = with_values(dict(condition, **wanted), twin)
                # core slices answers to HEAD too; RFC 9110 section 14.2: a
                # Range is for GET alone
                plain = connection.request(
                    method, "/plain/" + name, headers if method == "GET"
                    else with_values(condition, twin))
                cached = connection.request(method, "/cached/" + name,
                                            headers)
                if essence(plain) != essence(cached):
                    wrong.append((condition, wanted, plain, cached))
    for condition, wanted, plain, cached in wrong[:5]:
        print(condition, wanted, "\n   plain ", plain, "\n   cached", cached)
    assert not wrong, "%d combinations" % len(wrong)


def test_conditions_101_hits_are_hits_under_conditions(httpd, twin):
    for headers in ({"If-None-Match": "TAG"}, {"If-Modified-Since": "DATE"},
                    {"Range": "bytes=0-9"}, {"Range": "bytes=0-9,20-29"},
                    {"If-None-Match": '"x"'}):
        response = httpd.get("/cached/twin.bin", with_values(headers, twin))
        assert response.hit, (headers, response)
        assert response.age is not None


@pytest.mark.parametrize("headers,status", [
    ({"Range": "bytes=99999-"}, 416), ({"If-Match": '"x"'}, 412)])
def test_conditions_107_refusals_say_where_they_come_from(httpd, twin,
                                                         headers, status):
    response = httpd.get("/cached/twin.bin", headers)
    assert response.status == status and response.hit


@pytest.mark.parametrize("headers", [
    {"If-None-Match": "W/TAG", "Range": "bytes=0-9"},
    {"If-None-Match": "TAG", "Range": "bytes=0-9", "If-Range": "TAG"},
    {"If-Modified-Since": "DATE", "Range": "bytes=0-9", "If-Range": "TAG"}])
def test_conditions_106_not_modified_comes_before_ranges(httpd, twin,
                                                        headers):
    response = httpd.get("/cached/twin.bin", with_values(headers, twin))
    assert response.status == 304 and response.hit


def test_conditions_102_if_none_match_decides_alone(httpd, twin):
    # (core answers 200 here when the handler is its own)
    response = httpd.get("/cached/twin.bin", {
        "If-None-Match": twin["TAG"], "If-Modified-Since": twin["BEFORE"]})
    assert response.status == 304 and response.hit


def test_conditions_103_a_304_carries_what_a_200_would(httpd, backend, path):
    path = "/proxied" + path
    backend.on(path, answer(200, {
        "Cache-Control": "max-age=61", "ETag": '"a"', "Vary": "X-A",
        "Content-Location": "/there", "Expires": http_date(2000000000)}))
    stored(httpd, backend, path)
    response = httpd.get(path, {"If-None-Match": '"a"'})
    assert response.status == 304 and response.hit
    assert response.get("ETag") == '"a"' and response.get("Vary") == "X-A"
    assert response.get("Content-Location") == "/there"
    for name in ("Date", "Expires", "Cache-Control", "Age"):
        assert name in response, name


def test_conditions_104_weak_tags_match_weakly(httpd, backend, path):
    path = "/proxied" + path
    backend.on(path, answer(200, dict(FRESH, ETag='W/"a"'), b"body"))
    stored(httpd, backend, path)
    for tag in ('W/"a"', '"a"', '"b", W/"a"', "*"):
        assert httpd.get(path, {"If-None-Match": tag}).status == 304, tag
    for tag in ('W/"b"', '"A"', "a", 'w/"a"'):
        assert httpd.get(path, {"If-None-Match": tag}).status == 200, tag
    response = httpd.get(path, {"Range": "bytes=0-1", "If-Range": 'W/"a"'})
    assert (response.status, response.body) == (200, b"body")


def test_conditions_105_errors_have_no_preconditions(httpd, backend, path):
    path = "/proxied" + path
    backend.on(path, answer(404, dict(FRESH, ETag='"a"'), b"not here"))
    stored(httpd, backend, path)
    response = httpd.get(path, {"If-None-Match": '"a"'})
    assert response.status == 404 and response.hit
    assert httpd.get(path, {"Range": "bytes=0-1"}).status == 404


def test_conditions_110_range_that_misses_is_forwarded(httpd, backend, path):
    path = "/proxied" + path
    backend.on(path, answer(206, dict(FRESH, **{
        "Content-Range": "bytes 0-3/100"}), b"part"))
    response = stored(httpd, backend, path, {"Range": "bytes=0-3"})
    assert (response.status, response.body) == (206, b"part")
    assert backend.requests(path)[0].get("Range") == "bytes=0-3"
    backend.on(path, answer(200, FRESH, b"whole"))
    assert httpd.get(path).body == b"whole"


def test_conditions_111_conditional_miss_stores_the_whole(httpd, backend,
                                                         path):
    path = "/proxied" + path
    backend.on(path, answer(200, dict(FRESH, ETag='"a"'), b"whole"))
    response = stored(httpd, backend, path, {"If-None-Match": '"a"'})
    assert response.status == 304 and response.body == b""
    assert "If-None-Match" not in backend.requests(path)[0]
    second = httpd.get(path)
    assert second.hit and second.body == b"whole"


def test_conditions_112_uncacheable_keys_pass_conditions_on(httpd, backend,
                                                           path):
    path = "/proxied" + path

    def handler(exchange):
        if exchange.request.get("If-None-Match") == '"a"':
            exchange.respond(304, {"ETag": '"a"'})
        else:
            exchange.respond(200, {"ETag": '"a"',
                                   "Cache-Control": "private"}, b"mine")
    backend.on(path, handler)
    stored(httpd, backend, path)
    response = httpd.get(path, {"If-None-Match": '"a"'})
    assert response.status == 304
    assert "If-None-Match" in backend.requests(path)[-1]
    assert "Range" not in backend.requests(path)[-1]


def test_conditions_113_range_on_a_large_stored_body(httpd, backend, path):
    path = "/proxied" + path
    body = bytes(index * 31 % 256 for index in range(1 << 20))
    backend.on(path, answer(200, FRESH, body))
    stored(httpd, backend, path)
    for first, last in ((0, 0), (65535, 65537), (500000, 1048575)):
        response = httpd.get(path, {"Range": "bytes=%d-%d" % (first, last)})
        assert response.status == 206 and response.hit
        assert response.body == body[first:last + 1]
        assert response.get("Content-Range") == "bytes %d-%d/1048576" % (
            first, last)


