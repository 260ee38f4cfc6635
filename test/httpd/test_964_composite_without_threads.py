# SPDX-License-Identifier: Apache-2.0
"""Without threads there are no composites: the log says so, and so does the
answer."""
import json

import pytest

from harness.httpd import mpm

pytestmark = pytest.mark.skipif(mpm() != "prefork", reason="for prefork")

CONFIG = """
<Location "/page">
    SetHandler etag-composite
    ETagCompositePart a "/part/a"
</Location>
"""


def test_prefork_answers_503_and_warns_once(make_httpd):
    httpd = make_httpd(CONFIG, start=False)
    httpd.log.claim("ETG0501")
    httpd.start()
    got = httpd.get("/page")
    assert got.status == 503
    assert json.loads(got.body)["status"] == 503
    assert httpd.log.text(whole=True).count("ETG0501") == 1
