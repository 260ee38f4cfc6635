# SPDX-License-Identifier: Apache-2.0
"""A writer that moves the parts of composites all the time, and readers who
ask for those with tags they hold.

The writer notes for each version of a part when it began to be and when the
next one had been announced (a part that our cache keeps is purged). Readers
note when they sent a request and had its answer. An answer is right if each
part it shows was there at some moment between those two; a 304 shows what its
tag stands for. A part that our cache keeps is there until its purge has been
answered."""
import collections
import json
import random
import threading
import time

Seen = collections.namedtuple("Seen", "sent received status versions tag")
EVER = float("inf")


class Moving:
    """A part: versions count up. `purge`: fields of the PURGE that announces
    one, where our cache keeps it."""

    def __init__(self, name, fields, has_tag=True, is_kept=False):
        self.name = name
        self.fields = dict(fields, **{"Surrogate-Key": "race-" + name})
        self.has_tag = has_tag
        self.is_kept = is_kept
        self.version = 1
        self.begin = {1: 0}
        self.end = {}

    def answer(self, exchange):
        version = self.version
        tag = '"%d"' % version if self.has_tag else None
        fields = dict(self.fields, ETag=tag)
        condition = exchange.request.get("If-None-Match")
        if tag is not None and condition in (tag, "*"):
            exchange.respond(304, fields)
        else:
            exchange.respond(200, fields, b'{"version": %d}' % version)

    def move(self, announce):
        version = self.version
        self.begin[version + 1] = time.monotonic()
        self.version = version + 1
        if self.is_kept:
            announce(self)
        self.end[version] = time.monotonic()

    def was_there(self, version, seen):
        return version in self.begin and self.begin[version] <= seen.received \
            and self.end.get(version, EVER) >= seen.sent


class Race:
    """race = Race(httpd, target, parts); race.run(requests)."""

    def __init__(self, httpd, target, parts, seed, clients=4, pause=0.004):
        self.httpd = httpd
        self.target = target
        self.parts = parts
        self.seed = seed
        self.pause = pause
        self.clients = clients
        self.left = 0
        self.lock = threading.Lock()
        self.done = threading.Event()
        self.seen = []
        self.tags = {}                  # tag -> versions
        self.torn = []
        self.errors = []

    def run(self, requests):
        self.left = requests
        readers = [threading.Thread(target=self.guard, daemon=True,
                                    args=(self.read, number))
                   for number in range(self.clients)]
        writer = threading.Thread(target=self.guard, args=(self.write, 0),
                                  daemon=True)
        for thread in [writer] + readers:
            thread.start()
        for thread in readers:
            thread.join(300)
        self.done.set()
        writer.join(60)
        assert not self.errors, self.errors[0]
        assert not any(thread.is_alive() for thread in [writer] + readers)
        return self

    def guard(self, what, number):
        try:
            with self.httpd.connect() as connection:
                what(connection, random.Random("%s %d" % (self.seed, number)))
        except Exception as error:      # shown by run()
            self.errors.append(error)

    def write(self, connection, chance):
        def announce(part):
            kind = {"ETag-Purge": "hard"} if chance.random() < 0.5 else {}
            got = connection.request("PURGE", "/part/", dict(
                kind, **{"Surrogate-Key": "race-" + part.name}))
            assert got.status == 200, got
        while not self.done.wait(chance.uniform(0, 2 * self.pause)):
            chance.choice(self.parts).move(announce)

    def takes_one(self):
        with self.lock:
            self.left -= 1
            return self.left >= 0

    def read(self, connection, chance):
        held = []
        while self.takes_one():
            # The latest, mostly: older ones are past for good.
            tag = held[-1 - min(len(held) - 1, chance.choice([0, 0, 0, 1]))] \
                if held else None
            self.one(connection, held, tag)

    def one(self, connection, held, tag):
        sent = time.monotonic()
        got = connection.get(self.target, {"If-None-Match": tag} if tag
                             else {})
        received = time.monotonic()
        if got.status == 304:
            assert got.get("ETag") == tag, got
            versions = self.tags[tag]
        else:
            assert got.status == 200, (got, got.body)
            shown = json.loads(got.body)
            versions = tuple(shown[part.name]["version"]
                             for part in self.parts)
            tag = got.get("ETag")
            self.learn(tag, versions)
            held.append(tag)
        with self.lock:
            self.seen.append(Seen(sent, received, got.status, versions, tag))

    def learn(self, tag, versions):
        with self.lock:
            if self.tags.setdefault(tag, versions) != versions:
                self.torn.append((tag, self.tags[tag], versions))

    # the verdict

    def past(self):
        """Answers that show what was over when they were asked for."""
        return [seen for seen in self.seen
                if not all(part.was_there(version, seen)
                           for part, version in zip(self.parts,
                                                    seen.versions))]

    def __repr__(self):
        return "%d answers, %d times 304, %d tags, versions %s" % (
            len(self.seen), sum(one.status == 304 for one in self.seen),
            len(self.tags), [part.version for part in self.parts])
