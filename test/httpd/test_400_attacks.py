# SPDX-License-Identifier: Apache-2.0
"""What an unfriendly client or backend tries: poisoning what others get,
reading what is not theirs, holding others up."""
import gzip
import os
import time

import pytest

from harness.backend import answer
from harness.crowd import Crowd

CONFIG = """
ETagCache On
ETagCacheKeyIgnoreQuery utm_*
ETagCacheIgnoreCookies _ga*
<Directory "@DOCROOT@">
    Options +MultiViews +ExecCGI
    AddHandler cgi-script .cgi
    Header set Cache-Control "max-age=60"
    AddEncoding gzip .gz
</Directory>
RewriteEngine On
RewriteCond %{HTTP:Accept-Encoding} gzip
RewriteRule ^/styles/(.*)\\.css$ /styles/$1.css.zipped
<Directory "@DOCROOT@/styles">
    Header append Vary Accept-Encoding
    <Files "*.zipped">
        ForceType text/css
        Header set Content-Encoding gzip
    </Files>
</Directory>
<Directory "@DOCROOT@/open">
    RewriteEngine On
    RewriteRule ^in$ /closed/page.html
</Directory>
SetEnvIf X-Key sesame may-enter
<Location /closed>
    Require env may-enter
</Location>
<Location /b/deflated>
    SetOutputFilter DEFLATE
</Location>
<Location /b/bypassed>
    ETagCacheBypass "%{HTTP:X-Debug} == '1'"
</Location>
<Location /b/observed>
    ETagCache Observe
</Location>
ProxyPass "/b/" "http://@BACKEND@/b/" connectiontimeout=5 timeout=30 retry=0
"""

FRESH = {"Cache-Control": "max-age=60"}
PAGE = b"<p>one and the same</p>" * 50
GZIP = {"Accept-Encoding": "gzip"}


def echo(*names):
    """A backend that answers with what it was asked."""
    def handler(exchange):
        said = [exchange.request.get(name, "-") for name in names]
        exchange.respond(200, dict(
            FRESH, **{"Content-Location": exchange.request.target}),
            " ".join([exchange.request.target, *said]).encode())
    return handler


@pytest.mark.parametrize("order", [(GZIP, {}), ({}, GZIP)])
@pytest.mark.parametrize("how", ["negotiated", "rewritten"])
def test_attacks_100_codings_chosen_before_the_fetch(httpd, how, order):
    name = "styles/%s.css" % len(order[0])
    if how == "negotiated":
        name = "views/%s" % len(order[0])
        httpd.file(name + ".html", PAGE)
        httpd.file(name + ".html.gz", gzip.compress(PAGE))
    else:
        httpd.file(name, PAGE)
        httpd.file(name + ".zipped", gzip.compress(PAGE))
    for headers in order * 2:
        response = httpd.get("/" + name, headers)
        body = response.body
        if response.get("Content-Encoding") is not None:
            assert headers, "nobody asked for gzip"
            body = gzip.decompress(body)
        assert body == PAGE
        assert len(response.all("Content-Location")) <= 1


@pytest.mark.parametrize("field", [
    "X_Forwarded_Host", "X-Forwarded_Host", "X-Forwarded-Ssl",
    "Front-End-Https"])
def test_attacks_110_steering_fields_in_disguise(httpd, backend, path,
                                                 field):
    path = "/b" + path
    backend.on(path, echo(field))
    assert b"evil" in httpd.get(path, {field: "evil"}).body
    assert b"evil" not in httpd.get(path).body


@pytest.mark.parametrize("query, headers", [
    ("?utm_source=evil", {}),
    ("", {"Cookie": "_ga=evil"}),
    ("", {"Connection": "X-Tenant", "X-Tenant": "evil"}),
])
def test_attacks_111_posts_we_would_have_asked_otherwise(
        httpd, backend, path, query, headers):
    path = "/b" + path
    backend.on(path, echo("Cookie", "X-Tenant"))
    httpd.request("POST", path + query, headers, b"body")
    assert not httpd.get(path).hit


def test_attacks_112_posts_past_the_cache(httpd, backend, path):
    path = "/b/bypassed" + path
    backend.on(path, echo("X-Debug"))
    httpd.request("POST", path, {"X-Debug": "1"}, b"body")
    assert httpd.get(path).body == (path + " -").encode()


def test_attacks_113_observing_learns_no_poison(httpd, backend, path):
    path = "/b/observed" + path
    backend.on(path, echo("Cookie"))
    for headers in ({"Cookie": "_ga=evil"}, {"Connection": "Host"}):
        assert "stored" not in httpd.get(path, headers).cache
    assert httpd.get(path, {"Cache-Control": "only-if-cached"}).status == 200


def test_attacks_120_pieces_of_two_codings_are_never_joined(httpd, backend,
                                                            path):
    path = "/b/deflated" + path
    body = b"".join(b"%05d," % number for number in range(3000))
    backend.on(path, answer(200, dict(FRESH, ETag='"x"', **{
        "Content-Type": "text/plain"}), body))
    assert httpd.get(path).body == body
    rest = {"Range": "bytes=10-19", "If-Range": '"x"'}
    piece = httpd.get(path, rest)
    assert piece.status == 206 and piece.body == body[10:20]
    assert piece.get("ETag") == '"x"'
    assert "Content-Encoding" not in piece
    whole = httpd.get(path, dict(GZIP, **rest))
    assert whole.status == 200 and gzip.decompress(whole.body) == body
    assert whole.get("Content-Encoding") == "gzip"
    assert whole.get("ETag") != '"x"'


def test_attacks_121_a_304_of_another_response_before_chunks(httpd, backend,
                                                             path):
    path = "/b" + path

    def changes(exchange):
        if exchange.number == 1:
            exchange.respond(200, {"Cache-Control": "max-age=0",
                                   "ETag": '"v1"'}, b"one")
        elif exchange.number == 2:
            exchange.respond(304, {"ETag": '"v2"'})
        else:
            exchange.head(200, dict(FRESH, ETag='"v2"', **{
                "Transfer-Encoding": "chunked"}))
            exchange.chunk(b"two")
            exchange.end_chunks()
    backend.on(path, changes)
    bodies = [httpd.get(path).body for _ in range(4)]
    assert bodies == [b"one", b"two", b"two", b"two"]


def test_attacks_130_private_requests_do_not_queue(httpd, backend, path):
    path = "/b" + path
    backend.on(path, answer(200, FRESH, b"mine", delay=0.3))
    for _ in range(2):
        with Crowd(httpd, 10, lambda n: {"Cookie": "sid=%d" % n}) as crowd:
            responses = crowd.ask(path).answers()
    # Remembered by now: nobody waited for another's answer.
    assert all(r.cache.get("detail") == "uncacheable"
               or r.cache.get("detail") == "private-request"
               for r in responses)
    arrivals = sorted(r.at for r in backend.requests(path))[10:]
    assert arrivals[-1] - arrivals[0] < 0.3


@pytest.mark.parametrize("size", [2, 12])
def test_attacks_131_a_leader_that_does_not_read(httpd, backend, path, size):
    path = "/b" + path
    body = os.urandom(1 << 20) * size
    backend.on(path, answer(200, FRESH, body))
    leader = httpd.connect(receive_buffer=4096)
    leader.send_request("GET", path)
    head = leader.read_head()
    assert head.status == 200
    begun = time.monotonic()
    assert httpd.get(path).body == body
    # httpd's Timeout, and the wait of a follower, are 30 s.
    assert time.monotonic() - begun < 15
    assert backend.hits(path) <= 2
    assert leader.read_body(head) == body
    leader.close()


def test_attacks_140_access_rules_behind_a_rewritten_url(httpd):
    httpd.log.claim("AH01630")
    httpd.file("closed/page.html", b"secret")
    httpd.file("open/other.txt", b"not this")
    key = {"X-Key": "sesame"}
    assert httpd.get("/open/in", key).body == b"secret"
    assert httpd.get("/open/in", key).hit
    response = httpd.get("/open/in")
    assert response.status == 403 and b"secret" not in response.body


def test_attacks_141_access_rules_behind_a_script_s_location(httpd):
    httpd.log.claim("AH01630")
    httpd.file("closed/page.html", b"secret")
    httpd.file("leads.cgi", "#!/bin/sh\n"
               "printf 'Location: /closed/page.html\\r\\n\\r\\n'\n", 0o755)
    for _ in range(2):
        response = httpd.get("/leads.cgi", {"X-Key": "sesame"})
        assert response.body == b"secret"
    assert httpd.get("/leads.cgi").status == 403
