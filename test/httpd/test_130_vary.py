# SPDX-License-Identifier: Apache-2.0
"""Vary: which request fields choose among several responses of one URL."""
import pytest

from conftest import PROXY
from harness.backend import counting
from harness.steps import stored

CONFIG = PROXY + """
ETagCache On
<Location "/few/">
    ETagCacheMaxVariants 3
</Location>
<Location "/languages/">
    ETagCacheAcceptLanguage de en
</Location>
"""


def varying(*names, **more):
    """Answers with the fields that Vary names as its body."""
    def handler(exchange):
        body = "|".join("%s=%s" % (name, exchange.request.get(name))
                        for name in names)
        exchange.respond(200, dict({"Cache-Control": "max-age=60",
                                    "Vary": ", ".join(names)}, **more),
                         body.encode())
    return handler


def test_vary_100_each_value_has_its_response(httpd, backend, path):
    backend.on(path, varying("X-A"))
    for value in ("1", "2"):
        stored(httpd, backend, path, {"X-A": value})
    for value in ("1", "2", "1"):
        response = httpd.get(path, {"X-A": value})
        assert response.hit
        assert response.body == b"X-A=" + value.encode()
    assert backend.hits(path) == 2


def test_vary_101_another_value_is_a_vary_miss(httpd, backend, path):
    backend.on(path, varying("X-A"))
    stored(httpd, backend, path, {"X-A": "1"})
    assert httpd.get(path, {"X-A": "3"}).cache["fwd"] == "vary-miss"


def test_vary_102_missing_is_not_empty(httpd, backend, path):
    backend.on(path, varying("X-A"))
    stored(httpd, backend, path)
    response = httpd.get(path, {"X-A": ""})
    assert not response.hit and response.body == b"X-A="
    assert httpd.get(path).body == b"X-A=None"


def test_vary_103_all_named_fields_count(httpd, backend, path):
    backend.on(path, varying("X-A", "X-B"))
    stored(httpd, backend, path, {"X-A": "1", "X-B": "2"})
    assert not httpd.get(path, {"X-A": "1", "X-B": "3"}).hit
    assert not httpd.get(path, {"X-A": "2"}).hit
    assert httpd.get(path, {"X-B": "2", "X-A": "1"}).hit


def test_vary_104_values_cannot_imitate_each_other(httpd, backend, path):
    backend.on(path, varying("X-A", "X-B"))
    stored(httpd, backend, path, {"X-A": "1", "X-B": "2"})
    for headers in ({"X-A": "1\t2"}, {"X-A": "1, X-B: 2"}, {"X-A": "12"},
                    {"X-A": "1", "X-B": "2, "}, {"X-A": "", "X-B": "12"}):
        response = httpd.get(path, headers)
        assert not response.hit or headers == {"X-A": "1", "X-B": "2, "}


def test_vary_105_repeated_fields_are_one_list(httpd, backend, path):
    backend.on(path, varying("X-A"))
    stored(httpd, backend, path, [("X-A", "1"), ("X-A", "2")])
    assert httpd.get(path, {"X-A": "1, 2"}).hit
    assert not httpd.get(path, {"X-A": "2, 1"}).hit


def test_vary_106_names_are_case_insensitive(httpd, backend, path):
    backend.on(path, varying("x-A"))
    stored(httpd, backend, path, {"X-a": "1"})
    assert httpd.get(path, {"x-a": "1"}).hit


def test_vary_107_accept_encoding_is_asked_without_variants(httpd, backend,
                                                           path):
    backend.on(path, varying("Accept-Encoding"))
    stored(httpd, backend, path, {"Accept-Encoding": "gzip"})
    response = httpd.get(path, {"Accept-Encoding": "br, gzip"})
    assert response.status == 200
    assert "Content-Encoding" not in response \
        or response.get("Content-Encoding") == "gzip"


def test_vary_108_variants_have_a_limit_and_stay_right(httpd, backend, path):
    path = "/few" + path
    backend.on(path, varying("X-A"))
    for number in range(20):
        stored(httpd, backend, path, {"X-A": str(number)})
    hits = 0
    for number in range(20):
        response = httpd.get(path, {"X-A": str(number)})
        assert response.body == b"X-A=%d" % number
        hits += response.hit
    assert hits <= 3


def test_vary_109_the_newest_variants_are_kept(httpd, backend, path):
    path = "/few" + path
    backend.on(path, varying("X-A"))
    for number in range(5):
        stored(httpd, backend, path, {"X-A": str(number)})
    assert httpd.get(path, {"X-A": "4"}).hit


def test_vary_110_vary_may_change_over_time(httpd, backend, path):
    backend.on(path, varying("X-A"))
    stored(httpd, backend, path, {"X-A": "1", "X-B": "1"})
    backend.on(path, varying("X-A", "X-B"))
    stored(httpd, backend, path, {"X-A": "2", "X-B": "1"})
    response = httpd.get(path, {"X-A": "2", "X-B": "2"})
    assert response.body == b"X-A=2|X-B=2" and not response.hit
    assert httpd.get(path, {"X-A": "2", "X-B": "1"}).hit


def test_vary_111_language_is_reduced_to_what_the_site_has(httpd, backend,
                                                          path):
    path = "/languages" + path
    backend.on(path, counting({"Cache-Control": "max-age=60",
                               "Vary": "Accept-Language"}))
    stored(httpd, backend, path, {"Accept-Language": "en-GB, en;q=0.8"})
    for value in ("en", "fr, en;q=0.3", "EN-us,en", "en;q=0.9, de;q=0.1"):
        assert httpd.get(path, {"Accept-Language": value}).hit, value
    assert not httpd.get(path, {"Accept-Language": "de"}).hit


def test_vary_112_variants_are_validated_with_all_their_tags(httpd, backend,
                                                            path):
    def tagged(exchange):
        value = exchange.request.get("X-A")
        fields = {"Cache-Control": "max-age=60", "Vary": "X-A",
                  "ETag": '"%s"' % value}
        exchange.respond(200, fields, value.encode())
    backend.on(path, tagged)
    stored(httpd, backend, path, {"X-A": "1"})
    stored(httpd, backend, path, {"X-A": "2"})
    assert httpd.get(path, {"X-A": "3"}).body == b"3"
    assert httpd.get(path, {"X-A": "1"}).body == b"1"


@pytest.mark.parametrize("vary", ["", ",", "X-A,,X-B", " , X-A"])
def test_vary_113_odd_lists_do_no_harm(httpd, backend, path, vary):
    backend.on(path, counting({"Cache-Control": "max-age=60", "Vary": vary}))
    stored(httpd, backend, path, {"X-A": "1"})
    assert httpd.get(path, {"X-A": "1"}).status == 200
    if "X-A" in vary:
        assert not httpd.get(path, {"X-A": "2"}).hit
