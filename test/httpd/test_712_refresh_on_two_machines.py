# SPDX-License-Identifier: Apache-2.0
"""A response that goes stale on two machines is refreshed by one of them."""
import pytest

from conftest import PROXY
from harness.backend import answer
from harness.behind import Held, ends
from harness.crowd import Crowd
from harness.httpd import mpm
from harness.machines import peek, share
from harness.net import poll

pytestmark = pytest.mark.skipif(mpm() == "prefork", reason="needs threads")

CONFIG = PROXY + """
ETagCache On
<Location "/patient/">
    ETagCacheStaleIfError 10m
    ETagCachePatience 20s
</Location>
"""
SHORT = {"Cache-Control": "max-age=1, stale-while-revalidate=600",
         "ETag": '"v1"'}
FRESH = {"Cache-Control": "max-age=60", "ETag": '"v2"'}


def test_two_machines_100_refresh_once(machines, backend, path):
    a, b = machines
    backend.on(path, answer(200, SHORT, b"old"))
    share(a, [b], backend, path)
    held = Held(answer(200, FRESH, b"new"))
    backend.on(path, held)
    for httpd in machines:
        poll(lambda: httpd.get(path).cache.get("ttl", 0) < 0,
             "a stale answer")
    with Crowd(a, 20) as of_a, Crowd(b, 20) as of_b:
        for crowd in (of_a.ask(path), of_b.ask(path)):
            for response in crowd.answers():
                assert response is not None and response.body == b"old"
        poll(lambda: backend.hits(path), "the refresh")
        # the other one has tried by now, or tries in vain
        poll(lambda: ends(a, path) or ends(b, path), "a refresh that yields")
        assert backend.hits(path) == 1
        held.go.set()
        for httpd in machines:
            poll(lambda: httpd.get(path).body == b"new", "the new one")
    assert backend.hits(path) == 1


def test_two_machines_101_patience_is_with_the_other_one_too(machines,
                                                             backend, path):
    """Clients of both wait for the one fetch."""
    path = "/patient" + path
    backend.on(path, answer(200, {"Cache-Control": "max-age=60",
                                  "Age": "59", "ETag": '"v1"'}, b"old"))
    for httpd in machines:
        httpd.get(path)
    held = Held(answer(200, FRESH, b"new"))
    backend.on(path, held)
    for httpd in machines:
        poll(lambda: peek(httpd, path) is None, "the end of its freshness")
    with Crowd(machines.httpds[0], 10) as of_a, \
            Crowd(machines.httpds[1], 10) as of_b:
        of_a.ask(path)
        of_b.ask(path)
        poll(lambda: backend.hits(path), "the fetch")
        held.go.set()
        for crowd in (of_a, of_b):
            for response in crowd.answers():
                assert response is not None and response.body == b"new"
    assert backend.hits(path) == 1
