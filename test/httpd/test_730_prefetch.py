# SPDX-License-Identifier: Apache-2.0
"""The next page of a list is in the cache before it is asked for.

Whether a page is there is asked with HEAD and only-if-cached: that fetches
nothing, prefetches nothing and is no use of the page."""
import hashlib
import json
import threading

import pytest

from conftest import PROXY
from harness.backend import answer
from harness.httpd import mpm
from harness.net import poll
from harness.steps import FRESH, stored

pytestmark = pytest.mark.skipif(mpm() == "prefork", reason="needs threads")

CONFIG = PROXY + """
ETagCache On
<Location "/link">
    ETagCachePrefetch link
    ETagCachePrefetchAllow /link /allowed/
</Location>
<Location "/json">
    ETagCachePrefetch json:/paging/next
    ETagCachePrefetchAllow /json
</Location>
<Location "/query">
    ETagCachePrefetch query:page
    ETagCachePrefetchAllow /query
</Location>
<Location "/allowed/past">
    ETagCacheBypass true
</Location>
<Location "/allowed/off">
    ETagCache Off
</Location>
<Location "/nowhere">
    ETagCachePrefetch link
</Location>
"""

TLS = CONFIG
PAGES = 50
CACHED_ONLY = {"Cache-Control": "only-if-cached"}


def is_there(httpd, target, headers=(), **options):
    fields = dict(headers, **CACHED_ONLY)
    return httpd.head(target, fields, **options).status == 200


def arrives(httpd, target, headers=(), **options):
    poll(lambda: is_there(httpd, target, headers, **options),
         "prefetched: " + target)


def link(target, rel="next"):
    return {"Link": '<%s>; rel="%s"' % (target, rel)}


def said(httpd, text):
    poll(lambda: text in httpd.log.text(), "a line of the log: " + text)


def walk(httpd, backend, targets):
    """Asks for one page after the other, each when it is there."""
    for number, target in enumerate(targets):
        if number > 0:
            arrives(httpd, target)
        response = httpd.get(target)
        assert response.status == 200, target
        assert response.hit == (number > 0), (target, response)


def test_prefetch_730_a_walk_along_link(httpd, backend, path):
    targets = ["/link%s/%d" % (path, n) for n in range(1, PAGES + 1)]
    for target, following in zip(targets, targets[1:]):
        backend.on(target, answer(200, dict(FRESH, **link(following))))
    backend.on(targets[-1], answer(200, FRESH))
    walk(httpd, backend, targets)
    assert [backend.hits(target) for target in targets] == [1] * PAGES


@pytest.mark.parametrize("size", [0, 4000])
def test_prefetch_731_a_walk_along_json(httpd, backend, path, size):
    # The larger body is stored gzip-coded.
    targets = ["/json%s/%d" % (path, n) for n in range(1, 11)]
    headers = dict(FRESH, **{"Content-Type": "application/json"})
    for target, following in zip(targets, targets[1:] + [None]):
        body = json.dumps({"rows": "x" * size, "paging": {"next": following}})
        backend.on(target, answer(200, headers, body))
    walk(httpd, backend, targets)
    assert [backend.hits(target) for target in targets] == [1] * 10


def test_prefetch_732_a_walk_along_a_number(httpd, backend, path):
    path = "/query" + path
    backend.on(path, answer(200, FRESH))
    targets = [path + "?size=5"] + [path + "?size=5&page=%d" % n
                                    for n in range(2, 11)]
    walk(httpd, backend, targets)
    arrives(httpd, path + "?size=5&page=11")
    seen = [request.target for request in backend.requests(path)]
    assert seen == targets + [path + "?size=5&page=11"]


def test_prefetch_733_it_goes_one_page_ahead(httpd, backend, path):
    first, second, third = ("/link%s/%d" % (path, n) for n in (1, 2, 3))
    backend.on(first, answer(200, dict(FRESH, **link(second))))
    backend.on(second, answer(200, dict(FRESH, **link(third))))
    backend.on(third, answer(200, FRESH))
    httpd.get(first)
    arrives(httpd, second)
    said(httpd, "stored: " + second)
    # What the prefetch itself might have caused would come before these.
    for number in range(4):
        other = "/link%s/other%d" % (path, number)
        backend.on(other, answer(200, dict(FRESH, **link(other + "/next"))))
        backend.on(other + "/next", answer(200, FRESH))
        httpd.get(other)
        arrives(httpd, other + "/next")
    assert backend.hits(third) == 0
    assert httpd.get(second).hit
    arrives(httpd, third)


def test_prefetch_734_head_does_not(httpd, backend, path):
    first, second, other = ("/link%s/%s" % (path, n) for n in "12x")
    backend.on(first, answer(200, dict(FRESH, **link(second))))
    backend.on(second, answer(200, FRESH))
    # A list on the way after it: were there a prefetch, it came first.
    third = other + "/next"
    backend.on(other, answer(200, dict(FRESH, **link(third))))
    backend.on(third, answer(200, FRESH))
    assert httpd.head(first).status == 200
    assert httpd.get(other).status == 200
    arrives(httpd, third)
    assert backend.hits(second) == 0
    assert httpd.get(first).status == 200
    arrives(httpd, second)


def test_prefetch_735_other_methods_and_failures_do_not(httpd, backend, path):
    first, second = ("/link%s/%d" % (path, n) for n in (1, 2))
    third = second + "/next"
    backend.on(first, answer(404, dict(FRESH, **link(second))))
    assert httpd.get(first).status == 404
    backend.on(first, answer(200, dict(FRESH, **link(second))))
    assert httpd.request("POST", first, body=b"x").status == 200
    backend.on(first, answer(200, dict(FRESH, **link(third))))
    backend.on(third, answer(200, FRESH))
    assert httpd.get(first).status == 200
    arrives(httpd, third)
    assert backend.hits(second) == 0


@pytest.mark.parametrize("reference", [
    "/elsewhere%s", "/link/../elsewhere%s", "/link/%%2e%%2e/elsewhere%s",
    "/link/..%%2felsewhere%s", "/link/..\\elsewhere%s",
    "/link/..;/elsewhere%s", "/linkelsewhere%s", "/link/a b%s",
    "/allowedelsewhere%s", "http://other.example/link%s",
    "//other.example/link%s", "http://@BACKEND@/link%s",
    "https://localhost/link%s/2", "http://localhost:81/link%s/2",
    "http://user@localhost/link%s/2", "javascript:alert(1)//%s", "#%s"])
def test_prefetch_736_nothing_else_is_asked(httpd, backend, reference):
    path = "/736-%s" % hashlib.sha1(reference.encode()).hexdigest()
    first = "/link" + path
    named = reference.replace("@BACKEND@", "127.0.0.1:%d" % backend.port)
    asked = []
    backend.otherwise(lambda exchange: (asked.append(exchange.request.target),
                                        exchange.respond(200, FRESH)))
    backend.on(first, answer(200, dict(FRESH, **link(named % path))))
    assert httpd.get(first).status == 200
    said(httpd, "no next page to prefetch")
    backend.otherwise(None)
    assert asked == []


def test_prefetch_737_other_prefixes_and_absolute_urls(httpd, backend, path):
    first, second = "/link" + path, "/allowed" + path
    url = "HTTP://LOCALHOST:80%s" % second
    backend.on(first, answer(200, dict(FRESH, **link(url))))
    backend.on(second, answer(200, FRESH))
    httpd.get(first)
    arrives(httpd, second)


def test_prefetch_738_without_a_prefix_nothing(httpd, backend, path):
    first, second = "/nowhere" + path, "/nowhere%s/2" % path
    other, third = "/link" + path, "/link%s/2" % path
    backend.on(first, answer(200, dict(FRESH, **link(second))))
    backend.on(other, answer(200, dict(FRESH, **link(third))))
    backend.on(third, answer(200, FRESH))
    httpd.get(first)
    httpd.get(other)
    arrives(httpd, third)
    assert backend.hits(second) == 0


def test_prefetch_739_credentials_stay_at_home(httpd, backend, path):
    first, second = ("/link%s/%d" % (path, n) for n in (1, 2))
    shared = {"Cache-Control": "public, max-age=60"}
    secrets = {"Cookie": "session=1", "Authorization": "Basic eDp5",
               "Accept-Language": "de-CH", "Accept": "application/json",
               "If-None-Match": '"nothing"', "User-Agent": "reader/1"}
    backend.on(first, answer(200, dict(shared, **link(second))))
    backend.on(second, answer(200, FRESH))
    assert httpd.get(first, secrets).status == 200
    arrives(httpd, second)
    request, = backend.requests(second)
    assert "Cookie" not in request and "Authorization" not in request
    assert "If-None-Match" not in request
    assert request.get("Accept-Language") == "de-CH"
    assert request.get("Accept") == "application/json"
    assert request.get("User-Agent") == "reader/1"


def test_prefetch_740_a_private_page_causes_none(httpd, backend, path):
    first, second = ("/link%s/%d" % (path, n) for n in (1, 2))
    third = second + "/next"
    backend.on(first, answer(200, {"Cache-Control": "private, max-age=60",
                                   **link(second)}))
    assert httpd.get(first, {"Cookie": "a=1"}).status == 200
    backend.on(first, answer(200, dict(FRESH, **link(third))))
    backend.on(third, answer(200, FRESH))
    # Without a cookie it is everybody's (and another key, unseen so far).
    assert httpd.get(first + "?x").status == 200
    arrives(httpd, third)
    assert backend.hits(second) == 0


def test_prefetch_741_the_same_variant(httpd, backend, path):
    first, second = ("/link%s/%d" % (path, n) for n in (1, 2))
    headers = dict(FRESH, Vary="Accept-Language")

    def speak(exchange, more=()):
        exchange.respond(200, dict(headers, **dict(more)),
                         exchange.request.get("Accept-Language", "").encode())
    backend.on(first, lambda exchange: speak(exchange, link(second).items()))
    backend.on(second, speak)
    french, german = {"Accept-Language": "fr"}, {"Accept-Language": "de"}
    httpd.get(first, french)
    arrives(httpd, second, french)
    assert not is_there(httpd, second, german)
    httpd.get(first, german)
    arrives(httpd, second, german)
    for headers_of in (french, german):
        response = httpd.get(second, headers_of)
        assert response.hit
        assert response.body == headers_of["Accept-Language"].encode()
    assert backend.hits(second) == 2


def test_prefetch_742_two_at_a_time(httpd, backend, path):
    firsts = ["/link%s/%d" % (path, n) for n in range(6)]
    gate = threading.Event()

    def slow(exchange):
        exchange.wait(gate)
        exchange.respond(200, FRESH)
    for first in firsts:
        backend.on(first, answer(200, dict(FRESH, **link(first + "/next"))))
        backend.on(first + "/next", slow)
        httpd.get(first)
    said(httpd, "2 prefetches of this route are under way")
    poll(lambda: httpd.log.text().count("under way; skipped") == 4,
         "four are skipped")
    in_flight = [first for first in firsts if backend.hits(first + "/next")]
    assert len(in_flight) == 2
    gate.set()
    for first in in_flight:
        arrives(httpd, first + "/next")
    # The tickets are back.
    backend.on(firsts[0] + "/again", answer(200, dict(
        FRESH, **link(firsts[0] + "/again/next"))))
    backend.on(firsts[0] + "/again/next", answer(200, FRESH))
    httpd.get(firsts[0] + "/again")
    arrives(httpd, firsts[0] + "/again/next")


def test_prefetch_743_a_304_is_an_answer_too(httpd, backend, path):
    first, second = ("/link%s/%d" % (path, n) for n in (1, 2))
    backend.on(first, answer(200, dict(FRESH, ETag='"e"', **link(second))))
    backend.on(second, answer(200, {"Cache-Control": "max-age=1"}))
    stored(httpd, backend, first)
    arrives(httpd, second)
    tag = httpd.get(first).get("ETag")

    def unchanged():
        response = httpd.get(first, {"If-None-Match": tag})
        assert response.status == 304, response
        return backend.hits(second) > 2
    poll(unchanged, "prefetched again when it is stale", 20, 0.1)


@pytest.mark.parametrize("folder, headers, status", [
    ("/link", {"Cache-Control": "no-store"}, 200),
    ("/link", {"Cache-Control": "private, max-age=60"}, 200),
    ("/link", {"Cache-Control": "max-age=60"}, 500),
    ("/allowed/past", FRESH, 200), ("/allowed/off", FRESH, 200)])
def test_prefetch_744_what_cannot_be_stored_is_left_alone(
        httpd, backend, path, folder, headers, status):
    first, second = "/link%s/1" % path, "%s%s/2" % (folder, path)
    backend.on(first, answer(200, {"Cache-Control": "max-age=2",
                                   **link(second)}))
    backend.on(second, answer(status, headers))
    httpd.get(first)
    said(httpd, "not stored: " + second)
    # Its page becomes stale and is fetched again, and looked at anew.
    poll(lambda: httpd.get(first)
         and "left alone: " + second in httpd.log.text(),
         "looked at anew", 20, 0.1)
    assert backend.hits(second) == 1


def test_prefetch_745_a_fresh_next_page_is_left_alone(httpd, backend, path):
    first, second = ("/link%s/%d" % (path, n) for n in (1, 2))
    backend.on(first, answer(200, dict(FRESH, **link(second))))
    backend.on(second, answer(200, FRESH))
    stored(httpd, backend, second)
    httpd.get(first)
    said(httpd, "prefetch in the background: status 204, stored: " + second)
    assert backend.hits(second) == 1


def test_prefetch_748_https_is_an_origin_of_its_own(httpd, backend, path):
    first, second, third = ("/link%s/%d" % (path, n) for n in (1, 2, 3))
    other = first + "/plain"
    backend.on(first, answer(200, dict(FRESH, **link(
        "https://localhost" + second))))
    backend.on(other, answer(200, dict(FRESH, **link(
        "http://localhost" + third))))
    backend.on(second, answer(200, FRESH))
    assert httpd.get(other, tls=True).status == 200
    assert httpd.get(first, tls=True).status == 200
    arrives(httpd, second, tls=True)
    assert not is_there(httpd, second)
    assert backend.hits(third) == 0


@pytest.mark.http2
def test_prefetch_749_over_http2(httpd, backend, path):
    first, second = ("/link%s/%d" % (path, n) for n in (1, 2))
    backend.on(first, answer(200, dict(FRESH, **link(second))))
    backend.on(second, answer(200, FRESH))
    response = httpd.curl(first, "-H", "Host: localhost")
    assert response.version == "HTTP/2" and response.status == 200
    arrives(httpd, second, tls=True)


def test_prefetch_750_a_page_refused_is_not_a_page_seen(httpd, backend, path):
    """A 504 (only-if-cached) just before it takes nothing from the page's own
    first answer."""
    first, second = ("/link%s/%d" % (path, n) for n in (1, 2))
    backend.on(first, answer(200, dict(FRESH, **link(second))))
    backend.on(second, answer(200, FRESH))
    assert httpd.get(first, CACHED_ONLY).status == 504
    assert httpd.get(first).status == 200
    arrives(httpd, second)


def test_prefetch_746_of_use_or_not(make_httpd, backend, path):
    httpd = make_httpd(CONFIG)
    one, two, three = ("/link%s/%d" % (path, n) for n in (1, 2, 3))
    backend.on(one, answer(200, dict(FRESH, **link(two))))
    backend.on(two, answer(200, dict(FRESH, **link(three))))
    backend.on(three, answer(200, {"Cache-Control": "max-age=1"}))
    httpd.get(one)
    arrives(httpd, two)
    assert httpd.get(two).hit
    assert httpd.get(two).hit
    arrives(httpd, three)
    poll(lambda: not is_there(httpd, three), "expired")
    httpd.stop()
    assert "prefetch, all children: started=2 skipped=0 useful=1 wasted=1" \
        in httpd.log.text(whole=True)


def test_prefetch_747_directives_are_judged(make_httpd):
    for line in ("ETagCachePrefetch next", "ETagCachePrefetch json:next",
                 "ETagCachePrefetch query:", "ETagCachePrefetchAllow api",
                 "ETagCachePrefetchAllow /a/../b",
                 "ETagCachePrefetchAllow /%2e%2e"):
        httpd = make_httpd(line + "\n", start=False)
        status, output = httpd.configtest()
        assert status != 0, line
        assert line.split()[0] in output, output
