# SPDX-License-Identifier: Apache-2.0
"""mod_etag_composite: pages with Edge Side Includes that come by way of other
modules of httpd, and clients that speak HTTP/2."""
import subprocess

import pytest

from harness import curl
from harness.backend import answer, counting, in_turn
from harness.httpd import mpm
from harness.net import poll

pytestmark = pytest.mark.skipif(mpm() == "prefork", reason="needs threads")

CONFIG = """
<Location "/">
    ETagCompositeESI On
    ETagCompositeESIAllow /frag
</Location>
<Directory "@DOCROOT@/front">
    Options ExecCGI
    AddHandler cgi-script .cgi
    FallbackResource /front/index.cgi
    DirectoryIndex disabled
</Directory>
<Directory "@DOCROOT@/kept">
    Options ExecCGI
    AddHandler cgi-script .cgi
    FallbackResource /kept/index.cgi
    DirectoryIndex disabled
</Directory>
<Location "/kept/">
    ETagCache On
</Location>
<Directory "@DOCROOT@/rewritten">
    Options ExecCGI FollowSymLinks
    AddHandler cgi-script .cgi
    RewriteEngine On
    RewriteBase /rewritten/
    RewriteCond %{REQUEST_FILENAME} !-f
    RewriteRule . /rewritten/index.cgi [L]
</Directory>
<Directory "@DOCROOT@/index">
    Options ExecCGI
    AddHandler cgi-script .cgi
    DirectoryIndex index.cgi
</Directory>
<Directory "@DOCROOT@/ssi">
    Options +Includes
    AddType text/html .shtml
    AddOutputFilter INCLUDES .shtml
    Header set Surrogate-Control "content=\\"ESI/1.0\\""
</Directory>
<Directory "@DOCROOT@/files">
    Header set Surrogate-Control "content=\\"ESI/1.0\\""
    Header set Cache-Control "max-age=60"
    Header always set X-Always 1
    Header set X-Set 1
</Directory>
<Location "/errors/">
    Header always set Surrogate-Control "content=\\"ESI/1.0\\""
</Location>
ErrorDocument 404 /errors/404.html
<Location "/overridden/">
    ProxyErrorOverride On
    ProxyPass "http://@BACKEND@/overridden/" connectiontimeout=5 timeout=30 retry=0
</Location>
<Location "/frag/">
    ProxyPass "http://@BACKEND@/frag/" connectiontimeout=5 timeout=30 retry=0
</Location>
<Location "/page/">
    ProxyPass "http://@BACKEND@/page/" connectiontimeout=5 timeout=30 retry=0
</Location>
<Location "/stale/">
    ETagCache On
    ETagCacheStaleWhileRevalidate 1h
    ProxyPass "http://@BACKEND@/stale/" connectiontimeout=5 timeout=30 retry=0
</Location>
<Location "/json">
    SetHandler etag-composite
    ETagCompositePart a "/frag/json"
</Location>
<Location "/status">
    SetHandler server-status
</Location>
CustomLog "@ROOT@/fields.log" "%{etag-internal}n %{If-None-Match}i %{Accept-Encoding}i %{Range}i %{Surrogate-Capability}i"
Protocols h2c http/1.1
"""

SCRIPT = """#!/bin/sh
printf 'Content-Type: text/html\\nCache-Control: max-age=60\\n'
printf 'ETag: "script"\\nSurrogate-Control: content="ESI/1.0"\\n\\n'
printf '%s <esi:include src="/frag/cgi"/>' "$REQUEST_URI"
"""

ESI = {"Content-Type": "text/html", "Surrogate-Control": 'content="ESI/1.0"'}


def include(src, more=""):
    return '<esi:include src="%s"%s/>' % (src, more)


def page(text, headers=(), status=200):
    return answer(status, dict(ESI, **dict(headers)), text)


def prepare(httpd):
    folders = ("front", "kept", "rewritten", "index", "ssi", "files",
               "errors")
    for folder in folders:
        (httpd.root / "htdocs" / folder).mkdir()
    for folder in ("front", "kept", "rewritten", "index"):
        httpd.file(folder + "/index.cgi", SCRIPT, 0o755)
    httpd.file("files/page.html", "<p>%s</p>" % include("/frag/file"),
               mtime=1000000000)
    httpd.file("files/plain.txt", "plain", mtime=1000000000)
    httpd.file("errors/404.html", "sorry " + include("/frag/file"))
    httpd.file("ssi/page.shtml",
               '<!--#echo var="REQUEST_URI" -->|' + include("/frag/file"))


@pytest.mark.parametrize("target", ["/files/page.html", "/front/post-1",
                                    "/kept/post-1"])
def test_head_has_no_length_where_the_handler_gives_it_a_body(httpd, target):
    for _ in range(2):
        got = httpd.head(target)
        assert got.status == 200 and got.body == b""
        assert "Content-Length" not in got and "ETag" not in got


@pytest.mark.parametrize("target", [
    "/front/post-1", "/kept/post-1", "/rewritten/post-1", "/index/",
    "/front/index.cgi"])
def test_scripts_behind_redirects_have_esi(httpd, backend, target):
    backend.on("/frag/cgi", answer(200, {"ETag": '"1"'}, "1"))
    got = httpd.get(target, {"Accept-Encoding": "gzip"})
    assert got.status == 200
    assert got.body == (target + " 1").encode()
    assert "Surrogate-Control" not in got
    tag = got.get("ETag")
    assert tag not in (None, '"script"')
    assert httpd.get(target, {"If-None-Match": tag}).status == 304
    backend.on("/frag/cgi", answer(200, {"ETag": '"2"'}, "2"))
    got = httpd.get(target, {"If-None-Match": tag})
    assert got.status == 200
    assert got.body == (target + " 2").encode()
    assert httpd.get(target, {"If-None-Match": '"script"'}).status == 200


def test_files_have_esi_by_mod_headers(httpd, backend):
    backend.on("/frag/file", answer(200, {"ETag": '"1"'}, "1"))
    got = httpd.get("/files/page.html", {"If-Modified-Since":
                                         "Mon, 01 Jan 2024 00:00:00 GMT"})
    assert got.status == 200 and got.body == b"<p>1</p>"
    assert got.get("X-Always") == "1" and got.get("X-Set") == "1"
    assert "Last-Modified" not in got
    again = httpd.get("/files/page.html", {"If-None-Match": got.get("ETag")})
    assert again.status == 304


def test_files_without_stay_what_they_are(httpd):
    got = httpd.get("/files/plain.txt")
    assert got.status == 200 and got.body == b"plain"
    tag = got.get("ETag")
    assert got.get("Last-Modified") == "Sun, 09 Sep 2001 01:46:40 GMT"
    assert httpd.get("/files/plain.txt",
                     {"If-None-Match": tag}).status == 304
    assert httpd.get("/files/plain.txt", {
        "If-Modified-Since": "Sun, 09 Sep 2001 01:46:40 GMT"}).status == 304
    part = httpd.get("/files/plain.txt", {"Range": "bytes=1-2"})
    assert part.status == 206 and part.body == b"la"


def test_mod_include_comes_before(httpd, backend):
    backend.on("/frag/file", answer(200, {}, "1"))
    got = httpd.get("/ssi/page.shtml")
    assert got.body.strip() == b"/ssi/page.shtml|1"
    assert got.get("ETag") is not None
    again = httpd.get("/ssi/page.shtml", {"If-None-Match": got.get("ETag")})
    assert again.status == 304


def test_error_documents_are_left_alone(httpd, backend):
    backend.on("/frag/file", answer(200, {}, "1"))
    text = ("sorry " + include("/frag/file")).encode()
    got = httpd.get("/nothing-here", {"Accept-Encoding": "identity"})
    assert got.status == 404 and got.body == text
    backend.on("/overridden/x", answer(404, ESI, "theirs"))
    got = httpd.get("/overridden/x", {"If-None-Match": "*"})
    assert got.status == 404 and got.body == text
    assert backend.hits("/frag/file") == 0


@pytest.mark.parametrize("target", [
    "/files/page.html", "/files/plain.txt", "/front/logged", "/kept/logged",
    "/rewritten/logged", "/errors/none", "/overridden/logged",
    "/page/logged"])
def test_logs_have_what_the_client_sent(httpd, backend, target):
    for path in ("/frag/cgi", "/frag/file"):
        backend.on(path, answer(200, {}, "1"))
    backend.on("/overridden/logged", answer(404, ESI, "theirs"))
    backend.on("/page/logged", answer(500, {}, "theirs"))
    log = httpd.root / "fields.log"
    log.write_text("")
    httpd.get(target, {"If-None-Match": '"x"', "Accept-Encoding": "none",
                       "Range": "bytes=0-"})

    def lines():
        return [line for line in log.read_text().splitlines()
                if not line.startswith("composite ")]
    poll(lines, "the line")
    # (What core cannot cut it takes no Range for.)
    assert [line.replace("bytes=0-", "-") for line in lines()] == \
        [r'- \"x\" none - -']


def test_other_handlers_answer_as_ever(httpd, backend):
    backend.on("/frag/json", answer(200, {"ETag": '"j"'}, "[1]"))
    got = httpd.get("/json")
    assert got.body == b'{"a":[1]}'
    assert httpd.get("/json",
                     {"If-None-Match": got.get("ETag")}).status == 304
    assert httpd.get("/status?auto").status == 200


def test_a_page_is_refreshed_with_our_capability(httpd, backend, path):
    name = "/stale" + path
    backend.on(name, in_turn(
        page("1" + include("/frag/s"), {"Cache-Control": "max-age=0, "
                                        "stale-while-revalidate=3600"}),
        page("2" + include("/frag/s"), {"Cache-Control": "max-age=3600"})))
    backend.on("/frag/s", counting())
    assert httpd.get(name).body == b"1answer 1"
    assert httpd.get(name).body == b"1answer 2"
    poll(lambda: backend.hits(name) == 2, "the refresh")
    asked = backend.requests(name)[-1]
    assert asked.get("Surrogate-Capability") == 'etagere="ESI/1.0"'
    assert asked.get("Accept-Encoding") in (None, "identity")
    poll(lambda: httpd.get(name).body.startswith(b"2"), "the new page")
    hits = backend.hits("/frag/s")
    assert httpd.get(name).body == b"2answer %d" % (hits + 1)


# HTTP/2

@pytest.mark.http2
def test_clients_of_http2_get_pages_and_304(httpd, backend, path):
    backend.on("/page" + path, page("<p>%s</p>" % include("/frag/h2")))
    backend.on("/frag/h2", answer(200, {"ETag": '"1"'}, "h2"))
    (got,) = curl.ask(httpd, "/page" + path, [("GET", {})],
                      "--http2-prior-knowledge")
    assert got.version == "HTTP/2"
    assert got.status == 200 and got.body == b"<p>h2</p>"
    (again,) = curl.ask(httpd, "/page" + path,
                        [("GET", {"If-None-Match": got.get("ETag")})],
                        "--http2-prior-knowledge")
    assert again.status == 304


@pytest.mark.http2
def test_half_a_page_is_no_page_in_http2(httpd, backend, path):
    httpd.log.claim("AH01110|AH02609|AH10154|AH00898|AH01102")

    def breaking(exchange):
        exchange.head(200, dict(ESI, **{"Transfer-Encoding": "chunked"}))
        exchange.chunk(b"half" + include("/frag/h2").encode())
        exchange.cut()
    backend.on("/page" + path, breaking)
    done = subprocess.run(
        ["curl", "-sS", "--http2-prior-knowledge", "--max-time", "40",
         "-w", "%{http_code}", "-o", "/dev/null",
         "http://127.0.0.1:%d/page%s" % (httpd.port, path)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert done.returncode != 0 or done.stdout in (b"502", b"504")
