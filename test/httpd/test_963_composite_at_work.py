# SPDX-License-Identifier: Apache-2.0
"""mod_etag_composite among others: parts whose data is watched, compression,
TLS and HTTP/2, many clients of many users, few threads."""
import gzip
import json
import threading

import pytest

from harness.backend import answer
from harness.crowd import Crowd
from harness.database import from_line, render
from harness.httpd import mpm

# Without threads parts are asked for one after another.
together = pytest.mark.skipif(mpm() == "prefork", reason="needs threads")

PRODUCTS = 30
PER = 10
TLS = "# as on the other port"
CONFIG = """
ETagCompositeThreads threads=2 queue=256
ProxyPass "/part/" "http://@BACKEND@/part/" connectiontimeout=5 timeout=30 retry=0
ProxyPass "/watched/" "http://@BACKEND@/watched/" connectiontimeout=5 timeout=30 retry=0
<Location "/watched/">
    ETagCache On
    ETagCacheOverride "public, no-cache"
    ETagFreshness On
    ETagFreshnessOverride On
    ETagFreshnessBudget 2s
    %s
</Location>
<Location "/dashboard">
    SetHandler etag-composite
    ETagCompositePart products "/watched/list?page=%%s" query:page=1
    ETagCompositePart user "/part/user"
</Location>
<Location "/mine">
    SetHandler etag-composite
    ETagCache On
    ETagCompositePart a "/part/mine"
    ETagCompositePart b "/part/mine?again"
    ETagCompositePart c "/part/mine?thrice"
</Location>
<Location "/coded">
    SetHandler etag-composite
    SetOutputFilter DEFLATE
    ETagCompositePart user "/part/user"
</Location>
""" % from_line(PER)


def echo_user(exchange):
    who = exchange.request.get("Cookie", "nobody")
    exchange.respond(200, {"Cache-Control": "private, max-age=60"},
                     json.dumps(who).encode())


@pytest.fixture
def dashboard(backend, shop):
    backend.on("/watched/list", render(shop, per=PER))
    backend.on("/part/user", answer(200, {"ETag": '"u"'}, b'{"id": 1}'))


def test_a_part_whose_data_moves_is_fetched_alone(httpd, backend, shop,
                                                  dashboard):
    first = httpd.get("/dashboard")
    assert first.status == 200, first
    held = {"If-None-Match": first.get("ETag")}
    assert httpd.get("/dashboard", held).status == 304
    assert backend.hits("/watched/list") == 1
    shop.update(3)
    second = httpd.get("/dashboard", held)
    assert second.status == 200
    assert second.get("ETag") != first.get("ETag")
    assert json.loads(second.body)["products"] \
        != json.loads(first.body)["products"]
    assert backend.hits("/watched/list") == 2
    held = {"If-None-Match": second.get("ETag")}
    assert httpd.get("/dashboard", held).status == 304
    assert backend.hits("/watched/list") == 2


def test_a_coded_composite_is_304_too(httpd, backend):
    backend.on("/part/user", answer(200, {"ETag": '"u"'},
                                    b"[" + b"1, " * 1000 + b"2]"))
    plain = httpd.get("/coded")
    got = httpd.get("/coded", {"Accept-Encoding": "gzip"})
    assert got.get("Content-Encoding") == "gzip"
    assert gzip.decompress(got.body) == plain.body
    assert got.get("ETag") != plain.get("ETag")
    for tag in (got.get("ETag"), plain.get("ETag")):
        again = httpd.get("/coded", {"Accept-Encoding": "gzip",
                                     "If-None-Match": tag})
        assert again.status == 304 and again.body == b""


def test_over_tls_the_same(httpd, backend, dashboard):
    got = httpd.get("/dashboard", tls=True)
    assert got.status == 200, got
    again = httpd.get("/dashboard", {"If-None-Match": got.get("ETag")},
                      tls=True)
    assert again.status == 304


@pytest.mark.http2
def test_over_http2_the_same(httpd, backend, dashboard):
    got = httpd.curl("/dashboard")
    assert got.version == "HTTP/2" and got.status == 200
    again = httpd.curl("/dashboard", "-H",
                       "If-None-Match: %s" % got.get("ETag"))
    assert again.status == 304


def test_no_user_gets_anothers_composite(httpd, backend):
    backend.on("/part/mine", echo_user)
    tags = {}
    for _ in range(3):
        with Crowd(httpd, 30, lambda number: {
                "Cookie": "user=%d" % (number % 10)}) as crowd:
            crowd.ask("/mine").answers()
            for member in crowd.members:
                assert member.error is None
                who = "user=%d" % (member.number % 10)
                got = member.response
                assert json.loads(got.body) == dict.fromkeys("abc", who)
                assert "private" in got.get("Cache-Control")
                tags.setdefault(got.get("ETag"), who)
                assert tags[got.get("ETag")] == who
    assert len(tags) == 10


@together
def test_more_parts_than_threads_wait_their_turn(httpd, backend):
    together = threading.Barrier(2)

    def handler(exchange):
        if exchange.number <= 2:
            together.wait(20)
        exchange.respond(200, {}, b"1")
    backend.on("/part/mine", handler)
    assert httpd.get("/mine?turns").body == b'{"a":1,"b":1,"c":1}'


def test_a_restart_meanwhile_leaves_no_client_without_an_answer(httpd,
                                                                backend):
    """Jobs that wait and jobs that run when a child ends gracefully."""
    running = threading.Event()
    go_on = threading.Event()

    def handler(exchange):
        running.set()
        exchange.wait(go_on)
        exchange.respond(200, {}, b"1")
    backend.on("/part/mine", handler)
    with Crowd(httpd, 4) as crowd:
        crowd.ask("/mine?restart")
        assert running.wait(20)
        httpd.graceful()
        go_on.set()
        crowd.answers()
        assert [(m.error, m.response and m.response.status)
                for m in crowd.members] == [(None, 200)] * 4
