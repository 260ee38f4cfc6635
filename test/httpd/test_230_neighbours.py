# SPDX-License-Identifier: Apache-2.0
"""Beside other modules: TLS, HTTP/2, virtual hosts, mod_deflate, mod_headers,
mod_expires; behind FastCGI and CGI."""
import gzip
import subprocess

import pytest

from conftest import PROXY
from harness import php as php_module
from harness.backend import answer, counting, validating
from harness.steps import FRESH, STALE, hit, stored

NOT_PROXIED = "".join('ProxyPass "/%s/" "!"\n' % name
                      for name in ("php", "cgi", "files"))
COMMON = NOT_PROXIED + PROXY + "ETagCache On\n"

CONFIG = COMMON + """
ETagCacheDefaultTTL 0
AddOutputFilterByType DEFLATE text/html text/plain
<Location "/headers/">
    Header set X-Added "by the administrator"
    Header unset X-Secret
    Header set Cache-Control "max-age=60"
</Location>
<Location "/always/">
    Header always set X-Always "yes"
    Header always set Set-Cookie "a=b"
</Location>
<Location "/expires/">
    ExpiresActive On
    ExpiresDefault "access plus 60 seconds"
</Location>
<Location "/request/">
    RequestHeader set X-To-Backend "set"
    RequestHeader unset Cookie
</Location>
ScriptAlias "/cgi/" "@DOCROOT@/cgi/"
<Directory "@DOCROOT@/php">
    <FilesMatch "\\.php$">
        SetHandler "proxy:unix:@ROOT@/run/php.sock|fcgi://localhost"
    </FilesMatch>
</Directory>
<VirtualHost 127.0.0.1:@PORT@>
    ServerName localhost
</VirtualHost>
<VirtualHost 127.0.0.1:@PORT@>
    ServerName one.test
    DocumentRoot "@DOCROOT@/one"
</VirtualHost>
<VirtualHost 127.0.0.1:@PORT@>
    ServerName two.test
    DocumentRoot "@DOCROOT@/two"
</VirtualHost>
<VirtualHost 127.0.0.1:@PORT@>
    ServerName off.test
    ETagCache Off
</VirtualHost>
"""
TLS = COMMON

PHP = """<?php
file_put_contents($_SERVER['DOCUMENT_ROOT'] . '/../store/php-runs', "x",
                  FILE_APPEND);
if (isset($_GET['session'])) {
    session_save_path($_SERVER['DOCUMENT_ROOT'] . '/../store');
    session_start();
} else {
    header('Cache-Control: max-age=60');
}
header('Content-Type: application/json');
echo json_encode(['uri' => $_SERVER['REQUEST_URI'], 'n' => mt_rand()]);
"""


def prepare(httpd):
    httpd.file("php/page.php", PHP)
    httpd.file("cgi/page", "#!/bin/sh\nprintf 'Content-Type: text/x\\n"
               "Cache-Control: max-age=60\\n\\n%s' $$\n", 0o755)
    for name in ("one", "two"):
        httpd.file("%s/files/who" % name, name, mtime=1000000000)


def test_neighbours_100_tls_hits_are_apart_from_plain_ones(httpd, backend,
                                                          path):
    backend.on(path, counting(FRESH))
    stored(httpd, backend, path)
    first = stored(httpd, backend, path, tls=True)
    assert first.body == b"answer 2"
    second = httpd.get(path, tls=True)
    assert second.hit and second.body == b"answer 2"
    assert httpd.get(path).body == b"answer 1"


@pytest.mark.http2
def test_neighbours_101_http2_shares_with_http1(httpd, backend, path):
    backend.on(path, counting(FRESH))
    host = "localhost"
    stored(httpd, backend, path, tls=True, host=host)
    response = httpd.curl(path, "-H", "Host: " + host)
    assert response.version == "HTTP/2"
    assert response.hit and response.body == b"answer 1"
    assert response.age is not None


@pytest.mark.http2
def test_neighbours_102_http2_stores_validates_and_ranges(httpd, backend,
                                                         path):
    backend.on(path, validating(STALE))
    for _ in range(2):
        response = httpd.curl(path)
        assert (response.status, response.body) == (200, b"validated body")
    assert "If-None-Match" in backend.requests(path)[-1]
    backend.on(path + "-r", answer(200, dict(FRESH, ETag='"r"'),
                                   b"0123456789"))
    httpd.curl(path + "-r")
    response = httpd.curl(path + "-r", "-r", "2-4")
    assert (response.status, response.body) == (206, b"234")
    response = httpd.curl(path + "-r", "-H", 'If-None-Match: "r"')
    assert response.status == 304
    response = httpd.curl(path + "-r", "-I")
    assert (response.status, response.body) == (200, b"")


@pytest.mark.http2
def test_neighbours_103_many_streams_at_once(httpd, backend, path):
    body = bytes(index * 3 % 255 for index in range(200000))
    backend.on(path, answer(200, FRESH, body))

    done = subprocess.run(
        ["nghttp", "-n", "-m", "50", "--no-verify-peer",
         "https://127.0.0.1:%d%s" % (httpd.tls_port, path)],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
    assert done.returncode == 0, done.stdout
    response = httpd.curl(path)
    assert response.body == body
    assert backend.hits(path) <= 2


@pytest.mark.http2
def test_neighbours_104_cleartext_http2(httpd, backend, path):
    backend.on(path, counting(FRESH))
    httpd.curl(path, tls=False)
    response = httpd.curl(path, tls=False)
    assert response.status == 200 and response.version == "HTTP/2"


def test_neighbours_110_virtual_hosts_stay_apart(httpd):
    for name in ("one", "two"):
        host = name + ".test"
        first = httpd.get("/files/who", host=host)
        assert first.text == name
    for name in ("one", "two"):
        assert httpd.get("/files/who", host=name + ".test").text == name


def test_neighbours_111_a_host_can_be_off(httpd, backend, path):
    backend.on(path, counting(FRESH))
    for number in (1, 2):
        response = httpd.get(path, host="off.test")
        assert response.body == b"answer %d" % number
        assert response.cache == {}


def test_neighbours_120_deflate_runs_on_hits(httpd, backend, path):
    page = b"<p>the same again and again</p>" * 300
    backend.on(path, answer(200, dict(FRESH, **{
        "Content-Type": "text/html", "ETag": '"p"'}), page))
    gz = {"Accept-Encoding": "gzip"}
    for headers in (gz, {}, gz, {}):
        response = stored(httpd, backend, path, headers)
        body = response.body
        if response.get("Content-Encoding") == "gzip":
            assert headers, "nobody asked for gzip"
            body = gzip.decompress(body)
        assert body == page
        assert "Accept-Encoding" in (response.get("Vary") or "")
    assert httpd.get(path, gz).get("Content-Encoding") == "gzip"
    assert "Content-Encoding" not in httpd.get(path)
    assert backend.hits(path) == 1


def test_neighbours_121_an_encoded_backend_answer_is_never_mixed_up(
        httpd, backend, path):
    page = b"plain text " * 200

    def negotiates(exchange):
        fields = dict(FRESH, Vary="Accept-Encoding", **{
            "Content-Type": "text/plain"})
        if "gzip" in exchange.request.get("Accept-Encoding", ""):
            fields["Content-Encoding"] = "gzip"
            exchange.respond(200, fields, gzip.compress(page))
        else:
            exchange.respond(200, fields, page)
    backend.on(path, negotiates)
    for headers in ({"Accept-Encoding": "gzip"}, {},
                    {"Accept-Encoding": "gzip, br"},
                    {"Accept-Encoding": "identity"}):
        response = stored(httpd, backend, path, headers)
        body = response.body
        if response.get("Content-Encoding") == "gzip":
            assert "gzip" in headers.get("Accept-Encoding", "")
            body = gzip.decompress(body)
        assert body == page


def test_neighbours_122_a_backend_that_always_encodes(httpd, backend, path):
    page = b"plain text " * 200
    backend.on(path, answer(200, dict(FRESH, **{
        "Content-Encoding": "gzip", "Content-Type": "text/plain"}),
        gzip.compress(page)))
    for _ in range(2):
        response = stored(httpd, backend, path, {"Accept-Encoding": "gzip"})
        assert response.get("Content-Encoding") == "gzip"
        assert gzip.decompress(response.body) == page


def test_neighbours_130_headers_of_the_administrator_are_judged_and_stored(
        httpd, backend, path):
    path = "/headers" + path
    backend.on(path, counting({"Cache-Control": "no-store",
                               "X-Secret": "hush"}))
    first = stored(httpd, backend, path)
    second = httpd.get(path)
    assert second.hit
    for response in (first, second):
        assert response.all("X-Added") == ["by the administrator"]
        assert "X-Secret" not in response
        assert response.all("Cache-Control") == ["max-age=60"]


def test_neighbours_131_always_headers_are_seen(httpd, backend, path):
    path = "/always" + path
    backend.on(path, counting(FRESH))
    for number in (1, 2, 3):
        response = httpd.get(path)
        assert response.body == b"answer %d" % number
        assert response.all("X-Always") == ["yes"]
        assert response.all("Set-Cookie") == ["a=b"]


def test_neighbours_132_expires_gives_freshness(httpd, backend, path):
    path = "/expires" + path
    backend.on(path, counting({}))
    first = stored(httpd, backend, path)
    second = httpd.get(path)
    assert second.hit and second.cache["ttl"] <= 60
    assert second.all("Cache-Control") == first.all("Cache-Control")
    assert second.all("Expires") == first.all("Expires")
    assert len(second.all("Expires")) == 1


def test_neighbours_133_request_headers_are_set(httpd, backend, path):
    path = "/request" + path
    backend.on(path, counting(FRESH))
    stored(httpd, backend, path)
    assert backend.requests(path)[0].get("X-To-Backend") == "set"


def test_neighbours_140_cgi(httpd):
    first = httpd.get("/cgi/page")
    assert first.status == 200
    second = hit(httpd, "/cgi/page")
    assert second.body.isdigit() and second.get("Content-Type") == "text/x"
    assert httpd.get("/cgi/page?x").body != second.body


@pytest.mark.skipif(php_module.program() is None, reason="no php-fpm")
def test_neighbours_150_php_through_fastcgi(httpd, php):
    runs = httpd.root / "store" / "php-runs"
    first = httpd.get("/php/page.php?a=1")
    assert first.status == 200 and '"uri"' in first.text
    second = hit(httpd, "/php/page.php?a=1")
    count = len(runs.read_text())
    third = httpd.get("/php/page.php?a=1")
    assert third.hit and third.body == second.body
    assert len(runs.read_text()) == count
    assert httpd.get("/php/page.php?a=2").body != second.body


@pytest.mark.skipif(php_module.program() is None, reason="no php-fpm")
def test_neighbours_151_php_sessions_are_never_shared(httpd, php):
    bodies = set()
    for _ in range(3):
        response = httpd.get("/php/page.php?session=1")
        assert response.status == 200 and not response.hit
        assert "PHPSESSID" in (response.get("Set-Cookie") or "")
        bodies.add(response.body)
    assert len(bodies) == 3


@pytest.mark.skipif(php_module.program() is None, reason="no php-fpm")
def test_neighbours_152_conditions_and_head_on_php(httpd, php):
    hit(httpd, "/php/page.php?head")
    response = httpd.head("/php/page.php?head")
    assert response.hit and response.body == b""
    response = httpd.get("/php/page.php?head", {"Range": "bytes=0-0"})
    assert (response.status, response.body) == (206, b"{")
