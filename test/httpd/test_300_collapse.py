# SPDX-License-Identifier: Apache-2.0
"""One fetch serves everybody who asks at the same time; and what happens when
the one who fetches fails, leaves or dies. Times are printed (pytest -s)."""
import os
import signal
import threading

import pytest

from conftest import PROXY
from harness.backend import Counter, answer, in_turn
from harness.crowd import Crowd
from harness.net import poll
from harness.steps import FRESH, stored

CONFIG = PROXY + """
ETagCache On
<Location "/impatient/">
    ETagCacheCollapseWait 1s
</Location>
<Location "/alone/">
    ETagCacheCollapse Off
</Location>
"""


def all_well(responses, body=None):
    for response in responses:
        assert response is not None and response.status == 200, response
        if body is not None:
            assert response.body == body


def waiting(httpd, backend, path, count=1):
    """Until the backend has been asked `count` times."""
    poll(lambda: backend.hits(path) >= count, "the backend is asked")


def test_collapse_100_a_hundred_clients_one_fetch(httpd, backend, path):
    backend.on(path, Counter(answer(200, FRESH, b"shared")))
    with Crowd(httpd, 100) as crowd:
        responses = crowd.ask(path).answers()
        crowd.report("cold key, backend 500 ms")
    all_well(responses, b"shared")
    assert backend.hits(path) == 1
    led = [r for r in responses if r.cache.get("stored")]
    assert len(led) == 1
    others = [r for r in responses if not r.cache.get("stored")]
    assert all(r.hit or r.cache.get("collapsed") for r in others)
    assert any(r.cache.get("collapsed") for r in others)


def test_collapse_101_an_uncacheable_answer_is_remembered(httpd, backend,
                                                         path):
    counter = Counter(answer(200, {"Cache-Control": "private"}, b"own"))
    backend.on(path, counter)
    with Crowd(httpd, 60) as crowd:
        all_well(crowd.ask(path).answers(), b"own")
        crowd.report("uncacheable, first time")
    assert backend.hits(path) == 60
    counter.most = 0
    with Crowd(httpd, 60) as crowd:
        all_well(crowd.ask(path).answers(), b"own")
        crowd.report("uncacheable, remembered")
    assert backend.hits(path) == 120
    # Nobody was queued behind anybody.
    assert counter.most > 30, counter.most


def test_collapse_102_set_cookie_goes_to_its_own_client_only(httpd, backend,
                                                            path):
    def session(exchange):
        exchange.pause(0.3)
        exchange.respond(200, dict(FRESH, **{
            "Set-Cookie": "s=%d" % exchange.number}),
            b"%d" % exchange.number)
    backend.on(path, session)
    with Crowd(httpd, 30) as crowd:
        responses = crowd.ask(path).answers()
    all_well(responses)
    assert len({response.get("Set-Cookie") for response in responses}) == 30
    assert len({response.body for response in responses}) == 30


def test_collapse_103_a_page_of_six_seconds(httpd, backend, path):
    backend.on(path, Counter(answer(200, FRESH, b"slow"), 6))
    with Crowd(httpd, 50) as crowd:
        all_well(crowd.ask(path).answers(), b"slow")
        crowd.report("cold key, backend 6 s")
    assert backend.hits(path) == 1


def test_collapse_104_revalidation_is_collapsed(httpd, backend, path):
    headers = {"Cache-Control": "max-age=60", "Age": "120", "ETag": '"v"'}
    backend.on(path, answer(200, headers, b"body"))
    stored(httpd, backend, path)
    backend.on(path, Counter(answer(304, {"Cache-Control": "max-age=60",
                                          "ETag": '"v"'})))
    with Crowd(httpd, 50) as crowd:
        all_well(crowd.ask(path).answers(), b"body")
    assert backend.hits(path) == 1


def test_collapse_105_off_is_off(httpd, backend, path):
    path = "/alone" + path
    backend.on(path, Counter(answer(200, FRESH, b"each")))
    with Crowd(httpd, 20) as crowd:
        all_well(crowd.ask(path).answers(), b"each")
    assert backend.hits(path) > 1


def test_collapse_106_private_requests_never_share(httpd, backend, path):
    def own(exchange):
        exchange.pause(0.3)
        exchange.respond(200, FRESH, exchange.request.get(
            "Cookie", "nobody").encode())
    backend.on(path, own)
    with Crowd(httpd, 30, lambda n: {"Cookie": "u=%d" % n} if n % 2
               else {}) as crowd:
        responses = crowd.ask(path).answers()
    all_well(responses)
    for number, response in enumerate(responses):
        wanted = b"u=%d" % number if number % 2 else b"nobody"
        assert response.body == wanted


def test_collapse_107_variants_never_mix(httpd, backend, path):
    def varying(exchange):
        exchange.pause(0.3)
        exchange.respond(200, dict(FRESH, Vary="X-A"),
                         exchange.request.get("X-A").encode())
    backend.on(path, varying)
    with Crowd(httpd, 40, lambda n: {"X-A": "v%d" % (n % 4)}) as crowd:
        responses = crowd.ask(path).answers()
    all_well(responses)
    for number, response in enumerate(responses):
        assert response.body == b"v%d" % (number % 4)


def test_collapse_108_a_large_body_for_all(httpd, backend, path):
    body = bytes(index * 11 % 251 for index in range(2 << 20))
    backend.on(path, Counter(answer(200, FRESH, body), 0.3))
    with Crowd(httpd, 30) as crowd:
        all_well(crowd.ask(path).answers(), body)
    assert backend.hits(path) == 1


def test_collapse_109_conditions_of_followers_are_their_own(httpd, backend,
                                                           path):
    backend.on(path, Counter(answer(200, dict(FRESH, ETag='"e"'), b"0123")))
    with Crowd(httpd, 20, lambda n: {"If-None-Match": '"e"'} if n % 2
               else {}) as crowd:
        responses = crowd.ask(path).answers()
    for number, response in enumerate(responses):
        assert response.status == (304 if number % 2 else 200)
    assert backend.hits(path) == 1


def test_collapse_120_a_failed_fetch_is_tried_by_another(httpd, backend,
                                                        path):
    httpd.log.claim(r"\[proxy|AH0")
    release = threading.Event()

    def cut(exchange):
        exchange.wait(release)
        exchange.head(200, dict(FRESH, **{"Content-Length": "1000"}))
        exchange.send(b"only this")
        exchange.cut()
    backend.on(path, in_turn(cut, answer(200, FRESH, b"well")))
    with Crowd(httpd, 20) as crowd:
        crowd.ask(path)
        waiting(httpd, backend, path)
        release.set()
        responses = crowd.answers()
    good = [r for r in responses if r is not None]
    all_well(good, b"well")
    assert len(good) >= 19
    assert backend.hits(path) == 2


def test_collapse_121_backend_errors_reach_everybody(httpd, backend, path):
    backend.on(path, Counter(answer(503, {}, b"error"), 0.2))
    with Crowd(httpd, 20) as crowd:
        responses = crowd.ask(path).answers()
        crowd.report("backend says 503 after 200 ms")
    assert all(r.status == 503 and r.body == b"error" for r in responses)


def test_collapse_122_the_leaders_client_leaves(httpd, backend, path):
    release, half = threading.Event(), threading.Event()

    def slow(exchange):
        exchange.head(200, dict(FRESH, **{"Content-Length": "8"}))
        exchange.send(b"half")
        half.set()
        exchange.wait(release)
        exchange.send(b"half")
    backend.on(path, slow)
    leader = httpd.connect()
    leader.send_request("GET", path)
    assert half.wait(10)
    with Crowd(httpd, 10) as crowd:
        crowd.ask(path)
        leader.reset()
        release.set()
        all_well(crowd.answers(), b"halfhalf")
    assert backend.hits(path) == 1


def test_collapse_123_a_leader_with_a_slow_client_holds_nobody_up(
        httpd, backend, path):
    body = bytes(index * 7 % 250 for index in range(6 << 20))
    release = threading.Event()

    def slow(exchange):
        exchange.wait(release)
        exchange.respond(200, FRESH, body)
    backend.on(path, slow)
    leader = httpd.connect(receive_buffer=4096)
    leader.send_request("GET", path)
    waiting(httpd, backend, path)
    with Crowd(httpd, 5) as crowd:
        crowd.ask(path)
        followers_wait(httpd, backend, path)
        release.set()
        all_well(crowd.answers(20), body)
    assert backend.hits(path) == 1
    # The slow one gets the whole as well, at its own pace.
    assert leader.read_response().body == body
    leader.close()


def test_collapse_124_when_the_wait_ends_one_follower_leads(httpd, backend,
                                                           path):
    path = "/impatient" + path
    release = threading.Event()

    def stuck(exchange):
        exchange.wait(release)
        exchange.respond(200, FRESH, b"late")
    backend.on(path, in_turn(stuck, answer(200, FRESH, b"second", 0.3)))
    leader = httpd.connect()
    leader.send_request("GET", path)
    waiting(httpd, backend, path)
    with Crowd(httpd, 20) as crowd:
        all_well(crowd.ask(path).answers(), b"second")
        crowd.report("stuck leader, wait 1 s")
    assert backend.hits(path) == 2
    release.set()
    assert leader.read_response().body == b"late"
    leader.close()


def children_of(httpd, crowd):
    return {member: httpd.child_serving(member.connection)
            for member in crowd.members}


def spread_crowd(httpd, count, away_from):
    """Followers of whom some are served by another child than
    `away_from`."""
    for _ in range(20):
        crowd = Crowd(httpd, count)
        if any(pid != away_from
               for pid in children_of(httpd, crowd).values()):
            return crowd
        crowd.__exit__()
    raise AssertionError("all connections went to one child")


def followers_wait(httpd, backend, path):
    """A moment in which the followers are surely in: a request of another
    URL that came later has been answered in every child."""
    for number in range(8):
        backend.on("%s.later%d" % (path, number), answer(200, {}, b"later"))
        httpd.get("%s.later%d" % (path, number))


def start_stuck_leader(httpd, backend, path):
    release = threading.Event()

    def first(exchange):
        exchange.wait(release)
        exchange.respond(200, FRESH, b"first")
    backend.on(path, in_turn(first, answer(200, FRESH, b"second", 0.3)))
    leader = httpd.connect()
    leader.send_request("GET", path)
    waiting(httpd, backend, path)
    return leader, httpd.child_serving(leader), release


def test_collapse_130_the_leaders_child_is_killed(httpd, backend, path):
    leader, child, release = start_stuck_leader(httpd, backend, path)
    with spread_crowd(httpd, 30, child) as crowd:
        where = children_of(httpd, crowd)
        crowd.ask(path)
        followers_wait(httpd, backend, path)
        os.kill(child, signal.SIGKILL)
        crowd.answers()
        crowd.report("leader's child killed")
        outside = [m for m in crowd.members if where[m] != child]
        all_well([m.response for m in outside], b"second")
    assert backend.hits(path) == 2
    release.set()
    leader.close()


def test_collapse_131_a_followers_child_is_killed(httpd, backend, path):
    leader, child, release = start_stuck_leader(httpd, backend, path)
    with spread_crowd(httpd, 30, child) as crowd:
        where = children_of(httpd, crowd)
        victim = next(pid for pid in where.values() if pid != child)
        crowd.ask(path)
        followers_wait(httpd, backend, path)
        os.kill(victim, signal.SIGKILL)
        poll(lambda: victim not in httpd.children(), "the child's end")
        release.set()
        crowd.answers()
        others = [m for m in crowd.members if where[m] != victim]
        all_well([m.response for m in others], b"first")
    assert leader.read_response().body == b"first"
    leader.close()
    assert backend.hits(path) == 1


@pytest.mark.parametrize("round_number", range(3))
def test_collapse_132_it_still_works_after_deaths(httpd, backend, path,
                                                  round_number):
    backend.on(path, Counter(answer(200, FRESH, b"alive"), 0.2))
    with Crowd(httpd, 40) as crowd:
        all_well(crowd.ask(path).answers(), b"alive")
    assert backend.hits(path) == 1


def test_collapse_140_ranges_and_heads_are_not_collapsed(httpd, backend,
                                                        path):
    counter = Counter(answer(206, {"Content-Range": "bytes 0-0/4"}, b"0"),
                      0.3)
    backend.on(path, counter)
    with Crowd(httpd, 10, lambda n: {"Range": "bytes=0-0"}) as crowd:
        responses = crowd.ask(path).answers()
    assert all(r.status == 206 for r in responses)
    assert counter.most > 3 and backend.hits(path) == 10
