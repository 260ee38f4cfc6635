# SPDX-License-Identifier: Apache-2.0
"""The plain life of an entry: miss, hit, stale, validated, replaced."""
import email.utils
import re
import time

from conftest import PROXY
from harness.backend import answer, counting, http_date, in_turn, validating
from harness.net import poll
from harness.steps import FRESH, STALE, stored

CONFIG = PROXY + """
ETagCache On
<Location "/off/">
    ETagCache Off
</Location>
<Location "/quiet/">
    ETagCacheStatus Off
</Location>
<Location "/key/">
    ETagCacheStatus Key
</Location>
"""


def test_cache_100_second_request_is_a_hit(httpd, backend, path):
    backend.on(path, counting(FRESH))
    first = stored(httpd, backend, path)
    second = httpd.get(path)
    assert first.cache["fwd"] == "uri-miss"
    assert first.cache["fwd-status"] == 200
    assert first.cache["stored"] is True
    assert "hit" not in first.cache
    assert second.hit
    assert 0 < second.cache["ttl"] <= 60
    assert "fwd" not in second.cache
    assert first.body == second.body == b"answer 1"
    assert backend.hits(path) == 1


def test_cache_101_hit_keeps_status_reason_and_fields(httpd, backend, path):
    fields = [("Cache-Control", "max-age=60"), ("X-One", "1"),
              ("X-Two", "a"), ("X-Two", "b"), ("Content-Type", "text/x; a=b"),
              ("Last-Modified", http_date(1000000000)), ("ETag", '"e"'),
              ("Content-Language", "de"), ("Link", "</a>; rel=next")]
    backend.on(path, answer(203, fields, b"x", reason="Quite Odd"))
    first = stored(httpd, backend, path)
    second = httpd.get(path)
    assert second.hit
    assert (second.status, second.reason) == (203, "Quite Odd")
    for name in ("X-One", "X-Two", "Content-Type", "Last-Modified", "ETag",
                 "Content-Language", "Link", "Cache-Control",
                 "Content-Length"):
        assert second.get(name) == first.get(name), name


def test_cache_102_date_is_kept_and_age_is_sent(httpd, backend, path):
    then = int(time.time()) - 20
    backend.on(path, answer(200, {"Cache-Control": "max-age=60",
                                  "Date": http_date(then)}))
    stored(httpd, backend, path)
    second = httpd.get(path)
    assert second.hit
    assert second.get("Date") == http_date(then)
    assert 20 <= second.age <= 60
    assert second.cache["ttl"] <= 40


def test_cache_103_age_of_an_upstream_cache_is_added(httpd, backend, path):
    backend.on(path, answer(200, {"Cache-Control": "max-age=100",
                                  "Age": "30"}))
    first = stored(httpd, backend, path)
    second = httpd.get(path)
    assert first.age >= 30
    assert second.hit and 30 <= second.age <= 60
    assert second.cache["ttl"] <= 70


def test_cache_104_an_empty_body_is_a_body(httpd, backend, path):
    backend.on(path, answer(200, FRESH, b""))
    stored(httpd, backend, path)
    second = httpd.get(path)
    assert second.hit and second.body == b""
    assert second.get("Content-Length") == "0"


def test_cache_105_bodies_of_many_sizes_come_back_whole(httpd, backend, path):
    for size in (1, 4095, 4096, 8001, 65535, 65536, 65537, 300000, 3000000):
        target = "%s-%d" % (path, size)
        body = bytes(index * 7 % 251 for index in range(1000))
        body = (body * (size // 1000 + 1))[:size]
        backend.on(target, answer(200, FRESH, body))
        first = stored(httpd, backend, target)
        second = httpd.get(target)
        assert first.body == body, size
        assert second.hit, (size, first, second)
        assert second.body == body, size
        assert second.get("Content-Length") == str(size)


def test_cache_106_chunked_response_is_stored(httpd, backend, path):
    def chunked(exchange):
        exchange.head(200, dict(FRESH, **{"Transfer-Encoding": "chunked"}))
        for part in (b"one ", b"two ", b"three"):
            exchange.chunk(part)
        exchange.end_chunks()
    backend.on(path, chunked)
    assert stored(httpd, backend, path).body == b"one two three"
    second = httpd.get(path)
    assert second.hit and second.body == b"one two three"
    assert second.get("Content-Length") == "13"


def test_cache_107_response_that_ends_by_close_is_stored(httpd, backend,
                                                        path):
    def until_close(exchange):
        exchange.head(200, dict(FRESH, Connection="close"))
        exchange.send(b"until the end")
        exchange.keep = False
    backend.on(path, until_close)
    assert stored(httpd, backend, path).body == b"until the end"
    assert httpd.get(path).body == b"until the end"
    # Without a length nobody can tell a whole answer from a cut one: storing
    # it is allowed, and so is not to.
    assert backend.hits(path) in (1, 2)


def test_cache_108_equal_bodies_under_two_urls_stay_apart(httpd, backend,
                                                         path):
    backend.on(path + "-a", answer(200, dict(FRESH, X="a"), b"same"))
    backend.on(path + "-b", answer(200, dict(FRESH, X="b"), b"same"))
    stored(httpd, backend, path + "-a")
    stored(httpd, backend, path + "-b")
    assert httpd.get(path + "-a").get("X") == "a"
    assert httpd.get(path + "-b").get("X") == "b"
    assert httpd.get(path + "-b").hit


def test_cache_109_http_1_0_client_gets_a_hit(httpd, backend, path):
    backend.on(path, counting(FRESH))
    stored(httpd, backend, path)
    response = httpd.get(path, version="HTTP/1.0")
    assert response.hit and response.body == b"answer 1"


def test_cache_110_hits_on_a_kept_connection(httpd, backend, path):
    backend.on(path, counting(FRESH))
    stored(httpd, backend, path)
    with httpd.connect() as connection:
        for _ in range(50):
            response = connection.get(path)
            assert response.hit and response.body == b"answer 1"
    assert backend.hits(path) == 1


def test_cache_111_pipelined_hits_keep_their_order(httpd, backend, path):
    for number in range(5):
        target = "%s-%d" % (path, number)
        backend.on(target, answer(200, FRESH, "body %d" % number))
        stored(httpd, backend, target)
    with httpd.connect() as connection:
        for number in range(5):
            connection.send_request("GET", "%s-%d" % (path, number))
        for number in range(5):
            response = connection.read_response()
            assert response.body == b"body %d" % number
            assert response.hit


def test_cache_120_stale_entry_is_validated_by_etag(httpd, backend, path):
    backend.on(path, validating(STALE))
    stored(httpd, backend, path)
    second = httpd.get(path)
    request = backend.requests(path)[-1]
    assert request.get("If-None-Match") == '"v1"'
    assert (second.status, second.body) == (200, b"validated body")
    assert second.cache["fwd"] == "stale"
    assert second.cache["fwd-status"] == 304
    assert backend.hits(path) == 2


def test_cache_121_stale_entry_is_validated_by_date(httpd, backend, path):
    moment = http_date(1000000000)

    def dated(exchange):
        fields = {"Cache-Control": "max-age=60", "Age": "120",
                  "Last-Modified": moment}
        if exchange.request.get("If-Modified-Since") == moment:
            exchange.respond(304, fields)
        else:
            exchange.respond(200, fields, b"dated body")
    backend.on(path, dated)
    stored(httpd, backend, path)
    second = httpd.get(path)
    assert backend.requests(path)[-1].get("If-Modified-Since") == moment
    assert (second.status, second.body) == (200, b"dated body")
    assert second.cache["fwd-status"] == 304


def test_cache_122_a_304_updates_the_stored_fields(httpd, backend, path):
    backend.on(path, in_turn(
        answer(200, dict(STALE, **{"X-New": "old", "X-Kept": "kept"}),
               b"body"),
        answer(304, {"Cache-Control": "max-age=90", "ETag": '"v1"',
                     "X-New": "new", "Content-Length": "4711"})))
    stored(httpd, backend, path)
    second = stored(httpd, backend, path)
    third = httpd.get(path)
    assert (second.status, second.body) == (200, b"body")
    for response in (second, third):
        assert response.get("X-New") == "new"
        assert response.get("X-Kept") == "kept"
        assert response.get("Content-Length") == "4"
    assert third.hit and third.body == b"body"
    assert 60 < third.cache["ttl"] <= 90
    assert backend.hits(path) == 2


def test_cache_123_a_200_replaces_the_entry(httpd, backend, path):
    backend.on(path, in_turn(answer(200, STALE, b"old"),
                             answer(200, {"Cache-Control": "max-age=60",
                                          "ETag": '"v2"'}, b"new")))
    stored(httpd, backend, path)
    second = stored(httpd, backend, path)
    third = httpd.get(path)
    assert second.body == b"new" and second.cache["fwd"] == "stale"
    assert second.cache["fwd-status"] == 200
    assert third.hit and third.body == b"new" and third.get("ETag") == '"v2"'
    assert backend.hits(path) == 2


def test_cache_124_client_gets_304_from_a_validation(httpd, backend, path):
    backend.on(path, validating(STALE))
    stored(httpd, backend, path)
    response = httpd.get(path, {"If-None-Match": '"v1"'})
    assert response.status == 304 and response.body == b""
    assert backend.hits(path) == 2
    response = httpd.get(path, {"If-None-Match": '"other"'})
    assert (response.status, response.body) == (200, b"validated body")


def test_cache_125_no_cache_is_stored_and_always_validated(httpd, backend,
                                                          path):
    backend.on(path, validating({"Cache-Control": "no-cache"}))
    stored(httpd, backend, path)
    for count in (2, 3):
        response = httpd.get(path)
        assert (response.status, response.body) == (200, b"validated body")
        assert response.cache["fwd-status"] == 304
        assert backend.hits(path) == count


def test_cache_126_a_304_for_another_entry_changes_nothing(httpd, backend,
                                                          path):
    backend.on(path, in_turn(answer(200, STALE, b"one"),
                             answer(304, {"ETag": '"other"',
                                          "Cache-Control": "max-age=60"}),
                             answer(200, FRESH, b"two")))
    stored(httpd, backend, path)
    second = httpd.get(path)
    # The 304 does not speak of what is stored: ask again, unconditionally.
    assert second.status in (200, 502)
    assert second.body != b"one"


def test_cache_127_weak_tags_validate_too(httpd, backend, path):
    backend.on(path, validating(dict(STALE), etag='W/"weak"'))
    stored(httpd, backend, path)
    response = httpd.get(path)
    assert response.status == 200
    assert response.cache["fwd-status"] == 304
    assert backend.requests(path)[-1].get("If-None-Match") == 'W/"weak"'


def test_cache_130_every_response_says_what_happened(httpd, backend, path):
    backend.on(path, counting({"Cache-Control": "no-store"}))
    assert httpd.get(path).cache["fwd"] == "uri-miss"
    assert httpd.request("POST", path, body=b"x").cache["fwd"] == "method"
    assert httpd.request("OPTIONS", path).cache["fwd"] == "method"
    backend.on(path + "-404", answer(404, {}, b"gone"))
    assert httpd.get(path + "-404").cache["fwd-status"] == 404


def test_cache_131_status_field_can_be_off_or_show_the_key(httpd, backend,
                                                          path):
    quiet, key = "/quiet" + path, "/key" + path
    backend.on(quiet, counting(FRESH))
    backend.on(key, counting(FRESH))
    for _ in range(3):
        assert "Cache-Status" not in httpd.get(quiet)
    assert backend.hits(quiet) in (1, 2, 3)
    stored(httpd, backend, key)
    response = httpd.get(key)
    assert response.hit and key in response.cache["key"]


def test_cache_132_cache_status_is_appended_to_an_upstream_one(httpd, backend,
                                                              path):
    backend.on(path, counting(dict(FRESH, **{
        "Cache-Status": "Inner; hit; ttl=3"})))
    stored(httpd, backend, path)
    first, second = httpd.get(path + "?x"), httpd.get(path)
    for response in (first, second):
        value = response.get("Cache-Status")
        assert value.startswith("Inner; hit; ttl=3, Etagere"), value
        assert value.count("Etagere") == 1


def test_cache_133_off_means_off(httpd, backend, path):
    path = "/off" + path
    backend.on(path, counting(FRESH))
    assert httpd.get(path).cache == {}
    assert httpd.get(path).body == b"answer 2"


def test_cache_134_trace_words_go_to_the_access_log(httpd, backend, path):
    backend.on(path, validating(STALE))
    stored(httpd, backend, path)
    httpd.get(path)

    def written():
        """A request is logged after its response has been sent."""
        log = (httpd.root / "access.log").read_text()
        lines = [line for line in log.splitlines() if path + " HTTP" in line]
        return lines if len(lines) == 2 else None
    words = [re.search(r'"([^"]*)"$', line).group(1)
             for line in poll(written, "two lines in the access log")]
    assert "miss" in words[0] and "store" in words[0]
    assert "stale" in words[1] and "valid" in words[1]


def test_cache_140_head_on_a_hit_is_answered_from_the_get(httpd, backend,
                                                         path):
    backend.on(path, answer(200, dict(FRESH, ETag='"h"'), b"twelve bytes"))
    stored(httpd, backend, path)
    response = httpd.head(path)
    assert response.hit and response.body == b""
    assert response.get("Content-Length") == "12"
    assert response.get("ETag") == '"h"'
    assert backend.hits(path) == 1


def test_cache_141_head_that_misses_is_forwarded_as_head(httpd, backend,
                                                        path):
    backend.on(path, counting(FRESH))
    assert httpd.head(path).status == 200
    assert [request.method for request in backend.requests(path)] == ["HEAD"]
    response = httpd.get(path)
    assert not response.hit and response.body == b"answer 2"


def test_cache_142_head_freshens_or_outdates_the_entry(httpd, backend, path):
    backend.on(path, answer(200, STALE, b"body"))
    stored(httpd, backend, path)
    backend.on(path, answer(200, {"ETag": '"v1"', "X-Seen": "yes",
                                  "Cache-Control": "max-age=60"}, b"body"))
    head = httpd.head(path)
    assert head.status == 200 and head.get("X-Seen") == "yes"
    backend.on(path, answer(200, {"ETag": '"v2"',
                                  "Cache-Control": "max-age=60"}, b"longer"))
    httpd.head(path, {"Cache-Control": "no-cache"})
    response = httpd.get(path)
    assert response.body in (b"body", b"longer")
    if response.body == b"body":
        assert response.get("ETag") == '"v1"'


def test_cache_143_head_with_another_length_outdates_the_entry(httpd, backend,
                                                              path):
    backend.on(path, answer(200, STALE, b"body"))
    stored(httpd, backend, path)
    backend.on(path, answer(200, dict(FRESH, ETag='"v2"'), b"other body"))
    assert httpd.head(path).status == 200
    response = httpd.get(path)
    assert response.body == b"other body" and response.get("ETag") == '"v2"'


def test_cache_150_interim_responses_pass_and_are_not_stored(httpd, backend,
                                                            path):
    def early(exchange):
        exchange.send(b"HTTP/1.1 103 Early Hints\r\nLink: </s>; rel=preload"
                      b"\r\n\r\n")
        exchange.respond(200, FRESH, b"final")
    backend.on(path, early)
    first = stored(httpd, backend, path)
    second = httpd.get(path)
    assert first.status == second.status == 200
    assert [interim.status for interim in first.interim] == [103]
    assert second.hit and second.interim == []
    assert "Link" not in second


def test_cache_151_hop_by_hop_fields_are_not_stored(httpd, backend, path):
    backend.on(path, answer(200, [
        ("Cache-Control", "max-age=60"), ("Connection", "X-Hop, keep-alive"),
        ("X-Hop", "1"), ("Keep-Alive", "timeout=3"),
        ("Proxy-Authentication-Info", "a=b"), ("TE", "trailers"),
        ("X-Kept", "1")], b"x"))
    stored(httpd, backend, path)
    response = httpd.get(path)
    assert response.hit and response.get("X-Kept") == "1"
    for name in ("X-Hop", "Proxy-Authentication-Info", "TE"):
        assert name not in response, name


def test_cache_152_date_is_a_valid_date(httpd, backend, path):
    backend.on(path, counting(FRESH))
    stored(httpd, backend, path)
    value = httpd.get(path).get("Date")
    moment = email.utils.parsedate_to_datetime(value).timestamp()
    assert abs(moment - time.time()) < 30
