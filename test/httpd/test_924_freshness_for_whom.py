# SPDX-License-Identifier: Apache-2.0
"""Whose pages and whose data: private requests, virtual hosts, machines that
share a store, redirects inside; and what counts more than the data."""
import base64
import time

import pytest

from conftest import PROXY
from harness.backend import answer, http_date, in_turn, validating
from harness.database import from_line, names_on, render
from harness.machines import STORES, Machines
from harness.memcached import Cluster
from harness.net import poll
from harness.steps import held_by_its_data, keep_if_unmoved, settle

PRODUCTS = 30
PER = 10
FRESHNESS = """
    ETagFreshness On
    ETagFreshnessOverride On
    ETagFreshnessBudget 2s
    %s
""" % from_line(PER)
CONFIG = """
FallbackResource disabled
<Location "/first/">
    FallbackResource /second/page
</Location>
ProxyPass "/first/" "!"
""" + PROXY + """
ETagCache On
<Location "/">
%s
</Location>
<Location "/observed/">
    ETagCache Observe
</Location>
<LocationMatch "^/(asked|observed)/">
    ETagCacheOverride "public, no-cache"
</LocationMatch>
<Location "/no-source/">
    ETagFreshness Off
</Location>
""" % FRESHNESS


def old(control="max-age=60"):
    return {"Cache-Control": control, "Date": http_date(time.time() - 120)}


def test_a_backend_that_fails_is_stood_in_for_with_moved_data(
        httpd, backend, shop, path):
    backend.on(path, render(shop, old("max-age=60, stale-if-error=600"),
                            per=PER))
    held = held_by_its_data(httpd, path)
    shop.update(1, "another")
    backend.on(path, answer(503, {}, b"down"))
    stale = httpd.get(path)
    assert stale.status == 200 and stale.body == held.body
    assert stale.cache["detail"] == "stale-if-error"
    assert stale.age >= 120            # it is what it is
    backend.on(path, render(shop, old(), per=PER))
    assert names_on(httpd.get(path))[0] == "another"


def test_no_cache_is_never_stale_though_the_backend_fails(httpd, backend,
                                                          shop, path):
    path = "/asked" + path
    backend.on(path, render(shop, per=PER))
    held_by_its_data(httpd, path)
    shop.update(1, "another")
    backend.on(path, answer(503, {}, b"down"))
    assert httpd.get(path).status == 503


CREDENTIALS = {"Authorization": "Basic " + base64.b64encode(
    b"user:secret").decode()}


@pytest.mark.parametrize("private", [CREDENTIALS, {"Cookie": "session=1"}],
                         ids=["authorization", "cookie"])
def test_private_requests_get_what_they_may_have(httpd, backend, shop, path,
                                                 private):
    """The route's no-cache is no permission; the backend's public is."""
    path = "/asked" + path
    backend.on(path, render(shop, per=PER))
    held_by_its_data(httpd, path)
    for _ in range(3):
        assert not httpd.get(path, private).hit
    assert httpd.get(path).hit
    public = path + "-public"
    backend.on(public, render(shop, {"Cache-Control": "public, max-age=60"},
                              per=PER))
    held_by_its_data(httpd, public)
    assert keep_if_unmoved(httpd.get(public, private))
    shop.update(1, "another")
    assert names_on(httpd.get(public, private))[0] == "another"


def test_a_tag_that_a_private_request_got_is_nobody_elses(httpd, backend,
                                                          shop, path):
    path = "/asked" + path
    backend.on(path, render(shop, per=PER))
    tag = httpd.get(path, CREDENTIALS).get("ETag")
    other = {"Authorization": "Basic b3RoZXI6c2VjcmV0"}
    assert httpd.get(path, dict(other, **{"If-None-Match": tag})).status \
        == 200
    assert httpd.get(path, {"If-None-Match": tag}).status == 200


def test_a_304_of_another_tag_is_asked_again(httpd, backend, shop, path):
    path = "/asked" + path
    backend.on(path, render(shop, {"ETag": '"b1"'}, per=PER))
    held_by_its_data(httpd, path)
    shop.update(1, "another")
    backend.on(path, in_turn(answer(304, {"ETag": '"b9"'}),
                             render(shop, {"ETag": '"b9"'}, per=PER)))
    assert names_on(httpd.get(path))[0] == "another"
    assert "If-None-Match" not in backend.requests(path)[-1]
    assert names_on(held_by_its_data(httpd, path))[0] == "another"
    assert backend.hits(path) == 2


def test_a_purge_counts_more_than_the_data(httpd, backend, shop, path):
    path = "/asked" + path
    backend.on(path, render(shop, per=PER))
    held_by_its_data(httpd, path)
    before = backend.hits(path)
    assert httpd.request("PURGE", path).status == 200
    assert not httpd.get(path).hit
    assert backend.hits(path) == before + 1


def test_a_write_through_the_cache_counts_more_than_the_data(
        httpd, backend, shop, path):
    path = "/asked" + path
    backend.on(path, render(shop, per=PER))
    held_by_its_data(httpd, path)
    before = backend.hits(path)
    assert httpd.request("POST", path, body=b"x").status == 200
    assert not httpd.get(path).hit
    assert backend.hits(path) == before + 2


def test_a_page_of_unknown_data_is_stored_once_it_is_known(
        httpd, backend, shop, path):
    """It was remembered as one that nobody can store."""
    path = "/asked" + path
    backend.on(path, render(shop, per=PER))
    shop.execute("ALTER TABLE products RENAME TO away")
    backend.on(path, answer(200, {}, b"of nobody knows what"))
    httpd.log.claim("ETG018")
    for _ in range(2):
        got = httpd.get(path)
        assert not got.hit and "ETag" not in got
    shop.execute("ALTER TABLE away RENAME TO products")
    backend.on(path, render(shop, per=PER))
    assert len(names_on(held_by_its_data(httpd, path))) == PER
    assert backend.hits(path) <= 3


def test_an_observer_says_what_would_be(httpd, backend, shop, path):
    path = "/observed" + path
    backend.on(path, render(shop, per=PER))
    would = poll(lambda: says(httpd.get(path), "would-hit"), "a would-hit")
    assert would.cache["fwd"] == "bypass"
    shop.update(1, "another")
    changed = httpd.get(path)
    assert changed.cache["detail"] == "data-changed"
    assert names_on(changed)[0] == "another"


def says(response, detail):
    return response if response.cache.get("detail") == detail else None


def test_a_redirect_inside_is_of_the_first_urls_data(httpd, backend, shop):
    """What a FallbackResource led to is asked each time, and never with a
    digest of another URL's data."""
    backend.on("/second/page", render(shop, per=PER))
    for _ in range(3):
        shop.update(1, "another")
        got = httpd.get("/first/page")
        assert got.status == 200 and names_on(got)[0] == "another"


HOSTS = """
<VirtualHost *:@PORT@>
    ServerName %s.example
    %s
    %s
    ETagCache On
    <Location "/">
        ETagCacheOverride "public, no-cache"
%s
    </Location>
</VirtualHost>
"""


def test_virtual_hosts_with_data_of_their_own(make_httpd, make_database,
                                              backend, path):
    """One store and one path: each host's pages follow its own database."""
    shops = {name: make_database("sqlite3-wal") for name in ("one", "two")}
    for name, database in shops.items():
        database.products(12)
        database.update(1, "at " + name)

    def either(exchange):
        name = exchange.request.get("Host").partition(".")[0]
        render(shops[name], per=PER)(exchange)
    backend.on(path, either)
    httpd = make_httpd("ETagCacheStatus On\n" + "".join(
        HOSTS % (name, database.conf, PROXY + "ProxyPreserveHost On\n",
                 FRESHNESS)
        for name, database in shops.items()))
    hosts = {name: {"Host": name + ".example"} for name in shops}
    for name in shops:
        page = held_by_its_data(httpd, path, hosts[name])
        assert names_on(page)[0] == "at " + name
    shops["one"].update(2, "another")
    assert names_on(httpd.get(path, hosts["one"]))[1] == "another"
    two = httpd.get(path, hosts["two"])
    assert keep_if_unmoved(two) and names_on(two)[1] == "name 2"


@pytest.mark.parametrize("store", sorted(STORES))
def test_machines_share_pages_and_what_data_they_are_of(
        make_httpd, make_database, backend, path, store):
    database = make_database("sqlite3-wal")
    database.products(12)
    backend.on(path, render(database, per=PER))
    with Cluster(1) as servers:
        machines = Machines(
            make_httpd, database.conf + PROXY + "ETagCache On\n"
            '<Location "/">\nETagCacheOverride "public, no-cache"\n%s'
            "</Location>\n" % FRESHNESS, servers, store)
        a, b = machines
        first = held_by_its_data(a, path)
        assert held_by_its_data(b, path).body == first.body
        assert backend.hits(path) == 1
        database.update(1, "another")
        assert names_on(httpd_new(a, path))[0] == "another"
        held_by_its_data(a, path)
        # Its near copy is old; the shared store has the new page.
        poll(lambda: keep_if_unmoved(b.get(path)), "the new page", 10)
        assert names_on(b.get(path))[0] == "another"
        assert backend.hits(path) <= 3


def httpd_new(httpd, path):
    response = httpd.get(path)
    assert response.cache["detail"] == "data-changed", response
    return response


def test_without_a_source_all_is_as_it_was(httpd, backend, shop, path):
    path = "/no-source" + path
    backend.on(path, validating({"Cache-Control": "max-age=60"}))
    with httpd.connect() as connection:
        connection.get(path)
        settle(httpd, backend, connection, path)
        hit = connection.get(path)
    shop.update(1, "another")
    assert hit.hit and "detail" not in hit.cache
    assert hit.get("ETag") == '"v1"' and httpd.get(path).hit
