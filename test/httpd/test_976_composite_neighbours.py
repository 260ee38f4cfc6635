# SPDX-License-Identifier: Apache-2.0
"""mod_etag_composite beside what else an admin writes: a ProxyPass over it,
fields that mod_headers sets, purges of its parts, logs of their own."""
from harness.backend import answer

MODULES = ["etag_composite"]
CONFIG = """
ProxyPass "/all/open" !
ProxyPass "/all/" "http://@BACKEND@/all/" retry=0
ProxyPass "/part/" "http://@BACKEND@/part/" retry=0
<Location "/part/">
    ETagCache On
</Location>
<LocationMatch "^/all/(open|covered)$">
    SetHandler etag-composite
    ETagCompositePart a "/part/a"
</LocationMatch>
<Location "/all/above">
    SetHandler etag-composite
    ETagCompositePart a "/all/above/part"
</Location>
<Location "/set">
    SetHandler etag-composite
    Header set Cache-Control "max-age=7"
    ETagCompositePart a "/part/a"
    ETagCompositePart b "/part/b" optional
</Location>
<Location "/stored">
    SetHandler etag-composite
    ETagCache On
    ETagCompositePart a "/part/a"
</Location>
<Location "/stored/not">
    ETagCache Off
</Location>
LogFormat "%U %>s %{etag-composite}n" composite
CustomLog "@ROOT@/clients.log" composite "expr=-z note('etag-internal')"
CustomLog "@ROOT@/parts.log" composite "expr=note('etag-internal') == 'composite'"
"""


def part(text, tag='"1"'):
    return answer(200, {"ETag": tag, "Cache-Control": "max-age=60"}, text)


def new(httpd, backend, text=b"1"):
    httpd.request("PURGE", "/part/a")
    backend.on("/part/a", part(text))


def test_a_proxypass_does_not_cover_a_composite(httpd, backend):
    new(httpd, backend)
    backend.on("/all/covered", answer(200, {}, b"the backend's"))
    backend.on("/all/else", answer(200, {}, b"the backend's"))
    assert httpd.get("/all/open").body == b'{"a":1}'
    assert httpd.get("/all/covered").body == b'{"a":1}'
    assert httpd.get("/all/else").body == b"the backend's"


def test_a_part_below_its_composite_is_the_backends(httpd, backend):
    backend.on("/all/above/part", part(b"3"))
    assert httpd.get("/all/above").body == b'{"a":3}'


def test_what_mod_headers_sets_is_the_last_word(httpd, backend):
    new(httpd, backend)
    backend.on("/part/b", answer(500))
    got = httpd.get("/set")
    assert got.get("ETag-Composite") == 'incomplete; parts="b"'
    assert got.get("Cache-Control") == "max-age=7"
    assert "ETag" not in got


def test_a_part_purged_by_its_url_stays_in_a_stored_composite(httpd, backend):
    new(httpd, backend)
    assert httpd.get("/stored").status == 200
    assert httpd.get("/stored/not").status == 200
    new(httpd, backend, b"2")
    assert httpd.get("/stored").body == b'{"a":1}'
    assert httpd.get("/stored/not").body == b'{"a":2}'


def test_clients_and_parts_have_logs_of_their_own(make_httpd, backend):
    backend.on("/part/a", part(b"1"))
    httpd = make_httpd(CONFIG)
    assert httpd.get("/all/open").status == 200
    httpd.stop()
    clients = (httpd.root / "clients.log").read_text().splitlines()
    assert "/all/open 200 whole" in clients
    assert not [line for line in clients if line.startswith("/part/")]
    assert (httpd.root / "parts.log").read_text().splitlines() \
        == ["/part/a 200 -"]
