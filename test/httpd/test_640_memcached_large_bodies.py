# SPDX-License-Identifier: Apache-2.0
"""Bodies of many megabytes, of unknown length and of any size through
memcached: another httpd sends them byte for byte, or not at all."""
import hashlib
import random
import threading

import pytest

from conftest import PROXY
from harness.backend import answer
from harness.client import Truncated
from harness.memcached import Memcached
from harness.net import poll
from harness.steps import FRESH
from harness.trouble import ALONE, STORE_LOG, STORES, uri

CONFIG = PROXY + "ETagCache On\nETagCacheMaxObject 32M\n"


@pytest.fixture
def memcached():
    with Memcached(memory=128) as server:
        yield server


def pattern(length, seed=1):
    return random.Random(seed).randbytes(length)


def two(make_httpd, store, memcached):
    """Two httpds that share this server; a long timeout, because sanitizers
    and busy machines take theirs for 20 MB."""
    config = CONFIG + store % uri(memcached.address, timeout=2)
    return make_httpd(config), make_httpd(config)


def hit_elsewhere(other, target, body):
    """Until the other httpd has it from the store; each answer is right."""
    def hit():
        response = other.get(target)
        assert response.status == 200
        assert len(response.body) == len(body)
        assert response.body == body
        return response.hit
    poll(hit, "a hit on the other httpd")


@pytest.mark.parametrize("store", sorted(STORES))
@pytest.mark.parametrize("length", [999999, 1000000, 1000001, 20 << 20])
def test_large_100_byte_for_byte(memcached, make_httpd, backend, path, store,
                                 length):
    body = pattern(length)
    backend.on(path, answer(200, FRESH, body))
    one, other = two(make_httpd, STORES[store], memcached)
    assert one.get(path).body == body
    asked = backend.hits(path)
    hit_elsewhere(other, path, body)
    print("%d bytes: %d more requests to the backend"
          % (length, backend.hits(path) - asked))
    tail = other.get(path, {"Range": "bytes=-5"})
    assert (tail.status, tail.body) == (206, body[-5:])


@pytest.mark.parametrize("store", sorted(STORES))
def test_large_101_of_unknown_length(memcached, make_httpd, backend, path,
                                     store):
    body = pattern(5 << 20, 2)

    def chunked(exchange):
        exchange.head(200, dict(FRESH, **{"Transfer-Encoding": "chunked"}))
        at = 0
        for step in (1, 10, 999999, 500000, 500001, 3 << 20):
            if body[at:at + step]:
                exchange.chunk(body[at:at + step])
            at += step
        if body[at:]:
            exchange.chunk(body[at:])
        exchange.end_chunks()
    backend.on(path, chunked)
    one, other = two(make_httpd, STORES[store], memcached)
    assert one.get(path).body == body
    hit_elsewhere(other, path, body)


def test_large_102_a_backend_that_breaks_off_leaves_nothing(
        memcached, make_httpd, backend, path):
    body = pattern(3 << 20, 3)
    broken = threading.Event()

    def breaks_off(exchange):
        if broken.is_set():
            exchange.respond(200, FRESH, body)
            return
        exchange.head(200, dict(FRESH, **{"Transfer-Encoding": "chunked"}))
        exchange.chunk(body[:2 << 20])
        exchange.cut()
    backend.on(path, breaks_off)
    one, other = two(make_httpd, ALONE, memcached)
    one.log.claim(r"\[proxy|AH0|" + STORE_LOG)
    with pytest.raises(Truncated):
        one.get(path)
    broken.set()
    response = other.get(path)
    assert not response.hit and response.body == body


def seeded(number):
    """1 B to 5 MB, small ones as likely as large ones."""
    chance = random.Random(number)
    return chance.randbytes(int(2 ** chance.uniform(0, 22.25)))


@pytest.mark.parametrize("count", [
    60, pytest.param(1000, marks=pytest.mark.slow)])
def test_large_110_random_bodies_under_eviction(make_httpd, backend, path,
                                                count):
    """Several clients of two httpds over a memcached of 16 MB: it evicts all
    the time, chunks as well."""
    targets = ["%s-%d" % (path, number) for number in range(count)]
    for number, target in enumerate(targets):
        backend.on(target, lambda exchange, number=number: exchange.respond(
            200, FRESH, seeded(number)))
    digests = [hashlib.sha256(seeded(number)).digest()
               for number in range(count)]
    wrong, hits, lock = [], [0, 0], threading.Lock()

    def client(httpd, seed):
        chance = random.Random(seed)
        order = list(range(count))
        chance.shuffle(order)
        with httpd.connect() as connection:
            for number in order:
                # Now and then one that was just asked for, a likely hit.
                for asked in {number, order[chance.randrange(8)]}:
                    response = connection.get(targets[asked])
                    sound = (response.status == 200 and hashlib.sha256(
                        response.body).digest() == digests[asked])
                    with lock:
                        hits[response.hit] += 1
                        if not sound:
                            wrong.append((targets[asked], response))

    with Memcached(memory=16, threads=2) as memcached:
        pair = two(make_httpd, ALONE, memcached)
        for httpd in pair:
            httpd.log.claim(STORE_LOG)
        threads = [threading.Thread(target=client, args=(pair[n % 2], n))
                   for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        evicted = memcached.count("evictions")
    print("%d bodies: %d answers, %d hits, %d evictions"
          % (count, sum(hits), hits[True], evicted))
    assert not wrong, wrong[:3]
    assert hits[True] > 0 and evicted > 0
