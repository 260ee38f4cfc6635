# SPDX-License-Identifier: Apache-2.0
"""Query parameters that the key ignores do not reach the backend, however
the backend is reached (ETagCacheKeyIgnoreQuery)."""
import pytest

from conftest import PROXY
from harness import php as php_module
from harness.backend import counting
from harness.net import poll
from harness.steps import FRESH, stored

CONFIG = """
LogFormat "query of %U: %q" query
CustomLog "@ROOT@/query.log" query
ETagCache On
ETagCacheKeyIgnoreQuery utm_* fbclid
<Location "/off/">
    ETagCache Off
</Location>
<Location "/observed/">
    ETagCache Observe
</Location>
<Directory "@DOCROOT@/cgi/off">
    ETagCache Off
</Directory>
ScriptAlias "/cgi/" "@DOCROOT@/cgi/"
RewriteEngine On
RewriteRule "^/rewritten/(.*)$" "http://@BACKEND@/rewritten/$1" [P]
RewriteRule "^/appended/(.*)$" "http://@BACKEND@/appended/$1?own=1" [P,QSA]
RewriteRule "^/own/(.*)$" "http://@BACKEND@/own/$1?utm_source=admin" [P]
RewriteCond "%{QUERY_STRING}" "^a=1$"
RewriteRule "^/condition/(.*)$" "http://@BACKEND@/condition/met" [P]
<Directory "@DOCROOT@/php">
    <FilesMatch "\\.php$">
        SetHandler "proxy:unix:@ROOT@/run/php.sock|fcgi://localhost"
    </FilesMatch>
    RewriteEngine On
    RewriteRule "^front/" "/php/page.php" [L]
</Directory>
ProxyPass "/php/" "!"
ProxyPass "/cgi/" "!"
ProxyPass "/raw/" "http://@BACKEND@/raw/" nocanon
ProxyPassMatch "^/matched/(.*)$" "http://@BACKEND@/matched/$1"
""" + PROXY + """
<VirtualHost 127.0.0.1:@PORT@>
    ServerName localhost
    RewriteEngine On
    RewriteOptions Inherit
</VirtualHost>
<VirtualHost 127.0.0.1:@PORT@>
    ServerName sections.test
    ETagCache Off
    <Directory "@DOCROOT@/cgi">
        ETagCache On
    </Directory>
    <Proxy "http://@BACKEND@/raw/">
        ETagCache On
    </Proxy>
</VirtualHost>
"""

CGI = """#!/bin/sh
printf 'Content-Type: text/x\\nCache-Control: max-age=60\\n\\n%s %s' \\
    "$QUERY_STRING" "$REQUEST_URI"
"""

PHP = """<?php
header('Cache-Control: max-age=60');
echo $_SERVER['QUERY_STRING'], ' ', $_SERVER['REQUEST_URI'];
"""

SENT = "?utm_source=x&a=1&fbclid&b=%20y"
LEFT = "?a=1&b=%20y"


def prepare(httpd):
    for name in ("cgi/page", "cgi/off/page"):
        httpd.file(name, CGI, 0o755)
    httpd.file("php/page.php", PHP)


def seen(backend, path):
    return [request.target for request in backend.requests(path)]


@pytest.mark.parametrize("where", ["plain", "raw", "matched", "rewritten",
                                   "observed"])
def test_ignored_100_backends_do_not_get_them(httpd, backend, path, where):
    path = "/" + where + path
    backend.on(path, counting())
    for sent in (SENT, "?utm_a&utm_b=1", "", "?a=1"):
        httpd.get(path + sent)
    assert seen(backend, path) == [path + LEFT, path, path, path + "?a=1"]


def test_ignored_101_one_entry_for_all(httpd, backend, path):
    backend.on(path, counting(FRESH))
    stored(httpd, backend, path + SENT)
    assert httpd.get(path + "?utm_x=2&a=1&b=%20y").hit
    assert httpd.get(path + LEFT).hit
    assert httpd.head(path + SENT).hit


def test_ignored_102_off_leaves_the_query_alone(httpd, backend, path):
    path = "/off" + path
    backend.on(path, counting(FRESH))
    httpd.get(path + SENT)
    assert seen(backend, path) == [path + SENT]


def test_ignored_103_other_methods_keep_them(httpd, backend, path):
    backend.on(path, counting())
    httpd.request("POST", path + SENT, body=b"x")
    httpd.head(path + SENT)
    assert seen(backend, path) == [path + SENT, path + LEFT]


def test_ignored_104_the_administrators_query_stays(httpd, backend, path):
    backend.on("/own" + path, counting())
    httpd.get("/own" + path + SENT)
    assert seen(backend, "/own" + path) == ["/own" + path
                                           + "?utm_source=admin"]
    backend.on("/appended" + path, counting())
    httpd.get("/appended" + path + SENT)
    assert seen(backend, "/appended" + path) == ["/appended" + path
                                                + "?own=1&a=1&b=%20y"]


def test_ignored_105_conditions_see_what_is_left(httpd, backend, path):
    backend.on("/condition/met", counting())
    assert httpd.get("/condition" + path + "?utm_x=1&a=1").status == 200


def test_ignored_106_the_access_log_says_what_was_asked(httpd, backend,
                                                       path):
    backend.on(path, counting(FRESH))
    log = httpd.root / "access.log"
    for target in (path + SENT, "/cgi/page" + SENT + "&log"):
        httpd.get(target)
        poll(lambda: '"GET %s HTTP/1.1"' % target in log.read_text(),
             "the request in the log")
    log = httpd.root / "query.log"
    poll(lambda: "query of %s: %s\n" % (path, SENT) in log.read_text(),
         "the query in the log")


@pytest.mark.http2
def test_ignored_107_http2(httpd, backend, path):
    backend.on(path, counting(FRESH))
    httpd.curl(path + SENT, "--http2-prior-knowledge", tls=False)
    assert seen(backend, path) == [path + LEFT]


def test_ignored_110_cgi(httpd):
    left = "a=1&b=%20y"
    response = httpd.get("/cgi/page" + SENT)
    assert response.text == "%s /cgi/page?%s" % (left, left)
    assert httpd.get("/cgi/page?utm_x").text == " /cgi/page"


def test_ignored_111_off_in_a_directory(httpd):
    response = httpd.get("/cgi/off/page" + SENT)
    assert response.text == "%s /cgi/off/page%s" % (SENT[1:], SENT)


def test_ignored_112_on_in_a_section_known_late(httpd, backend, path):
    response = httpd.get("/cgi/page" + SENT, host="sections.test")
    assert response.text == "%s /cgi/page%s" % (LEFT[1:], LEFT)
    path = "/raw" + path
    backend.on(path, counting(FRESH))
    httpd.get(path + SENT, host="sections.test")
    assert seen(backend, path) == [path + LEFT]


@pytest.mark.skipif(php_module.program() is None, reason="no php-fpm")
def test_ignored_120_fastcgi(httpd, php):
    for target in ("/php/page.php", "/php/front/page"):
        response = httpd.get(target + SENT)
        assert response.text == "%s %s%s" % (LEFT[1:], target, LEFT)
