# SPDX-License-Identifier: Apache-2.0
"""mod_etag_composite: pages with Edge Side Includes whose own tag, or that of
a fragment, is of their data (mod_etag_freshness)."""
import pytest

from harness.backend import answer
from harness.database import from_line, render
from harness.httpd import mpm

pytestmark = pytest.mark.skipif(mpm() == "prefork", reason="needs threads")

PRODUCTS = 30
PER = 10
CONFIG = """
<Location "/">
    ETagCompositeESI On
    ETagCompositeESIAllow /frag /data
    ETagFreshnessOverride On
    ETagFreshnessBudget 2s
</Location>
<LocationMatch "^/(data|kept)/">
    ETagFreshness On
    %s
</LocationMatch>
<Location "/kept/">
    ETagCache On
    ETagCacheOverride "public, no-cache"
    ProxyPass "http://@BACKEND@/kept/" connectiontimeout=5 timeout=30 retry=0
</Location>
<Location "/data/">
    ProxyPass "http://@BACKEND@/data/" connectiontimeout=5 timeout=30 retry=0
</Location>
<Location "/plain/">
    ProxyPass "http://@BACKEND@/plain/" connectiontimeout=5 timeout=30 retry=0
</Location>
<Location "/frag/">
    ProxyPass "http://@BACKEND@/frag/" connectiontimeout=5 timeout=30 retry=0
</Location>
""" % from_line(PER)

ESI = {"Content-Type": "text/html", "Surrogate-Control": 'content="ESI/1.0"'}
WHERE = pytest.mark.parametrize("where", ["/data", "/kept"])
WRITES = pytest.mark.parametrize("write", [
    lambda shop: shop.update(3), lambda shop: shop.insert(0, "new"),
    lambda shop: shop.delete(3)], ids=["update", "insert", "delete"])


def page(shop, text):
    """Its data by its side, which only the tag tells of."""
    def handler(exchange):
        exchange.respond(200, ESI, text.encode())
    return handler


def hold(httpd, target, got):
    return httpd.get(target, {"If-None-Match": got.get("ETag")})


@WHERE
@WRITES
def test_the_tag_moves_with_the_pages_data(httpd, backend, shop, path, where,
                                           write):
    backend.on(where + path, page(shop, 'a<esi:include src="/frag/f"/>'))
    backend.on("/frag/f", answer(200, {"ETag": '"f"'}, "F"))
    got = httpd.get(where + path)
    assert got.status == 200 and got.body == b"aF"
    assert hold(httpd, where + path, got).status == 304
    write(shop)
    again = hold(httpd, where + path, got)
    assert again.status == 200 and again.body == b"aF"
    assert again.get("ETag") != got.get("ETag")


@WRITES
def test_the_tag_moves_with_a_fragments_data(httpd, backend, shop, path,
                                             write):
    backend.on("/plain" + path, answer(200, dict(ESI, ETag='"p"'),
                                       '<esi:include src="/data%s"/>' % path))
    backend.on("/data" + path, render(shop, per=PER))
    got = httpd.get("/plain" + path)
    assert got.status == 200
    assert hold(httpd, "/plain" + path, got).status == 304
    write(shop)
    again = hold(httpd, "/plain" + path, got)
    assert again.status == 200
    assert again.body != got.body
    assert again.get("ETag") != got.get("ETag")


@WHERE
def test_dates_of_data_decide_nothing_beside_esi(httpd, backend, shop, path,
                                                 where):
    """A page without ESI: its date stays when a member goes."""
    backend.on(where + path, render(shop, per=PER))
    for _ in range(2):
        got = httpd.get(where + path)
        date = got.get("Last-Modified")
        assert date is not None
        assert httpd.get(where + path,
                         {"If-Modified-Since": date}).status == 200
        assert hold(httpd, where + path, got).status == 304
    shop.delete(3)
    assert hold(httpd, where + path, got).status == 200
