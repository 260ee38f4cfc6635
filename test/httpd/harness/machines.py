# SPDX-License-Identifier: Apache-2.0
"""Several httpds as so many machines: each with its own ServerRoot, local
store and shared memory, the same backend behind them, and the same memcached
servers between them.

    machines = Machines(build, servers, STORES["tiers"])
    a, b = machines

What one of them has stored is looked for on another with only-if-cached, so
that looking never fetches."""
import itertools
import re

from .net import poll
from .steps import settle

TRUST = 1.5
# How the store is given, and how long a machine may trust its own copy.
STORES = {
    "alone": 'ETagCacheMetaStore "%s"\n',
    "tiers": 'ETagCacheMetaStore "local:@STORE@?size=64M" "%%s"\n'
             'ETagCacheTierTTL %dms\n' % (TRUST * 1000),
}
ONLY_IF_CACHED = {"Cache-Control": "only-if-cached"}
NO_TOKEN = bytes(8)
LEASE = re.compile(r":\w*l:[0-9a-f]+$")

numbers = itertools.count(1)


class Machines:
    """`count` httpds over `servers` (a harness.memcached.Cluster)."""

    def __init__(self, make, config, servers, store="alone", count=2,
                 **options):
        self.servers = servers
        self.trust = TRUST if store == "tiers" else 0
        # A busy test machine is no lost server: more than the default.
        uri = servers.uri("m%d" % next(numbers), **{
            "timeout": "500ms", "connect-timeout": "500ms", **options})
        self.httpds = [make(STORES[store] % uri + config)
                       for _ in range(count)]

    def __iter__(self):
        return iter(self.httpds)

    def leases(self):
        """The keys of all leases that are held. One without a token (before
        the checksum) tells others that there is nothing to wait for. A server
        leaves out what it is just asked for: that none is seen may be
        chance."""
        found = [(key, server.get(key)) for server in self.servers
                 for key in server.keys() if LEASE.search(key)]
        return {key for key, item in found
                if item is not None and item[-16:-8] != NO_TOKEN}

    def asked(self):
        """How many commands the servers have carried out."""
        return sum(int(value) for server in self.servers
                   for name, value in server.stats().items()
                   if name in ("cmd_get", "cmd_set", "cmd_touch"))


def peek(httpd, target, headers=()):
    """What the store has, as it may be used now; None if nothing."""
    response = httpd.get(target, dict(headers, **ONLY_IF_CACHED))
    return response if response.status == 200 and response.hit else None


def arrives(httpd, target, headers=()):
    """Waits until another machine's response is a hit here."""
    return poll(lambda: peek(httpd, target, headers),
                "%s on the other machine" % target, 10)


def share(a, others, backend, target, headers=()):
    """Fetches `target` on `a` and waits until all `others` have it."""
    with a.connect() as connection:
        response = connection.get(target, headers)
        assert response.status == 200, response
        settle(a, backend, connection, target)
    for other in others:
        arrives(other, target, headers)
    return response


def goes(httpd, target, within):
    """Waits until `target` is no hit any more; at once if `within` is 0."""
    if not within:
        assert peek(httpd, target) is None, "%s is still a hit" % target
        return
    # On a busy machine the last look may be late, but never by much.
    poll(lambda: peek(httpd, target) is None,
         "%s is no hit any more" % target, within * 3)
