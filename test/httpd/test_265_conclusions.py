# SPDX-License-Identifier: Apache-2.0
"""Responses that take an unusual way out: asked for twice, without a body
from their handler, or refused before the backend was asked."""
import pytest

from conftest import PROXY
from harness import php as php_module
from harness.backend import answer, in_turn
from harness.net import poll
from harness.steps import FRESH, STALE, hit, stored

CONFIG = """
ProxyPass "/php/" "!"
<Directory "@DOCROOT@/php">
    <FilesMatch "\\.php$">
        SetHandler "proxy:unix:@ROOT@/run/php.sock|fcgi://localhost"
    </FilesMatch>
</Directory>
""" + PROXY + """
ETagCache On
Header set X-Admin "one"
Header unset X-Secret
Header always set X-Early "one" early
<Location "/quiet/">
    ETagCacheStatus Off
</Location>
"""

LONG = b"0123456789abcdef" * 16 * 1024


def test_conclusion_100_a_second_try_passes_the_filters_once(httpd, backend,
                                                            path):
    def slowly(exchange):
        exchange.head(200, dict(FRESH, **{"Transfer-Encoding": "chunked",
                                          "X-Secret": "x"}))
        for at in range(0, len(LONG), 50000):
            exchange.chunk(LONG[at:at + 50000])
        exchange.end_chunks()

    backend.on(path, in_turn(answer(200, STALE, b"one"),
                             answer(304, {"ETag": '"other"'}), slowly))
    stored(httpd, backend, path)
    second = stored(httpd, backend, path)
    third = httpd.get(path)
    for response in (second, third):
        assert response.status == 200 and response.body == LONG
        assert response.all("X-Admin") == ["one"]
        assert "X-Secret" not in response
    assert third.hit and backend.hits(path) == 3


def test_conclusion_110_early_fields_are_not_sent_twice(httpd, backend, path):
    backend.on(path, answer(200, FRESH, b"body"))
    first = stored(httpd, backend, path)
    second = httpd.get(path)
    assert second.hit
    assert first.all("X-Early") == second.all("X-Early") == ["one"]


def test_conclusion_120_errors_of_our_own_obey_status_off(httpd, backend,
                                                         path):
    path = "/quiet" + path
    refused = httpd.get(path, {"Cache-Control": "only-if-cached"})
    assert refused.status == 504 and "Cache-Status" not in refused
    backend.on(path, answer(200, FRESH, b"body"))
    httpd.get(path)
    refused = poll(lambda: refused_by_us(httpd, path), "a hit", 10)
    assert "Cache-Status" not in refused


def refused_by_us(httpd, path):
    response = httpd.get(path, {"If-Match": '"none"'})
    return response if response.status == 412 else None


@pytest.mark.skipif(php_module.program() is None, reason="no php-fpm")
def test_conclusion_130_a_script_without_a_body(httpd, php):
    httpd.file("php/moved.php", """<?php
        header('Cache-Control: max-age=60');
        header('Location: /elsewhere', true, 302);
    """)
    first = httpd.get("/php/moved.php")
    assert first.status == 302 and len(first.all("Cache-Status")) == 1
    assert first.cache.get("stored"), first.cache
    response = hit(httpd, "/php/moved.php")
    assert response.status == 302 and response.body == b""
    assert response.get("Location").endswith("/elsewhere")
    assert len(response.all("Cache-Status")) == 1


def test_conclusion_140_no_content_has_no_length(httpd, backend, path):
    backend.on(path, answer(204, FRESH))
    stored(httpd, backend, path)
    response = httpd.get(path)
    assert response.hit and response.status == 204
    assert "Content-Length" not in response
