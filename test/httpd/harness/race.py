# SPDX-License-Identifier: Apache-2.0
"""A writer, and readers who must never see what is past.

The writer is a process of its own: it commits one change after another and
notes, for each, when the commit began and ended (the machine's steady clock,
which processes share) and what each page shows from then on. So a state is
there from some moment between its commit's begin and end, to some moment
before the next one's end.

Each reader notes when it sent a request and had the answer, and what the
answer shows; a 304 shows what the reader holds. An answer is right if its
state was there at some moment between those two. judge() counts."""
import collections
import hashlib
import json
import multiprocessing
import queue
import random
import threading
import time

from .database import connect_again

Commit = collections.namedtuple("Commit", "begin end pages")
Seen = collections.namedtuple(
    "Seen", "page sent received status shown tag connection")
EVER = float("inf")


def shown(page):
    """What tells a page from what it showed before."""
    return hashlib.sha1(json.dumps(page).encode()).hexdigest()


class Table:
    """The table as its only writer knows it."""

    def __init__(self, database, seed, pages, per):
        self.database = database
        self.chance = random.Random(seed)
        self.pages = pages
        self.per = per
        self.walk = 0

    def ids(self):
        return [int(row[0]) for row in self.database.execute(
            "SELECT id FROM products ORDER BY id")]

    def change(self):
        """One change. None leads back to a state that was there lately."""
        ids = self.ids()
        what = self.chance.choice(["update", "update", "insert", "delete",
                                   "swap"])
        if what == "update":
            self.database.update(self.chance.choice(ids))
        elif what == "insert":
            self.database.insert()
        elif what == "delete" and len(ids) > self.per:
            # Not one of the newest: that would be as if never inserted.
            self.database.delete(self.chance.choice(ids[:self.per]))
        else:
            self.swap(ids)

    def swap(self, ids):
        """Two neighbours change their times, so that sums stay."""
        self.walk = (self.walk + 1) % (len(ids) - 1)
        pair = ids[self.walk], ids[self.walk + 1]
        times = [self.database.execute("SELECT updated_at FROM products "
                                       "WHERE id = %s", one)[0][0]
                 for one in pair]
        for one, when in zip(pair, reversed(times)):
            self.database.execute("UPDATE products SET updated_at = %s "
                                  "WHERE id = %s", when, one)

    def now(self):
        return {page: shown(self.database.page(page, self.per))
                for page in self.pages}


def write(where, seed, pages, per, pause, stop, out, made):
    """The writer's process."""
    database = connect_again(*where)
    table = Table(database, seed, pages, per)
    commits = [Commit(0, 0, table.now())]
    out.put("ready")
    while not stop.wait(table.chance.uniform(0, 2 * pause)):
        database.begin()
        table.change()
        after = table.now()
        begin = time.monotonic()
        database.execute("COMMIT")
        commits.append(Commit(begin, time.monotonic(), after))
        made.value = len(commits)
    out.put(commits)


class Writer:
    """with Writer(database, pages=[1, 2]) as writer: ...; writer.commits."""

    def __init__(self, database, pages, per, pause, seed=1):
        context = multiprocessing.get_context("spawn")
        self.stop = context.Event()
        self.out = context.Queue()
        self.commits = None
        self.made = context.Value("i", 0)
        self.process = context.Process(
            target=write, daemon=True,
            args=(database.where, seed, pages, per, pause, self.stop,
                  self.out, self.made))

    def __enter__(self):
        self.process.start()
        assert self.get() == "ready"
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.commits = self.get()
        self.process.join(20)

    def get(self):
        while True:
            try:
                return self.out.get(timeout=1)
            except queue.Empty:
                assert self.process.is_alive(), "the writer died"


class Readers:
    """Requests for random pages, by some connections: `count` at least, and
    as many as it takes until enough()."""

    def __init__(self, httpd, path, pages, count, enough, clients=6):
        self.httpd = httpd
        self.path = path
        self.pages = pages
        self.left = count
        self.enough = enough
        self.lock = threading.Lock()
        self.seen = []
        self.failed = []
        self.threads = [threading.Thread(target=self.run, args=(number,),
                                         daemon=True)
                        for number in range(clients)]

    def run_all(self, timeout=300):
        for thread in self.threads:
            thread.start()
        for thread in self.threads:
            thread.join(timeout)
            assert not thread.is_alive(), "a reader hangs"
        assert not self.failed, self.failed[0]
        return self.seen

    def takes_one(self):
        with self.lock:
            self.left -= 1
            return self.left >= 0 or not self.enough()

    def run(self, number):
        seen, held, chance = [], {}, random.Random(number)
        try:
            with self.httpd.connect() as connection:
                while self.takes_one():
                    seen.append(self.one(connection, number, held,
                                         chance.choice(self.pages)))
        except Exception as error:      # shown by run_all
            self.failed.append(error)
        with self.lock:
            self.seen += seen

    def one(self, connection, number, held, page):
        tag, body = held.get(page, (None, None))
        sent = time.monotonic()
        answer = connection.get("%s?page=%d" % (self.path, page),
                                {"If-None-Match": tag} if tag else {})
        received = time.monotonic()
        if answer.status == 304:
            assert tag and answer.get("ETag") == tag, answer
        else:
            assert answer.status == 200, answer
            tag, body = answer.get("ETag"), shown(json.loads(answer.body))
            held[page] = tag, body
        return Seen(page, sent, received, answer.status, body, tag, number)


class Verdict:
    def __init__(self, commits, seen):
        self.stale = [one for one in seen if not was_there(commits, one)]
        self.answered = len(seen)
        self.unchanged = sum(one.status == 304 for one in seen)
        self.states = len({(one.page, one.shown) for one in seen})
        bodies = collections.defaultdict(set)
        for one in seen:
            if one.tag is not None:
                bodies[one.tag].add((one.page, one.shown))
        # Tags that stand for two different contents.
        self.torn = [tag for tag, each in bodies.items() if len(each) > 1]

    def __repr__(self):
        return ("%d answers, %d times 304, %d states seen, %d stale, "
                "%d torn tags" % (self.answered, self.unchanged, self.states,
                                  len(self.stale), len(self.torn)))


def was_there(commits, one):
    """Was what it shows in the database at some moment between?"""
    for number, commit in enumerate(commits):
        if commit.begin > one.received:
            return False
        end = (commits[number + 1].end if number + 1 < len(commits)
               else EVER)
        if end >= one.sent and commit.pages[one.page] == one.shown:
            return True
    return False


def race(httpd, database, path, requests, pages=(1, 2), per=20, pause=0.004):
    """Runs both and judges."""
    with Writer(database, pages, per, pause) as writer:
        readers = Readers(httpd, path, pages, requests,
                          lambda: writer.made.value >= requests // 50)
        seen = readers.run_all()
    return Verdict(writer.commits, seen)
