# SPDX-License-Identifier: Apache-2.0
"""Cache groups (RFC 9875): what a POST changes elsewhere goes out of use."""
import json

import pytest

from conftest import PROXY
from harness.backend import answer, counting, validating
from harness.steps import FRESH, stored

CONFIG = PROXY + """
ETagCache On
"""


def group_of(path):
    return path.strip("/")


def quoted(*names):
    return ", ".join('"%s"' % name for name in names)


def in_groups(*names, **more):
    return dict(FRESH, **{"Cache-Groups": quoted(*names)}, **more)


def unsafe(httpd, backend, path, groups, method="POST", status=200,
           **options):
    target = path + "-change"
    backend.on(target, answer(status, {"Cache-Group-Invalidation": groups,
                                       "Cache-Control": "max-age=60"}))
    return httpd.request(method, target, **options)


def test_group_100_a_post_invalidates_the_groups_it_names(httpd, backend,
                                                          path):
    group = group_of(path)
    backend.on(path, validating(in_groups("other", group)))
    backend.on(path + "-else", counting(in_groups("other")))
    stored(httpd, backend, path)
    stored(httpd, backend, path + "-else")
    assert httpd.get(path).hit
    unsafe(httpd, backend, path, quoted("none", group))
    second = stored(httpd, backend, path)
    assert not second.hit
    assert second.cache["detail"] == "invalidated"
    assert "If-None-Match" in backend.requests(path)[-1]
    assert httpd.get(path).hit
    assert httpd.get(path + "-else").hit


def test_group_101_invalidated_is_not_served_stale(httpd, backend, path):
    backend.on(path, answer(200, in_groups(group_of(path), **{
        "Cache-Control": "max-age=60, stale-if-error=600"})))
    stored(httpd, backend, path)
    unsafe(httpd, backend, path, quoted(group_of(path)))
    backend.on(path, answer(503, {}))
    assert httpd.get(path).status == 503


@pytest.mark.parametrize("method, status, goes", [
    ("POST", 201, True), ("PUT", 204, True), ("DELETE", 303, True),
    ("PATCH", 200, True), ("FROBNICATE", 200, True),
    ("POST", 400, False), ("POST", 404, False), ("DELETE", 503, False),
    ("GET", 200, False), ("HEAD", 200, False), ("OPTIONS", 200, False),
    ("PROPFIND", 207, False)])
def test_group_102_only_unsafe_methods_that_succeed(httpd, backend, path,
                                                    method, status, goes):
    backend.on(path, counting(in_groups(group_of(path))))
    stored(httpd, backend, path)
    unsafe(httpd, backend, path, quoted(group_of(path)), method, status)
    assert httpd.get(path).hit != goes


def test_group_103_not_those_of_another_origin(httpd, backend, path):
    backend.on(path, counting(in_groups(group_of(path))))
    stored(httpd, backend, path, host="one.test")
    unsafe(httpd, backend, path, quoted(group_of(path)), host="two.test")
    assert httpd.get(path, host="one.test").hit
    unsafe(httpd, backend, path, quoted(group_of(path)), host="one.test")
    assert not httpd.get(path, host="one.test").hit


def test_group_104_a_stored_answer_of_get_invalidates_nothing(
        httpd, backend, path):
    backend.on(path, counting(in_groups(group_of(path), **{
        "Cache-Group-Invalidation": quoted(group_of(path))})))
    stored(httpd, backend, path)
    assert httpd.get(path).hit
    assert httpd.get(path).hit


def test_group_105_32_groups_of_32_characters(httpd, backend, path):
    names = ["%02d%s" % (number, group_of(path)[-30:].ljust(30, "x"))
             for number in range(32)]
    for name in (names[0], names[31]):
        backend.on(path, counting(in_groups(*names)))
        stored(httpd, backend, path)
        assert httpd.get(path).hit
        unsafe(httpd, backend, path, quoted(name))
        assert not httpd.get(path).hit
    stored(httpd, backend, path)
    unsafe(httpd, backend, path, quoted(*names))
    assert not httpd.get(path).hit


def test_group_106_names_are_compared_whole(httpd, backend, path):
    backend.on(path, counting(in_groups("a b, %s" % group_of(path))))
    stored(httpd, backend, path)
    unsafe(httpd, backend, path, quoted(group_of(path), "a", "b",
                                        "A b, %s" % group_of(path)))
    assert httpd.get(path).hit
    unsafe(httpd, backend, path,
           quoted("a b, %s" % group_of(path)) + ';later="x"')
    assert not httpd.get(path).hit


@pytest.mark.parametrize("malformed", ['%s', '"%s", x', '"%s"x', '"%s',
                                       '("%s")', '"%s",'])
def test_group_107_malformed_names_nothing(httpd, backend, path, malformed):
    group = group_of(path)
    backend.on(path, counting(in_groups(group)))
    backend.on(path + "-malformed", counting(dict(FRESH, **{
        "Cache-Groups": malformed % group})))
    stored(httpd, backend, path)
    stored(httpd, backend, path + "-malformed")
    unsafe(httpd, backend, path, malformed % group)
    assert httpd.get(path).hit
    unsafe(httpd, backend, path, quoted(group))
    assert not httpd.get(path).hit
    assert httpd.get(path + "-malformed").hit


def test_group_108_groups_and_tags_do_not_meet(httpd, backend, path):
    name = group_of(path)
    backend.on(path, counting(in_groups(name)))
    backend.on(path + "-tag", counting(dict(FRESH, **{
        "Surrogate-Key": name})))
    stored(httpd, backend, path)
    stored(httpd, backend, path + "-tag")
    httpd.request("PURGE", "/", {"Surrogate-Key": name})
    assert httpd.get(path).hit
    assert not httpd.get(path + "-tag").hit
    stored(httpd, backend, path + "-tag")
    unsafe(httpd, backend, path, quoted(name))
    assert not httpd.get(path).hit
    assert httpd.get(path + "-tag").hit


def test_group_109_clients_get_the_field(httpd, backend, path):
    backend.on(path, counting(in_groups("a", "b")))
    for response in (stored(httpd, backend, path), httpd.get(path)):
        assert response.get("Cache-Groups") == quoted("a", "b")
    response = unsafe(httpd, backend, path, quoted("a"))
    assert response.get("Cache-Group-Invalidation") == quoted("a")


def test_group_110_several_lines_are_one_list(httpd, backend, path):
    group = group_of(path)
    backend.on(path, counting(list(FRESH.items()) + [
        ("Cache-Groups", '"x"'), ("Cache-Groups", quoted(group))]))
    stored(httpd, backend, path)
    unsafe(httpd, backend, path, quoted(group))
    assert not httpd.get(path).hit


def test_group_111_a_purge_may_name_groups(httpd, backend, path):
    group = group_of(path)
    backend.on(path, counting(in_groups(group)))
    stored(httpd, backend, path)
    response = httpd.request("PURGE", "/", {"Cache-Groups": group})
    assert response.status == 400
    assert httpd.get(path).hit
    response = httpd.request("PURGE", "/", {"Cache-Groups": quoted(group)})
    assert response.status == 200
    assert json.loads(response.text)["generations"] == 1
    assert not httpd.get(path).hit


def test_group_112_what_a_post_stores_outlives_its_own_invalidation(
        httpd, backend, path):
    group = group_of(path)

    def handler(exchange):
        exchange.respond(200, in_groups(group, **{
            "Content-Location": path,
            "Cache-Group-Invalidation": quoted(group)}),
            exchange.request.method.encode())
    backend.on(path, handler)
    stored(httpd, backend, path, method="POST", body=b"x")
    response = httpd.get(path)
    assert response.hit and response.body == b"POST"
