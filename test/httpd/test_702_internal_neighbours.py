# SPDX-License-Identifier: Apache-2.0
"""Internal requests beside modules that look at connections: none of them
may crash, or take it for a client's."""
import re

import pytest

from harness.backend import answer
from harness.internal import (LOCATIONS, WHOAMI, fire, fire_many,
                              is_supported, order)
from harness.net import poll

pytestmark = pytest.mark.skipif(not is_supported(), reason="needs threads")

MODULES = ["internal", "log_forensic", "usertrack", "dumpio", "ratelimit",
           "substitute", "session", "session_cookie", "info", "brotli",
           "watchdog", "proxy_http2", "authn_anon"]

CONFIG = LOCATIONS + WHOAMI + """
ETagCache Off
LogLevel trace8
ExtendedStatus On
LogIOTrackTTFB On
LogFormat "%h %a %l %u %t \\"%r\\" %>s %b %I %O %S %D %k %L %X %{UNIQUE_ID}e %{remote}p %{local}p %p %A %{SSL_PROTOCOL}x %{tid}P %^FB note=%{etag-internal}n" every
CustomLog "@ROOT@/every.log" every
ForensicLog "@ROOT@/forensic.log"
RemoteIPHeader X-Forwarded-For
RemoteIPInternalProxy 192.0.2.1 127.0.0.1
RemoteIPProxyProtocol Off
RequestReadTimeout header=1 body=1
CookieTracking On
DumpIOInput On
DumpIOOutput On
SetOutputFilter RATE_LIMIT
SetEnv rate-limit 100000
AddOutputFilterByType DEFLATE text/html
SSLOptions +StdEnvVars
<Location "/whoami/session">
    Session On
    SessionCookieName session path=/
    SessionHeader X-Replace-Session
</Location>
<Location "/whoami/local">
    Require local
</Location>
<Location "/whoami/env">
    SetEnvIfExpr "%{HTTPS} == 'on'" by-expr=yes
    Header set X-By-Expr "%{by-expr}e"
    Header set X-By-Ssl "%{HTTPS}s"
    Header set X-By-Env "%{HTTPS}e"
</Location>
<Location "/server-status">
    SetHandler server-status
</Location>
<Location "/server-info">
    SetHandler server-info
</Location>
ProxyPass "/-fire" "!"
ProxyPass "/whoami" "!"
ProxyPass "/server-status" "!"
ProxyPass "/server-info" "!"
ProxyPass "/" "http://@BACKEND@/" connectiontimeout=5 timeout=30 retry=0
"""
TLS = """
SSLOptions +StdEnvVars
<Location "/whoami/env">
    SetEnvIfExpr "%{HTTPS} == 'on'" by-expr=yes
</Location>
<Location "/whoami/needs-tls">
    SSLRequireSSL
</Location>
<Location "/whoami/client">
    Require ssl-verify-client
</Location>
"""


def test_all_of_them_see_many_of_both_kinds(httpd, backend, path):
    backend.on(path, answer(200, {"Content-Type": "text/html"}, b"y" * 500))
    for ip in ("", "203.0.113.5", "2001:db8::7"):
        counts = fire_many(httpd, path, count=100, parallel=4, brief=1, ip=ip,
                           fields=[("Accept-Encoding", "gzip")])
        assert counts["ok"] == 100 and counts[200] == 100
    assert httpd.get(path).status == 200
    assert httpd.get(path, tls=True).status in (200, 404)


def test_a_secure_host_answers_secure_asks(httpd, backend):
    for fields, expected in (
            (fire(httpd, "/whoami/env", https=1),
             ("yes", "on", "on")),
            (fire(httpd, "/whoami/env", https=0),
             ("(null)", "off", "(null)"))):
        assert fields.status == 200
        assert (fields.get("X-By-Expr"), fields.get("X-By-Ssl"),
                fields.get("X-By-Env")) == expected


def ask_through_tls(httpd, target, **options):
    """On the TLS host, by a client of it."""
    response = httpd.get(order(target, **options), tls=True)
    assert response.status == 200
    return response.body.decode().split(" ", 2)[:2]


def test_a_tls_host_is_asked_without_a_handshake(httpd):
    assert ask_through_tls(httpd, "/whoami", https=1, ) == ["ok", "200"]
    assert ask_through_tls(httpd, "/whoami", https=0) == ["ok", "200"]


# Known limits: what asks for mod_ssl's connection stays closed.
def test_what_needs_a_tls_client_stays_closed(httpd):
    httpd.log.claim("AH02219|AH01630|AH01797")
    for path in ("/whoami/needs-tls", "/whoami/client"):
        assert ask_through_tls(httpd, path, https=1) == ["ok", "403"]


@pytest.mark.http2
def test_an_http2_stream_may_cause_one(httpd, backend, path):
    backend.on(path, answer(200, {}, b"by a stream"))
    for tls in (True, False):
        response = httpd.curl(order(path, count=4, parallel=2), tls=tls)
        assert response.version == "HTTP/2"
        assert response.body.count(b"ok ") == 4
    response = httpd.curl("/whoami", tls=False)
    assert b"internal no" in response.body


@pytest.mark.parametrize("forwarded", ["127.0.0.1", "::1", "0.0.0.0"])
def test_mod_remoteip_does_not_make_it_local(httpd, forwarded):
    """It trusts 192.0.2.1 here, as it never should."""
    httpd.log.claim("AH01630")
    got = fire(httpd, "/whoami/local",
               fields=[("X-Forwarded-For", forwarded)])
    assert got.status == 403
    got = fire(httpd, "/whoami", fields=[("X-Forwarded-For", forwarded)])
    assert b"useragent 192.0.2.1 " in got.body


def test_mod_remoteip_may_say_who_caused_it(httpd):
    got = fire(httpd, "/whoami", fields=[("X-Forwarded-For", "203.0.113.8")])
    assert b"client 192.0.2.1 useragent 203.0.113.8 " in got.body


def test_sessions_and_status_and_info_work(httpd):
    assert fire(httpd, "/whoami/session").status == 200
    for path in ("/server-status", "/server-status?auto", "/server-info"):
        got = fire(httpd, path, body=0)
        assert got.status == 200 and got.is_whole
    assert httpd.get("/server-status").status == 200


def test_the_log_knows_its_bytes_and_has_no_two_ids(httpd, backend, path):
    backend.on(path, answer(200, {}, b"y" * 5000))
    fire_many(httpd, path, count=50, parallel=4, brief=1)
    log = httpd.root / "every.log"

    def lines():
        return [line for line in log.read_text().splitlines()
                if '"GET %s HTTP/1.1"' % path in line]
    poll(lambda: len(lines()) == 50, "50 lines")
    ids = set()
    for line in lines():
        found = re.search(r'" 200 5000 (\d+) (\d+) (\d+) .* note=test$', line)
        assert found, line
        assert int(found.group(2)) > 5100
        ids.add(re.search(r" ([\w@-]{24,}) ", line).group(1))
    assert len(ids) == 50
