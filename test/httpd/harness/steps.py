# SPDX-License-Identifier: Apache-2.0
"""Steps that many tests take.

The module publishes a response from a thread of its own, and the client's
last bytes may be ahead of it on a busy machine. stored() therefore goes on
with a second response on the same connection, which the same child's one
writer stores after the first, and waits until that one is a hit."""
import itertools

from .backend import answer
from .net import poll

FRESH = {"Cache-Control": "max-age=60"}
# Stale when it arrives, and kept because it can be validated.
STALE = {"Cache-Control": "max-age=60", "Age": "120", "ETag": '"v1"'}

numbers = itertools.count(1)


def settle(httpd, backend, connection, near):
    """Returns when all that this connection's child had to store is."""
    marker = "%s.marker%d" % (near.split("?")[0].rstrip("/"), next(numbers))
    backend.on(marker, answer(200, FRESH, b"marker"))
    poll(lambda: connection.get(marker).hit, "a hit on the marker", 10)


def stored(httpd, backend, target, headers=(), method="GET", **options):
    """Asks for `target`, waits until what came of it is in the store, and
    returns the answer."""
    tls = options.pop("tls", False)
    with httpd.connect(tls=tls) as connection:
        response = connection.request(method, target, headers, **options)
        if "close" in (response.get("Connection") or ""):
            return response
        settle(httpd, backend, connection, target)
    return response


def hit(httpd, target, headers=(), **options):
    """Asks until the answer comes from the store; for backends that are not
    scripted."""
    return poll(lambda: keep_if_hit(httpd.get(target, headers, **options)),
                "a hit on %s" % target, 10)


def keep_if_hit(response):
    return response if response.hit else None


def held_by_its_data(httpd, target, headers=()):
    """Asks until the answer is one from the store whose data has not moved,
    and returns it."""
    return poll(lambda: keep_if_unmoved(httpd.get(target, headers)),
                "a hit by its data on %s" % target, 10)


def keep_if_unmoved(response):
    return response if response.cache.get("detail") == "data" else None
