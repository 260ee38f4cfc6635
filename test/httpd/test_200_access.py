# SPDX-License-Identifier: Apache-2.0
"""Caching never opens what Require closed."""
import subprocess

from conftest import PROXY
from harness.backend import answer, counting
from harness.steps import FRESH, hit, stored

CONFIG = PROXY + """
ETagCache On
<Location "/members/">
    AuthType Basic
    AuthName "members"
    AuthUserFile "@ROOT@/passwords"
    Require valid-user
</Location>
<Location "/alice/">
    AuthType Basic
    AuthName "members"
    AuthUserFile "@ROOT@/passwords"
    Require user alice
</Location>
<Location "/inside/">
    Require expr %{HTTP:X-Inside} == 'yes'
</Location>
"""

ALICE = {"Authorization": "Basic YWxpY2U6c2VjcmV0"}
BOB = {"Authorization": "Basic Ym9iOnNlY3JldA=="}
WRONG = {"Authorization": "Basic YWxpY2U6d3Jvbmc="}
SHARED = {"Cache-Control": "public, max-age=60"}
DENIED = r"authz|AH01630|AH01631|auth_basic|AH01617|AH01618"


def prepare(httpd):
    hashed = subprocess.run(["openssl", "passwd", "-apr1", "secret"],
                            check=True, text=True,
                            stdout=subprocess.PIPE).stdout.strip()
    (httpd.root / "passwords").write_text(
        "alice:%s\nbob:%s\n" % (hashed, hashed))


def test_access_100_stored_for_a_member_refused_to_others(httpd, backend,
                                                         path):
    httpd.log.claim(DENIED)
    path = "/members" + path
    backend.on(path, counting(SHARED))
    first = httpd.get(path, ALICE)
    assert first.status == 200
    hit(httpd, path, ALICE)
    for headers in ({}, WRONG, {"Authorization": "Bearer x"}):
        response = httpd.get(path, headers)
        assert response.status == 401, headers
        assert b"answer" not in response.body
    assert httpd.get(path, BOB).hit


def test_access_101_another_user_may_be_refused(httpd, backend, path):
    httpd.log.claim(DENIED)
    path = "/alice" + path
    backend.on(path, counting(SHARED))
    assert httpd.get(path, ALICE).status == 200
    hit(httpd, path, ALICE)
    response = httpd.get(path, BOB)
    assert response.status in (401, 403) and b"answer" not in response.body


def test_access_102_conditions_ranges_and_head_are_refused_too(httpd, backend,
                                                              path):
    httpd.log.claim(DENIED)
    path = "/alice" + path
    backend.on(path, answer(200, dict(SHARED, ETag='"secret"'), b"secret"))
    httpd.get(path, ALICE)
    hit(httpd, path, ALICE)
    for headers in ({"If-None-Match": '"secret"'}, {"Range": "bytes=0-1"},
                    {"Cache-Control": "only-if-cached"}):
        assert httpd.get(path, headers).status == 401
        assert "ETag" not in httpd.head(path, headers)


def test_access_103_without_permission_of_the_backend_nothing_is_stored(
        httpd, backend, path):
    path = "/members" + path
    backend.on(path, counting(FRESH))
    assert httpd.get(path, ALICE).body == b"answer 1"
    assert httpd.get(path, BOB).body == b"answer 2"
    assert httpd.get(path, ALICE).body == b"answer 3"


def test_access_104_rules_by_expression(httpd, backend, path):
    httpd.log.claim(DENIED)
    path = "/inside" + path
    backend.on(path, counting(FRESH))
    inside = {"X-Inside": "yes"}
    assert httpd.get(path, inside).status == 200
    hit(httpd, path, inside)
    assert httpd.get(path).status == 403
    assert httpd.get(path, inside).hit


def test_access_105_a_refusal_is_not_stored(httpd, backend, path):
    httpd.log.claim(DENIED)
    path = "/inside" + path
    backend.on(path, counting(FRESH))
    for _ in range(2):
        assert httpd.get(path).status == 403
    assert httpd.get(path, {"X-Inside": "yes"}).body == b"answer 1"


def test_access_106_closing_by_reload_closes_what_is_stored(make_httpd,
                                                           backend, path):
    httpd = make_httpd(PROXY + "ETagCache On\n")
    backend.on(path, counting(FRESH))
    stored(httpd, backend, path)
    assert httpd.get(path).hit
    httpd.config("<Location />\nRequire all denied\n</Location>\n")
    httpd.graceful()
    httpd.log.claim(DENIED)
    assert httpd.get(path).status == 403


def test_access_107_file_permissions_of_htaccess_count(make_httpd, backend):
    httpd = make_httpd("""
ETagCache On
Header set Cache-Control max-age=60
<Directory "@DOCROOT@">
    AllowOverride All
</Directory>
""")
    httpd.file("page.html", "open", mtime=1000000000)
    hit(httpd, "/page.html")
    httpd.file(".htaccess", "Require all denied\n")
    httpd.log.claim(DENIED)
    assert httpd.get("/page.html").status == 403
