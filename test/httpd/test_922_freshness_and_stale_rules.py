# SPDX-License-Identifier: Apache-2.0
"""Pages whose data has moved beside what goes on behind clients: stale-while-
revalidate, patience, refreshing ahead."""
import time

import pytest

from conftest import PROXY
from harness.backend import answer, http_date
from harness.behind import ends, wait_for_ends
from harness.database import from_line, names_on, render
from harness.httpd import mpm
from harness.net import poll
from harness.steps import held_by_its_data, keep_if_unmoved, settle

pytestmark = pytest.mark.skipif(mpm() == "prefork", reason="needs threads")

PRODUCTS = 30
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
    return {"Cache-Control": control, "Date": http_date(time.time() - 120)}


def test_a_window_for_stale_pages_is_not_for_moved_ones(httpd, backend, shop,
                                                        path):
    backend.on(path, render(shop, old("max-age=60, "
                                      "stale-while-revalidate=600"), per=PER))
    held = held_by_its_data(httpd, path)
    assert "refresh" not in held.cache
    shop.update(1, "another")
    new = httpd.get(path)
    assert not new.hit and new.cache["detail"] == "data-changed"
    assert names_on(new)[0] == "another"
    assert ends(httpd, path) == []


def test_while_the_data_is_unknown_the_window_holds(httpd, backend, shop,
                                                    path):
    backend.on(path, render(shop, old("max-age=60, "
                                      "stale-while-revalidate=600"), per=PER))
    body = held_by_its_data(httpd, path).body
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
    held_by_its_data(httpd, path)
    poll(lambda: httpd.get(path) and ends(httpd, path), "a refresh")
    assert "If-None-Match" not in backend.requests(path)[-1]
    held_by_its_data(httpd, path)


def test_no_patience_with_moved_data(httpd, backend, shop, path):
    path = "/patient" + path
    backend.on(path, render(shop, old("max-age=60"), per=PER))
    held_by_its_data(httpd, path)
    shop.update(1, "another")
    backend.on(path, render(shop, old("max-age=60"), per=PER, before=0.5))
    new = httpd.get(path)
    assert names_on(new)[0] == "another"
    assert new.cache["detail"] == "data-changed"


def test_what_was_held_against_its_data_needs_no_refresh_ahead(
        httpd, backend, shop, path):
    path = "/ahead" + path
    backend.on(path, render(shop, {"Cache-Control": "max-age=60",
                                   "Date": http_date(time.time() - 59)},
                            per=PER))
    held_by_its_data(httpd, path)
    for _ in range(20):
        assert keep_if_unmoved(httpd.get(path))
    with httpd.connect() as connection:
        settle(httpd, backend, connection, "/no-source" + path)
    assert ends(httpd, path) == [] and backend.hits(path) == 1
