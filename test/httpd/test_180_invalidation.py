# SPDX-License-Identifier: Apache-2.0
"""Writes make stored responses invalid (RFC 9111 section 4.4)."""
import threading

import pytest

from conftest import PROXY
from harness.backend import answer, counting, validating
from harness.steps import FRESH, settle, stored

CONFIG = PROXY + """
ETagCache On
"""

UNSAFE = ["POST", "PUT", "DELETE", "PATCH", "FROBNICATE"]


def page(status=200, **write_fields):
    """GET answers a numbered page; anything else `status`."""
    def handler(exchange):
        if exchange.request.method in ("GET", "HEAD"):
            exchange.respond(200, FRESH, b"page %d" % exchange.number)
        else:
            exchange.respond(status, write_fields, b"done")
    return handler


@pytest.mark.parametrize("method", UNSAFE)
@pytest.mark.parametrize("status", [200, 201, 204, 303])
def test_invalidation_100_write_invalidates_its_url(httpd, backend, path,
                                                    method, status):
    backend.on(path, page(status))
    stored(httpd, backend, path)
    assert httpd.get(path).hit
    assert httpd.request(method, path, body=b"x").status == status
    response = httpd.get(path)
    assert not response.hit and response.body == b"page 3"


@pytest.mark.parametrize("method", UNSAFE)
@pytest.mark.parametrize("status", [400, 403, 404, 409, 500, 503])
def test_invalidation_101_failed_write_does_not(httpd, backend, path, method,
                                                status):
    backend.on(path, page(status))
    stored(httpd, backend, path)
    assert httpd.request(method, path, body=b"x").status == status
    assert httpd.get(path).hit


@pytest.mark.parametrize("method", ["OPTIONS", "HEAD", "GET", "PROPFIND",
                                    "REPORT"])
def test_invalidation_102_safe_methods_do_not(httpd, backend, path, method):
    backend.on(path, page())
    stored(httpd, backend, path)
    httpd.request(method, path)
    response = httpd.get(path)
    assert response.hit and response.body == b"page 1"


@pytest.mark.parametrize("field", ["Location", "Content-Location"])
@pytest.mark.parametrize("form", ["{other}", "http://localhost{other}",
                                  "other-page", "HTTP://LOCALHOST{other}",
                                  "{other}#fragment"])
def test_invalidation_110_named_urls_of_the_same_origin(httpd, backend, path,
                                                        field, form):
    other = path + "/other-page"
    path += "/form"
    backend.on(other, page())
    backend.on(path, page(201, **{field: form.format(other=other)}))
    stored(httpd, backend, other)
    httpd.request("POST", path, body=b"x")
    response = httpd.get(other)
    assert not response.hit and response.body == b"page 2"


@pytest.mark.parametrize("field", ["Location", "Content-Location"])
@pytest.mark.parametrize("origin", ["http://elsewhere", "https://localhost",
                                    "http://localhost:1", "//elsewhere"])
def test_invalidation_111_other_origins_are_not_touched(httpd, backend, path,
                                                        field, origin):
    other = path + "/other"
    backend.on(other, page())
    backend.on(path, page(201, **{field: origin + other}))
    stored(httpd, backend, other)
    httpd.request("POST", path, body=b"x")
    assert httpd.get(other).hit


def test_invalidation_112_authenticated_writes_count(httpd, backend, path):
    backend.on(path, page())
    stored(httpd, backend, path)
    httpd.request("POST", path, {"Authorization": "Basic YTpi",
                                 "Cookie": "s=1"}, b"x")
    assert not httpd.get(path).hit


def test_invalidation_113_all_variants_go(httpd, backend, path):
    def varying(exchange):
        exchange.respond(200, dict(FRESH, Vary="X-A"),
                         b"page %d" % exchange.number)
    backend.on(path, varying)
    for value in ("1", "2"):
        stored(httpd, backend, path, {"X-A": value})
    httpd.request("DELETE", path)
    for value in ("1", "2"):
        assert not httpd.get(path, {"X-A": value}).hit


def test_invalidation_114_validated_afterwards_it_may_be_used(httpd, backend,
                                                             path):
    backend.on(path, validating(FRESH))
    stored(httpd, backend, path)
    assert httpd.get(path).hit
    httpd.request("POST", path, body=b"x")
    response = stored(httpd, backend, path)
    assert not response.hit and response.body == b"validated body"
    assert httpd.get(path).hit


def test_invalidation_115_invalid_is_not_served_on_error(httpd, backend,
                                                        path):
    backend.on(path, answer(200, {"Cache-Control": "max-age=60, "
                                  "stale-if-error=600"}, b"old"))
    stored(httpd, backend, path)
    httpd.request("POST", path, body=b"x")
    backend.on(path, answer(503, {}, b"down"))
    response = httpd.get(path)
    assert response.status == 503 and response.body == b"down"


def test_invalidation_116_fetch_begun_before_the_write_is_not_fresh(
        httpd, backend, path):
    go_on, seen = threading.Event(), threading.Event()

    def handler(exchange):
        if exchange.request.method == "POST":
            exchange.respond(204)
        elif exchange.number == 1:
            seen.set()
            exchange.wait(go_on)
            exchange.respond(200, FRESH, b"before the write")
        else:
            exchange.respond(200, FRESH, b"after the write")
    backend.on(path, handler)
    with httpd.connect() as connection:
        connection.send_request("GET", path)
        assert seen.wait(10)
        assert httpd.request("POST", path, body=b"x").status == 204
        go_on.set()
        assert connection.read_response().body == b"before the write"
        settle(httpd, backend, connection, path)
    response = httpd.get(path)
    assert response.body == b"after the write" and not response.hit


def test_invalidation_117_the_query_is_part_of_the_url(httpd, backend, path):
    backend.on(path, page())
    stored(httpd, backend, path + "?a")
    stored(httpd, backend, path + "?b")
    httpd.request("POST", path + "?a", body=b"x")
    assert not httpd.get(path + "?a").hit
    assert httpd.get(path + "?b").hit


def test_invalidation_118_other_hosts_are_not_touched(httpd, backend, path):
    backend.on(path, page())
    stored(httpd, backend, path, host="one.test")
    stored(httpd, backend, path, host="two.test")
    httpd.request("POST", path, body=b"x", host="one.test")
    assert not httpd.get(path, host="one.test").hit
    assert httpd.get(path, host="two.test").hit


def test_invalidation_119_writes_on_an_uncached_url_do_no_harm(httpd, backend,
                                                              path):
    backend.on(path, counting({}))
    for method in UNSAFE:
        assert httpd.request(method, path, body=b"x").status == 200
