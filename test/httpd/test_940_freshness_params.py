# SPDX-License-Identifier: Apache-2.0
"""What a statement is given of a request: query parameters, parts of the
path, fields, environment and user, each bound as a value whatever it says.

The page is a file; its Last-Modified is the time of the row that the value
has found, or there is none: then the value has found nothing."""
import base64
import concurrent.futures
import email.utils
import hashlib
import itertools
import random
import urllib.parse

import pytest

from harness.database import FIRST, stamp

KINDS = ["query", "path", "header", "env", "user"]
SHOWN = 'Header always set X-Freshness "expr=%{note:etag-freshness}"\n'
STATEMENT = "SELECT name, updated_at FROM items WHERE name = %s"
ROUTES = SHOWN + """
AliasMatch "^/page" "@DOCROOT@/page.html"
SetEnvIf X-Env "^(.+)$" SHOP=$1
ETagFreshnessOverride On
ETagFreshnessAllowEmpty On
ETagFreshnessBudget 10s
<Location "/page">
    ETagFreshness On
</Location>
""" + "".join("""
<LocationMatch "^/page/%s(?:/(.*))?$">
    ETagFreshnessFrom sql "%s" %s
</LocationMatch>
""" % (kind, STATEMENT, param) for kind, param in [
    ("query", "query:shop"), ("path", "path:1"), ("header", "header:X-Shop"),
    ("env", "env:SHOP"), ("user", "user"),
    ("default", '"query:shop=the default"')]) + """
<Location "/page/user">
    AuthType Basic
    AuthName shop
    AuthBasicProvider file
    AuthUserFile "@ROOT@/users"
    Require valid-user
</Location>
"""
PASSWORD = "{SHA}" + base64.b64encode(hashlib.sha1(b"x").digest()).decode()

SEGMENT = SHOWN + """
AliasMatch "^/page" "@DOCROOT@/page.html"
ETagFreshnessOverride On
ETagFreshnessAllowEmpty On
ETagFreshnessBudget 10s
MergeSlashes Off
<Location "/page/of/">
    ETagFreshness On
    ETagFreshnessFrom sql "%s" path:2
</Location>
""" % STATEMENT

ATTACKS = [
    "' OR '1'='1", "' OR 1=1 -- ", "\" OR \"\"=\"", "') OR ('1'='1",
    "x'; DROP TABLE items; --", "x'; DELETE FROM items; --",
    "x'); UPDATE items SET updated_at = NULL; --", "\\'; DROP TABLE items",
    "' UNION SELECT name, updated_at FROM items --",
    "' UNION ALL SELECT NULL, '2026-01-01' --", "1; SELECT pg_sleep(9)",
    "'||(SELECT name FROM items LIMIT 1)||'", "$1", "$$; DROP TABLE items; $$",
    "?1", ":name", "@name", "%s", "%n%n%n%n", "%%", "%25s", "{0}",
    "' AND randomblob(1000000000) --", "'; ATTACH DATABASE 'evil.db' AS e; --",
    "'; COPY items TO 'evil'; --", "' OR name LIKE '%", "' OR name IS NOT NULL",
    "\u2019 OR 1=1 --", "\uff07 OR 1=1 --", "\u00bf' OR 1=1 --", "'' OR ''=''",
    "a' OR 'a' 'b", "0x27204f5220313d31", "CHAR(39)", "NULL", "' -- \t'",
    "'; PRAGMA query_only = OFF; INSERT INTO items VALUES ('evil', NULL); --",
    "'; SET default_transaction_read_only TO off; DROP TABLE items; --",
    "`; DROP TABLE items", "items", "name", "' + name + '", "'=name OR '",
]


def attack(kind, chance):
    """One of them, changed at random, as this kind of param can carry it."""
    text = chance.choice(ATTACKS)
    for _ in range(chance.randrange(3)):
        at = chance.randrange(len(text) + 1)
        text = text[:at] + chance.choice(
            ["'", "\"", "\\", "--", ";", "%", "(", ")", "''", "\\'", "#",
             " OR 1=1 ", "\u00e9", "&", "+", "=", "$1"]) + text[at:]
    if kind == "path":
        text = text.replace("/", "|")
    if kind == "user":
        text = text.replace(":", "|").replace("#", "|")
    return text.replace("\t", " ").strip()


def ask(connection, kind, value):
    """A request that carries the value."""
    target, fields = "/page/" + kind, []
    if kind in ("query", "default"):
        target += "?shop=" + urllib.parse.quote(value, safe="")
    elif kind == "path":
        target += "/" + urllib.parse.quote(value, safe="")
    elif kind == "user":
        word = base64.b64encode(value.encode() + b":x").decode()
        fields.append(("Authorization", "Basic " + word))
    else:
        fields.append(("X-Env" if kind == "env" else "X-Shop",
                       value.encode().decode("latin-1")))
    response = connection.get(target, fields)
    assert response.status == 200, (value, response)
    return response


def found(connection, kind, value):
    """The second of the row that was found; None: no row was."""
    response = ask(connection, kind, value)
    assert response.get("X-Freshness") != "unknown", value
    when = response.get("Last-Modified")
    return None if when is None else \
        int(email.utils.parsedate_to_datetime(when).timestamp())


def items(database, names):
    """A table of these, each with a time of its own."""
    database.execute("DROP TABLE IF EXISTS items")
    database.execute("CREATE TABLE items (name TEXT, updated_at %s)"
                     % database.time_type)
    for number, name in enumerate(names):
        database.execute("INSERT INTO items VALUES (%s, %s)", name,
                         stamp(FIRST + number))


def everything(database):
    if database.driver == "sqlite3":
        return list(database.connection().iterdump())
    return [database.execute("SELECT * FROM items ORDER BY updated_at"),
            database.execute("SELECT table_name FROM information_schema.tables"
                             " WHERE table_schema = 'public'"),
            database.execute("SELECT rolname FROM pg_roles")]


@pytest.fixture
def server(make_httpd, request):
    def make(database, users=()):
        def prepare(httpd):
            httpd.file("page.html", "a page")
            (httpd.root / "users").write_text("".join(
                "%s:%s\n" % (user, PASSWORD)
                for user in users))
        return make_httpd(database.conf + ROUTES, prepare=prepare)
    return make


VALUES = ["plain", "with space", "O'Hara", '"quoted"', "back\\slash", "a%sb",
          "100%", "a+b", "a&b=c", "\u00e9t\u00e9", "\u6771\u4eac", "x; y",
          "' OR '1'='1", "$1", "-- x", "a" * 4000, "\u2019"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("which", ["sqlite3", "pgsql"])
def test_a_value_comes_to_the_statement_byte_by_byte(server, make_database,
                                                     kind, which):
    database = make_database(which)
    values = [value for value in VALUES
              if kind not in ("path", "user") or len(value) < 1000]
    items(database, values)
    with server(database, values).connect() as connection:
        assert [found(connection, kind, value) for value in values] \
            == [FIRST + number for number in range(len(values))]


def test_a_value_that_is_missing_is_null_or_its_default(server, sqlite):
    items(sqlite, ["", "the default", "NULL", "other"])
    httpd = server(sqlite)
    with httpd.connect() as connection:
        for path in ("query", "query?x=1", "query?Shop=other", "path",
                     "header", "env"):
            response = connection.get("/page/" + path)
            assert (response.get("X-Freshness"), "Last-Modified" in response) \
                != ("unknown", True), path
            assert "Last-Modified" not in response, path
        assert found(connection, "query", "") == FIRST
        assert found(connection, "default", "other") == FIRST + 3
        response = connection.get("/page/default")
        assert response.get("Last-Modified") is not None
        assert response.get("ETag") == ask(connection, "default",
                                           "the default").get("ETag")


def test_a_segment_behind_the_section_is_a_value(make_httpd, sqlite):
    items(sqlite, ["plain", "O'Hara", "a b", "x"])
    httpd = make_httpd(sqlite.conf + SEGMENT,
                       prepare=lambda httpd: httpd.file("page.html", "x"))
    with httpd.connect() as connection:
        def second(path):
            response = connection.get(path)
            assert response.status == 200
            return (response.get("X-Freshness") != "unknown",
                    response.get("Last-Modified"))
        for number, name in enumerate(["plain", "O'Hara", "a%20b"]):
            for path in ("/page/of/x/", "/page/of//"):
                when = email.utils.formatdate(FIRST + number, usegmt=True)
                assert second(path + name + "/x") == (True, when), name
        for path in ("/page/of/x", "/page/of/x/", "/page/of/x//plain"):
            assert second(path)[1] is None, path
        assert second("/page//of/x/plain") == (False, None)


def test_a_query_that_backends_read_differently_is_refused(server, sqlite):
    items(sqlite, ["a", "b"])
    with server(sqlite).connect() as connection:
        for query in ("shop=a&shop=b", "shop=a;shop=b", "shop", "shop=%zz",
                      "shop=%00", "shop=a%00b", "shop=" + "a" * 4097,
                      "shop=a&sh%6fp=b"):
            response = connection.get("/page/query?" + query)
            assert response.status == 200, query
            assert response.get("X-Freshness") == "unknown", query
        for query in ("shop=a", "shop=a&shop=a", "sh%6fp=%61", "x=%zz&shop=a"):
            response = connection.get("/page/query?" + query)
            assert response.get("Last-Modified") is not None, query


def test_lines_of_a_field_are_one_value(server, sqlite):
    items(sqlite, ["a", "a, b"])
    with server(sqlite).connect() as connection:
        response = connection.get("/page/header", [("X-Shop", "a"),
                                                   ("X-Shop", "b")])
        assert response.get("Last-Modified") \
            == ask(connection, "header", "a, b").get("Last-Modified") \
            != ask(connection, "header", "a").get("Last-Modified")


def test_values_do_not_run_into_each_other(make_httpd, sqlite):
    """Two params; neither sharing nor the statement mixes them up."""
    sqlite.execute("CREATE TABLE items (one TEXT, two TEXT, updated_at TEXT)")
    pairs = [("a", "bc"), ("ab", "c"), ("", "abc"), ("abc", ""), ("b", "a"),
             ("a", "b")]
    for number, pair in enumerate(pairs):
        sqlite.execute("INSERT INTO items VALUES (%s, %s, %s)", *pair,
                       stamp(FIRST + number))
    httpd = make_httpd(SHOWN + sqlite.conf + """
        <Location "/page.html">
            ETagFreshness On
            ETagFreshnessOverride On
            ETagFreshnessBudget 10s
            ETagFreshnessShare 1h
            ETagFreshnessFrom sql \
"SELECT * FROM items WHERE one = %s AND two = %s" query:one query:two
        </Location>""", prepare=lambda httpd: httpd.file("page.html", "x"))
    with httpd.connect() as connection:
        for _ in range(2):
            assert [connection.get("/page.html?one=%s&two=%s" % pair)
                    .get("Last-Modified") for pair in pairs] \
                == [email.utils.formatdate(FIRST + number, usegmt=True)
                    for number in range(len(pairs))]


@pytest.mark.parametrize("which", ["sqlite3", "pgsql"])
def test_no_attempt_at_injection_finds_or_changes_anything(
        server, make_database, which):
    """5,000 attempts on each, a thousand by each kind of param."""
    database = make_database(which)
    chance = random.Random(which)
    attempts = [(kind, attack(kind, chance))
                for kind, _ in itertools.product(KINDS, range(1000))]
    names = [name for name in {"canary", "plain", "O'Hara"}
             if name not in {text for _, text in attempts}]
    items(database, names)
    before = everything(database)
    httpd = server(database, {text for kind, text in attempts
                              if kind == "user"})

    def run(part):
        with httpd.connect() as connection:
            return [pair for pair in part
                    if found(connection, *pair) is not None]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        hits = list(itertools.chain(*pool.map(
            run, [attempts[i::4] for i in range(4)])))
    assert hits == []
    assert everything(database) == before
    with httpd.connect() as connection:
        assert found(connection, "query", names[0]) == FIRST


def test_bytes_that_are_no_text_of_the_database_are_unknown(server, pgsql):
    items(pgsql, ["a"])
    httpd = server(pgsql)
    httpd.log.claim("ETG0185.*(invalid byte sequence|UTF8)")
    with httpd.connect() as connection:
        for target in ("/page/query?shop=%ff", "/page/path/%c3%28"):
            response = connection.get(target)
            assert response.status == 200
            assert response.get("X-Freshness") == "unknown"
        assert found(connection, "query", "a") == FIRST
