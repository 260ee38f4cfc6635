#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Asks the same pages of two httpds that share a cache on three memcacheds,
and says what happened.

Each claim that is printed is checked first; the number of requests that the
backend had comes from the backend's own count. Started by demo/run --cluster.
"""
import argparse
import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time

sys.dont_write_bytecode = True
from show import (DEADLINE_S, Claims, Demo, Server,  # noqa: E402
                  cache_status, price_of, wait_until)

HOST = "shop.example"
LIST = "/api/products?page=%d"
PRODUCT = "/api/products/%d"


class Node(Server):
    """One httpd of the two. Both are asked by the site's name, as clients
    behind a balancer do: it is part of the key."""

    def exchange(self, path, method, fields, body):
        return super().exchange(path, method, dict(fields or {}, Host=HOST),
                                body)


class Cluster(Demo):
    def __init__(self, options):
        self.state = options.state
        self.backend = Server("backend", options.backend_port)
        self.a, self.b = (Node(name, port) for name, port
                          in zip("AB", options.httpd_ports))
        self.claims = Claims()
        self.unused = iter(range(5000, 10000))

    def is_hit(self, node, path):
        return "; hit" in cache_status(node.ask(path))

    # -- stories -----------------------------------------------------------

    def show_filled(self):
        print("\nFilled on A, hit on B")
        for path in (LIST % 1, PRODUCT % 1):
            first, requests = self.counted(self.a, path)
            self.expect("A asks the backend for %s and stores the answer"
                        % path, first, requests, 200, 1,
                        cache_status="; fwd=.*; stored")
            second, requests = self.counted(self.b, path)
            self.expect("B has it from memcached, the backend has no "
                        "request", second, requests, 200, 0,
                        cache_status="; hit")
            self.claims.say("byte for byte, and no tag goes to the client",
                            first.body == second.body and len(first.body) > 0
                            and "Surrogate-Key" not in second.fields)

    def show_purged(self):
        print("\nPurged on A, gone on B (ETagCacheTierTTL 1s)")
        path = PRODUCT % 2
        self.a.ask(path)
        self.b.ask(path)
        purge, requests = self.counted(self.a, path, method="PURGE",
                                       fields={"ETag-Purge": "hard"})
        self.expect("PURGE of %s on A asks nobody" % path, purge, requests,
                    200, 0)
        self.expect_new(self.b, path)

    def show_tag(self):
        page = LIST % 2
        product_id = json.loads(self.a.ask(page).body)["products"][0]["id"]
        product = PRODUCT % product_id
        print("\nA change past the cache: PATCH %s on the backend itself"
              % product)
        before = self.b.ask(product)
        self.b.ask(page)
        price = json.loads(before.body)["price_cents"] + 1
        self.backend.ask(product, method="PATCH",
                         fields={"Content-Type": "application/json"},
                         body=json.dumps({"price_cents": price}))
        self.claims.say("A and B still show the old price",
                        all(price_of(node.ask(product).body, product_id)
                            == price - 1 for node in (self.a, self.b)))
        purge, requests = self.counted(self.a, "/", method="PURGE",
                                       fields={"Surrogate-Key": "products"})
        self.expect("PURGE on A of all that carries the tag \"products\": %s"
                    % purge.body.decode().strip(), purge, requests, 200, 0)
        for node, path in ((self.b, product), (self.a, page)):
            self.expect_new(node, path)
            self.claims.say("with the new price", price_of(
                node.ask(path).body, product_id) == price)
        # Ask B for the list last: by now A has stored the new one.
        wait_until(lambda: price_of(self.b.ask(page).body, product_id)
                   == price)
        self.claims.say("and the list, which has it too, on B",
                        self.is_hit(self.b, page))

    def expect_new(self, node, path):
        """Asks until the answer is not the purged one: an own copy may be
        trusted for a moment yet."""
        began = time.monotonic()
        answer, requests = self.counted(node, path)
        while requests == 0 and time.monotonic() - began < DEADLINE_S:
            time.sleep(0.05)
            answer, requests = self.counted(node, path)
        self.expect("%s asks the backend for %s again, %.1f s later"
                    % (node.name, path, time.monotonic() - began), answer,
                    requests, 200, 1, cache_status="; fwd=")

    def show_stampede(self):
        clients = 50
        print("\nA stampede: %d clients of A and %d of B ask for one page at "
              "the same moment" % (clients, clients))
        answers, requests = self.stampede_both(LIST % 60, clients)
        print("  slowest answer %.0f ms" % max(a.ms for a in answers))
        self.claims.say(
            "all %d got 200 and the same page, the backend had 1 request"
            % (2 * clients), requests == 1 and len(answers) == 2 * clients
            and len({answer.body for answer in answers}) == 1
            and all(answer.status == 200 for answer in answers),
            "%d backend requests, statuses %s" % (
                requests, sorted({a.status for a in answers})))

    def stampede_both(self, page, clients):
        """All answers, and how many requests the backend had."""
        before = self.backend_count()
        barrier = threading.Barrier(2 * clients)
        answers = []

        def client(node):
            own = Node(node.name, node.port)
            own.connect()
            barrier.wait(DEADLINE_S)
            answers.append(own.ask(page))
            own.connection.close()

        threads = [threading.Thread(target=client, args=(node,))
                   for node in (self.a, self.b) for _ in range(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return answers, self.backend_count() - before

    def show_frozen(self):
        print("\nOne memcached of three is frozen (kill -STOP)")
        known = LIST % 1
        self.a.ask(known)
        self.signal_memcached(1, signal.SIGSTOP)
        try:
            rows = [self.fill_and_ask(next(self.unused)) for _ in range(30)]
            hits = sum(hit for _, hit in rows)
            answers = [answer for pair, _ in rows for answer in pair]
            print("  slowest answer %.0f ms, the last ten at most %.0f ms"
                  % (max(a.ms for a in answers),
                     max(a.ms for a in answers[-10:])))
            self.claims.say("60 pages that nobody had asked for: all 200 and "
                            "right on A and B", all(
                                a.status == 200 for a in answers)
                            and all(first.body == second.body
                                    for (first, second), _ in rows))
            self.claims.say("%d of 30 that A stored B had from the other two"
                            % hits, 0 < hits < 30)
            answer, requests = self.counted(self.a, known)
            self.expect("what A has on its own disk it still answers", answer,
                        requests, 200, 0, cache_status="; hit")
        finally:
            self.signal_memcached(1, signal.SIGCONT)
        began = time.monotonic()
        wait_until(lambda: all(self.fill_and_ask(next(self.unused))[1]
                               for _ in range(12)))
        self.claims.say("it goes on (kill -CONT): what A stores B has again, "
                        "all of it, %.1f s later"
                        % (time.monotonic() - began), True)

    def fill_and_ask(self, number):
        """A page that nobody has asked for, on A, then on B: both answers,
        and whether B had it from a memcached."""
        first = self.a.ask(PRODUCT % number)
        second = self.b.ask(PRODUCT % number)
        return (first, second), "; hit" in cache_status(second)

    def signal_memcached(self, number, what):
        path = os.path.join(self.state, "memcached-%d.pid" % number)
        with open(path) as file:
            os.kill(int(file.read()), what)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--state", required=True)
    parser.add_argument("--httpd-ports", type=int, nargs=2, required=True)
    parser.add_argument("--backend-port", type=int, required=True)
    parser.add_argument("--check", action="store_true",
                        help="exit 1 unless every claim held")
    options = parser.parse_args()
    cluster = Cluster(options)
    for story in (cluster.show_filled, cluster.show_purged, cluster.show_tag,
                  cluster.show_stampede, cluster.show_frozen):
        try:
            story()
        except (OSError, ValueError, LookupError, http.client.HTTPException,
                subprocess.SubprocessError) as error:
            cluster.claims.say("this part of the demo ran", False,
                               repr(error))
    print("\n%d passed, %d failed" % (cluster.claims.passed,
                                      cluster.claims.failed))
    if options.check and cluster.claims.failed:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
