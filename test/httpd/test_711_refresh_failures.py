# SPDX-License-Identifier: Apache-2.0
"""What a refresh in the background may do when it does not go well: nothing,
or make the next client ask; and how processes end while one hangs."""
import os
import re
import signal

import pytest

from conftest import PROXY
from harness.backend import answer
from harness.behind import Held, ends, wait_for_ends
from harness.httpd import mpm
from harness.net import poll
from harness.steps import stored

pytestmark = pytest.mark.skipif(mpm() == "prefork", reason="needs threads")

CONFIG = """
ProxyPass "/brief/" "http://@BACKEND@/brief/" timeout=1 retry=0
""" + PROXY + """
ETagCache On
<Location "/local/">
    Require local
</Location>
"""

PROXY_LOG = r"\[proxy|AH0"
FRESH = {"Cache-Control": "max-age=60", "ETag": '"v2"'}
HARD = {"ETag-Purge": "hard"}
ONE_THREAD = """
ETagCacheBackground threads=1 queue=2
"""


def old(control="max-age=60, stale-while-revalidate=600", **more):
    return dict({"Cache-Control": control, "Age": "120", "ETag": '"v1"'},
                **more)


def keep_stale(httpd, backend, path, then, **fields):
    backend.on(path, answer(200, old(**fields), b"old"))
    stored(httpd, backend, path)
    backend.on(path, then)


def goes_on(httpd, backend, path):
    """The stale response is still there, and a later refresh succeeds."""
    before = len(ends(httpd, path))
    response = httpd.get(path)
    assert (response.status, response.body) == (200, b"old")
    backend.on(path, answer(200, FRESH, b"new"))
    poll(lambda: httpd.get(path).body == b"new", "a later refresh")
    # It is in the store before its end is in the log.
    poll(lambda: ends(httpd, path)[before:][-1:] == [("refresh", 200, True)],
         "the end of that refresh")


@pytest.mark.parametrize("status", [500, 502, 503, 504, 501, 599])
def test_refresh_100_errors_do_nothing(httpd, backend, path, status):
    fields = {"Cache-Control": "public, max-age=60"}
    keep_stale(httpd, backend, path, answer(status, fields, b"error"))
    assert httpd.get(path).body == b"old"
    assert wait_for_ends(httpd, path) == ("refresh", status, False)
    goes_on(httpd, backend, path)


@pytest.mark.parametrize("status", [401, 403, 407])
def test_refresh_101_refusals_do_nothing(httpd, backend, path, status):
    fields = {"Cache-Control": "public, max-age=60"}
    keep_stale(httpd, backend, path, answer(status, fields, b"refused"))
    assert httpd.get(path).body == b"old"
    assert wait_for_ends(httpd, path)[2] is False
    goes_on(httpd, backend, path)


@pytest.mark.parametrize("status", [301, 302, 307])
@pytest.mark.parametrize("where", ["%s", "http://localhost%s", "./%s"])
def test_refresh_102_a_redirect_to_itself_does_nothing(httpd, backend, path,
                                                       status, where):
    location = where % (path[1:] if where[0] == "." else path)
    headers = {"Host": "localhost"}
    fields = {"Cache-Control": "public, max-age=60", "Location": location}
    backend.on(path, answer(200, old(), b"old"))
    stored(httpd, backend, path, headers)
    backend.on(path, answer(status, fields, b"moved"))
    assert httpd.get(path, headers).body == b"old"
    assert wait_for_ends(httpd, path) == ("refresh", status, False)
    assert httpd.get(path, headers).body == b"old"


def test_refresh_103_a_redirect_elsewhere_is_a_response(httpd, backend, path):
    fields = {"Cache-Control": "max-age=60", "Location": path + "-moved"}
    keep_stale(httpd, backend, path, answer(301, fields))
    assert httpd.get(path).body == b"old"
    assert wait_for_ends(httpd, path) == ("refresh", 301, True)
    assert httpd.get(path).status == 301


@pytest.mark.parametrize("status", [200, 203, 404, 410])
def test_refresh_104_what_may_not_be_stored_makes_the_next_client_ask(
        httpd, backend, path, status):
    keep_stale(httpd, backend, path,
               answer(status, {"Cache-Control": "no-store"}, b"now"))
    assert httpd.get(path).body == b"old"
    assert wait_for_ends(httpd, path) == ("refresh", status, False)
    response = httpd.get(path)
    assert (response.status, response.body) == (status, b"now")
    assert backend.hits(path) == 2
    assert len(ends(httpd, path)) == 1


def test_refresh_105_a_storable_404_takes_its_place(httpd, backend, path):
    keep_stale(httpd, backend, path,
               answer(404, {"Cache-Control": "max-age=60"}, b"gone"))
    assert httpd.get(path).body == b"old"
    assert wait_for_ends(httpd, path) == ("refresh", 404, True)
    response = httpd.get(path)
    assert (response.status, response.body) == (404, b"gone")
    assert response.hit and backend.hits(path) == 1


def test_refresh_106_a_cut_body_does_nothing(httpd, backend, path):
    httpd.log.claim(PROXY_LOG)

    def cut(exchange):
        exchange.head(200, dict(FRESH, **{"Content-Length": "1000"}))
        exchange.send(b"half of it")
        exchange.cut()
    keep_stale(httpd, backend, path, cut)
    assert httpd.get(path).body == b"old"
    assert wait_for_ends(httpd, path)[2] is False
    goes_on(httpd, backend, path)


def test_refresh_107_no_answer_at_all_does_nothing(httpd, backend, path):
    httpd.log.claim(PROXY_LOG)
    keep_stale(httpd, backend, path, lambda exchange: exchange.cut())
    assert httpd.get(path).body == b"old"
    assert wait_for_ends(httpd, path)[2] is False
    goes_on(httpd, backend, path)


def test_refresh_108_a_backend_killed_in_the_middle_does_nothing(
        httpd, backend, path):
    httpd.log.claim(PROXY_LOG)
    keep_stale(httpd, backend, path, Held(answer(200, FRESH, b"late")))
    assert httpd.get(path).body == b"old"
    poll(lambda: backend.hits(path), "the refresh")
    backend.close()
    try:
        assert wait_for_ends(httpd, path)[2] is False
        assert httpd.get(path).body == b"old"
        # refused connections are refreshes that fail, too
        poll(lambda: httpd.get(path).body == b"old"
             and len(ends(httpd, path)) > 1, "another refresh")
    finally:
        backend.open()
    goes_on(httpd, backend, path)


def test_refresh_109_a_backend_that_never_answers_does_nothing(
        httpd, backend, path):
    httpd.log.claim(PROXY_LOG)
    path = "/brief" + path
    held = Held(answer(200, FRESH, b"late"))
    keep_stale(httpd, backend, path, held)
    assert httpd.get(path).body == b"old"
    assert wait_for_ends(httpd, path)[2] is False
    assert httpd.get(path).body == b"old"
    held.go.set()
    goes_on(httpd, backend, path)


def test_refresh_110_a_304_for_another_response_is_asked_again(
        httpd, backend, path):
    def other(exchange):
        if "If-None-Match" in exchange.request:
            exchange.respond(304, {"ETag": '"another"'})
        else:
            exchange.respond(200, FRESH, b"new")
    keep_stale(httpd, backend, path, other)
    assert httpd.get(path).body == b"old"
    assert wait_for_ends(httpd, path) == ("refresh", 200, True)
    assert httpd.get(path).body == b"new"


def test_refresh_111_a_failing_backend_is_left_alone_for_a_moment(
        httpd, backend, path):
    """Far fewer refreshes than clients; how many is the clock's."""
    keep_stale(httpd, backend, path, answer(500, {}, b"error"))
    for _ in range(200):
        assert httpd.get(path).body == b"old"
    wait_for_ends(httpd, path)
    assert backend.hits(path) < 100
    goes_on(httpd, backend, path)


def test_refresh_112_what_is_open_to_this_machine_alone_is_not_refreshed(
        httpd, backend, path):
    """The background is nobody's local client."""
    httpd.log.claim("AH01630")
    path = "/local" + path
    keep_stale(httpd, backend, path, answer(200, FRESH, b"new"))
    assert httpd.get(path).body == b"old"
    assert wait_for_ends(httpd, path) == ("refresh", 403, False)
    assert httpd.get(path).body == b"old"
    assert backend.hits(path) == 0


def test_refresh_113_a_client_that_waits_is_served_when_it_fails(
        httpd, backend, path):
    """One that may not have the stale response follows the refresh, and
    fetches for itself when that has failed."""
    held = Held(answer(500, {}, b"error"))
    keep_stale(httpd, backend, path, held)
    assert httpd.get(path).body == b"old"
    poll(lambda: backend.hits(path), "the refresh")
    backend.on(path, answer(200, FRESH, b"new"))
    assert httpd.request("PURGE", path, HARD).status == 200
    with httpd.connect() as connection:
        connection.send_request("GET", path)
        held.go.set()
        response = connection.read_response()
    assert (response.status, response.body) == (200, b"new")


def test_refresh_114_what_was_purged_meanwhile_does_not_come_back(
        httpd, backend, path):
    held = Held(answer(200, FRESH, b"from before the purge"))
    keep_stale(httpd, backend, path, held)
    assert httpd.get(path).body == b"old"
    poll(lambda: backend.hits(path), "the refresh")
    assert httpd.request("PURGE", path, HARD).status == 200
    held.go.set()
    wait_for_ends(httpd, path)
    backend.on(path, answer(200, FRESH, b"new"))
    assert httpd.get(path).body == b"new"


def test_refresh_115_nor_what_was_purged_softly(httpd, backend, path):
    held = Held(answer(200, FRESH, b"from before the purge"))
    keep_stale(httpd, backend, path, held)
    assert httpd.get(path).body == b"old"
    poll(lambda: backend.hits(path), "the refresh")
    assert httpd.request("PURGE", path).status == 200
    backend.on(path, answer(200, FRESH, b"new"))
    held.go.set()
    wait_for_ends(httpd, path)
    seen = set()

    def is_new():
        seen.add(httpd.get(path).body)
        return b"new" in seen
    poll(is_new, "a later refresh")
    assert seen <= {b"old", b"new"}


def test_refresh_120_a_full_queue_drops_the_oldest(make_httpd, backend, path):
    httpd = make_httpd("StartServers 1\nServerLimit 1\nMaxRequestWorkers 64\n"
                       + CONFIG + ONE_THREAD)
    held = Held(answer(200, FRESH, b"new"))
    paths = ["%s-%d" % (path, number) for number in range(6)]
    for one in paths:
        keep_stale(httpd, backend, one, held)
    with httpd.connect() as connection:
        assert connection.get(paths[0]).body == b"old"
        poll(lambda: backend.hits(paths[0]), "the first refresh")
        for one in paths[1:]:
            assert connection.get(one).body == b"old"
        held.go.set()
        for one in (paths[0], paths[4], paths[5]):
            assert wait_for_ends(httpd, one) == ("refresh", 200, True)
        for one in paths[1:4]:
            assert backend.hits(one) == 0 and not ends(httpd, one)
        # what was dropped is not lost
        poll(lambda: connection.get(paths[1]).body == b"new",
             "a later refresh of what was dropped")
    httpd.stop()
    said = re.findall(r"ETG0163: background: .*", httpd.log.text(whole=True))
    assert len(said) == 1 and "dropped=3" in said[0], said


@pytest.mark.parametrize("how", ["graceful", "restart"])
def test_refresh_121_a_process_ends_while_its_refresh_hangs(
        make_httpd, backend, path, how):
    httpd = make_httpd(CONFIG)
    httpd.log.claim(PROXY_LOG)
    keep_stale(httpd, backend, path, Held(answer(200, FRESH, b"late")))
    assert httpd.get(path).body == b"old"
    poll(lambda: backend.hits(path), "the refresh")
    before = set(httpd.children())
    getattr(httpd, how)()
    poll(lambda: not before & set(httpd.children()), "the old children's end")
    backend.on(path, answer(200, FRESH, b"new"))
    poll(lambda: httpd.get(path).body == b"new", "a later refresh")


def test_refresh_122_a_killed_process_leaves_no_lead_behind(make_httpd,
                                                            backend, path):
    httpd = make_httpd(CONFIG)
    httpd.log.claim(r"\[proxy|AH0|exit signal")
    keep_stale(httpd, backend, path, Held(answer(200, FRESH, b"late")))
    with httpd.connect() as connection:
        assert connection.get(path).body == b"old"
        child = httpd.child_serving(connection)
        poll(lambda: backend.hits(path), "the refresh")
        os.kill(child, signal.SIGKILL)
    backend.on(path, answer(200, FRESH, b"new"))
    poll(lambda: httpd.get(path).body == b"new", "a refresh by another")


def test_refresh_123_a_refresh_has_as_long_as_a_client(make_httpd, backend,
                                                       path):
    """Timeout ends it, whatever the proxy's own timeout is."""
    httpd = make_httpd("Timeout 1\n" + CONFIG)
    httpd.log.claim(PROXY_LOG)

    def drips(exchange):
        exchange.head(200, {"Cache-Control": "max-age=60",
                            "Transfer-Encoding": "chunked"})
        while not done:
            exchange.chunk(b"drip")
            exchange.pause(0.05)
        exchange.end_chunks()
    done = []
    keep_stale(httpd, backend, path, drips)
    try:
        assert httpd.get(path).body == b"old"
        assert wait_for_ends(httpd, path)[2] is False
    finally:
        done.append(1)
    goes_on(httpd, backend, path)
