# SPDX-License-Identifier: Apache-2.0
"""mod_etag_composite: parts that fail, are late, too long, or not there."""
import json
import threading

import pytest

from harness.backend import answer, in_turn
from harness.client import Connection
from harness.httpd import mpm
from harness.net import poll

# Without threads parts are asked for one after another.
together = pytest.mark.skipif(mpm() == "prefork", reason="needs threads")

CONFIG = """
<Location "/part/">
    ProxyPass "http://@BACKEND@/part/" connectiontimeout=5 timeout=30 retry=0
</Location>
<Location "/kept/">
    ETagCache On
    ETagCacheStaleIfError 1h
    ProxyPass "http://@BACKEND@/kept/" connectiontimeout=5 timeout=30 retry=0
</Location>
<Location "/needed">
    SetHandler etag-composite
    ETagCompositePart a "/part/a"
    ETagCompositePart b "/part/b"
</Location>
<Location "/optional">
    SetHandler etag-composite
    ETagCompositePart a "/part/a"
    ETagCompositePart b "/part/b" optional default=[]
    ETagCompositePart c "/part/c" optional pointer=/at/0
</Location>
<Location "/short">
    SetHandler etag-composite
    ETagCompositeDeadline 300ms
    ETagCompositePart a "/part/a"
    ETagCompositePart b "/part/b"
</Location>
<Location "/hasty">
    SetHandler etag-composite
    ETagCompositePart a "/part/a"
    ETagCompositePart b "/part/b" optional timeout=300ms
</Location>
<Location "/small">
    SetHandler etag-composite
    ETagCompositeMaxBytes 10
    ETagCompositePart a "/part/a"
    ETagCompositePart b "/part/b"
</Location>
<Location "/stale">
    SetHandler etag-composite
    ETagCompositePart a "/kept/a"
</Location>
CustomLog "@ROOT@/composite.log" "%U %{etag-composite}n"
<Location "/whose">
    SetHandler etag-composite
    ETagCompositePart a "/part/a"
    ETagCompositePart b "/part/%s" user optional
</Location>
"""

PROBLEM = "application/problem+json"


@pytest.fixture(autouse=True)
def others_are_cut(httpd):
    """What mod_proxy says of parts whose composite has failed meanwhile."""
    httpd.log.claim("AH01102|AH01106|AH01110|AH00898|AH10404")


@pytest.fixture
def held():
    """Backends stand still until the test is over."""
    event = threading.Event()
    yield event
    event.set()


def standing(held, text=b"1"):
    def handler(exchange):
        exchange.wait(held)
        exchange.respond(200, {}, text)
    return handler


def was_cut(httpd):
    """What mod_proxy says of a fetch that is cut, perhaps a bit later."""
    httpd.log.claim("AH01102|AH01106|AH01110|AH00898|AH10404")
    poll(lambda: "AH00898" in httpd.log.text()
         or "AH01110" in httpd.log.text(), "the end of the fetch")


def dripping(held):
    """A head at once, and a body that does not end."""
    def handler(exchange):
        exchange.head(200, {"Content-Length": "10"})
        exchange.send(b"[1,")
        exchange.wait(held)
        exchange.cut()
    return handler


def parts(backend, a=b"1", b=b"2", c=b'{"at": [3]}'):
    for name, what in zip("abc", (a, b, c)):
        backend.on("/part/" + name, what if callable(what)
                   else answer(200, {"ETag": '"%s"' % name}, what))


def problem(got, status, part):
    assert got.status == status, got
    assert got.get("Content-Type") == PROBLEM
    assert got.get("Cache-Control") == "no-store"
    assert "ETag" not in got
    said = json.loads(got.body)
    assert said["status"] == status
    assert said["part"] == part
    assert said["detail"]
    return said


# Parts that are needed

@pytest.mark.parametrize("status", [302, 401, 403, 404, 410, 500, 503])
def test_a_needed_part_that_fails_is_named(httpd, backend, status):
    parts(backend, b=answer(status, {"Location": "/x"}, b"[]"))
    said = problem(httpd.get("/needed"), 502, "b")
    assert str(status) in said["detail"]


def test_a_504_stays_one(httpd, backend):
    parts(backend, b=answer(504, {}, b"[]"))
    problem(httpd.get("/needed"), 504, "b")


@pytest.mark.parametrize("text", [b"", b"{", b"<p>", b"[1,]", b"1 2",
                                  b"\xef\xbb\xbf{}", b'"\xff"'])
def test_what_is_no_json_is_not_put_in(httpd, backend, text):
    parts(backend, b=text)
    problem(httpd.get("/needed"), 502, "b")


def test_a_part_without_a_body_fails(httpd, backend):
    parts(backend, b=answer(204))
    problem(httpd.get("/needed"), 502, "b")


def test_a_coded_part_fails(httpd, backend):
    parts(backend, b=answer(200, {"Content-Encoding": "gzip"}, b"2"))
    problem(httpd.get("/needed"), 502, "b")


def test_a_part_that_is_cut_fails(httpd, backend):
    def cut(exchange):
        exchange.head(200, {"Content-Length": "10"})
        exchange.send(b"[1]")
        exchange.cut()
    parts(backend, b=cut)
    problem(httpd.get("/needed"), 502, "b")
    httpd.log.claim("AH01110")


@together
def test_a_failure_does_not_wait_for_others(httpd, backend, held):
    parts(backend, a=standing(held), b=answer(500))
    problem(httpd.get("/needed"), 502, "b")
    assert not held.is_set()


def test_a_failure_is_seen_in_the_first_round(httpd, backend):
    parts(backend, b=answer(500))
    got = httpd.get("/needed", {"If-None-Match": '"x"'})
    problem(got, 502, "b")
    assert backend.hits("/part/b") == 1


def test_parts_together_are_bounded(httpd, backend):
    parts(backend, a=b"[1,2]", b=b"[3,4]")
    assert httpd.get("/small").status == 200
    parts(backend, a=b"[1,2]", b=b"[3,45]")
    got = httpd.get("/small")
    assert got.status == 502
    assert "ETagCompositeMaxBytes" in json.loads(got.body)["detail"]


def test_a_stale_copy_stands_in_for_a_failure(httpd, backend):
    backend.on("/kept/a", in_turn(
        answer(200, {"Cache-Control": "max-age=0", "ETag": '"a"'}, b"[1]"),
        answer(500)))
    got = httpd.get("/stale")
    assert got.status == 200
    again = httpd.get("/stale")
    assert again.status == 200 and again.body == got.body
    assert backend.hits("/kept/a") == 2
    assert httpd.get("/stale", {"If-None-Match": got.get("ETag")}
                     ).status == 304


# In time

@pytest.mark.parametrize("slow", [standing, dripping])
def test_the_deadline_holds_for_heads_and_bodies(httpd, backend, held, slow):
    parts(backend, b=slow(held))
    problem(httpd.get("/short"), 504, "b")
    assert not held.is_set()
    was_cut(httpd)


def test_the_deadline_is_of_both_rounds(httpd, backend, held):
    parts(backend, b=in_turn(answer(304, {"ETag": '"b"'}), standing(held)))
    got = httpd.get("/short", {"If-None-Match": '"other"'})
    problem(got, 504, "b")
    assert backend.hits("/part/b") == 2
    was_cut(httpd)


@pytest.mark.parametrize("slow", [standing, dripping])
def test_a_part_has_a_time_of_its_own(httpd, backend, held, slow):
    parts(backend, b=slow(held))
    got = httpd.get("/hasty")
    assert not held.is_set()
    assert got.body == b'{"a":1,"b":null}'
    assert got.get("ETag-Composite") == 'incomplete; parts="b"'
    was_cut(httpd)


# Without a client

def said_left(httpd):
    log = httpd.root / "composite.log"
    return log.exists() and " left\n" in log.read_text()


@together
@pytest.mark.parametrize("fields", [{}, {"If-None-Match": '"x"'}])
def test_a_client_that_leaves_is_not_waited_for(httpd, backend, held,
                                                fields):
    parts(backend, b=standing(held))
    (httpd.root / "composite.log").write_text("")
    connection = Connection(httpd.port)
    connection.send_request("GET", "/needed", fields)
    poll(lambda: backend.hits("/part/b"), "the part's request")
    connection.close()
    poll(lambda: said_left(httpd), "the request's end")
    assert not held.is_set()


# Parts that are optional

def test_optional_parts_are_there_if_they_are(httpd, backend):
    parts(backend)
    got = httpd.get("/optional")
    assert got.body == b'{"a":1,"b":2,"c":3}'
    assert "ETag-Composite" not in got
    assert httpd.get("/optional", {"If-None-Match": got.get("ETag")}
                     ).status == 304


@pytest.mark.parametrize("wrong", [answer(500), answer(403), answer(302),
                                   answer(200, {}, b"{")])
def test_the_default_of_an_optional_part_stands_in(httpd, backend, wrong):
    parts(backend, b=wrong)
    for fields in ({}, {"If-None-Match": "*"}):
        got = httpd.get("/optional", fields)
        assert got.status == 200
        assert got.body == b'{"a":1,"b":[],"c":3}'
        assert got.get("ETag-Composite") == 'incomplete; parts="b"'
        assert got.get("Cache-Control") == "no-store"
        assert "ETag" not in got and "Age" not in got


def test_all_that_is_missing_is_named(httpd, backend):
    parts(backend, b=b"", c=b'{"at": []}')
    got = httpd.get("/optional")
    assert got.body == b'{"a":1,"b":[],"c":null}'
    assert got.get("ETag-Composite") == 'incomplete; parts="b, c"'


@pytest.mark.parametrize("status", [404, 410])
def test_that_there_is_none_is_an_answer(httpd, backend, status):
    parts(backend)
    whole = httpd.get("/optional")
    parts(backend, b=answer(status, {"Cache-Control": "max-age=60"}))
    got = httpd.get("/optional", {"If-None-Match": whole.get("ETag")})
    assert got.status == 200
    assert got.body == b'{"a":1,"b":[],"c":3}'
    assert "ETag-Composite" not in got
    assert got.get("ETag") not in (None, whole.get("ETag"))
    assert httpd.get("/optional", {"If-None-Match": got.get("ETag")}
                     ).status == 304


def test_an_optional_part_without_its_param_is_not_asked_for(httpd, backend):
    parts(backend)
    got = httpd.get("/whose")
    assert got.body == b'{"a":1,"b":null}'
    assert got.get("ETag-Composite") == 'incomplete; parts="b"'


# A part that moves

def test_a_tag_is_of_the_bodies_that_are_sent(httpd, backend):
    """Between the rounds the part moves: the tag must be of the second."""
    def version(number):
        return answer(200, {"ETag": '"v%d"' % number}, b"%d" % number)
    parts(backend, b=version(2))
    second = httpd.get("/needed").get("ETag")
    parts(backend, b=in_turn(answer(304, {"ETag": '"v1"'}), version(2)))
    got = httpd.get("/needed", {"If-None-Match": '"other"'})
    assert json.loads(got.body)["b"] == 2
    assert got.get("ETag") == second


def test_a_304_without_a_tag_says_nothing(httpd, backend):
    parts(backend, b=in_turn(answer(304), answer(200, {}, b"5")))
    got = httpd.get("/needed", {"If-None-Match": '"other"'})
    assert got.status == 200
    assert json.loads(got.body)["b"] == 5


@pytest.mark.parametrize("status", [400, 412, 501])
def test_a_backend_that_takes_the_star_amiss_is_asked_again(httpd, backend,
                                                            status):
    parts(backend, b=in_turn(answer(status), answer(200, {}, b"5")))
    got = httpd.get("/needed", {"If-None-Match": '"other"'})
    assert got.status == 200
    assert json.loads(got.body)["b"] == 5
