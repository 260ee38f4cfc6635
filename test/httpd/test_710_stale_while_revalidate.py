# SPDX-License-Identifier: Apache-2.0
"""stale-while-revalidate: clients are answered at once from the stale
response, and one request in the background fetches a new one."""
import pytest

from conftest import PROXY
from harness.backend import answer, validating
from harness.behind import Held, ends, traces, wait_for_ends
from harness.crowd import Crowd
from harness.httpd import mpm
from harness.net import poll
from harness.steps import stored

pytestmark = pytest.mark.skipif(mpm() == "prefork", reason="needs threads")

CONFIG = PROXY + """
ETagCache On
<Location "/route/">
    ETagCacheStaleWhileRevalidate 10m
</Location>
<Location "/observed/">
    ETagCache Observe
    ETagCacheStaleWhileRevalidate 10m
</Location>
<Location "/alone/">
    ETagCacheCollapse Off
</Location>
<Location "/marked/">
    RequestHeader append X-Marked by-the-admin
    RequestHeader unset X-Secret
</Location>
"""

TLS = PROXY + """
    ETagCache On
"""

FRESH = {"Cache-Control": "max-age=60", "ETag": '"v2"'}


def old(control="max-age=60, stale-while-revalidate=600", **more):
    return dict({"Cache-Control": control, "Age": "120", "ETag": '"v1"'},
                **more)


def keep_stale(httpd, backend, path, then, headers=(), tls=False, **fields):
    """A stale response for `path` is stored; the next request of the backend
    gets `then`."""
    backend.on(path, answer(200, old(**fields), b"old"))
    stored(httpd, backend, path, headers, tls=tls)
    backend.on(path, then)


def test_swr_100_a_stale_response_goes_out_and_is_refreshed(httpd, backend,
                                                            path):
    keep_stale(httpd, backend, path, answer(200, FRESH, b"new"))
    response = httpd.get(path)
    assert (response.status, response.body) == (200, b"old")
    assert response.cache["hit"] and response.cache["ttl"] <= -60
    assert response.cache["detail"] == "stale-while-revalidate"
    assert response.age >= 120
    assert wait_for_ends(httpd, path) == ("refresh", 200, True)
    assert httpd.get(path).body == b"new"
    assert httpd.get(path).hit
    assert backend.hits(path) == 1
    poll(lambda: "stale, refresh" in traces(httpd, path),
         "the words in the access log")


def test_swr_101_of_100_clients_nobody_waits(httpd, backend, path):
    """The backend still holds the refresh back when all have their answers,
    and when each has asked a second URL on the same connection."""
    held = Held(answer(200, FRESH, b"new"))
    keep_stale(httpd, backend, path, held)
    backend.on(path + "-second", answer(200, FRESH, b"second"))
    with Crowd(httpd, 100) as crowd:
        for response in crowd.ask(path).answers():
            assert response is not None and response.body == b"old"
        crowd.report("stale")
        poll(lambda: backend.hits(path), "the refresh")
        for response in crowd.ask(path + "-second").answers():
            assert response is not None, [m.error for m in crowd.members]
            assert response.body == b"second"
        crowd.report("the second URL")
        for response in crowd.ask(path).answers():
            assert response.body == b"old"
        children = {httpd.child_serving(member.connection)
                    for member in crowd.members[::10]}
        assert len(children) > 1, "all clients met one process"
        assert not ends(httpd, path)
        assert backend.hits(path) == 1
        held.go.set()
        wait_for_ends(httpd, path)
        for response in crowd.ask(path).answers():
            assert response.body == b"new"
    assert backend.hits(path) == 1
    assert ends(httpd, path) == [("refresh", 200, True)]


def test_swr_102_a_304_refreshes(httpd, backend, path):
    backend.on(path, answer(200, old(), b"old"))
    stored(httpd, backend, path)
    backend.on(path, validating({"Cache-Control": "max-age=60"}))
    assert httpd.get(path).cache["ttl"] < 0
    wait_for_ends(httpd, path)
    response = httpd.get(path)
    assert response.hit and response.cache["ttl"] > 0
    assert response.body == b"old"
    assert backend.requests(path)[0].get("If-None-Match") == '"v1"'
    assert backend.hits(path) == 1


def test_swr_103_the_route_says_it_for_responses_that_do_not(httpd, backend,
                                                             path):
    path = "/route" + path
    keep_stale(httpd, backend, path, answer(200, FRESH, b"new"),
               control="max-age=60")
    assert httpd.get(path).body == b"old"
    wait_for_ends(httpd, path)
    assert httpd.get(path).body == b"new"


VALIDATES = [
    "max-age=60", "max-age=60, stale-while-revalidate=10",
    "max-age=60, must-revalidate, stale-while-revalidate=600",
    "max-age=60, proxy-revalidate, stale-while-revalidate=600",
    "s-maxage=60, stale-while-revalidate=600",
    "no-cache, max-age=60, stale-while-revalidate=600"]


@pytest.mark.parametrize("control", VALIDATES)
def test_swr_104_elsewhere_it_is_validated_first(httpd, backend, path,
                                                 control):
    keep_stale(httpd, backend, path, answer(200, FRESH, b"new"),
               control=control)
    assert httpd.get(path).body == b"new"
    assert backend.hits(path) == 1 and not ends(httpd, path)


@pytest.mark.parametrize("control", VALIDATES[1:])
def test_swr_105_the_route_cannot_lift_that(httpd, backend, path, control):
    path = "/route" + path
    keep_stale(httpd, backend, path, answer(200, FRESH, b"new"),
               control=control)
    assert httpd.get(path).body == b"new"
    assert not ends(httpd, path)


def test_swr_106_observed_routes_ask_the_backend(httpd, backend, path):
    path = "/observed" + path
    backend.on(path, answer(200, old(), b"old"))
    for number in range(1, 4):
        assert not httpd.get(path).hit
        assert backend.hits(path) == number
    assert not ends(httpd, path)


def test_swr_107_without_collapsing_there_is_still_one_refresh(
        httpd, backend, path):
    path = "/alone" + path
    held = Held(answer(200, FRESH, b"new"))
    keep_stale(httpd, backend, path, held)
    for _ in range(5):
        assert httpd.get(path).body == b"old"
    poll(lambda: backend.hits(path), "the refresh")
    held.go.set()
    wait_for_ends(httpd, path)
    assert httpd.get(path).body == b"new"
    assert backend.hits(path) == 1


def test_swr_108_an_invalidated_response_is_not_served(httpd, backend, path):
    keep_stale(httpd, backend, path, answer(200, FRESH, b"new"))
    assert httpd.request("POST", path, body=b"x").status == 200
    backend.on(path, answer(200, FRESH, b"newer"))
    assert httpd.get(path).body == b"newer"
    assert not ends(httpd, path)


def test_swr_109_a_soft_purge_makes_it_stale_and_refreshed(httpd, backend,
                                                           path):
    backend.on(path, answer(200, dict(old(), Age="0"), b"old"))
    stored(httpd, backend, path)
    backend.on(path, answer(200, FRESH, b"new"))
    assert httpd.request("PURGE", path, {"ETag-Purge": "soft"}).status == 200
    assert httpd.get(path).body == b"old"
    wait_for_ends(httpd, path)
    assert httpd.get(path).body == b"new"


def test_swr_110_a_head_refreshes_with_a_get(httpd, backend, path):
    keep_stale(httpd, backend, path, answer(200, FRESH, b"new"))
    response = httpd.head(path)
    assert response.status == 200 and response.hit
    wait_for_ends(httpd, path)
    assert [request.method for request in backend.requests(path)] == ["GET"]
    assert httpd.get(path).body == b"new"


def test_swr_111_a_range_refreshes_the_whole(httpd, backend, path):
    keep_stale(httpd, backend, path, answer(200, FRESH, b"newer"))
    response = httpd.get(path, {"Range": "bytes=1-2", "If-Range": '"v1"'})
    assert (response.status, response.body) == (206, b"ld")
    wait_for_ends(httpd, path)
    assert "Range" not in backend.requests(path)[0]
    assert "If-Range" not in backend.requests(path)[0]
    assert httpd.get(path).body == b"newer"


def test_swr_112_a_conditional_request_gets_its_304(httpd, backend, path):
    keep_stale(httpd, backend, path, answer(200, FRESH, b"new"))
    assert httpd.get(path, {"If-None-Match": '"v1", "v9"'}).status == 304
    wait_for_ends(httpd, path)
    assert backend.requests(path)[0].get("If-None-Match") == '"v1"'
    assert httpd.get(path).body == b"new"


def test_swr_113_each_variant_is_refreshed_for_itself(httpd, backend, path):
    def speak(control, age):
        def handler(exchange):
            word = exchange.request.get("X-Tongue", "-")
            exchange.respond(200, {"Cache-Control": control, "Age": age,
                                   "Vary": "X-Tongue",
                                   "ETag": '"%s"' % word},
                             (word + age).encode())
        return handler
    backend.on(path, speak("max-age=60, stale-while-revalidate=600", "120"))
    for word in "ab":
        stored(httpd, backend, path, {"X-Tongue": word})
    backend.on(path, speak("max-age=60", "0"))
    assert httpd.get(path, {"X-Tongue": "a"}).body == b"a120"
    wait_for_ends(httpd, path)
    assert httpd.get(path, {"X-Tongue": "a"}).body == b"a0"
    assert httpd.get(path, {"X-Tongue": "b"}).body == b"b120"
    wait_for_ends(httpd, path, 2)
    assert httpd.get(path, {"X-Tongue": "b"}).body == b"b0"
    assert [request.get("X-Tongue") for request in backend.requests(path)] \
        == ["a", "b"]


def test_swr_114_a_private_client_refreshes_as_itself(httpd, backend, path):
    cookie = {"Cookie": "session=1"}
    control = "public, max-age=60, stale-while-revalidate=600"
    keep_stale(httpd, backend, path,
               answer(200, dict(FRESH, **{
                   "Cache-Control": "public, max-age=60"}), b"new"),
               control=control)
    assert httpd.get(path, cookie).body == b"old"
    wait_for_ends(httpd, path)
    assert backend.requests(path)[0].get("Cookie") == "session=1"
    assert httpd.get(path, cookie).body == b"new"
    assert httpd.get(path).body == b"new"


def test_swr_115_what_came_back_for_one_client_is_for_nobody_else(
        httpd, backend, path):
    cookie = {"Cookie": "session=1"}
    keep_stale(httpd, backend, path, answer(200, FRESH, b"of the session"),
               control="public, max-age=60, stale-while-revalidate=600")
    assert httpd.get(path, cookie).body == b"old"
    assert wait_for_ends(httpd, path) == ("refresh", 200, False)
    backend.on(path, answer(200, FRESH, b"new"))
    assert httpd.get(path).body == b"new"


def test_swr_116_the_admins_rules_apply_to_the_fields_once(httpd, backend,
                                                           path):
    path = "/marked" + path
    headers = {"X-Marked": "by-the-client", "X-Secret": "1",
               "X-Forwarded-For": "203.0.113.9", "X-Own": "kept"}
    keep_stale(httpd, backend, path, answer(200, FRESH, b"new"))
    assert httpd.get(path, headers).body == b"old"
    wait_for_ends(httpd, path)
    request = backend.requests(path)[0]
    assert request.get("X-Marked") == "by-the-client, by-the-admin"
    assert request.get("X-Own") == "kept"
    assert "X-Secret" not in request
    assert request.get("X-Forwarded-For").startswith("203.0.113.9")


def test_swr_117_wishes_of_the_client_do_not_reach_the_refresh(
        httpd, backend, path):
    keep_stale(httpd, backend, path, answer(200, FRESH, b"new"))
    assert httpd.get(path, {"Cache-Control": "only-if-cached"}).body == b"old"
    wait_for_ends(httpd, path)
    assert "Cache-Control" not in backend.requests(path)[0]
    assert httpd.get(path).body == b"new"


def test_swr_118_a_query_and_escapes_are_sent_as_they_came(httpd, backend,
                                                           path):
    target = path + "?a=%2F+b&c=%C3%A4&&d"
    backend.on(path, answer(200, old(), b"old"))
    stored(httpd, backend, target)
    backend.on(path, answer(200, FRESH, b"new"))
    assert httpd.get(target).body == b"old"
    wait_for_ends(httpd, target)
    assert backend.requests(path)[0].target == target
    assert httpd.get(target).body == b"new"


def test_swr_119_over_tls(httpd, backend, path):
    keep_stale(httpd, backend, path, answer(200, FRESH, b"new"), tls=True)
    assert httpd.get(path, tls=True).body == b"old"
    assert wait_for_ends(httpd, path) == ("refresh", 200, True)
    response = httpd.get(path, tls=True)
    assert response.hit and response.body == b"new"
    assert not httpd.get(path).hit      # http's is another resource


@pytest.mark.parametrize("tls", [True, False])
def test_swr_120_over_http2(httpd, backend, path, tls):
    keep_stale(httpd, backend, path, answer(200, FRESH, b"new"), tls=tls,
               headers={"Host": "127.0.0.1:%d" % (
                   httpd.tls_port if tls else httpd.port)})
    assert httpd.curl(path, tls=tls).body == b"old"
    wait_for_ends(httpd, path)
    response = httpd.curl(path, tls=tls)
    assert response.hit and response.body == b"new"
    assert backend.hits(path) == 1


def test_swr_121_keys_with_the_admins_fields(make_httpd, backend, path):
    """What is part of the key goes along, as the client sent it and as the
    admin's rules then see it."""
    httpd = make_httpd(CONFIG + """
ETagCacheKeyHeader X-Forwarded-Proto X-Tenant
RequestHeader append X-Tenant suffix
RequestHeader add X-Early 1 early
""")
    headers = {"X-Forwarded-Proto": "https", "X-Tenant": "blue",
               "X-Early": "0"}
    keep_stale(httpd, backend, path, answer(200, FRESH, b"new"), headers)
    assert httpd.get(path, headers).body == b"old"
    assert wait_for_ends(httpd, path) == ("refresh", 200, True)
    request = backend.requests(path)[0]
    assert request.get("X-Tenant") == "blue, suffix"
    assert request.all("X-Early") == ["0", "1"]
    assert httpd.get(path, headers).body == b"new"
    assert not httpd.get(path).hit


def test_swr_122_a_client_behind_a_proxy(make_httpd, backend, path):
    """mod_remoteip takes addresses out of X-Forwarded-For; the refresh comes
    from the client's."""
    httpd = make_httpd(CONFIG + """
RemoteIPHeader X-Forwarded-For
RemoteIPInternalProxy 127.0.0.1
ETagCacheKeyHeader X-Forwarded-For
<Location "/for/">
    Require ip 203.0.113.9 127.0.0.1
</Location>
""")
    path = "/for" + path
    headers = {"X-Forwarded-For": "203.0.113.9"}
    keep_stale(httpd, backend, path, answer(200, FRESH, b"new"), headers)
    assert httpd.get(path, headers).body == b"old"
    assert wait_for_ends(httpd, path) == ("refresh", 200, True)
    assert httpd.get(path, headers).body == b"new"


def test_swr_123_a_host_of_many(make_httpd, backend, path):
    httpd = make_httpd("""
<VirtualHost 127.0.0.1:@PORT@>
    ServerName first.example
    ProxyPass "/" "http://@BACKEND@/first/"
    ETagCache On
</VirtualHost>
<VirtualHost 127.0.0.1:@PORT@>
    ServerName second.example
    ServerAlias *.second.example
    ProxyPass "/" "http://@BACKEND@/second/"
    ETagCache On
</VirtualHost>
""")
    host = {"Host": "A.second.example"}
    at = "/second" + path
    backend.on(at, answer(200, old(), b"old"))
    backend.otherwise(answer(200, FRESH, b"marker"))
    stored(httpd, backend, path, host)
    poll(lambda: httpd.get(path, host).hit, "a hit on the other host")
    backend.on(at, answer(200, FRESH, b"new"))
    poll(lambda: httpd.get(path, host).body == b"new", "the new one")
    assert not backend.hits("/first" + path)


def test_swr_124_what_a_directory_rewrites(make_httpd, backend, path):
    """The handler of a directory's rules runs after ours; the request is
    looked up where it arrives, and so is the refresh."""
    httpd = make_httpd("""
ETagCache On
<Location "/real/">
    ProxyPass "http://@BACKEND@/real/"
</Location>
<Directory "@DOCROOT@/pages">
    RewriteEngine On
    RewriteRule "^(.*)$" "/real/$1" [L]
</Directory>
""", prepare=lambda server: server.file("pages/.keep", b""))
    name = path[1:]
    backend.on("/real/" + name, answer(200, old(), b"old"))
    httpd.get("/pages/" + name)
    poll(lambda: httpd.get("/pages/" + name).hit, "a stale hit")
    wait_for_ends(httpd, "/pages/" + name)
    backend.on("/real/" + name, answer(200, FRESH, b"new"))
    poll(lambda: httpd.get("/pages/" + name).body == b"new", "the new one")


@pytest.mark.parametrize("host", ["localhost", "other.example"])
def test_swr_125_a_client_that_names_the_whole_url(httpd, backend, path,
                                                   host):
    """httpd takes the host from there, whatever Host says; a refresh asks
    for the path on it."""
    whole = "http://localhost%s?a=b" % path
    backend.on(path, answer(200, old(), b"old"))
    stored(httpd, backend, path + "?a=b")
    backend.on(path, answer(200, FRESH, b"new"))
    assert httpd.get(whole, {"Host": host}).body == b"old"
    assert wait_for_ends(httpd, path + "?a=b") == ("refresh", 200, True)
    assert backend.requests(path)[0].target == path + "?a=b"
    assert backend.requests(path)[0].get("X-Forwarded-Host") == "localhost"
    assert httpd.get(path + "?a=b").body == b"new"


def test_swr_126_no_end_of_the_way_reaches_the_refresh(httpd, backend, path):
    """mod_proxy refuses requests that may go no further."""
    keep_stale(httpd, backend, path, answer(200, FRESH, b"new"))
    assert httpd.get(path, {"Max-Forwards": "0"}).body == b"old"
    assert wait_for_ends(httpd, path) == ("refresh", 200, True)
    assert httpd.get(path).body == b"new"
