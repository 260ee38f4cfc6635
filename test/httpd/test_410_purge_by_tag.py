# SPDX-License-Identifier: Apache-2.0
"""PURGE by tag: what carries a tag goes out of use at once, nothing else does,
and no client sees the tags."""
import json
import threading

import pytest

from conftest import PROXY
from harness.backend import answer, counting, in_turn, validating
from harness.net import poll
from harness.steps import FRESH, STALE, stored

CONFIG = PROXY + """
ETagCache On
<Location "/exposed/">
    ETagCacheTagExpose On
</Location>
<Location "/observed/">
    ETagCache Observe
</Location>
<Location "/uncached/">
    ETagCache Off
</Location>
<Location "/off/">
    ETagCachePurge Off
</Location>
"""

FIELDS = ["Surrogate-Key", "Cache-Tag", "xkey"]
SOME = {"Surrogate-Key": "one two", "Cache-Tag": "three", "xkey": "four"}


def tagged(tags, field="Surrogate-Key", **more):
    return dict(FRESH, **{field: tags}, **more)


def purge(httpd, tags, kind=None, target="/", field="Surrogate-Key",
          headers=(), **options):
    fields = [(field, tags)] + list(dict(headers).items())
    if kind:
        fields.append(("ETag-Purge", kind))
    return httpd.request("PURGE", target, dict(fields), **options)


def purged(httpd, tags, *args, **options):
    """Purges and looks at the answer; how many generations moved."""
    response = purge(httpd, tags, *args, **options)
    assert response.status == 200, response.text
    said = json.loads(response.text)
    assert (said["status"], said["scope"]) == (200, "tags")
    assert said["result"] == "purged"
    return said["generations"]


def tag_of(path):
    """A tag no other test has."""
    return path.strip("/").replace("/", "-")


def shows_no_tags(response):
    return not any(name in response for name in FIELDS)


def test_tag_100_soft_makes_the_next_request_validate(httpd, backend, path):
    tag = tag_of(path)
    backend.on(path, validating(tagged("other %s" % tag)))
    stored(httpd, backend, path)
    assert httpd.get(path).hit
    assert purged(httpd, tag) == 1
    second = stored(httpd, backend, path)
    assert not second.hit and second.cache["fwd"] == "stale"
    assert "If-None-Match" in backend.requests(path)[-1]
    assert httpd.get(path).hit
    assert backend.hits(path) == 2


def test_tag_101_hard_forgets(httpd, backend, path):
    backend.on(path, validating(tagged(tag_of(path))))
    stored(httpd, backend, path)
    assert purged(httpd, tag_of(path), "hard") == 1
    second = stored(httpd, backend, path)
    assert not second.hit and second.cache["fwd"] == "uri-miss"
    assert "If-None-Match" not in backend.requests(path)[-1]
    assert httpd.get(path).hit


@pytest.mark.parametrize("kind", ["soft", "hard"])
@pytest.mark.parametrize("field", FIELDS)
def test_tag_102_every_field_and_every_separator(httpd, backend, path, kind,
                                                 field):
    tag = tag_of(path)
    for number, form in enumerate(("%s-a %s-b", "%s-a,%s-b", "%s-a , %s-b")):
        target = "%s-%d" % (path, number)
        backend.on(target, counting(tagged(form % (tag, tag), field)))
        stored(httpd, backend, target)
        assert httpd.get(target).hit
    assert purged(httpd, tag + "-b", kind, field=field) == 1
    for number in range(3):
        assert not httpd.get("%s-%d" % (path, number)).hit


def test_tag_103_what_does_not_carry_it_stays(httpd, backend, path):
    tag = tag_of(path)
    others = {"-none": FRESH, "-other": tagged(tag + "x x%s" % tag),
              "-case": tagged(tag.upper())}
    for suffix, fields in others.items():
        backend.on(path + suffix, counting(fields))
        stored(httpd, backend, path + suffix)
    backend.on(path, counting(tagged(tag)))
    stored(httpd, backend, path)
    purged(httpd, tag, "hard")
    assert not httpd.get(path).hit
    for suffix in others:
        assert httpd.get(path + suffix).hit, suffix


def test_tag_104_belongs_to_its_host(httpd, backend, path):
    tag = tag_of(path)
    backend.on(path, counting(tagged(tag)))
    for host in ("one.test", "two.test"):
        stored(httpd, backend, path, host=host)
    purged(httpd, tag, "hard", host="ONE.test", target="/elsewhere")
    assert not httpd.get(path, host="one.test").hit
    assert httpd.get(path, host="two.test").hit


def test_tag_105_all_variants(httpd, backend, path):
    tag = tag_of(path)
    backend.on(path, counting(tagged(tag, Vary="X-A")))
    for value in ("1", "2", "3"):
        stored(httpd, backend, path, {"X-A": value})
    purged(httpd, tag)
    for value in ("1", "2", "3"):
        assert not httpd.get(path, {"X-A": value}).hit


def test_tag_106_a_variant_of_its_own_tag_alone(httpd, backend, path):
    tag = tag_of(path)

    def handler(exchange):
        value = exchange.request.get("X-A")
        exchange.respond(200, tagged("%s-%s" % (tag, value), Vary="X-A"),
                         value.encode())
    backend.on(path, handler)
    for value in ("1", "2"):
        stored(httpd, backend, path, {"X-A": value})
    purged(httpd, tag + "-1", "hard")
    assert httpd.get(path, {"X-A": "2"}).hit
    assert not httpd.get(path, {"X-A": "1"}).hit


def test_tag_107_several_lines_and_fields_add_up(httpd, backend, path):
    tag = tag_of(path)
    targets = ["%s-%d" % (path, number) for number in range(3)]
    for number, target in enumerate(targets):
        backend.on(target, counting(
            list(FRESH.items()) + [("Surrogate-Key", "x"),
                                   ("Surrogate-Key",
                                    "%s-%d" % (tag, number))]))
        stored(httpd, backend, target)
    lines = ("PURGE / HTTP/1.1\r\nHost: localhost\r\n"
             "Surrogate-Key: {0}-0\r\nSurrogate-Key: {0}-9\r\n"
             "Cache-Tag: {0}-1\r\n\r\n").format(tag)
    with httpd.connect() as connection:
        connection.send(lines.encode())
        response = connection.read_response()
    assert json.loads(response.text)["generations"] == 3
    assert not httpd.get(targets[0]).hit
    assert not httpd.get(targets[1]).hit
    assert httpd.get(targets[2]).hit


def test_tag_110_64_tags_on_a_response_and_in_a_purge(httpd, backend, path):
    tags = ["%s-%d" % (tag_of(path), number) for number in range(64)]
    backend.on(path, counting(tagged(" ".join(tags))))
    for tag in (tags[0], tags[63]):
        stored(httpd, backend, path)
        assert httpd.get(path).hit
        assert purged(httpd, tag) == 1
        assert not httpd.get(path).hit
    stored(httpd, backend, path)
    assert purged(httpd, " ".join(tags)) == 64
    assert not httpd.get(path).hit


def test_tag_111_what_has_65_goes_with_every_purge_of_its_origin(
        httpd, backend, path):
    tags = ["%s-%d" % (tag_of(path), number) for number in range(65)]
    backend.on(path, counting(tagged(" ".join(tags))))
    backend.on(path + "-usual", counting(tagged(tags[0])))
    for tag in (tags[0], tags[64], "%s-unknown" % tag_of(path),
                " ".join("%s-%d" % (tag_of(path), number + 100)
                         for number in range(64))):
        stored(httpd, backend, path)
        assert httpd.get(path).hit
        assert purged(httpd, tag, "hard") == len(tag.split())
        assert not httpd.get(path).hit, tag
    stored(httpd, backend, path)
    purged(httpd, tags[0], "hard", host="two.test")
    assert httpd.get(path).hit


def test_tag_112_a_tag_too_long_is_one_too_many(httpd, backend, path):
    backend.on(path, counting(tagged("x" * 1025)))
    stored(httpd, backend, path)
    assert httpd.get(path).hit
    purged(httpd, tag_of(path))
    assert not httpd.get(path).hit


@pytest.mark.parametrize("tags, kind", [
    ("", None), (" , ,", None), ("x", "all"), ("x", "all hard"),
    (" ".join("t%d" % number for number in range(65)), None),
    ("x" * 1025, None), ("x", "frobnicate")])
def test_tag_120_what_is_no_purge_by_tag(httpd, backend, path, tags, kind):
    backend.on(path, counting(tagged("x t1 t2")))
    stored(httpd, backend, path)
    response = purge(httpd, tags, kind, target=path)
    assert response.status == 400
    assert json.loads(response.text)["generations"] == 0
    assert httpd.get(path).hit


def test_tag_121_goes_by_the_rights_of_urls(httpd, backend, path):
    tag = tag_of(path)
    backend.on(path, counting(tagged(tag)))
    stored(httpd, backend, path)
    assert purge(httpd, tag, headers={"Via": "1.1 proxy"}).status == 403
    backend.on("/off" + path, answer(405, {}, b"no"))
    assert purge(httpd, tag, target="/off" + path).status == 405
    assert httpd.get(path).hit


def test_tag_122_moves_on_each_time(httpd, backend, path):
    tag = tag_of(path)
    backend.on(path, counting(tagged(tag)))
    for kind in ("soft", "hard", "soft", "hard"):
        stored(httpd, backend, path)
        assert httpd.get(path).hit
        assert purged(httpd, tag, kind) == 1
        assert not httpd.get(path).hit


def test_tag_123_all_takes_what_has_tags_as_well(httpd, backend, path):
    backend.on(path, counting(tagged(tag_of(path))))
    stored(httpd, backend, path)
    response = httpd.request("PURGE", "/", {"ETag-Purge": "all hard"})
    assert json.loads(response.text)["generations"] == 1
    assert not httpd.get(path).hit


def test_tag_124_soft_keeps_stale_rules(httpd, backend, path):
    tag = tag_of(path)
    backend.on(path, answer(200, tagged(tag, **{
        "Cache-Control": "max-age=60, stale-if-error=600"}), b"old"))
    stored(httpd, backend, path)
    purged(httpd, tag)
    backend.on(path, answer(503, {}, b"down"))
    response = httpd.get(path)
    assert (response.status, response.body) == (200, b"old")
    purged(httpd, tag, "hard")
    assert httpd.get(path).status == 503


def test_tag_130_a_304_without_tags_keeps_them(httpd, backend, path):
    tag = tag_of(path)
    backend.on(path, in_turn(
        answer(200, tagged(tag, ETag='"v1"', **{"Cache-Control":
                                                "max-age=60",
                                                "Age": "120"})),
        answer(304, dict(FRESH, ETag='"v1"')),
        answer(200, FRESH, b"new")))
    stored(httpd, backend, path)
    stored(httpd, backend, path)
    assert httpd.get(path).hit
    assert backend.hits(path) == 2
    purged(httpd, tag, "hard")
    assert httpd.get(path).body == b"new"


def test_tag_131_a_304_with_tags_replaces_them(httpd, backend, path):
    tag = tag_of(path)
    backend.on(path, in_turn(
        answer(200, dict(STALE, **{"Surrogate-Key": tag + "-old"})),
        answer(304, tagged(tag + "-new", ETag='"v1"')),
        answer(200, FRESH, b"new")))
    stored(httpd, backend, path)
    stored(httpd, backend, path)
    purged(httpd, tag + "-old", "hard")
    assert httpd.get(path).hit
    purged(httpd, tag + "-new", "hard")
    assert httpd.get(path).body == b"new"


def test_tag_132_head_refreshes_with_its_tags(httpd, backend, path):
    tag = tag_of(path)
    backend.on(path, in_turn(
        answer(200, dict(STALE, **{"Surrogate-Key": tag + "-old"})),
        answer(200, tagged(tag + "-new", ETag='"v1"')),
        answer(200, FRESH, b"new")))
    stored(httpd, backend, path)
    stored(httpd, backend, path, method="HEAD")
    assert httpd.get(path).hit
    purged(httpd, tag + "-old", "hard")
    assert httpd.get(path).hit
    purged(httpd, tag + "-new", "hard")
    assert httpd.get(path).body == b"new"


def test_tag_133_what_a_post_stored_has_tags(httpd, backend, path):
    tag = tag_of(path)

    def handler(exchange):
        exchange.respond(200, tagged(tag, **{"Content-Location": path}),
                         exchange.request.method.encode())
    backend.on(path, handler)
    stored(httpd, backend, path, method="POST", body=b"x")
    response = httpd.get(path)
    assert response.hit and response.body == b"POST"
    purged(httpd, tag, "hard")
    assert httpd.get(path).body == b"GET"


class Gate:
    """Answers the first request when it is told to."""

    def __init__(self, tag):
        self.open = threading.Event()
        self.fields = tagged(tag)

    def __call__(self, exchange):
        if exchange.number == 1:
            exchange.wait(self.open)
        exchange.respond(200, self.fields, b"answer %d" % exchange.number)


def asking(httpd, target):
    answers = []
    thread = threading.Thread(
        target=lambda: answers.append(httpd.get(target)))
    thread.start()
    return thread, answers


@pytest.mark.parametrize("kind", ["soft", "hard"])
def test_tag_140_a_purge_during_the_fetch_outlives_it(httpd, backend, path,
                                                      kind):
    gate = Gate(tag_of(path))
    backend.on(path, gate)
    leader, answers = asking(httpd, path)
    poll(lambda: backend.hits(path) == 1, "the backend is asked")
    purged(httpd, tag_of(path), kind)
    gate.open.set()
    leader.join(30)
    assert answers[0].body == b"answer 1"
    assert stored(httpd, backend, path).body == b"answer 2"
    assert httpd.get(path).hit


@pytest.mark.parametrize("kind", ["soft", "hard"])
def test_tag_141_who_asks_after_the_purge_gets_no_older_fetch(
        httpd, backend, path, kind):
    gate = Gate(tag_of(path))
    backend.on(path, gate)
    leader, first = asking(httpd, path)
    poll(lambda: backend.hits(path) == 1, "the backend is asked")
    purged(httpd, tag_of(path), kind)
    followers = [asking(httpd, path) for _ in range(5)]
    gate.open.set()
    for thread, _ in [(leader, first)] + followers:
        thread.join(30)
    assert first[0].body == b"answer 1"
    for _, answers in followers:
        assert answers[0].body == b"answer 2"
    assert backend.hits(path) == 2


def test_tag_150_a_restart_keeps_purge_and_tags(make_httpd, backend, path):
    httpd = make_httpd(CONFIG)
    tag = tag_of(path)
    for suffix in ("-before", "-after"):
        backend.on(path + suffix, counting(tagged(tag + suffix)))
        stored(httpd, backend, path + suffix)
    purged(httpd, tag + "-before")
    httpd.stop()
    httpd.start()
    assert httpd.get(path + "-after").hit
    assert not httpd.get(path + "-before").hit
    purged(httpd, tag + "-after")
    assert not httpd.get(path + "-after").hit


def test_tag_151_says_that_the_store_is_down(make_httpd, path):
    httpd = make_httpd(CONFIG + 'ETagCacheMetaStore "local:/proc/self"\n',
                       start=False)
    httpd.log.claim("etag_store_local|etag_cache")
    httpd.start()
    httpd.log.claim("etag_store_local|etag_cache")
    response = purge(httpd, tag_of(path))
    assert response.status == 503
    said = json.loads(response.text)
    assert said["generations"] == 0 and said["result"] != "purged"


def test_tag_152_too_many_tags_are_told_once_per_child(make_httpd, backend,
                                                       path):
    httpd = make_httpd(CONFIG)
    tags = " ".join("t%d" % number for number in range(65))
    with httpd.connect() as connection:
        for number in range(3):
            target = "%s-%d" % (path, number)
            backend.on(target, counting(tagged(tags)))
            connection.get(target)
        said = [line for line in httpd.log.text(whole=True).splitlines()
                if "ETG0123" in line]
    assert len(said) == 1, said


def test_tag_160_no_client_sees_tags(httpd, backend, path):
    backend.on(path, validating(dict(FRESH, **SOME)))
    miss = stored(httpd, backend, path)
    hit = httpd.get(path)
    assert not miss.hit and hit.hit
    not_modified = httpd.get(path, {"If-None-Match": '"v1"'})
    assert not_modified.status == 304
    head = httpd.request("HEAD", path)
    part = httpd.get(path, {"Range": "bytes=0-3"})
    assert part.status == 206
    beyond = httpd.get(path, {"Range": "bytes=1000-"})
    assert beyond.status == 416
    failed = httpd.get(path, {"If-Match": '"v2"'})
    assert failed.status == 412
    httpd.request("PURGE", path)
    checked = stored(httpd, backend, path)
    assert checked.cache["fwd"] == "stale"
    for response in (miss, hit, not_modified, head, part, beyond, failed,
                     checked):
        assert shows_no_tags(response), response
    assert "ETag" in hit


def test_tag_161_nor_where_nothing_is_stored(httpd, backend, path):
    fields = dict(SOME, **{"Cache-Control": "private"})
    backend.on(path, answer(200, fields))
    for method in ("GET", "HEAD", "POST", "DELETE", "OPTIONS"):
        assert shows_no_tags(httpd.request(method, path)), method
    for status in (404, 500, 503, 301):
        backend.on(path, answer(status, fields))
        response = httpd.get(path)
        assert response.status == status and shows_no_tags(response)
    backend.on(path, answer(206, dict(SOME, **{
        "Content-Range": "bytes 0-3/9"}), b"body"))
    response = httpd.get(path, {"Range": "bytes=0-3"})
    assert response.status == 206 and shows_no_tags(response)


def test_tag_162_nor_of_what_stands_in_for_an_error(httpd, backend, path):
    backend.on(path, in_turn(
        answer(200, dict(STALE, **SOME, **{
            "Cache-Control": "max-age=60, stale-if-error=600"}), b"old"),
        answer(503, SOME)))
    stored(httpd, backend, path)
    response = httpd.get(path)
    assert response.body == b"old"
    assert response.cache["detail"] == "stale-if-error"
    assert shows_no_tags(response)


def test_tag_163_nor_when_observing(httpd, backend, path):
    path = "/observed" + path
    backend.on(path, counting(dict(FRESH, **SOME)))
    for number in (1, 2):
        response = httpd.get(path)
        assert response.body == b"answer %d" % number
        assert shows_no_tags(response)


def test_tag_164_nor_of_error_documents_and_headers_of_the_admin(
        make_httpd, backend, path):
    httpd = make_httpd(CONFIG + """
ErrorDocument 404 /error
ProxyErrorOverride On
Header always set Surrogate-Key "always"
Header set xkey "usual"
""")
    backend.on(path, answer(404, SOME, b"the backend's own"))
    backend.on("/error", answer(200, SOME, b"the page"))
    response = httpd.get(path)
    assert (response.status, response.body) == (404, b"the page")
    assert shows_no_tags(response)
    backend.on(path, answer(503, SOME))
    response = httpd.get(path)
    assert response.status == 503 and shows_no_tags(response)
    path += "-stored"
    backend.on(path, counting(FRESH))
    stored(httpd, backend, path)
    response = httpd.get(path)
    assert response.hit and shows_no_tags(response)
    purged(httpd, "always")
    assert not httpd.get(path).hit


def test_tag_165_clients_see_them_where_they_may(httpd, backend, path):
    path = "/exposed" + path
    backend.on(path, counting(dict(FRESH, **SOME)))
    for response in (stored(httpd, backend, path), httpd.get(path),
                     httpd.request("HEAD", path)):
        for name, value in SOME.items():
            assert response.get(name) == value
    assert httpd.get(path).hit


def test_tag_166_off_leaves_responses_alone(httpd, backend, path):
    path = "/uncached" + path
    backend.on(path, answer(200, SOME))
    response = httpd.get(path)
    for name, value in SOME.items():
        assert response.get(name) == value


def test_tag_170_the_fields_can_be_named(make_httpd, backend, path):
    httpd = make_httpd(CONFIG + "ETagCacheTag X-Tags\n")
    tag = tag_of(path)
    for suffix, fields in (("", tagged(tag, "X-Tags")),
                           ("-usual", tagged(tag))):
        backend.on(path + suffix, counting(fields))
        stored(httpd, backend, path + suffix)
    assert "X-Tags" not in httpd.get(path)
    assert httpd.get(path + "-usual").get("Surrogate-Key") == tag
    purged(httpd, tag, field="X-Tags")
    assert not httpd.get(path).hit
    stored(httpd, backend, path)
    purged(httpd, tag)
    assert not httpd.get(path).hit
    assert httpd.get(path + "-usual").hit


def test_tag_171_none_has_no_tags(make_httpd, backend, path):
    httpd = make_httpd(CONFIG + "ETagCacheTag none\n")
    tag = tag_of(path)
    backend.on(path, counting(tagged(tag)))
    assert stored(httpd, backend, path).get("Surrogate-Key") == tag
    assert purge(httpd, tag, target=path).status == 400
    assert httpd.get(path).hit


def test_tag_180_two_tiers_are_purged_at_once(make_httpd, backend, path):
    httpd = make_httpd(PROXY + """
ETagCache On
ETagCacheMetaStore "local:@STORE@/near" "local:@STORE@/far"
ETagCacheTierTTL 1h
""")
    tag = tag_of(path)
    backend.on(path, counting(tagged(tag)))
    for kind in ("soft", "hard"):
        stored(httpd, backend, path)
        assert httpd.get(path).hit
        assert purged(httpd, tag, kind) == 1
        assert not httpd.get(path).hit


def test_tag_181_what_replaces_a_lost_body_goes_to_all_tiers(
        make_httpd, backend, path):
    config = PROXY + "ETagCache On\nETagCacheMetaStore %s\n"
    httpd = make_httpd(config % '"local:@STORE@/near" "local:@STORE@/far"')
    body = b"0123456789" * 50000
    backend.on(path, in_turn(answer(200, FRESH, b"old" + body),
                             answer(200, FRESH, body)))
    stored(httpd, backend, path)
    assert httpd.get(path).hit
    store = httpd.root / "store"
    files = [file for file in store.rglob("*")
             if "body" in file.parts and file.is_file()]
    assert len(files) == 2, files
    httpd.log.claim("ETG0310")
    for file in files:
        file.unlink()
    assert stored(httpd, backend, path).body == body
    assert backend.hits(path) == 2
    httpd.stop()
    far = make_httpd(config % ('"local:%s"' % (store / "far")))
    assert far.get(path).hit
    assert far.get(path).body == body
