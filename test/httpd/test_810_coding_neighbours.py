# SPDX-License-Identifier: Apache-2.0
"""Compressed entries beside and behind others that compress: mod_deflate and
mod_brotli in every setting, backends that do it unasked, PHP's zlib, HTTP/2,
and another machine."""
import gzip
import re
import subprocess
import zlib

import pytest

from conftest import PROXY
from harness import curl
from harness import php as php_module
from harness.backend import answer
from harness.call_log import page
from harness.machines import STORES, Machines, arrives
from harness.memcached import Cluster
from harness.net import poll
from harness.steps import FRESH, STALE, hit, settle, stored

# As Debian's deflate.conf says it, for what our backend sends.
DEFLATE = "AddOutputFilterByType DEFLATE text/html text/plain text/css\n"
BROTLI = ("AddOutputFilterByType BROTLI_COMPRESS text/html text/plain\n")
NOT_PROXIED = 'ProxyPass "/php/" "!"\nProxyPass "/files/" "!"\n'

CONFIG = NOT_PROXIED + PROXY + DEFLATE + """
ETagCache On
<Location "/files/">
    Header set Cache-Control max-age=60
</Location>
<Directory "@DOCROOT@/php">
    <FilesMatch "\\.php$">
        SetHandler "proxy:unix:@ROOT@/run/php.sock|fcgi://localhost"
    </FilesMatch>
</Directory>
"""
TLS = PROXY + DEFLATE + "ETagCache On\n"

PHP = """<?php
ini_set('zlib.output_compression', '1');
header('Cache-Control: max-age=60');
header('Content-Type: text/html');
header('ETag: "php"');
echo str_repeat('<p>' . $_SERVER['REQUEST_URI'] . '</p>', 500);
"""
GZ = {"Accept-Encoding": "gzip"}
BR = {"Accept-Encoding": "br"}
PAGE = page(7, 6000)
CODED = r'"v1;etg-gzip-[0-9a-f]{16}"'


def prepare(httpd):
    httpd.file("php/zlib.php", PHP)


def html(body=PAGE, etag='"v1"', **more):
    return answer(200, dict(FRESH, **{"Content-Type": "text/html",
                                      "ETag": etag}, **more), body)


def decoded(response):
    """The plain bytes of an answer; its fields must say the truth."""
    codings = response.all("Content-Encoding")
    assert len(codings) <= 1, codings
    if not codings:
        return response.body
    if codings == ["br"]:
        return brotli(response.body)
    assert codings == ["gzip"], codings
    return gzip.decompress(response.body)


def brotli(data):
    done = subprocess.run(["brotli", "-dc"], input=data,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert done.returncode == 0, done.stderr
    return done.stdout


def varies(response):
    names = [name.strip().lower()
             for name in (response.get("Vary") or "").split(",")]
    assert "accept-encoding" in names, response
    return response


# mod_deflate and mod_brotli

BESIDE = {
    "by-type": DEFLATE,
    "set-filter": "SetOutputFilter DEFLATE\n",
    "no-change": DEFLATE + "DeflateAlterETag NoChange\n",
    "remove": DEFLATE + "DeflateAlterETag Remove\n",
    "provider": "FilterDeclare Compress CONTENT_SET\n"
                "FilterProvider Compress DEFLATE "
                "\"%{CONTENT_TYPE} =~ m#^text/#\"\n"
                "FilterChain Compress\n",
    "brotli": BROTLI,
    "both": "SetOutputFilter BROTLI_COMPRESS;DEFLATE\n",
    "no-gzip": DEFLATE + "SetEnv no-gzip 1\n",
    "no-gzip-early": DEFLATE + 'SetEnvIf Request_URI "." no-gzip\n',
    "neither": "",
}
CLIENTS = [GZ, {}, {"Accept-Encoding": "gzip, deflate, br"}, BR,
           {"Accept-Encoding": "gzip;q=0"}, {"Accept-Encoding": "*"}]


@pytest.fixture(scope="module", params=sorted(BESIDE))
def beside(request, backend):
    """An httpd with that neighbour, for several tests."""
    from conftest import build, finish
    server = build("beside", backend, PROXY + "ETagCache On\n"
                   + BESIDE[request.param], modules=("brotli",))
    server.neighbour = request.param
    server.start()
    yield server
    finish(server)


def test_beside_100_every_client_gets_the_page_on_a_miss_and_on_hits(
        beside, backend, path):
    for number, first in enumerate(CLIENTS):
        target = "%s-%d" % (path, number)
        backend.on(target, html())
        seen = {}
        with beside.connect() as connection:
            responses = [connection.get(target, first)]
            settle(beside, backend, connection, target)
        responses += curl.ask(beside, target,
                              [("GET", says) for says in CLIENTS * 2])
        for response in responses:
            assert response.status == 200
            assert decoded(varies(response)) == PAGE, response
            tag = response.get("ETag")
            if tag is not None and tag.startswith('"') \
                    and beside.neighbour != "no-change":
                assert seen.setdefault(tag, response.body) == response.body
        assert backend.hits(target) == 1


def test_beside_101_the_stored_gzip_is_what_gzip_clients_get(beside, backend,
                                                             path):
    """Unless the administrator wants none."""
    backend.on(path, html())
    stored(beside, backend, path)
    first, second, head = curl.ask(beside, path, [
        ("GET", GZ), ("GET", {"Accept-Encoding": "gzip, deflate, br"}),
        ("HEAD", GZ)])
    assert first.body == second.body
    for response in (first, second, head):
        assert response.hit
        if beside.neighbour.startswith("no-gzip"):
            assert "Content-Encoding" not in response
            assert response.get("ETag") == '"v1"'
            continue
        assert response.all("Content-Encoding") == ["gzip"]
        assert re.fullmatch(CODED, response.get("ETag")), response
        assert response.get("Content-Length") == str(len(first.body))


def test_beside_102_tags_from_before_get_their_304(beside, backend, path):
    """Clients come with what mod_deflate or mod_brotli gave them before the
    cache was there, or give them now."""
    backend.on(path, html())
    stored(beside, backend, path)
    for says in CLIENTS:
        response, = curl.ask(beside, path, [("GET", says)])
        held = [tag for tag in ('"v1"', '"v1-gzip"', '"v1-br"',
                                response.get("ETag")) if tag]
        for tag in held:
            answer_, = curl.ask(beside, path, [
                ("GET", dict(says, **{"If-None-Match": tag}))])
            assert answer_.status == 304, (says, tag, answer_)
            assert varies(answer_).body == b""
        answer_, = curl.ask(beside, path, [
            ("GET", dict(says, **{"If-None-Match": '"v2-gzip"'}))])
        assert answer_.status == 200
    assert backend.hits(path) == 1


def test_beside_103_after_revalidation_as_well(beside, backend, path):
    fields = {"Content-Type": "text/html", "ETag": '"v1"'}

    def validates(exchange):
        assert exchange.request.get("If-None-Match") in (None, '"v1"')
        if "If-None-Match" in exchange.request:
            exchange.respond(304, dict(fields, **FRESH))
        else:
            exchange.respond(200, dict(fields, **STALE), PAGE)
    backend.on(path, validates)
    stored(beside, backend, path)
    first, = curl.ask(beside, path, [("GET", GZ)])
    second, = curl.ask(beside, path, [("GET", dict(GZ, **{
        "If-None-Match": first.get("ETag")}))])
    assert decoded(first) == PAGE
    assert second.status == 304
    assert backend.hits(path) >= 2


def test_beside_104_ranges_are_of_what_is_sent(beside, backend, path):
    backend.on(path, html())
    stored(beside, backend, path)
    for says in (GZ, {}):
        whole, = curl.ask(beside, path, [("GET", says)])
        part, = curl.ask(beside, path, [
            ("GET", dict(says, Range="bytes=100-199"))])
        assert part.get("Content-Encoding") == whole.get("Content-Encoding")
        assert part.status in (200, 206)
        assert part.body == (whole.body if part.status == 200
                             else whole.body[100:200])
        if not beside.neighbour.startswith("no-gzip"):
            assert part.status == 206


def test_beside_110_clients_of_br_alone(make_httpd, backend, path):
    httpd = make_httpd(PROXY + BROTLI + "ETagCache On\n",
                       modules=("brotli",))
    backend.on(path, html())
    stored(httpd, backend, path)
    plain, packed = curl.ask(httpd, path, [("GET", {}), ("GET", BR)])
    assert decoded(packed) == PAGE
    assert packed.get("Content-Encoding") == "br"
    assert packed.get("ETag") != plain.get("ETag")
    url = "http://127.0.0.1:%d%s" % (httpd.port, path)
    assert curl.run("-H", "Accept-Encoding: br", "--compressed", url) == PAGE


# switched off

def test_off_100_nothing_is_coded(make_httpd, backend, path):
    httpd = make_httpd(PROXY + "ETagCache On\nETagCacheCompress Off\n")
    backend.on(path, html())
    stored(httpd, backend, path)
    response, = curl.ask(httpd, path, [("GET", GZ)])
    assert response.hit and response.body == PAGE
    assert response.get("ETag") == '"v1"'
    assert "Content-Encoding" not in response and "Vary" not in response


def test_off_101_mod_deflate_works_on_hits_then(make_httpd, backend, path):
    httpd = make_httpd(PROXY + DEFLATE + "ETagCache On\n"
                       "ETagCacheCompress Off\n")
    backend.on(path, html())
    stored(httpd, backend, path)
    response, = curl.ask(httpd, path, [("GET", GZ)])
    assert response.hit and decoded(response) == PAGE
    assert response.get("Content-Encoding") == "gzip"
    assert response.get("ETag") == '"v1-gzip"'


def test_off_102_what_was_coded_before_serves_right(make_httpd, backend,
                                                    path):
    httpd = make_httpd(PROXY + "ETagCache On\n")
    backend.on(path, html())
    stored(httpd, backend, path)
    before, = curl.ask(httpd, path, [("GET", GZ)])
    assert before.get("Content-Encoding") == "gzip"
    httpd.config("ETagCacheCompress Off\n")
    httpd.graceful()
    coded, plain, again = curl.ask(httpd, path, [
        ("GET", GZ), ("GET", {}),
        ("GET", dict(GZ, **{"If-None-Match": before.get("ETag")}))])
    assert decoded(coded) == PAGE and decoded(plain) == PAGE
    assert again.status == 304
    assert backend.hits(path) == 1


def test_off_103_a_route_may_differ(make_httpd, backend, path):
    httpd = make_httpd(PROXY + "ETagCache On\n<Location \"/off/\">\n"
                       "ETagCacheCompress Off\n</Location>\n"
                       "<Location \"/nine/\">\nETagCacheCompress gzip:9\n"
                       "</Location>\n")
    lengths = {}
    for prefix in ("", "/off", "/nine"):
        backend.on(prefix + path, html())
        stored(httpd, backend, prefix + path)
        response, = curl.ask(httpd, prefix + path, [("GET", GZ)])
        assert decoded(response) == PAGE
        lengths[prefix] = len(response.body)
    assert lengths["/off"] == len(PAGE)
    assert lengths["/nine"] <= lengths[""] < len(PAGE) / 3


# HTTP/2

@pytest.mark.http2
def test_http2_100_codings_tags_and_ranges(httpd, backend, path):
    backend.on(path, html())
    host = "127.0.0.1:%d" % httpd.tls_port
    stored(httpd, backend, path, tls=True, host=host)
    gz = ("-H", "Accept-Encoding: gzip")
    coded, plain = httpd.curl(path, *gz), httpd.curl(path)
    assert coded.version == "HTTP/2" and coded.hit and plain.hit
    assert gzip.decompress(coded.body) == plain.body == PAGE
    for says in (gz, ()):
        for tag in (coded.get("ETag"), plain.get("ETag")):
            response = httpd.curl(path, *says, "-H",
                                  "If-None-Match: " + tag)
            assert (response.status, response.get("ETag")) == (304, tag)
            varies(response)
    part = httpd.curl(path, *gz, "-r", "5-24")
    assert (part.status, part.body) == (206, coded.body[5:25])
    part = httpd.curl(path, "-r", "5-24")
    assert (part.status, part.body) == (206, PAGE[5:25])
    head = httpd.curl(path, *gz, "-I")
    assert head.get("Content-Length") == str(len(coded.body))


@pytest.mark.http2
def test_http2_101_nghttp_decodes_what_it_gets(httpd, backend, path):
    backend.on(path, html())
    # Its --header replaces what it says by default: gzip, deflate.
    url = "https://127.0.0.1:%d%s" % (httpd.tls_port, path)
    for _ in range(3):
        done = subprocess.run(["nghttp", "--no-verify-peer", url],
                              stdout=subprocess.PIPE, timeout=60)
        assert done.returncode == 0 and done.stdout == PAGE


# two machines

@pytest.mark.parametrize("store", sorted(STORES))
def test_machines_100_what_one_coded_the_other_serves(make_httpd, backend,
                                                      path, store):
    with Cluster(3) as servers:
        a, b = Machines(make_httpd, PROXY + "ETagCache On\n", servers, store)
        for size in (6000, 90000, 5000000):
            body = page(size, size)
            target = "%s-%d" % (path, size)
            backend.on(target, html(body))
            stored(a, backend, target, GZ)
            arrives(b, target)
            first, = curl.ask(a, target, [("GET", GZ)])
            coded, plain, part, head = curl.ask(b, target, [
                ("GET", GZ), ("GET", {}), ("GET", {"Range": "bytes=9-99"}),
                ("HEAD", GZ)])
            assert coded.hit and coded.body == first.body
            assert coded.get("ETag") == first.get("ETag")
            assert decoded(coded) == body and plain.body == body
            assert part.body == body[9:100]
            assert head.get("Content-Length") == str(len(coded.body))
            for tag in (coded.get("ETag"), '"v1"'):
                response, = curl.ask(b, target, [
                    ("GET", dict(GZ, **{"If-None-Match": tag}))])
                assert response.status == 304
            assert backend.hits(target) == 1
        for httpd in (a, b):
            httpd.stop()


def test_machines_110_two_caches_one_behind_the_other(make_httpd, backend,
                                                      path):
    """Each puts its own suffix on and takes it off again."""
    inner = make_httpd(PROXY + "ETagCache On\n")
    outer = make_httpd('ProxyPass "/" "http://127.0.0.1:%d/" retry=0\n'
                       "ProxyPreserveHost On\nETagCache On\n" % inner.port)
    packed = {"Content-Encoding": "gzip"}
    for target, body, more in ((path, PAGE, {}),
                               (path + "-gz", gzip.compress(PAGE), packed)):
        def page_or_update(exchange, body=body, more=more):
            if exchange.request.method == "GET":
                html(body, **more)(exchange)
            else:
                exchange.respond(204, {})
        backend.on(target, page_or_update)
        # Cache-Status names the inner one first.
        poll(lambda target=target: "hit" in outer.get(target).get(
            "Cache-Status").rpartition("Etagere;")[2], "a hit on the outer")
        for says in (GZ, {}):
            response, = curl.ask(outer, target, [("GET", says)])
            assert decoded(response) == PAGE
            tag = response.get("ETag")
            again, update = curl.ask(outer, target, [
                ("GET", dict(says, **{"If-None-Match": tag})),
                ("PUT", {"If-Match": tag})])
            assert (again.status, update.status) == (304, 204)
            seen = backend.requests(target)[-1]
            assert (seen.method, seen.get("If-Match")) == ("PUT", '"v1"')


# backends that compress

@pytest.mark.skipif(php_module.program() is None, reason="no php-fpm")
def test_backend_100_php_with_zlib_output_compression(httpd, php):
    target = "/php/zlib.php"
    wanted = b"<p>/php/zlib.php</p>" * 500
    for says in (GZ, {}):
        assert decoded(httpd.get(target, says)) == wanted
    hit(httpd, target, GZ)
    coded, plain, again = curl.ask(httpd, target, [
        ("GET", GZ), ("GET", {}),
        ("GET", dict(GZ, **{"If-None-Match": '"php"'}))])
    assert coded.get("Content-Encoding") == "gzip"
    assert decoded(varies(coded)) == decoded(varies(plain)) == wanted
    assert coded.get("ETag") != plain.get("ETag")
    assert again.status == 304


@pytest.mark.parametrize("first", [GZ, {}])
def test_backend_110_gzip_unasked_is_inflated_for_who_takes_none(
        httpd, backend, path, first):
    packed = gzip.compress(PAGE, 9)
    backend.on(path, html(packed, **{"Content-Encoding": "gzip"}))
    stored(httpd, backend, path, first)
    coded, plain, head, part = curl.ask(httpd, path, [
        ("GET", GZ), ("GET", {}), ("HEAD", {}),
        ("GET", {"Range": "bytes=10-19"})])
    assert coded.hit and plain.hit
    assert coded.body == packed and coded.get("ETag") == '"v1"'
    assert coded.all("Content-Encoding") == ["gzip"]
    assert plain.body == PAGE and "Content-Encoding" not in plain
    assert plain.get("ETag") == '"v1;etg-plain"'
    assert plain.get("Content-Length") == str(len(PAGE))
    assert head.get("Content-Length") == str(len(PAGE))
    assert (part.status, part.body) == (206, PAGE[10:20])
    for response in (coded, plain, head, part):
        varies(response)
    for says in (GZ, {}):
        for tag in ('"v1"', '"v1;etg-plain"'):
            response, = curl.ask(httpd, path, [
                ("GET", dict(says, **{"If-None-Match": tag}))])
            assert (response.status, response.get("ETag")) == (304, tag)
    assert backend.hits(path) == 1


DAMAGED = {
    "no-gzip": PAGE,
    "cut": gzip.compress(PAGE)[:-20],
    "wrong-sum": gzip.compress(PAGE)[:-8] + bytes(8),
    "rubbish-after": gzip.compress(PAGE) + b"rubbish that is no member",
    "zlib": zlib.compress(PAGE),
    "empty": b"",
}


@pytest.mark.parametrize("name", sorted(DAMAGED))
def test_backend_111_damaged_gzip_is_passed_on_and_never_undone(
        httpd, backend, path, name):
    body = DAMAGED[name]
    backend.on(path, html(body, **{"Content-Encoding": "gzip"}))
    stored(httpd, backend, path, GZ)
    for says in (GZ, {}, GZ):
        response, = curl.ask(httpd, path, [("GET", says)])
        assert response.status == 200 and response.body == body
        assert response.get("Content-Encoding") == "gzip"
        assert response.get("Content-Length") == str(len(body))


def test_backend_112_several_members_are_one_body(httpd, backend, path):
    packed = gzip.compress(PAGE[:3000]) + gzip.compress(PAGE[3000:])
    backend.on(path, html(packed, **{"Content-Encoding": "gzip"}))
    stored(httpd, backend, path, GZ)
    coded, plain = curl.ask(httpd, path, [("GET", GZ), ("GET", {})])
    assert coded.body == packed
    assert plain.body == PAGE


def test_backend_114_its_own_vary_is_no_second_key(httpd, backend, path):
    backend.on(path, html(Vary="Accept-Encoding"))
    stored(httpd, backend, path, GZ)
    for says in CLIENTS:
        response, = curl.ask(httpd, path, [("GET", says)])
        assert response.hit and decoded(response) == PAGE
        assert [name.strip().lower() for name in
                response.get("Vary").split(",")] == ["accept-encoding"]
    assert backend.hits(path) == 1


def test_backend_115_a_tag_that_ends_like_mod_deflates(httpd, backend, path):
    """What is the backend's own tag is not that of another version."""
    backend.on(path, html(etag='"v1-gzip"'))
    stored(httpd, backend, path)
    for says in (GZ, {}):
        whole, other = curl.ask(httpd, path, [
            ("GET", says), ("GET", dict(says, **{"If-None-Match": '"v1"'}))])
        assert other.status == 200
        again, = curl.ask(httpd, path, [
            ("GET", dict(says, **{"If-None-Match": whole.get("ETag")}))])
        assert again.status == 304


def test_backend_116_files_of_httpd_itself(httpd):
    httpd.file("files/page.html", PAGE, mtime=1700000000)
    hit(httpd, "/files/page.html", GZ)
    coded, plain = curl.ask(httpd, "/files/page.html",
                            [("GET", GZ), ("GET", {})])
    assert decoded(coded) == plain.body == PAGE
    assert coded.get("ETag") != plain.get("ETag")
    tags = [response.get("ETag") for response in (coded, plain)]
    for target in ("/files/page.html", "/files/page.html?cold"):
        for tag in tags:
            response, = curl.ask(httpd, target, [
                ("GET", dict(GZ, **{"If-None-Match": tag}))])
            assert response.status == 304, (target, tag)


@pytest.mark.parametrize("first", [GZ, {}])
def test_backend_117_gzip_unasked_with_vary_is_one_entry(httpd, backend,
                                                         path, first):
    backend.on(path, html(gzip.compress(PAGE), **{
        "Content-Encoding": "gzip", "Vary": "Accept-Encoding"}))
    stored(httpd, backend, path, first)
    for says in CLIENTS:
        response, = curl.ask(httpd, path, [("GET", says)])
        assert response.hit and decoded(response) == PAGE
    assert backend.hits(path) == 1


@pytest.mark.parametrize("name", sorted(DAMAGED))
def test_backend_118_damaged_gzip_with_vary_is_for_the_same_clients_alone(
        httpd, backend, path, name):
    body = DAMAGED[name]

    def origin(exchange):
        exchange.respond(200, {
            "Cache-Control": "max-age=600", "Content-Type": "text/html",
            "ETag": '"d%d"' % exchange.number, "Content-Encoding": "gzip",
            "Vary": "Accept-Encoding"}, body)
    backend.on(path, origin)
    stored(httpd, backend, path, GZ)
    again, other = curl.ask(httpd, path, [("GET", GZ), ("GET", {})])
    assert again.hit and again.get("ETag") == '"d1"'
    assert not other.hit and other.get("ETag") == '"d2"'
    assert again.body == other.body == body


def test_backend_113_a_coding_we_cannot_undo_stays(httpd, backend, path):
    backend.on(path, html(b"not really br" * 100,
                          **{"Content-Encoding": "br"}))
    stored(httpd, backend, path, {"Accept-Encoding": "br"})
    response, = curl.ask(httpd, path, [("GET", GZ)])
    assert response.body == b"not really br" * 100
    assert response.all("Content-Encoding") == ["br"]
