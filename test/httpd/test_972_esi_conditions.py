# SPDX-License-Identifier: Apache-2.0
"""mod_etag_composite: tags of pages with Edge Side Includes, and what clients
ask for with them."""
import pytest

from harness.backend import answer, counting
from harness.httpd import mpm

pytestmark = pytest.mark.skipif(mpm() == "prefork", reason="needs threads")

CONFIG = """
<Location "/">
    ETagCompositeESI On
    ETagCompositeESIAllow /frag /kept
</Location>
<Location "/frag/">
    ETagCompositeESI Off
</Location>
<Location "/page/">
    ProxyPass "http://@BACKEND@/page/" connectiontimeout=5 timeout=30 retry=0
</Location>
<Location "/cached/">
    ETagCache On
    ProxyPass "http://@BACKEND@/cached/" connectiontimeout=5 timeout=30 retry=0
</Location>
<Location "/frag/">
    ProxyPass "http://@BACKEND@/frag/" connectiontimeout=5 timeout=30 retry=0
</Location>
<Location "/kept/">
    ETagCache On
    ProxyPass "http://@BACKEND@/kept/" connectiontimeout=5 timeout=30 retry=0
</Location>
<Location "/public/">
    ETagCompositeForward Accept-Language
    ProxyPass "http://@BACKEND@/public/" connectiontimeout=5 timeout=30 retry=0
</Location>
<Location "/">
    SetOutputFilter DEFLATE
</Location>
"""

ESI = {"Content-Type": "text/html", "Surrogate-Control": 'content="ESI/1.0"'}
HOUR = {"Cache-Control": "max-age=3600"}
OLD = "Mon, 01 Jan 2024 00:00:00 GMT"
WHERE = ("/page", "/cached")


def page(text, etag='"p"', headers=HOUR):
    return answer(200, dict(ESI, ETag=etag, **dict(headers)), text)


def frag(text, etag='"f"', headers=HOUR):
    return answer(200, dict({"Content-Type": "text/html"}, ETag=etag,
                            **dict(headers)), text)


def include(src, more=""):
    return '<esi:include src="%s"%s/>' % (src, more)


def hold(httpd, target, got, **more):
    return httpd.get(target, dict({"If-None-Match": got.get("ETag")},
                                  **more))


@pytest.fixture(params=WHERE)
def both(request, backend, path, httpd):
    """A page with a fragment that is kept; each by itself and cached."""
    name = "/kept" + path
    backend.on(request.param + path, page("<p>" + include(name) + "</p>"))
    backend.on(name, frag("F"))
    httpd.request("PURGE", name)
    httpd.request("PURGE", "/cached" + path)
    return request.param + path, name


# Tags

def test_a_client_that_holds_the_page_is_told_304(httpd, backend, both):
    target, fragment = both
    got = httpd.get(target)
    assert got.status == 200 and got.body == b"<p>F</p>"
    again = hold(httpd, target, got)
    assert again.status == 304 and again.body == b""
    assert again.get("ETag") == got.get("ETag")
    assert again.get("Cache-Control") == got.get("Cache-Control")
    assert again.get("Vary") == got.get("Vary")
    assert "Content-Length" not in again
    assert backend.hits(fragment) == 1


def test_the_tag_moves_with_a_fragment(httpd, backend, both):
    target, fragment = both
    got = httpd.get(target)
    httpd.request("PURGE", fragment)
    backend.on(fragment, frag("G", '"g"'))
    again = hold(httpd, target, got)
    assert again.status == 200 and again.body == b"<p>G</p>"
    assert again.get("ETag") != got.get("ETag")
    if target.startswith("/cached"):
        assert backend.hits(target) == 1


def test_the_tag_moves_with_the_page(httpd, backend, both):
    target, fragment = both
    got = httpd.get(target)
    httpd.request("PURGE", target)
    backend.on(target, page("<b>" + include(fragment) + "</b>", '"q"'))
    again = hold(httpd, target, got)
    assert again.status == 200 and again.body == b"<b>F</b>"
    assert again.get("ETag") != got.get("ETag")


def test_the_tag_of_the_page_alone_is_nobodys(httpd, both):
    target, _ = both
    got = httpd.get(target, {"If-None-Match": '"p"'})
    assert got.status == 200 and got.body == b"<p>F</p>"


def test_a_fragment_of_a_fragment_moves_it(httpd, backend, path):
    backend.on("/page" + path, page(include("/kept/outer" + path)))
    backend.on("/kept/outer" + path, page(include("/frag/inner"), '"o"'))
    backend.on("/frag/inner", frag("1", '"1"', {}))
    got = httpd.get("/page" + path)
    assert hold(httpd, "/page" + path, got).status == 304
    backend.on("/frag/inner", frag("2", '"2"', {}))
    again = hold(httpd, "/page" + path, got)
    assert again.status == 200 and again.body == b"2"
    assert again.get("ETag") != got.get("ETag")


def test_without_tags_bodies_count(httpd, backend, path):
    backend.on("/page" + path, page("a" + include("/frag/b"), None, {}))
    backend.on("/frag/b", frag("b", None, {}))
    got = httpd.get("/page" + path)
    assert got.get("ETag").startswith('"')
    assert hold(httpd, "/page" + path, got).status == 304
    backend.on("/page" + path, page("c" + include("/frag/b"), None, {}))
    assert hold(httpd, "/page" + path, got).body == b"cb"
    backend.on("/frag/b", frag("d", None, {}))
    assert hold(httpd, "/page" + path, got).body == b"cd"


def test_a_weak_one_makes_all_weak(httpd, backend, path):
    backend.on("/page" + path, page("a" + include("/frag/b"), 'W/"p"', {}))
    backend.on("/frag/b", frag("b", '"b"', {}))
    got = httpd.get("/page" + path)
    assert got.get("ETag").startswith('W/"')
    assert hold(httpd, "/page" + path, got).status == 304


def test_equal_tags_of_other_fragments_are_another_page(httpd, backend,
                                                        path):
    backend.on("/frag/x", frag("x", '"same"'))
    backend.on("/frag/y", frag("y", '"same"'))
    backend.on("/page" + path, page(include("/frag/x"), '"same"'))
    one = httpd.get("/page" + path)
    backend.on("/page" + path, page(include("/frag/y"), '"same"'))
    other = httpd.get("/page" + path)
    assert one.get("ETag") != other.get("ETag")


# Preconditions and ranges

def test_a_date_alone_gives_no_304(httpd, backend, path):
    fields = dict(HOUR, **{"Last-Modified": OLD})
    backend.on("/page" + path, page(include("/frag/d"), '"p"', fields))
    backend.on("/frag/d", frag("d", '"d"', fields))
    got = httpd.get("/page" + path, {"If-Modified-Since": OLD})
    assert got.status == 200 and got.body == b"d"
    assert got.get("Last-Modified") == OLD


def test_if_match_of_another_tag_is_412(httpd, both):
    target, _ = both
    got = httpd.get(target, {"If-Match": '"p"'})
    assert got.status == 412
    assert httpd.get(target, {"If-Match": httpd.get(target).get(
        "ETag")}).status == 200


def test_ranges_are_of_the_whole(httpd, both):
    target, _ = both
    whole = httpd.get(target)
    got = httpd.get(target, {"Range": "bytes=3-3"})
    assert got.status == 206 and got.body == b"F"
    assert got.get("Content-Range") == "bytes 3-3/8"
    assert got.get("ETag") == whole.get("ETag")
    for condition, status in ((whole.get("ETag"), 206), ('"p"', 200),
                              (OLD, 200)):
        got = httpd.get(target, {"Range": "bytes=3-3",
                                 "If-Range": condition})
        assert got.status == status, condition


def test_head_is_never_304(httpd, both):
    target, _ = both
    got = httpd.get(target)
    head = httpd.head(target, {"If-None-Match": got.get("ETag")})
    assert head.status == 200 and "ETag" not in head


# Pages without ESI beside them

@pytest.fixture(params=WHERE)
def plain(request, backend, path):
    backend.on(request.param + path, answer(200, {
        "Content-Type": "text/html", "ETag": '"own"', "Last-Modified": OLD,
        "Cache-Control": "max-age=3600"}, "plain"))
    return request.param + path


@pytest.mark.parametrize("fields, status", [
    ({"If-None-Match": '"own"'}, 304),
    ({"If-None-Match": 'W/"own"'}, 304),
    ({"If-None-Match": '"other"'}, 200),
    ({"If-Modified-Since": OLD}, 304),
    ({"If-None-Match": '"other"', "If-Modified-Since": OLD}, 200),
    ({"If-Match": '"own"'}, 200),
    ({"If-Match": '"other"'}, 412),
    ({"If-Unmodified-Since": OLD}, 200),
    ({"If-Unmodified-Since": "Sun, 01 Jan 2023 00:00:00 GMT"}, 412),
    ({"Range": "bytes=1-2"}, 206),
    ({"Range": "bytes=1-2", "If-Range": '"own"'}, 206),
    ({"Range": "bytes=1-2", "If-Range": '"other"'}, 200),
])
def test_their_preconditions_hold_by_their_own_tags(httpd, plain, fields,
                                                    status):
    for _ in range(2):               # from the backend, and from the cache
        got = httpd.get(plain, fields)
        if status == 206 and not got.hit and got.status == 200:
            continue                 # core: it did not come in one piece
        assert got.status == status, got
        if status in (200, 304):
            assert got.get("ETag") == '"own"'
        assert got.body == {200: b"plain", 206: b"la"}.get(status, b"") \
            or status == 412
        head = httpd.head(plain, fields)
        assert head.status == status or status == 206
        assert head.body == b""


# Whose

def test_two_users_have_two_tags(httpd, backend, path):
    def mine(exchange):
        exchange.respond(200, {"Vary": "Cookie", "Cache-Control": "private",
                               "ETag": '"same"'},
                         exchange.request.get("Cookie", "").encode())
    backend.on("/page" + path, page("for " + include("/frag/mine")))
    backend.on("/frag/mine", mine)
    one = httpd.get("/page" + path, {"Cookie": "u=1"})
    other = httpd.get("/page" + path, {"Cookie": "u=2"})
    assert one.body == b"for u=1" and other.body == b"for u=2"
    assert one.get("ETag") != other.get("ETag")
    for got in (one, other):
        assert "private" in got.get("Cache-Control")
        assert "Cookie" in got.get("Vary")
    assert hold(httpd, "/page" + path, one, Cookie="u=1").status == 304
    assert hold(httpd, "/page" + path, one, Cookie="u=2").status == 200


def test_without_credentials_forwarded_it_stays_public(httpd, backend, path):
    backend.on("/public" + path, page("x" + include("/frag/all")))
    backend.on("/frag/all", frag("y"))
    got = httpd.get("/public" + path, {"Cookie": "u=1"})
    assert "private" not in got.get("Cache-Control")
    assert "Cookie" not in backend.requests("/frag/all")[-1]
    other = httpd.get("/public" + path, {"Cookie": "u=2"})
    assert other.get("ETag") == got.get("ETag")


def test_a_page_without_fragments_is_as_public_as_it_says(httpd, backend,
                                                          path):
    backend.on("/page" + path, page('<esi:comment text="x"/>y', '"p"', {
        "Cache-Control": "public, max-age=60"}))
    got = httpd.get("/page" + path, {"Cookie": "u=1"})
    assert got.body == b"y"
    assert "private" not in got.get("Cache-Control")
    assert got.get("ETag") not in (None, '"p"')
