# SPDX-License-Identifier: Apache-2.0
"""Fetches that nobody waits for: how a test holds them up and sees their
end."""
import re
import threading

from .net import poll


class Held:
    """Answers with `then` once it is let go; until then requests stand still
    in the backend."""

    def __init__(self, then):
        self.then = then
        self.go = threading.Event()

    def __call__(self, exchange):
        exchange.wait(self.go)
        self.then(exchange)


def ends(httpd, path):
    """How errands for `path` have ended in the present test so far, as rows
    of purpose, status and whether it was stored."""
    pattern = (r"ETG0164: (\w+) in the background: status (\d+), "
               r"(stored|not stored): %s$" % re.escape(path))
    return [(purpose, int(status), stored == "stored")
            for purpose, status, stored
            in re.findall(pattern, httpd.log.text(), re.M)]


def wait_for_ends(httpd, path, count=1):
    """Waits until so many have; returns the last one's row."""
    poll(lambda: len(ends(httpd, path)) >= count,
         "the end of %d errands for %s" % (count, path))
    return ends(httpd, path)[count - 1]


def traces(httpd, path):
    """The trace words of the answers for `path` in the access log."""
    lines = (httpd.root / "access.log").read_text().splitlines()
    return [line.rsplit('"', 2)[1] for line in lines
            if ' %s HTTP/' % path in line]
