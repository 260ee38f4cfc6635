# SPDX-License-Identifier: Apache-2.0
"""What a client may ask of the cache (RFC 9111 section 5.2.1), and may not
unless the administrator lets it."""
import pytest

from conftest import PROXY
from harness.backend import counting, validating
from harness.steps import FRESH, STALE, stored

CONFIG = PROXY + """
ETagCache On
<Location "/reload/">
    ETagCacheAllowReload On
</Location>
<Location "/revalidate/">
    ETagCacheAllowRevalidate On
</Location>
"""


@pytest.mark.parametrize("headers", [
    {"Cache-Control": "no-cache"}, {"Pragma": "no-cache"},
    {"Cache-Control": "max-age=0"}, {"Cache-Control": "min-fresh=1000"}])
def test_asking_100_clients_cannot_reload_by_default(httpd, backend, path,
                                                     headers):
    backend.on(path, counting(FRESH))
    stored(httpd, backend, path)
    response = httpd.get(path, headers)
    assert response.hit and backend.hits(path) == 1


@pytest.mark.parametrize("headers", [{"Cache-Control": "no-cache"},
                                     {"Pragma": "no-cache"}])
def test_asking_110_reload_where_allowed(httpd, backend, path, headers):
    path = "/reload" + path
    backend.on(path, counting(FRESH))
    stored(httpd, backend, path)
    response = stored(httpd, backend, path, headers)
    assert response.body == b"answer 2" and not response.hit
    assert response.cache["fwd"] == "request"
    third = httpd.get(path)
    assert third.hit and third.body == b"answer 2"


def test_asking_111_pragma_is_nothing_beside_cache_control(httpd, backend,
                                                          path):
    path = "/reload" + path
    backend.on(path, counting(FRESH))
    stored(httpd, backend, path)
    assert httpd.get(path, {"Pragma": "no-cache",
                            "Cache-Control": "max-age=100"}).hit


REVALIDATE = [
    # the client's wish, age of the entry, reused?
    ("max-age=0", 0, False), ("max-age=10", 20, False),
    ("max-age=40", 20, True), ("min-fresh=50", 20, False),
    ("min-fresh=10", 20, True), ("max-stale", 120, True),
    ("max-stale=100", 120, True), ("max-stale=10", 120, False),
    ("max-stale=100, max-age=500", 120, True),
    ("max-age=abc", 20, False), ("foo=bar", 20, True),
]


@pytest.mark.parametrize("wish,age,reused", REVALIDATE)
def test_asking_120_age_limits_where_allowed(httpd, backend, path, wish, age,
                                             reused):
    path = "/revalidate" + path
    backend.on(path, validating({"Cache-Control": "max-age=60",
                                 "Age": str(age)}))
    stored(httpd, backend, path)
    if wish == "max-age=abc":
        assert httpd.get(path, {"Cache-Control": wish}).status == 200
        return
    response = httpd.get(path, {"Cache-Control": wish})
    assert response.hit == reused, response.cache
    assert backend.hits(path) == (1 if reused else 2)


def test_asking_121_max_stale_does_not_break_must_revalidate(httpd, backend,
                                                            path):
    path = "/revalidate" + path
    backend.on(path, validating({
        "Cache-Control": "max-age=60, must-revalidate", "Age": "120"}))
    stored(httpd, backend, path)
    assert not httpd.get(path, {"Cache-Control": "max-stale=1000"}).hit
    assert backend.hits(path) == 2


def test_asking_130_only_if_cached(httpd, backend, path):
    backend.on(path, counting(FRESH))
    response = httpd.get(path, {"Cache-Control": "only-if-cached"})
    assert response.status == 504
    assert backend.hits(path) == 0
    stored(httpd, backend, path)
    response = httpd.get(path, {"Cache-Control": "only-if-cached"})
    assert response.hit and response.body == b"answer 1"


def test_asking_131_only_if_cached_does_not_take_a_stale_entry(
        httpd, backend, path):
    backend.on(path, validating(STALE))
    stored(httpd, backend, path)
    response = httpd.get(path, {"Cache-Control": "only-if-cached"})
    assert response.status == 504
    assert backend.hits(path) == 1


def test_asking_140_no_store_may_be_answered_from_the_store(httpd, backend,
                                                           path):
    backend.on(path, counting(FRESH))
    stored(httpd, backend, path)
    assert httpd.get(path, {"Cache-Control": "no-store"}).status == 200
    assert httpd.get(path).hit
