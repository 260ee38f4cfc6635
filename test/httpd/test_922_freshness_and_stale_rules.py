# SPDX-License-Identifier: Apache-2.0
"""Pages whose data has moved beside what goes on behind clients: stale-while-
revalidate, patience, refreshing ahead."""
import json

import pytest

from conftest import PROXY, build, finish
from harness.backend import answer
from harness.behind import ends, wait_for_ends
from harness.database import from_line, open_database, render
from harness.httpd import mpm
from harness.net import poll
from harness.steps import settle

pytestmark = pytest.mark.skipif(mpm() == "prefork", reason="needs threads")

PER = 10
CONFIG = PROXY + """
ETagCache On
<Location "/">
    ETagFreshness On
    ETagFreshnessOverride On
    ETagFreshnessBudget 2s
    %s
</Location>
<Location "/patient/">
    ETagCachePatience 100ms
    ETagCacheStaleIfError 10m
</Location>
<Location "/ahead/">
    ETagCacheRefreshAhead 0.01
</Location>
<Location "/trust/">
    ETagFreshnessTrust 1s
</Location>
<Location "/no-source/">
    ETagFreshness Off
</Location>
""" % from_line(PER)


def old(control):
    return {"Cache-Control": control, "Age": "120"}


@pytest.fixture(scope="module")
def shop():
    database = open_database("sqlite3-wal")
    yield database
    database.close()


@pytest.fixture(scope="module")
def httpd(backend, shop):
    shop.products(30)
    server = build("freshness-stale", backend, shop.conf + CONFIG)
    server.start()
    yield server
    finish(server)


@pytest.fixture(autouse=True)
def anew(shop):
    shop.products(30)


def names(response):
    return [row[1] for row in json.loads(response.body)["products"]]


def keep(httpd, target, headers=()):
    return poll(lambda: is_held(httpd.get(target, headers)),
                "a validated hit on %s" % target, 10)


def is_held(response):
    return response if response.cache.get("detail") == "data" else None


def test_a_window_for_stale_pages_is_not_for_moved_ones(httpd, backend, shop,
                                                        path):
    backend.on(path, render(shop, old("max-age=60, "
                                      "stale-while-revalidate=600"), per=PER))
    held = keep(httpd, path)
    assert "refresh" not in held.cache
    shop.update(1, "another")
    new = httpd.get(path)
    assert not new.hit and new.cache["detail"] == "data-changed"
    assert names(new)[0] == "another"
    assert ends(httpd, path) == []


def test_while_the_data_is_unknown_the_window_holds(httpd, backend, shop,
                                                    path):
    backend.on(path, render(shop, old("max-age=60, "
                                      "stale-while-revalidate=600"), per=PER))
    body = keep(httpd, path).body
    shop.execute("DROP TABLE products")
    httpd.log.claim("ETG018")
    backend.on(path, answer(200, {"Cache-Control": "max-age=60"}, b"new"))
    stale = httpd.get(path)
    assert stale.hit and stale.body == body
    assert stale.cache["detail"] == "stale-while-revalidate"
    wait_for_ends(httpd, path)
    assert httpd.get(path).body == b"new"


def test_what_is_fetched_behind_a_client_after_its_trust_is_fetched_in_full(
        httpd, backend, shop, path):
    path = "/trust" + path
    fields = dict(old("max-age=60, stale-while-revalidate=600"), ETag='"b"')
    backend.on(path, render(shop, fields, per=PER))
    keep(httpd, path)
    poll(lambda: httpd.get(path) and ends(httpd, path), "a refresh")
    assert "If-None-Match" not in backend.requests(path)[-1]
    keep(httpd, path)


def test_no_patience_with_moved_data(httpd, backend, shop, path):
    path = "/patient" + path
    backend.on(path, render(shop, old("max-age=60"), per=PER))
    keep(httpd, path)
    shop.update(1, "another")
    backend.on(path, render(shop, old("max-age=60"), per=PER, before=0.5))
    new = httpd.get(path)
    assert names(new)[0] == "another"
    assert new.cache["detail"] == "data-changed"


def test_what_was_held_against_its_data_needs_no_refresh_ahead(
        httpd, backend, shop, path):
    path = "/ahead" + path
    backend.on(path, render(shop, {"Cache-Control": "max-age=60",
                                   "Age": "59"}, per=PER))
    keep(httpd, path)
    for _ in range(20):
        assert is_held(httpd.get(path))
    with httpd.connect() as connection:
        settle(httpd, backend, connection, "/no-source" + path)
    assert ends(httpd, path) == [] and backend.hits(path) == 1
