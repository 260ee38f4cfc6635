# SPDX-License-Identifier: Apache-2.0
"""mod_etag_freshness without the cache: 304 while the data has not moved, and
the backend is not asked; nothing of the kind in any other case."""
import base64
import email.utils
import json
import os
import signal

import pytest

import harness.httpd
from conftest import PROXY
from harness.backend import answer, http_date
from harness.client import curl
from harness.database import from_line, render
from harness.net import poll

PER = 20
FROM = from_line(PER)

ROUTE = """
<Location "/">
    ETagFreshness On
    ETagFreshnessBudget 2s
    %s
    @MORE@
</Location>
CustomLog "@ROOT@/freshness.log" "%%>s %%{etag-freshness}n %%{etag-freshness-us}n"
""" % FROM

ALONE = PROXY + ROUTE


class Route:
    """A page of a database's products behind an httpd with this module."""

    def __init__(self, httpd, backend, database, path):
        self.httpd = httpd
        self.backend = backend
        self.database = database
        self.path = path

    def get(self, fields=(), query="", **options):
        return self.httpd.get(self.path + query, dict(fields), **options)

    def hold(self, tag, **more):
        """Asks as a client that holds that tag does."""
        fields = {"If-None-Match": tag}
        fields.update({name.replace("_", "-"): value
                       for name, value in more.items()})
        return self.get(fields)

    def hits(self):
        return self.backend.hits(self.path)

    def spared(self, ask):
        """What `ask` gets, if the backend was not asked for it."""
        before = self.hits()
        got = ask()
        assert self.hits() == before, got
        return got

    def asked(self, ask):
        """What `ask` gets, if the backend was asked for it, once."""
        before = self.hits()
        got = ask()
        assert self.hits() == before + 1, got
        return got

    def words(self):
        log = self.httpd.root / "freshness.log"
        return [line.split() for line in log.read_text().splitlines()]


@pytest.fixture
def make_route(make_httpd, backend, sqlite, path):
    def make(more="ETagFreshnessOverride On", headers=(), config="",
             handler=None, **options):
        sqlite.products(3 * PER)
        httpd = make_httpd(sqlite.conf + ALONE.replace("@MORE@", more)
                           + config, cache=False, **options)
        backend.on(path, handler or render(sqlite, headers, per=PER))
        return Route(httpd, backend, sqlite, path)
    return make


@pytest.fixture
def route(make_route):
    return make_route()


# What is answered

def test_an_unchanged_page_is_304_without_the_backend(route):
    first = route.asked(route.get)
    assert first.status == 200
    assert first.get("ETag").startswith('W/"')
    for _ in range(3):
        again = route.spared(lambda: route.hold(first.get("ETag")))
        assert again.status == 304
        assert again.body == b""
        assert again.get("ETag") == first.get("ETag")


def test_there_is_no_304_before_one_200_was_seen(route):
    tag = route.get().get("ETag")
    route.httpd.restart()
    # The data is the same, and so is the tag if the secret plays no part.
    assert route.asked(lambda: route.hold(tag)).status == 304
    assert route.spared(lambda: route.hold(tag)).status == 304


def test_a_changed_row_brings_a_new_page_at_once(route):
    old = route.get()
    route.database.update(3)
    new = route.asked(lambda: route.hold(old.get("ETag")))
    assert new.status == 200
    assert new.get("ETag") != old.get("ETag")
    assert json.loads(new.body)["products"] \
        == route.database.page(1, PER)["products"]
    assert route.spared(lambda: route.hold(new.get("ETag"))).status == 304


def test_a_row_moves_its_own_page_and_an_added_one_all(route):
    tags = {n: route.get(query="?page=%d" % n).get("ETag") for n in (1, 2)}
    assert tags[1] != tags[2]
    route.database.update(3)

    def held(number):
        return route.get({"If-None-Match": tags[number]},
                         query="?page=%d" % number)
    assert route.spared(lambda: held(2)).status == 304
    assert route.asked(lambda: held(1)).status == 200
    route.database.insert()
    assert route.asked(lambda: held(2)).status == 200


def test_the_tag_comes_back_when_the_data_does(route):
    before = route.get().get("ETag")
    number = route.database.insert(name="short")
    assert route.hold(before).status == 200
    route.database.delete(number)
    assert route.hold(before).status == 304


@pytest.mark.parametrize("held", [
    '%s', '"x", %s', '%s, "x"', '*', 'strong', '"a",, %s'])
def test_if_none_match_is_a_list_compared_weakly(route, held):
    tag = route.get().get("ETag")
    held = tag[2:] if held == "strong" else held.replace("%s", tag)
    assert route.spared(lambda: route.hold(held)).status == 304


@pytest.mark.parametrize("held", ['"x"', 'W/"x", "y"', 'bare', ''])
def test_other_tags_get_the_page(route, held):
    route.get()
    assert route.asked(lambda: route.hold(held)).status == 200


def test_a_date_alone_is_never_304(route):
    last = "?page=3"
    date = route.get(query=last).get("Last-Modified")
    assert date is not None
    route.database.delete(1)    # the last page keeps its newest row
    for since in (date, http_date()):
        got = route.asked(lambda: route.get({"If-Modified-Since": since},
                                            query=last))
        assert got.status == 200
        assert got.get("Last-Modified") == date


def test_a_browser_that_sends_both_is_answered_by_its_tag(route):
    first = route.get()
    got = route.spared(lambda: route.hold(
        first.get("ETag"), If_Modified_Since=first.get("Last-Modified")))
    assert got.status == 304
    # The tag decides, even if the date says that nothing has changed.
    assert route.hold('"x"', If_Modified_Since=http_date()).status == 200


@pytest.mark.parametrize("more", [
    {"Range": "bytes=0-9"}, {"If-Match": "*"},
    {"If-Unmodified-Since": "Sat, 01 Jan 2028 00:00:00 GMT"},
    {"Range": "bytes=0-9", "If-Range": '"x"'}])
def test_other_conditions_go_to_the_backend(route, more):
    tag = route.get().get("ETag")
    route.asked(lambda: route.get({"If-None-Match": tag, **more}))


def test_a_part_of_what_the_client_has_is_304(route):
    tag = route.get().get("ETag")
    got = route.asked(lambda: route.hold(tag, Range="bytes=0-9"))
    assert (got.status, got.body) == (304, b"")
    got = route.asked(lambda: route.hold('"x"', Range="bytes=0-9"))
    assert got.status in (200, 206)
    assert "Range" not in route.backend.requests(route.path)[-1]


def test_if_match_of_a_weak_tag_fails(route):
    tag = route.get().get("ETag")
    got = route.asked(lambda: route.get({"If-Match": tag}))
    assert got.status == 412
    assert route.get({"If-Match": "*"}).status == 200


def test_head_is_answered_as_get_is(route):
    tag = route.get().get("ETag")
    got = route.spared(lambda: route.httpd.head(
        route.path, {"If-None-Match": tag}))
    assert (got.status, got.get("ETag")) == (304, tag)


@pytest.mark.parametrize("more", [
    {"Upgrade": "websocket", "Connection": "Upgrade"},
    {"X-HTTP-Method-Override": "DELETE"}])
def test_what_is_more_than_a_look_is_the_backends(route, more):
    tag = route.get().get("ETag")
    got = route.asked(lambda: route.get({"If-None-Match": tag, **more}))
    assert got.status == 200


def test_a_get_with_a_body_and_a_post_are_the_backends(route):
    tag = route.get().get("ETag")
    for method in ("GET", "POST"):
        got = route.asked(lambda: route.httpd.request(
            method, route.path, {"If-None-Match": tag}, body=b"x=1"))
        assert got.status == 200


def test_the_304_says_what_the_200_says(make_route):
    route = make_route(headers={
        "Cache-Control": "private, max-age=60", "Vary": "Accept",
        "Content-Location": "/products.json",
        "Expires": http_date(4102444800), "X-Other": "1"})
    first = route.get()
    got = route.spared(lambda: route.hold(first.get("ETag")))
    assert got.status == 304
    for name in ("Cache-Control", "Vary", "Content-Location", "ETag"):
        assert got.get(name) == first.get(name), name
    when = {name: email.utils.parsedate_to_datetime(got.get(name))
            for name in ("Expires", "Date")}
    assert when["Expires"] > when["Date"]
    for name in ("Content-Type", "Content-Length", "Transfer-Encoding"):
        assert name not in got


def test_the_304_of_an_expired_page_is_expired_too(make_route):
    route = make_route(headers={"Expires": "0"})
    got = route.hold(route.get().get("ETag"))
    assert got.status == 304
    expires = email.utils.parsedate_to_datetime(got.get("Expires"))
    assert expires <= email.utils.parsedate_to_datetime(got.get("Date"))


# For whom

def test_each_variant_has_its_tag(make_route, backend, path):
    route = make_route(headers={"Vary": "Accept-Language"})
    tags = {}
    for language in ("de", "en"):
        tags[language] = route.get(
            {"Accept-Language": language}).get("ETag")
    assert tags["de"] != tags["en"]
    for language in ("de", "en"):
        got = route.spared(lambda: route.hold(
            tags[language], Accept_Language=language))
        assert got.status == 304
    got = route.asked(lambda: route.hold(tags["de"], Accept_Language="en"))
    assert got.status == 200


@pytest.mark.parametrize("name, values", [
    ("Cookie", ["session=1", "session=2"]),
    ("Authorization", ["Basic " + base64.b64encode(who).decode()
                       for who in (b"a:x", b"b:x")])])
def test_a_users_tag_answers_no_other_user(route, name, values):
    tags = [route.get({name: value}).get("ETag") for value in values]
    tags.append(route.get().get("ETag"))
    assert len(set(tags)) == 3
    for value, tag in zip(values, tags):
        assert route.spared(lambda: route.hold(
            tag, **{name: value})).status == 304
        for other in set(tags) - {tag}:
            assert route.asked(lambda: route.hold(
                other, **{name: value})).status == 200


@pytest.mark.parametrize("headers", [
    {"Set-Cookie": "a=b"}, {"Cache-Control": "no-store"}, {"Vary": "*"},
    {"Age": "7"}])
def test_some_responses_are_not_remembered(make_route, headers):
    route = make_route(headers=headers)
    tag = route.get().get("ETag") or '"x"'
    route.asked(lambda: route.hold(tag))
    route.asked(lambda: route.hold("*"))


# For how long

def test_trust_ends(make_route):
    route = make_route("ETagFreshnessOverride On\nETagFreshnessTrust 1s")
    tag = route.get().get("ETag")

    def is_asked():
        before = route.hits()
        assert route.hold(tag).status == 304
        return route.hits() > before
    poll(is_asked, "the end of trust")


def test_no_trust_is_never_304_without_the_backend(make_route):
    route = make_route("ETagFreshnessOverride On\nETagFreshnessTrust 0")
    tag = route.get().get("ETag")
    assert route.asked(lambda: route.hold(tag)).status == 304


def test_a_reload_brings_no_wrong_304(route):
    tag = route.get().get("ETag")
    route.httpd.graceful()
    assert route.hold(tag).status == 304
    route.database.update(3)
    assert route.asked(lambda: route.hold(tag)).status == 200


# In the backend's own words

def backend_tag(database, tag='"backend"', date=None):
    def handler(exchange):
        fields = {"ETag": tag, "Last-Modified": date}
        if exchange.request.get("If-None-Match") == tag:
            exchange.respond(304, fields)
        else:
            exchange.respond(200, fields, json.dumps(
                database.page(1, PER)).encode())
    return handler


def test_without_override_the_backends_tag_stays_and_is_answered(
        make_route, sqlite):
    route = make_route("", handler=backend_tag(sqlite))
    assert route.get().get("ETag") == '"backend"'
    assert route.spared(lambda: route.hold('"backend"')).status == 304
    route.database.update(3)
    assert route.asked(lambda: route.hold('"backend"')).status == 304
    assert route.backend.requests(route.path)[-1].get(
        "If-None-Match") == '"backend"'


def test_without_override_a_date_is_kept_back_until_it_is_the_backends(
        make_route, sqlite):
    date = "Mon, 06 Nov 2023 00:00:00 GMT"
    route = make_route("", handler=backend_tag(sqlite, date=date))

    def last():
        return route.backend.requests(route.path)[-1]
    got = route.asked(lambda: route.get({"If-Modified-Since": date}))
    assert got.status == 304                    # by the filter
    assert "If-Modified-Since" not in last()
    route.asked(lambda: route.get({"If-Modified-Since": date}))
    assert last().get("If-Modified-Since") == date


def test_without_override_a_date_of_ours_never_reaches_the_backend(
        make_route):
    route = make_route("")
    date = route.get().get("Last-Modified")
    for _ in range(2):
        got = route.asked(lambda: route.get({"If-Modified-Since": date}))
        assert got.status == 200
        last = route.backend.requests(route.path)[-1]
        assert "If-Modified-Since" not in last


def test_with_override_the_backend_never_sees_our_conditions(make_route,
                                                             sqlite):
    route = make_route(handler=backend_tag(sqlite))
    tag = route.get().get("ETag")
    assert tag != '"backend"'
    got = route.asked(lambda: route.hold('"backend"',
                                         If_Modified_Since=http_date()))
    assert got.status == 200
    last = route.backend.requests(route.path)[-1]
    assert "If-None-Match" not in last and "If-Modified-Since" not in last
    assert route.spared(lambda: route.hold(tag)).status == 304


@pytest.mark.parametrize("status", [404, 500, 503])
def test_errors_are_left_alone(make_route, status):
    route = make_route(handler=answer(status, {"ETag": '"e"'}, b"no"))
    got = route.asked(lambda: route.hold("*"))
    assert (got.status, got.get("ETag")) == (status, '"e"')
    assert route.asked(lambda: route.hold('"e"')).status == status


# In company

def test_other_modules_fields_are_in_the_304(make_route):
    route = make_route(config="""
<Location "/">
    Header set Cache-Control "private, max-age=7"
    Header always set X-Frame-Options "DENY"
    Header merge Vary "Accept"
    ExpiresActive On
    ExpiresDefault "access plus 1 hour"
    SetOutputFilter DEFLATE
</Location>
""")
    fields = {"Accept-Encoding": "gzip"}
    first = route.get(fields)
    assert first.get("Content-Encoding") == "gzip"
    assert "gzip" not in first.get("ETag")
    got = route.spared(lambda: route.get(
        {"If-None-Match": first.get("ETag"), **fields}))
    assert got.status == 304
    assert len(got.all("Cache-Control")) == len(first.all("Cache-Control"))
    for name in ("Cache-Control", "Vary", "ETag"):
        assert got.get(name) == first.get(name), name
    left = [email.utils.parsedate_to_datetime(r.get("Expires"))
            - email.utils.parsedate_to_datetime(r.get("Date"))
            for r in (first, got)]
    assert abs((left[0] - left[1]).total_seconds()) <= 2
    assert "Content-Encoding" not in got
    # Its own, in its own coding.
    assert route.spared(lambda: route.get(
        {"If-None-Match": first.get("ETag"), **fields})).status == 304


@pytest.mark.http2
def test_http2_is_answered_too(route):
    url = "http://127.0.0.1:%d%s" % (route.httpd.port, route.path)

    def get(*words):
        return curl(url, "--http2-prior-knowledge", *words)
    tag = get().get("ETag")
    got = route.spared(lambda: get("-H", "If-None-Match: " + tag))
    assert (got.version, got.status) == ("HTTP/2", 304)
    assert got.get("ETag") == tag


def test_access_control_comes_first(make_route):
    route = make_route(config="""
<Location "/">
    Require expr %{HTTP:X-Let-Me} == 'in'
</Location>
""")
    route.httpd.log.claim("AH01630")
    tag = route.get({"X-Let-Me": "in"}).get("ETag")
    assert route.hold(tag).status == 403
    assert route.hold(tag, X_Let_Me="in").status == 304


def test_logs_say_what_was_known(route):
    tag = route.get().get("ETag")
    route.hold(tag)
    route.database.update(1)
    route.hold(tag)
    poll(lambda: len(route.words()) == 3, "three lines")
    assert [line[:2] for line in route.words()] == [
        ["200", "known"], ["304", "304"], ["200", "moved"]]
    assert all(int(line[2]) >= 0 for line in route.words())


def test_without_shmcb_all_but_the_memory_works(make_route, monkeypatch):
    monkeypatch.setattr(harness.httpd, "BASE", harness.httpd.BASE.replace(
        "SSLSessionCache", "# SSLSessionCache"))

    def expect(httpd):
        httpd.log.claim("ETG0195")
    route = make_route(without=("socache_shmcb",), prepare=expect)
    tag = route.get().get("ETag")
    assert tag.startswith('W/"')
    assert route.asked(lambda: route.hold(tag)).status == 304


# Trouble

def test_killed_children_hang_nobody(route):
    tag = route.get().get("ETag")
    route.httpd.log.claim_from_now("AH00052|AH00051|ETG0198")
    for turn in range(6):
        route.database.update(1 + turn)
        load = [route.httpd.connect() for _ in range(4)]
        for connection in load:
            connection.send_request("GET", route.path)
        os.kill(route.httpd.children()[0], signal.SIGKILL)
        for connection in load:
            connection.close()
        tag = poll(lambda: try_get(route), "an answer")
    assert route.hold(tag).status == 304


def try_get(route):
    try:
        got = route.get()
    except Exception:       # of the child that was killed
        return None
    return got.get("ETag") if got.status == 200 else None
