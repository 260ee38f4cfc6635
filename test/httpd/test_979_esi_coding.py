# SPDX-License-Identifier: Apache-2.0
"""mod_etag_composite: pages with Edge Side Includes that come gzip-coded, from
their backend, from mod_deflate or from the cache."""
import gzip

import pytest

from harness.backend import answer, counting
from harness.httpd import mpm
from harness.net import poll

pytestmark = pytest.mark.skipif(mpm() == "prefork", reason="needs threads")

CONFIG = """
<Location "/">
    ETagCompositeESI On
    ETagCompositeESIAllow /frag /kept
</Location>
<Location "/page/">
    ProxyPass "http://@BACKEND@/page/" connectiontimeout=5 timeout=30 retry=0
</Location>
<Location "/short/">
    ETagCompositeMaxBytes 100K
    ProxyPass "http://@BACKEND@/short/" connectiontimeout=5 timeout=30 retry=0
</Location>
<LocationMatch "^/(cached|deflated)/">
    SetOutputFilter DEFLATE
</LocationMatch>
<Location "/cached/">
    ETagCache On
    ProxyPass "http://@BACKEND@/cached/" connectiontimeout=5 timeout=30 retry=0
</Location>
<Location "/deflated/">
    ProxyPass "http://@BACKEND@/deflated/" connectiontimeout=5 timeout=30 retry=0
</Location>
<Location "/frag/">
    ProxyPass "http://@BACKEND@/frag/" connectiontimeout=5 timeout=30 retry=0
</Location>
<Location "/kept/">
    ETagCache On
    ProxyPass "http://@BACKEND@/kept/" connectiontimeout=5 timeout=30 retry=0
</Location>
LogFormat "%U %>s %{etag-composite}n %{etag-composite-bytes}n" composite
CustomLog "@ROOT@/composite.log" composite "expr=-z note('etag-internal')"
"""

ESI = {"Content-Type": "text/html", "Surrogate-Control": 'content="ESI/1.0"',
       "Cache-Control": "max-age=3600"}
TEXT = "text " * 400
GZIP = {"Accept-Encoding": "gzip, br"}
CODED = dict(ESI, **{"Content-Encoding": "gzip", "ETag": '"p"'})


def include(name):
    return '<esi:include src="%s"/>' % name


def frag(text, etag='"f"'):
    return answer(200, {"ETag": etag, "Cache-Control": "max-age=3600"}, text)


def text_of(got):
    return gzip.decompress(got.body).decode() \
        if got.get("Content-Encoding") == "gzip" else got.body.decode()


def on(backend, kind, path):
    """A page with a fragment, coded as `kind` says."""
    target = "/%s%s" % (kind, path)
    name = "/kept" + path
    text = TEXT + include(name)
    backend.on(target, answer(200, CODED, gzip.compress(text.encode()))
               if kind == "page"
               else answer(200, dict(ESI, ETag='"p"'), text))
    backend.on(name, frag("A"))
    return target


@pytest.fixture(params=("page", "deflated", "cached"))
def target(request, httpd, backend, path):
    made = on(backend, request.param, path)
    if request.param == "cached":
        httpd.get(made)              # the next is what is kept of it
    return made


def test_what_came_coded_goes_out_coded(httpd, target):
    got = httpd.get(target, GZIP)
    assert got.get("Content-Encoding") == "gzip"
    assert text_of(got) == TEXT + "A"
    assert int(got.get("Content-Length")) == len(got.body)
    assert ";etg-gzip-" in got.get("ETag") or got.get("ETag").startswith("W/")
    assert "Accept-Encoding" in got.get("Vary")
    assert "Surrogate-Control" not in got


def test_who_takes_no_gzip_gets_it_plain(httpd, target):
    for fields in ({}, {"Accept-Encoding": "br"},
                   {"Accept-Encoding": "gzip;q=0"}):
        got = httpd.get(target, fields)
        assert "Content-Encoding" not in got
        assert got.body.decode() == TEXT + "A"


def test_a_tag_of_either_coding_holds_for_both(httpd, backend, target):
    plain = httpd.get(target)
    coded = httpd.get(target, GZIP)
    assert plain.get("ETag") != coded.get("ETag")
    for tag in plain.get("ETag"), coded.get("ETag"):
        for fields in {}, GZIP:
            got = httpd.get(target, dict(fields, **{"If-None-Match": tag}))
            assert got.status == 304, (tag, fields)
            assert "Content-Encoding" not in got
    name = "/kept" + target[target.index("/", 1):]
    backend.on(name, frag("B", '"f2"'))
    httpd.request("PURGE", name)
    for fields in {}, GZIP:
        got = httpd.get(target, dict(fields, **{
            "If-None-Match": coded.get("ETag")}))
        assert got.status == 200
        assert text_of(got) == TEXT + "B"


def test_if_match_is_for_the_very_bytes(httpd, target):
    plain = httpd.get(target)
    coded = httpd.get(target, GZIP)
    if coded.get("ETag").startswith("W/"):
        pytest.skip("a weak tag never matches strongly")
    for held, status in (coded, 200), (plain, 412):
        got = httpd.get(target, dict(GZIP, **{"If-Match": held.get("ETag")}))
        assert got.status == status
    assert httpd.get(target, {"If-Match": plain.get("ETag")}).status == 200


def test_a_head_says_the_coding(httpd, target):
    got = httpd.request("HEAD", target, GZIP)
    # mod_deflate leaves the head of a HEAD as it is.
    assert got.get("Content-Encoding") \
        == (None if target.startswith("/deflated") else "gzip")
    assert "ETag" not in got
    assert "Content-Encoding" not in httpd.request("HEAD", target)


def test_what_is_short_goes_out_plain(httpd, backend, path):
    backend.on("/page" + path, answer(200, CODED, gzip.compress(
        include("/frag/s").encode())))
    backend.on("/frag/s", frag("short"))
    got = httpd.get("/page" + path, GZIP)
    assert "Content-Encoding" not in got
    assert got.body == b"short"


@pytest.mark.parametrize("broken", ["damaged", "cut", "no gzip"])
def test_a_broken_coding_is_no_page(httpd, backend, path, broken):
    text = bytearray(gzip.compress((TEXT + include("/frag/b")).encode()))
    if broken == "damaged":
        text[-5] ^= 1
    elif broken == "cut":
        del text[-9:]
    else:
        text = b"<p>plain</p>"
    backend.on("/page" + path, answer(200, CODED, bytes(text)))
    backend.on("/frag/b", frag("B"))
    got = httpd.get("/page" + path, GZIP)
    assert got.status == 502
    assert got.get("Content-Type") == "application/problem+json"
    assert "Content-Encoding" not in got
    assert "ETag" not in got
    assert b"gzip" in got.body


def test_much_out_of_little_is_held_in_portions(httpd, backend, path):
    text = ("<p>" + "x" * 5000000 + include("/frag/m")).encode()
    backend.on("/short" + path, answer(200, CODED, gzip.compress(text)))
    backend.on("/frag/m", frag("M"))
    got = httpd.get("/short" + path, GZIP)
    assert "Content-Encoding" not in got
    assert "ETag" not in got
    assert got.get("Cache-Control") == "no-store"
    assert got.body == b"<p>" + b"x" * 5000000 + b"M"


def test_pages_without_a_tag_have_one_by_their_text(httpd, backend, path):
    fields = dict(CODED)
    del fields["ETag"]
    text = (TEXT + include("/kept" + path)).encode()
    backend.on("/kept" + path, frag("A"))
    tags = set()
    for level in 1, 9:
        backend.on("/page" + path, answer(200, fields, gzip.compress(
            text, level)))
        tags.add(httpd.get("/page" + path).get("ETag"))
        assert text_of(httpd.get("/page" + path, GZIP)) == TEXT + "A"
    assert len(tags) == 1 and None not in tags


def test_a_client_with_gzip_is_told_by_fields_alone(httpd, backend, path):
    target = on(backend, "cached", path)
    httpd.get(target)
    got = httpd.get(target, GZIP)
    assert got.get("Content-Encoding") == "gzip"
    assert httpd.get(target, dict(GZIP, **{
        "If-None-Match": got.get("ETag")})).status == 304
    log = httpd.root / "composite.log"
    poll(lambda: target + " 304 304 0" in log.read_text(), "the line")


# What has no ESI

def test_pages_without_esi_are_compressed_as_ever(httpd, backend, path):
    fields = {"Content-Type": "text/html", "Cache-Control": "max-age=3600",
              "ETag": '"own"'}
    for where in "/deflated", "/cached":
        backend.on(where + path, answer(200, fields, TEXT))
        assert text_of(httpd.get(where + path, GZIP)) == TEXT
        got = httpd.get(where + path, GZIP)
        assert got.get("Content-Encoding") == "gzip"
        assert text_of(got) == TEXT
        assert httpd.get(where + path, dict(GZIP, **{
            "If-None-Match": got.get("ETag")})).status == 304
    assert ";etg-gzip-" in got.get("ETag"), "what is kept goes out"
    assert backend.hits("/cached" + path) == 1


def test_a_backends_own_gzip_passes(httpd, backend, path):
    fields = dict(CODED)
    del fields["Surrogate-Control"]
    text = gzip.compress(TEXT.encode())
    backend.on("/page" + path, answer(200, fields, text))
    got = httpd.get("/page" + path, GZIP)
    assert got.body == text
    assert got.get("ETag") == '"p"'
    assert httpd.get("/page" + path, dict(GZIP, **{
        "If-None-Match": '"p"'})).status == 304
