# SPDX-License-Identifier: Apache-2.0
"""ETagCacheRefresh: URLs are fetched at start and on schedule, by one process
of the host."""
import os
import re
import signal

import pytest

from conftest import PROXY
from harness.backend import answer, counting, in_turn
from harness.behind import wait_for_ends
from harness.httpd import mpm
from harness.net import poll
from harness.steps import FRESH, hit

needs_threads = pytest.mark.skipif(mpm() == "prefork", reason="needs threads")

ON = "ServerName localhost:@PORT@\n" + PROXY + "ETagCache On\n"
THREE = "StartServers 3\nServerLimit 4\n"
HOLDER = re.compile(r"\[pid (\d+).*ETG0167: ")


def host(httpd):
    return "localhost:%d" % httpd.port


def holders(httpd):
    """The processes that said that they fetch, in their order."""
    return [int(pid) for pid in HOLDER.findall(httpd.log.text(whole=True))]


def wait_for(backend, path, count, timeout=20):
    poll(lambda: backend.hits(path) >= count,
         "request %d for %s" % (count, path), timeout)


def seconds_between(backend, path):
    times = [request.at for request in backend.requests(path)]
    return [later - before for before, later in zip(times, times[1:])]


@needs_threads
def test_periodic_100_fetched_at_start_before_any_client(make_httpd, backend,
                                                         path):
    backend.on(path, counting(FRESH))
    httpd = make_httpd(ON + "ETagCacheRefresh %s?page=1 every=1h\n" % path)
    wait_for(backend, path, 1)
    response = hit(httpd, path + "?page=1", host=host(httpd))
    assert response.body == b"answer 1"
    assert backend.hits(path) == 1
    asked = backend.requests(path)[0]
    assert asked.target == path + "?page=1"
    assert asked.get("X-Forwarded-Host") == host(httpd)
    assert asked.get("X-Forwarded-For") == "192.0.2.1"
    assert asked.get("Cookie") is None


@needs_threads
def test_periodic_101_again_on_schedule(make_httpd, backend, path):
    backend.on(path, counting(FRESH))
    httpd = make_httpd(ON + "ETagCacheRefresh %s every=1s jitter=0\n" % path)
    wait_for(backend, path, 4)
    # The next one begins a second after the last one began, however fresh
    # that is; what lies between is less by what the first was slower.
    assert min(seconds_between(backend, path)) > 0.5
    assert holders(httpd)
    poll(lambda: httpd.get(path, host=host(httpd)).body != b"answer 1",
         "the newer answer")


@needs_threads
def test_periodic_102_never_in_a_gap(make_httpd, backend, path):
    """The page lives for three seconds: whoever asks at any time gets a
    hit."""
    backend.on(path, counting({"Cache-Control": "max-age=3"}))
    httpd = make_httpd(ON + THREE + "ETagCacheRefresh %s every=1h\n" % path)
    wait_for(backend, path, 1)
    hit(httpd, path, host=host(httpd))
    with httpd.connect() as connection:
        def ask():
            response = connection.get(path, host=host(httpd))
            assert response.hit and response.cache["ttl"] >= 0, \
                response.cache
            return backend.hits(path) >= 5
        poll(ask, "five fetches", 30)
    assert min(seconds_between(backend, path)) > 0.4


@needs_threads
def test_periodic_103_one_process_fetches(make_httpd, backend, path):
    backend.on(path, counting(FRESH))
    httpd = make_httpd(ON + THREE
                       + "ETagCacheRefresh %s every=1s jitter=0\n" % path)
    poll(lambda: len(httpd.children()) >= 3, "three children")
    wait_for(backend, path, 5)
    assert len(holders(httpd)) == 1
    assert min(seconds_between(backend, path)) > 0.5


@needs_threads
@pytest.mark.parametrize("kind", ["fcntl:@ROOT@/run", "flock:@ROOT@/run",
                                  "pthread", "sysvsem"])
def test_periodic_104_another_takes_over_when_it_dies(make_httpd, backend,
                                                      path, kind):
    """Whatever kind of mutex it is that says who."""
    backend.on(path, counting(FRESH))
    httpd = make_httpd(ON + THREE + "Mutex %s etag-cache-refresh\n"
                       "ETagCacheRefresh %s every=1h\n" % (kind, path))
    httpd.log.claim("AH0005[12]")
    wait_for_ends(httpd, path, 1)
    for number in (2, 3):
        poll(lambda: len(httpd.children()) >= 3, "three children")
        os.kill(holders(httpd)[-1], signal.SIGKILL)
        # It knows nothing of the last one's schedule and begins at once.
        wait_for_ends(httpd, path, number)
        assert backend.hits(path) == number
    assert len(set(holders(httpd))) == 3


@needs_threads
def test_periodic_105_goes_on_after_a_graceful_reload(make_httpd, backend,
                                                      path):
    before, after = path + "-before", path + "-after"
    backend.on(before, counting(FRESH))
    backend.on(after, counting(FRESH))
    line = "ETagCacheRefresh %s every=1s jitter=0\n"
    httpd = make_httpd(ON + line % before)
    wait_for(backend, before, 2)
    httpd.parts[-1] = httpd.parts[-1].replace(before, after)
    httpd.graceful()
    wait_for(backend, after, 1)
    seen = backend.hits(before)
    wait_for(backend, after, 4)
    # One may have been on its way.
    assert backend.hits(before) <= seen + 1


HOSTS = ON + """
ProxyPreserveHost On
ETagCacheRefresh @MAIN@ every=1h
<VirtualHost 127.0.0.1:@PORT@>
    ServerName first.test
    ProxyPass "/" "http://@BACKEND@/"
</VirtualHost>
<VirtualHost 127.0.0.1:@PORT@>
    ServerName second.test
    ServerAlias alias.test *.wild.test
    ProxyPass "/" "http://@BACKEND@/"
    ETagCacheRefresh @PATH@-own every=1h
    ETagCacheRefresh "http://alias.test:@PORT@@PATH@-alias" every=1h
</VirtualHost>
"""


@needs_threads
def test_periodic_110_a_path_belongs_to_its_virtual_host(make_httpd, backend,
                                                         path):
    names = {"-own": "second.test", "-alias": "alias.test",
             "-wild": "a.wild.test"}
    for suffix in names:
        backend.on(path + suffix, counting(FRESH))
    httpd = make_httpd(HOSTS.replace(
        "@MAIN@", "http://A.wild.test:@PORT@@PATH@-wild").replace(
            "@PATH@", path))
    for suffix, name in names.items():
        name = "%s:%d" % (name, httpd.port)
        wait_for(backend, path + suffix, 1)
        hit(httpd, path + suffix, host=name)
        asked = backend.requests(path + suffix)
        assert [request.get("Host") for request in asked] == [name]


@needs_threads
def test_periodic_111_hosts_without_lines_do_not_repeat_them(make_httpd,
                                                             backend, path):
    """The main server's line is fetched once, not for each virtual host."""
    for suffix in ("-main", "-own", "-alias", "-tick"):
        backend.on(path + suffix, counting(FRESH))
    httpd = make_httpd(HOSTS.replace(
        "@MAIN@", "@PATH@-tick every=1s\nETagCacheRefresh @PATH@-main")
        .replace("@PATH@", path))
    wait_for(backend, path + "-tick", 3)
    assert backend.hits(path + "-main") == 1
    assert backend.requests(path + "-main")[0].get("Host") == host(httpd)
    assert backend.hits(path + "-own") == 1


@needs_threads
def test_periodic_112_without_a_port_it_is_one_listened_on(make_httpd,
                                                           backend, path):
    backend.on(path, counting(FRESH))
    httpd = make_httpd(PROXY + "ProxyPreserveHost On\nETagCache On\n"
                       "ETagCacheRefresh %s every=1h\n" % path)
    wait_for(backend, path, 1)
    assert backend.requests(path)[0].get("Host") == \
        "localhost:%d" % min(httpd.port, httpd.tls_port)


@needs_threads
@pytest.mark.parametrize("line", ["@PATH@",
                                  "https://localhost:@TLS_PORT@@PATH@"])
def test_periodic_113_a_host_with_tls(make_httpd, backend, path, line):
    backend.on(path, counting(FRESH))
    httpd = make_httpd("ETagCache On\n", start=False, tls="""
        ServerName https://localhost:@TLS_PORT@
        ProxyPass "/" "http://@BACKEND@/"
        ETagCacheRefresh %s every=1h
""" % line.replace("@PATH@", path))
    httpd.start()
    wait_for(backend, path, 1)
    response = hit(httpd, path, tls=True,
                   host="localhost:%d" % httpd.tls_port)
    assert response.body == b"answer 1"
    assert backend.hits(path) == 1


@needs_threads
def test_periodic_120_failures_are_tried_again_soon(make_httpd, backend,
                                                    path):
    """And told once, not each time."""
    backend.on(path, in_turn(answer(500), answer(503), counting(FRESH)))
    httpd = make_httpd(ON + "ETagCacheRefresh %s every=1h\n" % path,
                       start=False)
    httpd.log.claim("ETG0168")
    httpd.start()
    wait_for(backend, path, 3)
    assert hit(httpd, path, host=host(httpd)).body == b"answer 3"
    told = [line for line in httpd.log.text(whole=True).splitlines()
            if "ETG0168" in line and ":warn]" in line]
    assert len(told) == 1 and "status 500" in told[0], told


@needs_threads
@pytest.mark.parametrize("fields", [{"Cache-Control": "private"},
                                    {"Cache-Control": "no-store"}])
def test_periodic_121_what_may_not_be_stored_is_told_once(make_httpd, backend,
                                                          path, fields):
    backend.on(path, counting(fields))
    backend.on(path + "-tick", counting(FRESH))
    httpd = make_httpd(ON + "ETagCacheRefresh %s every=1s\n"
                       "ETagCacheRefresh %s-tick every=1s\n" % (path, path))
    httpd.log.claim("ETG0169.*status 200")
    wait_for(backend, path + "-tick", 4)
    told = re.findall("ETG0169: ETagCacheRefresh (.*?):",
                      httpd.log.text(whole=True))
    assert told == [path + " every=1s"]
    assert httpd.get(path, host=host(httpd)).status == 200


@needs_threads
def test_periodic_122_where_the_cache_is_off_it_is_told(make_httpd, backend,
                                                        path):
    backend.on(path, counting(FRESH))
    httpd = make_httpd(ON + "ETagCacheRefresh %s every=1s\n"
                       "<Location %s>\nETagCache Off\n</Location>\n"
                       % (path, path))
    httpd.log.claim("ETG0169")
    poll(lambda: "ETG0169" in httpd.log.text(whole=True), "the warning")
    wait_for(backend, path, 3)
    assert httpd.log.text(whole=True).count("ETG0169") == 1


@needs_threads
def test_periodic_123_it_is_no_local_client(make_httpd, backend, path):
    """What is open to this machine only is not open to it."""
    backend.on(path, counting(FRESH))
    httpd = make_httpd(ON + "ETagCacheRefresh %s every=1s\n"
                       "<Location %s>\nRequire local\n</Location>\n"
                       % (path, path))
    httpd.log.claim("ETG0169.*status 403|AH01630")
    poll(lambda: "status 403" in httpd.log.text(whole=True), "the warning")
    assert backend.hits(path) == 0
    assert httpd.get(path).status == 200


@needs_threads
def test_periodic_124_the_cache_off_everywhere_fetches_nothing(make_httpd,
                                                               backend, path):
    backend.on(path, counting(FRESH))
    httpd = make_httpd(PROXY + "ETagCacheRefresh %s every=1s\n" % path)
    assert httpd.get(path + "-other").status == 404
    assert not holders(httpd) and backend.hits(path) == 0


@pytest.mark.skipif(mpm() != "prefork", reason="about prefork")
def test_periodic_130_prefork_says_that_it_cannot(make_httpd, backend, path):
    backend.on(path, counting(FRESH))
    httpd = make_httpd(ON + "ETagCacheRefresh %s every=1s\n" % path,
                       start=False)
    httpd.log.claim("ETG0160.*ETagCacheRefresh")
    httpd.start()
    assert httpd.log.text(whole=True).count("ETG0160") == 1
    assert httpd.get(path).body == b"answer 1"


BAD = [
    ("/a", "does not say every="),
    ("/a every=10ms", "between 1s and 1d"),
    ("/a every=2d", "between 1s and 1d"),
    ("/a every=soon", "not a duration"),
    ("/a every=10s jitter=10s", "not shorter than its every="),
    ("/a every=10s sometimes", "something else than every= and jitter="),
    ("a every=10s", "neither a path"),
    ("ftp://a.test/ every=10s", "neither a path"),
    ("http:/a every=10s", "neither a path"),
    ("http://:80/a every=10s", "proper host"),
    ("/a#part every=10s", "encoded"),
]


@pytest.mark.parametrize("line, message", BAD)
def test_periodic_140_configtest_tells_what_is_wrong(make_httpd, line,
                                                     message):
    httpd = make_httpd("ETagCacheRefresh %s\n" % line, start=False)
    status, text = httpd.configtest()
    assert status != 0
    assert 'ETagCacheRefresh: "%s" ' % line in text and message in text


GOOD = ["none", "/a?b=c&d every=1s", '"/a%20b" every=1d jitter=1h',
        "https://a.test/ every=10s", "http://[::1]:8080/x every=10s"]


@pytest.mark.parametrize("line", GOOD)
def test_periodic_141_configtest_takes_what_is_right(make_httpd, line):
    httpd = make_httpd("ETagCacheRefresh %s\n" % line, start=False)
    status, text = httpd.configtest()
    assert status == 0, text
