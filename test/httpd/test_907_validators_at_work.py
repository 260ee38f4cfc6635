# SPDX-License-Identifier: Apache-2.0
"""mod_etag_freshness without the cache, in trouble and on other ways through
httpd: rewriting, static files, dead children, a mutex that nobody gives back,
memory that is too small."""
import fcntl
import os
import signal

import pytest

from conftest import PROXY
from harness.backend import answer, http_date
from harness.net import poll

ON = """
ETagFreshness On
ETagFreshnessOverride On
ETagFreshnessBudget 2s
ETagFreshnessFrom files "@ROOT@/data/*"
"""

ALONE = PROXY + '<Location "/">' + ON + "</Location>\n"

LOG = """
CustomLog "@ROOT@/fields.log" "%>s %{If-None-Match}i %{If-Modified-Since}i"
"""


def prepare(httpd):
    (httpd.root / "data").mkdir()
    change(httpd, "first")


def change(httpd, text):
    """The data moves, and not just now: files younger than a moment are
    unknown."""
    path = httpd.root / "data" / "products"
    at = path.stat().st_mtime + 1 if path.exists() else 1700000000
    made = httpd.root / "products"
    made.write_text(text)
    os.utime(made, (at, at))
    httpd.give(made)
    made.rename(path)


@pytest.fixture
def make(make_httpd):
    def make(config=ALONE, **options):
        return make_httpd(config, cache=False, prepare=prepare, **options)
    return make


def hold(httpd, path, tag):
    return httpd.get(path, {"If-None-Match": tag})


def test_a_page_behind_rewriting_in_a_folder_is_304(make, backend, path):
    backend.on("/app.php", answer(200, {}, b"page"))
    httpd = make("""
ProxyPass "/back/" "http://@BACKEND@/"
<Directory "@DOCROOT@">
    RewriteEngine On
    RewriteRule "^pretty" "/back/app.php" [L]
</Directory>
<Location "/pretty">""" + ON + "</Location>\n")
    tag = httpd.get("/pretty").get("ETag")
    assert tag.startswith('W/"')
    before = backend.hits("/app.php")
    assert hold(httpd, "/pretty", tag).status == 304
    assert backend.hits("/app.php") == before
    change(httpd, "second")
    got = hold(httpd, "/pretty", tag)
    assert (got.status, got.body) == (200, b"page")


def test_a_page_behind_a_fallback_is_304(make, backend, path):
    backend.on("/app.php", answer(200, {}, b"page"))
    httpd = make("""
ProxyPass "/back/" "http://@BACKEND@/"
<Directory "@DOCROOT@">
    FallbackResource "/back/app.php"
</Directory>
<Location "/">""" + ON + "</Location>\n")
    tag = httpd.get("/shop").get("ETag")
    before = backend.hits("/app.php")
    got = hold(httpd, "/shop", tag)
    assert (got.status, got.get("ETag")) == (304, tag)
    assert backend.hits("/app.php") == before
    # Another URL, though the backend's is the same.
    assert hold(httpd, "/other", tag).status == 304
    assert backend.hits("/app.php") == before + 1
    change(httpd, "second")
    assert hold(httpd, "/shop", tag).status == 200


def test_a_file_of_httpds_own_is_304_by_the_data(make):
    httpd = make('<Location "/">' + ON + "</Location>\n")
    httpd.file("page.html", "page")
    first = httpd.get("/page.html")
    tag = first.get("ETag")
    assert hold(httpd, "/page.html", tag).status == 304
    change(httpd, "second")
    got = httpd.get("/page.html", {"If-None-Match": tag,
                                   "If-Modified-Since": http_date()})
    assert (got.status, got.body) == (200, b"page")
    assert got.get("ETag") != tag
    part = httpd.get("/page.html", {"Range": "bytes=1-2"})
    assert (part.status, part.body) == (206, b"ag")
    # A weak tag is no reason to put parts together.
    whole = httpd.get("/page.html", {"Range": "bytes=1-2",
                                     "If-Range": got.get("ETag")})
    assert (whole.status, whole.body) == (200, b"page")


def test_a_cgi_and_an_error_document_are_told_apart(make, backend, path):
    backend.on(path, answer(404, {}, b"no"))
    backend.on("/error", answer(200, {"ETag": '"own"'}, b"sorry"))
    httpd = make(ALONE + "ProxyErrorOverride On\nErrorDocument 404 /error\n")
    for _ in range(2):
        got = hold(httpd, path, "*")
        assert (got.status, got.body) == (404, b"sorry")
        assert not got.get("ETag", "").startswith("W/")


def test_logs_have_the_clients_own_conditions(make, backend, path):
    backend.on(path, answer(200, {}, b"page"))
    backend.on(path + "-dead", lambda exchange: exchange.cut())
    httpd = make(ALONE + LOG)
    httpd.log.claim("AH01102|AH00898|AH01097")
    assert hold(httpd, path, '"x"').status == 200
    assert hold(httpd, path + "-dead", '"y"').status == 502

    def lines():
        return (httpd.root / "fields.log").read_text().splitlines()
    poll(lambda: len(lines()) == 2, "two lines")
    assert lines() == ['200 \\"x\\" -', '502 \\"y\\" -']


def test_a_mutex_nobody_gives_back_holds_up_nobody(make, backend, path):
    backend.on(path, answer(200, {}, b"page"))
    httpd = make(ALONE + 'Mutex "flock:@ROOT@/run" etag-freshness\n')
    tag = httpd.get(path).get("ETag")
    assert hold(httpd, path, tag).status == 304
    assert backend.hits(path) == 1
    [locked] = (httpd.root / "run").glob("etag-freshness*")
    with open(locked) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for number in range(5):
            assert hold(httpd, path, tag).status == 304
            assert backend.hits(path) == 2 + number
    assert hold(httpd, path, tag).status == 304
    assert backend.hits(path) == 6


@pytest.mark.parametrize("kind", [
    "default", "pthread", "sem", "posixsem", "flock:@ROOT@/run",
    "fcntl:@ROOT@/run"])
def test_children_that_are_killed_hold_up_nobody(make, backend, path, kind):
    backend.on(path, answer(200, {}, b"page"))
    httpd = make(ALONE + 'Mutex "%s" etag-freshness\n' % kind)
    httpd.log.claim_from_now("AH0005[12]|ETG0198")
    for turn in range(5):
        change(httpd, "turn %d" % turn)
        load = [httpd.connect() for _ in range(8)]
        for number, connection in enumerate(load):
            connection.send_request("GET", "%s?%d" % (path, number))
        os.kill(httpd.children()[0], signal.SIGKILL)
        for connection in load:
            connection.close()
        tag = poll(lambda: tag_of(httpd, path), "an answer")
    assert hold(httpd, path, tag).status == 304


def tag_of(httpd, path):
    try:
        return httpd.get(path).get("ETag")
    except Exception:       # of the child that was killed
        return None


def test_what_is_too_much_for_the_memory_is_forgotten(make, backend, path):
    long = {"Cache-Control": "max-age=1, " + "x" * 1000}
    backend.on(path, answer(200, long, b"page"))
    httpd = make(ALONE + "ETagFreshnessMemory 64K\n")
    with httpd.connect() as connection:
        tags = [connection.get("%s?%d" % (path, number)).get("ETag")
                for number in range(200)]
        before = backend.hits(path)
        for number in reversed(range(200)):
            got = connection.get("%s?%d" % (path, number),
                                 {"If-None-Match": tags[number]})
            assert got.status == 304
            assert got.get("Cache-Control") == long["Cache-Control"]
    asked = backend.hits(path) - before
    assert 0 < asked < 200, asked


def test_what_is_too_long_to_remember_is_the_backends(make, backend, path):
    backend.on(path, answer(200, {"Cache-Control": "max-age=1, "
                                  + "x" * 3000}, b"page"))
    httpd = make()
    tag = httpd.get(path).get("ETag")
    assert hold(httpd, path, tag).status == 304
    assert backend.hits(path) == 2


def test_children_share_what_they_remember(make, backend, path):
    backend.on(path, answer(200, {}, b"page"))
    httpd = make()
    tag = httpd.get(path).get("ETag")
    pids = set()

    def all_have_answered():
        with httpd.connect() as connection:
            pids.add(httpd.child_serving(connection))
            got = connection.get(path, {"If-None-Match": tag})
        assert got.status == 304
        return len(pids) > 1
    poll(all_have_answered, "answers of two children")
    assert backend.hits(path) == 1
