# SPDX-License-Identifier: Apache-2.0
"""Compressed entries at work: many clients at once, clients that leave, one
connection for all kinds of answers, backends that change their mind, and a
store that is damaged. Whatever is decoded is the page."""
import gzip
import random

import pytest

from conftest import PROXY
from harness import curl
from harness.backend import Counter, answer
from harness.call_log import page
from harness.client import Truncated
from harness.crowd import Crowd
from harness.net import poll
from harness.steps import FRESH, settle, stored

CONFIG = PROXY + """
ETagCache On
"""
STORE_LOG = "etag_store_local|etag_cache"
JSON = {"Content-Type": "application/json"}
GZ = {"Accept-Encoding": "gzip"}
TAKES = [GZ, {}, {"Accept-Encoding": "br"}, {"Accept-Encoding": "gzip, br"},
         {"Accept-Encoding": "gzip;q=0, *"}, {"Accept-Encoding": "*"}]
TAKES_GZIP = [TAKES[0], TAKES[3], TAKES[5]]


def takes(number):
    return TAKES[number % len(TAKES)]


def fresh(body, tag='"v1"', **more):
    return answer(200, {**FRESH, **JSON, "ETag": tag, **more}, body)


def decoded(response):
    codings = response.all("Content-Encoding")
    assert codings in ([], ["gzip"]), codings
    return gzip.decompress(response.body) if codings else response.body


def test_crowd_100_followers_of_every_coding_share_one_fetch(httpd, backend,
                                                            path):
    for size in (5000, 80000, 900000):
        body, target = page(size, size), "%s-%d" % (path, size)
        backend.on(target, Counter(fresh(body)))
        with Crowd(httpd, 30, takes) as crowd:
            responses = crowd.ask(target).answers()
        for number, response in enumerate(responses):
            assert response.status == 200
            assert decoded(response) == body
            assert "Content-Encoding" not in response \
                or takes(number) in TAKES_GZIP
        assert backend.hits(target) == 1


def test_crowd_101_readers_at_once_of_a_large_page(httpd, backend, path):
    body = page(9, 3000000)
    backend.on(path, fresh(body))
    stored(httpd, backend, path)
    for _ in range(2):
        with Crowd(httpd, 24, takes) as crowd:
            responses = crowd.ask(path).answers()
        for response in responses:
            assert response.hit and decoded(response) == body
    assert backend.hits(path) == 1


def test_crowd_110_clients_that_leave_in_the_middle(httpd, backend, path):
    """(A child that dies of it is in the error log.)"""
    body = page(11, 6000000)
    backend.on(path, fresh(body))
    stored(httpd, backend, path)
    for number in range(20):
        connection = httpd.connect(receive_buffer=4096)
        connection.send_request("GET", path, takes(number))
        connection.read_head()
        connection.read_exactly(1000)
        (connection.reset if number % 2 else connection.close)()
    for says in TAKES:
        response, = curl.ask(httpd, path, [("GET", says)])
        assert decoded(response) == body


def test_crowd_111_one_connection_for_all_kinds_of_answers(httpd, backend,
                                                           path):
    body = page(12, 200000)
    backend.on(path, fresh(body))
    stored(httpd, backend, path)
    chance = random.Random(1)
    with httpd.connect() as connection:
        for number in range(150):
            says = dict(takes(number))
            kind = chance.choice(["GET", "HEAD", "tag", "range", "other"])
            if kind == "tag":
                says["If-None-Match"] = '"v1"'
                response = connection.get(path, says)
                assert response.status == 304
            elif kind == "range":
                says["Range"] = "bytes=1000-1999"
                response = connection.get(path, says)
                assert response.status == 206 and len(response.body) == 1000
            elif kind == "HEAD":
                response = connection.request("HEAD", path, says)
                assert response.status == 200
            elif kind == "other":
                assert connection.get(path + "-none").status == 404
            else:
                assert decoded(connection.get(path, says)) == body


def test_crowd_112_a_client_of_http_1_0(httpd, backend, path):
    body = page(13, 50000)
    backend.on(path, fresh(body))
    stored(httpd, backend, path)
    for says in TAKES:
        response, = curl.ask(httpd, path, [("GET", says)], "--http1.0")
        assert response.hit and decoded(response) == body
        assert response.get("Content-Length") == str(len(response.body))


def highest(httpd):
    """The most memory any of its children has held, in MB."""
    found = [0]
    for pid in httpd.children():
        with open("/proc/%d/status" % pid) as status:
            found += [int(line.split()[1]) // 1024 for line in status
                      if line.startswith("VmHWM:")]
    return max(found)


@pytest.mark.parametrize("headers", [
    {}, {"Range": "bytes=0-99"}, {"Range": "bytes=-100"},
    {"Range": "bytes=100000000-100000099"}, {"Range": "bytes=0-"}])
def test_crowd_120_little_that_becomes_much_is_not_held(make_httpd, backend,
                                                       path, headers):
    """200 MB of plain bytes out of 200 KB a backend sent coded."""
    httpd = make_httpd(CONFIG)
    much = 200 * 1024 * 1024
    backend.on(path, fresh(gzip.compress(bytes(much), 9),
                           **{"Content-Encoding": "gzip"}))
    stored(httpd, backend, path, GZ)
    before = highest(httpd)
    url = "http://127.0.0.1:%d%s" % (httpd.port, path)
    says = [word for pair in headers.items() for word in
            ("-H", "%s: %s" % pair)]
    told = curl.run(*says, "-o", "/dev/null", "-w",
                    "%{http_code} %{size_download}", url)
    assert told in (b"200 %d" % much, b"206 100", b"206 %d" % much)
    assert highest(httpd) - before < 48
    httpd.stop()


# what backends do

def test_change_100_no_transform_learned_from_a_304(httpd, backend, path):
    body = page(14, 5000)

    def learns(exchange):
        fields = {**JSON, "ETag": '"v1"'}
        if "If-None-Match" in exchange.request:
            exchange.respond(304, dict(fields, **{
                "Cache-Control": "max-age=60, no-transform"}))
        else:
            exchange.respond(200, dict(fields, **{
                "Cache-Control": "max-age=60", "Age": "120"}), body)
    backend.on(path, learns)
    stored(httpd, backend, path)
    stored(httpd, backend, path)
    response, = curl.ask(httpd, path, [("GET", GZ)])
    assert response.hit and backend.hits(path) == 2
    assert "Content-Encoding" not in response
    assert (response.body, response.get("ETag")) == (body, '"v1"')


def test_change_101_a_backend_that_changes_its_coding(httpd, backend, path):
    """Plain, gzip unasked, plain again; each version may be stale at once."""
    bodies = [page(seed, 6000) for seed in range(4)]
    held = set()
    for version, body in enumerate(bodies):
        fields = {"Cache-Control": "max-age=60", **JSON,
                  "ETag": '"v%d"' % version}
        sent = body
        if version % 2:
            fields["Content-Encoding"] = "gzip"
            sent = gzip.compress(body)

        def handler(exchange, fields=fields, sent=sent):
            tag = exchange.request.get("If-None-Match")
            status = 304 if tag == fields["ETag"] else 200
            exchange.respond(status, dict(fields, Age="120"), sent)
        backend.on(path, handler)
        stored(httpd, backend, path)
        for tag in sorted(held):
            response, = curl.ask(httpd, path, [
                ("GET", dict(GZ, **{"If-None-Match": tag}))])
            assert response.status == 200 and decoded(response) == body
        for says in TAKES:
            response, = curl.ask(httpd, path, [("GET", says)])
            assert decoded(response) == body
            held.add(response.get("ETag"))
            again, = curl.ask(httpd, path, [
                ("GET", dict(says, **{"If-None-Match": response.get("ETag")}))
            ])
            assert again.status == 304


@pytest.mark.parametrize("status", [203, 404, 410, 301])
def test_change_110_other_statuses_than_200(httpd, backend, path, status):
    body = page(15, 5000)
    backend.on(path, answer(status, {**FRESH, **JSON, "Location": "/x"},
                            body))
    stored(httpd, backend, path, GZ)
    coded, plain = curl.ask(httpd, path, [("GET", GZ), ("GET", {})])
    for response in (coded, plain):
        assert response.hit and response.status == status
        assert decoded(response) == body
    assert backend.hits(path) == 1


def test_change_120_head_on_a_cold_key_and_then_get(httpd, backend, path):
    body = page(16, 5000)
    backend.on(path, fresh(body))
    first, second = curl.ask(httpd, path, [("HEAD", GZ), ("GET", GZ)])
    assert first.status == 200 and first.get("ETag") == '"v1"'
    assert decoded(second) == body
    with httpd.connect() as connection:
        settle(httpd, backend, connection, path)
    head, get = poll(lambda: hits(curl.ask(httpd, path, [
        ("HEAD", GZ), ("GET", GZ)])), "both are hits")
    assert head.get("Content-Length") == str(len(get.body))
    for name in ("ETag", "Content-Encoding", "Vary", "Content-Type"):
        assert head.get(name) == get.get(name)


def hits(responses):
    return responses if all(answer_.hit for answer_ in responses) else None


def test_change_130_a_body_that_is_cut_is_not_kept(httpd, backend, path):
    body = page(17, 600000)
    httpd.log.claim(r"\[proxy|AH0|\[etag_cache")

    def cut(exchange):
        if exchange.number == 1:
            exchange.head(200, {**FRESH, **JSON, "ETag": '"v1"',
                                "Content-Length": str(len(body))})
            exchange.send(body[:400000])
            exchange.cut()
        fresh(body)(exchange)
    backend.on(path, cut)
    with httpd.connect() as connection:
        connection.send_request("GET", path, GZ)
        assert len(connection.read_to_end()) < len(body)
    for says in TAKES:
        response, = curl.ask(httpd, path, [("GET", says)])
        assert decoded(response) == body


# a store that is damaged

def turn_bits(file):
    data = bytearray(file.read_bytes())
    chance = random.Random(1)
    for _ in range(max(200, len(data) // 5000)):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    file.write_bytes(data)


def cut_in_half(file):
    file.write_bytes(file.read_bytes()[:file.stat().st_size // 2])


@pytest.mark.parametrize("damage", [turn_bits, cut_in_half])
def test_damage_100_of_coded_bodies_is_never_decoded(make_httpd, backend,
                                                    path, damage):
    httpd = make_httpd(CONFIG)
    bodies = {"%s-%d" % (path, number): page(number, 2000 * 2 ** number)
              for number in range(10)}
    for target, body in bodies.items():
        backend.on(target, fresh(body))
        stored(httpd, backend, target)
    httpd.stop()
    for file in (httpd.root / "store").rglob("*"):
        # The index is left as it is: it leads to what is damaged.
        if file.is_file() and file.stat().st_size > 0 \
                and file.suffix != ".mdb":
            damage(file)
    httpd.log.claim(STORE_LOG)
    httpd.start()
    httpd.log.claim(STORE_LOG)
    for number in range(4):
        for target, body in bodies.items():
            response = httpd.get(target, takes(number))
            assert response.status == 200
            assert decoded(response) == body, target


def test_damage_101_while_it_runs(make_httpd, backend, path):
    """What is damaged after its first use is cut short at worst: a plain
    client is never given what the checksum does not bear out as whole."""
    httpd = make_httpd(CONFIG)
    httpd.log.claim(STORE_LOG)
    body = page(3, 3000000)
    backend.on(path, fresh(body))
    stored(httpd, backend, path)
    whole, = curl.ask(httpd, path, [("GET", GZ)])
    for file in (httpd.root / "store").rglob("*"):
        if file.is_file() and whole.body[:1000] in file.read_bytes():
            with open(file, "r+b") as raw:
                at = raw.read().index(whole.body) + len(whole.body) // 2
                raw.seek(at)
                raw.write(bytes(200))
    for _ in range(4):
        with httpd.connect() as connection:
            connection.send_request("GET", path)
            data = read(connection, connection.read_head())
        assert data == body or len(data) < len(body)


def read(connection, head):
    """The body as far as it came."""
    wanted = int(head.get("Content-Length"))
    try:
        return connection.read_exactly(wanted)
    except Truncated:
        return connection.buffer
