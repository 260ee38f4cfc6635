# SPDX-License-Identifier: Apache-2.0
"""mod_etag_composite under prefork: parts are asked for one after another, by
the one thread that there is."""
import json
import os
import threading

import pytest

from harness.backend import answer
from harness.client import Connection
from harness.httpd import mpm
from harness.net import poll

pytestmark = pytest.mark.skipif(mpm() != "prefork", reason="for prefork")

CONFIG = """
KeepAlive On
MaxKeepAliveRequests 0
<Location "/part/">
    ProxyPass "http://@BACKEND@/part/" connectiontimeout=5 timeout=30 retry=0
</Location>
<Location "/kept/">
    ETagCache On
    ProxyPass "http://@BACKEND@/kept/" connectiontimeout=5 timeout=30 retry=0
</Location>
<Location "/three">
    SetHandler etag-composite
    ETagCompositePart a "/part/a"
    ETagCompositePart b "/part/b"
    ETagCompositePart c "/kept/c"
</Location>
<Location "/short">
    SetHandler etag-composite
    ETagCompositeDeadline 300ms
    ETagCompositePart a "/part/a" optional
    ETagCompositePart b "/part/b" optional
</Location>
<Location "/times">
    SetHandler etag-composite
    ETagCompositePart a "/part/a" optional timeout=1s
    ETagCompositePart b "/part/b" optional timeout=1s
</Location>
<Location "/kept-whole">
    SetHandler etag-composite
    ETagCache On
    ETagCompositePart a "/part/a"
    ETagCompositePart c "/kept/c"
</Location>
CustomLog "@ROOT@/composite.log" "%U %{etag-composite}n"
"""

HOUR = {"Cache-Control": "max-age=3600"}


@pytest.fixture
def held():
    """Backends stand still until the test is over."""
    event = threading.Event()
    yield event
    event.set()


def standing(held):
    def handler(exchange):
        exchange.wait(held)
        exchange.respond(200, {}, b"1")
    return handler


def parts(httpd, backend, **others):
    httpd.request("PURGE", "/kept/c")
    for name, path in (("a", "/part/a"), ("b", "/part/b"), ("c", "/kept/c")):
        backend.on(path, others.get(name, answer(
            200, dict(HOUR, ETag='"%s"' % name), b'"%s"' % name.encode())))


def was_cut(httpd):
    """What mod_proxy says of a fetch that is cut."""
    httpd.log.claim("AH01102|AH01110|AH00898")


def test_the_log_says_so_once(make_httpd):
    httpd = make_httpd(CONFIG)
    assert httpd.log.text(whole=True).count("ETG0501") == 1


def test_esi_is_off_and_the_log_says_so_once(make_httpd, backend):
    httpd = make_httpd("""
        ETagCompositeESI Always
        ETagCompositeESIAllow /
        ProxyPass "/" "http://@BACKEND@/" retry=0
        """, start=False)
    httpd.log.claim("ETG0523")
    httpd.start()
    text = b'<esi:include src="/part/a"/>'
    backend.on("/page", answer(200, {
        "Content-Type": "text/html", "ETag": '"x"',
        "Surrogate-Control": 'content="ESI/1.0"'}, text))
    backend.on("/part/a", answer(200, {}, b"1"))
    got = httpd.get("/page")
    assert got.body == text and got.get("ETag") == '"x"'
    assert "Surrogate-Capability" not in backend.requests("/page")[-1]
    assert backend.hits("/part/a") == 0
    log = httpd.log.text(whole=True)
    assert log.count("ETG0523") == 1 and "ETG0501" not in log


def test_one_is_asked_for_when_the_one_before_has_ended(httpd, backend):
    events = []

    def handler(exchange):
        name = exchange.request.target[-1]
        events.append("+" + name)
        exchange.head(200, dict(HOUR, **{"Content-Length": "3"}))
        exchange.send(b'"')
        exchange.pause(0.05)
        events.append("-" + name)
        exchange.send(b'x"')
    parts(httpd, backend, a=handler, b=handler, c=handler)
    got = httpd.get("/three")
    assert json.loads(got.body) == dict.fromkeys("abc", "x")
    assert events == ["+a", "-a", "+b", "-b", "+c", "-c"]


def test_a_needed_one_that_fails_ends_it(httpd, backend):
    parts(httpd, backend, b=answer(500))
    got = httpd.get("/three")
    assert got.status == 502
    assert json.loads(got.body)["part"] == "b"
    assert backend.hits("/part/a") == 1
    assert backend.hits("/kept/c") == 0


def test_for_one_that_no_time_is_left_for_nobody_is_asked(httpd, backend,
                                                          held):
    parts(httpd, backend, a=standing(held))
    got = httpd.get("/short")
    assert not held.is_set()
    assert got.body == b'{"a":null,"b":null}'
    assert got.get("ETag-Composite") == 'incomplete; parts="a, b"'
    assert backend.hits("/part/b") == 0
    was_cut(httpd)


def test_the_time_of_a_part_counts_from_its_own_ask(httpd, backend, held):
    parts(httpd, backend, a=standing(held))
    got = httpd.get("/times")
    assert not held.is_set()
    assert got.body == b'{"a":null,"b":"b"}'
    was_cut(httpd)


def test_what_holds_is_304(httpd, backend):
    parts(httpd, backend)
    got = httpd.get("/three")
    assert got.body == b'{"a":"a","b":"b","c":"c"}'
    for _ in range(3):
        again = httpd.get("/three", {"If-None-Match": got.get("ETag")})
        assert again.status == 304 and again.body == b""
    assert backend.hits("/kept/c") == 1


def test_our_cache_keeps_one(httpd, backend):
    parts(httpd, backend)
    got = httpd.get("/kept-whole")
    assert got.body == b'{"a":"a","c":"c"}'
    again = httpd.get("/kept-whole")
    assert again.hit and again.body == got.body
    assert backend.hits("/part/a") == 1


def test_for_a_client_that_has_left_no_other_is_asked(httpd, backend, held):
    parts(httpd, backend, a=standing(held))
    log = httpd.root / "composite.log"
    connection = Connection(httpd.port)
    connection.send_request("GET", "/three?left", {})
    poll(lambda: backend.hits("/part/a"), "the first part's request")
    connection.close()
    held.set()
    poll(lambda: log.exists() and "/three left\n" in log.read_text(),
         "the request's end")
    assert backend.hits("/part/b") == 0


def test_many_in_a_row_leave_nothing_open(httpd, backend, held):
    """One child's connections to the backend are used again; those that were
    cut are closed."""
    parts(httpd, backend)
    with httpd.connect() as connection:
        def ask(count):
            for number in range(count):
                got = connection.get("/three?row=%d" % number)
                assert got.status == 200, got
        ask(3)
        folder = "/proc/%d/fd" % httpd.child_serving(connection)
        before = len(os.listdir(folder))
        ask(100)
        assert len(os.listdir(folder)) == before
        parts(httpd, backend, a=standing(held))
        for _ in range(3):
            assert connection.get("/short").status == 200
        parts(httpd, backend, b=answer(500))
        for _ in range(10):
            assert connection.get("/three").status == 502
        parts(httpd, backend)
        ask(3)
        assert len(os.listdir(folder)) <= before
    was_cut(httpd)
