# SPDX-License-Identifier: Apache-2.0
"""A memcached that is down, refuses, dies, freezes, is slow, comes back empty
or is full, seen from clients: every answer is right, none is much later than
without a store, Cache-Status and the log say what is wrong, and it is used
again within seconds of its return. With memcached alone and as a farther
tier. Times are printed (pytest -s)."""
import hashlib
import signal
import time

import pytest

from conftest import PROXY
from harness.backend import validating
from harness.bad_memcached import BadMemcached, honest
from harness.load import Load
from harness.memcached import Memcached
from harness.net import poll
from harness.steps import FRESH, STALE, stored
from harness.trouble import (ALONE, DETAILS, GROWTH, STORE_LOG, STORES, TIERS,
                             TIMEOUT, Visitor, breaker_lines, logged_once,
                             resident, said, soon_enough, uri)

CONFIG = PROXY + "ETagCache On\n"
VALIDATED = dict(FRESH, ETag='"v1"')


@pytest.fixture(params=sorted(STORES))
def store(request):
    """The directive, with room for the memcached URI."""
    return STORES[request.param]


@pytest.fixture
def memcached():
    with Memcached() as server:
        yield server


@pytest.fixture
def start(make_httpd, store):
    """start(address): an httpd over that server."""
    def start_it(address, more="", **options):
        httpd = make_httpd(CONFIG + store % uri(address, **options) + more,
                           start=False)
        httpd.log.claim(STORE_LOG)
        httpd.start()
        httpd.log.claim(STORE_LOG)
        return httpd
    return start_it


def suffers(visitor, what):
    """Asks until the breaker is open and for a while after; nothing is
    stored, nothing is late. The visits of the first part."""
    before = visitor.until("store-breaker-open")
    print("%s: %s" % (what, dict(said(before))))
    soon_enough(before, what + ", before the breaker opened")
    # More would have opened it: three of its own, and what the writer
    # thread adds.
    assert len(before) <= 8, before
    assert set(said(before)) <= DETAILS | {None}
    after = visitor.ask_new(30)
    soon_enough(after, what + ", breaker open", TIMEOUT / 4)
    # A probe may be under way, nobody waits for it.
    assert set(said(after)) == {"store-breaker-open"}
    assert not any(visit.stored and visit.hit for visit in after)
    return before


def recovers(httpd, visitor, what):
    print("%s: asked again %.1f s after its return"
          % (what, visitor.recovered()))
    assert all(visit.trouble is None for visit in visitor.ask_all())
    visitor.fill()
    lines = logged_once(httpd)
    assert lines[visitor.child][-2:] == ["opened", "healed"]


def test_trouble_600_down_at_the_start(start, backend, path):
    memcached = Memcached()
    httpd = start(memcached.address)
    with Visitor(httpd, backend, path) as visitor:
        suffers(visitor, "down at the start")
        with memcached:
            recovers(httpd, visitor, "down at the start")


def test_trouble_601_killed_and_started_again(start, backend, path,
                                              memcached):
    httpd = start(memcached.address)
    with Visitor(httpd, backend, path) as visitor:
        visitor.fill()
        memcached.kill()
        before = suffers(visitor, "killed")
        assert said(before)["store-down"] >= 1
        visitor.ask_all()
        memcached.start()
        recovers(httpd, visitor, "killed")


def test_trouble_602_frozen(start, backend, path, memcached):
    httpd = start(memcached.address)
    with Visitor(httpd, backend, path) as visitor:
        visitor.fill()
        memcached.freeze()
        before = suffers(visitor, "frozen")
        assert said(before)["store-timeout"] >= 1
        visitor.ask_all()
        memcached.thaw()
        recovers(httpd, visitor, "frozen")


def test_trouble_603_a_connection_that_is_accepted_by_nobody(
        start, backend, path, memcached):
    """Frozen before httpd ever spoke to it."""
    memcached.freeze()
    httpd = start(memcached.address)
    with Visitor(httpd, backend, path) as visitor:
        suffers(visitor, "frozen at the start")
        memcached.thaw()
        recovers(httpd, visitor, "frozen at the start")


def test_trouble_604_slow(start, backend, path, memcached):
    with BadMemcached(honest, real=memcached) as between:
        httpd = start(between.address)
        with Visitor(httpd, backend, path) as visitor:
            visitor.fill()
            between.delay = 0.3
            before = suffers(visitor, "slow, 300 ms")
            assert said(before)["store-timeout"] >= 1
            visitor.ask_all()
            between.delay = 0
            recovers(httpd, visitor, "slow, 300 ms")


def test_trouble_605_slower_but_within_the_timeout(start, backend, path,
                                                   memcached):
    with BadMemcached(honest, real=memcached) as between:
        httpd = start(between.address)
        with Visitor(httpd, backend, path) as visitor:
            visitor.fill()
            between.delay = TIMEOUT / 10
            for _ in range(3):
                visits = visitor.ask_all()
                assert all(visit.hit for visit in visits), visits
            visits = visitor.ask_new(20)
            assert set(said(visits)) == {None}


def test_trouble_606_restarted_empty(start, backend, path, memcached):
    httpd = start(memcached.address)
    with Visitor(httpd, backend, path) as visitor:
        visitor.fill()
        memcached.restart()
        soon_enough(visitor.ask_all() + visitor.ask_new(10),
                    "restarted empty")
        print("restarted empty: filled again %.1f s after"
              % visitor.recovered())
        visitor.fill()


def test_trouble_607_emptied_while_running(start, backend, path, memcached):
    """Not even a connection broke: whatever was there is a miss, the clock
    included, so that no near copy is trusted for longer than it may be."""
    httpd = start(memcached.address, "ETagCacheTierTTL 1s\n")
    with Visitor(httpd, backend, path) as visitor:
        visitor.fill()
        memcached.flush()
        for _ in range(3):
            visitor.ask_all()
        visitor.fill()
        assert not logged_once(httpd)


@pytest.mark.parametrize("words", [[], ["-M"]], ids=["evicts", "refuses"])
def test_trouble_608_full(start, backend, path, words):
    with Memcached(memory=8, words=words) as memcached:
        httpd = start(memcached.address)
        with Visitor(httpd, backend, path, count=4) as visitor:
            for round_number in range(6):
                # 40 pages of 49 KB on average: 12 MB in all
                for visit in visitor.ask_new(40):
                    assert visit.response.status == 200
                visitor.ask_all()
            stats = memcached.stats()
            if words:
                assert int(stats["evictions"]) == 0
            else:
                assert int(stats["evictions"]) > 0
                print("full: asked again after %.1f s"
                      % visitor.recovered())
            assert said(visitor.ask_new(20))[None] >= 10


def test_trouble_609_a_full_one_is_not_a_broken_one(start, backend, path):
    """What it refuses to take is not its failure to answer: what is there
    stays readable."""
    with Memcached(memory=8, words=["-M"]) as memcached:
        httpd = start(memcached.address)
        with Visitor(httpd, backend, path) as visitor:
            visitor.fill()
            visitor.ask_new(300)
            for _ in range(3):
                visits = visitor.ask_all()
                assert set(said(visits)) == {None}, visits


def test_trouble_610_no_memory_is_kept(start, backend, path, memcached):
    """Requests for a frozen server's keys pile nothing up: the queue of what
    is to be written is bounded."""
    httpd = start(memcached.address)
    with Visitor(httpd, backend, path) as visitor:
        visitor.fill()
        visitor.ask_new(100)
        memcached.freeze()
        visitor.until("store-breaker-open")
        visitor.ask_new(100)
        before = resident(httpd)
        visitor.ask_new(800)
        grown = resident(httpd) - before
        print("frozen, 800 new pages: %d KB grown" % (grown >> 10))
        assert grown < GROWTH
        memcached.thaw()
        recovers(httpd, visitor, "after 1,000 pages")


def test_trouble_611_each_child_says_so_once(start, backend, path, memcached):
    httpd = start(memcached.address, "ETagCacheTierTTL 1s\n")
    children = set(httpd.children())
    with Load(httpd, backend, path) as load:
        poll(lambda: load.good > 200, "some traffic")
        memcached.freeze()
        poll(lambda: breaker_lines(httpd), "a child gives it up")
        before = load.good
        poll(lambda: load.good > before + 400, "traffic while it is frozen")
        memcached.thaw()
        poll(lambda: all(words[-1] == "healed" for words
                         in logged_once(httpd).values()),
             "every child asks it again", 10)
    lines = logged_once(httpd)
    assert lines
    assert all(words == ["opened", "healed"] for words in lines.values())
    assert not load.wrong, load.wrong[:3]
    assert not load.failed
    assert children <= set(httpd.children())


def test_trouble_612_connecting_is_not_another_timeout(start, backend, path,
                                                       memcached):
    """A frozen server's kernel takes connections at once: what connecting
    may take is not what an answer may."""
    httpd = start(memcached.address, connect=5 * TIMEOUT)
    with Visitor(httpd, backend, path) as visitor:
        visitor.fill()
        memcached.freeze()
        suffers(visitor, "frozen, patient in connecting")
        memcached.thaw()
        recovers(httpd, visitor, "frozen, patient in connecting")


def test_trouble_613_near_copies_serve_meanwhile(make_httpd, backend, path,
                                                 memcached):
    """Within their trust as ever; past it they are asked about at the
    backend, and Cache-Status says why."""
    httpd = make_httpd(CONFIG + TIERS % uri(memcached.address)
                       + "ETagCacheTierTTL 2s\n")
    httpd.log.claim(STORE_LOG)
    with Visitor(httpd, backend, path, headers=VALIDATED) as visitor:
        visitor.fill()
        memcached.freeze()
        visitor.until("store-breaker-open")
        told = []

        def told_of_it():
            told.extend(visit for visit in visitor.ask_all()
                        if not visit.hit)
            return told
        poll(told_of_it, "copies past their trust")
        assert set(said(told)) == {"store-breaker-open"}, told
        # Confirmed by the backend, they are hits again.
        assert visitor.ask(told[0].target).hit


def lose_body(memcached, body):
    """Deletes the item of this body and nothing else."""
    key = "trouble:1e:" + hashlib.sha256(body).hexdigest()
    assert memcached.ask("delete " + key).startswith("DELETED")


def test_trouble_614_a_304_whose_body_is_gone(memcached, make_httpd, backend,
                                              path):
    """The record is there and valid, its body is not: the backend is asked
    for it."""
    httpd = make_httpd(CONFIG + ALONE % uri(memcached.address))
    body = b"validated body" * 100
    backend.on(path, validating(STALE, body=body))
    for _ in range(3):
        stored(httpd, backend, path)
        response = httpd.get(path)
        assert response.body == body
        assert response.cache["fwd-status"] == 304
        lose_body(memcached, body)
        response = httpd.get(path)
        assert (response.status, response.body) == (200, body), response
        assert backend.requests(path)[-1].get("If-None-Match") is None
        response = httpd.get(path, {"If-None-Match": '"v1"'})
        assert response.status == 304


def flap(memcached, load, times, seconds=3):
    for _ in range(times):
        for change in (memcached.freeze, memcached.thaw):
            change()
            before, until = load.good, time.monotonic() + seconds
            poll(lambda: load.good > before + 50
                 and time.monotonic() > until, "traffic all the time", 60)


@pytest.mark.parametrize("times", [
    2, pytest.param(10, marks=pytest.mark.slow)])
def test_trouble_620_flapping_under_load(start, backend, path, memcached,
                                         times):
    httpd = start(memcached.address)
    children = set(httpd.children())
    with Load(httpd, backend, path) as load:
        poll(lambda: load.good > 200, "some traffic")
        before = resident(httpd)
        flap(memcached, load, times)
        grown = resident(httpd) - before
    times_taken = sorted(load.seconds)
    print("flapping: %d requests, 99%% %.0f ms, slowest %.0f ms (%s), "
          "%d KB grown" % (len(times_taken),
                           times_taken[len(times_taken) * 99 // 100] * 1e3,
                           times_taken[-1] * 1e3, load.slowest[1],
                           grown >> 10))
    assert not load.wrong, load.wrong[:3]
    assert not load.failed
    assert children <= set(httpd.children())
    assert grown < GROWTH
    with Visitor(httpd, backend, path) as visitor:
        visitor.recovered()
        visitor.fill()
    logged_once(httpd)


@pytest.mark.parametrize("how", [signal.SIGWINCH, signal.SIGTERM],
                         ids=["graceful-stop", "stop"])
def test_trouble_630_stops_while_it_is_frozen(start, backend, path,
                                              memcached, how):
    httpd = start(memcached.address)
    with Visitor(httpd, backend, path) as visitor:
        visitor.fill()
        memcached.freeze()
        visitor.ask_new(5)
    began = time.monotonic()
    httpd.process.send_signal(how)
    # Itself, it ends 10 s after a SIGTERM those who do not end.
    httpd.process.wait(20)
    taken = time.monotonic() - began
    print("%s while frozen: %.1f s" % (how.name, taken))
    assert taken < 8
    assert "SIGKILL" not in httpd.log.text(whole=True)
    assert "still did not exit" not in httpd.log.text(whole=True)


def test_trouble_631_reloads_while_it_is_frozen(start, backend, path,
                                                memcached):
    httpd = start(memcached.address)
    with Visitor(httpd, backend, path) as visitor:
        visitor.fill()
        old = visitor.child
        memcached.freeze()
        visitor.ask_new(5)
    httpd.graceful()
    poll(lambda: old not in httpd.children(), "the end of the old child", 15)
    with Visitor(httpd, backend, path) as visitor:
        suffers(visitor, "after a reload")
        memcached.thaw()
        recovers(httpd, visitor, "after a reload")


def test_trouble_640_purges_say_that_they_did_not_arrive(start, backend,
                                                         path, memcached):
    """A purge that the shared store did not hear is not done."""
    httpd = start(memcached.address)
    httpd.log.claim("etag_cache")
    with Visitor(httpd, backend, path) as visitor:
        visitor.fill()
        memcached.freeze()
        visitor.until("store-breaker-open")
        response = httpd.request("PURGE", visitor.pages[0])
        assert response.status >= 500, response
        memcached.thaw()
        visitor.recovered()
        assert httpd.request("PURGE", visitor.pages[0]).status == 200
        assert not visitor.ask(visitor.pages[0]).hit
