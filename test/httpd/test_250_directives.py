# SPDX-License-Identifier: Apache-2.0
"""Directives: bad values, inheritance, Bypass, Observe, and the warning about
CacheEnable. configtest is the place where mistakes are told."""
import pytest

from conftest import PROXY, build
from harness.backend import Backend, counting, validating
from harness.steps import FRESH, STALE, hit, settle, stored

CONFIG = PROXY + """
ETagCache On
<Location "/bypass/">
    ETagCacheBypass "%{HTTP:X-Bypass} == 'yes' || %{QUERY_STRING} =~ /nocache/"
</Location>
<Location "/observe/">
    ETagCache Observe
</Location>
<Location "/outer/">
    ETagCacheDefaultTTL 60s
    ETagCacheOverride "max-age=60"
</Location>
<Location "/outer/inner/">
    ETagCacheMaxTTL 30s
</Location>
<Location "/outer/none/">
    ETagCacheDefaultTTL 0
    ETagCacheOverride none
</Location>
<If "%{HTTP:X-If} == 'yes'">
    ETagCacheStatus Off
</If>
"""


@pytest.fixture(scope="module")
def tester():
    backend = Backend()
    server = build("tester", backend, PROXY + "ETagCache On\n",
                   modules=("cache", "cache_disk"))
    yield server
    server.remove()
    backend.close()


HOST = "<VirtualHost 127.0.0.1:1>\n%s\n</VirtualHost>"

BAD = [
    ("ETagCache Maybe", ["ETagCache", "Maybe", "Observe"]),
    ("ETagCacheDefaultTTL -1", ["ETagCacheDefaultTTL", "-1"]),
    ("ETagCacheDefaultTTL 5y", ["ETagCacheDefaultTTL", "5y"]),
    ("ETagCacheDefaultTTL 400d", ["ETagCacheDefaultTTL", "400d"]),
    ("ETagCacheMaxTTL soon", ["ETagCacheMaxTTL", "soon"]),
    ("ETagCacheHeuristic 2", ["ETagCacheHeuristic", "2", "1"]),
    ("ETagCacheHeuristic x", ["ETagCacheHeuristic", "x"]),
    ("ETagCacheHeuristic 0.1 never", ["ETagCacheHeuristic", "never"]),
    ("ETagCacheStaleIfError x", ["ETagCacheStaleIfError", "x"]),
    ("ETagCacheKeep x", ["ETagCacheKeep", "x"]),
    ("ETagCacheOverride \"max-age=x\"", ["ETagCacheOverride", "max-age=x"]),
    ("ETagCacheMaxObject 5Q", ["ETagCacheMaxObject", "5Q"]),
    ("ETagCacheMaxObject -5", ["ETagCacheMaxObject", "-5"]),
    ("ETagCacheMaxVariants 0", ["ETagCacheMaxVariants", "0", "1"]),
    ("ETagCacheMaxVariants 100000", ["ETagCacheMaxVariants", "100000",
                                     "1000"]),
    ("ETagCacheMaxVariants many", ["ETagCacheMaxVariants", "many"]),
    ("ETagCacheKeySortQuery Perhaps", ["ETagCacheKeySortQuery"]),
    ("ETagCacheKeyHeader \"a b\"", ["ETagCacheKeyHeader", "a b"]),
    ("ETagCachePrivateHeaders \"a:\"", ["ETagCachePrivateHeaders", "a:"]),
    ("ETagCacheBypass \"%{HTTP:X} === 'a'\"", ["ETagCacheBypass"]),
    ("ETagCacheSetCookie Keep", ["ETagCacheSetCookie", "Keep", "Refuse",
                                 "Strip", "Store"]),
    ("ETagCacheRefuseStatus 4xx", ["ETagCacheRefuseStatus", "4xx", "599"]),
    ("ETagCacheRefuseStatus 400 100", ["ETagCacheRefuseStatus", "100"]),
    ("ETagCacheStaleWhileRevalidate x", ["ETagCacheStaleWhileRevalidate"]),
    ("ETagCachePatience 2h", ["ETagCachePatience", "2h", "1h"]),
    ("ETagCacheBackground threads=65", ["ETagCacheBackground", "threads=65",
                                        "threads=64"]),
    ("ETagCacheBackground threads=2 queue=0", ["ETagCacheBackground",
                                               "queue=65536"]),
    ("ETagCacheBackground 4", ["ETagCacheBackground", "threads=number"]),
    ("ETagCacheCollapseWait x", ["ETagCacheCollapseWait", "x"]),
    ("ETagCacheStatus Loud", ["ETagCacheStatus", "Loud", "Key"]),
    ("ETagCacheTargeted \"a b\"", ["ETagCacheTargeted", "a b"]),
    ("ETagCachePurge Always", ["ETagCachePurge", "Always", "Local"]),
    ("ETagCacheTierTTL 3x", ["ETagCacheTierTTL", "3x"]),
    ("ETagCacheTierTTL 2d", ["ETagCacheTierTTL", "2d", "1d"]),
]
BAD += [(HOST % line, words) for line, words in [
    ("ETagCacheMetaStore nowhere:", ["ETagCacheMetaStore", "nowhere"]),
    ("ETagCacheMetaStore local:x?size=tiny", ["ETagCacheMetaStore", "tiny"]),
    ("ETagCacheMetaStore local:x?colour=red", ["ETagCacheMetaStore",
                                               "colour"]),
    ("ETagCacheMetaStore local:x local:y nowhere:", ["nowhere"]),
    ("ETagCacheMetaStore local:x local:y local:x", ["ETagCacheMetaStore",
                                                    "twice"]),
    ("ETagCacheEntityStore local:a local:b local:c local:d local:e",
     ["ETagCacheEntityStore", "5 stores", "4"])]]


@pytest.mark.parametrize("line,words", BAD,
                         ids=[line.replace("/", "_") for line, _ in BAD])
def test_directives_100_bad_values_stop_configtest(tester, line, words):
    status, said = tester.configtest(line)
    assert status != 0, said
    for word in words:
        assert word in said, said


GOOD = [
    "ETagCacheDefaultTTL 500ms", "ETagCacheDefaultTTL 0",
    "ETagCacheMaxTTL 1d", "ETagCacheMaxTTL none", "ETagCacheHeuristic Off",
    "ETagCacheHeuristic 0.1", "ETagCacheHeuristic 0.2 2h",
    "ETagCacheOverride \"public, max-age=60, stale-if-error=600\"",
    "ETagCacheOverride none", "ETagCacheMaxObject 1G",
    "ETagCacheMaxVariants 1000", "ETagCacheKeyIgnoreQuery utm_* a b",
    "ETagCacheKeyHeader X-A X-B", "ETagCachePrivateHeaders Authorization",
    "ETagCacheIgnoreCookies _ga*", "ETagCacheBypass \"true\"",
    "ETagCacheTargeted A-Cache-Control B-Cache-Control",
    "ETagCacheAcceptLanguage de en", "ETagCachePurge On",
    "ETagCacheCollapse Off", "ETagCacheCollapseWait 5s",
    "ETagCacheStaleWhileRevalidate 30s", "ETagCachePatience off",
    "ETagCachePatience 300ms", "ETagCacheBackground threads=64 queue=65536",
    "ETagCacheBackground queue=1", "ETagCacheTierTTL 0", "ETagCacheTierTTL 500ms",
    HOST % ("ETagCacheMetaStore local:other?size=32M\n"
            "ETagCacheEntityStore local:other?size=32M"),
    HOST % ("ETagCacheMetaStore local:one?size=32M local:two?size=32M\n"
            "ETagCacheEntityStore local:two?size=32M local:one?size=32M"),
]


@pytest.mark.parametrize("line", GOOD,
                         ids=[line.replace("/", "_") for line in GOOD])
def test_directives_101_good_values_pass(tester, line):
    status, said = tester.configtest(line)
    assert status == 0, said


@pytest.mark.parametrize("line", [
    "ETagCacheMetaStore local:", "ETagCacheKeyIgnoreQuery a",
    "ETagCacheKeySortQuery On", "ETagCacheKeyHeader A",
    "ETagCachePrivateHeaders A"])
def test_directives_102_server_directives_not_in_a_section(tester, line):
    status, said = tester.configtest("<Location />\n%s\n</Location>" % line)
    assert status != 0 and line.split()[0] in said


def test_directives_103_none_is_allowed_in_htaccess(make_httpd):
    httpd = make_httpd("ETagCache On\n<Directory @DOCROOT@>\n"
                       "AllowOverride All\n</Directory>\n")
    httpd.file(".htaccess", "ETagCache Off\n")
    httpd.file("page", "page")
    httpd.log.claim("not allowed here")
    assert httpd.get("/page").status == 500


@pytest.mark.parametrize("line,warned", [
    ("CacheEnable disk /", True), ("CacheEnable disk /images", True),
    ("<Location /x>\nCacheEnable disk\n</Location>", True), ("", False)])
def test_directives_110_configtest_warns_of_cache_enable(tester, line,
                                                         warned):
    status, said = tester.configtest(line)
    assert status == 0, said
    assert ("CacheEnable" in said) == warned, said


def test_directives_111_cache_enable_elsewhere_is_no_conflict(make_httpd,
                                                             backend):
    httpd = make_httpd("<Location /ours/>\nETagCache On\n</Location>\n"
                       "CacheEnable disk /theirs/\n", start=False,
                       modules=("cache", "cache_disk"))
    status, said = httpd.configtest()
    assert status == 0 and "CacheEnable" not in said


def test_directives_120_bypass(httpd, backend, path):
    path = "/bypass" + path
    backend.on(path, counting(FRESH))
    stored(httpd, backend, path)
    yes = {"X-Bypass": "yes"}
    response = httpd.get(path, yes)
    assert response.body == b"answer 2"
    assert response.cache["fwd"] == "bypass"
    assert "stored" not in response.cache
    assert httpd.get(path).body == b"answer 1"
    stored(httpd, backend, path + "?nocache")
    assert not httpd.get(path + "?nocache").hit


def test_directives_121_observe_decides_and_never_serves(httpd, backend,
                                                        path):
    path = "/observe" + path
    backend.on(path, counting(FRESH))
    for number in range(1, 6):
        response = httpd.get(path)
        assert response.body == b"answer %d" % number
        assert response.age is None
        assert not response.hit
    assert backend.hits(path) == 5


def test_directives_122_observe_leaves_conditions_to_the_backend(
        httpd, backend, path):
    path = "/observe" + path
    backend.on(path, validating(STALE))
    assert httpd.get(path).status == 200
    response = httpd.get(path, {"If-None-Match": '"v1"'})
    assert response.status == 304
    assert "If-None-Match" in backend.requests(path)[-1]


def test_directives_130_sections_inherit(httpd, backend, path):
    outer, inner = "/outer" + path, "/outer/inner" + path
    none = "/outer/none" + path
    for target in (outer, inner, none):
        backend.on(target, counting({"Cache-Control": "private"}))
        with httpd.connect() as connection:
            assert connection.get(target).status == 200
            settle(httpd, backend, connection, target)
    assert httpd.get(outer).hit
    assert httpd.get(inner).get("Cache-Control") == "max-age=60"
    assert httpd.get(inner).cache["ttl"] <= 30
    assert httpd.get(none).get("Cache-Control") == "private"
    assert not httpd.get(none).hit


def test_directives_131_if_sections_work(httpd, backend, path):
    backend.on(path, counting(FRESH))
    assert "Cache-Status" in httpd.get(path)
    assert "Cache-Status" not in httpd.get(path, {"X-If": "yes"})


def test_directives_132_virtual_hosts_inherit(make_httpd, backend, path):
    httpd = make_httpd("""
ETagCache On
ETagCacheDefaultTTL 60s
ETagCacheKeyIgnoreQuery utm_*
<VirtualHost 127.0.0.1:@PORT@>
    ServerName inherits.test
""" + PROXY + """
</VirtualHost>
<VirtualHost 127.0.0.1:@PORT@>
    ServerName own.test
    ETagCacheDefaultTTL 0
    ETagCacheKeyIgnoreQuery fbclid
""" + PROXY + """
</VirtualHost>
""")
    backend.on(path, counting({}))
    hit(httpd, path, host="inherits.test")
    assert httpd.get(path + "?utm_a=1", host="inherits.test").hit
    httpd.get(path, host="own.test")
    assert not httpd.get(path, host="own.test").hit


def test_directives_133_without_the_module_on_nothing_changes(make_httpd,
                                                             backend, path):
    httpd = make_httpd(PROXY)
    backend.on(path, counting(FRESH))
    for number in (1, 2):
        response = httpd.get(path)
        assert response.body == b"answer %d" % number
        assert "Cache-Status" not in response
        assert "Age" not in response


def test_directives_134_enabled_by_a_graceful_reload(make_httpd, backend,
                                                    path):
    httpd = make_httpd(PROXY, cache=False)
    backend.on(path, counting(FRESH))
    assert "Cache-Status" not in httpd.get(path)
    httpd.etagere = True
    httpd.modules.extend(("etag_cache", "etag_store_local"))
    httpd.config('ETagCacheMetaStore "local:@STORE@?size=32M"\n'
                 "ETagCache On\n")
    httpd.graceful()
    stored(httpd, backend, path)
    assert httpd.get(path).hit
