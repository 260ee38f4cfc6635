# SPDX-License-Identifier: Apache-2.0
"""The harness itself, with a plain httpd: if these fail, no other result
means anything."""
import pytest

from conftest import PROXY, build
from harness.backend import Backend, answer, counting
from harness.client import Truncated


@pytest.fixture(scope="module")
def plain(backend):
    server = build("plain", backend, PROXY, cache=False,
                   tls=PROXY).start()
    yield server
    server.stop()
    server.remove()


def test_harness_010_plain_httpd_passes_an_answer(plain, backend, path):
    backend.on(path, answer(203, {"X-A": "b"}, b"hello", reason="Odd"))
    response = plain.get(path)
    assert (response.status, response.body) == (203, b"hello")
    assert response.get("x-a") == "b"
    assert response.cache == {}
    assert backend.hits(path) == 1


def test_harness_020_connections_are_kept(plain, backend, path):
    backend.on(path, counting())
    with plain.connect() as connection:
        assert connection.get(path).body == b"answer 1"
        assert connection.get(path).body == b"answer 2"
        assert plain.child_serving(connection) in plain.children()


def test_harness_030_tls_answers(plain, backend, path):
    backend.on(path, counting())
    assert plain.get(path, tls=True).body == b"answer 1"


@pytest.mark.http2
def test_harness_031_http2_answers(plain, backend, path):
    backend.on(path, counting())
    assert plain.get(path, tls=True).body == b"answer 1"
    response = plain.curl(path)
    assert (response.version, response.body) == ("HTTP/2", b"answer 2")
    assert plain.curl(path, tls=False).body == b"answer 3"


def test_harness_040_a_cut_answer_is_noticed(plain, backend, path):
    def cut(exchange):
        exchange.head(200, {"Content-Length": "100"})
        exchange.send(b"half")
        exchange.cut()
    backend.on(path, cut)
    plain.log.claim("AH01110|AH01086|AH01102|AH10286")
    with pytest.raises(Truncated):
        plain.get(path)


def test_harness_050_an_error_in_the_log_is_seen(plain, backend, path):
    lost = Backend()
    lost.close()
    plain.log.note("[proxy:error] [pid 1] made up")
    assert len(plain.log.unclaimed()) == 1
    plain.log.claim("made up")
    assert plain.log.unclaimed() == []


def test_harness_060_the_backend_goes_down_and_comes_back(plain, backend,
                                                          path):
    backend.on(path, answer(200, {}, b"up"))
    assert plain.get(path).body == b"up"
    backend.close()
    plain.log.claim("AH00957|AH01114|AH00959|AH01102|AH10290|proxy")
    assert plain.get(path).status in (502, 503)
    backend.open()
    assert plain.get(path).body == b"up"


def test_harness_070_graceful_reload_and_restart(plain, backend, path):
    backend.on(path, answer(200, {}, b"up"))
    plain.graceful()
    assert plain.get(path).body == b"up"
    plain.restart()
    assert plain.get(path).body == b"up"
