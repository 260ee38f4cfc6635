# SPDX-License-Identifier: Apache-2.0
"""Pages with Edge Side Includes against the model of composites: random
histories as in test_968, whose first part is the page."""
import os
import re

import pytest

from harness.backend import answer
from harness.composite_histories import Walk, Walkers
from harness.composite_race import Moving, Race
from harness.esi_histories import PageHistory, config
from harness.httpd import mpm

pytestmark = pytest.mark.skipif(mpm() == "prefork", reason="needs threads")

SEED = os.environ.get("ETG_SEED", "1")
COUNT = int(os.environ.get("ETG_HISTORIES", "1000"))
TROUBLE = "AH01102|AH01110|AH00898|AH10404|AH01106"


@pytest.mark.parametrize("count", [
    COUNT, pytest.param(10000, marks=pytest.mark.slow)])
def test_histories_of_pages_are_as_the_model_says(make_httpd, count):
    with Walkers() as walkers:
        httpd = make_httpd(walkers.config(config))
        httpd.log.claim(TROUBLE)
        came, wrong = walkers.walk(httpd.port, SEED, count, PageHistory)
    print("ETG_SEED=%s ETG_HISTORIES=%d: %s" % (SEED, count, dict(came)))
    assert not wrong, "ETG_SEED=%s, %d wrong:\n%s" % (
        SEED, len(wrong), "\n".join(wrong[:3]))
    assert came["histories"] == count
    for word in ("whole", "304", "incomplete", "failed"):
        assert came[word] > count / 50, (word, came)


# That the model sees it

def first_again(history, offered, got):
    """The first page, whatever has changed; its tag is the present one's."""
    if got.status == 200 and "ETag" in got:
        history.first = getattr(history, "first", got.body)
        got.body = history.first


def first_tag(history, offered, got):
    if got.status == 200 and "ETag" in got:
        history.first = getattr(history, "first", got.get("ETag"))
        set_tag(got, history.first)


def all_the_same(history, offered, got):
    """What one has got, all the others get."""
    if got.status == 200 and "ETag" in got:
        history.first = getattr(history, "first", (got.body, got.fields))
        got.body, got.fields = history.first


def nothing_has_changed(history, offered, got):
    if got.status == 200 and "ETag" in got and offered:
        got.status, got.body = 304, b""
        set_tag(got, offered[-1])


def set_tag(got, tag):
    got.fields = [pair for pair in got.fields if pair[0] != "ETag"] \
        + [("ETag", tag)]


@pytest.mark.parametrize("tamper, why", [
    (first_again, "a part as it cannot be now"),
    (first_tag, "one tag for two"),
    (all_the_same, "for all to see"),
    (nothing_has_changed, "a 304 for what has changed"),
    (nothing_has_changed, "the tag of another user"),
])
def test_the_model_sees_pages_that_are_wrong(make_httpd, backend, tamper,
                                             why):
    httpd = make_httpd(config("t", backend.port))
    httpd.log.claim(TROUBLE)
    came, wrong = Walk(httpd.port, SEED, range(120), "t", backend, tamper,
                       PageHistory).run_all()
    print("%d of %d" % (len(wrong), came["histories"]))
    assert any(re.search(why, one) for one in wrong), wrong


# A race

RACE = """
ProxyPass "/part/" "http://@BACKEND@/part/" connectiontimeout=5 timeout=30 retry=0
<Location "/part/">
    ETagCache On
</Location>
<Location "/part/page">
    ETagCompositeESI On
    ETagCompositeESIAllow /part
</Location>
"""
PAGE = ", ".join('"%s": <esi:include src="/part/%s"/>' % (name, name)
                 for name in "abc").join("{}")
HOUR = {"Cache-Control": "max-age=3600"}
ASKED = {"Cache-Control": "no-cache"}


def race(make_httpd, backend, parts, requests=2000):
    httpd = make_httpd(RACE)
    backend.on("/part/page", answer(200, dict(HOUR, **{
        "ETag": '"page"', "Content-Type": "text/html",
        "Surrogate-Control": 'content="ESI/1.0"'}), PAGE))
    for part in parts:
        backend.on("/part/" + part.name, part.answer)
    run = Race(httpd, "/part/page", parts, SEED).run(requests)
    print("ETG_SEED=%s: %r" % (SEED, run))
    assert len(run.tags) > requests / 300, run
    return run


@pytest.mark.parametrize("parts", [
    lambda: [Moving("a", ASKED), Moving("b", HOUR, is_kept=True),
             Moving("c", {"Cache-Control": "no-store"}, has_tag=False)],
    lambda: [Moving(name, HOUR, is_kept=True) for name in "abc"],
], ids=["mixed", "kept"])
def test_no_page_was_past_when_it_was_asked_for(make_httpd, backend, parts):
    run = race(make_httpd, backend, parts())
    past = run.past()
    assert not past, (run, len(past), past[:3])
    assert not run.torn, run.torn[:3]
    assert sum(one.status == 304 for one in run.seen) > len(run.seen) / 50


def test_the_race_sees_pages_that_are_past(make_httpd, backend):
    run = race(make_httpd, backend, [Moving("a", ASKED), Moving("b", HOUR),
                                     Moving("c", HOUR)])
    assert run.past()
