# SPDX-License-Identifier: Apache-2.0
"""mod_etag_composite: what httpd says of a configuration, what sections make
of each other, and a composite that our cache keeps."""
import pytest

from harness.backend import answer

MODULES = ["etag_composite"]
CONFIG = """
ETagCompositeSecret "one for all machines"
<Location "/part/">
    ProxyPass "http://@BACKEND@/part/" connectiontimeout=5 timeout=30 retry=0
</Location>
<Location "/outer">
    SetHandler etag-composite
    ETagCompositeTemplate page.json
    ETagCompositePart a "/part/a"
</Location>
<Location "/outer/same">
    ETagCompositeDeadline 20s
</Location>
<Location "/outer/inner">
    ETagCompositePart b "/part/b"
</Location>
<Location "/language">
    SetHandler etag-composite
    ETagCompositeForward Accept-Language
    ETagCompositePart a "/part/a"
</Location>
<Location "/tagged/">
    ETagCache On
    ProxyPass "http://@BACKEND@/tagged/" connectiontimeout=5 timeout=30 retry=0
</Location>
<Location "/with-tags">
    SetHandler etag-composite
    ETagCache On
    ETagCompositePart a "/tagged/a"
    ETagCompositePart b "/tagged/b"
</Location>
<Location "/with-tags-unkept">
    ETagCache Off
</Location>
ProxyPass "/api/products" "http://@BACKEND@/api/products" retry=0
ProxyPass "/api/users/" "http://@BACKEND@/api/users/" retry=0
ProxyPass "/shop/" "http://@BACKEND@/shop/" retry=0
<Location "/api/dashboard">
    SetHandler          etag-composite
    ETagCompositePart   products "/api/products?page=%s" query:page=1
    ETagCompositePart   user     "/api/users/%s" path:1 timeout=300ms
    ETagCompositePart   offers   "/shop/offers" optional default=[]
    ETagCompositeDeadline 800ms
</Location>
<Location "/segments/">
    SetHandler etag-composite
    ETagCompositePart a "/part/a?%s" path:1
    ETagCompositePart b "/part/b?%s" path:3 optional
</Location>
<Location "/kept">
    SetHandler etag-composite
    ETagCache On
    ETagCompositePart a "/part/a"
    ETagCompositePart b "/part/b"
</Location>
"""


def prepare(httpd):
    (httpd.root / "page.json").write_text('[{"$part": "a"}]')


def parts(backend):
    for name, text in (("a", b"1"), ("b", b"2")):
        backend.on("/part/" + name, answer(
            200, {"ETag": '"%s"' % name, "Cache-Control": "max-age=60"},
            text))


@pytest.mark.parametrize("line, said", [
    ('ETagCompositePart a "http://other/"', "ETagCompositePart: "),
    ('ETagCompositePart a "/x/%s"', "ETagCompositePart: "),
    ('ETagCompositePart a "/x/%s" path:0', "counted from 1"),
    ('ETagCompositePart a "/a"\nETagCompositePart a "/b"', "already"),
    ('ETagCompositePart a "/a" default=[]', "optional"),
    ("\n".join('ETagCompositePart a%d "/a"' % n for n in range(33)), "32"),
    ("ETagCompositeDeadline 0", "ETagCompositeDeadline"),
    ("ETagCompositeForward Range", "no part is asked with"),
    ("ETagCompositeForward a:b", "is not a field name"),
    ("ETagCompositeMaxBytes 0", "ETagCompositeMaxBytes"),
    ("ETagCompositeTemplate nowhere.json", "cannot be read"),
    ("ETagCompositeTemplate page.json", "there are none"),
    ('ETagCompositePart b "/b"\nETagCompositeTemplate page.json', '"a"'),
    ("ETagCompositeThreads threads=2", "not allowed in <Location>"),
])
def test_a_wrong_line_is_refused(httpd, line, said):
    status, text = httpd.configtest("<Location /wrong>\n%s\n</Location>"
                                    % line)
    assert status != 0
    assert said in text


@pytest.mark.parametrize("line, said", [
    ("ETagCompositeThreads threads=0", "threads"),
    ("ETagCompositeSecret short", "16 characters"),
    ('ETagCompositePart a "/a"', "not allowed here"),
])
def test_a_wrong_line_of_a_server_is_refused(httpd, line, said):
    status, text = httpd.configtest(line)
    assert status != 0
    assert said in text


@pytest.mark.parametrize("section", [
    'Location "/a/*"', 'Location "/[ab]"', 'Location "http://x/"',
    'Directory "/x"', 'Files "x"', "LocationMatch ^/x$", "Location ~ ^/x$"])
def test_where_nothing_is_counted_path_n_is_refused(httpd, section):
    status, text = httpd.configtest(
        '<%s>\nETagCompositePart a "/x/%%s" path:1\n</%s>'
        % (section, section.split()[0]))
    assert status != 0
    assert "path:" in text


def dashboard(backend):
    backend.on("/api/products", answer(200, {"ETag": '"p"'}, b"[1]"))
    backend.on("/api/users/42", answer(200, {"ETag": '"u"'}, b'{"id":42}'))
    backend.on("/api/users/a%20b%2Fc", answer(200, {}, b'{"id":0}'))
    backend.on("/shop/offers", answer(404))


def test_a_segment_behind_the_section_is_in_a_url(httpd, backend):
    dashboard(backend)
    got = httpd.get("/api/dashboard/42?page=7")
    assert got.body == b'{"products":[1],"user":{"id":42},"offers":[]}'
    assert backend.requests("/api/products")[-1].target \
        == "/api/products?page=7"
    assert httpd.get("/api/dashboard/42?page=7", {
        "If-None-Match": got.get("ETag")}).status == 304


@pytest.mark.parametrize("path", ["/api/dashboard", "/api/dashboard/"])
def test_without_the_segment_the_request_is_wrong(httpd, backend, path):
    dashboard(backend)
    got = httpd.get(path)
    assert got.status == 400
    assert b'"part":"user"' in got.body
    assert backend.hits("/api/products") == 0


def test_segments_are_counted_from_the_section_on(httpd, backend):
    parts(backend)
    for path, a, b in (("one", "one", None), ("one/2/three/4", "one", "three"),
                       ("%61%20b/x/c%3Fd", "a%20b", "c%3Fd"),
                       ("one/two/", "one", None)):
        backend.seen.clear()
        assert httpd.get("/segments/" + path).status == 200
        assert backend.requests("/part/a")[-1].target == "/part/a?" + a
        assert [request.target for request in backend.requests("/part/b")] \
            == ([] if b is None else ["/part/b?" + b])


def test_a_template_may_stand_behind_its_parts(httpd):
    status, text = httpd.configtest(
        '<Location /right>\nETagCompositePart a "/a"\n'
        "ETagCompositeTemplate page.json\n</Location>")
    assert status == 0, text


def test_a_section_without_parts_keeps_its_outers(httpd, backend):
    parts(backend)
    assert httpd.get("/outer").body == b"[1]"
    assert httpd.get("/outer/same").body == b"[1]"


def test_a_section_with_parts_has_those_alone(httpd, backend):
    parts(backend)
    assert httpd.get("/outer/inner").body == b'{"b":2}'


def test_what_is_not_forwarded_makes_nothing_private(httpd, backend):
    parts(backend)
    got = httpd.get("/language", {"Cookie": "a=1"})
    assert got.get("Cache-Control") == "max-age=60"
    assert "Cookie" not in backend.requests("/part/a")[-1]


def test_private_tags_outlive_a_restart_with_a_secret(httpd, backend):
    parts(backend)
    got = httpd.get("/outer", {"Cookie": "a=1"})
    httpd.restart()
    again = httpd.get("/outer", {"Cookie": "a=1",
                                 "If-None-Match": got.get("ETag")})
    assert again.status == 304


def test_a_reload_reads_the_template_again(httpd, backend):
    parts(backend)
    old = httpd.get("/outer")
    (httpd.root / "page.json").write_text('{"a": {"$part": "a"}}')
    httpd.graceful()
    new = httpd.get("/outer", {"If-None-Match": old.get("ETag")})
    assert new.body == b'{"a": 1}'
    (httpd.root / "page.json").write_text('[{"$part": "a"}]')
    httpd.graceful()
    assert httpd.get("/outer").get("ETag") == old.get("ETag")


def test_our_cache_keeps_a_composite(httpd, backend):
    parts(backend)
    got = httpd.get("/kept")
    assert got.status == 200 and not got.hit
    before = backend.hits("/part/a")
    again = httpd.get("/kept")
    assert again.hit or "collapsed" in again.cache, again
    assert again.body == got.body
    assert httpd.get("/kept", {"If-None-Match": got.get("ETag")}
                     ).status == 304
    assert backend.hits("/part/a") == before


def test_our_cache_validates_a_composite_by_its_tag(httpd, backend):
    parts(backend)
    got = httpd.get("/kept?again")
    httpd.request("PURGE", "/kept?again", {"ETag-Purge": "soft"})
    again = httpd.get("/kept?again")
    assert again.cache.get("fwd-status") == 304, again
    assert again.body == got.body


def tagged(backend, name, text, tag):
    backend.on("/tagged/" + name, answer(
        200, {"ETag": '"%s"' % text, "Cache-Control": "max-age=600",
              "Surrogate-Key": tag}, text))


def test_what_purges_a_part_purges_the_composite(httpd, backend):
    tagged(backend, "a", b"1", "one shared")
    tagged(backend, "b", b"2", "two")
    got = httpd.get("/with-tags")
    assert got.body == b'{"a":1,"b":2}'
    assert "Surrogate-Key" not in got
    assert httpd.get("/with-tags").hit
    tagged(backend, "b", b"3", "two")
    purged = httpd.request("PURGE", "/with-tags", {"Surrogate-Key": "two"})
    assert purged.status == 200, purged.body
    again = httpd.get("/with-tags")
    assert again.body == b'{"a":1,"b":3}'
    assert backend.hits("/tagged/a") == 1 and backend.hits("/tagged/b") == 1
    assert "Surrogate-Key" not in httpd.get("/tagged/a")


def test_a_part_that_validates_keeps_its_tags_in_the_composite(httpd,
                                                               backend):
    tagged(backend, "a", b"1", "first")
    tagged(backend, "b", b"2", "second")
    for path in ("/tagged/a", "/tagged/b"):
        httpd.request("PURGE", path)
    httpd.get("/with-tags?x")
    httpd.request("PURGE", "/with-tags?x", {"ETag-Purge": "soft"})
    assert httpd.get("/with-tags?x").cache.get("fwd-status") == 304
    tagged(backend, "a", b"4", "first")
    httpd.request("PURGE", "/with-tags", {"Surrogate-Key": "first"})
    assert httpd.get("/with-tags?x").body == b'{"a":4,"b":2}'


def test_tags_reach_no_client_of_a_composite_that_is_not_kept(httpd,
                                                              backend):
    tagged(backend, "a", b"1", "one")
    tagged(backend, "b", b"2", "two")
    assert "Surrogate-Key" not in httpd.get("/with-tags-unkept")
