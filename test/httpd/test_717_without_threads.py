# SPDX-License-Identifier: Apache-2.0
"""Without threads nothing is fetched in the background: stale responses are
validated first, and the log says so once."""
import pytest

from conftest import PROXY
from harness.backend import answer
from harness.httpd import mpm
from harness.steps import stored

pytestmark = pytest.mark.skipif(mpm() != "prefork", reason="for prefork")

CONFIG = PROXY + """
ETagCache On
ETagCacheStaleIfError 10m
"""
ASKING = """
ETagCacheStaleWhileRevalidate 10m
ETagCachePatience 1ms
"""


def stale_twice(httpd, backend, path):
    backend.on(path, answer(200, {
        "Cache-Control": "max-age=60, stale-while-revalidate=600",
        "Age": "120", "ETag": '"v1"'}, b"old"))
    stored(httpd, backend, path)
    backend.on(path, answer(200, {"Cache-Control": "max-age=60"}, b"new",
                            0.2))
    assert httpd.get(path).body == b"new"
    assert backend.hits(path) == 1


def test_prefork_100_validates_and_warns_once(make_httpd, backend, path):
    httpd = make_httpd(CONFIG + ASKING, start=False)
    httpd.log.claim("ETG0160")
    httpd.start()
    stale_twice(httpd, backend, path)
    assert httpd.log.text(whole=True).count("ETG0160") == 1


def test_prefork_101_is_silent_where_no_directive_asks(make_httpd, backend,
                                                       path):
    httpd = make_httpd(CONFIG)
    stale_twice(httpd, backend, path)
    assert "ETG016" not in httpd.log.text(whole=True)
