# SPDX-License-Identifier: Apache-2.0
"""How internal requests end that nobody answers: at their limit, with their
child, and without harm to others."""
import concurrent.futures
import os
import signal
import threading
import time

import pytest

from harness.backend import Backend, answer
from harness.httpd import is_running
from harness.internal import (LOCATIONS, WHOAMI, fire, fire_many,
                              is_supported, order)
from harness.net import poll

pytestmark = pytest.mark.skipif(not is_supported(), reason="needs threads")

MODULES = ["internal"]

CONFIG = LOCATIONS + WHOAMI + """
ETagCache Off
Alias "/php/" "@ROOT@/htdocs/php/"
<FilesMatch "\\.php$">
    ProxyFCGIBackendType FPM
    SetHandler "proxy:unix:@ROOT@/run/php.sock|fcgi://localhost/"
</FilesMatch>
SSLProxyEngine On
SSLProxyVerify none
SSLProxyCheckPeerName off
SSLProxyCheckPeerCN off
ProxyPass "/-fire" "!"
ProxyPass "/whoami" "!"
ProxyPass "/php/" "!"
ProxyPass "/by-tls/" "https://127.0.0.1:@TLS_PORT@/" timeout=60 retry=0
ProxyPass "/" "http://@BACKEND@/" connectiontimeout=5 timeout=60 retry=0
ProxyTimeout 3
"""
TLS = """
ProxyPass "/" "http://@BACKEND@/" connectiontimeout=5 timeout=60 retry=0
"""

# As mod_proxy sees it, the backend has hung up.
CUT = r"AH01102|AH01106|AH01110|AH00898|AH02608|AH10404"
# A stuck backend would hold a request for a minute; a cut one comes back at
# once. Far from both, for a machine that is busy.
SOON = 20


class Silent:
    """Takes requests, sends `first`, and nothing more until it is let go."""

    def __init__(self, first=b""):
        self.first = first
        self.over = threading.Event()
        self.lock = threading.Lock()
        self.waiting = 0

    def __call__(self, exchange):
        exchange.send(self.first)
        with self.lock:
            self.waiting += 1
        exchange.wait(self.over)
        exchange.cut()


@pytest.fixture
def silent(backend):
    made = []

    def make(path, first=b""):
        handler = Silent(first)
        made.append(handler)
        backend.on(path, handler)
        return handler
    yield make
    for handler in made:
        handler.over.set()


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"


@pytest.mark.parametrize("first", [
    b"", b"HTTP/1.1 2", HEAD, HEAD + b"Content-Length: 100\r\n\r\nhalf",
    HEAD + b"\r\nto the end",
    HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nab"])
def test_a_silent_backend_is_cut_at_the_limit(httpd, silent, path, first):
    httpd.log.claim(CUT)
    silent(path, first)
    got = fire(httpd, path, limit=300)
    assert got.outcome == "timeup", got
    assert 0.29 < got.seconds < SOON


def test_a_silent_backend_behind_tls_is_cut_too(httpd, silent, path):
    httpd.log.claim(CUT)
    silent(path)
    got = fire(httpd, "/by-tls" + path, limit=300)
    assert got.outcome == "timeup" and 0.29 < got.seconds < SOON


def test_a_dripping_backend_is_cut_at_the_limit(httpd, backend, path):
    httpd.log.claim(CUT)
    over = threading.Event()

    def drip(exchange):
        exchange.head(200, {"Transfer-Encoding": "chunked"})
        while not over.is_set():
            exchange.chunk(b"drip")
            exchange.pause(0.05)
    backend.on(path, drip)
    try:
        got = fire(httpd, path, limit=500)
        assert got.outcome == "timeup" and 0.49 < got.seconds < SOON
    finally:
        over.set()


def test_fastcgi_is_bounded_by_proxytimeout(httpd, php):
    httpd.log.claim("AH01075|AH10451|AH01067|AH01068|AH01079")
    httpd.file("php/sleep.php", "<?php sleep(30); echo 'late';")
    got = fire(httpd, "/php/sleep.php", limit=300)
    assert got.outcome == "timeup" and 0.29 < got.seconds < SOON


def test_each_of_many_has_its_own_limit(httpd, silent, path):
    httpd.log.claim(CUT)
    silent(path)
    limits = [200, 1500, 400, 900, 300]
    with concurrent.futures.ThreadPoolExecutor(5) as pool:
        answers = list(pool.map(
            lambda limit: fire(httpd, path, limit=limit), limits))
    for limit, got in zip(limits, answers):
        assert got.outcome == "timeup"
        assert limit / 1000 - 0.01 < got.seconds < SOON


def test_a_quick_answer_is_not_touched_by_its_limit(httpd, backend, path):
    backend.on(path, answer(200, {}, b"quick"))
    counts = fire_many(httpd, path, count=200, parallel=4, limit=60000,
                       brief=1)
    assert counts["ok"] == 200
    # The limits of those gone cut nobody.
    assert fire(httpd, path, limit=5000).body == b"quick"


def test_no_other_request_is_harmed_by_a_cut(httpd, backend, path):
    """Limits that end just when answers come, so that connections go back
    to mod_proxy's pool while somebody may be about to cut them."""
    httpd.log.claim(CUT)
    backend.on(path + "-slow", answer(200, {}, b"slow", delay=0.02))
    backend.on(path, answer(200, {}, b"x" * 20000))
    over = threading.Event()

    def clients():
        with httpd.connect() as connection:
            count = 0
            while not over.is_set():
                response = connection.request("GET", path)
                assert response.status == 200
                assert response.body == b"x" * 20000
                count += 1
            return count
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        runs = [pool.submit(clients) for _ in range(4)]
        counts = [fire_many(httpd, path + "-slow", count=150, parallel=6,
                            limit=limit, brief=1)
                  for limit in (19, 20, 21, 22)]
        over.set()
        assert all(run.result() > 10 for run in runs)
    for count in counts:
        assert count["ok"] + count["timeup"] == 150
    assert sum(count["timeup"] for count in counts) > 0


def test_a_limit_does_not_cut_a_connection_that_was_given_back(
        make_httpd, backend, path):
    """The answer has come and is being dealt with when its limit ends; its
    backend connection serves somebody else by then."""
    httpd = make_httpd(CONFIG + "StartServers 1\nServerLimit 1\n"
                       "MaxRequestWorkers 64\n", modules=MODULES)
    backend.on(path, answer(200, {}, b"quick"))
    over = threading.Event()

    def late(exchange):
        exchange.wait(over)
        exchange.respond(200, {}, b"late")
    backend.on(path + "-late", late)
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for _ in range(20):
            over.clear()
            slow = pool.submit(fire, httpd, path, limit=400, stall=800)
            number = backend.hits(path)
            poll(lambda: backend.hits(path) > number or slow.done(), "it")
            other = pool.submit(httpd.get, path + "-late")
            slow.result()
            over.set()
            assert other.result().body == b"late"
            if backend.requests(path)[-1].peer \
                    == backend.requests(path + "-late")[-1].peer:
                return
    raise AssertionError("no connection was used again")


def begin_hanging(httpd, handler, path, count=8):
    """Internal requests that hang, in one or more children."""
    with httpd.connect() as connection:
        response = connection.request("GET", order(
            path, wait=0, count=count, parallel=count, limit=600000),
            headers=[("Connection", "close")])
        assert response.body == b"begun\n"
    poll(lambda: handler.waiting == count, "%d that hang" % count)


def test_a_stop_is_not_held_up_by_clients_that_wait_for_them(
        make_httpd, silent, path):
    httpd = make_httpd(CONFIG, modules=MODULES)
    httpd.log.claim(CUT)
    handler = silent(path)
    with httpd.connect() as connection:
        connection.send_request("GET", order(path, limit=600000))
        poll(lambda: handler.waiting == 1, "one that hangs")
        began = time.monotonic()
        httpd.process.send_signal(signal.SIGTERM)
        httpd.process.wait(SOON)
        print("%.2f s" % (time.monotonic() - began))
    assert "AH00045" not in httpd.log.text()      # "still did not exit"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGWINCH])
def test_a_stop_is_not_held_up_by_requests_that_hang(make_httpd, silent,
                                                     path, number):
    httpd = make_httpd(CONFIG, modules=MODULES)
    httpd.log.claim(CUT)
    handler = silent(path)
    begin_hanging(httpd, handler, path)
    began = time.monotonic()
    httpd.process.send_signal(number)
    httpd.process.wait(SOON)
    print("%.2f s" % (time.monotonic() - began))
    assert "AH00045" not in httpd.log.text()      # "still did not exit"
    assert "AH00046" not in httpd.log.text()      # SIGKILL


def test_a_graceful_reload_is_not_held_up_by_requests_that_hang(
        make_httpd, silent, path):
    httpd = make_httpd(CONFIG, modules=MODULES)
    httpd.log.claim(CUT)
    handler = silent(path)
    begin_hanging(httpd, handler, path)
    old = httpd.children()
    began = time.monotonic()
    httpd.graceful()
    # (the daemon of mod_cgid may stay)
    poll(lambda: sum(map(is_running, old)) <= 1, "the end of old children")
    print("%.2f s" % (time.monotonic() - began))
    assert fire(httpd, "/whoami").status == 200


def test_a_killed_child_takes_nobody_with_it(make_httpd, silent, backend,
                                             path):
    httpd = make_httpd(CONFIG, modules=MODULES)
    httpd.log.claim(CUT + "|AH0005[12]")
    handler = silent(path)
    backend.on(path + "-well", answer(200, {}, b"well"))
    with httpd.connect() as connection:
        connection.send_request("GET", order(path, count=4, parallel=4,
                                             limit=600000))
        poll(lambda: handler.waiting == 4, "4 that hang")
        os.kill(httpd.child_serving(connection), signal.SIGKILL)
    assert fire(httpd, path + "-well").body == b"well"


def test_a_backend_that_goes_down_is_an_answer(make_httpd, path):
    origin = Backend()
    handler = Silent()
    origin.on(path, handler)
    httpd = make_httpd(CONFIG.replace("@BACKEND@",
                                      "127.0.0.1:%d" % origin.port),
                       modules=MODULES)
    httpd.log.claim(CUT + "|AH00957|AH00959|AH01114")
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        run = pool.submit(fire, httpd, path, limit=60000)
        poll(lambda: handler.waiting == 1, "the request")
        origin.close()
        got = run.result(SOON)
    assert got.outcome == "ok" and got.status == 502
    assert fire(httpd, path).status == 503
    handler.over.set()
