# SPDX-License-Identifier: Apache-2.0
"""What survives a stop, a reload and a crash."""
import os
import signal
import threading

import pytest

from conftest import PROXY
from harness.backend import answer, counting
from harness.load import Load
from harness.net import poll
from harness.steps import FRESH, stored

CONFIG = PROXY + "ETagCache On\n"

KILLED = "etag_"


def test_restart_100_the_next_request_is_a_hit(make_httpd, backend, path):
    httpd = make_httpd(CONFIG)
    large = bytes(index * 5 % 256 for index in range(300000))
    backend.on(path, counting(FRESH))
    backend.on(path + "-large", answer(200, FRESH, large))
    stored(httpd, backend, path)
    stored(httpd, backend, path + "-large")
    for _ in range(3):
        httpd.restart()
        response = httpd.get(path)
        assert response.hit and response.body == b"answer 1"
        response = httpd.get(path + "-large")
        assert response.hit and response.body == large


def test_restart_101_graceful_reload_keeps_entries(make_httpd, backend, path):
    httpd = make_httpd(CONFIG)
    backend.on(path, counting(FRESH))
    stored(httpd, backend, path)
    for _ in range(3):
        httpd.graceful()
        assert httpd.get(path).hit


def test_restart_102_graceful_reload_in_mid_flight(make_httpd, backend, path):
    httpd = make_httpd(CONFIG)
    release = threading.Event()

    def slow(exchange):
        exchange.head(200, dict(FRESH, **{"Content-Length": "8"}))
        exchange.send(b"half")
        exchange.wait(release)
        exchange.send(b"half")
    backend.on(path, slow)
    backend.on(path + "-other", counting(FRESH))
    with httpd.connect() as connection:
        connection.send_request("GET", path)
        poll(lambda: backend.hits(path), "the backend is asked")
        httpd.graceful()
        stored(httpd, backend, path + "-other")
        assert httpd.get(path + "-other").hit
        release.set()
        assert connection.read_response().body == b"halfhalf"
    poll(lambda: httpd.get(path).hit, "a hit on what crossed the reload")


def test_restart_103_followers_of_the_old_generation_are_served(
        make_httpd, backend, path):
    httpd = make_httpd(CONFIG)
    release = threading.Event()

    def slow(exchange):
        exchange.wait(release)
        exchange.respond(200, FRESH, b"answer")
    backend.on(path, slow)
    connections = [httpd.connect() for _ in range(6)]
    for connection in connections:
        connection.send_request("GET", path)
    poll(lambda: backend.hits(path), "the backend is asked")
    httpd.graceful()
    late = httpd.connect()
    late.send_request("GET", path)
    release.set()
    for connection in connections + [late]:
        assert connection.read_response().body == b"answer"
        connection.close()


def test_restart_104_purge_survives_a_restart(make_httpd, backend, path):
    httpd = make_httpd(CONFIG)
    backend.on(path, counting(FRESH))
    stored(httpd, backend, path)
    assert httpd.request("PURGE", path).status == 200
    httpd.restart()
    assert not httpd.get(path).hit
    stored(httpd, backend, path)
    assert httpd.request("PURGE", "/", {"ETag-Purge": "all"}).status == 200
    httpd.restart()
    assert not httpd.get(path).hit


def test_restart_105_everything_killed_at_once(make_httpd, backend, path):
    httpd = make_httpd(CONFIG)
    backend.on(path, counting(FRESH))
    stored(httpd, backend, path)
    for number in range(3):
        httpd.log.claim(KILLED + r"|AH00098|pid file")
        httpd.kill()
        (httpd.root / "run" / "httpd.pid").unlink(missing_ok=True)
        httpd.start()
        response = httpd.get(path)
        assert response.status == 200
        assert response.body.startswith(b"answer")
        stored(httpd, backend, path)


def test_restart_106_two_instances_one_directory(make_httpd, backend, path):
    one = make_httpd(CONFIG)
    other = make_httpd(CONFIG + 'ETagCacheMetaStore "local:%s?size=64M"\n'
                       % (one.root / "store"), start=False)
    other.log.claim("etag_store_local|etag_cache")
    one.log.claim("etag_store_local|etag_cache")
    other.start()
    other.log.claim("etag_store_local|etag_cache")
    backend.on(path, counting(FRESH))
    for _ in range(20):
        for httpd in (one, other):
            assert httpd.get(path).body.startswith(b"answer")
    for number in range(50):
        target = "%s-%d" % (path, number)
        backend.on(target, answer(200, FRESH, target))
        assert one.get(target).text == target
        assert other.get(target).text == target


@pytest.mark.parametrize("deaths", [
    3, pytest.param(20, marks=pytest.mark.slow)])
def test_crash_100_children_killed_under_load(make_httpd, backend, path,
                                              deaths):
    httpd = make_httpd(CONFIG)
    httpd.log.claim(KILLED)
    with Load(httpd, backend, path) as load:
        for _ in range(deaths):
            before = load.good
            poll(lambda: load.good > before + 200, "some traffic", 60)
            victim = busiest_child(httpd)
            os.kill(victim, signal.SIGKILL)
            poll(lambda: victim not in httpd.children(), "the child's end")
        before = load.good
        poll(lambda: load.good > before + 200, "traffic afterwards", 60)
    print("%d good, %d lost with their child" % (load.good, load.failed))
    assert not load.wrong, load.wrong[:3]
    # Only what was in flight in the killed child may fail.
    assert load.failed <= deaths * 8
    httpd.log.claim(KILLED)


def busiest_child(httpd):
    """A worker child (mod_cgid's daemon is a child of httpd as well)."""
    with httpd.connect() as connection:
        return httpd.child_serving(connection)


def test_crash_101_a_child_that_is_stopped_holds_nobody_up(make_httpd,
                                                          backend, path):
    if os.environ.get("MPM") in ("prefork", "worker"):
        pytest.skip("a stopped child may own the accept mutex")
    httpd = make_httpd(CONFIG)
    httpd.log.claim("etag_")
    with Load(httpd, backend, path, clients=4):
        victim = busiest_child(httpd)
        os.kill(victim, signal.SIGSTOP)
        try:
            answered = 0
            for number in range(60):
                target = "%s-new%d" % (path, number)
                backend.on(target, answer(200, FRESH, target))
                if answers_elsewhere(httpd, target, victim):
                    answered += 1
            assert answered >= 30
        finally:
            os.kill(victim, signal.SIGCONT)


def answers_elsewhere(httpd, target, victim):
    """Asks; a connection that the stopped child took does not count."""
    with httpd.connect(timeout=5) as connection:
        try:
            response = connection.get(target)
        except TimeoutError:
            assert httpd.child_serving(connection) == victim
            return False
        assert response.text == target
        return True
