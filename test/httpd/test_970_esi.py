# SPDX-License-Identifier: Apache-2.0
"""mod_etag_composite: pages with Edge Side Includes: what is done to their
markup and fields."""
import pytest

from harness.backend import answer
from harness.httpd import mpm

pytestmark = pytest.mark.skipif(mpm() == "prefork", reason="needs threads")

CONFIG = """
<Location "/esi/">
    ETagCompositeESI On
    ETagCompositeESIAllow /frag /kept
    ProxyPass "http://@BACKEND@/esi/" connectiontimeout=5 timeout=30 retry=0
</Location>
<Location "/always/">
    ETagCompositeESI Always
    ETagCompositeESIAllow /frag
    ProxyPass "http://@BACKEND@/always/" connectiontimeout=5 timeout=30 retry=0
</Location>
<Location "/cached/">
    ETagCache On
    ETagCompositeESI On
    ETagCompositeESIAllow /frag /kept
    ProxyPass "http://@BACKEND@/cached/" connectiontimeout=5 timeout=30 retry=0
</Location>
<Location "/off/">
    ProxyPass "http://@BACKEND@/off/" connectiontimeout=5 timeout=30 retry=0
</Location>
<Location "/frag/">
    ProxyPass "http://@BACKEND@/frag/" connectiontimeout=5 timeout=30 retry=0
</Location>
<Location "/kept/">
    ETagCache On
    ProxyPass "http://@BACKEND@/kept/" connectiontimeout=5 timeout=30 retry=0
</Location>
CustomLog "@ROOT@/composite.log" "%{etag-internal}n %U %>s %{etag-composite}n"
"""

ESI = {"Content-Type": "text/html", "Surrogate-Control": 'content="ESI/1.0"'}
HTML = {"Content-Type": "text/html"}


def page(text, headers=(), status=200, **more):
    return answer(status, dict(ESI, **dict(headers)), text, **more)


def frag(text, headers=(), status=200, **more):
    return answer(status, dict(HTML, **dict(headers)), text, **more)


def include(src, more=""):
    return '<esi:include src="%s"%s/>' % (src, more)


# Markup

def test_fragments_stand_in_the_places_of_their_includes(httpd, backend,
                                                         path):
    backend.on("/esi" + path, page("<p>" + include("/frag/a") + "|"
                                   + include("/kept/b") + "</p>"))
    backend.on("/frag/a", frag("A"))
    backend.on("/kept/b", frag("B", {"Cache-Control": "max-age=60"}))
    got = httpd.get("/esi" + path)
    assert got.status == 200, got
    assert got.body == b"<p>A|B</p>"
    assert int(got.get("Content-Length")) == 10
    assert got.get("Content-Type") == "text/html"
    assert "Surrogate-Control" not in got
    assert got.get("ETag").startswith('"')
