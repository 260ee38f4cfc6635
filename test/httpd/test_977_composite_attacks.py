# SPDX-License-Identifier: Apache-2.0
"""mod_etag_composite under odd and hostile clients and backends: no 304 for
what the tag was not made of, and no hole where a composite stands."""
import os

import pytest

from harness.backend import answer, counting, validating
from harness.httpd import mpm
from harness.net import poll

MODULES = ["etag_composite"]
CONFIG = """
<Location "/part/">
    ProxyPass "http://@BACKEND@/part/" retry=0
</Location>
<Location "/frag/">
    ProxyPass "http://@BACKEND@/frag/" retry=0
</Location>
<Location "/frag/loop">
    ProxyPass "http://127.0.0.1:@PORT@/esi/loop" retry=0
</Location>
<Location "/esi/">
    @ESI@
    ETagCompositeESIAllow /frag
    ProxyPass "http://@BACKEND@/esi/" retry=0
</Location>
<LocationMatch "^/(one|kept)$">
    SetHandler etag-composite
    ETagCompositePart a "/part/a"
</LocationMatch>
<Location "/kept">
    ETagCache On
</Location>
<Location "/loop">
    SetHandler etag-composite
    ETagCompositePart a "/back/loop"
</Location>
<Location "/back/">
    ProxyPass "http://127.0.0.1:@PORT@/" retry=0
</Location>
<Location "/gone/">
    ErrorDocument 404 /one
    ErrorDocument 410 /kept
</Location>
<Directory "@DOCROOT@">
    Options +Includes
    AddType text/html .shtml
    AddOutputFilter INCLUDES .shtml
    RewriteEngine On
    RewriteRule "^gone/for-good$" - [G]
</Directory>
CustomLog "@ROOT@/loop.log" "%U %>s -" "expr=%{REQUEST_URI} == '/loop'"
""".replace("@ESI@", "" if mpm() == "prefork" else "ETagCompositeESI On")
ESI = {"Content-Type": "text/html", "Surrogate-Control": 'content="ESI/1.0"'}
MINUTE = {"Cache-Control": "max-age=60"}
BODY = b'{"a":[1]}'


def prepare(httpd):
    httpd.file("page.shtml", '<!--#include virtual="/one" -->|'
                             '<!--#include virtual="/kept" -->')


@pytest.fixture
def tag(httpd, backend):
    """Of /one and of /kept, whose part says 304 to whoever has it."""
    backend.on("/part/a", validating(MINUTE, '"a"', b"[1]"))
    return httpd.get("/one").get("ETag")


def conditions(tag):
    return [{"If-None-Match": tag}, {"If-None-Match": "*"},
            {"If-Match": '"x"'}, {"Range": "bytes=0-1"}]


@pytest.mark.parametrize("target, status", [("/gone/x", 404),
                                            ("/gone/for-good", 410)])
def test_an_error_stays_one_whose_document_the_client_has(
        httpd, tag, target, status):
    for fields in conditions(tag):
        got = httpd.get(target, fields)
        assert got.status == status and got.body == BODY, fields


def test_an_included_composite_is_there_whatever_the_client_has(httpd, tag):
    for fields in conditions(tag)[:3]:
        got = httpd.get("/page.shtml", fields)
        assert got.status == 200, fields
        assert got.body == BODY + b"|" + BODY, fields


@pytest.mark.parametrize("status", [206, 226])
def test_a_piece_is_no_part_even_with_the_tag_of_the_whole(httpd, backend,
                                                           tag, status):
    backend.on("/part/a", answer(status, dict(
        MINUTE, ETag='"a"', **{"Content-Range": "bytes 0-1/9"}), b"22"))
    for fields in ({}, {"If-None-Match": tag}):
        got = httpd.get("/one", fields)
        assert got.status == 502 and got.get("Cache-Control") == "no-store"


@pytest.mark.skipif(mpm() == "prefork", reason="needs threads")
def test_a_piece_is_no_fragment(httpd, backend, path):
    backend.on("/esi" + path, answer(200, ESI, '<esi:include src="/frag/x" '
                                               'onerror="continue"/>.'))
    backend.on("/frag/x", answer(206, {
        "ETag": '"x"', "Content-Range": "bytes 0-1/9"}, b"22"))
    got = httpd.get("/esi" + path)
    assert got.body == b"." and "ETag" not in got


# What few bytes can cost

@pytest.mark.skipif(mpm() == "prefork", reason="needs threads")
def test_names_of_many_quotes_take_no_more_than_they_are_long(make_httpd,
                                                              backend):
    """A page of half a megabyte."""
    httpd = make_httpd(CONFIG)
    backend.on("/esi/quotes", answer(200, ESI, "".join(
        "<esi:include src='/frag/%d%s' onerror='continue'/>" % (n, '"' * 4000)
        for n in range(128))))
    assert httpd.get("/esi/quotes").status == 200
    # A sanitizer has memory of its own.
    most = 200 if "ETG_HTTPD_PRELOAD" not in os.environ else 2000
    assert all(highest(pid) < most for pid in httpd.children())


@pytest.mark.skipif(mpm() == "prefork", reason="needs threads")
def test_a_fragment_in_thousands_of_places_makes_no_gigabytes(httpd,
                                                              backend, path):
    backend.on("/esi" + path, answer(200, ESI, '<esi:include src="/frag/m"/>'
                                     * 4000))
    backend.on("/frag/m", answer(200, {}, b"m" * 1000000))
    got = httpd.get("/esi" + path)
    assert got.status == 502
    assert b"too many places" in got.body


def highest(pid):
    """The most memory it has held, in MB."""
    with open("/proc/%d/status" % pid) as status:
        return [int(line.split()[1]) // 1024 for line in status
                if line.startswith("VmHWM:")][0]


def test_an_empty_host_is_as_none(httpd, tag):
    with httpd.connect() as client:
        client.send(b"GET /one HTTP/1.0\r\nHost: \r\n\r\n")
        got = client.read_response()
    assert got.status == 200 and got.body == BODY


# Parts that lead back to their composite

def test_a_loop_through_a_proxy_ends(httpd):
    got = httpd.get("/loop")
    assert got.status == 502, got
    assert b"it was answered 502" in got.body
    log = httpd.root / "loop.log"
    poll(lambda: len(log.read_text().splitlines()) == 4, "its four turns")
    # Several children may write them.
    assert sorted(log.read_text().split()[1::3]) \
        == ["502", "502", "502", "508"]


def test_three_composites_in_a_row_are_none(httpd, backend, tag):
    for turns, status in ((2, 200), (3, 508)):
        got = httpd.get("/one", {"CDN-Loop": "a, %s" % ", ".join(
            ["etagere"] * turns)})
        assert got.status == status
    assert backend.requests("/part/a")[-1].get("CDN-Loop") \
        == "a, etagere, etagere, etagere"


# Whose it is

def test_what_sets_a_cookie_is_kept_for_nobody_else(httpd, backend):
    backend.on("/part/a", counting(dict(MINUTE, **{
        "Set-Cookie": "session=1"}), prefix=""))
    got = httpd.get("/kept")
    assert got.get("Cache-Control") == "private, max-age=60"
    assert got.body == b'{"a":1}'
    assert httpd.get("/kept").body == b'{"a":2}'


def test_of_two_tags_none_is_the_part_s(httpd, backend):
    def part(body):
        return answer(200, [("ETag", '"a"'), ("ETag", '"b"')], body)
    backend.on("/part/a", part(b"1"))
    first = httpd.get("/one").get("ETag")
    backend.on("/part/a", part(b"2"))
    assert httpd.get("/one", {"If-None-Match": first}).status == 200


# Pages that a client would have raw

@pytest.mark.skipif(mpm() == "prefork", reason="needs threads")
@pytest.mark.parametrize("fields", [
    {"X-HTTP-Method-Override": "GET"}, {"Content-Length": "1"},
    {"Surrogate-Capability": 'xetagere="ESI/1.0"'},
    {"Surrogate-Control": "no-store-remote"}])
def test_no_field_keeps_a_page_from_being_put_together(httpd, backend, path,
                                                       fields):
    backend.on("/esi" + path, answer(200, dict(ESI, ETag='"raw"'),
                                     '<esi:include src="/frag/x"/>.'))
    backend.on("/frag/x", answer(200, {}, "x"))
    with httpd.connect() as client:
        client.send_request("GET", "/esi" + path, fields)
        client.send(b"1" if "Content-Length" in fields else b"")
        got = client.read_response()
    assert got.body == b"x." and got.get("ETag") != '"raw"'
    assert 'etagere="ESI/1.0"' in [word.strip() for word in backend.requests(
        "/esi" + path)[-1].get("Surrogate-Capability").split(",")]


@pytest.mark.skipif(mpm() == "prefork", reason="needs threads")
def test_preconditions_of_another_method_are_the_backend_s(httpd, backend,
                                                           path):
    backend.on("/esi" + path, answer(200, {"ETag": '"new"'}, "done"))
    got = httpd.get("/esi" + path, {"X-HTTP-Method-Override": "PUT",
                                    "If-Match": '"old"'})
    assert got.status == 200 and got.body == b"done"
    assert backend.requests("/esi" + path)[-1].get("If-Match") == '"old"'


@pytest.mark.skipif(mpm() == "prefork", reason="needs threads")
def test_a_page_in_a_loop_keeps_its_includes(httpd, backend):
    text = '<esi:include src="/frag/loop"/>'
    backend.on("/esi/loop", answer(200, ESI, "." + text))
    got = httpd.get("/esi/loop")
    assert got.status == 200
    assert got.body == b"...." + text.encode()
