# SPDX-License-Identifier: Apache-2.0
"""ETagCacheRefreshAhead: what is in use is refreshed before it expires.

The lifetimes are four seconds and refreshed from a quarter on, for certain
from five eighths on, so that a busy machine has time before they expire."""
import pytest

from conftest import PROXY
from harness.backend import answer, counting, in_turn, validating
from harness.behind import Held, ends, wait_for_ends
from harness.httpd import mpm
from harness.net import poll
from harness.steps import stored

pytestmark = pytest.mark.skipif(mpm() == "prefork", reason="needs threads")

CONFIG = PROXY + """
ETagCache On
StartServers 3
ServerLimit 4
<Location "/ahead/">
    ETagCacheRefreshAhead 0.25
</Location>
"""

BRIEF = {"Cache-Control": "max-age=4", "ETag": '"v1"'}


def poll_hits(httpd, path, until, method="GET", timeout=30):
    """Asks and asks until until(): every answer is a fresh hit."""
    with httpd.connect() as connection:
        def ask():
            response = connection.request(method, path)
            assert response.status == 200
            assert response.hit and response.cache["ttl"] >= 0, response.cache
            return until()
        poll(ask, "the end of asking for %s" % path, timeout)


def first_miss(httpd, path, method="GET"):
    """Asks and asks until an answer is no hit."""
    with httpd.connect() as connection:
        def ask():
            response = connection.request(method, path)
            return None if response.hit else response
        return poll(ask, "the end of the lifetime")


def test_ahead_100_in_use_it_never_expires(httpd, backend, path):
    path = "/ahead" + path
    backend.on(path, counting(BRIEF))
    stored(httpd, backend, path)
    poll_hits(httpd, path, lambda: backend.hits(path) >= 4)
    assert ends(httpd, path)[0] == ("refresh", 200, True)
    times = [request.at for request in backend.requests(path)]
    # Not before a quarter of what is left of four seconds when it came,
    # which Date, in whole seconds, may say was one less.
    assert all(b - a > 0.5 for a, b in zip(times, times[1:])), times


def test_ahead_101_a_304_gives_it_another_lifetime(httpd, backend, path):
    path = "/ahead" + path
    backend.on(path, validating({"Cache-Control": "max-age=4"}))
    stored(httpd, backend, path)
    poll_hits(httpd, path, lambda: backend.hits(path) >= 4)
    asked = backend.requests(path)
    assert [request.get("If-None-Match") for request in asked[1:4]] \
        == ['"v1"'] * 3


def test_ahead_102_nobody_waits_for_it(httpd, backend, path):
    """The backend holds the refresh back while clients are answered."""
    path = "/ahead" + path
    held = Held(answer(200, BRIEF, b"new"))
    backend.on(path, in_turn(answer(200, BRIEF, b"old"), held))
    stored(httpd, backend, path)
    poll_hits(httpd, path, lambda: backend.hits(path) == 2)
    for _ in range(20):
        response = httpd.get(path)
        assert response.hit and response.body == b"old"
    assert backend.hits(path) == 2
    held.go.set()
    wait_for_ends(httpd, path)
    assert httpd.get(path).body == b"new"


def test_ahead_103_a_single_hit_does_not_count(httpd, backend, path):
    """HEADs look on until the second half of its life and do not count
    either."""
    path = "/ahead" + path
    backend.on(path, counting(BRIEF))
    stored(httpd, backend, path)

    def is_old():
        return httpd.head(path).age >= 3
    poll_hits(httpd, path, is_old, "HEAD")
    assert httpd.get(path).hit
    response = first_miss(httpd, path, "HEAD")
    assert response.cache["fwd"] == "stale", response.cache
    assert not ends(httpd, path)


def test_ahead_104_what_is_stored_anew_is_counted_anew(httpd, backend, path):
    """Refreshed once by two hits; then a single one is none."""
    path = "/ahead" + path
    backend.on(path, counting(BRIEF))
    stored(httpd, backend, path)
    poll_hits(httpd, path, lambda: ends(httpd, path))
    assert httpd.get(path).body == b"answer 2"
    first_miss(httpd, path, "HEAD")
    assert len(ends(httpd, path)) == 1


def test_ahead_105_off_is_off(httpd, backend, path):
    backend.on(path, counting(BRIEF))
    stored(httpd, backend, path)
    assert first_miss(httpd, path).body == b"answer 2"
    assert backend.hits(path) == 2
    assert not ends(httpd, path)


def test_ahead_106_a_failing_backend_leaves_it_until_it_expires(httpd,
                                                                backend,
                                                                path):
    path = "/ahead" + path
    backend.on(path, in_turn(answer(200, BRIEF, b"good"), answer(500, {},
                                                                 b"bad")))
    stored(httpd, backend, path)
    with httpd.connect() as connection:
        def ask():
            response = connection.get(path)
            assert response.body == (b"good" if response.hit else b"bad")
            return not response.hit
        poll(ask, "the end of the lifetime")
    failed = ends(httpd, path)
    assert failed and set(failed) == {("refresh", 500, False)}
    # One a second, however many ask.
    assert len(failed) <= 4


def test_ahead_107_processes_do_it_together(httpd, backend, path):
    """Clients of all children ask all the time: each lifetime is refreshed
    once."""
    path = "/ahead" + path
    backend.on(path, counting(BRIEF))
    stored(httpd, backend, path)
    connections = {}

    def one_of_each():
        connection = httpd.connect()
        connection.get(path)
        connections.setdefault(httpd.child_serving(connection), connection)
        return len(connections) >= 2
    poll(one_of_each, "connections with two children")

    def ask():
        for connection in connections.values():
            assert connection.get(path).hit
        return backend.hits(path) >= 4
    poll(ask, "three refreshes", 30)
    for connection in connections.values():
        connection.close()
    times = [request.at for request in backend.requests(path)]
    assert all(b - a > 0.5 for a, b in zip(times, times[1:])), times


def test_ahead_108_children_count_together(httpd, backend, path):
    """One hit in each of two children makes two."""
    path = "/ahead" + path
    backend.on(path, counting(BRIEF))
    stored(httpd, backend, path)
    connections = {}

    def one_of_each():
        connection = httpd.connect()
        connection.request("HEAD", path)
        connections.setdefault(httpd.child_serving(connection), connection)
        return len(connections) >= 2
    poll(one_of_each, "connections with two children", 2)
    poll_hits(httpd, path, lambda: httpd.head(path).age >= 3, "HEAD")
    for connection in connections.values():
        assert connection.get(path).hit
        connection.close()
    assert wait_for_ends(httpd, path) == ("refresh", 200, True)


def test_ahead_110_configtest_tells_what_is_wrong(make_httpd):
    for value in ("1.5", "-0.1", "sometimes"):
        httpd = make_httpd("ETagCacheRefreshAhead %s\n" % value, start=False)
        status, text = httpd.configtest()
        assert status != 0 and 'ETagCacheRefreshAhead: "%s"' % value in text
    for value in ("Off", "0", "0.8", "1"):
        httpd = make_httpd("ETagCacheRefreshAhead %s\n" % value, start=False)
        assert httpd.configtest()[0] == 0
