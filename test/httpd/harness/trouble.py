# SPDX-License-Identifier: Apache-2.0
"""What the tests of a memcached in trouble share: an httpd over a store, one
client that stays with one child and judges every answer, and what the error
log says about the breaker.

Times: the store's timeout here is TIMEOUT, well above the default, so that a
busy machine does not look like trouble; what is promised may take SLACK times
as long (two timeouts in a row are too much), for nine answers of ten. All are
printed (pytest -s)."""
import collections
import itertools
import os
import re
import time

from .backend import answer
from .load import check_hash, sealed
from .net import poll
from .steps import FRESH

TIMEOUT = 0.2
SLACK = 1.8

# The store's own lines, in every test that hurts it.
STORE_LOG = r"ETG04\d\d"

OPENED = re.compile(r"ETG0401|gave no proper answer")
HEALED = re.compile(r"ETG0402|answers again")

# What children may grow by in a test. (A sanitizer keeps what was freed.)
GROWTH = (512 if "ETG_HTTPD_PRELOAD" in os.environ else 64) << 20

DETAILS = {"store-timeout", "store-down", "store-breaker-open"}

ALONE = 'ETagCacheMetaStore "%s"\n'
TIERS = 'ETagCacheMetaStore "local:@STORE@?size=64M" "%s"\n'
STORES = {"alone": ALONE, "tiers": TIERS}

numbers = itertools.count(1)


def uri(addresses, timeout=TIMEOUT, connect=None, name="trouble"):
    return "memcached://%s/%s?timeout=%dms&connect-timeout=%dms" % (
        addresses, name, timeout * 1000, (connect or timeout) * 1000)


class Visit:
    """One answer, judged: it is the page, byte for byte."""

    def __init__(self, target, response, seconds):
        self.target = target
        self.response = response
        self.seconds = seconds
        assert response.status == 200, (target, response)
        assert check_hash(response.body, target), (target, response)

    @property
    def hit(self):
        return self.response.hit

    @property
    def stored(self):
        return bool(self.response.cache.get("stored"))

    @property
    def trouble(self):
        """What Cache-Status says of the store, if anything."""
        detail = self.response.cache.get("detail")
        return detail if str(detail).startswith("store-") else None

    def __repr__(self):
        return "%s: %s, %.0f ms" % (self.target, self.response.cache,
                                    self.seconds * 1e3)


class Visitor:
    """Asks on one connection, so of one child. `pages` are known, new() makes
    one that nobody asked for before."""

    def __init__(self, httpd, backend, prefix, count=12, headers=FRESH):
        self.httpd = httpd
        self.backend = backend
        self.prefix = prefix
        self.headers = headers
        self.connection = httpd.connect()
        self.child = None
        self.pages = [self.page("%s-%d" % (prefix, number), number)
                      for number in range(count)]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.connection.close()

    def page(self, target, number):
        """Bodies of 100 bytes to 150 KB."""
        filler = bytes((number * 7 + 1) % 256 for _ in range(
            (100, 4000, 42000, 150000)[number % 4]))
        body = sealed(target.encode() + b"|" + filler)
        self.backend.on(target, answer(200, self.headers, body))
        return target

    def new(self):
        number = next(numbers)
        return self.page("%s-new%d" % (self.prefix, number), number)

    def ask(self, target):
        began = time.monotonic()
        response = self.connection.get(target)
        seconds = time.monotonic() - began
        if "close" in (response.get("Connection") or ""):
            self.connection.close()
            self.connection = self.httpd.connect()
        return Visit(target, response, seconds)

    def ask_all(self):
        return [self.ask(target) for target in self.pages]

    def ask_new(self, count=1):
        return [self.ask(self.new()) for _ in range(count)]

    def fill(self):
        """Until every page is a hit."""
        poll(lambda: all(visit.hit for visit in self.ask_all()),
             "all pages are hits")
        self.child = self.httpd.child_serving(self.connection)

    def until(self, trouble, timeout=20):
        """Asks for new pages until Cache-Status says so; all visits."""
        visits = []

        def says_so():
            visits.append(self.ask(self.new()))
            return visits[-1].trouble == trouble
        poll(says_so, "detail=%s" % trouble, timeout)
        return visits

    def recovered(self, timeout=5):
        """Asks for new pages, which takes the server, until there is no
        trouble; the seconds that took. Then one is stored and hit."""
        began = time.monotonic()
        poll(lambda: self.ask(self.new()).trouble is None,
             "the store is asked again", timeout)
        taken = time.monotonic() - began
        target = self.new()
        poll(lambda: self.ask(target).hit, "a new page is a hit")
        return taken


def soon_enough(visits, what, promised=TIMEOUT):
    """Nine of ten no later than SLACK times what is promised."""
    times = sorted(visit.seconds for visit in visits)
    at = times[min(len(times) - 1, len(times) * 9 // 10)]
    print("%s: %d requests, median %.1f ms, 90%% %.1f ms, slowest %.1f ms"
          % (what, len(times), times[len(times) // 2] * 1e3, at * 1e3,
             times[-1] * 1e3))
    assert at <= SLACK * promised, visits


def said(visits):
    """How often Cache-Status told which trouble."""
    return collections.Counter(visit.trouble for visit in visits)


def breaker_lines(httpd):
    """Per child, what its log lines say about breakers, in order: "opened"
    or "healed"."""
    found = collections.defaultdict(list)
    for line in httpd.log.text(whole=True).splitlines():
        match = re.search(r"\[pid (\d+)", line)
        word = ("opened" if OPENED.search(line)
                else "healed" if HEALED.search(line) else None)
        if match and word:
            found[int(match.group(1))].append(word)
    return found


def logged_once(httpd, servers=1):
    """Each change of a breaker's state is one line of its child: with one
    server, opened and healed take turns."""
    lines = breaker_lines(httpd)
    if servers == 1:
        for child, words in lines.items():
            wanted = ["opened", "healed"] * len(words)
            assert words == wanted[:len(words)], (child, words)
    return lines


def resident(httpd):
    """Bytes of memory that httpd's children have for themselves. (The local
    store's files, which they map, are not.)"""
    total = 0
    for pid in httpd.children():
        try:
            with open("/proc/%d/status" % pid) as status:
                total += sum(int(line.split()[1]) * 1024 for line in status
                             if line.startswith("RssAnon:"))
        except FileNotFoundError:
            pass
    return total
