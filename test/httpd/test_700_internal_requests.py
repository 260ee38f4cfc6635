# SPDX-License-Identifier: Apache-2.0
"""Requests that no client made: they pass through all of the admin's
configuration, are nobody's and nothing local is open to them."""
import os
import re

import pytest

from harness.backend import answer
from harness.internal import (LOCATIONS, WHOAMI, fire, fire_many,
                              is_supported)
from harness.net import poll

pytestmark = pytest.mark.skipif(not is_supported(), reason="needs threads")

MODULES = ["internal", "proxy_balancer", "slotmem_shm", "lbmethod_byrequests"]

CONFIG = LOCATIONS + WHOAMI + """
ETagCache Off
LogFormat "%h %>s %O \\"%r\\" note=%{etag-internal}n" internal
CustomLog "@ROOT@/internal.log" internal
SetEnvIf Request_URI . seen-by-setenvif=yes
RewriteEngine On
RewriteRule ^/rewritten/(.*)$ http://@BACKEND@/made-of/$1 [P]
RewriteRule ^/is-https$ http://@BACKEND@/is-https?%{HTTPS} [P]
Alias "/php/" "@ROOT@/htdocs/php/"
<FilesMatch "\\.php$">
    SetHandler "proxy:unix:@ROOT@/run/php.sock|fcgi://localhost/"
</FilesMatch>
<Directory "@DOCROOT@/redirected">
    RewriteEngine On
    RewriteRule . /whoami [L]
</Directory>
<Location "/whoami/local">
    Require local
</Location>
<Location "/whoami/expr-local">
    Require expr "%{REMOTE_ADDR} =~ /^127/"
</Location>
<Location "/whoami/tests-net">
    Require ip 203.0.113.0/24
</Location>
<Location "/whoami/nobody">
    Require ip 192.0.2.1
</Location>
<Location "/whoami/users">
    AuthType Basic
    AuthName x
    AuthUserFile "@ROOT@/none"
    Require valid-user
</Location>
<Location "/closed">
    Require all denied
</Location>
<Location "/headers">
    Header always set X-Always "1"
    Header set X-Usually "2"
    Header unset X-Secret
</Location>
Options +Includes
AddOutputFilter INCLUDES .shtml
AddType text/html .shtml
<Proxy "balancer://farm">
    BalancerMember "http://127.0.0.1:9" retry=60 connectiontimeout=1
    BalancerMember "http://@BACKEND@" status=+H
</Proxy>
ProxyPass "/-fire" "!"
ProxyPass "/whoami" "!"
ProxyPass "/php/" "!"
ProxyPass "/redirected" "!"
ProxyPass "/page.shtml" "!"
ProxyPass "/file" "!"
ProxyPass "/farm/" "balancer://farm/farm/"
ProxyPass "/" "http://@BACKEND@/" connectiontimeout=5 timeout=30 retry=0
<VirtualHost *:@PORT@>
    ServerName localhost
    RewriteEngine On
    RewriteOptions Inherit
</VirtualHost>
<VirtualHost *:@PORT@>
    ServerName other.example
    Header set X-Host other
</VirtualHost>
"""


def whoami(httpd, path="/whoami", **options):
    got = fire(httpd, path, **options)
    if got.status != 200:
        return got.status
    words = got.body.decode().split()
    return dict(zip(words[::2], words[1::2]))


def lines_for(httpd, path):
    log = httpd.root / "internal.log"
    return [line for line in log.read_text().splitlines() if path in line]


def test_the_backend_is_asked_and_answers_with_what_a_client_would_get(
        httpd, backend, path):
    backend.on(path, answer(200, {"Cache-Control": "max-age=60",
                                  "Content-Type": "text/x-a",
                                  "X-Two": "a"}, b"hello"))
    got = fire(httpd, path + "?q=1", fields=[("X-Mine", "mine")])
    assert (got.outcome, got.status, got.body) == ("ok", 200, b"hello")
    assert got.is_whole and got.bytes == 5
    assert got.get("Content-Type") == "text/x-a"
    assert got.get("X-Two") == "a"
    assert got.get("Content-Length") == "5"
    assert got.get("Connection") is None
    asked = backend.requests(path)[-1]
    assert asked.target == path + "?q=1"
    assert asked.get("X-Mine") == "mine"
    assert asked.get("X-Forwarded-For") == "192.0.2.1"
    by_client = httpd.get(path)
    names = {name.lower() for name, _ in by_client.fields}
    assert {name.lower() for name, _ in got.fields} \
        == names - {"connection", "keep-alive"}


def test_a_body_without_a_length_is_not_chunked(httpd, backend, path):
    def chunks(exchange):
        exchange.head(200, {"Transfer-Encoding": "chunked"})
        exchange.chunk(b"one ")
        exchange.chunk(b"two")
        exchange.end_chunks()
    backend.on(path, chunks)
    got = fire(httpd, path)
    assert got.body == b"one two" and got.is_whole
    assert got.get("Transfer-Encoding") is None


def test_a_large_body_comes_whole(httpd, backend, path):
    backend.on(path, answer(200, {}, b"x" * 3000000))
    got = fire(httpd, path, body=0)
    assert got.bytes == 3000000 and got.is_whole


def test_a_file_comes_whole(httpd):
    httpd.file("file", b"0123456789" * 50000)
    got = fire(httpd, "/file", body=0)
    assert got.bytes == 500000 and got.is_whole


def test_head_has_no_body_and_is_whole(httpd, backend, path):
    backend.on(path, answer(200, {}, b"hello"))
    got = fire(httpd, path, method="HEAD")
    assert got.status == 200 and got.bytes == 0 and got.is_whole
    assert got.get("Content-Length") == "5"


@pytest.mark.parametrize("status", [204, 301, 304, 404, 500, 503])
def test_any_status_is_an_answer(httpd, backend, path, status):
    backend.on(path, answer(status, {"Location": "/x", "ETag": '"a"'}, b"b"))
    got = fire(httpd, path)
    assert got.status == status and got.is_whole


def test_an_interim_response_is_no_answer(httpd, backend, path):
    def early(exchange):
        exchange.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
        exchange.respond(200, {}, b"late")
    backend.on(path, early)
    got = fire(httpd, path)
    assert got.status == 200 and got.body == b"late"
    assert got.get("Link") is None


@pytest.mark.parametrize("body", [b"HTTP/1.1 200 OK\r\nContent-Length: 10"
                                  b"\r\n\r\nhalf",
                                  b"HTTP/1.1 200 OK\r\nTransfer-Encoding: "
                                  b"chunked\r\n\r\n5\r\nhe"])
def test_a_cut_body_is_not_whole(httpd, backend, path, body):
    httpd.log.claim("AH01110|AH02608")

    def broken(exchange):
        exchange.send(body)
        exchange.cut()
    backend.on(path, broken)
    got = fire(httpd, path)
    assert got.outcome == "ok" and got.status == 200
    assert not got.is_whole


def test_a_backend_that_is_killed_before_its_answer_is_a_502(
        httpd, backend, path):
    httpd.log.claim("AH01102|AH00898")
    backend.on(path, lambda exchange: exchange.reset())
    got = fire(httpd, path)
    assert got.outcome == "ok" and got.status == 502 and got.is_whole


def test_fields_the_server_adds_are_in_the_answer(httpd, backend):
    backend.on("/headers", answer(404, {"X-Secret": "x"}, b"no"))
    got = fire(httpd, "/headers")
    assert got.status == 404
    assert got.get("X-Always") == "1" and got.get("X-Secret") is None
    backend.on("/headers", answer(200, {}, b"yes"))
    assert fire(httpd, "/headers").get("X-Usually") == "2"


def test_rewriting_works(httpd, backend):
    backend.on("/made-of/a", answer(200, {}, b"rewritten"))
    assert fire(httpd, "/rewritten/a").body == b"rewritten"


def test_php_by_fastcgi_works(httpd, php):
    httpd.file("php/a.php", "<?php header('X-Https: ' . "
               "($_SERVER['HTTPS'] ?? 'none')); "
               "echo $_SERVER['REMOTE_ADDR'], ' ', $_GET['q'];")
    got = fire(httpd, "/php/a.php?q=7")
    assert got.body == b"192.0.2.1 7" and got.is_whole
    assert got.get("X-Https") == "none"
    got = fire(httpd, "/php/a.php?q=8", https=1)
    assert got.body == b"192.0.2.1 8"
    assert got.get("X-Https") == "on"


def test_a_balancer_works(httpd, backend, path):
    httpd.log.claim("AH00957|AH01114|AH00959")
    backend.on("/farm" + path, answer(200, {}, b"member"))
    assert fire(httpd, "/farm" + path).body == b"member"
    assert fire_many(httpd, "/farm" + path, count=40, parallel=4,
                     brief=1)[200] == 40


def test_the_virtual_host_is_the_asks_whatever_the_host_field(
        httpd, backend, path):
    backend.on(path, answer(200, {}, b"x"))
    assert fire(httpd, path, host="other.example").get("X-Host") == "other"
    assert fire(httpd, path).get("X-Host") is None
    assert fire(httpd, path, host="unknown.example").get("X-Host") is None
    assert whoami(httpd, host="other.example")["server"] == "other.example"


def test_it_comes_from_whom_caused_it_or_from_nobody(httpd):
    assert whoami(httpd)["client"] == "192.0.2.1"
    assert whoami(httpd, ip="203.0.113.5")["client"] == "203.0.113.5"
    assert whoami(httpd, ip="2001:db8::5")["client"] == "2001:db8::5"


@pytest.mark.parametrize("ip", ["127.0.0.1", "127.1.2.3", "::1", "0.0.0.0",
                                "::ffff:127.0.0.1", "::", "localhost",
                                "nonsense", "127.1", ""])
def test_it_never_comes_from_this_machine(httpd, ip):
    assert whoami(httpd, ip=ip)["client"] == "192.0.2.1"


def test_what_is_open_to_local_requests_is_not_open_to_it(httpd):
    httpd.log.claim("AH01630")
    assert httpd.get("/whoami/local").status == 200
    assert httpd.get("/whoami/expr-local").status == 200
    for path in ("/whoami/local", "/whoami/expr-local"):
        assert whoami(httpd, path) == 403
        assert whoami(httpd, path, ip="127.0.0.1") == 403
        assert whoami(httpd, path, ip="203.0.113.5") == 403


def test_access_by_address_asks_for_who_caused_it(httpd):
    httpd.log.claim("AH01630")
    assert whoami(httpd, "/whoami/tests-net") == 403
    assert whoami(httpd, "/whoami/tests-net",
                  ip="203.0.113.9")["useragent"] == "203.0.113.9"
    assert whoami(httpd, "/whoami/nobody")["client"] == "192.0.2.1"


def test_closed_places_are_closed(httpd):
    httpd.log.claim("AH01630|AH01797")
    assert whoami(httpd, "/whoami/users") == 401
    assert fire(httpd, "/closed").status == 403


def test_internal_redirects_and_subrequests_know_it_too(httpd):
    httpd.file("page.shtml", '<!--#include virtual="/whoami" -->')
    httpd.file("redirected/.keep", "")
    assert whoami(httpd, "/redirected/x")["internal"] == "test"
    assert whoami(httpd, "/redirected/x")["redirected"] == "1"
    included = fire(httpd, "/page.shtml").body
    assert b"internal test subrequest 1" in included
    assert b"internal no" in httpd.get("/page.shtml").body
    assert b"internal no" in httpd.get("/whoami").body


def test_https_is_the_asks(httpd, backend):
    backend.on("/is-https", lambda exchange: exchange.respond(
        200, {}, exchange.request.target.encode()))
    assert fire(httpd, "/is-https", https=1).body == b"/is-https?on"
    assert fire(httpd, "/is-https").body == b"/is-https?off"


def test_it_stands_in_the_access_log_with_its_purpose(httpd, backend, path):
    httpd.file("redirected/.keep", "")
    backend.on(path, answer(200, {}, b"x" * 1000))
    fire(httpd, path, purpose="refresh")
    fire(httpd, "/redirected/logged", purpose="warm", body=0)
    httpd.get(path)

    def logged():
        return len([1 for line in lines_for(httpd, path)
                    if " note=" in line and "/-fire" not in line]) == 2
    poll(logged, "both lines")
    internal, client = [line for line in lines_for(httpd, path)
                        if "/-fire" not in line]
    found = re.fullmatch(r'192\.0\.2\.1 200 (\d+) "GET %s HTTP/1\.1" '
                         r"note=refresh" % re.escape(path), internal)
    assert found and int(found.group(1)) > 1000, internal
    assert client.startswith("127.0.0.1 ") and client.endswith("note=-")
    assert lines_for(httpd, '"GET /redirected/logged')[0].endswith("note=warm")


@pytest.mark.parametrize("options", [
    {"target": "/a b"}, {"target": "/a\r\nX: y"}, {"target": "/a\tb"},
    {"target": "nowhere"}, {"target": "http://other.example/"},
    {"target": "*"}, {"target": "/\x7f"}, {"target": "/a", "method": "G T"},
    {"target": "/a", "fields": [("X-A", "b\r\nX-B: c")]},
    {"target": "/a", "fields": [("X A", "b")]},
    {"target": "/a", "depth": 4}, {"target": "/a", "depth": 1000}])
def test_what_is_no_request_is_not_asked(httpd, backend, options):
    got = fire(httpd, **options)
    assert got.outcome == "einval" and got.status == 0


def test_a_request_as_deep_as_may_be_is_asked(httpd, backend, path):
    backend.on(path, answer(200, {}, b"deep"))
    assert fire(httpd, path, depth=3).body == b"deep"


def test_fields_of_a_connection_are_left_out(httpd, backend, path):
    backend.on(path, answer(200, {}, b"x"))
    got = fire(httpd, path, fields=[
        ("Content-Length", "10"), ("Transfer-Encoding", "chunked"),
        ("Expect", "100-continue"), ("Upgrade", "h2c"),
        ("Connection", "Upgrade, X-Kept"), ("X-Kept", "1")])
    assert got.status == 200
    asked = backend.requests(path)[-1]
    assert asked.get("X-Kept") == "1"
    for name in ("Content-Length", "Transfer-Encoding", "Expect", "Upgrade"):
        assert name not in asked


def test_who_takes_no_more_ends_it(httpd, backend, path):
    backend.on(path, answer(200, {}, b"x" * 3000000))
    got = fire(httpd, path, leave=1000)
    assert got.outcome == "ok" and got.status == 200 and not got.is_whole
    assert got.bytes < 3000000


def test_many_at_once_do_not_meet(httpd, backend, path):
    def echo(exchange):
        exchange.respond(200, {}, b"y" * 100)
    backend.on(path, echo)
    counts = fire_many(httpd, path, count=2000, parallel=8, brief=1)
    assert counts["ok"] == 2000 and counts[200] == 2000


def memory_of(httpd):
    total = 0
    for pid in httpd.children():
        with open("/proc/%d/smaps_rollup" % pid) as rollup:
            total += sum(int(line.split()[1]) for line in rollup
                         if line.startswith("Private_Dirty"))
    return total


def grows_by(httpd, path, count):
    """KB, after a first round that fills pools and caches."""
    fire_many(httpd, path, count=2000, parallel=4, brief=1)
    before = memory_of(httpd)
    left = count
    while left > 0:
        counts = fire_many(httpd, path, count=min(left, 25000), parallel=4,
                           brief=1)
        assert counts["ok"] == min(left, 25000)
        left -= 25000
    return memory_of(httpd) - before


def measured(test):
    """A sanitizer keeps what is freed for a while."""
    return pytest.mark.skipif("ETG_HTTPD_PRELOAD" in os.environ
                              or "ETG_HTTPD_WRAPPER" in os.environ,
                              reason="another allocator")(test)


# A request's pool is 16 KB and more: one that stays shows.
@measured
def test_5000_requests_leave_no_memory_behind(httpd, backend, path):
    backend.on(path, answer(200, {}, b"y" * 1000))
    assert grows_by(httpd, path, 5000) < 5000 * 2


@measured
@pytest.mark.slow
def test_100000_requests_leave_no_memory_behind(httpd, backend, path):
    backend.on(path, answer(200, {}, b"y" * 1000))
    assert grows_by(httpd, path, 100000) < 10000
