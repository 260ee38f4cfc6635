# SPDX-License-Identifier: Apache-2.0
"""stale-while-revalidate: nobody waits for a refresh."""
from conftest import PROXY
from harness.backend import answer
from harness.net import poll
from harness.steps import stored

CONFIG = PROXY + """
ETagCache On
LogLevel etag_cache:debug
"""


def old(control="max-age=60, stale-while-revalidate=600", **more):
    return dict({"Cache-Control": control, "Age": "120", "ETag": '"v1"'},
                **more)


def test_swr_100_a_stale_response_goes_out_and_is_refreshed(httpd, backend,
                                                            path):
    backend.on(path, answer(200, old(), b"old"))
    stored(httpd, backend, path)
    backend.on(path, answer(200, {"Cache-Control": "max-age=60"}, b"new"))
    response = httpd.get(path)
    assert (response.status, response.body) == (200, b"old")
    poll(lambda: backend.hits(path) == 1, "x", 5)
    poll(lambda: httpd.get(path).body == b"new", "new", 5)
    assert httpd.get(path).body == b"new"
