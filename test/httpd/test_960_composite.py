# SPDX-License-Identifier: Apache-2.0
"""mod_etag_composite: one response made of several, with one tag."""
import json

from harness.backend import answer

CONFIG = """
<Location "/part/">
    ETagCache On
    ProxyPass "http://@BACKEND@/part/" connectiontimeout=5 timeout=30 retry=0
</Location>
<Location "/plain/">
    ProxyPass "http://@BACKEND@/plain/" connectiontimeout=5 timeout=30 retry=0
</Location>
<Location "/three">
    SetHandler etag-composite
    ETagCompositePart products "/part/products?page=%s" query:page=1
    ETagCompositePart user "/part/user"
    ETagCompositePart offers "/part/offers"
</Location>
CustomLog "@ROOT@/composite.log" "%U %>s %{etag-composite}n %{etag-composite-bytes}n %{etag-internal}n"
"""

HOUR = {"Cache-Control": "max-age=3600"}


def part(text, etag=None, headers=HOUR, **more):
    return answer(200, dict(headers, ETag=etag), text, **more)


def test_three_parts_are_one_object(httpd, backend):
    backend.on("/part/products", part(b'[1, 2.50, 1e400]', '"p1"'))
    backend.on("/part/user", part(b'{"name": "\\u00e9"}', '"u1"'))
    backend.on("/part/offers", part(b' [] \n', '"o1"'))
    got = httpd.get("/three")
    assert got.status == 200, got
    assert got.get("Content-Type") == "application/json"
    assert json.loads(got.body) == {
        "products": [1, 2.5, float("inf")], "user": {"name": "\u00e9"},
        "offers": []}
    assert b"2.50, 1e400" in got.body
    assert got.get("ETag").startswith('"')
    print(got)
    again = httpd.get("/three", {"If-None-Match": got.get("ETag")})
    print(again)
    assert again.status == 304
    assert again.get("Cache-Control") == got.get("Cache-Control")
