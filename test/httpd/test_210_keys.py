# SPDX-License-Identifier: Apache-2.0
"""What is one and the same resource to the cache."""
import pytest

from conftest import PROXY
from harness.backend import counting
from harness.steps import FRESH, stored

HOST = """
<VirtualHost 127.0.0.1:@PORT@>
    ServerName %s.test
    ServerAlias localhost one.test ONE.test
    ETagCache On
    %s
""" + PROXY + """
</VirtualHost>
"""

CONFIG = "".join([
    HOST % ("plain", "ETagCacheStatus Key"),
    HOST % ("ignore", "ETagCacheKeyIgnoreQuery utm_* fbclid"),
    HOST % ("sort", "ETagCacheKeySortQuery On"),
    HOST % ("both", "ETagCacheKeySortQuery On\n"
            "ETagCacheKeyIgnoreQuery utm_*"),
    HOST % ("header", "ETagCacheKeyHeader X-Device"),
    HOST % ("private", "ETagCachePrivateHeaders X-Token"),
])


def same(httpd, backend, path, one, other, host="plain.test", headers=(),
         other_headers=()):
    """Is the second target answered by what the first one stored?"""
    backend.on(path, counting(FRESH))
    stored(httpd, backend, path + one, headers, host=host)
    return httpd.get(path + other, other_headers, host=host).hit


def test_keys_100_queries_count(httpd, backend, path):
    assert same(httpd, backend, path, "?a=1", "?a=1")
    assert not same(httpd, backend, path + "-1", "?a=1", "?a=2")
    assert not same(httpd, backend, path + "-2", "?a=1", "")
    assert not same(httpd, backend, path + "-3", "", "?")
    assert not same(httpd, backend, path + "-4", "?a=1&b=2", "?b=2&a=1")
    assert not same(httpd, backend, path + "-5", "?a=1", "?A=1")


def test_keys_101_paths_count_as_sent(httpd, backend, path):
    backend.otherwise(counting(FRESH))
    try:
        stored(httpd, backend, path + "/a", host="plain.test")
        for other in ("/A", "/a/", "/%61", "//a", "/./a"):
            assert not httpd.get(path + other, host="plain.test").hit, other
    finally:
        backend.otherwise(None)


def test_keys_102_host_is_case_insensitive(httpd, backend, path):
    backend.on(path, counting(FRESH))
    stored(httpd, backend, path, host="one.test")
    assert httpd.get(path, host="ONE.Test").hit


def test_keys_103_host_and_port_count(httpd, backend, path):
    backend.on(path, counting(FRESH))
    stored(httpd, backend, path, host="plain.test")
    assert not httpd.get(path, host="one.test").hit
    assert not httpd.get(path, host="plain.test:8080").hit
    assert not httpd.get(path, host="plain.test:%d" % httpd.port).hit


def test_keys_104_absolute_form_is_the_same_resource(httpd, backend, path):
    backend.on(path, counting(FRESH))
    stored(httpd, backend, path, host="plain.test")
    response = httpd.get("http://plain.test" + path, host="plain.test")
    assert response.hit


@pytest.mark.parametrize("field", [
    "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Scheme",
    "X-Forwarded-Port", "X-Forwarded-Prefix", "Forwarded", "X-Original-URL",
    "X-Rewrite-URL"])
def test_keys_110_steering_fields_are_part_of_the_key(httpd, backend, path,
                                                      field):
    backend.on(path, counting(FRESH))
    evil = {field: "evil"}
    assert stored(httpd, backend, path, evil,
                  host="plain.test").body == b"answer 1"
    assert backend.requests(path)[0].get(field).startswith("evil")
    assert stored(httpd, backend, path,
                  host="plain.test").body == b"answer 2"
    assert httpd.get(path, host="plain.test").body == b"answer 2"
    assert httpd.get(path, evil, host="plain.test").body == b"answer 1"


def test_keys_120_ignored_parameters(httpd, backend, path):
    for one, other, equal in (
            ("?utm_source=x", "", True), ("?a=1&utm_source=x", "?a=1", True),
            ("?utm_a=1&a=1&fbclid=3", "?a=1", True),
            ("?%75tm_source=x&a=1", "?a=1", True),
            ("?a=1&UTM_source=x", "?a=1", False),
            ("?a=utm_source", "?a", False), ("?autm_x=1", "", False)):
        target = path + "-%d" % abs(hash((one, other)))
        assert same(httpd, backend, target, one, other,
                    host="ignore.test") == equal, (one, other)


def test_keys_121_ignored_parameters_do_not_reach_the_backend(httpd, backend,
                                                             path):
    backend.on(path, counting(FRESH))
    httpd.get(path + "?b=%20x&utm_source=a&a=1", host="ignore.test")
    assert backend.requests(path)[0].target == path + "?b=%20x&a=1"
    httpd.get(path + "?utm_source=a", host="ignore.test")
    assert backend.requests(path)[1].target == path


def test_keys_130_sorted_parameters(httpd, backend, path):
    for one, other, equal in (
            ("?b=2&a=1", "?a=1&b=2", True), ("?a=1&a=2", "?a=2&a=1", False),
            ("?c&b&a", "?a&b&c", True)):
        target = path + "-%d" % abs(hash((one, other)))
        assert same(httpd, backend, target, one, other,
                    host="sort.test") == equal, (one, other)
    target = path + "-both"
    assert same(httpd, backend, target, "?b=2&utm_x=1&a=1", "?a=1&b=2",
                host="both.test")


def test_keys_140_key_header(httpd, backend, path):
    backend.on(path, counting(FRESH))
    phone, tablet = {"X-Device": "phone"}, {"X-Device": "tablet"}
    stored(httpd, backend, path, phone, host="header.test")
    assert not httpd.get(path, tablet, host="header.test").hit
    assert not httpd.get(path, host="header.test").hit
    assert httpd.get(path, phone, host="header.test").hit
    stored(httpd, backend, path, phone, host="plain.test")
    assert httpd.get(path, tablet, host="plain.test").hit


def test_keys_141_a_header_cannot_imitate_the_query(httpd, backend, path):
    backend.on(path, counting(FRESH))
    for number, headers in enumerate((
            {"X-Device": "a"}, {"X-Device": "a\tb"}, {"X-Device": ""}, {})):
        response = httpd.get(path, headers, host="header.test")
        assert response.body == b"answer %d" % (number + 1)


def test_keys_150_other_private_headers(httpd, backend, path):
    backend.on(path, counting(FRESH))
    stored(httpd, backend, path, {"X-Token": "t"}, host="private.test")
    assert not httpd.get(path, host="private.test").hit
    # The list replaces the default, as the administrator asked.
    stored(httpd, backend, path + "?c", {"Cookie": "a=b"},
           host="private.test")
    assert httpd.get(path + "?c", host="private.test").hit
