# SPDX-License-Identifier: Apache-2.0
"""Private requests: Authorization, cookies, logged-in users; what overrides
may and may not do."""
import pytest

from conftest import PROXY
from harness.backend import answer, counting
from harness.steps import FRESH, stored

CONFIG = PROXY + """
ETagCache On
<Location "/analytics/">
    ETagCacheIgnoreCookies _ga* utm_?
</Location>
<Location "/strip/">
    ETagCacheSetCookie Strip
</Location>
<Location "/rails/">
    ETagCacheOverride "public, max-age=60"
</Location>
<Location "/both/">
    ETagCacheOverride "max-age=60"
    ETagCacheSetCookie Strip
</Location>
"""

AUTH = {"Authorization": "Basic YTpi"}
COOKIE = {"Cookie": "session=1"}


def whose(cache_control, **more):
    """Answers with the caller's credentials as its body."""
    def handler(exchange):
        request = exchange.request
        body = "%s %s" % (request.get("Authorization"), request.get("Cookie"))
        exchange.respond(200, dict({"Cache-Control": cache_control}, **more),
                         body.encode())
    return handler


SHARES = [
    # Cache-Control, shared under Authorization?, shared under Cookie?
    ("max-age=60", False, False),
    ("max-age=60, public", True, True),
    ("s-maxage=60", True, True),
    ("max-age=60, must-revalidate", True, False),
    ("max-age=60, proxy-revalidate", False, False),
    ("max-age=60, private", False, False),
]


@pytest.mark.parametrize("control,auth,cookie", SHARES)
def test_private_100_stored_only_where_permitted(httpd, backend, path,
                                                 control, auth, cookie):
    for name, headers, shared in (("a", AUTH, auth), ("c", COOKIE, cookie)):
        target = "%s-%s" % (path, name)
        backend.on(target, whose(control))
        first = stored(httpd, backend, target, headers)
        second = httpd.get(target)
        assert ("stored" in first.cache) == shared, (control, name)
        assert second.hit == shared, (control, name)
        if not shared:
            assert second.body == b"None None"


@pytest.mark.parametrize("control,auth,cookie", SHARES)
def test_private_101_answered_from_the_store_only_where_permitted(
        httpd, backend, path, control, auth, cookie):
    if "private" in control:
        pytest.skip("nothing is stored")
    backend.on(path, whose(control))
    stored(httpd, backend, path)
    for headers, shared in ((AUTH, auth), (COOKIE, cookie)):
        response = httpd.get(path, headers)
        assert response.hit == shared, (control, headers)
        if not shared:
            assert list(headers.values())[0] in response.text


def test_private_102_private_answers_leave_the_public_entry(httpd, backend,
                                                           path):
    backend.on(path, whose("max-age=60"))
    stored(httpd, backend, path)
    stored(httpd, backend, path, COOKIE)
    response = httpd.get(path)
    assert response.hit and response.body == b"None None"


def test_private_103_one_session_never_sees_another(httpd, backend, path):
    backend.on(path, whose("max-age=60"))
    for number in range(5):
        cookie = {"Cookie": "session=%d" % number}
        assert stored(httpd, backend, path, cookie).body \
            == b"None session=%d" % number


def test_private_110_ignored_cookies_do_not_count(httpd, backend, path):
    path = "/analytics" + path
    backend.on(path, whose("max-age=60"))
    first = stored(httpd, backend, path,
                   {"Cookie": "_ga=1; utm_a=3; _ga_X=2"})
    assert first.body == b"None None"
    assert "Cookie" not in backend.requests(path)[0]
    second = httpd.get(path, {"Cookie": "_ga=other"})
    assert second.hit
    assert httpd.get(path).hit


def test_private_111_other_cookies_still_count(httpd, backend, path):
    path = "/analytics" + path
    backend.on(path, whose("max-age=60"))
    stored(httpd, backend, path)
    response = httpd.get(path, {"Cookie": "_ga=1; session=7"})
    assert not response.hit and "session=7" in response.text
    response = httpd.get(path, {"Cookie": "_GA=1"})
    assert not response.hit


def test_private_120_set_cookie_strip(httpd, backend, path):
    path = "/strip" + path
    backend.on(path, counting(dict(FRESH, **{"Set-Cookie": "a=b"})))
    stored(httpd, backend, path)
    second = httpd.get(path)
    assert second.hit and "Set-Cookie" not in second
    assert second.body == b"answer 1"


def test_private_130_override_replaces_what_rails_says(httpd, backend, path):
    path = "/rails" + path
    backend.on(path, counting({
        "Cache-Control": "max-age=0, private, must-revalidate"}))
    first = stored(httpd, backend, path)
    second = httpd.get(path)
    for response in (first, second):
        assert response.get("Cache-Control") == "public, max-age=60"
    assert second.hit and backend.hits(path) == 1


def test_private_131_override_replaces_what_php_sessions_say(httpd, backend,
                                                            path):
    path = "/rails" + path
    backend.on(path, counting({
        "Cache-Control": "no-store, no-cache, must-revalidate",
        "Expires": "Thu, 19 Nov 1981 08:52:00 GMT", "Pragma": "no-cache"}))
    first = stored(httpd, backend, path)
    second = httpd.get(path)
    assert second.hit
    for response in (first, second):
        assert response.get("Cache-Control") == "public, max-age=60"
        assert "Expires" not in response and "Pragma" not in response


def test_private_132_override_never_shares_a_session(httpd, backend, path):
    path = "/rails" + path
    backend.on(path, whose("private, max-age=0"))
    stored(httpd, backend, path, COOKIE)
    second = httpd.get(path)
    assert not second.hit and second.body == b"None None"
    for headers in (COOKIE, AUTH):
        response = httpd.get(path, headers)
        assert not response.hit
        assert list(headers.values())[0] in response.text


def test_private_133_targeted_field_beats_the_override(httpd, backend, path):
    path = "/rails" + path
    backend.on(path, counting({"Etagere-Cache-Control": "no-store",
                               "Cache-Control": "private"}))
    stored(httpd, backend, path)
    assert not httpd.get(path).hit


def test_private_134_override_does_not_permit_set_cookie(httpd, backend,
                                                        path):
    fields = {"Cache-Control": "private", "Set-Cookie": "s=1"}
    backend.on("/rails" + path, counting(fields))
    stored(httpd, backend, "/rails" + path)
    assert not httpd.get("/rails" + path).hit
    backend.on("/both" + path, counting(fields))
    stored(httpd, backend, "/both" + path)
    second = httpd.get("/both" + path)
    assert second.hit and "Set-Cookie" not in second


def test_private_135_override_applies_to_validation(httpd, backend, path):
    path = "/rails" + path
    backend.on(path, answer(200, {"Cache-Control": "no-cache",
                                  "Age": "120", "ETag": '"v1"'}))
    stored(httpd, backend, path)
    backend.on(path, answer(304, {"Cache-Control": "no-cache",
                                  "ETag": '"v1"'}))
    second = stored(httpd, backend, path)
    assert second.status == 200
    assert second.get("Cache-Control") == "public, max-age=60"
    assert httpd.get(path).hit


def test_private_140_authorization_validates_where_shared(httpd, backend,
                                                         path):
    backend.on(path, whose("public, max-age=60", Age="120", ETag='"p"'))
    stored(httpd, backend, path, AUTH)
    httpd.get(path, AUTH)
    request = backend.requests(path)[-1]
    assert request.get("Authorization") == AUTH["Authorization"]
