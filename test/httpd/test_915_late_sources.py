# SPDX-License-Identifier: Apache-2.0
"""Sources that are read from the response: json, header and body."""
import gzip
import json
import threading

import pytest

from harness.backend import answer, http_date
from harness.client import Truncated

CONFIG = """
ProxyPass "/" "http://@BACKEND@/" connectiontimeout=5 timeout=30 retry=0
<LocationMatch "^/(json|ids|nested|header|body|small|empty|two|tagged)/">
    ETagFreshness On
</LocationMatch>
<Location "/json/">
    ETagFreshnessOverride On
    ETagFreshnessFrom json "/products/*/updated_at"
</Location>
<Location "/ids/">
    ETagFreshnessFrom json "/products/*/updated_at" "/products/*/id"
</Location>
<Location "/nested/">
    ETagFreshnessFrom json "/groups/*/items/*/at"
</Location>
<Location "/header/">
    ETagFreshnessFrom header X-Updated-At
</Location>
<Location "/body/">
    ETagFreshnessFrom body
</Location>
<Location "/small/">
    ETagFreshnessFrom body
    ETagFreshnessMaxBody 1000
</Location>
<Location "/empty/">
    ETagFreshnessFrom json "/products/*/updated_at"
    ETagFreshnessAllowEmpty On
</Location>
<Location "/two/">
    ETagFreshnessFrom json "/products/*/updated_at"
    ETagFreshnessFrom header X-Updated-At
</Location>
<Location "/tagged/">
    ETagFreshnessFrom json "/products/*/updated_at"
</Location>
<LocationMatch "/deflated">
    SetOutputFilter DEFLATE
</LocationMatch>
"""

UNKNOWN = "ETG0190"
TIMES = ["2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z",
         "2026-01-03T00:00:00Z"]
NEWEST = "Sat, 03 Jan 2026 00:00:00 GMT"
JSON = {"Content-Type": "application/json"}


def products(*rows):
    """Rows of (id, time) as the body of a list."""
    return json.dumps({"products": [{"id": row[0], "updated_at": row[1]}
                                    for row in rows]})


PAGE = products(*enumerate(TIMES))


def tag(httpd, backend, path, body, headers=(), status=200, method="GET",
        **fields):
    """The ETag that a response with this body is given."""
    backend.on(path, answer(200, dict(headers, **JSON), body))
    response = httpd.request(method, path, fields)
    assert response.status == status
    return response.get("ETag")


def is_weak(text):
    return text is not None and text.startswith('W/"')


def unknown(httpd):
    httpd.log.claim(UNKNOWN)


def test_late_100_times_of_a_list_become_a_weak_tag_and_a_date(
        httpd, backend):
    backend.on("/json/a", answer(200, JSON, PAGE))
    response = httpd.get("/json/a")
    assert is_weak(response.get("ETag"))
    assert response.get("Last-Modified") == NEWEST
    assert response.text == PAGE
    assert int(response.get("Content-Length")) == len(PAGE)
    assert httpd.get("/json/a").get("ETag") == response.get("ETag")


MOVES = {
    "added": [*enumerate(TIMES), (3, "2025-01-01T00:00:00Z")],
    "removed": [(0, TIMES[0]), (1, TIMES[1])],
    "older-in-its-place": [(0, TIMES[0]), (1, "2020-01-01T00:00:00Z"),
                           (2, TIMES[2])],
    "re-ordered": [(1, TIMES[1]), (0, TIMES[0]), (2, TIMES[2])],
    "cancelling": [(0, "2026-01-01T00:00:01Z"), (1, "2026-01-01T23:59:59Z"),
                   (2, TIMES[2])],
    "without-a-time": [(0, TIMES[0]), (1, None), (2, TIMES[2])],
    "empty-time": [(0, TIMES[0]), (1, ""), (2, TIMES[2])],
    "a-number": [(0, 1767225600), (1, TIMES[1]), (2, TIMES[2])],
    "a-number-as-text": [(0, "1767225600"), (1, TIMES[1]), (2, TIMES[2])],
    "sub-second": [(0, "2026-01-01T00:00:00.000001Z"), (1, TIMES[1]),
                   (2, TIMES[2])],
}


def test_late_101_every_change_of_the_list_moves_the_tag(httpd, backend):
    seen = {tag(httpd, backend, "/json/moves", PAGE)}
    for name, rows in MOVES.items():
        seen.add(tag(httpd, backend, "/json/moves", products(*rows)))
        assert len(seen) >= 2, name
    assert len(seen) == len(MOVES) + 1
    assert tag(httpd, backend, "/json/moves", PAGE) in seen


def test_late_102_what_is_no_time_is_no_part_of_a_data_tag(httpd, backend):
    other = PAGE.replace('"id"', '"name": "Stool", "id"')
    assert tag(httpd, backend, "/json/b", PAGE) \
        == tag(httpd, backend, "/json/b", other)


def test_late_103_ids_are_of_the_digest(httpd, backend):
    swapped = products((1, TIMES[0]), (0, TIMES[1]), (2, TIMES[2]))
    assert tag(httpd, backend, "/ids/a", PAGE) \
        != tag(httpd, backend, "/ids/a", swapped)
    assert tag(httpd, backend, "/ids/a", PAGE) \
        != tag(httpd, backend, "/ids/a",
               PAGE.replace('"id": 1', '"id": "1"'))


def test_late_104_fewer_ids_than_times_is_unknown(httpd, backend):
    unknown(httpd)
    assert tag(httpd, backend, "/ids/b",
               PAGE.replace('"id": 1, ', "")) is None


def test_late_105_nested_lists_differ_by_the_place(httpd, backend):
    def groups(*sizes):
        return json.dumps({"groups": [
            {"items": [{"at": 5} for _ in range(size)]} for size in sizes]})
    seen = {tag(httpd, backend, "/nested/a", groups(*sizes))
            for sizes in ((2, 1), (1, 2), (3,), (1, 1, 1), (2, 1, 0))}
    assert len(seen) == 4, "an empty group at the end has no member"
    by_name = [json.dumps({"groups": {name: {"items": [{"at": 5}]}}})
               for name in ("a", "b")]
    assert tag(httpd, backend, "/nested/a", by_name[0]) \
        != tag(httpd, backend, "/nested/a", by_name[1])


def test_late_106_a_field_lists_times(httpd, backend):
    def tag_of(value):
        backend.on("/header/a", answer(200, {"X-Updated-At": value}))
        return httpd.get("/header/a").get("ETag")
    value = '17=%s, "a, b"=%s' % (TIMES[0], TIMES[1])
    assert is_weak(tag_of(value))
    assert httpd.get("/header/a").get("Last-Modified") \
        == "Fri, 02 Jan 2026 00:00:00 GMT"
    assert len({tag_of(value), tag_of(TIMES[0] + ", " + TIMES[1]),
                tag_of(TIMES[1] + ", " + TIMES[0]), tag_of(TIMES[0]),
                tag_of("18=" + TIMES[0])}) == 5


def test_late_107_several_lines_of_the_field_are_one_list(httpd, backend):
    backend.on("/header/b", answer(200, [("X-Updated-At", TIMES[0]),
                                         ("X-Updated-At", TIMES[1])]))
    both = httpd.get("/header/b").get("ETag")
    backend.on("/header/b", answer(
        200, {"X-Updated-At": ", ".join(TIMES[:2])}))
    assert is_weak(both)
    assert httpd.get("/header/b").get("ETag") == both


@pytest.mark.parametrize("fields", [
    {}, {"X-Updated-At": ""}, {"X-Updated-At": "=5"},
    {"X-Updated-At": '"open'}])
def test_late_108_a_field_that_is_no_list_is_unknown(httpd, backend, path,
                                                     fields):
    unknown(httpd)
    backend.on("/header" + path, answer(200, fields))
    response = httpd.get("/header" + path)
    assert "ETag" not in response and "Last-Modified" not in response


def test_late_109_exact_bytes_become_a_strong_tag(httpd, backend):
    first = tag(httpd, backend, "/body/a", b"one")
    assert first.startswith('"')
    assert tag(httpd, backend, "/body/a", b"two") != first
    assert tag(httpd, backend, "/body/a", b"one") == first
    backend.on("/body/a", answer(200, {}, b"one"))
    assert "Last-Modified" not in httpd.get("/body/a")


def test_late_110_a_part_by_the_strong_tag(httpd, backend):
    whole = bytes(range(256)) * 20
    backend.on("/body/range", answer(200, {}, whole))
    etag = httpd.get("/body/range").get("ETag")
    part = httpd.get("/body/range", {"Range": "bytes=10-19",
                                     "If-Range": etag})
    assert part.status == 206 and part.body == whole[10:20]
    assert part.get("ETag") == etag
    backend.on("/body/range", answer(200, {}, b"new" + whole))
    full = httpd.get("/body/range", {"Range": "bytes=10-19",
                                     "If-Range": etag})
    assert full.status == 200 and full.body == b"new" + whole


def test_late_111_no_part_by_a_date_of_ours(httpd, backend):
    """The page may have another row less, and the same newest one."""
    backend.on("/json/range", answer(200, JSON, PAGE))
    for condition, status in ((NEWEST, 200), ('"other"', 200)):
        response = httpd.get("/json/range", {"Range": "bytes=1-3",
                                             "If-Range": condition})
        assert response.status == status, condition
    assert httpd.get("/json/range", {"Range": "bytes=1-3"}).status == 206


def test_late_112_a_backends_206_is_left_alone(httpd, backend):
    backend.on("/body/206", answer(
        206, {"Content-Range": "bytes 0-3/10"}, b"part"))
    response = httpd.get("/body/206", {"Range": "bytes=0-3"})
    assert response.status == 206 and response.body == b"part"
    assert "ETag" not in response


@pytest.mark.parametrize("status", [201, 203, 301, 404, 500])
def test_late_113_other_statuses_are_left_alone(httpd, backend, path, status):
    backend.on("/json" + path, answer(
        status, dict(JSON, ETag='"its"', Location="/x"), PAGE))
    assert httpd.get("/json" + path).get("ETag") == '"its"'


# what is not read


@pytest.mark.parametrize("where", ["said", "chunked"])
def test_late_120_a_body_that_is_too_long_goes_on_untagged(httpd, backend,
                                                           where):
    unknown(httpd)
    body = bytes(index % 251 for index in range(100000))

    def chunked(exchange):
        exchange.head(200, {"Transfer-Encoding": "chunked"})
        for at in range(0, len(body), 300):
            exchange.chunk(body[at:at + 300])
        exchange.end_chunks()
    backend.on("/small/" + where, chunked if where == "chunked"
               else answer(200, {}, body))
    response = httpd.get("/small/" + where)
    assert response.body == body and "ETag" not in response


def test_late_121_a_body_of_just_the_limit_is_read(httpd, backend):
    assert tag(httpd, backend, "/small/edge", b"x" * 1000) is not None
    unknown(httpd)
    assert tag(httpd, backend, "/small/edge", b"x" * 1001) is None


def test_late_122_a_long_body_is_not_held_to_its_end(httpd, backend):
    unknown(httpd)
    go = threading.Event()

    def handler(exchange):
        exchange.head(200, {"Transfer-Encoding": "chunked"})
        exchange.chunk(b"x" * 20000)
        exchange.wait(go)
        exchange.chunk(b"end")
        exchange.end_chunks()
    backend.on("/small/slow", handler)
    with httpd.connect() as connection:
        connection.send_request("GET", "/small/slow")
        assert connection.read_head().status == 200
        connection.read_until(b"x" * 1500)
        go.set()
        connection.read_until(b"end")


def test_late_119_what_has_validators_of_its_own_is_not_held(httpd, backend):
    go = threading.Event()

    def handler(exchange):
        exchange.head(200, {"Transfer-Encoding": "chunked", "ETag": '"its"',
                            "Last-Modified": NEWEST})
        exchange.chunk(b"one")
        exchange.wait(go)
        exchange.chunk(b"two")
        exchange.end_chunks()
    backend.on("/body/own", handler)
    with httpd.connect() as connection:
        connection.send_request("GET", "/body/own")
        head = connection.read_head()
        go.set()
        assert head.get("ETag") == '"its"'
        assert connection.read_body(head) == b"onetwo"


@pytest.mark.parametrize("kind", ["text/event-stream",
                                  "Text/Event-Stream; charset=utf-8"])
def test_late_123_a_stream_is_not_held_up(httpd, backend, path, kind):
    go = threading.Event()

    def handler(exchange):
        exchange.head(200, {"Content-Type": kind,
                            "Transfer-Encoding": "chunked"})
        exchange.chunk(b"data: one\n\n")
        exchange.wait(go)
        exchange.chunk(b"data: two\n\n")
        exchange.end_chunks()
    backend.on("/body" + path, handler)
    with httpd.connect() as connection:
        connection.send_request("GET", "/body" + path)
        head = connection.read_head()
        assert head.status == 200 and "ETag" not in head
        connection.read_until(b"data: one\n\n")
        go.set()
        connection.read_until(b"data: two\n\n")


def test_late_124_head_has_no_body_to_read(httpd, backend):
    backend.on("/body/head", answer(200, {}, b"one"))
    response = httpd.request("HEAD", "/body/head")
    assert response.status == 200 and "ETag" not in response
    backend.on("/json/head", answer(200, dict(JSON, ETag='"its"'), PAGE))
    assert "ETag" not in httpd.request("HEAD", "/json/head")
    backend.on("/header/head", answer(200, {"X-Updated-At": TIMES[0]}))
    assert httpd.request("HEAD", "/header/head").get("ETag") \
        == httpd.get("/header/head").get("ETag") is not None


def test_late_125_gzip_is_looked_into_and_other_codings_are_not(httpd,
                                                                backend):
    fields = {"Accept-Encoding": "gzip"}
    coded = tag(httpd, backend, "/json/coded", gzip.compress(PAGE.encode()),
                {"Content-Encoding": "gzip"}, **fields)
    assert is_weak(coded)
    assert tag(httpd, backend, "/json/coded",
               gzip.compress(products((0, TIMES[0])).encode()),
               {"Content-Encoding": "gzip"}, **fields) != coded
    unknown(httpd)
    for name in ("br", "gzip, gzip"):
        assert tag(httpd, backend, "/json/coded", PAGE,
                   {"Content-Encoding": name}, **fields) is None
    damaged = gzip.compress(PAGE.encode())[:-9]
    assert tag(httpd, backend, "/json/coded", damaged,
               {"Content-Encoding": "gzip"}, **fields) is None


def test_late_126_what_httpd_codes_is_looked_into(httpd, backend):
    body = products(*[(number, TIMES[0]) for number in range(100)])
    backend.on("/json/deflated", answer(200, JSON, body))
    plain = httpd.get("/json/deflated")
    coded = httpd.get("/json/deflated", {"Accept-Encoding": "gzip"})
    assert coded.get("Content-Encoding") == "gzip"
    assert gzip.decompress(coded.body).decode() == plain.text == body
    assert is_weak(coded.get("ETag")) and is_weak(plain.get("ETag"))
    again = httpd.get("/json/deflated", {"Accept-Encoding": "gzip",
                                         "If-None-Match": coded.get("ETag")})
    assert again.status == 304


def test_late_127_gzip_that_becomes_too_much_is_unknown(httpd, backend):
    unknown(httpd)
    bomb = gzip.compress(b"[" + b" " * (4 << 20) + b"]")
    assert tag(httpd, backend, "/json/bomb", bomb,
               {"Content-Encoding": "gzip"}) is None


@pytest.mark.parametrize("body", [
    "no json", '{"products": {"a": 1}}', "[]", '{"products": []}',
    '{"products": [{"updated_at": []}]}', "", '{"products": [{"id": 1}]}'])
def test_late_128_what_has_no_times_is_unknown(httpd, backend, path, body):
    unknown(httpd)
    name = "/json" + path.replace("%", "")
    backend.on(name, answer(200, dict(JSON, ETag='"its"'), body))
    response = httpd.get(name)
    assert response.text == body
    assert "ETag" not in response, "Override is On"


def test_late_129_an_empty_list_is_data_where_that_is_allowed(httpd, backend):
    empty = tag(httpd, backend, "/empty/a", '{"products": []}')
    assert is_weak(empty)
    assert empty != tag(httpd, backend, "/empty/a", PAGE)
    unknown(httpd)
    for other in ('{"error": "try again"}', '{"products": "none"}',
                  '{"products": [{"id": 1}]}', "[]"):
        assert tag(httpd, backend, "/empty/a", other) is None, other


@pytest.mark.parametrize("ending", ["short", "cut"])
def test_late_130_a_body_that_breaks_off_goes_on_untagged(httpd, backend,
                                                          ending):
    def handler(exchange):
        exchange.head(200, {"Content-Length": "1000"} if ending == "short"
                      else {"Transfer-Encoding": "chunked"})
        if ending == "short":
            exchange.send(b"half")
        else:
            exchange.chunk(b"half")
        exchange.cut()
    unknown(httpd)
    httpd.log.claim("AH01110|AH02012|AH10290|AH01102")
    backend.on("/body/" + ending, handler)
    with httpd.connect() as connection:
        connection.send_request("GET", "/body/" + ending)
        head = connection.read_head()
        assert "ETag" not in head
        if head.status != 502:    # that depends on what mod_proxy has seen
            with pytest.raises(Truncated):
                connection.read_body(head)


def test_late_131_many_small_pieces_are_one_body(httpd, backend):
    body = b"".join(b"%d " % number for number in range(3000))

    def handler(exchange):
        exchange.head(200, {"Transfer-Encoding": "chunked"})
        for at in range(0, len(body), 7):
            exchange.chunk(body[at:at + 7])
        exchange.end_chunks()
    backend.on("/body/pieces", handler)
    response = httpd.get("/body/pieces")
    assert response.body == body
    assert response.get("ETag") == tag(httpd, backend, "/body/pieces", body)


def test_late_132_an_empty_body_has_a_tag(httpd, backend):
    assert tag(httpd, backend, "/body/nothing", b"").startswith('"')


def test_late_133_two_lines_are_digested_together(httpd, backend):
    def tag_of(body, field):
        return tag(httpd, backend, "/two/a", body, {"X-Updated-At": field})
    first = tag_of(PAGE, "1")
    assert is_weak(first)
    assert tag_of(PAGE, "2") != first
    assert tag_of(products((0, TIMES[0])), "1") != first
    unknown(httpd)
    assert tag_of("{}", "1") is None, "one that is unknown spoils both"


# conditions


def test_late_140_a_matching_tag_gets_a_304_without_a_body(httpd, backend):
    for path in ("/json/c", "/ids/c", "/body/c"):
        etag = tag(httpd, backend, path, PAGE)
        with httpd.connect() as connection:
            response = connection.get(path, {"If-None-Match": etag})
            assert response.status == 304, path
            assert response.get("ETag") == etag
            assert "Content-Length" not in response
            assert connection.get(path).text == PAGE
        changed = products((0, TIMES[0]))
        assert tag(httpd, backend, path, changed,
                   **{"If-None-Match": etag}) != etag


def test_late_141_a_304_does_not_wait_for_a_body_it_drops(httpd, backend):
    go = threading.Event()

    def handler(exchange):
        exchange.head(200, {"Transfer-Encoding": "chunked",
                            "X-Updated-At": TIMES[0]})
        exchange.chunk(b"one")
        exchange.wait(go)
        exchange.chunk(b"two")
        exchange.end_chunks()
    backend.on("/header/drop", answer(200, {"X-Updated-At": TIMES[0]}))
    etag = httpd.get("/header/drop").get("ETag")
    backend.on("/header/drop", handler)
    with httpd.connect() as connection:
        response = connection.get("/header/drop", {"If-None-Match": etag})
        assert response.status == 304
        go.set()
        backend.on("/header/after", answer(200, {}, b"after"))
        httpd.log.claim(UNKNOWN)
        assert connection.get("/header/after").body == b"after"


def test_late_142_a_date_of_ours_gives_no_304(httpd, backend):
    backend.on("/json/date", answer(200, JSON, PAGE))
    assert httpd.get("/json/date").get("Last-Modified") == NEWEST
    response = httpd.get("/json/date", {"If-Modified-Since": NEWEST})
    assert response.status == 200 and response.text == PAGE
    assert "If-Modified-Since" not in backend.requests("/json/date")[-1]


def test_late_143_a_backends_304_passes(httpd, backend):
    backend.on("/tagged/304", answer(304, {"ETag": '"its"',
                                           "Date": http_date()}))
    response = httpd.get("/tagged/304", {"If-None-Match": '"its"'})
    assert response.status == 304 and response.get("ETag") == '"its"'


def test_late_144_no_bytes_come_between_answers(httpd, backend):
    """What was dropped is not in the next answer of the connection."""
    etag = tag(httpd, backend, "/body/keep", PAGE)
    with httpd.connect() as connection:
        for _ in range(3):
            assert connection.get(
                "/body/keep", {"If-None-Match": etag}).status == 304
            assert connection.get("/body/keep").text == PAGE
