# SPDX-License-Identifier: Apache-2.0
"""A real browser, headless Chromium, before compressed entries: it loads a
page and reloads it, and gets a 304 for the coding it holds; from a fresh
entry, after a revalidation, and for what it got plain as the first of all."""
import json
import re

import pytest

from conftest import PROXY
from harness.backend import answer
from harness.browser import Browser
from harness.call_log import page
from harness.net import poll
from harness.steps import FRESH, STALE, stored

pytestmark = pytest.mark.slow

CONFIG = PROXY + """
ETagCache On
ETagCacheAllowRevalidate On
<Location "/not-revalidated/">
    ETagCacheAllowRevalidate Off
</Location>
LogFormat "%U|%>s|%{If-None-Match}i|%{Accept-Encoding}i|%{ETag}o|\
%{Content-Encoding}o|%{etag-cache}n" browser
CustomLog "@ROOT@/browser.log" browser
"""
# As mod_log_config writes quotes within a field.
CODED = r'\\"%s;etg-gzip-[0-9a-f]{16}\\"'

HTML = """<!doctype html>
<title>Calls</title>
<body>
<p id=count>none</p>
<script>
fetch(location.pathname + ".json", {cache: "no-cache"})
    .then(response => response.json())
    .then(list => {
        document.getElementById("count").textContent =
            list.calls.length + " calls, the first " + list.calls[0].id;
        document.body.dataset.done = "yes";
    });
</script>
""" + "<p>The same line of text again and again.</p>\n" * 60


@pytest.fixture(scope="module")
def browser():
    with Browser() as found:
        yield found


def validating(kind, etag, fields, body):
    def handler(exchange):
        said = dict(fields, ETag=etag, **{"Content-Type": kind})
        if exchange.request.get("If-None-Match") == etag:
            exchange.respond(304, said)
        else:
            exchange.respond(200, said, body)
    return handler


class Site:
    """A page and the list it fetches, in the store or not."""

    def __init__(self, httpd, backend, path, fields):
        self.httpd = httpd
        self.path = path
        self.list = page(len(path))
        self.url = "http://127.0.0.1:%d%s" % (httpd.port, path)
        self.host = "127.0.0.1:%d" % httpd.port
        backend.on(path, validating("text/html", '"page"', fields,
                                    HTML.encode()))
        backend.on(path + ".json", validating("application/json", '"list"',
                                              fields, self.list))

    def store(self, backend):
        for target in (self.path, self.path + ".json"):
            stored(self.httpd, backend, target, host=self.host)

    def lines(self, target, count):
        """The access log's last `count` lines for it, when they are there,
        as [status, If-None-Match, Accept-Encoding, ETag, coding, trace]."""
        def found():
            log = self.httpd.root / "browser.log"
            lines = [line.split("|")[1:]
                     for line in log.read_text().splitlines()
                     if line.startswith(target + "|")
                     and "gzip" in line.split("|")[3]]
            return lines if len(lines) >= count else None
        return poll(found, "%d lines of %s" % (count, target))[-count:]

    def judge_page(self, browser):
        calls = json.loads(self.list)["calls"]
        assert browser.evaluate(
            "document.getElementById('count').textContent") == \
            "%d calls, the first %s" % (len(calls), calls[0]["id"])
        assert browser.evaluate("document.title") == "Calls"
        assert browser.evaluate(
            "document.querySelectorAll('p').length") == 61

    def judge_reload(self, browser, forms):
        """304 on the wire and in the log, with the tag it held."""
        for target, form in forms.items():
            url = self.url + target[len(self.path):]
            assert browser.statuses(url) == [304]
            line = self.lines(target, 2)[-1]
            assert line[0] == "304"
            assert re.fullmatch(form, line[1]), line
            assert line[3] == line[1]


@pytest.mark.parametrize("how", ["fresh", "validated", "not-revalidated"])
def test_browser_100_a_reload_gets_a_304_for_what_it_holds(
        httpd, backend, path, browser, how):
    if how == "not-revalidated":
        path = "/not-revalidated" + path
    site = Site(httpd, backend, path, STALE if how == "validated" else FRESH)
    site.store(backend)
    browser.open(site.url)
    site.judge_page(browser)
    for target in (path, path + ".json"):
        line, = site.lines(target, 1)
        assert line[0] == "200" and line[4] == "gzip", line
    forms = {path: CODED % "page", path + ".json": CODED % "list"}
    for _ in range(3):
        browser.reload()
        site.judge_page(browser)
        site.judge_reload(browser, forms)
    asked = [request.get("If-None-Match")
             for request in backend.requests(path)][1:]
    assert set(asked) <= {'"page"'}
    assert (len(asked) == 0) == (how == "not-revalidated")


def test_browser_101_the_first_of_all_gets_its_304_too(httpd, backend, path,
                                                       browser):
    """It got the backend's bytes and tag as they came, and is coded for
    afterwards."""
    path = "/not-revalidated" + path
    site = Site(httpd, backend, path, FRESH)
    browser.open(site.url)
    site.judge_page(browser)
    browser.reload()
    site.judge_page(browser)
    site.judge_reload(browser, {path: r'\\"page\\"',
                                path + ".json": r'\\"list\\"'})
    assert backend.hits(path) == 1


def test_browser_102_a_new_version_is_shown(httpd, backend, path, browser):
    site = Site(httpd, backend, path, STALE)
    site.store(backend)
    browser.open(site.url)
    backend.on(path, answer(200, dict(FRESH, ETag='"page2"', **{
        "Content-Type": "text/html"}),
        HTML.replace("Calls", "New calls").encode()))
    browser.reload()
    assert browser.statuses(site.url) == [200]
    assert browser.evaluate("document.title") == "New calls"
