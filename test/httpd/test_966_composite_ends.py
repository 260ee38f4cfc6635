# SPDX-License-Identifier: Apache-2.0
"""mod_etag_composite: parts that nobody waits for any more, those that others
wait for in our cache, and stale copies in place of parts that are late."""
import concurrent.futures
import json
import select
import signal
import socket
import threading
import time

import pytest

from harness.backend import Backend, answer, in_turn
from harness.client import Connection
from harness.httpd import is_running, mpm
from harness.net import poll

pytestmark = pytest.mark.skipif(mpm() == "prefork", reason="needs threads")

CONFIG = """
ETagCompositeThreads threads=2 queue=64
ETagCompositeDeadline 60s
ProxyPass "/part/" "http://@BACKEND@/part/" connectiontimeout=5 timeout=60 retry=0
ProxyPass "/kept/" "http://@BACKEND@/kept/" connectiontimeout=5 timeout=60 retry=0
ProxyPass "/brief/" "http://@BACKEND@/brief/" connectiontimeout=5 timeout=60 retry=0
ProxyPass "/old/" "http://@BACKEND@/old/" connectiontimeout=5 timeout=60 retry=0
<Location "/kept/">
    ETagCache On
    ETagCacheCollapseWait 40s
</Location>
<Location "/brief/">
    ETagCache On
    ETagCacheCollapseWait 1s
</Location>
<Location "/old/">
    ETagCache On
    ETagCacheCollapseWait 40s
    ETagCacheStaleIfError 1h
</Location>
<Location "/pair">
    SetHandler etag-composite
    ETagCompositePart a "/part/a"
    ETagCompositePart b "/part/b"
</Location>
<Location "/page">
    SetHandler etag-composite
    ETagCompositePart a "/part/a"
    ETagCompositePart b "/part/b"
    ETagCache On
    ETagCacheCollapseWait 40s
</Location>
<Location "/with-kept">
    SetHandler etag-composite
    ETagCompositePart a "/kept/a"
    ETagCompositePart b "/part/b"
</Location>
<Location "/with-brief">
    SetHandler etag-composite
    ETagCompositePart a "/brief/a"
    ETagCompositePart b "/part/b"
</Location>
<Location "/hasty">
    SetHandler etag-composite
    ETagCompositePart a "/kept/a" optional timeout=2s
    ETagCompositePart b "/part/b"
</Location>
<Location "/short">
    SetHandler etag-composite
    ETagCompositeDeadline 500ms
    ETagCompositePart a "/kept/a"
</Location>
<Location "/needs-old">
    SetHandler etag-composite
    ETagCompositeDeadline 4s
    ETagCompositePart a "/old/a"
</Location>
<Location "/wants-old">
    SetHandler etag-composite
    ETagCompositePart a "/old/a" optional timeout=4s
    ETagCompositePart b "/part/b"
</Location>
"""

TLS = "# as on the other port"

# As mod_proxy sees it, the backend has hung up.
CUT = "AH01102|AH01106|AH01110|AH00898|AH01097|AH10404"
FRESH = {"Cache-Control": "max-age=600", "ETag": '"1"'}
SPENT = {"Cache-Control": "max-age=0", "ETag": '"1"'}


class Hanging:
    """Stands still until it is let go, and counts who hangs up on it."""

    def __init__(self, then):
        self.then = then
        self.over = threading.Event()
        self.lock = threading.Lock()
        self.waiting = 0
        self.left = 0

    def __call__(self, exchange):
        with self.lock:
            self.waiting += 1
        while not self.over.is_set():
            if select.select([exchange.connection], [], [], 0.02)[0] \
                    and not exchange.connection.recv(1, socket.MSG_PEEK):
                with self.lock:
                    self.left += 1
                exchange.cut()
        self.then(exchange)


@pytest.fixture(autouse=True)
def cuts_are_expected(request):
    if "httpd" in request.fixturenames:
        request.getfixturevalue("httpd").log.claim(CUT)


@pytest.fixture
def hang():
    made = []

    def make(fields=FRESH, body=b"[1]"):
        handler = Hanging(answer(200, fields, body))
        made.append(handler)
        return handler
    yield make
    for handler in made:
        handler.over.set()


@pytest.fixture
def clients(httpd):
    made = []

    def ask(path, fields=()):
        made.append(httpd.connect())
        made[-1].send_request("GET", path, fields)
        return made[-1]
    yield ask
    for connection in made:
        connection.close()


def parts(backend, a=b"1", b=b"2"):
    for name, what in (("a", a), ("b", b)):
        backend.on("/part/" + name, what if callable(what)
                   else answer(200, {}, what))


def is_cold(httpd, path):
    assert httpd.request("PURGE", path).status in (200, 204, 404)


def threads_are_free(httpd, backend):
    """Both of them: a part that waits for one of the two would not come."""
    together = threading.Barrier(2)

    def handler(exchange):
        together.wait(20)
        exchange.respond(200, {}, b"3")
    parts(backend, handler, handler)
    assert httpd.get("/pair").body == b'{"a":3,"b":3}'


def all_are_in(httpd, backend):
    """Requests of others that came later have been answered: those before
    them are where they wait."""
    for number in range(8):
        backend.on("/part/later%d" % number, answer(200, {}, b"later"))
        assert httpd.get("/part/later%d" % number).status == 200


# A client that leaves

@pytest.mark.parametrize("fields", [{}, {"If-None-Match": '"x"'}])
def test_parts_are_cut_when_their_client_leaves(httpd, backend, hang, clients,
                                                fields):
    handler = hang()
    parts(backend, handler, handler)
    client = clients("/pair", fields)
    poll(lambda: handler.waiting == 2, "both parts")
    began = time.monotonic()
    client.close()
    poll(lambda: handler.left == 2, "both to be cut")
    print("%.3f s" % (time.monotonic() - began))
    threads_are_free(httpd, backend)


def test_parts_that_wait_for_a_thread_are_not_begun(httpd, backend, hang,
                                                    clients):
    handler = hang()
    parts(backend, handler, handler)
    first = clients("/pair")
    poll(lambda: handler.waiting == 2, "both parts")
    second = clients("/pair?second")
    all_are_in(httpd, backend)
    second.close()
    first.close()
    poll(lambda: handler.left == handler.waiting, "the end of all")
    threads_are_free(httpd, backend)


def test_a_part_that_fails_leaves_the_others_to_be_kept(httpd, backend, hang):
    is_cold(httpd, "/kept/a")
    handler = hang()

    def fail(exchange):
        poll(lambda: handler.waiting, "the other to be asked")
        exchange.respond(500)
    backend.on("/kept/a", handler)
    parts(backend, b=fail)
    assert httpd.get("/with-kept").status == 502
    assert backend.hits("/kept/a") == 1 and handler.left == 0
    handler.over.set()
    poll(lambda: "hit" in httpd.get("/kept/a").get("Cache-Status"), "a hit")
    assert backend.hits("/kept/a") == 1
    threads_are_free(httpd, backend)


def test_a_part_that_fails_cuts_what_is_not_kept(httpd, backend, hang):
    handler = hang()

    def fail(exchange):
        poll(lambda: handler.waiting, "the other to be asked")
        exchange.respond(500)
    parts(backend, handler, fail)
    assert httpd.get("/pair").status == 502
    poll(lambda: handler.left == handler.waiting, "the other to be cut")
    threads_are_free(httpd, backend)


def test_a_part_goes_on_for_those_who_follow_it(httpd, backend, hang,
                                                clients):
    is_cold(httpd, "/kept/a")
    followed, other = hang(), hang()
    backend.on("/kept/a", followed)
    parts(backend, b=other)
    client = clients("/with-kept")
    poll(lambda: followed.waiting and other.waiting, "both parts")
    follower = clients("/kept/a")
    all_are_in(httpd, backend)
    client.close()
    poll(lambda: other.left, "the part that nobody follows to be cut")
    followed.over.set()
    got = follower.read_response()
    assert got.status == 200 and got.body == b"[1]"
    assert followed.left == 0 and backend.hits("/kept/a") == 1
    threads_are_free(httpd, backend)


def test_a_part_whose_followers_leave_is_cut_after_all(httpd, backend, hang,
                                                       clients):
    is_cold(httpd, "/brief/a")
    followed, other, second = hang(), hang(), hang(body=b"[2]")
    backend.on("/brief/a", in_turn(followed, second))
    parts(backend, b=other)
    client = clients("/with-brief")
    poll(lambda: followed.waiting and other.waiting, "both parts")
    follower = clients("/brief/a")
    client.close()
    poll(lambda: other.left, "the part that nobody follows to be cut")
    poll(lambda: second.waiting, "the follower to lose patience")
    poll(lambda: followed.left, "what nobody follows any more to be cut")
    second.over.set()
    assert follower.read_response().body == b"[2]"


def test_a_part_goes_on_after_its_limit_too(httpd, backend, hang, clients):
    is_cold(httpd, "/kept/a")
    followed = hang()
    backend.on("/kept/a", followed)
    parts(backend)
    client = clients("/hasty")
    poll(lambda: followed.waiting, "the part")
    follower = clients("/kept/a")
    got = client.read_response()
    assert got.body == b'{"a":null,"b":2}'
    assert got.get("ETag-Composite") == 'incomplete; parts="a"'
    followed.over.set()
    assert follower.read_response().body == b"[1]"
    assert followed.left == 0 and backend.hits("/kept/a") == 1
    # What came for others is there for the composite as well.
    assert httpd.get("/hasty").body == b'{"a":[1],"b":2}'
    assert backend.hits("/kept/a") == 1


def test_a_composite_goes_on_for_those_who_follow_it(httpd, backend, hang,
                                                     clients):
    is_cold(httpd, "/page")
    handler = hang()
    parts(backend, handler, handler)
    leader = clients("/page")
    poll(lambda: handler.waiting == 2, "both parts")
    follower = clients("/page")
    all_are_in(httpd, backend)
    leader.close()
    # By then it has been looked at more than once.
    all_are_in(httpd, backend)
    handler.over.set()
    got = follower.read_response()
    assert got.status == 200 and got.body == b'{"a":[1],"b":[1]}'
    assert handler.left == 0
    assert backend.hits("/part/a") == backend.hits("/part/b") == 1


def test_a_composite_that_nobody_follows_ends_with_its_client(
        httpd, backend, hang, clients):
    is_cold(httpd, "/page")
    handler = hang()
    parts(backend, handler, handler)
    leader = clients("/page")
    poll(lambda: handler.waiting == 2, "both parts")
    leader.close()
    poll(lambda: handler.left == 2, "both to be cut")
    threads_are_free(httpd, backend)


@pytest.mark.http2
def test_a_reset_stream_leaves_too(httpd, backend, hang):
    handler = hang()
    parts(backend, handler, handler)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        run = pool.submit(httpd.curl, "/pair", "--max-time", "3")
        poll(lambda: handler.waiting == 2, "both parts")
        poll(lambda: handler.left == 2, "both to be cut")
        assert run.exception() is not None
    threads_are_free(httpd, backend)


# A stale copy

@pytest.fixture
def old(httpd, backend):
    """Stored, and to be validated each time."""
    def make(fields=SPENT, then=None):
        is_cold(httpd, "/old/a")
        backend.on("/old/a", in_turn(answer(200, fields, b'"old"'),
                                     then or answer(500)))
        assert httpd.get("/old/a").status == 200
    return make


@pytest.mark.parametrize("fields", [{}, {"If-None-Match": '"x"'}])
def test_a_stale_copy_stands_in_for_a_late_part(httpd, backend, hang, old,
                                                fields):
    handler = hang()
    old(then=handler)
    got = httpd.get("/needs-old", fields)
    assert got.status == 200, got
    assert got.body == b'{"a":"old"}'
    assert "ETag-Composite" not in got
    poll(lambda: handler.left == handler.waiting == 1, "it to be cut")


def test_a_stale_copy_stands_in_for_a_late_optional_part(httpd, backend, hang,
                                                         old):
    handler = hang()
    old(then=handler)
    parts(backend)
    got = httpd.get("/wants-old")
    assert got.body == b'{"a":"old","b":2}'
    assert "ETag-Composite" not in got
    poll(lambda: handler.left == handler.waiting == 1, "it to be cut")


@pytest.mark.parametrize("fields", [
    {"Cache-Control": "max-age=0, must-revalidate", "ETag": '"1"'},
    {"Cache-Control": "max-age=1, stale-if-error=10", "Age": "1000",
     "ETag": '"1"'}])
def test_no_stale_copy_that_may_not(httpd, backend, hang, old, fields):
    handler = hang()
    old(fields, handler)
    got = httpd.get("/needs-old")
    assert got.status == 504, got
    assert json.loads(got.body)["part"] == "a"
    poll(lambda: handler.left == handler.waiting, "it to be cut")


def test_what_is_in_time_is_used(httpd, backend, old):
    old(then=answer(200, FRESH, b'"new"', delay=0.5))
    assert httpd.get("/needs-old").body == b'{"a":"new"}'


def test_a_stale_copy_stands_in_for_a_backend_that_is_down(make_httpd):
    origin = Backend()
    httpd = make_httpd(CONFIG.replace("@BACKEND@",
                                      "127.0.0.1:%d" % origin.port))
    httpd.log.claim("AH00957|AH01114|AH00959|" + CUT)
    origin.on("/old/a", answer(200, SPENT, b'"old"'))
    assert httpd.get("/needs-old").status == 200
    origin.close()
    assert httpd.get("/needs-old").body == b'{"a":"old"}'


# Parts that follow others

def test_a_part_follows_no_longer_than_it_may_take(httpd, backend, hang,
                                                   clients):
    is_cold(httpd, "/kept/a")
    handler = hang()
    backend.on("/kept/a", handler)
    leader = clients("/kept/a")
    poll(lambda: handler.waiting, "a client's fetch")
    for _ in range(3):
        assert httpd.get("/short").status == 504
    threads_are_free(httpd, backend)
    handler.over.set()
    assert leader.read_response().body == b"[1]"
    assert backend.hits("/kept/a") == 1 and handler.left == 0
    assert httpd.get("/short").body == b'{"a":[1]}'


def test_a_part_that_follows_ends_with_its_client(httpd, backend, hang,
                                                  clients):
    is_cold(httpd, "/kept/a")
    handler, other = hang(), hang()
    backend.on("/kept/a", handler)
    parts(backend, b=other)
    leader = clients("/kept/a")
    poll(lambda: handler.waiting, "a client's fetch")
    client = clients("/with-kept")
    poll(lambda: other.waiting, "the other part")
    all_are_in(httpd, backend)
    client.close()
    poll(lambda: other.left, "the end of the composite")
    threads_are_free(httpd, backend)
    handler.over.set()
    assert leader.read_response().body == b"[1]"
    assert backend.hits("/kept/a") == 1


def test_a_part_that_follows_has_its_stale_copy(httpd, backend, hang, old,
                                                clients):
    handler = hang(body=b'"new"')
    old(then=handler)
    leader = clients("/old/a")
    poll(lambda: handler.waiting, "a client's fetch")
    assert httpd.get("/needs-old").body == b'{"a":"old"}'
    handler.over.set()
    assert leader.read_response().body == b'"new"'
    assert backend.hits("/old/a") == 2


def test_a_part_that_follows_has_what_comes_in_time(httpd, backend, hang,
                                                    clients):
    is_cold(httpd, "/kept/a")
    handler = hang()
    backend.on("/kept/a", handler)
    parts(backend)
    leader = clients("/kept/a")
    poll(lambda: handler.waiting, "a client's fetch")
    client = clients("/with-kept")
    all_are_in(httpd, backend)
    handler.over.set()
    assert client.read_response().body == b'{"a":[1],"b":2}'
    assert leader.read_response().status == 200
    assert backend.hits("/kept/a") == 1


# A child that ends

@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGWINCH])
def test_a_stop_is_not_held_up_by_parts_that_hang(make_httpd, backend, hang,
                                                  number):
    httpd = make_httpd(CONFIG)
    httpd.log.claim(CUT)
    handler = hang()
    parts(backend, handler, handler)
    with Connection(httpd.port) as client:
        client.send_request("GET", "/pair")
        poll(lambda: handler.waiting == 2, "both parts")
        httpd.process.send_signal(number)
        if number == signal.SIGWINCH:
            # Who is being answered is waited for.
            client.close()
        httpd.process.wait(20)
    assert "AH00045" not in httpd.log.text()      # "still did not exit"
    assert "AH00046" not in httpd.log.text()      # SIGKILL


def test_a_reload_ends_parts_whose_client_leaves(make_httpd, backend, hang):
    httpd = make_httpd(CONFIG)
    httpd.log.claim(CUT)
    handler = hang()
    parts(backend, handler, handler)
    with Connection(httpd.port) as client:
        client.send_request("GET", "/pair")
        poll(lambda: handler.waiting == 2, "both parts")
        old = httpd.children()
        httpd.graceful()
        client.close()
        poll(lambda: handler.left == 2, "both to be cut")
    # (the daemon of mod_cgid may stay)
    poll(lambda: sum(map(is_running, old)) <= 1, "the end of old children")
