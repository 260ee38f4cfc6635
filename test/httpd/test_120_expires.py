# SPDX-License-Identifier: Apache-2.0
"""Expires as the backend sent it: mod_proxy_http makes valid dates of much
that is none before an output filter sees it (RFC 9111 section 5.3)."""
import time

import pytest

from conftest import PROXY
from harness.backend import http_date
from harness.net import poll
from harness.steps import stored

CONFIG = """
<IfModule proxy_balancer_module>
    <Proxy "balancer://two">
        BalancerMember "http://127.0.0.1:1" connectiontimeout=1 retry=60
        BalancerMember "http://@BACKEND@" status=+H
    </Proxy>
    ProxyPass "/balanced/" "balancer://two/balanced/"
</IfModule>
""" + PROXY + """
ETagCache On
<Location "/changed/">
    Header set Expires "expr=%{HTTP:X-Expires}"
</Location>
<Location "/observed/">
    ETagCache Observe
</Location>
"""

MODULES = ["proxy_balancer", "lbmethod_byrequests", "slotmem_shm"]

LATER = http_date(time.time() + 3600)
UTC = LATER.replace("GMT", "UTC")
INVALID = [UTC, LATER.replace("GMT", "AEST"), LATER.replace(",", ""),
           LATER + " and more", LATER + " " * 200 + "x",
           LATER.replace("GMT", "GMT+1"), "0"]


def raw(*lines, interim=b""):
    """An answer whose head has these lines byte for byte."""
    def handler(exchange):
        body = b"answer %d" % exchange.number
        head = [b"HTTP/1.1 200 OK", b"Date: " + http_date().encode(),
                b"ETag: \"v%d\"" % exchange.number,
                b"Content-Length: %d" % len(body)]
        head += [line.encode("latin-1") for line in lines]
        exchange.send(interim + b"\r\n".join(head) + b"\r\n\r\n" + body)
    return handler


def is_fresh(httpd, backend, path, *lines, **options):
    backend.on(path, raw(*lines, **options))
    assert stored(httpd, backend, path).body == b"answer 1"
    return httpd.get(path).hit


@pytest.mark.parametrize("value", INVALID, ids=range(len(INVALID)))
def test_expires_100_what_is_no_date_is_in_the_past(httpd, backend, path,
                                                    value):
    assert not is_fresh(httpd, backend, path, "Expires: " + value)
    assert not is_fresh(httpd, backend, path + "-2",
                        "eXPIRES:" + value + "\t ")


def test_expires_101_dates_are_dates(httpd, backend, path):
    later = time.gmtime(time.time() + 3600)
    for number, value in enumerate((
            LATER, LATER.lower(), " \t" * 200 + LATER + " " * 300,
            time.strftime("%A, %d-%b-%y %H:%M:%S GMT", later))):
        assert is_fresh(httpd, backend, "%s-%d" % (path, number),
                        "Expires:" + value), value


def test_expires_102_one_invalid_line_is_enough(httpd, backend, path):
    for number, lines in enumerate(((UTC, LATER), (LATER, UTC), (UTC, UTC))):
        assert not is_fresh(httpd, backend, "%s-%d" % (path, number),
                            *["Expires: " + value for value in lines])
    assert is_fresh(httpd, backend, path, "Expires: " + LATER,
                    "Expires: " + LATER)


def test_expires_103_folded_lines_are_one(httpd, backend, path):
    assert is_fresh(httpd, backend, path, "X-A: b\r\n Expires: " + UTC,
                    "Expires:\r\n " + LATER)
    assert not is_fresh(httpd, backend, path + "-2",
                        "Expires:\r\n\t" + UTC, "X-A: b")
    assert not is_fresh(httpd, backend, path + "-3",
                        "Expires: " + LATER + "\r\n and more")


def test_expires_104_other_fields_are_not_it(httpd, backend, path):
    assert is_fresh(httpd, backend, path, "X-Expires: " + UTC,
                    "Expires-Not: " + UTC, "X: Expires: " + UTC,
                    "Expires: " + LATER)


def test_expires_105_long_lines_in_pieces(httpd, backend, path):
    def handler(exchange):
        head = ("HTTP/1.1 200 OK\r\nDate: %s\r\nContent-Length: 4\r\n"
                "ETag: \"v1\"\r\nX-Long: %s\r\nExpires: %s\r\n\r\nbody"
                % (http_date(), "x" * 8100, UTC)).encode()
        for start in range(0, len(head), 67):
            exchange.send(head[start:start + 67])
    backend.on(path, handler)
    assert stored(httpd, backend, path).status == 200
    assert not httpd.get(path).hit


def test_expires_106_interim_responses_do_not_count(httpd, backend, path):
    interim = ("HTTP/1.1 103 Early Hints\r\nExpires: %s\r\n\r\n"
               "HTTP/1.1 103 Early Hints\r\n\r\n" % UTC).encode()
    assert is_fresh(httpd, backend, path, "Expires: " + LATER,
                    interim=interim)
    interim = interim.replace(b"UTC", b"GMT")
    assert not is_fresh(httpd, backend, path + "-2", "Expires: " + UTC,
                        interim=interim)


def test_expires_107_kept_connections_do_not_mix(httpd, backend, path):
    """The same backend connection takes turns with both kinds."""
    for turn in range(6):
        value = LATER if turn % 2 else UTC
        assert is_fresh(httpd, backend, "%s-%d" % (path, turn),
                        "Expires: " + value) == bool(turn % 2)
    peers = {backend.requests("%s-%d" % (path, turn))[0].peer
             for turn in range(6)}
    assert len(peers) < 6


def test_expires_108_max_age_goes_before_it(httpd, backend, path):
    assert is_fresh(httpd, backend, path, "Expires: " + UTC,
                    "Cache-Control: max-age=60")


def test_expires_109_it_is_stored_as_it_was_sent(httpd, backend, path):
    backend.on(path, raw("Expires: " + UTC, "Cache-Control: max-age=60"))
    stored(httpd, backend, path)
    response = httpd.get(path)
    assert response.hit and response.all("Expires") == [UTC]


def test_expires_110_what_the_admin_set_is_his(httpd, backend, path):
    path = "/changed" + path
    later = http_date(time.time() + 1800)
    backend.on(path, raw("Expires: " + UTC))
    stored(httpd, backend, path, {"X-Expires": later})
    assert httpd.get(path, {"X-Expires": later}).hit


def test_expires_111_a_304_says_it_too(httpd, backend, path):
    def handler(exchange):
        if exchange.number == 1:
            raw("Cache-Control: max-age=60", "Age: 100")(exchange)
        else:
            exchange.respond(304, {"ETag": '"v1"', "Expires": UTC,
                                   "Cache-Control": "public"})
    backend.on(path, handler)
    stored(httpd, backend, path)
    for _ in range(2):
        stored(httpd, backend, path)
        assert httpd.get(path).body == b"answer 1"
    assert backend.hits(path) == 5


def test_expires_112_observers_judge_alike(httpd, backend, path):
    def would_hit(target):
        return httpd.get(target).cache.get("detail") == "would-hit"

    path = "/observed" + path
    for value in (UTC, LATER):
        backend.on(path + "-" + value[-3:], raw("Expires: " + value))
        httpd.get(path + "-" + value[-3:])
    poll(lambda: would_hit(path + "-GMT"), "an observed hit", 10)
    for _ in range(5):
        assert not would_hit(path + "-UTC")


def test_expires_113_another_balancer_member(httpd, backend, path):
    httpd.log.claim(r"\[proxy")
    path = "/balanced" + path
    assert not is_fresh(httpd, backend, path, "Expires: " + UTC)
    assert is_fresh(httpd, backend, path + "-2", "Expires: " + LATER)


def test_expires_120_without_mod_proxy(make_httpd):
    httpd = make_httpd("ETagCache On", without=("proxy", "proxy_http",
                                                "proxy_fcgi"))
    httpd.file("page.txt", b"page")
    assert httpd.get("/page.txt").body == b"page"
