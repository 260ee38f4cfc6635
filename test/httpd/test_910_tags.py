# SPDX-License-Identifier: Apache-2.0
"""Which validators the client sees: the backend's own, ours beside them, or
ours in their place; and what else than the data is in a tag."""
import base64
import gzip
import hashlib
import json
import subprocess

import pytest

from harness.backend import answer, http_date
from harness.database import FIRST, Sqlite, stamp

COLUMNS = "SELECT id, name, updated_at FROM products ORDER BY id"
CONFIG = """
ProxyPass "/" "http://@BACKEND@/" connectiontimeout=5 timeout=30 retry=0
ETagFreshnessFrom sql "%s"
ETagFreshnessBudget 5s
ETagFreshnessSecret "a secret of some length for tags"
<LocationMatch "^/(off|on|rails|rails2|salt|mixed|private|untimed|strong)/">
    ETagFreshness On
</LocationMatch>
<Location "/on/">
    ETagFreshnessOverride On
</Location>
<Location "/rails/">
    ETagFreshnessOverride On
    ETagFreshnessDigest rails
    ETagFreshnessFrom none
    ETagFreshnessFrom sql "SELECT updated_at FROM products"
    ETagFreshnessAllowEmpty On
</Location>
<Location "/rails2/">
    ETagFreshnessDigest rails
    ETagFreshnessFrom header X-Updated-At
</Location>
<Location "/salt/">
    ETagFreshnessDigest rails
    ETagFreshnessSalt "%%{HTTP:X-Version}"
</Location>
<Location "/mixed/">
    ETagFreshnessOverride On
    ETagFreshnessFrom sql "%s"
    ETagFreshnessFrom header X-Updated-At
</Location>
<Location "/strong/">
    ETagFreshnessFrom sql "%s"
    ETagFreshnessFrom body
</Location>
<Location "/untimed/">
    ETagFreshnessFrom none
    ETagFreshnessFrom sql "SELECT id FROM products"
</Location>
<Location "/private/">
    ETagFreshnessIgnoreCookies _ga*
</Location>
<Location "/private/basic">
    AuthType Basic
    AuthName shop
    AuthBasicProvider file
    AuthUserFile "@ROOT@/users"
    Require valid-user
</Location>
<LocationMatch "/deflated">
    SetOutputFilter DEFLATE
</LocationMatch>
<LocationMatch "/headers">
    Header set ETag "\\"admin\\""
    Header always set Last-Modified "Thu, 01 Jan 2026 00:00:00 GMT"
</LocationMatch>
""" % (COLUMNS, COLUMNS, COLUMNS)
PASSWORD = "{SHA}" + base64.b64encode(hashlib.sha1(b"x").digest()).decode()

OLD = "Thu, 01 Jan 2015 00:00:00 GMT"
OWN = {"ETag": '"its own"', "Last-Modified": OLD}
UNKNOWN = "ETG0185|ETG0190"


@pytest.fixture(scope="module")
def database():
    with_rows = Sqlite()
    yield with_rows
    with_rows.close()


@pytest.fixture(scope="module")
def httpd(request, backend, database):
    from conftest import build, finish
    server = build("tags", backend, CONFIG + database.conf)
    (server.root / "users").write_text(
        "".join("%s:%s\n" % (user, PASSWORD) for user in ("ann", "bob")))
    (server.root / "users").chmod(0o644)
    database.products(3)
    server.start()
    yield server
    finish(server)


@pytest.fixture(autouse=True)
def rows(database):
    fill(database, [(number, "name %d" % number, stamp(FIRST + number))
                    for number in range(1, 4)])


def fill(database, products):
    """The same table, with these rows."""
    database.begin()
    database.execute("DELETE FROM products")
    for number, name, time in products:
        database.execute("INSERT INTO products VALUES (%s, %s, 1, %s)",
                         number, name, time)
    database.execute("COMMIT")


def own(httpd, backend, path, headers=OWN, body=b"page", **fields):
    backend.on(path, answer(200, headers, body))
    response = httpd.get(path, fields)
    assert response.status == 200
    return response


def tag(*arguments, headers=(), **fields):
    return own(*arguments, headers=dict(headers), **fields).get("ETag")


def is_ours(text):
    return text is not None and text.startswith('W/"') and len(text) == 36


# whose


def test_tags_100_the_backends_own_stay(httpd, backend):
    response = own(httpd, backend, "/off/own")
    assert response.all("ETag") == ['"its own"']
    assert response.all("Last-Modified") == [OLD]


def test_tags_101_ours_are_put_where_it_has_none(httpd, backend):
    response = own(httpd, backend, "/off/none", {})
    assert is_ours(response.get("ETag"))
    assert response.get("Last-Modified") == http_date(FIRST + 3)
    only = own(httpd, backend, "/off/date", {"Last-Modified": OLD})
    assert is_ours(only.get("ETag")) and only.all("Last-Modified") == [OLD]
    only = own(httpd, backend, "/off/tag", {"ETag": '"its own"'})
    assert only.all("ETag") == ['"its own"']
    assert only.get("Last-Modified") == http_date(FIRST + 3)


def test_tags_102_ours_replace_its_own_under_override(httpd, backend):
    response = own(httpd, backend, "/on/own")
    assert len(response.all("ETag")) == 1 and is_ours(response.get("ETag"))
    assert response.all("Last-Modified") == [http_date(FIRST + 3)]


def test_tags_103_and_what_the_admin_has_put(httpd, backend):
    response = own(httpd, backend, "/on/headers", {})
    assert len(response.all("ETag")) == 1 and is_ours(response.get("ETag"))
    assert response.all("Last-Modified") == [http_date(FIRST + 3)]
    response = own(httpd, backend, "/off/headers", {})
    assert response.all("ETag") == ['"admin"']
    assert response.all("Last-Modified") == ["Thu, 01 Jan 2026 00:00:00 GMT"]


def test_tags_104_unknown_data_leaves_none_under_override(httpd, backend,
                                                          database):
    httpd.log.claim(UNKNOWN)
    database.execute("DELETE FROM products")
    for path, kept in (("/on/unknown", None), ("/off/unknown", '"its own"')):
        response = own(httpd, backend, path)
        assert response.get("ETag") == kept, path
        assert response.get("Last-Modified") == (kept and OLD), path


def test_tags_105_data_that_moved_meanwhile_gives_no_tag(httpd, backend,
                                                         database):
    def handler(exchange):
        database.update(2)
        exchange.respond(200, OWN, b"before or after?")
    for path, kept in (("/on/moved", None), ("/off/moved", '"its own"')):
        backend.on(path, handler)
        response = httpd.get(path)
        assert response.status == 200
        assert response.get("ETag") == kept and \
            response.get("Last-Modified") == (kept and OLD)


def test_tags_106_a_row_that_came_and_went_is_not_behind_a_tag(
        httpd, backend, database):
    """Its page was seen while it was there, but its digest was not."""
    def handler(exchange):
        database.insert(7, at=FIRST)
        exchange.respond(200, {}, b"with it")
    backend.on("/on/aba", handler)
    before = tag(httpd, backend, "/on/other")
    response = httpd.get("/on/aba")
    database.delete(7)
    assert response.body == b"with it" and "ETag" not in response
    assert tag(httpd, backend, "/on/other") == before


@pytest.mark.parametrize("status", [201, 203, 206, 301, 404, 503])
def test_tags_107_only_a_200_is_touched(httpd, backend, status):
    backend.on("/on/status", answer(
        status, dict(OWN, Location="/x", **{"Content-Range": "bytes 0-3/9"}),
        b"page"))
    response = httpd.get("/on/status")
    assert response.status == status
    assert response.get("ETag") == '"its own"'


def test_tags_108_a_head_has_the_tag_of_its_page(httpd, backend):
    for path in ("/on/head", "/off/head"):
        backend.on(path, answer(200, {}, b"page"))
        assert httpd.request("HEAD", path).get("ETag") \
            == httpd.get(path).get("ETag") is not None


def test_tags_109_other_methods_are_not_looked_at(httpd, backend):
    backend.on("/on/post", answer(200, OWN))
    response = httpd.request("POST", "/on/post", body=b"x")
    assert response.get("ETag") == '"its own"'


def test_tags_110_files_have_them_too(httpd, backend, make_httpd, database):
    server = make_httpd("""
<Location "/page.html">
    ETagFreshness On
    ETagFreshnessOverride On
    ETagFreshnessFrom sql "%s"
    FileETag None
</Location>
""" % COLUMNS + database.conf)
    server.file("page.html", "a page")
    response = server.get("/page.html")
    assert is_ours(response.get("ETag")), "FileETag is about files"
    assert response.get("Last-Modified") == http_date(FIRST + 3)
    assert server.get("/page.html", {"If-None-Match": response.get("ETag")}
                      ).status == 304


# what is in it


def test_tags_120_every_change_moves_it(httpd, backend, database):
    seen = [tag(httpd, backend, "/on/moves")]

    def moves(change, *arguments, **options):
        change(*arguments, **options)
        seen.append(tag(httpd, backend, "/on/moves"))
        assert seen.count(seen[-1]) == 1, seen
    moves(database.update, 2, at=FIRST)                 # older than it was
    moves(database.insert, at=FIRST - 100)
    moves(database.delete, 1)
    moves(database.update, 3, name="a name", at=FIRST + 3)
    moves(database.execute, "UPDATE products SET id = 9 - id")
    assert tag(httpd, backend, "/on/moves") == seen[-1]


def test_tags_121_the_fields_that_vary_names_are_in_it(httpd, backend):
    vary = {"Vary": "Accept-Language, X-Currency"}

    def in_case(**fields):
        return tag(httpd, backend, "/on/vary", headers=vary, **{
            name.replace("_", "-"): value for name, value in fields.items()})
    plain = in_case()
    assert len({plain, in_case(Accept_Language="de"),
                in_case(Accept_Language="fr"), in_case(X_Currency="EUR"),
                in_case(X_Currency="")}) == 5
    assert in_case(X_Other="1") == plain


def test_tags_122_nothing_is_said_of_what_varies_by_everything(httpd,
                                                               backend):
    response = own(httpd, backend, "/on/any", {"Vary": "*"})
    assert "ETag" not in response
    assert own(httpd, backend, "/off/any", dict(OWN, Vary="*")
               ).get("ETag") == '"its own"'


def test_tags_123_codings_have_tags_of_their_own(httpd, backend):
    page = json.dumps(list(range(1000)))
    backend.on("/on/deflated", answer(
        200, {"Content-Type": "application/json"}, page))
    plain = httpd.get("/on/deflated")
    coded = httpd.get("/on/deflated", {"Accept-Encoding": "gzip"})
    assert gzip.decompress(coded.body) == plain.body == page.encode()
    assert is_ours(plain.get("ETag")) and is_ours(coded.get("ETag"))
    assert plain.get("ETag") != coded.get("ETag")


def test_tags_124_a_salt_moves_all_of_them(httpd, backend):
    seen = {tag(httpd, backend, "/salt/a", **{"X-Version": version})
            for version in ("1", "2", "1")}
    assert len(seen) == 2 and all(map(is_ours, seen))


# private requests


def basic(user):
    return {"Authorization": "Basic " + base64.b64encode(
        ("%s:x" % user).encode()).decode()}


def test_tags_130_users_never_share_one(httpd, backend):
    seen = {}
    for name, fields in {
            "nobody": {}, "ann": {"Cookie": "session=ann"},
            "bob": {"Cookie": "session=bob"},
            "token": {"Authorization": "Bearer ann"},
            "both": {"Authorization": "Bearer ann",
                     "Cookie": "session=ann"}}.items():
        seen[name] = tag(httpd, backend, "/private/page", **fields)
        assert is_ours(seen[name])
        assert tag(httpd, backend, "/private/page", **fields) == seen[name]
    assert len(set(seen.values())) == len(seen)


def test_tags_131_nor_do_users_that_httpd_knows(httpd, backend):
    ann, bob = (tag(httpd, backend, "/private/basic", **basic(user))
                for user in ("ann", "bob"))
    assert is_ours(ann) and is_ours(bob) and ann != bob


def test_tags_132_one_users_tag_is_no_304_for_another(httpd, backend):
    def status(held, **fields):
        return httpd.get("/private/basic",
                         dict(fields, **{"If-None-Match": held})).status
    ann, bob = (tag(httpd, backend, "/private/basic", **basic(user))
                for user in ("ann", "bob"))
    assert status(ann, **basic("ann")) == 304
    assert status(ann, **basic("bob")) == 200
    assert status(bob, **basic("bob")) == 304


def test_tags_133_cookies_the_backend_does_not_look_at_are_not_in_it(
        httpd, backend):
    def with_cookie(value):
        return tag(httpd, backend, "/private/ga", Cookie=value)
    assert with_cookie("_ga=1") == tag(httpd, backend, "/private/ga")
    assert with_cookie("_ga=1; session=ann") == with_cookie(
        "session=ann; _ga_x=2") == with_cookie("session=ann")


def test_tags_134_nobody_can_work_out_a_private_one(httpd, backend, database,
                                                    make_httpd):
    """With another secret it is another tag; a public one is the same."""
    other = make_httpd(CONFIG.replace("a secret of some", "another of some")
                       .replace("<Location \"/private/basic\">",
                                "<Location \"/nowhere\">")
                       + database.conf)
    for fields, same in (({}, True), ({"Cookie": "session=ann"}, False)):
        backend.on("/private/x", answer(200))
        assert (httpd.get("/private/x", fields).get("ETag")
                == other.get("/private/x", fields).get("ETag")) == same


# several sources


def test_tags_140_early_and_late_lines_are_digested_together(httpd, backend,
                                                             database):
    def in_case(field):
        return tag(httpd, backend, "/mixed/a",
                   headers={"X-Updated-At": field})
    first = in_case("5")
    assert is_ours(first) and in_case("5") == first
    assert in_case("6") != first
    database.update(2)
    assert in_case("5") != first
    httpd.log.claim(UNKNOWN)
    assert tag(httpd, backend, "/mixed/a") is None, "a part is unknown"


def test_tags_141_the_early_part_alone_answers_nothing(httpd, backend):
    held = tag(httpd, backend, "/mixed/b", headers={"X-Updated-At": "5"})
    backend.on("/mixed/b", answer(200, {"X-Updated-At": "6"}, b"new"))
    response = httpd.get("/mixed/b", {"If-None-Match": held})
    assert response.status == 200 and response.body == b"new"


def test_tags_142_the_newest_of_both_is_the_date(httpd, backend):
    for field, newest in ((FIRST + 500, FIRST + 500), (5, FIRST + 3)):
        response = own(httpd, backend, "/mixed/c",
                       {"X-Updated-At": str(field)})
        assert response.get("Last-Modified") == http_date(newest)


def test_tags_143_with_a_body_line_it_is_strong(httpd, backend, database):
    first = own(httpd, backend, "/strong/a", {}, b"page")
    assert first.get("ETag").startswith('"')
    assert "Last-Modified" not in first
    assert own(httpd, backend, "/strong/a", {}, b"other").get("ETag") \
        != first.get("ETag")
    database.update(1)
    assert own(httpd, backend, "/strong/a", {}, b"page").get("ETag") \
        != first.get("ETag")


# the recipe that applications follow


RUBY = """
require "digest"
require "json"
require "time"
times = JSON.parse(STDIN.read)
puts Digest::MD5.hexdigest(
  times.sum { |time| time.nil? ? nil.to_i : Time.parse(time).to_i }.to_s)
"""


def ruby(times):
    done = subprocess.run(["/usr/bin/ruby", "-e", RUBY], check=True,
                          input=json.dumps(times), stdout=subprocess.PIPE,
                          text=True)
    return 'W/"%s"' % done.stdout.strip()


@pytest.mark.parametrize("times", [
    ["2026-01-01 00:00:00", "2026-06-01 12:34:56.999999",
     "1970-01-01 00:00:01"],
    ["2026-01-01T00:00:00Z", "2026-01-01T00:00:00.5+05:30"],
    ["2026-01-01 00:00:00+00", None], [],
], ids=["sql", "rfc3339", "null", "empty"])
def test_tags_150_rails_digests_are_those_of_ruby(httpd, backend, database,
                                                  times):
    fill(database, [(number, "", time)
                    for number, time in enumerate(times)])
    spelled = [time if time is None or "+" in time or "Z" in time
               else time + " UTC" for time in times]
    assert tag(httpd, backend, "/rails/a") == ruby(spelled)


def test_tags_151_many_rows_agree_with_ruby(httpd, backend, database):
    times = [stamp(FIRST + 86401 * number) for number in range(500)]
    fill(database, [(number, "", time)
                    for number, time in enumerate(times)])
    assert tag(httpd, backend, "/rails/b") == ruby(times)


def test_tags_152_what_is_no_time_here_is_no_recipe(httpd, backend, database):
    """Nobody knows what another reader makes of it."""
    for time in ("1969-12-31 23:59:58", "yesterday"):
        fill(database, [(1, "", time)])
        seen = tag(httpd, backend, "/rails/d")
        assert is_ours(seen) and seen != ruby([None]), time


def test_tags_153_it_is_another_tag_where_more_counts(httpd, backend,
                                                      database):
    """Vary, a user, a salt, lines in the response: the recipe covers none."""
    times = [row[0] for row in database.execute(
        "SELECT updated_at FROM products")]
    recipe = ruby(times)
    assert tag(httpd, backend, "/rails/c") == recipe
    others = [tag(httpd, backend, "/rails/c", headers={"Vary": "X-A"}),
              tag(httpd, backend, "/rails/c", Cookie="session=ann"),
              tag(httpd, backend, "/salt/c"),
              tag(httpd, backend, "/rails2/c",
                  headers={"X-Updated-At": "5"})]
    assert recipe not in others and len(set(others)) == 4
    assert all(map(is_ours, others))


# Last-Modified


def test_tags_160_it_is_never_in_the_future(httpd, backend, database):
    database.update(2, at=4000000000)
    response = own(httpd, backend, "/on/future", {})
    date = response.get("Last-Modified")
    assert date is not None
    assert date == response.get("Date") or date < http_date(4000000000)
    early = "Thu, 01 Jan 2026 00:00:00 GMT"
    response = own(httpd, backend, "/on/future2", {"Date": early})
    assert response.get("Last-Modified") <= response.get("Date")


def test_tags_161_there_is_none_without_times(httpd, backend, database):
    assert "Last-Modified" not in own(httpd, backend, "/untimed/a", {})
    database.execute("UPDATE products SET updated_at = NULL WHERE id = 2")
    response = own(httpd, backend, "/on/null", OWN)
    assert "Last-Modified" not in response
    assert is_ours(response.get("ETag"))


def test_tags_162_fractions_are_cut(httpd, backend, database):
    database.execute("UPDATE products SET updated_at = "
                     "'2026-01-01 00:00:00.999999'")
    response = own(httpd, backend, "/on/fraction", {})
    assert response.get("Last-Modified") == "Thu, 01 Jan 2026 00:00:00 GMT"
