# SPDX-License-Identifier: Apache-2.0
"""When the backend fails: stale-if-error, and what is never served stale."""
import pytest

from conftest import PROXY
from harness.backend import answer, in_turn
from harness.steps import stored

CONFIG = """
ProxyPass "/brief/" "http://@BACKEND@/brief/" timeout=1 retry=0
ProxyPass "/fresh-connections/" "http://@BACKEND@/fresh-connections/" \
 disablereuse=On retry=0
""" + PROXY + """
ETagCache On
<LocationMatch "^/(route|brief|fresh-connections)/">
    ETagCacheStaleIfError 10m
</LocationMatch>
<Location "/short/">
    ETagCacheStaleIfError 30s
</Location>
"""

PROXY_LOG = r"\[proxy|AH0"


def old(control="max-age=60, stale-if-error=600", **more):
    return dict({"Cache-Control": control, "Age": "120", "ETag": '"v1"'},
                **more)


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_stale_100_backend_errors_where_the_response_allows(httpd, backend,
                                                            path, status):
    backend.on(path, in_turn(answer(200, old(), b"old"),
                             answer(status, {}, b"error")))
    stored(httpd, backend, path)
    response = httpd.get(path)
    assert (response.status, response.body) == (200, b"old")
    assert response.age >= 120
    assert response.cache.get("ttl", -1) < 0
    assert backend.hits(path) == 2


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_stale_101_backend_errors_where_the_route_allows(httpd, backend, path,
                                                         status):
    path = "/route" + path
    backend.on(path, in_turn(answer(200, old("max-age=60"), b"old"),
                             answer(status, {}, b"error")))
    stored(httpd, backend, path)
    assert httpd.get(path).body == b"old"


NEVER = ["max-age=60", "max-age=60, must-revalidate, stale-if-error=600",
         "max-age=60, proxy-revalidate, stale-if-error=600",
         "s-maxage=60, stale-if-error=600",
         "no-cache, max-age=60, stale-if-error=600",
         "max-age=60, stale-if-error=10"]


@pytest.mark.parametrize("control", NEVER)
def test_stale_102_not_where_it_is_forbidden(httpd, backend, path, control):
    backend.on(path, in_turn(answer(200, old(control), b"old"),
                             answer(503, {}, b"error")))
    stored(httpd, backend, path)
    response = httpd.get(path)
    assert (response.status, response.body) == (503, b"error")


def test_stale_103_the_route_cannot_lift_must_revalidate(httpd, backend,
                                                         path):
    path = "/route" + path
    backend.on(path, in_turn(
        answer(200, old("max-age=60, must-revalidate"), b"old"),
        answer(503, {}, b"error")))
    stored(httpd, backend, path)
    assert httpd.get(path).status == 503


def test_stale_104_the_window_ends(httpd, backend, path):
    path = "/short" + path
    backend.on(path, in_turn(answer(200, old("max-age=60"), b"old"),
                             answer(503, {}, b"error")))
    stored(httpd, backend, path)
    assert httpd.get(path).status == 503


@pytest.mark.parametrize("status", [400, 403, 404, 410, 501])
def test_stale_105_other_statuses_are_answers(httpd, backend, path, status):
    backend.on(path, in_turn(answer(200, old(), b"old"),
                             answer(status, {}, b"final")))
    stored(httpd, backend, path)
    response = httpd.get(path)
    assert (response.status, response.body) == (status, b"final")


def test_stale_110_backend_refuses_connections(httpd, backend, path):
    httpd.log.claim(PROXY_LOG)
    backend.on(path, answer(200, old(), b"old"))
    stored(httpd, backend, path)
    backend.close()
    try:
        for _ in range(3):
            response = httpd.get(path)
            assert (response.status, response.body) == (200, b"old")
        assert httpd.get(path + "-unknown").status in (502, 503, 504)
    finally:
        backend.open()


def test_stale_111_backend_closes_without_an_answer(httpd, backend, path):
    httpd.log.claim(PROXY_LOG)
    backend.on(path, answer(200, old(), b"old"))
    backend.on(path + "-none", lambda exchange: exchange.cut())
    stored(httpd, backend, path)
    backend.on(path, lambda exchange: exchange.cut())
    response = httpd.get(path)
    assert (response.status, response.body) == (200, b"old")
    assert httpd.get(path + "-none").status in (502, 503, 504)


def test_stale_112_cut_on_a_kept_connection_is_answered(httpd, backend, path):
    """mod_proxy_http would close a kept client connection without a word."""
    httpd.log.claim(PROXY_LOG)
    backend.on(path, answer(200, old(), b"old"))
    backend.on(path + "-warm", answer(200, {"Cache-Control": "no-store"}))
    backend.on(path + "-none", lambda exchange: exchange.cut())
    stored(httpd, backend, path)
    backend.on(path, lambda exchange: exchange.cut())
    with httpd.connect() as connection:
        assert connection.get(path + "-warm").status == 200
        response = connection.get(path)
        assert (response.status, response.body) == (200, b"old")
        assert connection.get(path + "-warm").status == 200
        assert connection.get(path + "-none").status in (502, 503, 504)


def test_stale_113_backend_that_does_not_answer_in_time(httpd, backend, path):
    httpd.log.claim(PROXY_LOG)
    path = "/brief" + path
    backend.on(path, answer(200, old("max-age=60"), b"old"))
    stored(httpd, backend, path)
    backend.on(path, answer(200, {}, b"late", delay=4))
    response = httpd.get(path)
    assert (response.status, response.body) == (200, b"old")


def test_stale_114_garbage_instead_of_http(httpd, backend, path):
    httpd.log.claim(PROXY_LOG)
    path = "/route" + path
    backend.on(path, answer(200, old("max-age=60"), b"old"))
    stored(httpd, backend, path)

    def garbage(exchange):
        exchange.send(b"\x16\x03\x01 this is not HTTP\r\n\r\n")
        exchange.cut()
    backend.on(path, garbage)
    response = httpd.get(path)
    # mod_proxy takes what is no HTTP for HTTP/0.9; either is an answer
    assert response.status in (200, 502)
    backend.on(path, answer(200, old("max-age=60"), b"well"))
    assert httpd.get(path).status == 200


def test_stale_115_errors_are_not_stored_over_the_entry(httpd, backend, path):
    backend.on(path, in_turn(answer(200, old(), b"old"),
                             answer(503, {}, b"error"),
                             answer(304, {"ETag": '"v1"',
                                          "Cache-Control": "max-age=60"})))
    stored(httpd, backend, path)
    assert httpd.get(path).body == b"old"
    response = stored(httpd, backend, path)
    assert (response.status, response.body) == (200, b"old")
    assert httpd.get(path).hit


def test_stale_116_conditional_and_range_on_a_stale_answer(httpd, backend,
                                                          path):
    backend.on(path, in_turn(answer(200, old(), b"0123456789"),
                             answer(503, {}, b"error")))
    stored(httpd, backend, path)
    assert httpd.get(path, {"If-None-Match": '"v1"'}).status == 304
    response = httpd.get(path, {"If-None-Match": '"x"'})
    assert (response.status, response.body) == (200, b"0123456789")
    response = httpd.head(path)
    assert response.status == 200 and response.body == b""


def test_stale_117_private_requests_get_the_error(httpd, backend, path):
    backend.on(path, in_turn(answer(200, old(), b"old"),
                             answer(503, {}, b"error")))
    stored(httpd, backend, path)
    response = httpd.get(path, {"Cookie": "session=1"})
    assert (response.status, response.body) == (503, b"error")


def test_stale_118_custom_fields_of_the_error_do_not_leak(httpd, backend,
                                                         path):
    backend.on(path, in_turn(answer(200, old(), b"old"),
                             answer(503, {"Retry-After": "7", "X-Err": "1",
                                          "Set-Cookie": "a=b"}, b"error")))
    stored(httpd, backend, path)
    response = httpd.get(path)
    assert response.body == b"old"
    for name in ("Retry-After", "X-Err", "Set-Cookie"):
        assert name not in response, name


def test_stale_119_without_an_entry_errors_pass_as_they_are(httpd, backend,
                                                           path):
    backend.on(path, answer(503, {"Retry-After": "7"}, b"error"))
    response = httpd.get(path)
    assert (response.status, response.body) == (503, b"error")
    assert response.get("Retry-After") == "7"


def test_stale_120_stale_on_error_at_once_for_everybody(httpd, backend,
                                                       path):
    backend.on(path, in_turn(answer(200, old(), b"old"),
                             answer(500, {}, b"error")))
    stored(httpd, backend, path)
    for _ in range(10):
        assert httpd.get(path).body == b"old"
