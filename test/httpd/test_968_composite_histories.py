# SPDX-License-Identifier: Apache-2.0
"""mod_etag_composite against a model: random histories of parts that change,
fail, come back and expire, asked for by several users. See
harness.composite_model for what is right. And a race: parts that change while
they are asked for (harness.composite_race).

ETG_SEED makes other histories; ETG_HISTORIES more or less of them."""
import os
import re

import pytest

from harness.composite_histories import (Walk, Walkers, config,
                                         write_templates)
from harness.composite_race import Moving, Race

SEED = os.environ.get("ETG_SEED", "1")
COUNT = int(os.environ.get("ETG_HISTORIES", "1000"))
# What mod_proxy says of a backend that does not answer, or not to the end,
# and of parts that are not waited for.
TROUBLE = "AH01102|AH01110|AH00898|AH10404|AH01106"


@pytest.fixture(scope="module")
def walkers():
    with Walkers() as made:
        yield made


def start(make_httpd, config_text):
    httpd = make_httpd(config_text, prepare=write_templates)
    httpd.log.claim(TROUBLE)
    return httpd


def judge(httpd, walkers, seed, count):
    came, wrong = walkers.walk(httpd.port, seed, count)
    print("ETG_SEED=%s ETG_HISTORIES=%d: %s" % (seed, count, dict(came)))
    assert not wrong, "ETG_SEED=%s, %d wrong:\n%s" % (
        seed, len(wrong), "\n".join(wrong[:3]))
    assert came["histories"] == count
    # They were worth walking.
    for word in ("whole", "304", "incomplete", "failed",
                 "whole, backends not asked", "304, backends not asked"):
        assert came[word] > count / 20, (word, came)


def test_histories_are_as_the_model_says(make_httpd, walkers):
    judge(start(make_httpd, walkers.config()), walkers, SEED, COUNT)


@pytest.mark.slow
def test_ten_thousand_histories_are_as_the_model_says(make_httpd, walkers):
    judge(start(make_httpd, walkers.config()), walkers, SEED + "0", 10000)


# That the model sees it

def older_body(history, offered, got):
    """The tag is right, the body that of the first answer."""
    if got.status == 200 and "ETag" in got:
        history.first = getattr(history, "first", got.body)
        got.body = history.first


def older_tag(history, offered, got):
    if got.status == 200 and "ETag" in got:
        history.first = getattr(history, "first", got.get("ETag"))
        set_field(got, "ETag", history.first)


def newer_tag(history, offered, got):
    """Each answer has another."""
    if got.status == 200 and "ETag" in got:
        history.count = getattr(history, "count", 0) + 1
        set_field(got, "ETag", got.get("ETag")[:-1] + '%d"' % history.count)


def too_many_304(history, offered, got):
    """All that is offered is held against nothing."""
    if got.status == 200 and "ETag" in got and offered:
        got.status, got.body = 304, b""
        set_field(got, "ETag", offered[-1])


def another_users(history, offered, got):
    """What one has got, the others get."""
    if got.status == 200 and "ETag" in got:
        history.whole = getattr(history, "whole", (got.body, got.fields))
        got.body, got.fields = history.whole


def tag_of_incomplete(history, offered, got):
    if "ETag-Composite" in got:
        set_field(got, "ETag", '"incomplete"')


def never_whole(history, offered, got):
    """What is optional is missing, always."""
    optional = [part for part in history.parts if part.line.optional]
    if got.status == 200 and "ETag" in got and optional:
        got.fields = [("Cache-Control", "no-store"), (
            "ETag-Composite", 'incomplete; parts="%s"'
            % optional[0].line.name)]


def one_fails(history, offered, got):
    """Another one than has failed."""
    if got.status == 502:
        got.body = re.sub(rb'"part":"."', b'"part":"a"', got.body)


def set_field(got, name, value):
    got.fields = [pair for pair in got.fields if pair[0] != name] \
        + [(name, value)]


@pytest.mark.parametrize("tamper, why", [
    (older_body, "a part as it cannot be now"),
    (older_tag, "one tag for two"),
    (newer_tag, "two tags for one"),
    (too_many_304, "a 304 for what has changed"),
    (too_many_304, "the tag of another user"),
    (another_users, "a part as it cannot be now|one tag for two"),
    (tag_of_incomplete, "an incomplete one with a tag"),
    (never_whole, "missing for no reason"),
    (one_fails, "failed for no reason"),
])
def test_the_model_sees_answers_that_are_wrong(make_httpd, backend, tamper,
                                               why):
    httpd = start(make_httpd, config("t", backend.port))
    walk = Walk(httpd.port, SEED, range(80), "t", backend, tamper)
    came, wrong = walk.run_all()
    print("%d of %d" % (len(wrong), came["histories"]))
    assert any(re.search(why, one) for one in wrong), wrong


# A race

RACE = """
ProxyPass "/part/" "http://@BACKEND@/part/" connectiontimeout=5 timeout=30 retry=0
<Location "/part/">
    ETagCache On
</Location>
<Location "/race">
    SetHandler etag-composite
    ETagCompositePart a "/part/a"
    ETagCompositePart b "/part/b"
    ETagCompositePart c "/part/c"
    %s
</Location>
"""

HOUR = {"Cache-Control": "max-age=3600"}
ASKED = {"Cache-Control": "no-cache"}
NEVER = {"Cache-Control": "no-store"}


def race(make_httpd, backend, parts, more="", requests=3000):
    httpd = make_httpd(RACE % more)
    for part in parts:
        backend.on("/part/" + part.name, part.answer)
    run = Race(httpd, "/race", parts, SEED).run(requests)
    print("ETG_SEED=%s: %r" % (SEED, run))
    assert len(run.tags) > requests / 300, run
    return run


def is_right(run):
    past = run.past()
    assert not past, (run, len(past), past[:3])
    assert not run.torn, run.torn[:3]
    return sum(one.status == 304 for one in run.seen)


@pytest.mark.parametrize("parts", [
    lambda: [Moving("a", ASKED), Moving("b", NEVER), Moving("c", ASKED)],
    lambda: [Moving("a", ASKED), Moving("b", HOUR, is_kept=True),
             Moving("c", NEVER, has_tag=False)],
], ids=["asked", "mixed"])
def test_no_answer_was_past_when_it_was_asked_for(make_httpd, backend,
                                                  parts):
    run = race(make_httpd, backend, parts())
    assert is_right(run) > len(run.seen) / 200, run


@pytest.mark.parametrize("more", ["", "ETagCache On"],
                         ids=["parts", "whole"])
def test_what_is_purged_is_not_shown_again(make_httpd, backend, more):
    run = race(make_httpd, backend,
               [Moving(name, HOUR, is_kept=True) for name in "abc"], more)
    assert is_right(run) > len(run.seen) / 200, run


def test_the_race_sees_what_is_past(make_httpd, backend):
    """Parts that are kept, and nobody purges them."""
    run = race(make_httpd, backend, [Moving("a", ASKED), Moving("b", HOUR),
                                     Moving("c", HOUR)])
    assert run.past()
