# SPDX-License-Identifier: Apache-2.0
"""What is stored and what is not, as tables: one row is one response of the
backend and whether the next request is a hit (RFC 9111 section 3)."""
import time

import pytest

from conftest import PROXY
from harness.backend import answer, counting, http_date
from harness.steps import FRESH, stored

CONFIG = PROXY + """
ETagCache On
<Location "/heuristic/">
    ETagCacheHeuristic 0.5 1d
</Location>
<Location "/default/">
    ETagCacheDefaultTTL 60s
</Location>
<Location "/capped/">
    ETagCacheMaxTTL 30s
</Location>
<Location "/small/">
    ETagCacheMaxObject 1K
</Location>
<Location "/cdn/">
    ETagCacheTargeted Near-Cache-Control CDN-Cache-Control
</Location>
"""

YES, NO = True, False


def is_stored(httpd, backend, path, headers, status=200, body=b"body"):
    backend.on(path, answer(status, headers, body))
    first = stored(httpd, backend, path)
    assert first.status == status
    second = httpd.get(path)
    assert second.status == status
    assert second.hit == (backend.hits(path) == 1)
    assert not second.hit or first.cache.get("stored"), first.cache
    return second.hit


CACHE_CONTROL = [
    ("max-age=60", YES), ("MAX-AGE=60", YES), ("max-age=\"60\"", YES),
    ("max-age=60, foo", YES), ("foo=\"no-store\", max-age=60", YES),
    ("s-maxage=60", YES), ("s-maxage=60, max-age=0", YES),
    ("public, max-age=60", YES), ("max-age=99999999999999999999", YES),
    ("max-age=0", NO), ("s-maxage=0, max-age=60", NO),
    ("no-store", NO), ("No-Store, max-age=60", NO),
    ("max-age=60, no-store", NO), ("no-store, max-age=60", NO),
    ("private, max-age=60", NO), ("private=\"X-A\", max-age=60", YES),
    ("no-cache, max-age=60", NO), ("no-cache=\"X-A\", max-age=60", YES),
    ("no-store, must-understand, max-age=60", YES),
    ("max-age=abc", NO), ("max-age=-1", NO), ("max-age", NO),
    ("max-age=60, max-age=0", NO), ("", NO), ("public", NO),
]


@pytest.mark.parametrize("value,expected", CACHE_CONTROL)
def test_storing_100_cache_control(httpd, backend, path, value, expected):
    assert is_stored(httpd, backend, path, {"Cache-Control": value}) \
        == expected


EXPIRES = [
    (60, None, YES), (-60, None, NO), ("0", None, NO), ("garbage", None, NO),
    (60, "max-age=0", NO), (-60, "max-age=60", YES),
]


@pytest.mark.parametrize("expires,control,expected", EXPIRES)
def test_storing_110_expires(httpd, backend, path, expires, control,
                             expected):
    if isinstance(expires, int):
        expires = http_date(time.time() + expires)
    assert is_stored(httpd, backend, path, {
        "Expires": expires, "Cache-Control": control}) == expected


def test_storing_111_expires_counts_from_date(httpd, backend, path):
    past = time.time() - 30
    assert not is_stored(httpd, backend, path, {
        "Date": http_date(past), "Expires": http_date(past + 10)})
    assert is_stored(httpd, backend, path, {
        "Date": http_date(past), "Expires": http_date(past + 100)})


STATUS = [200, 203, 204, 299, 300, 301, 302, 303, 307, 308, 404, 405, 410,
          414, 418, 451, 499, 500, 501, 503, 599]


@pytest.mark.parametrize("status", STATUS)
def test_storing_120_status_with_explicit_freshness(httpd, backend, path,
                                                    status):
    headers = dict(FRESH)
    if 300 <= status < 400:
        headers["Location"] = "/elsewhere"
    assert is_stored(httpd, backend, path, headers, status,
                     b"" if status == 204 else b"body")


@pytest.mark.parametrize("status", [400, 413, 431])
def test_storing_121_complaints_about_the_request_never(httpd, backend, path,
                                                        status):
    assert not is_stored(httpd, backend, path, FRESH, status)


@pytest.mark.parametrize("status", [404, 500, 503])
def test_storing_122_errors_without_freshness_never(httpd, backend, path,
                                                    status):
    path = "/default" + path
    assert not is_stored(httpd, backend, path, {"ETag": '"e"'}, status)


def test_storing_123_partial_content_is_not_stored(httpd, backend, path):
    backend.on(path, answer(206, dict(FRESH, **{
        "Content-Range": "bytes 0-3/100"}), b"body"))
    stored(httpd, backend, path, {"Range": "bytes=0-3"})
    second = httpd.get(path, {"Range": "bytes=0-3"})
    assert not second.hit and backend.hits(path) == 2


def test_storing_124_unknown_status_with_must_understand_never(
        httpd, backend, path):
    assert not is_stored(httpd, backend, path, {
        "Cache-Control": "must-understand, max-age=60"}, 299)


HEURISTIC = [
    (200, {"Last-Modified": -1000}, YES), (404, {"Last-Modified": -1000},
                                           YES),
    (201, {"Last-Modified": -1000}, NO), (503, {"Last-Modified": -1000}, NO),
    (201, {"Last-Modified": -1000, "Cache-Control": "public"}, YES),
    (200, {}, NO), (200, {"Last-Modified": 1000}, NO),
    (200, {"Last-Modified": -1000, "Cache-Control": "no-store"}, NO),
]


@pytest.mark.parametrize("status,headers,expected", HEURISTIC)
def test_storing_130_heuristic_freshness(httpd, backend, path, status,
                                         headers, expected):
    headers = dict(headers)
    if "Last-Modified" in headers:
        headers["Last-Modified"] = http_date(
            time.time() + headers["Last-Modified"])
    assert is_stored(httpd, backend, "/heuristic" + path, headers, status) \
        == expected


def test_storing_131_no_heuristics_unless_asked_for(httpd, backend, path):
    backend.on(path, counting({"Last-Modified": http_date(1000000000)}))
    stored(httpd, backend, path)
    assert not httpd.get(path).hit
    assert "If-Modified-Since" in backend.requests(path)[-1]


def test_storing_132_default_ttl(httpd, backend, path):
    assert is_stored(httpd, backend, "/default" + path, {})
    assert not is_stored(httpd, backend, "/default" + path + "-x",
                         {"Cache-Control": "max-age=0"})
    assert not is_stored(httpd, backend, path, {})


def test_storing_133_max_ttl_caps_what_the_backend_says(httpd, backend, path):
    path = "/capped" + path
    backend.on(path, counting({"Cache-Control": "max-age=3600"}))
    stored(httpd, backend, path)
    assert 0 < httpd.get(path).cache["ttl"] <= 30
    backend.on(path + "-old", counting({"Cache-Control": "max-age=3600",
                                        "Age": "40"}))
    stored(httpd, backend, path + "-old")
    assert not httpd.get(path + "-old").hit


def test_storing_134_max_object(httpd, backend, path):
    path = "/small" + path
    assert is_stored(httpd, backend, path, FRESH, body=b"x" * 1024)
    assert not is_stored(httpd, backend, path + "-big", FRESH,
                         body=b"x" * 1025)

    def chunked(exchange):
        exchange.head(200, dict(FRESH, **{"Transfer-Encoding": "chunked"}))
        for _ in range(4):
            exchange.chunk(b"x" * 400)
        exchange.end_chunks()
    backend.on(path + "-chunked", chunked)
    assert len(stored(httpd, backend, path + "-chunked").body) == 1600
    assert not httpd.get(path + "-chunked").hit


def test_storing_140_set_cookie_is_refused(httpd, backend, path):
    backend.on(path, counting(dict(FRESH, **{"Set-Cookie": "a=b"})))
    first = stored(httpd, backend, path)
    second = httpd.get(path)
    assert "stored" not in first.cache
    assert second.body == b"answer 2" and second.get("Set-Cookie") == "a=b"


def test_storing_141_vary_star_is_not_stored(httpd, backend, path):
    assert not is_stored(httpd, backend, path, dict(FRESH, Vary="*"))
    assert not is_stored(httpd, backend, path + "-2",
                         dict(FRESH, Vary="Accept, *"))


def test_storing_142_private_and_no_cache_fields_are_not_kept(httpd, backend,
                                                             path):
    backend.on(path, answer(200, {
        "Cache-Control": 'private="X-Secret", no-cache="X-Nonce, X-Other",'
                         ' max-age=60',
        "X-Secret": "1", "X-Nonce": "2", "X-Other": "3", "X-Plain": "4"}))
    first = stored(httpd, backend, path)
    second = httpd.get(path)
    assert first.get("X-Secret") == "1" and first.get("X-Nonce") == "2"
    assert second.hit and second.get("X-Plain") == "4"
    for name in ("X-Secret", "X-Nonce", "X-Other"):
        assert name not in second


def test_storing_143_request_no_store_is_obeyed(httpd, backend, path):
    backend.on(path, counting(FRESH))
    stored(httpd, backend, path, {"Cache-Control": "no-store"})
    assert httpd.get(path).body == b"answer 2"


def test_storing_144_post_answers_are_not_stored(httpd, backend, path):
    backend.on(path, counting(FRESH))
    assert httpd.request("POST", path, body=b"x").body == b"answer 1"
    assert httpd.get(path).body == b"answer 2"


def test_storing_145_get_with_a_body_passes(httpd, backend, path):
    backend.on(path, counting(FRESH))
    stored(httpd, backend, path)
    response = httpd.request("GET", path, body=b"question")
    assert response.body == b"answer 2" and not response.hit
    assert backend.requests(path)[-1].body == b"question"
    assert httpd.get(path).body == b"answer 1"


@pytest.mark.parametrize("field", ["X-HTTP-Method-Override", "X-HTTP-Method",
                                   "X-Method-Override"])
def test_storing_146_method_override_passes(httpd, backend, path, field):
    backend.on(path, counting(FRESH))
    stored(httpd, backend, path)
    assert httpd.get(path, {field: "DELETE"}).body == b"answer 2"
    stored(httpd, backend, path + "-x", {field: "DELETE"})
    assert not httpd.get(path).body == b"answer 3"


def test_storing_147_upgrade_requests_pass(httpd, backend, path):
    backend.on(path, counting(FRESH))
    stored(httpd, backend, path)
    response = httpd.get(path, {"Upgrade": "websocket",
                                "Connection": "Upgrade"})
    assert response.body == b"answer 2" and not response.hit


TARGETED = [
    ({"CDN-Cache-Control": "max-age=60", "Cache-Control": "no-store"}, YES),
    ({"CDN-Cache-Control": "no-store", "Cache-Control": "max-age=60"}, NO),
    ({"CDN-Cache-Control": "max-age=60;a=b", "Cache-Control": "no-store"},
     YES),
    ({"CDN-Cache-Control": "MAX-AGE=60", "Cache-Control": "no-store"}, NO),
    ({"CDN-Cache-Control": "max-age=60,", "Cache-Control": "no-store"}, NO),
    ({"CDN-Cache-Control": "", "Cache-Control": "max-age=60"}, YES),
    ({"Near-Cache-Control": "max-age=60", "CDN-Cache-Control": "no-store"},
     YES),
    ({"Near-Cache-Control": "&", "CDN-Cache-Control": "max-age=60"}, YES),
    ({"CDN-Cache-Control": "max-age=60", "Expires": "0"}, YES),
    ({"Etagere-Cache-Control": "max-age=60"}, NO),
]


@pytest.mark.parametrize("headers,expected", TARGETED)
def test_storing_150_targeted_fields(httpd, backend, path, headers, expected):
    assert is_stored(httpd, backend, "/cdn" + path, headers) == expected


def test_storing_151_our_own_targeted_field(httpd, backend, path):
    backend.on(path, counting({"Etagere-Cache-Control": "max-age=60",
                               "Cache-Control": "no-store"}))
    first = stored(httpd, backend, path)
    second = httpd.get(path)
    assert second.hit and second.get("Cache-Control") == "no-store"
    assert "Etagere-Cache-Control" not in second
    assert first.body == second.body
