# SPDX-License-Identifier: Apache-2.0
"""mod_etag_freshness for long: children use no more memory or descriptors
after many look-ups than after some, and one that is killed in the middle of
look-ups takes nothing with it."""
import os
import signal

import pytest

from conftest import PROXY
from harness.backend import answer
from harness.database import from_line, render
from harness.httpd import is_running, mpm
from harness.load import Load
from harness.net import poll

CONFIG = PROXY + """
LogLevel etag_freshness:error
StartServers 1
ServerLimit 1
MaxRequestWorkers %d
<Location "/">
    ETagFreshness On
    ETagFreshnessOverride On
    %s
</Location>
""" % (1 if mpm() == "prefork" else 64, from_line(20))

MANY = """
<Location "/">
    ETagFreshness On
    ETagFreshnessOverride On
    %s
</Location>
""" % from_line(20)


def descriptors(pid):
    return len(os.listdir("/proc/%d/fd" % pid))


def kilobytes(pid):
    with open("/proc/%d/status" % pid) as status:
        return next(int(line.split()[1]) for line in status
                    if line.startswith("VmRSS"))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sqlite3", "pgsql"])
def test_many_look_ups_leave_nothing_behind(make_httpd, backend,
                                            make_database, kind, path):
    """Known ones, unknown ones, and each page under many names."""
    database = make_database(kind)
    database.products(40)
    httpd = make_httpd(database.conf + CONFIG, cache=False)
    httpd.log.claim("AH00161")      # prefork's one child is all there are
    backend.on(path, answer(200, {}, "page"))
    (child,) = [pid for pid in httpd.children()
                if "cgi" not in open("/proc/%d/cmdline" % pid).read()][-1:]

    def use(count):
        with httpd.connect() as connection:
            for number in range(count):
                value = ("1", "2", "no number", "-5", str(number))[number % 5]
                assert connection.get(
                    "%s?page=%s" % (path, value.replace(" ", "+"))
                ).status == 200
            return httpd.child_serving(connection)
    child = use(3000)
    before = kilobytes(child), descriptors(child)
    for _ in range(4):
        assert use(4250) == child
    after = kilobytes(child), descriptors(child)
    print(before, after)
    # Nothing is kept for a look-up: 17,000 times even 256 bytes are more.
    assert after[0] - before[0] < 4000, (before, after)
    assert after[1] <= before[1] + 5, (before, after)


def test_a_child_killed_in_the_middle_of_look_ups(make_httpd, backend,
                                                  database, path):
    database.products(40)
    httpd = make_httpd(database.conf + PROXY + MANY, cache=False)
    httpd.log.claim("exit signal Killed|AH00052|ETG0198|ETG0185")
    backend.on(path, render(database, per=20))
    with Load(httpd, backend, path + "-load") as load:
        poll(lambda: load.good > 100, "requests under way")
        for _ in range(3):
            children = httpd.children()
            with httpd.connect() as connection:
                connection.get(path)
                victim = httpd.child_serving(connection)
                os.kill(victim, signal.SIGKILL)
            poll(lambda: not is_running(victim), "its end")
            poll(lambda: set(httpd.children()) - set(children),
                 "another child", 30)
            good = load.good
            poll(lambda: load.good > good + 100, "requests that go on")
        assert not load.wrong, load.wrong[:3]
    held = poll(lambda: httpd.get(path).get("ETag"), "a tag")

    def spared():
        asked = backend.hits(path)
        return (httpd.get(path, {"If-None-Match": held}).status == 304
                and backend.hits(path) == asked)
    # Who died in what is remembered took that along, and it was said.
    if "ETG0198" not in httpd.log.text():
        poll(spared, "a 304 without the backend")
