# SPDX-License-Identifier: Apache-2.0
"""Attempts to get an answer of mod_etag_freshness, or of the cache that
trusts it, that is another client's."""
import concurrent.futures
import threading

import pytest

from conftest import PROXY, build, finish
from harness.backend import answer
from harness.database import open_database
from harness.httpd import mpm
from harness.net import poll
from harness.steps import keep_if_hit

ROWS = "SELECT id, updated_at FROM notes WHERE tenant = %s"
CONFIG = PROXY + """
SetEnvIf X-Tenant "^(.+)$" TENANT=$1
ETagFreshnessAllowEmpty On
ETagFreshnessBudget 2s
ETagFreshnessOverride On
ETagCacheOverride "public, no-cache"
<Location "/cached/">
    ETagCache On
</Location>
""" + "".join("""
<LocationMatch "^/(cached|alone)/%s/">
    ETagFreshness On
    ETagFreshnessFrom sql "%s" %s
</LocationMatch>
""" % (name, ROWS, param) for name, param in [
    ("header", "header:X-Tenant"), ("env", "env:TENANT"),
    ("query", "query:tenant")]) + """
<LocationMatch "^/(cached|alone)/salt/">
    ETagFreshness On
    ETagFreshnessFrom sql "SELECT 1"
    ETagFreshnessSalt "%{HTTP:X-Tenant}"
</LocationMatch>
"""
WAYS = ["header", "env", "salt"]


@pytest.fixture(scope="module")
def notes():
    database = open_database("sqlite3-wal")
    database.execute("CREATE TABLE notes (id INTEGER, tenant TEXT, "
                     "updated_at TEXT)")
    yield database
    database.close()


@pytest.fixture(scope="module")
def httpd(backend, notes):
    server = build("freshness-attacks", backend, notes.conf + CONFIG)
    server.start()
    yield server
    finish(server)


def of_tenant(exchange):
    """A page that names its tenant, as it came to the backend."""
    tenant = exchange.request.get("X-Tenant") or "nobody"
    exchange.respond(200, {}, tenant.encode())


def tenant(name, **more):
    return dict({"X-Tenant": name}, **more)


@pytest.mark.parametrize("way", WAYS)
def test_equal_rows_of_two_tenants_are_not_one_page(httpd, backend, path,
                                                    way):
    """Neither has a note; their pages bear their names."""
    path = "/cached/%s%s" % (way, path)
    backend.on(path, of_tenant)
    poll(lambda: httpd.get(path, tenant("a")).hit, "a hit")
    for _ in range(3):
        assert httpd.get(path, tenant("b")).body == b"b"
        assert httpd.get(path, tenant("a")).body == b"a"
        assert httpd.get(path).body == b"nobody"


@pytest.mark.parametrize("way", WAYS)
def test_a_tag_of_one_tenant_is_no_304_for_another(httpd, backend, path,
                                                   way):
    path = "/alone/%s%s" % (way, path)
    backend.on(path, of_tenant)
    tag = httpd.get(path, tenant("a")).get("ETag")
    assert httpd.get(path, tenant("b")).body == b"b"
    for held in (tag, "W/" + tag.replace("W/", "")):
        got = httpd.get(path, tenant("b", **{"If-None-Match": held}))
        assert got.status == 200 and got.body == b"b"
    assert httpd.get(path, tenant("a", **{"If-None-Match": tag})).status \
        == 304


@pytest.mark.parametrize("way", WAYS)
def test_a_page_fetched_since_a_request_came_is_not_another_tenants(
        httpd, backend, path, way):
    """Many at once wait for one fetch, and share what it brings: those whose
    data it is."""
    path = "/cached/%s%s" % (way, path)

    def slow(exchange):
        exchange.pause(0.05)
        of_tenant(exchange)
    backend.on(path, slow)

    def ask(number):
        name = "ab"[number % 2]
        return name.encode(), httpd.get(path, tenant(name)).body
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        for wanted, got in pool.map(ask, range(200)):
            assert got == wanted


@pytest.mark.parametrize("way", WAYS)
def test_a_field_that_is_kept_from_the_backend_names_no_data(
        httpd, backend, notes, path, way):
    """Fields that Connection names go no further than the proxy."""
    path = "/cached/%s%s" % (way, path)
    backend.on(path, of_tenant)
    for _ in range(3):
        httpd.get(path, tenant("b", Connection="X-Tenant, close"))
    for _ in range(3):
        assert httpd.get(path, tenant("b")).body == b"b"


@pytest.mark.parametrize("query", [
    "tenant[]=b", "tenant%5B0%5D=b", "Tenant=b", "+tenant=b", "tenant%00=b",
    "tenant=a&tenant[]=b"])
def test_a_name_that_some_take_for_a_params_leaves_the_data_unknown(
        httpd, backend, path, query):
    path = "/alone/query%s" % path
    backend.on(path, of_tenant)
    assert "ETag" in httpd.get(path + "?tenant=a")
    assert "ETag" not in httpd.get(path + "?" + query)


def test_no_lifetime_is_guessed_from_a_date_of_ours(make_httpd, backend,
                                                    sqlite, path):
    """While the data is unknown, a page that says no lifetime has none."""
    sqlite.execute("CREATE TABLE notes (id INTEGER, updated_at TEXT)")
    sqlite.execute("INSERT INTO notes VALUES (1, '2020-01-01 00:00:00')")
    httpd = make_httpd(sqlite.conf + PROXY + """
        ETagCache On
        ETagCacheHeuristic 0.1 1h
        ETagFreshnessBudget 2s
        <Location "/">
            ETagFreshness On
            ETagFreshnessFrom sql "SELECT id, updated_at FROM notes"
        </Location>
    """)
    backend.on(path, answer(200, {}, b"old"))
    held = poll(lambda: keep_if_hit(httpd.get(path)), "a hit")
    assert "Last-Modified" in held
    sqlite.execute("ALTER TABLE notes RENAME TO away")
    backend.on(path, answer(200, {}, b"new"))
    httpd.log.claim("ETG018")
    assert httpd.get(path).body == b"new"


def without_threads(httpd):
    if mpm() == "prefork":
        httpd.log.claim("ETG0160")


@pytest.mark.parametrize("window", [
    "ETagCacheStaleIfError 1d", "ETagCacheStaleWhileRevalidate 1d"])
def test_what_stands_in_for_a_page_is_not_another_tenants(
        make_httpd, backend, notes, path, window):
    """What is stored for its data alone is stale for nobody else."""
    httpd = make_httpd(notes.conf + PROXY + """
        ETagCache On
        %s
        ETagFreshnessAllowEmpty On
        ETagFreshnessBudget 2s
        <Location "/">
            ETagFreshness On
            ETagFreshnessFrom sql "%s" header:X-Tenant
        </Location>
    """ % (window, ROWS), prepare=without_threads)
    backend.on(path, of_tenant)
    poll(lambda: keep_if_hit(httpd.get(path, tenant("a"))), "a hit")
    backend.on(path, answer(503, {}, b"down"))
    for other in ("b", "x" * 5000):             # the last one is unknown
        assert httpd.get(path, tenant(other)).body != b"a"
    assert httpd.get(path, tenant("a")).body == b"a"


@pytest.mark.parametrize("salt, status", [
    ('"release 7" "%{file:/dev/null}%{osenv:PATH}"', 200),
    ('"%{file:/dev/null}%{reqenv:RELEASE}"', 503)])
def test_a_salt_that_is_the_same_for_all_makes_nobody_another(
        make_httpd, backend, sqlite, path, salt, status):
    sqlite.products(1)
    httpd = make_httpd(sqlite.conf + PROXY + """
        ETagCache On
        ETagCacheStaleIfError 1d
        ETagFreshnessBudget 2s
        <Location "/">
            ETagFreshness On
            ETagFreshnessSalt %s
            ETagFreshnessFrom sql "SELECT id, updated_at FROM products"
        </Location>
    """ % salt)
    backend.on(path, answer(200, {}, b"held"))
    poll(lambda: keep_if_hit(httpd.get(path)), "a hit")
    sqlite.update(1, "another")
    backend.on(path, answer(503, {}, b"down"))
    assert httpd.get(path).status == status


@pytest.mark.parametrize("cache", ["Off", "On"])
def test_a_page_with_includes_keeps_its_tag(make_httpd, sqlite, cache):
    """mod_include takes tags of files off, before anybody else comes."""
    sqlite.products(1)
    httpd = make_httpd(sqlite.conf + """
        <Location "/">
            ETagCache %s
            Options +Includes
            AddType text/html .shtml
            AddOutputFilter INCLUDES .shtml
            ETagFreshness On
            ETagFreshnessBudget 2s
            ETagFreshnessFrom sql "SELECT id, updated_at FROM products"
        </Location>
    """ % cache)
    httpd.file("page.shtml", '<!--#echo var="SCRIPT_NAME" -->')
    page = httpd.get("/page.shtml")
    assert page.body == b"/page.shtml"
    if cache == "On":
        hit = poll(lambda: keep_if_hit(httpd.get("/page.shtml")), "a hit")
        assert hit.get("ETag") == page.get("ETag") is not None
    held = httpd.get("/page.shtml", {"If-None-Match": page.get("ETag")})
    assert held.status == 304 and held.get("ETag") == page.get("ETag")
