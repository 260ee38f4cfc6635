# SPDX-License-Identifier: Apache-2.0
"""mod_etag_composite: pages with Edge Side Includes whose fragments fail, are
late or too long, and pages that break off."""
import json
import threading

import pytest

from harness.backend import answer
from harness.client import Connection, Truncated
from harness.httpd import mpm
from harness.net import poll

pytestmark = pytest.mark.skipif(mpm() == "prefork", reason="needs threads")

CONFIG = """
<Location "/esi/">
    ETagCompositeESI On
    ETagCompositeESIAllow /frag /guarded
    ProxyPass "http://@BACKEND@/esi/" connectiontimeout=5 timeout=30 retry=0
</Location>
<Location "/cached/">
    ETagCache On
    ETagCompositeESI On
    ETagCompositeESIAllow /frag
    ProxyPass "http://@BACKEND@/cached/" connectiontimeout=5 timeout=30 retry=0
</Location>
<Location "/short/">
    ETagCompositeESI On
    ETagCompositeESIAllow /frag
    ETagCompositeDeadline 600ms
    ProxyPass "http://@BACKEND@/short/" connectiontimeout=5 timeout=30 retry=0
</Location>
<Location "/small/">
    ETagCompositeESI On
    ETagCompositeESIAllow /frag
    ETagCompositeMaxBytes 2000
    ProxyPass "http://@BACKEND@/small/" connectiontimeout=5 timeout=30 retry=0
</Location>
<Location "/hasty/">
    ETagCompositeESI On
    ETagCompositeESIAllow /frag
    ETagCompositeMaxBytes 2000
    ETagCompositeDeadline 500ms
    ProxyPass "http://@BACKEND@/hasty/" connectiontimeout=5 timeout=30 retry=0
</Location>
<Location "/frag/">
    ProxyPass "http://@BACKEND@/frag/" connectiontimeout=5 timeout=30 retry=0
</Location>
<Location "/guarded/">
    Require all denied
    ProxyPass "http://@BACKEND@/guarded/" connectiontimeout=5 timeout=30 retry=0
</Location>
CustomLog "@ROOT@/composite.log" "%{etag-internal}n %U %>s %{etag-composite}n"
"""

ESI = {"Content-Type": "text/html", "Surrogate-Control": 'content="ESI/1.0"',
       "ETag": '"page"', "Cache-Control": "max-age=60"}
CHUNKED = dict(ESI, **{"Transfer-Encoding": "chunked"})
KEPT = {"ETag": '"frag"', "Cache-Control": "max-age=60"}


def page(text, headers=(), status=200, **more):
    return answer(status, dict(ESI, **dict(headers)), text, **more)


def include(src, more=""):
    return '<esi:include src="%s"%s/>' % (src, more)


def optional(src):
    return include(src, ' onerror="continue"')


@pytest.fixture
def held():
    """Backends stand still until the test is over."""
    event = threading.Event()
    yield event
    event.set()


def standing(held):
    def handler(exchange):
        exchange.wait(held)
        exchange.respond(200, KEPT, b"late")
    return handler


def was_cut(httpd):
    """What mod_proxy says of a fetch that is cut, perhaps a bit later."""
    httpd.log.claim("AH01102|AH01110|AH00898")
    poll(lambda: "AH00898" in httpd.log.text()
         or "AH01110" in httpd.log.text(), "the end of the fetch")


def problem(got, status, part):
    assert got.status == status, got
    assert got.get("Content-Type") == "application/problem+json"
    assert got.get("Cache-Control") == "no-store"
    for name in ("ETag", "Last-Modified", "Surrogate-Control"):
        assert name not in got
    said = json.loads(got.body)
    assert said["status"] == status and said["part"] == part
    return said


def incomplete(got, *parts):
    assert got.status == 200, got
    assert got.get("Cache-Control") == "no-store"
    assert got.get("ETag-Composite") == \
        'incomplete; parts="%s"' % ", ".join(parts)
    assert "ETag" not in got and "Last-Modified" not in got


# Fragments that are needed

@pytest.mark.parametrize("status", [301, 401, 404, 410, 500, 503])
def test_a_needed_fragment_that_fails_is_named(httpd, backend, path, status):
    backend.on("/esi" + path, page("before" + include("/frag/bad")))
    backend.on("/frag/bad", answer(status, {"Location": "/"}, "no"))
    problem(httpd.get("/esi" + path), 502, "/frag/bad")


def test_a_fragment_that_may_not_be_seen_fails(httpd, backend, path):
    httpd.log.claim("AH01630")
    backend.on("/esi" + path, page(include("/guarded/a")))
    problem(httpd.get("/esi" + path), 502, "/guarded/a")
    assert backend.hits("/guarded/a") == 0


def test_a_needed_fragment_of_a_fragment_is_named(httpd, backend, path):
    backend.on("/esi" + path, page(include("/frag/outer")))
    backend.on("/frag/outer", page("o" + include("/frag/inner")))
    backend.on("/frag/inner", answer(500, {}, "no"))
    problem(httpd.get("/esi" + path), 502, "/frag/inner")


def test_a_coded_fragment_fails(httpd, backend, path):
    backend.on("/esi" + path, page(include("/frag/coded")))
    backend.on("/frag/coded", answer(200, {"Content-Encoding": "gzip"}, "x"))
    problem(httpd.get("/esi" + path), 502, "/frag/coded")


def test_a_late_fragment_is_504_at_the_deadline(httpd, backend, held, path):
    backend.on("/short" + path, page(include("/frag/late")))
    backend.on("/frag/late", standing(held))
    problem(httpd.get("/short" + path), 504, "/frag/late")
    was_cut(httpd)


def test_cookies_and_tags_of_the_page_do_not_come_with_a_problem(
        httpd, backend, path):
    backend.on("/esi" + path, page(include("/frag/bad"),
                                   {"Set-Cookie": "a=b"}))
    backend.on("/frag/bad", answer(500, {}, "no"))
    got = httpd.get("/esi" + path)
    problem(got, 502, "/frag/bad")
    assert "Set-Cookie" not in got


def test_a_page_whose_fragment_failed_is_kept_all_the_same(httpd, backend,
                                                           path):
    backend.on("/cached" + path, page(include("/frag/heals")))
    backend.on("/frag/heals", answer(500, {}, "no"))
    assert httpd.get("/cached" + path).status == 502
    backend.on("/frag/heals", answer(200, {}, "yes"))
    got = httpd.get("/cached" + path)
    assert got.status == 200 and got.body == b"yes"
    assert backend.hits("/cached" + path) == 1


# Fragments that are not

@pytest.mark.parametrize("status", [301, 403, 500])
def test_in_place_of_what_failed_stands_nothing(httpd, backend, path, status):
    backend.on("/esi" + path, page("a" + optional("/frag/bad") + "b"))
    backend.on("/frag/bad", answer(status, {"Location": "/"}, "no"))
    got = httpd.get("/esi" + path)
    assert got.body == b"ab"
    incomplete(got, "/frag/bad")
    assert httpd.get("/esi" + path, {"If-None-Match": "*"}).status == 200


@pytest.mark.parametrize("status", [404, 410])
def test_what_is_not_there_is_an_answer(httpd, backend, path, status):
    backend.on("/esi" + path, page("a" + optional("/frag/gone") + "b"))
    backend.on("/frag/gone", answer(status, KEPT, "no"))
    got = httpd.get("/esi" + path)
    assert got.status == 200 and got.body == b"ab"
    tag = got.get("ETag")
    assert tag is not None and "ETag-Composite" not in got
    backend.on("/frag/gone", answer(200, KEPT, "back"))
    assert httpd.get("/esi" + path).get("ETag") != tag


def test_a_late_one_is_left_out(httpd, backend, held, path):
    backend.on("/short" + path, page("a" + optional("/frag/late")
                                     + include("/frag/there")))
    backend.on("/frag/late", standing(held))
    backend.on("/frag/there", answer(200, KEPT, "b"))
    got = httpd.get("/short" + path)
    assert got.body == b"ab"
    incomplete(got, "/frag/late")
    was_cut(httpd)


def test_names_in_a_field_are_quoted(httpd, backend, path):
    backend.on("/esi" + path, page(
        "<esi:include src='/frag/a\"b' onerror='continue'/>"))
    backend.on("/frag/a%22b", answer(500, {}, "no"))
    incomplete(httpd.get("/esi" + path), "/frag/a%22b")


# What stands in

def test_alt_stands_in_for_what_failed(httpd, backend, path):
    backend.on("/esi" + path, page(include("/frag/bad", ' alt="/frag/alt"')))
    backend.on("/frag/bad", answer(500, {}, "no"))
    backend.on("/frag/alt", answer(200, KEPT, "alt"))
    got = httpd.get("/esi" + path)
    assert got.body == b"alt"
    assert got.get("ETag") is not None and "ETag-Composite" not in got
    assert got.get("Cache-Control") == "max-age=0"   # who knows how long
    backend.on("/frag/bad", answer(200, KEPT, "good"))
    again = httpd.get("/esi" + path)
    assert again.body == b"good"
    assert again.get("ETag") != got.get("ETag")
    assert again.get("Cache-Control") == "max-age=60"


def test_alt_is_not_asked_for_without_need(httpd, backend, path):
    backend.on("/esi" + path, page(include("/frag/ok", ' alt="/frag/alt"')))
    backend.on("/frag/ok", answer(200, KEPT, "ok"))
    backend.on("/frag/alt", answer(200, KEPT, "alt"))
    assert httpd.get("/esi" + path).body == b"ok"
    assert backend.hits("/frag/alt") == 0


def test_alt_has_time_when_the_first_is_late(httpd, backend, held, path):
    backend.on("/short" + path, page(include("/frag/late",
                                             ' alt="/frag/alt"')))
    backend.on("/frag/late", standing(held))
    backend.on("/frag/alt", answer(200, KEPT, "alt"))
    assert httpd.get("/short" + path).body == b"alt"
    was_cut(httpd)


def test_if_alt_fails_as_well_the_page_does(httpd, backend, path):
    backend.on("/esi" + path, page(include("/frag/bad", ' alt="/frag/alt"')))
    backend.on("/frag/bad", answer(500, {}, "no"))
    backend.on("/frag/alt", answer(500, {}, "no"))
    problem(httpd.get("/esi" + path), 502, "/frag/alt")


def test_or_it_is_left_out(httpd, backend, path):
    backend.on("/esi" + path, page("a" + include(
        "/frag/bad", ' alt="/frag/alt" onerror="continue"')))
    backend.on("/frag/bad", answer(500, {}, "no"))
    backend.on("/frag/alt", answer(500, {}, "no"))
    got = httpd.get("/esi" + path)
    assert got.body == b"a"
    incomplete(got, "/frag/alt")


def test_alt_has_fragments_of_its_own(httpd, backend, path):
    backend.on("/esi" + path, page(include("/frag/bad", ' alt="/frag/alt"')))
    backend.on("/frag/bad", answer(404, {}, "no"))
    backend.on("/frag/alt", page("(" + include("/frag/inner") + ")"))
    backend.on("/frag/inner", answer(200, KEPT, "in"))
    assert httpd.get("/esi" + path).body == b"(in)"


# How long all may be

def test_fragments_that_are_too_long_fail(httpd, backend, path):
    backend.on("/small" + path, page("a" + include("/frag/long")))
    backend.on("/frag/long", answer(200, KEPT, "x" * 2000))
    problem(httpd.get("/small" + path), 502, "/frag/long")
    backend.on("/small" + path, page("a" + optional("/frag/long")))
    incomplete(httpd.get("/small" + path), "/frag/long")


@pytest.mark.parametrize("size", [100, 2500, 50000])
def test_a_long_page_goes_out_in_portions(httpd, backend, path, size):
    filler = "x" * size
    marks = ["<esi:remove>gone</esi:remove>" + filler + include("/frag/f")
             for _ in range(40)]
    backend.on("/small" + path, page("".join(marks)))
    backend.on("/frag/f", answer(200, KEPT, "F"))
    got = httpd.get("/small" + path)
    assert got.status == 200
    assert got.body == ((filler + "F") * 40).encode()
    assert got.get("Cache-Control") == "no-store"
    for name in ("ETag", "Last-Modified", "Content-Length",
                 "Surrogate-Control", "ETag-Composite"):
        assert name not in got


def test_each_portion_has_a_deadline_of_its_own(httpd, backend, path):
    text = "x" * 3000 + include("/frag/f")

    def slow(exchange):
        exchange.head(200, CHUNKED)
        for _ in range(3):
            exchange.chunk(text.encode())
            exchange.pause(0.4)
        exchange.end_chunks()
    backend.on("/hasty" + path, slow)
    backend.on("/frag/f", answer(200, KEPT, "F"))
    got = httpd.get("/hasty" + path)
    assert got.body == (("x" * 3000 + "F") * 3).encode()


def test_a_long_page_that_fails_does_not_end_well(httpd, backend, path):
    backend.on("/small" + path, page("x" * 5000 + include("/frag/bad")))
    backend.on("/frag/bad", answer(500, {}, "no"))
    with pytest.raises(Truncated):
        httpd.get("/small" + path)


# Pages that break off

def breaking(text, how):
    def handler(exchange):
        exchange.head(200, CHUNKED)
        exchange.chunk(text.encode())
        getattr(exchange, how)()
    return handler


@pytest.mark.parametrize("where", ["/esi", "/cached", "/small"])
@pytest.mark.parametrize("how", ["cut", "reset"])
def test_half_a_page_is_no_page(httpd, backend, path, where, how):
    httpd.log.claim("AH01110|AH02609|AH10154|AH00898|AH01102")
    text = "x" * (9000 if where == "/small" else 10) + include("/frag/half")
    backend.on(where + path, breaking(text, how))
    backend.on("/frag/half", answer(200, KEPT, "F"))
    try:
        got = httpd.get(where + path)
    except Truncated:
        return
    assert got.status in (502, 504), got
    assert got.get("ETag") is None


def test_a_backend_that_is_not_there_is_an_error(make_httpd):
    server = make_httpd("""
<Location "/">
    ETagCompositeESI On
    ETagCompositeESIAllow /
    ProxyPass "http://127.0.0.1:1/" connectiontimeout=5 timeout=30 retry=0
</Location>
""")
    server.log.claim("AH00957|AH01114|AH00940")
    got = server.get("/x", {"If-None-Match": "*", "Range": "bytes=0-1"})
    assert got.status == 503


# What is not held

def test_a_stream_without_esi_is_not_held(httpd, backend, held, path):
    def handler(exchange):
        exchange.head(200, {"Content-Type": "text/event-stream",
                            "Transfer-Encoding": "chunked"})
        exchange.chunk(b"data: 1\n\n")
        exchange.wait(held)
        exchange.end_chunks()
    backend.on("/esi" + path, handler)
    with httpd.connect() as client:
        client.send_request("GET", "/esi" + path)
        client.read_head()
        assert client.read_until(b"data: 1\n\n")


# Ends

def test_a_client_that_leaves_is_not_waited_for(httpd, backend, held, path):
    asked = threading.Event()

    def handler(exchange):
        asked.set()
        exchange.wait(held)
        exchange.respond(200, KEPT, b"late")
    backend.on("/esi" + path, page(include("/frag/left")))
    backend.on("/frag/left", handler)
    client = Connection(httpd.port)
    client.send_request("GET", "/esi" + path)
    assert asked.wait(20)
    client.close()
    log = httpd.root / "composite.log"
    poll(lambda: "- /esi%s" % path in log.read_text(), "the end")
    line = [one for one in log.read_text().splitlines()
            if one.startswith("- /esi%s " % path)][-1]
    assert line.endswith(" left"), line
    was_cut(httpd)
