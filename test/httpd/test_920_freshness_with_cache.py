# SPDX-License-Identifier: Apache-2.0
"""mod_etag_freshness with mod_etag_cache: a stored page is fresh while its
data is as it was, whatever its age, and stale once the data has moved,
whatever its lifetime."""
import calendar
import email.utils
import json
import time

import pytest

from conftest import PROXY
from harness.backend import Counter, answer, http_date
from harness.crowd import Crowd
from harness.database import at_first, from_line, names_on, render
from harness.net import poll
from harness.steps import held_by_its_data

PRODUCTS = 30
PER = 10
CONFIG = PROXY + """
ETagCache On
ETagCacheCompress gzip
<Location "/">
    ETagFreshness On
    ETagFreshnessOverride On
    ETagFreshnessBudget 2s
    %s
</Location>
<LocationMatch "^/(asked|own|trust)/">
    ETagCacheOverride "public, no-cache"
</LocationMatch>
<LocationMatch "^/(own|mine)/">
    ETagFreshnessOverride Off
</LocationMatch>
<Location "/trust/">
    ETagFreshnessTrust 1s
</Location>
""" % from_line(PER)

OLD = {"Cache-Control": "max-age=60", "Date": http_date(time.time() - 3600)}
LONG = {"Cache-Control": "max-age=3600"}
WRITES = pytest.mark.parametrize("write", [
    lambda shop: shop.update(3), lambda shop: shop.insert(0, "new"),
    lambda shop: shop.delete(3)], ids=["update", "insert", "delete"])


@pytest.fixture
def asked(path):
    return "/asked" + path


def seconds(response, name):
    return calendar.timegm(email.utils.parsedate(response.get(name)))


def test_a_page_is_stored_and_stays_a_hit(httpd, backend, shop, asked):
    """Although the route says no-cache."""
    backend.on(asked, render(shop, per=PER))
    first = httpd.get(asked)
    assert first.cache["fwd"] == "uri-miss" and first.cache["stored"]
    assert first.get("Cache-Control") == "public, no-cache"
    held_by_its_data(httpd, asked)
    before = backend.hits(asked)
    for _ in range(5):
        again = httpd.get(asked)
        assert again.hit and again.cache["detail"] == "data", again
        assert again.body == first.body
        assert again.get("ETag") == first.get("ETag")
    assert backend.hits(asked) == before == 1


@WRITES
def test_a_page_is_new_at_once_when_its_data_has_moved(
        httpd, backend, shop, asked, write):
    backend.on(asked, render(shop, per=PER))
    old = held_by_its_data(httpd, asked)
    write(shop)
    new = httpd.get(asked)
    assert new.cache["fwd"] == "stale", new
    assert new.cache["detail"] == "data-changed"
    assert json.loads(new.body) == shop.page(1, PER)
    assert new.get("ETag") not in (None, old.get("ETag"))
    assert held_by_its_data(httpd, asked).body == new.body
    assert backend.hits(asked) == 2


def test_other_pages_stay(httpd, backend, shop, asked):
    backend.on(asked, render(shop, per=PER))
    held_by_its_data(httpd, asked + "?page=1")
    held_by_its_data(httpd, asked + "?page=2")
    shop.update(3, "another")
    assert not httpd.get(asked + "?page=1").hit
    second = httpd.get(asked + "?page=2")
    assert second.hit and second.cache["detail"] == "data"


def test_a_row_moves_every_page_that_shows_how_many_there_are(
        httpd, backend, shop, asked):
    backend.on(asked, render(shop, per=PER))
    for page in (1, 2, 3):
        held_by_its_data(httpd, "%s?page=%d" % (asked, page))
    shop.insert()
    for page in (1, 2, 3):
        new = httpd.get("%s?page=%d" % (asked, page))
        assert new.cache["detail"] == "data-changed", new
        assert json.loads(new.body)["num_pages"] == 4


def test_a_lifetime_ends_when_the_data_moves(httpd, backend, shop, path):
    backend.on(path, render(shop, LONG, per=PER))
    held_by_its_data(httpd, path)
    shop.update(1, "another")
    new = httpd.get(path)
    assert new.cache["fwd"] == "stale" and names_on(new)[0] == "another"


def test_a_lifetime_goes_on_while_the_data_stays(httpd, backend, shop, path):
    backend.on(path, render(shop, OLD, per=PER))
    first = httpd.get(path)
    hit = held_by_its_data(httpd, path)
    assert hit.body == first.body and hit.age == 0
    assert hit.cache["ttl"] == 60
    assert backend.hits(path) == 1


def test_after_its_trust_a_page_is_fetched_in_full(httpd, backend, shop,
                                                   path):
    path = "/trust" + path
    backend.on(path, render(shop, {"ETag": '"b1"'}, per=PER))
    held_by_its_data(httpd, path)
    before = backend.hits(path)
    poll(lambda: httpd.get(path) and backend.hits(path) > before,
         "the end of the trust")
    assert "If-None-Match" not in backend.requests(path)[-1]
    assert "If-Modified-Since" not in backend.requests(path)[-1]
    again = held_by_its_data(httpd, path)     # it is trusted again
    assert again.hit


def test_what_another_cache_has_kept_is_not_of_the_data_of_now(
        httpd, backend, shop, path):
    backend.on(path, render(shop, {"Cache-Control": "max-age=600",
                                   "Age": "7"}, per=PER))
    httpd.get(path)
    backend.on(path, render(shop, LONG, per=PER))
    again = httpd.get(path)
    assert again.cache["detail"] == "data-unknown"
    held_by_its_data(httpd, path)


def test_while_the_data_is_unknown_lifetimes_decide(httpd, backend, shop,
                                                    path):
    fresh, stale = path + "-fresh", path + "-stale"
    backend.on(fresh, render(shop, LONG, per=PER))
    backend.on(stale, render(shop, dict(OLD, ETag='"b1"'), per=PER))
    body = held_by_its_data(httpd, fresh).body
    held_by_its_data(httpd, stale)
    shop.execute("DROP TABLE products")
    httpd.log.claim("ETG018")
    backend.on(fresh, answer(200, LONG, b"not asked for"))
    backend.on(stale, answer(304, {"ETag": '"b1"'}))
    hit = httpd.get(fresh)
    assert hit.hit and "detail" not in hit.cache and hit.body == body
    asked = httpd.get(stale)
    assert asked.cache["fwd"] == "stale" and asked.status == 200
    assert backend.requests(stale)[-1].get("If-None-Match") == '"b1"'


def test_what_was_stored_without_its_data_is_not_believed(
        httpd, backend, shop, path):
    shop.execute("DROP TABLE products")
    httpd.log.claim("ETG018")
    backend.on(path, answer(200, LONG, b"of nobody knows what"))
    assert httpd.get(path).status == 200
    poll(lambda: httpd.get(path).hit, "a hit", 10)
    shop.products(30)
    backend.on(path, render(shop, LONG, per=PER))
    new = httpd.get(path)
    assert new.cache["detail"] == "data-unknown", new
    assert len(names_on(new)) == PER
    assert held_by_its_data(httpd, path).body == new.body


@pytest.mark.parametrize("coding", ["identity", "gzip"])
def test_a_client_that_holds_the_page_is_told_304(httpd, backend, shop, asked,
                                                  coding):
    backend.on(asked, render(shop, per=PER,
                             more=lambda: {"filling": "x" * 2000}))
    accept = {"Accept-Encoding": coding}
    held_by_its_data(httpd, asked)
    held = held_by_its_data(httpd, asked, accept)
    assert held.get("Content-Encoding") == (
        "gzip" if coding == "gzip" else None)
    ask = dict(accept, **{"If-None-Match": held.get("ETag")})
    same = httpd.get(asked, ask)
    assert same.status == 304 and same.hit, same
    assert same.get("ETag") == held.get("ETag")
    assert backend.hits(asked) == 1
    shop.update(2, "another")
    new = httpd.get(asked, ask)
    assert new.status == 200 and not new.hit
    assert httpd.get(asked, ask).status == 200


def test_the_backends_own_tag_stays_and_asks_it(httpd, backend, shop, path):
    path = "/own" + path
    backend.on(path, render(shop, {"ETag": '"b1"'}, per=PER))
    first = held_by_its_data(httpd, path)
    assert first.get("ETag") == '"b1"'
    shop.update(25)                    # not on the page, as it happens
    shop.update(3)
    backend.on(path, answer(304, {"ETag": '"b1"'}))
    same = httpd.get(path)
    assert backend.requests(path)[-1].get("If-None-Match") == '"b1"'
    assert same.status == 200 and same.body == first.body
    assert same.cache["detail"] == "data-changed"
    assert same.cache["fwd-status"] == 304
    # It is of the data as it is now, and known to be.
    assert held_by_its_data(httpd, path).body == first.body
    assert backend.hits(path) == 1


def test_our_tag_goes_out_and_the_backends_own_asks_it(httpd, backend, shop,
                                                       asked):
    backend.on(asked, render(shop, {"ETag": '"b1"'}, per=PER))
    first = held_by_its_data(httpd, asked)
    ours = first.get("ETag")
    assert ours.startswith('W/"') and "b1" not in ours
    shop.update(3)
    backend.on(asked, answer(304, {"ETag": '"b1"'}))
    same = httpd.get(asked, {"If-None-Match": ours})
    assert backend.requests(asked)[-1].get("If-None-Match") == '"b1"'
    assert same.status == 304 and same.get("ETag") == ours
    again = held_by_its_data(httpd, asked)
    assert again.get("ETag") == ours and again.body == first.body


def test_a_date_of_the_backends_does_not_prove_that_nothing_moved(
        httpd, backend, shop, path):
    """Two changes in a second, or a row that goes, leave it."""
    path = "/mine" + path
    fields = dict(LONG, **{"Last-Modified": http_date(time.time() - 3600)})
    backend.on(path, render(shop, fields, per=PER))
    held_by_its_data(httpd, path)
    shop.delete(3)
    httpd.get(path)
    assert "If-Modified-Since" not in backend.requests(path)[-1]


def test_data_that_moves_while_the_backend_says_304_is_not_the_pages(
        httpd, backend, shop, asked):
    backend.on(asked, render(shop, {"ETag": '"b1"'}, per=PER))
    held_by_its_data(httpd, asked)
    shop.insert(0, "comes")

    def goes(exchange):
        shop.delete(0)
        shop.update(1, "another")
        exchange.respond(304, {"ETag": '"b1"'})
    backend.on(asked, goes)
    assert httpd.get(asked).status == 200
    backend.on(asked, render(shop, {"ETag": '"b2"'}, per=PER))
    new = httpd.get(asked)
    assert new.cache["detail"] == "data-changed"
    assert names_on(new)[0] == "another"


def test_dates_of_ours_answer_no_question(httpd, backend, shop, asked):
    """Last-Modified stays when a row goes, and Date within its second."""
    backend.on(asked, render(shop, per=PER))
    held = held_by_its_data(httpd, asked)
    date = held.get("Last-Modified")
    assert date is not None
    for since in (date, held.get("Date"), http_date()):
        same = httpd.get(asked, {"If-Modified-Since": since})
        assert same.status == 200 and same.body == held.body
        assert same.hit
    part = httpd.get(asked, {"Range": "bytes=0-3", "If-Range": date})
    assert part.status == 200
    old = httpd.get(asked, {"If-Unmodified-Since": http_date(1e9)})
    assert old.status == 200
    shop.delete(5)
    for since in (date, http_date()):
        assert httpd.get(asked, {"If-Modified-Since": since}).status == 200


def test_a_part_is_still_given_of_what_has_not_moved(httpd, backend, shop,
                                                     asked):
    backend.on(asked, render(shop, per=PER))
    held = held_by_its_data(httpd, asked)
    part = httpd.get(asked, {"Range": "bytes=0-3"})
    assert part.status == 206 and part.body == held.body[:4] and part.hit


def test_a_HEAD_is_answered_for_the_data(httpd, backend, shop, asked):
    backend.on(asked, render(shop, per=PER))
    held = held_by_its_data(httpd, asked)
    head = httpd.head(asked)
    assert head.hit and head.get("ETag") == held.get("ETag")
    assert backend.hits(asked) == 1
    shop.update(1, "another")
    head = httpd.head(asked)
    assert not head.hit and head.get("ETag") != held.get("ETag")
    assert backend.requests(asked)[-1].method == "HEAD"
    assert names_on(httpd.get(asked))[0] == "another"


def test_times_say_that_it_was_validated_now(httpd, backend, shop, path):
    made = time.time() - 3600
    backend.on(path, render(shop, {"Date": http_date(made),
                                   "Expires": http_date(made + 600)},
                            per=PER))
    assert seconds(httpd.get(path), "Date") == int(made)
    hit = held_by_its_data(httpd, path)
    assert hit.age == 0
    assert abs(seconds(hit, "Date") - time.time()) < 60
    assert seconds(hit, "Expires") - seconds(hit, "Date") == 600
    same = httpd.get(path, {"If-None-Match": hit.get("ETag")})
    assert same.status == 304
    assert seconds(same, "Expires") - seconds(same, "Date") == 600


def test_an_Expires_in_the_past_stays_there(httpd, backend, shop, path):
    backend.on(path, render(shop, {"Expires": "0"}, per=PER))
    assert held_by_its_data(httpd, path).get("Expires") in (
        "0", "Thu, 01 Jan 1970 00:00:00 GMT")


def test_an_Expires_at_the_end_of_all_dates_stays_there(
        httpd, backend, shop, path):
    last = "Fri, 31 Dec 9999 23:59:59 GMT"
    backend.on(path, render(shop, {"Date": http_date(time.time() - 3600),
                                   "Expires": last}, per=PER))
    assert held_by_its_data(httpd, path).get("Expires") == last


def test_a_burst_after_a_change_costs_two_fetches_at_most(
        httpd, backend, shop, asked):
    backend.on(asked, render(shop, per=PER, after=0.2))
    held_by_its_data(httpd, asked)
    before = backend.hits(asked)
    shop.update(1, "another")
    with Crowd(httpd, 50) as crowd:
        for response in crowd.ask(asked).answers():
            assert names_on(response)[0] == "another"
    assert backend.hits(asked) - before <= 2


def test_a_burst_under_a_constant_writer_is_shared(httpd, backend, shop,
                                                   asked):
    """The data moves with every fetch: nobody's digest is ever found again,
    and those who wait take what was fetched since they came."""
    def changes(exchange):
        shop.update(1, "number %d" % exchange.number)
    fetches = Counter(render(shop, per=PER, before=changes), delay=0.2)
    backend.on(asked, fetches)
    with Crowd(httpd, 50) as crowd:
        answers = crowd.ask(asked).answers()
    assert {response.status for response in answers} == {200}
    # Under prefork they come as fast as children do.
    assert fetches.most == 1 and backend.hits(asked) <= 25
    waited = [response for response in answers
              if response.cache.get("detail") == "data-new"]
    assert waited and all("collapsed" in each.cache for each in waited)


def test_a_row_that_comes_and_goes_leaves_no_page_with_it(
        httpd, backend, shop, asked):
    """It comes behind the first look at the data and goes behind the
    response's head."""
    backend.on(asked, render(
        shop, per=PER,
        before=at_first(shop.insert, 0, "for a moment")))
    assert names_on(httpd.get(asked))[0] == "for a moment"
    shop.delete(0)
    assert "for a moment" not in names_on(httpd.get(asked))
    assert "for a moment" not in names_on(held_by_its_data(httpd, asked))


def test_the_access_log_says_valid(httpd, backend, shop, asked):
    backend.on(asked, render(shop, per=PER))
    held_by_its_data(httpd, asked)
    log = httpd.root / "access.log"
    poll(lambda: [line for line in log.read_text().splitlines()
                  if asked in line and line.endswith('"valid"')],
         "a line of a validated hit")
