#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Asks the same pages of the backend and of Etagere, and says what happened.

Each claim that is printed is checked first; the number of requests that the
backend had comes from the backend's own count. Started by demo/run.
"""
import argparse
import collections
import gzip
import http.client
import json
import os
import re
import signal
import socket
import sqlite3
import statistics
import subprocess
import sys
import threading
import time

sys.dont_write_bytecode = True
from dashboard import Dashboard, ShopPage  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
DEADLINE_S = 60
RAILS_CACHE_CONTROL = "max-age=0, private, must-revalidate"
INDEX = ("CREATE INDEX products_in_order ON products "
         "(name, id, updated_at, supplier_id)")

Answer = collections.namedtuple("Answer", "status fields body ms")


class Server:
    """One of the two servers, asked over one kept-alive connection."""

    def __init__(self, name, port):
        self.name = name
        self.port = port
        self.connection = None

    def connect(self):
        self.connection = http.client.HTTPConnection(
            "127.0.0.1", self.port, timeout=DEADLINE_S)
        self.connection.connect()
        self.connection.sock.setsockopt(
            socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self, path, method="GET", fields=None, body=None):
        """Sends one request; an idle connection may have been closed."""
        if self.connection is not None:
            try:
                return self.exchange(path, method, fields, body)
            except (http.client.HTTPException, OSError):
                self.connection.close()
        self.connect()
        return self.exchange(path, method, fields, body)

    def exchange(self, path, method, fields, body):
        begin = time.monotonic()
        self.connection.request(method, path, body, fields or {})
        response = self.connection.getresponse()
        data = response.read()
        return Answer(response.status, response.headers, data,
                      (time.monotonic() - begin) * 1000)


class AccessLog:
    """Etagere's: the last words of a line are how many µs the look-up of
    the page's data took."""

    def __init__(self, path):
        self.path = path

    def size(self):
        return os.path.getsize(self.path)

    def look_up(self, since, path):
        """µs that the first request for `path` behind `since` spent on its
        look-up, or None; waits for its line."""
        found = []

        def is_written():
            with open(self.path, encoding="utf-8") as log:
                log.seek(since)
                found.extend(re.findall(
                    r'"[A-Z]+ %s [^"]*".* (\d+|-) us$' % re.escape(path),
                    log.read(), re.MULTILINE))
            return found
        wait_until(is_written)
        return int(found[0]) if found[0].isdigit() else None


class Claims:
    """Counts what held and what did not, and prints each."""

    def __init__(self):
        self.passed = 0
        self.failed = 0

    def say(self, text, held, seen=""):
        if held:
            self.passed += 1
            print("  ok      " + text)
        else:
            self.failed += 1
            print("  NOT SO  %s%s" % (text, " -- " + seen if seen else ""))


class Demo:
    def __init__(self, options):
        self.state = options.state
        self.backend = Server("backend", options.backend_port)
        self.etagere = Server("Etagere", options.httpd_port)
        self.log = AccessLog(os.path.join(options.state, "access.log"))
        self.claims = Claims()

    def backend_count(self):
        return int(self.backend.ask("/up/count").body)

    def counted(self, server, path, **request):
        """An answer, and how many requests the backend had for it."""
        before = self.backend_count()
        answer = server.ask(path, **request)
        return answer, self.backend_count() - before

    def expect(self, text, answer, requests, status, backend, **fields):
        """Claims a status, a number of backend requests and patterns that
        fields match (cache_status="hit")."""
        held = answer.status == status and requests == backend
        for name, pattern in fields.items():
            value = answer.fields.get(name.replace("_", "-"), "")
            held = held and re.search(pattern, value) is not None
        self.claims.say(text, held, "status %d, %d backend requests, %s" % (
            answer.status, requests, cache_status(answer)))

    # -- the table ---------------------------------------------------------

    def show_pages(self):
        self.show_header()
        pages = ("/api/products?page=1", "/api/products?page=100",
                 "/api/products/1")
        shown = [self.show_page(page) for page in pages]
        print()
        for page, rows in zip(pages, shown):
            self.claim_page(page, *rows)

    def show_page(self, page):
        """Six requests; returns (answer, backend requests, look-up's µs) for
        each."""
        rows = [self.show_row(page, label, server) for server, label in (
            (self.backend, "backend"),
            (self.backend, "backend, again"),
            (self.etagere, "Etagere, first time"),
            (self.etagere, "Etagere, again"))]
        for server, label, known in (
                (self.backend, "backend, If-None-Match", rows[0]),
                (self.etagere, "Etagere, If-None-Match", rows[2])):
            rows.append(self.show_row(page, label, server, fields={
                "If-None-Match": known[0].fields.get("ETag", "")}))
        return rows

    @staticmethod
    def show_header():
        print("\n%-22s %-24s %6s %8s %8s %7s %10s  %s" % (
            "page", "asked", "status", "ms", "bytes", "backend", "look-up µs",
            "Cache-Status"))

    def show_row(self, page, label, server, **request):
        """An answer, the backend's requests for it, the look-up's µs."""
        since, look_up = self.log.size(), None
        answer, requests = self.counted(server, page, **request)
        if server is self.etagere:
            look_up = self.log.look_up(since, page)
        print("%-22s %-24s %6d %8.2f %8d %7d %10s  %s" % (
            page, label, answer.status, answer.ms, len(answer.body),
            requests, "" if look_up is None else look_up,
            cache_status(answer)))
        return answer, requests, look_up

    def claim_page(self, page, direct, again, first, hit, tag, hit_tag):
        print(page)
        self.expect("the backend works for every request and calls its "
                    "answers private", *again[:2], 200, 1,
                    cache_control="^" + RAILS_CACHE_CONTROL + "$")
        self.expect("Etagere asks the backend once and stores the answer",
                    *first[:2], 200, 1, cache_status="^Etagere; fwd=uri-miss"
                    ".*; stored")
        self.expect("the second time the store answers, the backend has "
                    "no request", *hit[:2], 200, 0,
                    cache_status="^Etagere; hit", age="^[0-9]+$")
        self.claims.say("both bodies are the backend's, byte for byte",
                        direct[0].body == first[0].body == hit[0].body
                        and len(hit[0].body) > 0)
        self.expect("the backend renders the whole page to say 304",
                    *tag[:2], 304, 1)
        self.expect("the store says 304 without the backend", *hit_tag[:2],
                    304, 0, cache_status="^Etagere; hit")
        if "?" in page:
            self.claims.say("the database was asked for the list's times "
                            "before, each time", None not in (
                                first[2], hit[2], hit_tag[2]))

    # -- single stories ----------------------------------------------------

    def show_speed(self):
        page = "/api/products?page=1"
        direct = statistics.median(
            self.backend.ask(page).ms for _ in range(30))
        cached = statistics.median(
            self.etagere.ask(page).ms for _ in range(30))
        print("\nmedian of 30 requests, one after the other: backend "
              "%.2f ms, Etagere %.2f ms" % (direct, cached))
        self.claims.say("a hit takes less than half of the backend's time",
                        cached * 2 < direct)

    def show_change(self):
        page = "/api/products?page=2"
        product_id = json.loads(self.etagere.ask(page).body)["products"][0]
        product_id = product_id["id"]
        product = "/api/products/%d" % product_id
        self.etagere.ask(product)
        print("\nA change: PATCH %s, a product on page 2" % product)
        hit, requests = self.counted(self.etagere, product)
        self.expect("before it, the product comes from the store", hit,
                    requests, 200, 0, cache_status="; hit")
        price = json.loads(hit.body)["price_cents"] + 1
        patch, requests = self.counted(
            self.etagere, product,
            **json_request("PATCH", price_cents=price))
        self.expect("the PATCH reaches the backend", patch, requests, 200, 1)
        fresh, requests = self.counted(self.etagere, product)
        self.expect("the next GET asks the backend: the change made the "
                    "stored answer invalid", fresh, requests, 200, 1)
        self.claims.say("and shows the new price",
                        price_of(fresh.body, product_id) == price)
        purge, requests = self.counted(self.etagere, product, method="PURGE")
        self.expect("PURGE answers JSON and asks nobody", purge, requests,
                    200, 0, content_type="^application/json")
        fresh, requests = self.counted(self.etagere, product)
        self.expect("the next GET asks the backend", fresh, requests, 200, 1,
                    cache_status="; fwd=")

    # -- the data's times --------------------------------------------------

    def show_data(self):
        """What the lists show changes by way of other URLs."""
        pages = ["/api/products?page=%d" % number for number in (1, 2, 3)]
        stored = [self.etagere.ask(page) for page in pages]
        product = json.loads(stored[1].body)["products"][0]
        path = "/api/products/%d" % product["id"]
        print("\nA change that the cache is not told of: a product on page 2")
        self.show_header()
        post = self.show_row(path, "POST price_cents", self.etagere,
                             **json_request(price_cents=product["price_cents"]
                                            + 1))
        rows = [self.show_row(page, "Etagere", self.etagere)
                for page in pages]
        again = self.show_row(pages[1], "Etagere, again", self.etagere)
        tag = self.show_row(pages[2], "Etagere, If-None-Match", self.etagere,
                            fields={"If-None-Match":
                                    stored[2].fields.get("ETag", "")})
        print()
        self.expect("the POST reaches the backend, at the product's own URL",
                    *post[:2], 200, 1)
        self.expect("the next GET of page 2 asks the backend at once",
                    *rows[1][:2], 200, 1, cache_status="; fwd=")
        self.claims.say("and shows the new price", price_of(
            rows[1][0].body, product["id"]) == product["price_cents"] + 1)
        self.expect("and is stored again", *again[:2], 200, 0,
                    cache_status="; hit")
        for page, row, before in ((1, rows[0], stored[0]),
                                  (3, rows[2], stored[2])):
            self.expect("page %d comes from the store as before" % page,
                        *row[:2], 200, 0, cache_status="; hit")
            self.claims.say("with the same body and tag",
                            row[0].body == before.body
                            and row[0].fields["ETag"] == before.fields["ETag"])
        self.expect("and who has it is told so by 304", *tag[:2], 304, 0,
                    cache_status="; hit")
        self.show_insert(pages, rows)

    def show_insert(self, pages, before):
        print("\nA new product, at the end of the last page: num_pages is on "
              "every page")
        self.show_header()
        post = self.show_row(
            "/api/products", "POST a product", self.etagere,
            **json_request(name="Zebra", sku="SKU-ZEBRA", price_cents=1))
        rows = [self.show_row(page, "Etagere", self.etagere)
                for page in pages]
        again = [self.show_row(page, "Etagere, again", self.etagere)
                 for page in pages]
        print()
        self.expect("the POST reaches the backend", *post[:2], 201, 1)
        for page, row, old, repeated in zip(pages, rows, before, again):
            self.expect("%s is asked for anew" % page, *row[:2], 200, 1,
                        cache_status="; fwd=")
            now, then = json.loads(row[0].body), json.loads(old[0].body)
            self.claims.say(
                "num_pages %d became %d, its products are the same" % (
                    then["num_pages"], now["num_pages"]),
                now["num_pages"] == then["num_pages"] + 1
                and now["products"] == then["products"]
                and row[0].fields["ETag"] != old[0].fields["ETag"])
            self.expect("once", *repeated[:2], 200, 0, cache_status="; hit")
        self.show_index(pages[0])

    def show_index(self, page):
        """The look-up sorts 10,000 rows, as the application does. What its
        owner could do about it leaves the page as it is."""
        print("\nAn index for the list: %s" % INDEX)
        without, without_ms = self.median_look_up(page)
        with sqlite3.connect(os.path.join(self.state, "shop.sqlite3"),
                             timeout=DEADLINE_S) as shop:
            shop.execute(INDEX)
        shop.close()
        hit, requests = self.counted(self.etagere, page)
        self.expect("the page comes from the store as before", hit, requests,
                    200, 0, cache_status="; hit")
        indexed, indexed_ms = self.median_look_up(page)
        self.claims.say("the look-up took %d µs and takes %d µs now; the page "
                        "%.2f ms and %.2f ms" % (without, indexed, without_ms,
                                                 indexed_ms),
                        indexed < without)

    def median_look_up(self, page):
        """Its µs and the whole request's ms, of 30 requests."""
        took, ms = [], []
        for _ in range(30):
            since = self.log.size()
            ms.append(self.etagere.ask(page).ms)
            took.append(self.log.look_up(since, page))
        if None in took:
            raise ValueError("no look-up of " + page)
        return statistics.median(took), statistics.median(ms)

    # -- who else asks -----------------------------------------------------

    def show_private(self):
        page = "/api/products?page=1"
        print("\nSomebody who is logged in (Cookie: session=abc)")
        self.etagere.ask(page)
        for text in ("is not answered from the store",
                     "nor is anything stored for the next one"):
            answer, requests = self.counted(
                self.etagere, page, fields={"Cookie": "session=abc"})
            self.expect(text, answer, requests, 200, 1, cache_status="; fwd=")

    def show_stampede(self):
        clients = 50
        print("\nA stampede: %d clients ask for one page at the same moment"
              % clients)
        direct = self.stampede(self.backend, "/api/products?page=51", clients)
        cached = self.stampede(self.etagere, "/api/products?page=52", clients)
        for server, (answers, requests) in ((self.backend, direct),
                                            (self.etagere, cached)):
            print("  %-7s %2d backend requests, slowest answer %.0f ms" % (
                server.name, requests, max(a.ms for a in answers)))
        bodies = {answer.body for answer in cached[0]}
        self.claims.say(
            "all %d got 200 and the same page, the backend had 1 request"
            % clients, cached[1] == 1 and len(bodies) == 1
            and all(a.status == 200 for a in cached[0]),
            "%d backend requests, statuses %s" % (
                cached[1], sorted({a.status for a in cached[0]})))

    def stampede(self, server, page, clients):
        """All answers, and how many requests the backend had."""
        before = self.backend_count()
        barrier = threading.Barrier(clients)
        answers = []

        def client():
            own = Server(server.name, server.port)
            own.connect()
            barrier.wait(DEADLINE_S)
            answers.append(own.ask(page))
            own.connection.close()

        threads = [threading.Thread(target=client) for _ in range(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return answers, self.backend_count() - before

    def show_next_page(self):
        pages = ["/api/calls?page=%d" % number for number in range(1, 6)]
        print("\nA call log in pages: the backend takes half a second for each")
        # The next page's request may come as soon as this one is answered.
        before = self.backend_count()
        first = self.etagere.ask(pages[0])
        self.claims.say(
            "page 1, asked for the first time: %.0f ms" % first.ms,
            first.status == 200 and first.ms >= 500, cache_status(first))
        for page in pages[1:]:
            self.wait_for_page(page)
            answer = self.etagere.ask(page)
            self.claims.say(
                "%s was there before anybody asked for it: %.2f ms, %s" % (
                    page, answer.ms, cache_status(answer)),
                answer.status == 200 and answer.ms < first.ms / 2
                and cache_status(answer).startswith("Etagere; hit"))
        wait_until(lambda: self.backend_count() - before > len(pages))
        asked = self.backend_count() - before
        self.claims.say("the backend was asked for each page once, and for "
                        "the one after them", asked == len(pages) + 1,
                        "%d backend requests" % asked)

    def wait_for_page(self, page):
        """Until it is in the store, without having it fetched."""
        wait_until(lambda: self.etagere.ask(page, fields={
            "Cache-Control": "only-if-cached"}).status == 200)

    def show_stale(self):
        page = "/api/calls?page=1"
        print("\nThe same page, stale by now (max-age=5, served stale for a "
              "minute)")
        held = {}

        def is_stale():
            held["answer"] = self.etagere.ask(page)
            return "stale-while" in cache_status(held["answer"])
        wait_until(is_stale)
        answer = held["answer"]
        self.claims.say(
            "nobody waits for the backend's half second: %.2f ms, %s" % (
                answer.ms, cache_status(answer)),
            answer.status == 200 and answer.ms < 250)
        old = json.loads(answer.body)["asked_at"]
        wait_until(lambda: json.loads(self.etagere.ask(page).body)["asked_at"]
                   != old)
        self.claims.say("and the background has fetched a new one", True)

    def show_coding(self):
        page = "/api/products?page=1"
        print("\nOne copy for all clients")
        plain = self.etagere.ask(page)
        coded = self.etagere.ask(page, fields={"Accept-Encoding": "gzip"})
        self.claims.say(
            "who takes gzip gets the stored %d bytes, who does not %d" % (
                len(coded.body), len(plain.body)),
            coded.fields.get("Content-Encoding") == "gzip"
            and "Content-Encoding" not in plain.fields
            and len(coded.body) * 2 < len(plain.body))
        self.claims.say("which are the same page",
                        gzip.decompress(coded.body) == plain.body)
        again = self.etagere.ask(page, fields={
            "Accept-Encoding": "gzip",
            "If-None-Match": coded.fields.get("ETag", "")})
        self.claims.say(
            "and its tag %s brings a 304: %s" % (
                coded.fields.get("ETag"), cache_status(again)),
            again.status == 304)

    def show_restart(self):
        page = "/api/products?page=3"
        print("\nhttpd is stopped and started again")
        self.etagere.ask(page)
        stored = self.etagere.ask(page)
        self.httpd("stop")
        self.httpd("start")
        answer, requests = self.counted(self.etagere, page)
        self.expect("the next request is a hit: the store is on disk",
                    answer, requests, 200, 0, cache_status="; hit")
        self.claims.say("with the same body", answer.body == stored.body)

    def show_dead_backend(self):
        page, product = "/api/products?page=1", "/api/products/1"
        print("\nThe backend is killed (stale-if-error=86400)")
        listed, stored = self.etagere.ask(page), self.etagere.ask(product)
        self.etagere.ask(product, method="PURGE")
        self.kill_backend()
        answer = self.etagere.ask(product)
        self.claims.say(
            "a product that is stored but stale is answered all the same: %s"
            % cache_status(answer), answer.status == 200
            and answer.body == stored.body, "status %d" % answer.status)
        answer = self.etagere.ask(product)
        self.claims.say(
            "and still counts as stale: %s" % cache_status(answer),
            answer.status == 200 and "ttl=-" in cache_status(answer)
            and "stored" not in cache_status(answer))
        answer = self.etagere.ask(page)
        self.claims.say(
            "a list whose data has not moved does not need the backend: %s"
            % cache_status(answer), answer.status == 200
            and answer.body == listed.body
            and cache_status(answer).startswith("Etagere; hit"))
        answer = self.etagere.ask("/api/products?page=77")
        self.claims.say("a page that is not stored is an error: %d"
                        % answer.status, answer.status in (502, 503, 504))
        subprocess.run([os.path.join(HERE, "backend", "start"), self.state,
                        str(self.backend.port)], check=True)
        print("  (the backend is started again)")
        answer, requests = self.counted(self.etagere, product)
        self.expect("then the stale product is checked with it", answer,
                    requests, 200, 1, cache_status="; fwd=stale")

    # -- processes ---------------------------------------------------------

    def httpd(self, action):
        """Stops or starts httpd, and waits for the pid file to say so."""
        pid_file = os.path.join(self.state, "httpd.pid")
        subprocess.run(["apache2", "-d", self.state, "-f",
                        os.path.join(self.state, "httpd.conf"),
                        "-k", action], check=True)
        wait_until(lambda: os.path.exists(pid_file) == (action == "start"))

    def kill_backend(self):
        with open(os.path.join(self.state, "puma.pid")) as file:
            pid = int(file.read())
        os.kill(pid, signal.SIGKILL)
        self.backend.connection.close()
        self.backend.connection = None
        wait_until(lambda: not can_connect(self.backend.port))


def json_request(method="POST", **body):
    return {"method": method, "body": json.dumps(body),
            "fields": {"Content-Type": "application/json"}}


def cache_status(answer):
    return answer.fields.get("Cache-Status", "-")


def price_of(body, product_id):
    """The product's price in its own answer or in a page."""
    data = json.loads(body)
    for row in data.get("products", [data]):
        if row["id"] == product_id:
            return row["price_cents"]
    return None


def can_connect(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def wait_until(condition):
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("waited %d s in vain" % DEADLINE_S)
        time.sleep(0.05)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--state", required=True)
    parser.add_argument("--httpd-port", type=int, required=True)
    parser.add_argument("--backend-port", type=int, required=True)
    parser.add_argument("--check", action="store_true",
                        help="exit 1 unless every claim held")
    options = parser.parse_args()
    demo = Demo(options)
    for story in (demo.show_pages, demo.show_speed, demo.show_change,
                  demo.show_data, Dashboard(demo).show, ShopPage(demo).show,
                  demo.show_private, demo.show_stampede, demo.show_next_page,
                  demo.show_stale, demo.show_coding, demo.show_restart,
                  demo.show_dead_backend):
        try:
            story()
        except (OSError, ValueError, LookupError, http.client.HTTPException,
                subprocess.SubprocessError) as error:
            demo.claims.say("this part of the demo ran", False, repr(error))
    print("\n%d passed, %d failed" % (demo.claims.passed, demo.claims.failed))
    if options.check and demo.claims.failed:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
