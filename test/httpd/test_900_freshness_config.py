# SPDX-License-Identifier: Apache-2.0
"""ETagFreshness as it is configured: what configtest tells, what a start says
of databases, virtual hosts, inheritance and reloads. What a request's look-up
came to stands in the field X-Freshness, by the note etag-freshness."""
import os

import pytest

from conftest import PROXY, build
from harness.backend import Backend, answer
from harness.net import poll

# Of the last request_rec, as logs have it.
SHOWN = 'Header always set X-Freshness "expr=%{note:etag-freshness}"\n'
BASE = PROXY + SHOWN + "ETagFreshnessBudget 2s\n"
STATEMENT = "SELECT id, updated_at FROM products WHERE id = 1"
FROM = 'ETagFreshnessFrom sql "%s"\n' % STATEMENT
ROUTE = '<Location "/">\nETagFreshness On\n%s</Location>\n'
HOST = "<VirtualHost 127.0.0.1:@PORT@>\nServerName %s\n%s\n</VirtualHost>\n"
NOWHERE = 'ETagFreshnessDatabase sqlite3 "@ROOT@/nowhere.db"\n'


@pytest.fixture(scope="module")
def tester():
    backend = Backend()
    server = build("tester", backend, BASE)
    yield server
    server.remove()
    backend.close()


def shown(httpd, target="/", fields=()):
    """What became of a request's look-up."""
    return httpd.get(target, fields).get("X-Freshness")


def tag(httpd, target="/", fields=()):
    response = httpd.get(target, fields)
    assert response.status == 200
    return response.get("ETag")


# configtest

LINES = [
    ('sql "SELECT 1"', ["ETagFreshnessFrom", "SELECT 1",
                        "ETagFreshnessDatabase", "httpd.conf:"]),
    ("memcached shop/version", ["ETagFreshnessFrom", "shop/version",
                                "ETagFreshnessMemcached", "httpd.conf:"]),
    ('sql "SELECT %s"', ["ETagFreshnessFrom", "%s"]),
    ('sql "SELECT %s" query:a query:b', ["ETagFreshnessFrom"]),
    ('sql "SELECT 1', ["ETagFreshnessFrom"]),
    ("sql", ["ETagFreshnessFrom"]),
    ("tables products", ["ETagFreshnessFrom", "tables"]),
    ('sql "SELECT %s" cookie:a', ["ETagFreshnessFrom", "cookie:a"]),
    ('sql "SELECT %s" path:0', ["ETagFreshnessFrom", "path:0",
                                "LocationMatch"]),
    ("json updated_at", ["ETagFreshnessFrom", "updated_at"]),
    ("json /a~2", ["ETagFreshnessFrom", "/a~2"]),
    ('header "X Y"', ["ETagFreshnessFrom", "X Y"]),
]

WORDS = [
    ("ETagFreshness Perhaps", ["ETagFreshness", "Perhaps"]),
    ("ETagFreshnessOverride Perhaps", ["ETagFreshnessOverride", "Perhaps"]),
    ("ETagFreshnessDatabase nosuch \"x\"", ["ETagFreshnessDatabase",
                                            "nosuch", "libaprutil1-dbd"]),
    ("ETagFreshnessDigest md5", ["ETagFreshnessDigest", "md5", "rails"]),
    ("ETagFreshnessBudget 0", ["ETagFreshnessBudget", "0"]),
    ("ETagFreshnessBudget 11s", ["ETagFreshnessBudget", "11s", "10"]),
    ("ETagFreshnessShare 2h", ["ETagFreshnessShare", "2h"]),
    ("ETagFreshnessTrust soon", ["ETagFreshnessTrust", "soon"]),
    ("ETagFreshnessMaxBody 0", ["ETagFreshnessMaxBody", "0"]),
    ("ETagFreshnessMaxBody 1G", ["ETagFreshnessMaxBody", "1G"]),
    ("ETagFreshnessMemory 1K", ["ETagFreshnessMemory", "1K"]),
    ("ETagFreshnessSecret short", ["ETagFreshnessSecret", "16"]),
    ("ETagFreshnessThreads threads=0", ["ETagFreshnessThreads", "0"]),
    ("ETagFreshnessThreads workers=2", ["ETagFreshnessThreads", "workers"]),
    ('ETagFreshnessSalt "%{nosuch:x}"', ["ETagFreshnessSalt", "nosuch"]),
    ('ETagFreshnessPrivateHeaders "a b"', ["ETagFreshnessPrivateHeaders",
                                           "a b"]),
    ("ETagFreshnessAllowEmpty 1", ["ETagFreshnessAllowEmpty", "1"]),
]


@pytest.mark.parametrize("line,words", LINES)
def test_a_line_that_cannot_work_is_told_at_configtest(tester, line, words):
    code, said = tester.configtest(ROUTE % ("ETagFreshnessFrom %s\n" % line))
    assert code != 0 and not [w for w in words if w not in said], said


@pytest.mark.parametrize("line,words", WORDS)
def test_a_bad_word_is_told_at_configtest(tester, line, words):
    code, said = tester.configtest(line)
    assert code != 0 and not [w for w in words if w not in said], said


@pytest.mark.parametrize("line", [
    "ETagFreshnessSecret 0123456789abcdef", "ETagFreshnessMemory 1M",
    "ETagFreshnessThreads threads=2"])
def test_what_all_servers_share_is_not_said_in_one_of_them(tester, line):
    assert tester.configtest(line)[0] == 0
    code, said = tester.configtest(HOST % ("a", line))
    assert code != 0 and "VirtualHost" in said, said


@pytest.mark.parametrize("number,is_good", [(0, True), (2, True), (3, False)])
def test_a_group_that_a_pattern_lacks_is_told(tester, number, is_good):
    code, said = tester.configtest(NOWHERE + (
        '<LocationMatch "^/(a+)/(b+)$">\nETagFreshnessFrom sql "SELECT %%s" '
        'path:%d\n</LocationMatch>' % number))
    assert (code == 0) is is_good, said
    assert is_good or "path:3" in said


def test_a_line_of_the_main_server_may_be_for_a_virtual_host(tester):
    both = ROUTE % FROM + HOST % ("a", "%s")
    assert tester.configtest(both % NOWHERE)[0] == 0
    code, said = tester.configtest(both % "")
    assert code != 0 and "ETagFreshnessDatabase" in said


def test_a_line_of_a_virtual_host_needs_a_database_there(tester):
    with_line = HOST % ("a", ROUTE % FROM)
    other = HOST % ("b", NOWHERE)
    code, said = tester.configtest(with_line + other)
    assert code != 0 and STATEMENT in said
    assert tester.configtest(NOWHERE + with_line)[0] == 0


def test_a_database_that_is_not_there_is_nothing_to_configtest(tester):
    code, said = tester.configtest(NOWHERE + ROUTE % FROM)
    assert code == 0 and "Syntax OK" in said


# the start

def start_without(make_httpd, database, statement=FROM):
    """A start that finds no table; what it said."""
    httpd = make_httpd(BASE + database.conf + ROUTE % statement, start=False)
    httpd.log.claim("ETG0180")
    httpd.start()
    httpd.log.claim("ETG018[05]")
    return httpd, [line for line in httpd.log.text(whole=True).splitlines()
                   if "ETG0180" in line]


def test_a_missing_table_is_told_and_the_route_stands_aside(
        make_httpd, backend, database):
    backend.on("/", answer(200, {"ETag": '"backend"'}))
    httpd, said = start_without(make_httpd, database)
    assert len(said) == 1 and STATEMENT in said[0]
    assert "products" in said[0] and "httpd.conf:" in said[0]
    response = httpd.get("/")
    assert response.get("X-Freshness") == "unknown"
    assert response.get("ETag") == '"backend"'
    # ... and comes back by itself.
    database.products(3)
    poll(lambda: shown(httpd) == "known", "a look-up that works")


def test_a_wrong_column_is_told_at_the_start(make_httpd, backend, database):
    backend.on("/", answer())
    database.products(1)
    httpd, said = start_without(
        make_httpd, database,
        'ETagFreshnessFrom sql "SELECT nosuch FROM products"\n')
    assert len(said) == 1 and "nosuch" in said[0]
    assert shown(httpd) == "unknown"


def test_a_database_that_comes_later_is_found(make_httpd, backend, pgsql):
    backend.on("/", answer())
    pgsql.products(1)
    pgsql.stop()
    httpd, said = start_without(make_httpd, pgsql)
    assert len(said) == 1 and "onnect" in said[0]
    assert shown(httpd) == "unknown"
    pgsql.start()
    poll(lambda: shown(httpd) == "known", "a look-up that works")


def test_a_frozen_database_does_not_keep_httpd_from_starting(
        make_httpd, backend, pgsql):
    backend.on("/", answer())
    pgsql.products(1)
    pgsql.freeze()
    try:
        httpd, said = start_without(make_httpd, pgsql)
        assert len(said) == 1
        assert httpd.get("/").status == 200
    finally:
        pgsql.thaw()
    poll(lambda: shown(httpd) == "known", "a look-up that works")


def test_each_bad_line_of_each_database_is_told_once(make_httpd, backend,
                                                     make_database):
    one, other = make_database("sqlite3"), make_database("sqlite3-wal")
    other.products(1)
    lines = FROM + FROM.replace("id = 1", "id = 2")
    httpd = make_httpd(
        BASE + one.conf + ROUTE % lines
        + HOST % ("a", "") + HOST % ("b", other.conf), start=False)
    httpd.log.claim("ETG0180")
    httpd.start()
    httpd.log.claim("ETG0180")
    # The first database's are two; the other's are good.
    assert httpd.log.text(whole=True).count("ETG0180") == 2


@pytest.mark.skipif(os.getuid() != 0, reason="the user changes as root only")
def test_a_start_reads_as_children_will(make_httpd, backend, sqlite):
    """What root alone can read is told."""
    sqlite.products(1)
    backend.on("/", answer())
    sqlite.folder.chmod(0o700)
    os.chown(sqlite.folder, 0, 0)
    httpd, said = start_without(make_httpd, sqlite)
    assert len(said) == 1
    assert shown(httpd) == "unknown"
    sqlite.folder.chmod(0o755)
    poll(lambda: shown(httpd) == "known", "a look-up that works")


# servers and sections

def test_virtual_hosts_have_databases_of_their_own(make_httpd, backend,
                                                   make_database):
    one, other = make_database("sqlite3"), make_database("pgsql")
    for database in (one, other):
        database.products(2)
    backend.on("/", answer())
    httpd = make_httpd(
        BASE + ROUTE % FROM + one.conf + HOST % ("main", PROXY + SHOWN)
        + HOST % ("own", PROXY + SHOWN + other.conf))
    of_one = [("Host", "main")]
    of_other = [("Host", "own")]
    tags = tag(httpd, "/", of_one), tag(httpd, "/", of_other)
    assert shown(httpd, "/", of_one) == shown(httpd, "/", of_other) == "known"
    one.update(1)
    moved = tag(httpd, "/", of_one), tag(httpd, "/", of_other)
    assert moved[0] != tags[0] and moved[1] == tags[1]
    other.update(1)
    again = tag(httpd, "/", of_one), tag(httpd, "/", of_other)
    assert again[0] == moved[0] and again[1] != moved[1]


def test_a_host_without_the_database_stands_aside(make_httpd, backend,
                                                  make_database):
    database = make_database("sqlite3")
    database.products(1)
    backend.on("/", answer())
    httpd = make_httpd(BASE + ROUTE % FROM
                       + HOST % ("without", PROXY + SHOWN)
                       + HOST % ("with", PROXY + SHOWN + database.conf))
    assert shown(httpd, "/", [("Host", "with")]) == "known"
    assert shown(httpd, "/", [("Host", "without")]) == "unknown"


def product(number):
    return FROM.replace("id = 1", "id = %d" % number)


def test_inner_sections_inherit_replace_and_empty_the_lines(
        make_httpd, backend, sqlite):
    sqlite.products(3)
    httpd = make_httpd(BASE + sqlite.conf + """
        <Location "/r">
            ETagFreshness On
            %s
            %s
        </Location>
        <Location "/r/inner">
            ETagFreshnessBudget 3s
        </Location>
        <Location "/r/other">
            %s
        </Location>
        <Location "/r/none">
            ETagFreshnessFrom none
        </Location>
        <Location "/r/off">
            ETagFreshness Off
        </Location>
        """ % (product(1), product(2), product(3)))
    paths = ["/r", "/r/inner", "/r/other", "/r/none", "/r/off"]
    for path in paths:
        backend.on(path, answer(200))
    before = {path: tag(httpd, path) for path in paths}
    assert before["/r"] == before["/r/inner"] != before["/r/other"]
    assert before["/r/none"] is None and before["/r/off"] is None
    for number, moving in [(2, {"/r", "/r/inner"}), (3, {"/r/other"})]:
        sqlite.update(number)
        after = {path: tag(httpd, path) for path in paths}
        assert {path for path in paths
                if after[path] != before[path]} == moving
        before = after


def test_the_time_column_is_set_by_section(make_httpd, backend, sqlite):
    sqlite.execute("CREATE TABLE products (id INTEGER, updated_at TEXT, "
                   "seen_at TEXT)")
    sqlite.execute("INSERT INTO products VALUES (1, '2026-01-02 03:04:05', "
                   "'2025-01-02 03:04:05')")
    httpd = make_httpd(BASE + sqlite.conf + """
        <Location "/t">
            ETagFreshness On
            ETagFreshnessFrom sql "SELECT * FROM products"
        </Location>
        <Location "/t/seen">
            ETagFreshnessTime seen_at
        </Location>
        """)
    found = []
    for path in ("/t", "/t/seen"):
        backend.on(path, answer(200))
        found.append(httpd.get(path).get("Last-Modified"))
    assert found == ["Fri, 02 Jan 2026 03:04:05 GMT",
                     "Thu, 02 Jan 2025 03:04:05 GMT"]


def test_an_empty_source_is_a_mistake_unless_it_is_allowed(
        make_httpd, backend, database):
    database.products(0)
    backend.on("/", answer())
    backend.on("/may", answer())
    httpd = make_httpd(BASE + database.conf + ROUTE % FROM
                       + '<Location "/may">\nETagFreshnessAllowEmpty On\n'
                       "</Location>\n")
    httpd.log.claim("ETG0185.*ETagFreshnessAllowEmpty")
    assert shown(httpd) == "unknown" and tag(httpd) is None
    assert shown(httpd, "/may") == "known"
    empty = tag(httpd, "/may")
    database.products(1)
    assert shown(httpd) == "known" and tag(httpd, "/may") != empty


def test_an_empty_source_beside_one_that_is_not_is_a_mistake_too(
        make_httpd, backend, sqlite):
    sqlite.products(1)
    backend.on("/", answer())
    httpd = make_httpd(BASE + sqlite.conf + ROUTE % (product(1) + product(7)))
    httpd.log.claim("ETG0185")
    assert shown(httpd) == "unknown"


# reloads

def test_a_reload_takes_other_lines_and_databases(make_httpd, backend,
                                                  make_database):
    one, other = make_database("sqlite3"), make_database("sqlite3")
    one.products(2)
    other.products(2)
    backend.on("/", answer())
    httpd = make_httpd(BASE + one.conf + ROUTE % FROM)
    before = tag(httpd)
    httpd.parts[-1] = BASE.replace("@BACKEND@", "127.0.0.1:%d" % backend.port)
    httpd.parts[-1] += other.conf + ROUTE % product(2)
    httpd.graceful()
    poll(lambda: tag(httpd) != before, "the new configuration")
    after = tag(httpd)
    one.update(1)
    other.update(1)
    assert tag(httpd) == after
    other.update(2)
    assert tag(httpd) != after


def test_tags_of_private_requests_outlive_a_reload(make_httpd, backend,
                                                   sqlite):
    sqlite.products(1)
    backend.on("/", answer())
    httpd = make_httpd(BASE + sqlite.conf + ROUTE % FROM)
    ann = [("Authorization", "Basic YW5uOng=")]
    before, public = tag(httpd, "/", ann), tag(httpd)
    assert before is not None and before != public
    httpd.graceful()
    assert tag(httpd, "/", ann) == before and tag(httpd) == public


def test_what_is_read_after_the_backend_is_nobody_elses(make_httpd, backend,
                                                        sqlite):
    """Share lets an older look-up stand for the first reading alone: the
    second one finds that the data has moved."""
    sqlite.products(1)
    backend.on("/", answer())
    httpd = make_httpd(BASE + sqlite.conf
                       + ROUTE % (FROM + "ETagFreshnessShare 1h\n") + """
        CustomLog "@ROOT@/words.log" "%{etag-freshness}n"
        """)
    # More often than there are children: each has look-ups of its own.
    assert {shown(httpd) for _ in range(20)} == {"known"}
    sqlite.update(1)
    poll(lambda: "ETag" not in httpd.get("/"), "a look-up that is shared")
    words = httpd.root / "words.log"
    poll(lambda: words.read_text().endswith("known\nmoved\n"), "the word")


def test_a_salt_is_worked_out_for_each_request(make_httpd, backend, sqlite):
    sqlite.products(1)
    backend.on("/", answer())
    httpd = make_httpd(BASE + sqlite.conf + ROUTE % (
        FROM + 'ETagFreshnessSalt "%{req:X-Deploy}" "v1"\n'))
    tags = [tag(httpd, "/", [("X-Deploy", deploy)])
            for deploy in ("1", "2", "1")]
    assert tags[0] == tags[2] != tags[1]
    assert "Vary" not in httpd.get("/")
