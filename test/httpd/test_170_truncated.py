# SPDX-License-Identifier: Apache-2.0
"""A response that did not arrive whole is never stored, in whichever way it
broke; and a client that leaves does not take the others' response along."""
import threading

import pytest

from conftest import PROXY
from harness.backend import answer, counting
from harness.client import Truncated
from harness.net import poll
from harness.steps import FRESH, settle, stored

CONFIG = """
ProxyPass "/brief/" "http://@BACKEND@/brief/" timeout=1
""" + PROXY + """
ETagCache On
ScriptAlias "/cgi/" "@DOCROOT@/cgi/"
<Location "/cgi/">
    ETagCache On
    # otherwise mod_cgi ignores what a script says of its length
    SetEnv ap_trust_cgilike_cl 1
</Location>
"""
CONFIG = 'ProxyPass "/cgi/" "!"\n' + CONFIG

CHUNKED = dict(FRESH, **{"Transfer-Encoding": "chunked"})
LONG = dict(FRESH, **{"Content-Length": "100000"})


def short_by_close(exchange):
    exchange.head(200, LONG)
    exchange.send(b"x" * 5000)
    exchange.cut()


def short_by_reset(exchange):
    exchange.head(200, LONG)
    exchange.send(b"x" * 5000)
    exchange.reset()


def nothing_but_fields(exchange):
    exchange.head(200, LONG)
    exchange.cut()


def chunks_without_end(exchange):
    exchange.head(200, CHUNKED)
    exchange.chunk(b"x" * 5000)
    exchange.cut()


def half_a_chunk(exchange):
    exchange.head(200, CHUNKED)
    exchange.send(b"1000\r\n" + b"x" * 100)
    exchange.cut()


def garbage_for_a_chunk(exchange):
    exchange.head(200, CHUNKED)
    exchange.chunk(b"x" * 5000)
    exchange.send(b"this is no chunk size\r\n")
    exchange.cut()


def reset_between_chunks(exchange):
    exchange.head(200, CHUNKED)
    exchange.chunk(b"x" * 5000)
    exchange.reset()


WAYS = [short_by_close, short_by_reset, nothing_but_fields,
        chunks_without_end, half_a_chunk, garbage_for_a_chunk,
        reset_between_chunks]


@pytest.mark.parametrize("broken", WAYS)
def test_truncated_100_is_not_stored(httpd, backend, path, broken):
    httpd.log.claim(r"\[proxy|AH0")
    backend.on(path, broken)
    for _ in range(2):
        with httpd.connect() as connection:
            try:
                connection.get(path)
            except (Truncated, ValueError, ConnectionError):
                pass
    backend.on(path, answer(200, FRESH, b"whole"))
    first = httpd.get(path)
    assert (first.body, first.hit) == (b"whole", False)


@pytest.mark.parametrize("broken", WAYS)
def test_truncated_101_does_not_replace_what_is_stored(httpd, backend, path,
                                                       broken):
    httpd.log.claim(r"\[proxy|AH0")
    backend.on(path, answer(200, {"Cache-Control": "max-age=60, "
                                  "stale-if-error=600", "Age": "120",
                                  "ETag": '"v1"'}, b"good"))
    stored(httpd, backend, path)
    backend.on(path, broken)
    with httpd.connect() as connection:
        try:
            connection.get(path)
        except (Truncated, ValueError, ConnectionError):
            pass
    backend.on(path, answer(304, {"ETag": '"v1"',
                                  "Cache-Control": "max-age=60"}))
    response = httpd.get(path)
    assert (response.status, response.body) == (200, b"good")


def test_truncated_102_client_sees_that_it_is_cut(httpd, backend, path):
    httpd.log.claim(r"\[proxy|AH0")
    backend.on(path, chunks_without_end)
    with httpd.connect() as connection:
        with pytest.raises((Truncated, ConnectionError)):
            connection.get(path)


def test_truncated_103_backend_that_falls_silent(httpd, backend, path):
    httpd.log.claim(r"\[proxy|AH0")
    path = "/brief" + path
    go_on = threading.Event()

    def silent(exchange):
        exchange.head(200, LONG)
        exchange.send(b"x" * 5000)
        exchange.wait(go_on, 20)
        exchange.cut()
    backend.on(path, silent)
    with httpd.connect() as connection:
        with pytest.raises((Truncated, ConnectionError)):
            connection.get(path)
    go_on.set()
    backend.on(path, answer(200, FRESH, b"whole"))
    assert httpd.get(path).body == b"whole"


def test_truncated_104_cgi_that_promised_more(httpd, backend, path):
    httpd.log.claim(r"AH|cgi")
    script = httpd.file("cgi/short", "#!/bin/sh\n"
                        "printf 'Content-Type: text/plain\\n"
                        "Content-Length: 100\\n"
                        "Cache-Control: max-age=60\\n\\nshort'\n", 0o755)
    for _ in range(2):
        with httpd.connect(timeout=5) as connection:
            try:
                connection.get("/cgi/short")
            except (Truncated, OSError):
                pass
    script.write_text("#!/bin/sh\nprintf 'Content-Type: text/plain\\n"
                      "Cache-Control: max-age=60\\n\\nwhole'\n")
    response = httpd.get("/cgi/short")
    assert (response.body, response.hit) == (b"whole", False)


def test_truncated_110_client_leaves_and_the_rest_is_small(httpd, backend,
                                                          path):
    go_on, half = threading.Event(), threading.Event()

    def slow(exchange):
        exchange.head(200, dict(FRESH, **{"Content-Length": "20"}))
        exchange.send(b"first half")
        half.set()
        exchange.wait(go_on)
        exchange.send(b"other half")
    backend.on(path, slow)
    connection = httpd.connect()
    connection.send_request("GET", path)
    assert half.wait(10)
    connection.read_head()
    connection.reset()
    go_on.set()
    response = poll(lambda: only_if_cached(httpd, path), "the stored rest")
    assert response.body == b"first halfother half"
    assert backend.hits(path) == 1


def only_if_cached(httpd, path):
    response = httpd.get(path, {"Cache-Control": "only-if-cached"})
    return response if response.status == 200 else None


def test_truncated_111_client_leaves_a_large_response(httpd, backend, path):
    body = bytes(index * 13 % 256 for index in range(8 << 20))
    backend.on(path, answer(200, FRESH, body))
    connection = httpd.connect(receive_buffer=4096)
    connection.send_request("GET", path)
    connection.read_head()
    connection.reset()
    response = httpd.get(path)
    assert response.status == 200 and response.body == body
    httpd.log.claim(r"\[proxy|AH0")


def test_truncated_112_client_leaves_before_the_fields(httpd, backend, path):
    go_on, seen = threading.Event(), threading.Event()

    def slow(exchange):
        seen.set()
        exchange.wait(go_on)
        exchange.respond(200, FRESH, b"answer")
    backend.on(path, slow)
    connection = httpd.connect()
    connection.send_request("GET", path)
    assert seen.wait(10)
    connection.reset()
    go_on.set()
    assert httpd.get(path).body == b"answer"


def test_truncated_113_response_is_streamed_while_it_is_stored(httpd, backend,
                                                              path):
    go_on = threading.Event()

    def slow(exchange):
        exchange.head(200, CHUNKED)
        exchange.chunk(b"early")
        exchange.wait(go_on)
        exchange.chunk(b" late")
        exchange.end_chunks()
    backend.on(path, slow)
    with httpd.connect() as connection:
        connection.send_request("GET", path)
        connection.read_head()
        assert int(connection.read_until(b"\r\n"), 16) == 5
        assert connection.read_exactly(7) == b"early\r\n"
        go_on.set()
        assert connection.read_chunked() == b" late"
        settle(httpd, backend, connection, path)
    response = httpd.get(path)
    assert response.hit and response.body == b"early late"


def test_truncated_114_a_response_without_end_is_not_stored(httpd, backend,
                                                           path):
    gone = threading.Event()

    def endless(exchange):
        exchange.head(200, CHUNKED)
        try:
            for _ in range(3000):
                exchange.chunk(b"x" * 32768)
        finally:
            gone.set()
    backend.on(path, endless)
    connection = httpd.connect()
    connection.send_request("GET", path)
    connection.read_head()
    connection.read_exactly(20 << 20)
    connection.reset()
    httpd.log.claim(r"\[proxy|AH0")
    assert gone.wait(30)
    backend.on(path, counting(FRESH))
    assert httpd.get(path).body == b"answer 1"
