# SPDX-License-Identifier: Apache-2.0
"""mod_etag_composite among others: parts whose data is watched, compression,
TLS and HTTP/2, many clients of many users, few threads."""
import gzip
import json
import socket
import ssl
import threading

import h2.connection
import h2.events
import pytest

from harness.backend import answer
from harness.crowd import Crowd
from harness.database import from_line, render
from harness.httpd import mpm
from harness.net import poll

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
<Location "/part/">
    RequestHeader set X-Scheme "expr=%%{REQUEST_SCHEME} %%{HTTPS}"
</Location>
CustomLog "@ROOT@/composite.log" "%%U %%{etag-composite}n"
<Location "/coded">
    SetHandler etag-composite
    SetOutputFilter DEFLATE
    ETagCompositePart user "/part/user"
</Location>
""" % from_line(PER)


class Streams:
    """A client with one connection of HTTP/2 over TLS."""

    def __init__(self, httpd):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.set_alpn_protocols(["h2"])
        self.socket = context.wrap_socket(socket.create_connection(
            ("127.0.0.1", httpd.tls_port), timeout=20))
        self.h2 = h2.connection.H2Connection()
        self.h2.initiate_connection()
        self.send()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self):
        self.socket.sendall(self.h2.data_to_send())

    def ask(self, target):
        stream = self.h2.get_next_available_stream_id()
        self.h2.send_headers(stream, [
            (":method", "GET"), (":path", target), (":scheme", "https"),
            (":authority", "localhost")], end_stream=True)
        self.send()
        return stream

    def reset(self, stream):
        self.h2.reset_stream(stream, 8)           # CANCEL
        self.send()

    def status(self, stream):
        """Of this stream's response, when it is over."""
        status = None
        while True:
            for event in self.h2.receive_data(self.socket.recv(65536)):
                if getattr(event, "stream_id", None) != stream:
                    continue
                if isinstance(event, h2.events.ResponseReceived):
                    status = dict(event.headers)[b":status"]
                if isinstance(event, (h2.events.StreamEnded,
                                      h2.events.StreamReset)):
                    return status
            self.send()


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
        assert again.get("ETag") == tag


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


@pytest.mark.parametrize("how, said", [
    ("plain", "http off"), ("tls", "https on"),
    pytest.param("http2", "https on", marks=pytest.mark.http2)])
def test_parts_have_the_scheme_of_the_client(httpd, backend, dashboard, how,
                                             said):
    if how == "http2":
        got = httpd.curl("/dashboard")
    else:
        got = httpd.get("/dashboard", tls=how == "tls")
    assert got.status == 200
    assert backend.requests("/part/user")[-1].get("X-Scheme") == said


@pytest.mark.http2
def test_a_stream_that_is_reset_is_not_waited_for(httpd, backend):
    """Its connection goes on."""
    held = threading.Event()

    def standing(exchange):
        exchange.wait(held)
        exchange.respond(200, {}, b"1")
    backend.on("/part/mine", standing)
    log = httpd.root / "composite.log"
    httpd.log.claim("AH01102|AH01106|AH01110|AH00898|AH01097")
    with Streams(httpd) as client:
        stream = client.ask("/mine?reset")
        poll(lambda: backend.hits("/part/mine") == 2, "parts on both threads")
        client.reset(stream)
        poll(lambda: "/mine left\n" in log.read_text(), "the request's end")
        assert not held.is_set()
        backend.on("/part/mine", answer(200, {}, b"1"))
        assert client.status(client.ask("/mine?after")) == b"200"
        assert not held.is_set()
    held.set()


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


@pytest.mark.skipif(mpm() == "prefork", reason="its children may drop "
                    "connections then, those of plain proxied requests too")
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
