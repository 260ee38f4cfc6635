# SPDX-License-Identifier: Apache-2.0
"""What is stored only if a route says so: Set-Cookie with its response, and
statuses that are refused by default."""
import pytest

from conftest import PROXY
from harness.backend import answer
from harness.steps import FRESH, stored

CONFIG = PROXY + """
ETagCache On
<Location "/cookies/">
    ETagCacheSetCookie Store
</Location>
<Location "/statuses/">
    ETagCacheRefuseStatus none
</Location>
<Location "/statuses/unavailable/">
    ETagCacheRefuseStatus 400 503
</Location>
<If "%{HTTP:X-Store} == 'yes'">
    ETagCacheSetCookie Store
</If>
"""

COOKIES = [("Set-Cookie", "lang=de; Path=/"), ("Set-Cookie", "site=2")]
PUBLIC = {"Cache-Control": "public, max-age=60"}


def cookies_of(response):
    return response.all("Set-Cookie")


def with_cookies(headers=FRESH):
    return answer(200, list(headers.items()) + COOKIES, b"body")


def test_opt_ins_100_cookies_are_stored_and_replayed(httpd, backend, path):
    path = "/cookies" + path
    backend.on(path, with_cookies())
    first = stored(httpd, backend, path)
    second = httpd.get(path)
    assert second.hit and backend.hits(path) == 1
    assert cookies_of(first) == cookies_of(second) \
        == ["lang=de; Path=/", "site=2"]


def test_opt_ins_101_not_without_the_directive(httpd, backend, path):
    backend.on(path, with_cookies())
    first = stored(httpd, backend, path)
    assert not httpd.get(path).hit and backend.hits(path) == 2
    assert first.cache["detail"] == "set-cookie"


@pytest.mark.parametrize("private", [
    {"Cookie": "session=1"}, {"Authorization": "Basic YTpi"}])
def test_opt_ins_102_not_out_of_a_private_request(httpd, backend, path,
                                                  private):
    """What everybody gets does not come out of somebody's own page; and
    nobody queues, or is turned away, because of it."""
    path = "/cookies" + path
    backend.on(path, with_cookies(PUBLIC))
    first = stored(httpd, backend, path, private)
    assert first.cache["detail"] == "private-request"
    second = stored(httpd, backend, path)
    assert not second.hit and second.cache.get("stored")
    assert httpd.get(path).hit and backend.hits(path) == 2


def test_opt_ins_103_private_field_lists_hold(httpd, backend, path):
    path = "/cookies" + path
    backend.on(path, with_cookies(
        {"Cache-Control": "max-age=60, private=\"set-cookie\""}))
    stored(httpd, backend, path)
    second = httpd.get(path)
    assert second.hit and cookies_of(second) == []


def test_opt_ins_104_a_304_does_not_change_the_cookie(httpd, backend, path):
    path = "/cookies" + path

    def origin(exchange):
        fields = [("ETag", '"v1"')]
        if "If-None-Match" in exchange.request:
            exchange.respond(304, fields + [
                ("Set-Cookie", "lang=somebody"),
                ("Cache-Control", "max-age=60")])
        else:
            exchange.respond(200, fields + COOKIES + [
                ("Cache-Control", "max-age=60"), ("Age", "120")], b"body")
    backend.on(path, origin)
    stored(httpd, backend, path)
    renewed = stored(httpd, backend, path)
    assert renewed.status == 200 and backend.hits(path) == 2
    last = httpd.get(path)
    assert last.hit and backend.hits(path) == 2
    assert cookies_of(last) == ["lang=de; Path=/", "site=2"]


def test_opt_ins_105_no_cookie_once_the_route_is_silent(httpd, backend, path):
    backend.on(path, with_cookies())
    stored(httpd, backend, path, {"X-Store": "yes"})
    assert cookies_of(httpd.get(path, {"X-Store": "yes"})) != []
    silent = httpd.get(path)
    assert silent.hit and backend.hits(path) == 1
    assert cookies_of(silent) == []


def keeps(httpd, backend, path, status, headers=FRESH):
    """Is the answer with this status a hit the second time?"""
    backend.on(path, answer(status, headers, b"body"))
    first = stored(httpd, backend, path)
    second = httpd.get(path)
    assert first.status == second.status == status
    assert second.hit == (backend.hits(path) == 1)
    if not second.hit:
        assert first.cache["detail"] in ("status", "error", "not-cacheable")
    return second.hit


@pytest.mark.parametrize("status", [400, 413, 431])
def test_opt_ins_110_refused_by_default_and_not_if_none(httpd, backend, path,
                                                        status):
    assert not keeps(httpd, backend, path, status)
    assert keeps(httpd, backend, "/statuses" + path, status)


@pytest.mark.parametrize("status", [400, 413, 431])
def test_opt_ins_111_still_only_with_explicit_freshness(httpd, backend, path,
                                                        status):
    assert not keeps(httpd, backend, "/statuses" + path, status,
                     {"ETag": '"e"'})


@pytest.mark.parametrize("status,kept", [
    (400, False), (503, False), (413, True), (404, True), (200, True)])
def test_opt_ins_112_an_inner_list_replaces(httpd, backend, path, status,
                                            kept):
    assert keeps(httpd, backend, "/statuses/unavailable" + path,
                 status) == kept
