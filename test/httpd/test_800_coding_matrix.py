# SPDX-License-Identifier: Apache-2.0
"""What curl gets from compressed entries: every coding a client may ask for,
by the backend's validator, by kind of request (HEAD, conditions, ranges), by
how the entry came to be what it is. Each test is one cell of the first three
and asks all kinds of requests; RULES says what must come of each.

For the whole run: never one strong tag on two bodies of a URL."""
import gzip
import hashlib
import re

import pytest

from conftest import PROXY
from harness import curl
from harness.backend import http_date
from harness.call_log import page
from harness.httpd import mpm
from harness.net import poll
from harness.steps import stored

CONFIG = PROXY + """
ETagCache On
"""

GZIP, PLAIN = "gzip", "identity"
# What a client says, and what it must get; where it may get either, what it
# gets is read off the first answer.
CODINGS = {
    "gzip": ("gzip", GZIP),
    "curl": ("deflate, gzip, br, zstd", GZIP),
    "nothing": (None, PLAIN),
    "empty": ("", PLAIN),
    "gzip-refused": ("gzip;q=0", PLAIN),
    "anything": ("*", None),
    "anything-but-gzip": ("*, gzip;q=0", PLAIN),
    "identity-refused": ("identity;q=0", None),
    "gzip-or-none": ("gzip, identity;q=0", GZIP),
    "identity": ("identity", PLAIN),
    "identity-preferred": ("gzip;q=0.5, identity", PLAIN),
    "br": ("br", PLAIN),
    "x-gzip": ("x-gzip", GZIP),
    "deflate": ("deflate", PLAIN),
}
WRITTEN = http_date(1700000000)
BEFORE = http_date(1600000000)
VALIDATORS = {
    "strong": {"ETag": '"v%d"'},
    "weak": {"ETag": 'W/"v%d"'},
    "date": {"Last-Modified": WRITTEN},
    "both": {"ETag": '"v%d"', "Last-Modified": WRITTEN},
    "none": {},
}
STATES = ["fresh", "validated-now", "validated-before", "renewed",
          "stale-if-error", "refreshed-behind"]
CELLS = [(state, validator) for state in STATES for validator in VALIDATORS
         # What has no validator cannot be confirmed, and a new version with
         # the old one's date cannot be told from it.
         if not (validator == "none" and state.startswith("validated"))
         and not (validator == "date" and state == "renewed")
         # Without threads nothing is refreshed behind anybody.
         and not (mpm() == "prefork" and state == "refreshed-behind")]

# (path, strong tag) -> hash of the bytes it was sent with
tags = {}


class Origin:
    """A page with a validator, of a version, that a test makes stale, new or
    broken."""

    def __init__(self, path, validator):
        self.path = path
        self.validator = validator
        self.version = 1
        self.control = "max-age=600, stale-if-error=86400"
        self.age = None
        self.broken = False

    @property
    def body(self):
        seed = int(hashlib.sha1(self.path.encode()).hexdigest()[:8], 16)
        return page(seed + self.version, 9000)

    def validators(self):
        return {name: value.replace("%d", str(self.version))
                for name, value in VALIDATORS[self.validator].items()}

    def unchanged(self, request):
        own = self.validators()
        if "If-None-Match" in request:
            return request.get("If-None-Match") == own.get("ETag")
        return ("If-Modified-Since" in request
                and request.get("If-Modified-Since")
                == own.get("Last-Modified"))

    def __call__(self, exchange):
        if self.broken:
            exchange.respond(500, {}, b"broken")
            return
        fields = {"Cache-Control": self.control,
                  "Content-Type": "application/json", "Age": self.age,
                  **self.validators()}
        if self.unchanged(exchange.request):
            exchange.respond(304, fields)
        else:
            exchange.respond(200, fields, self.body)


class Held:
    """What a client of one coding holds, and what else it might."""

    def __init__(self, origin, response, other, old):
        self.coding = response.get("Content-Encoding") or PLAIN
        self.bytes = response.body
        self.tag = response.get("ETag")
        self.other = other.get("ETag")
        self.own = origin.validators().get("ETag")
        self.modified = response.get("Last-Modified")
        self.old = old

    @property
    def strong(self):
        return self.tag is not None and self.tag.startswith('"')


def suffixed(tag, suffix):
    return '%s%s"' % (tag[:-1], suffix)


WHOLE, UNCHANGED, FAILED, NO_SUCH_RANGE = "whole", "304", "412", "416"


def tag_rules(held):
    """Name -> (method, headers, what must come of it), for conditions on
    tags."""
    tag = held.tag
    part = {"Range": "bytes=10-99"}
    rules = {
        "none-match own": ("GET", {"If-None-Match": tag}, UNCHANGED),
        "HEAD none-match own": ("HEAD", {"If-None-Match": tag}, UNCHANGED),
        "none-match other": ("GET", {"If-None-Match": held.other},
                             UNCHANGED),
        "none-match backend's": ("GET", {"If-None-Match": held.own},
                                 UNCHANGED),
        "none-match mod_deflate's": (
            "GET", {"If-None-Match": suffixed(held.own, "-gzip")},
            UNCHANGED),
        "none-match mod_brotli's": (
            "GET", {"If-None-Match": suffixed(held.own, "-br")}, UNCHANGED),
        "none-match list": ("GET", {"If-None-Match": '"x", W/"y", ' + tag},
                            UNCHANGED),
        "none-match own, range": (
            "GET", dict(part, **{"If-None-Match": tag}), UNCHANGED),
        "none-match foreign, own date": (
            "GET", {"If-None-Match": '"x"', "If-Modified-Since": WRITTEN},
            WHOLE),
        "match own": ("GET", {"If-Match": tag},
                      WHOLE if held.strong else FAILED),
        "match foreign": ("GET", {"If-Match": '"x"'}, FAILED),
        "range if own": ("GET", dict(part, **{"If-Range": tag}),
                         [(10, 99)] if held.strong else WHOLE),
        "range if foreign": ("GET", dict(part, **{"If-Range": '"x"'}),
                             WHOLE),
    }
    if held.other != tag:
        rules["match other"] = ("GET", {"If-Match": held.other}, FAILED)
        rules["range if other"] = (
            "GET", dict(part, **{"If-Range": held.other}), WHOLE)
    for number, old in enumerate(held.old):
        rules["none-match old %d" % number] = ("GET", {"If-None-Match": old},
                                               WHOLE)
        rules["range if old %d" % number] = (
            "GET", dict(part, **{"If-Range": old}), WHOLE)
    return rules


def date_rules(held):
    """The same, on dates. A date says nothing of the coding: a range of what
    we coded is never given on its word."""
    part = {"Range": "bytes=10-99", "If-Range": WRITTEN}
    return {
        "modified since own": ("GET", {"If-Modified-Since": WRITTEN},
                               UNCHANGED),
        "modified since before": ("GET", {"If-Modified-Since": BEFORE},
                                  WHOLE),
        "HEAD modified since own": ("HEAD", {"If-Modified-Since": WRITTEN},
                                    UNCHANGED),
        "range if date": ("GET", part, [(10, 99)] if held.coding == PLAIN
                          else WHOLE),
    }


def rules_for(held):
    last = len(held.bytes) - 1
    rules = {
        "GET": ("GET", {}, WHOLE),
        "HEAD": ("HEAD", {}, WHOLE),
        "none-match foreign": ("GET", {"If-None-Match": '"x"'}, WHOLE),
        "none-match any": ("GET", {"If-None-Match": "*"}, UNCHANGED),
        "match any": ("GET", {"If-Match": "*"}, WHOLE),
        "range": ("GET", {"Range": "bytes=10-99"}, [(10, 99)]),
        "range to the end": ("GET", {"Range": "bytes=100-"}, [(100, last)]),
        "last bytes": ("GET", {"Range": "bytes=-20"}, [(last - 19, last)]),
        "range beyond": ("GET", {"Range": "bytes=%d-" % (last + 1)},
                         NO_SUCH_RANGE),
        "ranges": ("GET", {"Range": "bytes=0-9,200-299"},
                   [(0, 9), (200, 299)]),
        "GET again": ("GET", {}, WHOLE),
    }
    if held.tag is not None:
        rules.update(tag_rules(held))
    if held.modified is not None:
        rules.update(date_rules(held))
    return rules


# judging


def remember(path, response):
    tag = response.get("ETag")
    if tag is not None and tag.startswith('"'):
        digest = hashlib.sha256(response.body).hexdigest()
        assert tags.setdefault((path, tag), digest) == digest, \
            "the tag %s on two bodies" % tag


def judge_whole(held, method, response):
    assert response.status == 200
    assert "Transfer-Encoding" not in response
    assert response.get("Content-Length") == str(len(held.bytes))
    assert "Content-Range" not in response
    if method == "GET":
        assert response.body == held.bytes
    judge_coding(held, response)


def judge_coding(held, response):
    assert response.all("Content-Encoding") == (
        ["gzip"] if held.coding == GZIP else [])
    assert response.get("ETag") == held.tag
    assert response.get("Last-Modified") == held.modified


def judge_parts(held, response, wanted):
    assert response.status == 206
    length = len(held.bytes)
    assert curl.parts_of(response) == [
        (first, last, length, held.bytes[first:last + 1])
        for first, last in wanted]
    judge_coding(held, response)


def judge_unchanged(held, headers, response):
    assert response.status == 304
    assert response.body == b""
    sent = headers.get("If-None-Match", "*")
    members = re.findall(r'(?:W/)?"[^"]*"', sent)
    tag = response.get("ETag")
    assert tag == held.tag or tag in members, (tag, sent)
    if held.tag in members:
        assert tag == held.tag
    elif members:
        assert tag in members, "a client is told of a tag it has not"


def judge(held, rule, response):
    method, headers, wanted = rule
    if wanted == WHOLE:
        judge_whole(held, method, response)
    elif wanted == UNCHANGED:
        judge_unchanged(held, headers, response)
    elif wanted == FAILED:
        assert response.status == 412
    elif wanted == NO_SUCH_RANGE:
        assert response.status == 416
        # httpd itself leaves it out.
        assert response.get("Content-Range") in (
            None, "bytes */%d" % len(held.bytes))
    else:
        judge_parts(held, response, wanted)
    if response.status < 400:
        assert "accept-encoding" in (response.get("Vary") or "").lower()


# how an entry comes to its state


def ask_both(httpd, path):
    """As a client of gzip and as one of nothing: both bodies hold the same
    and never share a strong tag."""
    coded, plain = curl.ask(httpd, path, [
        ("GET", {"Accept-Encoding": "gzip"}), ("GET", {})])
    for response in (coded, plain):
        assert response.status == 200, response
        remember(path, response)
    assert coded.get("Content-Encoding") == "gzip", coded
    assert "Content-Encoding" not in plain
    assert gzip.decompress(coded.body) == plain.body
    return coded, plain


def renew(httpd, backend, path, origin):
    """The old version's tags, when the backend has a new one."""
    origin.age = "1200"
    stored(httpd, backend, path)
    # Without a validator each answer would be a new one of the backend's.
    old = [] if origin.validator == "none" else [
        response.get("ETag") for response in ask_both(httpd, path)]
    origin.version += 1
    origin.age = None
    stored(httpd, backend, path)
    return old


def bring_to(state, httpd, backend, path, origin):
    """Returns the tags of an old version, if there was one."""
    if state == "renewed":
        return renew(httpd, backend, path, origin)
    if state == "validated-now":
        origin.control = "no-cache"
    elif state == "refreshed-behind":
        origin.control = "max-age=600, stale-while-revalidate=86400"
        origin.age = "1200"
    elif state != "fresh":
        origin.age = "1200"
    stored(httpd, backend, path)
    if state == "validated-before":
        origin.age = None
        # Until the 304's fields are in the store.
        stored(httpd, backend, path)
    elif state == "stale-if-error":
        origin.broken = True
    return []


def judge_state(state, backend, path, asked):
    """The entry was in that state: what the backend saw meanwhile."""
    seen = backend.requests(path)
    if state == "validated-before":
        assert "If-None-Match" in seen[-1] or "If-Modified-Since" in seen[-1]
        assert len(seen) == 2
    elif state == "fresh":
        assert len(seen) == 1
    elif state == "validated-now":
        assert len(seen) > asked
    elif state == "refreshed-behind":
        poll(lambda: backend.hits(path) > 1, "a refresh")
    for request in seen:
        assert "etg-" not in repr(request.fields)
        assert request.get("Accept-Encoding") in ("identity", "gzip")


@pytest.mark.parametrize("coding", sorted(CODINGS))
@pytest.mark.parametrize("state, validator", CELLS)
def test_matrix_100_every_client_gets_what_it_holds_and_takes(
        httpd, backend, path, state, validator, coding):
    if state == "stale-if-error":
        httpd.log.claim(r"\[proxy|AH0|\[etag_cache")
    origin = Origin(path, validator)
    backend.on(path, origin)
    old = bring_to(state, httpd, backend, path, origin)

    accept, wanted = CODINGS[coding]
    both = ask_both(httpd, path)
    says = {} if accept is None else {"Accept-Encoding": accept}
    first, = curl.ask(httpd, path, [("GET", says)])
    remember(path, first)
    other = both[first.get("Content-Encoding") == "gzip"]
    held = Held(origin, first, other, old)
    assert wanted in (None, held.coding)
    assert both[held.coding == PLAIN].body == held.bytes
    assert other.get("ETag") is None or not held.strong \
        or other.get("ETag") != held.tag

    rules = rules_for(held)
    responses = curl.ask(httpd, path, [
        (method, dict(says, **headers))
        for method, headers, _ in rules.values()])
    wrong = []
    for (name, rule), response in zip(rules.items(), responses):
        try:
            judge(held, rule, response)
            if response.status == 200 and rule[0] == "GET":
                remember(path, response)
        except AssertionError as failure:
            wrong.append("%s, %s: %s\n    %r" % (
                name, rule[1], str(failure).split("\n")[0], response))
    assert not wrong, "\n".join(wrong)
    judge_state(state, backend, path, len(rules))


@pytest.mark.parametrize("validator, suffix", [
    (validator, suffix) for validator in ("strong", "weak", "both")
    for suffix in (";etg-gzip" if validator == "weak" else
                   ";etg-gzip-0123456789abcdef", ";etg-plain", "-gzip", "")])
def test_matrix_110_a_cold_cache_knows_the_tags_it_gave(
        httpd, backend, path, validator, suffix):
    """A client comes back after the entry has gone."""
    origin = Origin(path, validator)
    backend.on(path, origin)
    own = origin.validators()["ETag"]
    held = suffixed(own, suffix)
    response, = curl.ask(httpd, path, [("GET", {
        "Accept-Encoding": "gzip", "If-None-Match": held})])
    assert (response.status, response.get("ETag")) == (304, held)
    assert "accept-encoding" in response.get("Vary", "").lower()
    response, = curl.ask(httpd, path + "-2", [("GET", {})])
    assert response.status == 404


def test_matrix_111_a_cold_cache_gives_no_304_for_an_old_version(
        httpd, backend, path):
    for number, suffix in enumerate([";etg-gzip-0123456789abcdef",
                                     ";etg-plain", "-gzip", ""]):
        target = "%s-%d" % (path, number)
        origin = Origin(target, "strong")
        origin.version = 2
        backend.on(target, origin)
        response, = curl.ask(httpd, target, [("GET", {
            "If-None-Match": suffixed('"v1"', suffix)})])
        assert (response.status, response.body) == (200, origin.body)


@pytest.mark.parametrize("validator", ["strong", "both"])
def test_matrix_120_curl_saves_and_compares_tags(httpd, backend, path,
                                                 validator, tmp_path):
    origin = Origin(path, validator)
    backend.on(path, origin)
    stored(httpd, backend, path)
    url = "http://127.0.0.1:%d%s" % (httpd.port, path)
    tag, body = tmp_path / "tag", tmp_path / "body"
    curl.run("--compressed", "--etag-save", str(tag), "-o", str(body), url)
    assert body.read_bytes() == origin.body
    assert "etg-gzip-" in tag.read_text()
    assert curl.run("--compressed", "--etag-compare", str(tag), "-w",
                    "%{http_code}", "-o", str(tmp_path / "none"),
                    url) == b"304"
    # The same file with a client that has lost its --compressed.
    assert curl.run("--etag-compare", str(tag), "-w", "%{http_code}",
                    url) == b"304"
    assert curl.run("-z", WRITTEN, "-w", "%{http_code}", "-o",
                    str(tmp_path / "none"), url) == (
                        b"304" if validator == "both" else b"200")


@pytest.mark.parametrize("accept", [None, "gzip"])
def test_matrix_130_curl_resumes_a_download(httpd, backend, path, accept,
                                            tmp_path):
    origin = Origin(path, "strong")
    backend.on(path, origin)
    stored(httpd, backend, path)
    says = {} if accept is None else {"Accept-Encoding": accept}
    whole, = curl.ask(httpd, path, [("GET", says)])
    part = tmp_path / "part"
    part.write_bytes(whole.body[:1000])
    curl.run("--raw", "-C", "1000", "-o", str(part), "-H",
             "If-Range: " + whole.get("ETag"),
             "-H", "Accept-Encoding: %s" % (accept or "identity"),
             "http://127.0.0.1:%d%s" % (httpd.port, path))
    assert part.read_bytes() == whole.body


def test_matrix_160_the_first_answer_is_as_the_backend_sent_it(
        httpd, backend, path):
    origin = Origin(path, "strong")
    backend.on(path, origin)
    response = stored(httpd, backend, path, {"Accept-Encoding": "gzip"})
    assert response.body == origin.body
    assert response.get("ETag") == '"v1"'
    assert "Content-Encoding" not in response
    assert "accept-encoding" in response.get("Vary", "").lower()
    remember(path, response)
    ask_both(httpd, path)
