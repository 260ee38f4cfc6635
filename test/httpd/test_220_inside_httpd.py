# SPDX-License-Identifier: Apache-2.0
"""Internal redirects, subrequests and handlers of httpd itself: the key is
what the client asked for, whatever httpd made of it."""
import pytest

from harness.backend import answer, counting
from harness.steps import FRESH, hit, stored

CONFIG = """
ETagCache On
ETagCacheDefaultTTL 60s
Alias "/front/" "@DOCROOT@/front/"
<Directory "@DOCROOT@/front">
    Options ExecCGI
    AddHandler cgi-script .cgi
    FallbackResource /front/index.cgi
    DirectoryIndex disabled
</Directory>
<Directory "@DOCROOT@/wordpress">
    Options ExecCGI FollowSymLinks
    AddHandler cgi-script .cgi
    RewriteEngine On
    RewriteBase /wordpress/
    RewriteCond %{REQUEST_FILENAME} !-f
    RewriteCond %{REQUEST_FILENAME} !-d
    RewriteRule . /wordpress/index.cgi [L]
</Directory>
<Directory "@DOCROOT@/toproxy">
    RewriteEngine On
    RewriteRule ^(.*)$ http://@BACKEND@/rewritten/$1 [P]
</Directory>
<Directory "@DOCROOT@/index">
    Options ExecCGI Indexes
    AddHandler cgi-script .cgi
    DirectoryIndex index.cgi
</Directory>
<Directory "@DOCROOT@/ssi">
    Options +Includes
    AddType text/html .shtml
    AddOutputFilter INCLUDES .shtml
</Directory>
ErrorDocument 404 /errors/404.html
ProxyErrorOverride Off
ProxyPass "/proxied/" "http://@BACKEND@/proxied/"
ProxyPass "/rewritten/" "http://@BACKEND@/rewritten/"
<Location "/overridden/">
    ProxyErrorOverride On
    ProxyPass "http://@BACKEND@/overridden/"
</Location>
RewriteEngine On
RewriteRule ^/server-level/(.*)$ http://@BACKEND@/rewritten/$1 [P]
"""

SCRIPT = """#!/bin/sh
echo run >> "$DOCUMENT_ROOT/../store/runs"
printf 'Content-Type: text/plain\\nCache-Control: max-age=60\\n\\n'
printf '%s' "$REQUEST_URI"
"""


def prepare(httpd):
    for folder in ("front", "wordpress", "index", "toproxy", "ssi", "errors"):
        (httpd.root / "htdocs" / folder).mkdir()
    for name in ("front/index.cgi", "wordpress/index.cgi", "index/index.cgi"):
        httpd.file(name, SCRIPT, 0o755)
    httpd.file("toproxy/x", "")
    httpd.file("errors/404.html", "the error page", mtime=1000000000)
    httpd.file("ssi/page.shtml",
               '<!--#include virtual="/proxied/part" -->|'
               '<!--#echo var="REQUEST_URI" -->')


@pytest.mark.parametrize("folder", ["/front", "/wordpress"])
def test_inside_100_front_controller_keeps_urls_apart(httpd, folder):
    targets = ["%s/post-%s" % (folder, name) for name in "abc"]
    targets += ["%s/post-a?x=1" % folder, "%s/deep/er/post" % folder]
    for target in targets:
        assert httpd.get(target).text == target
    for target in targets:
        response = hit(httpd, target)
        assert response.text == target
    assert httpd.get(folder + "/index.cgi").text == folder + "/index.cgi"


def test_inside_101_directory_index_is_kept_under_what_was_asked(httpd):
    assert httpd.get("/index/").text == "/index/"
    assert hit(httpd, "/index/").text == "/index/"
    assert httpd.get("/index/index.cgi").text == "/index/index.cgi"
    assert hit(httpd, "/index/?q").text == "/index/?q"


def test_inside_102_rewriting_to_the_backend(httpd, backend):
    for folder in ("toproxy", "server-level"):
        for name in "ab":
            target = "/%s/%s-%s" % (folder, folder, name)
            backend.on("/rewritten/%s-%s" % (folder, name),
                       answer(200, FRESH, target))
            assert httpd.get(target).text == target
        for name in "ab":
            target = "/%s/%s-%s" % (folder, folder, name)
            assert hit(httpd, target).text == target
        # What stands at the rewritten URL was not asked for by anybody.
        response = httpd.get("/rewritten/%s-a" % folder)
        assert not response.hit


def test_inside_103_error_document_is_not_stored_as_the_page(httpd):
    for _ in range(3):
        response = httpd.get("/not-there")
        assert response.status == 404 and response.text == "the error page"
        assert not response.hit
    page = httpd.file("not-there", "now there")
    assert httpd.get("/not-there").text == "now there"
    page.unlink()


def test_inside_104_error_document_for_a_backend_error(httpd, backend, path):
    path = "/overridden" + path
    backend.on(path, answer(404, {}, b"the backend's own"))
    for _ in range(2):
        response = httpd.get(path)
        assert response.status == 404 and response.text == "the error page"
    backend.on(path, answer(200, FRESH, b"found"))
    assert httpd.get(path).body == b"found"


def test_inside_105_subrequests_are_not_looked_up(httpd, backend):
    backend.on("/proxied/part", counting(dict(FRESH, **{
        "Content-Type": "text/html"})))
    first = httpd.get("/ssi/page.shtml")
    assert first.text == "answer 1|/ssi/page.shtml"
    response = httpd.get("/ssi/page.shtml?x")
    assert response.text == "answer 2|/ssi/page.shtml?x"
    assert httpd.get("/proxied/part").body == b"answer 3"


def test_inside_106_files_are_stored_and_served(httpd):
    httpd.file("page.txt", "written once", mtime=1000000000)
    first = httpd.get("/page.txt")
    second = hit(httpd, "/page.txt")
    assert second.body == first.body == b"written once"
    for name in ("ETag", "Last-Modified", "Content-Type", "Content-Length"):
        assert second.get(name) == first.get(name), name


def test_inside_107_a_large_file_comes_back_whole(httpd):
    body = bytes(index * 17 % 253 for index in range(5 << 20))
    httpd.file("large.bin", body, mtime=1000000000)
    assert httpd.get("/large.bin").body == body
    assert hit(httpd, "/large.bin").body == body


def test_inside_108_trailing_slash_redirect(httpd):
    for _ in range(2):
        response = httpd.get("/index")
        assert response.status == 301
        assert response.get("Location").endswith("/index/")


def test_inside_109_head_and_conditions_behind_a_front_controller(httpd):
    target = "/front/conditions"
    httpd.get(target)
    hit(httpd, target)
    response = httpd.head(target)
    assert response.hit and response.body == b""
    assert response.get("Content-Length") == str(len(target))


def test_inside_110_options_and_trace_are_left_alone(httpd, backend, path):
    path = "/proxied" + path
    backend.on(path, counting(FRESH))
    stored(httpd, backend, path)
    assert httpd.request("OPTIONS", path).status == 200
    assert httpd.get(path).hit
