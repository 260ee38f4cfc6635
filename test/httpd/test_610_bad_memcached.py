# SPDX-License-Identifier: Apache-2.0
"""Servers that are no memcached, and memcacheds whose answers are wrong. No
byte of theirs reaches a client, no child dies or grows, and once an honest
one is there it is used, without a restart."""
import pytest

from conftest import PROXY
from harness import bad_memcached
from harness.backend import answer
from harness.bad_memcached import BadMemcached, honest
from harness.memcached import Memcached
from harness.steps import FRESH
from harness.trouble import (DETAILS, GROWTH, STORE_LOG, STORES, TIMEOUT,
                             Visitor, logged_once, resident, said,
                             soon_enough, uri)

CONFIG = PROXY + "ETagCache On\n"

FOREIGN = ["silent", "hangs_up", "garbage", "http", "endless_noise",
           "endless_values", "four_gigabytes", "negative_length"]
BROKEN = ["drips", "cut_in_value", "stuck_in_value", "short_value",
          "flipped_bit", "wrong_key", "anothers_value", "everything_twice",
          "out_of_memory", "takes_in_vain"]
# These answer, in due time and form: that nothing useful is in it is a miss.
WELL_FORMED = {"short_value", "flipped_bit", "anothers_value",
               "out_of_memory", "takes_in_vain"}


@pytest.fixture(params=sorted(STORES))
def store(request):
    return STORES[request.param]


@pytest.fixture
def start(make_httpd, store):
    def start_it(address, more=""):
        httpd = make_httpd(CONFIG + store % uri(address) + more,
                           start=False)
        httpd.log.claim(STORE_LOG)
        httpd.start()
        httpd.log.claim(STORE_LOG)
        return httpd
    return start_it


@pytest.mark.parametrize("behaviour", FOREIGN)
def test_bad_memcached_100_no_memcached_at_all(start, backend, path,
                                               behaviour):
    with BadMemcached(getattr(bad_memcached, behaviour)) as bad:
        httpd = start(bad.address)
        children = set(httpd.children())
        with Visitor(httpd, backend, path) as visitor:
            before = resident(httpd)
            visits = visitor.until("store-breaker-open")
            print("%s: %s" % (behaviour, dict(said(visits))))
            soon_enough(visits, behaviour)
            assert set(said(visits)) <= DETAILS | {None}
            after = visitor.ask_new(30)
            soon_enough(after, behaviour + ", breaker open", TIMEOUT / 4)
            visitor.ask_all()
            assert bad.asked >= 3
            grown = resident(httpd) - before
            print("%s: %d KB grown" % (behaviour, grown >> 10))
            assert grown < GROWTH
            bad.close()
            with Memcached() as honest_one:
                put_on(honest_one, bad.port)
                print("%s: asked again %.1f s after"
                      % (behaviour, visitor.recovered()))
                visitor.fill()
                logged_once(httpd)
        assert children <= set(httpd.children())


def put_on(memcached, port):
    """Has it listen on this port instead."""
    memcached.kill()
    memcached.port = port
    memcached.start()


@pytest.mark.parametrize("behaviour", BROKEN)
def test_bad_memcached_110_wrong_answers(start, backend, path, behaviour):
    with Memcached() as memcached, \
            BadMemcached(honest, real=memcached) as bad:
        httpd = start(bad.address, "ETagCacheTierTTL 1s\n")
        children = set(httpd.children())
        with Visitor(httpd, backend, path) as visitor:
            visitor.fill()
            before = resident(httpd)
            bad.behave = getattr(bad_memcached, behaviour)
            visits = []
            for _ in range(3):
                visits += visitor.ask_all() + visitor.ask_new(10)
                visits += [visitor.ask(visit.target)
                           for visit in visits[-10:]]
            print("%s: %s" % (behaviour, dict(said(visits))))
            soon_enough(visits, behaviour)
            assert bad.spoiled > 0
            if behaviour in WELL_FORMED:
                # (A busy machine is slow now and then.)
                assert set(said(visits)) <= {None, "store-timeout"}
                assert said(visits)[None] > len(visits) // 2
            # No lease that cannot be read is waited for (3 s).
            assert max(visit.seconds for visit in visits) < 2, visits
            grown = resident(httpd) - before
            print("%s: %d KB grown" % (behaviour, grown >> 10))
            assert grown < GROWTH
            bad.behave = honest
            print("%s: asked again %.1f s after"
                  % (behaviour, visitor.recovered()))
            visitor.fill()
            logged_once(httpd)
        assert children <= set(httpd.children())


def test_bad_memcached_111_late_replies_are_nobodys(start, backend, path):
    """Replies that come when nobody waits for them any more are not read by
    the next one who uses the connection."""
    with Memcached() as memcached, \
            BadMemcached(honest, real=memcached) as between:
        httpd = start(between.address, "ETagCacheTierTTL 1s\n")
        with Visitor(httpd, backend, path) as visitor:
            visitor.fill()
            for _ in range(4):
                between.delay = TIMEOUT * 1.2
                visitor.ask_all()
                between.delay = 0
                visitor.ask_all()
                visitor.recovered()
            visitor.fill()


def test_bad_memcached_112_a_large_body_is_cut(start, backend, path):
    """In mid-body, chunk by chunk: the page comes from the backend, whole."""
    with Memcached(memory=128) as memcached, \
            BadMemcached(honest, real=memcached) as bad:
        httpd = start(bad.address, "ETagCacheMaxObject 32M\n"
                      "ETagCacheTierTTL 1s\n")
        body = bytes(index * 11 % 251 for index in range(6 << 20))
        backend.on(path + "-large", answer(200, FRESH, body))
        with Visitor(httpd, backend, path, count=2) as visitor:
            visitor.fill()
            for behaviour in ("cut_in_value", "stuck_in_value", "drips",
                              "flipped_bit", "anothers_value"):
                for _ in range(2):
                    assert httpd.get(path + "-large").body == body
                bad.behave = getattr(bad_memcached, behaviour)
                assert httpd.get(path + "-large").body == body, behaviour
                bad.behave = honest
                visitor.recovered()
