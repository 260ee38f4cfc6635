# SPDX-License-Identifier: Apache-2.0
"""PURGE: soft, hard, all; and who may."""
import json
import subprocess
import threading

import pytest

from conftest import PROXY
from harness.backend import answer, counting, validating
from harness.net import poll
from harness.steps import FRESH, stored

CONFIG = PROXY + """
ETagCache On
RemoteIPHeader X-Client-IP
RemoteIPInternalProxy 127.0.0.1
<Location "/never/">
    ETagCachePurge Off
</Location>
<Location "/on/">
    ETagCachePurge On
    <RequireAny>
        Require method GET
        Require user admin
    </RequireAny>
    AuthType Basic
    AuthName purge
    AuthUserFile "@ROOT@/passwords"
</Location>
<Location "/uncached/">
    ETagCache Off
</Location>
"""

ADMIN = {"Authorization": "Basic YWRtaW46c2VjcmV0"}


def prepare(httpd):
    hashed = subprocess.run(["openssl", "passwd", "-apr1", "secret"],
                            check=True, text=True,
                            stdout=subprocess.PIPE).stdout.strip()
    (httpd.root / "passwords").write_text("admin:%s\n" % hashed)


def purge(httpd, target, kind=None, headers=(), **options):
    headers = dict(headers)
    if kind:
        headers["ETag-Purge"] = kind
    return httpd.request("PURGE", target, headers, **options)


def test_purge_100_soft_makes_the_next_request_validate(httpd, backend, path):
    backend.on(path, validating(FRESH))
    stored(httpd, backend, path)
    assert httpd.get(path).hit
    response = purge(httpd, path)
    assert response.status == 200
    assert isinstance(json.loads(response.text), dict)
    assert response.get("Content-Type").startswith("application/json")
    assert [request.method for request in backend.requests(path)] == ["GET"]
    second = stored(httpd, backend, path)
    assert not second.hit and second.cache["fwd"] == "stale"
    assert "If-None-Match" in backend.requests(path)[-1]
    assert httpd.get(path).hit


def test_purge_101_hard_forgets(httpd, backend, path):
    backend.on(path, validating(FRESH))
    stored(httpd, backend, path)
    assert purge(httpd, path, "hard").status == 200
    second = httpd.get(path)
    assert not second.hit and second.cache["fwd"] == "uri-miss"
    assert "If-None-Match" not in backend.requests(path)[-1]


@pytest.mark.parametrize("kind", ["soft", "hard"])
def test_purge_102_all_variants_and_no_other_url(httpd, backend, path, kind):
    backend.on(path, counting(dict(FRESH, Vary="X-A")))
    for value in ("1", "2"):
        stored(httpd, backend, path, {"X-A": value})
    stored(httpd, backend, path + "?other")
    purge(httpd, path, kind)
    for value in ("1", "2"):
        assert not httpd.get(path, {"X-A": value}).hit
    assert httpd.get(path + "?other").hit


def test_purge_103_all_takes_the_whole_namespace(httpd, backend, path):
    targets = ["%s-%d" % (path, number) for number in range(5)]
    for target in targets:
        backend.on(target, counting(FRESH))
        stored(httpd, backend, target)
    response = purge(httpd, "/", "all")
    assert response.status == 200
    assert isinstance(json.loads(response.text), dict)
    for target in targets:
        assert not httpd.get(target).hit


def test_purge_104_can_be_stored_again_at_once(httpd, backend, path):
    backend.on(path, counting(FRESH))
    for kind in ("soft", "hard", "all"):
        stored(httpd, backend, path)
        assert httpd.get(path).hit, kind
        purge(httpd, path, kind)
        assert not httpd.get(path).hit, kind


def test_purge_105_soft_keeps_stale_rules(httpd, backend, path):
    backend.on(path, answer(200, {"Cache-Control": "max-age=60, "
                                  "stale-if-error=600"}, b"old"))
    stored(httpd, backend, path)
    purge(httpd, path)
    backend.on(path, answer(503, {}, b"down"))
    response = httpd.get(path)
    assert (response.status, response.body) == (200, b"old")
    purge(httpd, path, "hard")
    assert httpd.get(path).status == 503


def test_purge_106_what_is_not_stored_can_be_purged(httpd, path):
    response = purge(httpd, path)
    assert response.status in (200, 404)
    assert isinstance(json.loads(response.text), dict)


def test_purge_107_an_unknown_kind_is_refused(httpd, backend, path):
    backend.on(path, counting(FRESH))
    stored(httpd, backend, path)
    assert purge(httpd, path, "frobnicate").status == 400
    assert httpd.get(path).hit


def test_purge_108_goes_by_host(httpd, backend, path):
    backend.on(path, counting(FRESH))
    stored(httpd, backend, path, host="one.test")
    stored(httpd, backend, path, host="two.test")
    purge(httpd, path, "hard", host="one.test")
    assert not httpd.get(path, host="one.test").hit
    assert httpd.get(path, host="two.test").hit


@pytest.mark.parametrize("headers", [
    {"X-Forwarded-For": "127.0.0.1"}, {"Via": "1.1 proxy"},
    {"Forwarded": "for=127.0.0.1"}, {"X-Forwarded-Proto": "https"},
    {"X-Forwarded-Anything": "x"}, {"X-Client-IP": "10.1.2.3"}])
def test_purge_110_local_refuses_what_came_through_a_proxy(
        httpd, backend, path, headers):
    httpd.log.claim("etag_cache")
    backend.on(path, counting(FRESH))
    stored(httpd, backend, path)
    for kind in (None, "hard", "all"):
        assert purge(httpd, path, kind, headers).status == 403
    assert httpd.get(path).hit
    assert all(request.method == "GET" for request in backend.requests(path))


def test_purge_111_off_purges_nothing(httpd, backend, path):
    httpd.log.claim("etag_cache")
    path = "/never" + path

    def handler(exchange):
        if exchange.request.method == "GET":
            exchange.respond(200, FRESH, b"page")
        else:
            exchange.respond(405, {}, b"no")
    backend.on(path, handler)
    stored(httpd, backend, path)
    assert purge(httpd, path).status in (403, 405)
    assert httpd.get(path).hit


def test_purge_112_on_goes_by_require(httpd, backend, path):
    httpd.log.claim("authz|AH01630|AH01631|AH01617|auth_basic|AH01618")
    path = "/on" + path
    backend.on(path, counting(dict(FRESH, **{
        "Cache-Control": "public, max-age=60"})))
    stored(httpd, backend, path)
    assert purge(httpd, path).status == 401
    assert purge(httpd, path, headers={
        "Authorization": "Basic YWRtaW46d3Jvbmc="}).status == 401
    assert httpd.get(path).hit
    response = purge(httpd, path, "hard",
                     dict(ADMIN, **{"X-Forwarded-For": "10.0.0.1"}))
    assert response.status == 200
    assert not httpd.get(path).hit


def test_purge_113_uncached_places_pass_it_on(httpd, backend, path):
    path = "/uncached" + path
    backend.on(path, answer(200, {}, b"the backend's own"))
    assert purge(httpd, path).body == b"the backend's own"


def asking(httpd, target):
    answers = []
    thread = threading.Thread(
        target=lambda: answers.append(httpd.get(target)))
    thread.start()
    return thread, answers


@pytest.mark.parametrize("is_stored", [False, True])
@pytest.mark.parametrize("kind", ["soft", "hard", "all", "all hard"])
def test_purge_120_during_a_fetch_outlives_it(httpd, backend, path, kind,
                                             is_stored):
    go_on = threading.Event()

    def handler(exchange):
        if exchange.number == 1:
            exchange.wait(go_on)
        exchange.respond(200, FRESH, b"answer %d" % exchange.number)
    if is_stored:
        backend.on(path, answer(200, {"Cache-Control": "max-age=0",
                                      "Last-Modified": "Thu, 01 Jan 2026 "
                                      "00:00:00 GMT"}, b"stale"))
        stored(httpd, backend, path)
    backend.on(path, handler)
    leader, first = asking(httpd, path)
    poll(lambda: backend.hits(path) == 1, "the backend is asked")
    assert purge(httpd, path, kind).status == 200
    followers = [asking(httpd, path) for _ in range(3)]
    go_on.set()
    for thread, _ in [(leader, first)] + followers:
        thread.join(30)
    assert first[0].body == b"answer 1"
    for _, answers in followers:
        assert answers[0].body == b"answer 2"
    assert stored(httpd, backend, path).body == b"answer 2"
    assert httpd.get(path).hit
    assert backend.hits(path) == 2
