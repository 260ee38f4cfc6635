# SPDX-License-Identifier: Apache-2.0
"""Clients that go on asking for random URLs, whose bodies carry their URL and
their own hash, so that a foreign, torn or mixed body shows."""
import hashlib
import random
import threading
import time

from .client import Truncated


class Load:
    def __init__(self, httpd, backend, prefix, clients=8, urls=40):
        self.httpd = httpd
        self.targets = ["%s-%d" % (prefix, n) for n in range(urls)]
        for number, target in enumerate(self.targets):
            backend.on(target, hashed(number))
        self.stop = threading.Event()
        self.wrong = []
        self.failed = 0
        self.good = 0
        self.seconds = []
        self.slowest = (0, None)
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self.run, args=(seed,),
                                         daemon=True)
                        for seed in range(clients)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        for thread in self.threads:
            thread.join(60)
            assert not thread.is_alive()

    def run(self, seed):
        chance = random.Random(seed)
        while not self.stop.is_set():
            try:
                with self.httpd.connect(timeout=30) as connection:
                    for _ in range(20):
                        self.one(connection, chance.choice(self.targets))
            except (OSError, Truncated, ValueError):
                with self.lock:
                    self.failed += 1

    def one(self, connection, target):
        began = time.monotonic()
        response = connection.get(target)
        taken = time.monotonic() - began
        sound = response.status == 200 and check_hash(response.body, target)
        with self.lock:
            self.seconds.append(taken)
            self.slowest = max(self.slowest, (taken, response.cache),
                               key=lambda seen: seen[0])
            if sound:
                self.good += 1
            else:
                self.wrong.append((target, response))


def hashed(number):
    """Short-lived bodies of many sizes, each with its URL and own hash."""
    def handler(exchange):
        chance = random.Random()
        filler = bytes([chance.randrange(256)]) * chance.choice(
            (10, 3000, 50000, 70000, 200000))
        body = exchange.request.path.encode() + b"|" + filler
        lifetime = chance.choice((0, 1, 60))
        exchange.respond(200, {
            "Cache-Control": "max-age=%d" % lifetime,
            "ETag": '"%s"' % hashlib.sha1(body).hexdigest()},
            sealed(body))
    return handler


def sealed(body):
    return hashlib.sha256(body).hexdigest().encode() + body


def check_hash(whole, target):
    digest, body = whole[:64], whole[64:]
    return (hashlib.sha256(body).hexdigest().encode() == digest
            and body.startswith(target.encode() + b"|"))
