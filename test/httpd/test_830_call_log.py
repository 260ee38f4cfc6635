# SPDX-License-Identifier: Apache-2.0
"""How much of a telephone provider's call log fits: 42 KB pages of JSON, as
their list API would give them. What the store counts for each is a test of
the store's own; here it is what clients get and what is still there."""
import gzip

import pytest

from conftest import PROXY
from harness.backend import answer
from harness.call_log import PAGE, page
from harness.machines import peek
from harness.steps import FRESH, settle

CONFIG = PROXY + """
ETagCache On
"""
ROOM = 25 * 1024 * 1024
# What a page may cost beside its coded bytes.
BESIDE = 700
GZ = {"Accept-Encoding": "gzip"}


def fetch_all(httpd, backend, prefix, pages):
    """Stores pages/1, /2 and so on, by one client; returns the number."""
    count = 0
    with httpd.connect() as connection:
        for count, body in enumerate(pages, 1):
            target = "%s/%d" % (prefix, count)
            backend.on(target, answer(200, dict(FRESH, **{
                "Content-Type": "application/json",
                "ETag": '"%d"' % count}), body))
            response = connection.get(target, GZ)
            assert response.body == body
            # Handlers hold bodies; what is stored need not be asked again.
            backend.on(target, answer(500, {}))
            if count % 50 == 0:
                settle(httpd, backend, connection, target)
        settle(httpd, backend, connection, prefix)
    return count


def test_call_log_100_pages_cost_what_gzip_makes_of_them(httpd, backend,
                                                         path):
    pages = [page(seed) for seed in range(200)]
    fetch_all(httpd, backend, path, pages)
    coded = packed = 0
    with httpd.connect() as connection:
        for number, body in enumerate(pages, 1):
            response = connection.get("%s/%d" % (path, number), GZ)
            assert response.hit
            assert response.get("Content-Encoding") == "gzip"
            length = int(response.get("Content-Length"))
            least = len(gzip.compress(body, 6))
            assert length == len(response.body) <= 1.05 * least
            assert gzip.decompress(response.body) == body
            assert len(body) >= PAGE
            coded += length
            packed += least
    plain = sum(map(len, pages))
    print("\n%d pages of %.1f KB: %.1f KB each coded, %.3f x gzip -6; "
          "per 25 MB %d pages, plain %d" % (
              len(pages), plain / len(pages) / 1000,
              coded / len(pages) / 1000, coded / packed,
              ROOM / (coded / len(pages) + BESIDE),
              ROOM / (plain / len(pages) + BESIDE)))


@pytest.mark.slow
def test_call_log_110_a_store_of_25_mb_is_filled(make_httpd, backend, path):
    """More pages than it can hold; those still there are counted."""
    kept = {}
    for setting, count in (("gzip:6", 4000), ("Off", 1000)):
        httpd = make_httpd('ETagCacheMetaStore "local:@STORE@?size=25M"\n'
                           + CONFIG + "ETagCacheCompress %s\n" % setting)
        prefix = path + "/" + setting.split(":", maxsplit=1)[0]
        fetch_all(httpd, backend, prefix, map(page, range(count)))
        kept[setting] = sum(
            peek(httpd, "%s/%d" % (prefix, number), GZ) is not None
            for number in range(1, count + 1))
        httpd.stop()
    print("\nof a store of 25 MB: %d pages coded, %d plain"
          % (kept["gzip:6"], kept["Off"]))
    assert 0 < kept["Off"] < 1000 and 0 < kept["gzip:6"] < 4000
    assert kept["gzip:6"] > 3 * kept["Off"]
