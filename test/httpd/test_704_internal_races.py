# SPDX-License-Identifier: Apache-2.0
"""Everything that threads of one child share for requests nobody made, all of
it busy at once, with a reload in its midst and work under way at the end.

What comes out is judged here; races are judged where this runs with
ThreadSanitizer under httpd (test/run threads_httpd), whose reports land in the
error log and fail the test."""
import threading

import pytest

from harness.backend import answer
from harness.behind import ends
from harness.client import Truncated
from harness.internal import LOCATIONS, fire_many, is_supported, order
from harness.net import poll
from harness.steps import stored

pytestmark = pytest.mark.skipif(not is_supported(), reason="needs threads")

CONFIG = LOCATIONS + """
ETagCache On
ETagCacheStaleWhileRevalidate 10m
ETagCacheRefreshAhead 0.5
ETagCacheCompress gzip
<Location "/patient">
    ETagCacheStaleWhileRevalidate 0
    ETagCacheStaleIfError 10m
    ETagCachePatience 20ms
</Location>
<Location "/pages">
    ETagCachePrefetch link
    ETagCachePrefetchAllow /pages
</Location>
<Location "/off">
    ETagCache Off
</Location>
ProxyPass "/-fire" "!"
ProxyPass "/" "http://@BACKEND@/" connectiontimeout=5 timeout=60 retry=0
"""

# Stale whenever it comes, so that each hit asks for a refresh.
OLD = {"Cache-Control": "max-age=60", "Age": "120", "ETag": '"v1"',
       "Content-Type": "text/plain"}
# Past the half of its life: refreshed ahead.
RIPE = dict(OLD, Age="50")
# mod_proxy's words for a request that was cut, or that a reload ended.
CUT = r"AH01102|AH01110|AH00898|AH02608"
BODY = b"a line of text\n" * 500
URLS = 12
CLIENTS = 6


class Clients:
    """They ask for one target after the other until they are stopped. A
    reload may end their connections; no body may be wrong."""

    def __init__(self, httpd, targets):
        self.httpd = httpd
        self.targets = targets
        self.over = threading.Event()
        self.wrong = []
        self.threads = [threading.Thread(target=self.run, args=(number,),
                                         daemon=True)
                        for number in range(CLIENTS)]

    def run(self, number):
        coding = {"Accept-Encoding": "gzip"} if number % 2 else {}
        while not self.over.is_set():
            try:
                with self.httpd.connect() as connection:
                    for target in self.targets[number:] + self.targets:
                        response = connection.get(target, coding)
                        if response.status != 200:
                            self.wrong.append((target, response))
                        elif not coding and response.body != BODY:
                            self.wrong.append((target, response))
            except (OSError, Truncated, ValueError):
                self.over.wait(0.05)     # its connection has ended

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        for thread in self.threads:
            thread.join(60)
            assert not thread.is_alive()


def prepare_backend(backend, path):
    """The targets that clients ask for."""
    ahead = ["/ahead%s-%d" % (path, n) for n in range(URLS)]
    stale = ["/stale%s-%d" % (path, n) for n in range(URLS)]
    patient = ["/patient%s-%d" % (path, n) for n in range(URLS)]
    pages = ["/pages%s-%d" % (path, n) for n in range(URLS)]
    for target in ahead:
        backend.on(target, answer(200, RIPE, BODY))
    for target in stale:
        backend.on(target, answer(200, OLD, BODY))
    for target in patient:
        backend.on(target, answer(200, OLD, BODY, delay=0.05))
    for target, following in zip(pages, pages[1:] + pages[:1]):
        backend.on(target, answer(200, dict(RIPE, Link='<%s>; rel="next"'
                                            % following), BODY))
    return [target for row in zip(ahead, stale, patient, pages)
            for target in row]


def ended(httpd, path, prefix):
    return sum(len(ends(httpd, "%s%s-%d" % (prefix, path, n)))
               for n in range(URLS))


def many(httpd, count):
    """Some that are answered, and as many that are cut at their limit."""
    good = fire_many(httpd, "/off/answered", count=count, parallel=4,
                     brief=1, limit=60000)
    assert good["ok"] == count and good[200] == count, good
    cut = fire_many(httpd, "/off/silent", count=count, parallel=4,
                    brief=1, limit=20)
    assert cut["timeup"] == count, cut


def test_what_threads_share_bears_all_at_once(make_httpd, backend, path):
    over = threading.Event()

    def silent(exchange):
        exchange.wait(over)
        exchange.cut()
    backend.on("/off/silent", silent)
    backend.on("/off/answered", answer(200, {"Cache-Control": "no-store"},
                                          BODY))
    targets = prepare_backend(backend, path)
    httpd = make_httpd(CONFIG, modules=["internal"])
    httpd.log.claim(CUT)
    try:
        for target in targets:
            stored(httpd, backend, target)
        with Clients(httpd, targets) as clients:
            many(httpd, 40)
            poll(lambda: ended(httpd, path, "/stale") > 40
                 and ended(httpd, path, "/patient") > 0, "refreshes", 60)
            httpd.graceful()
            many(httpd, 40)
            before = ended(httpd, path, "/stale")
            poll(lambda: ended(httpd, path, "/stale") > before + 20,
                 "refreshes after the reload", 60)
        assert not clients.wrong, clients.wrong[:5]
        before = backend.hits("/off/silent")
        httpd.get(order("/off/silent", count=4, parallel=4, wait=0,
                        limit=60000))
        poll(lambda: backend.hits("/off/silent") == before + 4,
             "four on their way")
        httpd.stop()                     # with these under way
    finally:
        over.set()
