# SPDX-License-Identifier: Apache-2.0
"""ETagCachePatience: a client waits so long for a slow backend, then gets the
stale response, and the fetch goes on without it."""
import pytest

from conftest import PROXY
from harness.backend import answer, in_turn, validating
from harness.behind import Held, ends, traces, wait_for_ends
from harness.crowd import Crowd
from harness.httpd import mpm
from harness.net import poll
from harness.steps import stored

pytestmark = pytest.mark.skipif(mpm() == "prefork", reason="needs threads")

CONFIG = PROXY + """
ETagCache On
ETagCacheStaleIfError 10m
<Location "/brief/">
    ETagCachePatience 100ms
</Location>
<Location "/long/">
    ETagCachePatience 30s
</Location>
<Location "/reload/">
    ETagCachePatience 100ms
    ETagCacheAllowReload On
</Location>
<Location "/strict/">
    ETagCachePatience 100ms
    ETagCacheStaleIfError 0
</Location>
<Location "/waits-less/">
    ETagCachePatience 10m
    ETagCacheCollapseWait 100ms
</Location>
"""

PROXY_LOG = r"\[proxy|AH0"
FRESH = {"Cache-Control": "max-age=60", "ETag": '"v2"'}


def old(control="max-age=60", **more):
    return dict({"Cache-Control": control, "Age": "120", "ETag": '"v1"'},
                **more)


def keep_stale(httpd, backend, path, then, **fields):
    backend.on(path, answer(200, old(**fields), b"old"))
    stored(httpd, backend, path)
    backend.on(path, then)


@pytest.mark.parametrize("route", ["/brief", "/waits-less"])
def test_patience_100_ends_with_the_stale_response(httpd, backend, path,
                                                   route):
    """The backend has not answered yet when the client has its answer."""
    path = route + path
    held = Held(answer(200, FRESH, b"new"))
    keep_stale(httpd, backend, path, held)
    response = httpd.get(path)
    assert (response.status, response.body) == (200, b"old")
    assert response.hit and response.cache["detail"] == "patience"
    assert response.cache["ttl"] < 0
    assert not ends(httpd, path)
    held.go.set()
    assert wait_for_ends(httpd, path) == ("refresh", 200, True)
    assert httpd.get(path).body == b"new"
    assert backend.hits(path) == 1
    poll(lambda: "refresh, stale" in traces(httpd, path), "the trace")


def test_patience_101_a_backend_in_time_answers_everybody(httpd, backend,
                                                          path):
    path = "/long" + path
    held = Held(answer(200, FRESH, b"new"))
    keep_stale(httpd, backend, path, held)
    with Crowd(httpd, 20) as crowd:
        crowd.ask(path)
        poll(lambda: backend.hits(path), "the refresh")
        held.go.set()
        for response in crowd.answers():
            assert response is not None and response.body == b"new"
            assert "detail" not in response.cache
    assert backend.hits(path) == 1


def test_patience_102_a_304_in_time_answers_as_well(httpd, backend, path):
    path = "/long" + path
    backend.on(path, answer(200, old(), b"old"))
    stored(httpd, backend, path)
    backend.on(path, validating({"Cache-Control": "max-age=60"}))
    response = httpd.get(path)
    assert response.body == b"old" and response.cache["ttl"] > 0
    assert backend.hits(path) == 1


def test_patience_103_of_many_clients_none_asks_the_backend_itself(
        httpd, backend, path):
    path = "/brief" + path
    held = Held(answer(200, FRESH, b"new"))
    keep_stale(httpd, backend, path, held)
    with Crowd(httpd, 30) as crowd:
        for response in crowd.ask(path).answers():
            assert response is not None and response.body == b"old"
        crowd.report("a patience of 100 ms")
    assert backend.hits(path) == 1
    held.go.set()
    wait_for_ends(httpd, path)


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_patience_104_a_failure_in_time_gives_the_stale_one(httpd, backend,
                                                            path, status):
    path = "/long" + path
    keep_stale(httpd, backend, path, answer(status, {}, b"error"))
    response = httpd.get(path)
    assert (response.status, response.body) == (200, b"old")
    assert response.cache["detail"] == "stale-if-error"
    assert backend.hits(path) == 1
    backend.on(path, answer(200, FRESH, b"new"))
    poll(lambda: httpd.get(path).body == b"new", "a later refresh")


def test_patience_105_so_does_a_cut_connection(httpd, backend, path):
    httpd.log.claim(PROXY_LOG)
    path = "/long" + path
    keep_stale(httpd, backend, path, lambda exchange: exchange.cut())
    response = httpd.get(path)
    assert (response.status, response.body) == (200, b"old")
    assert response.cache["detail"] == "stale-if-error"


@pytest.mark.parametrize("status", [200, 404, 410])
def test_patience_106_what_cannot_be_shared_is_fetched_by_the_client(
        httpd, backend, path, status):
    path = "/long" + path
    no_store = {"Cache-Control": "no-store"}
    keep_stale(httpd, backend, path,
               in_turn(answer(status, no_store, b"one"),
                       answer(status, no_store, b"two")))
    response = httpd.get(path)
    assert (response.status, response.body) == (status, b"two")
    assert not response.hit
    assert backend.hits(path) == 2


@pytest.mark.parametrize("status", [302, 401, 403, 412, 429])
def test_patience_108_an_answer_that_is_no_failure_is_not_hidden(
        httpd, backend, path, status):
    path = "/long" + path
    keep_stale(httpd, backend, path,
               answer(status, {"Location": "/elsewhere"}, b"said"))
    for _ in range(2):               # the second within the pause
        response = httpd.get(path)
        assert (response.status, response.body) == (status, b"said")
        assert not response.hit


def test_patience_107_what_lives_no_moment_still_answers_who_waited(
        httpd, backend, path):
    path = "/long" + path
    keep_stale(httpd, backend, path,
               answer(200, {"Cache-Control": "max-age=0", "ETag": '"v2"'},
                      b"new"))
    assert httpd.get(path).body == b"new"
    assert backend.hits(path) == 1


STRICT = ["max-age=60, must-revalidate", "s-maxage=60",
          "no-cache, max-age=60", "max-age=60, stale-if-error=10"]


@pytest.mark.parametrize("control", STRICT)
def test_patience_110_not_where_stale_is_not_allowed(httpd, backend, path,
                                                     control):
    path = "/brief" + path
    keep_stale(httpd, backend, path, answer(200, FRESH, b"new", 0.3),
               control=control)
    assert httpd.get(path).body == b"new"
    assert not ends(httpd, path)


def test_patience_111_not_where_the_route_allows_no_stale(httpd, backend,
                                                          path):
    path = "/strict" + path
    keep_stale(httpd, backend, path, answer(200, FRESH, b"new", 0.3))
    assert httpd.get(path).body == b"new"
    assert not ends(httpd, path)


def test_patience_112_not_for_who_asks_for_a_reload(httpd, backend, path):
    path = "/reload" + path
    keep_stale(httpd, backend, path, answer(200, FRESH, b"new", 0.3))
    assert httpd.get(path, {"Cache-Control": "no-cache"}).body == b"new"
    assert not ends(httpd, path)


def test_patience_113_not_for_a_miss(httpd, backend, path):
    path = "/brief" + path
    backend.on(path, answer(200, FRESH, b"new", 0.3))
    assert httpd.get(path).body == b"new"
    assert not ends(httpd, path)


def test_patience_114_routes_without_it_wait(httpd, backend, path):
    keep_stale(httpd, backend, path, answer(200, FRESH, b"new", 0.3))
    assert httpd.get(path).body == b"new"
    assert not ends(httpd, path)
