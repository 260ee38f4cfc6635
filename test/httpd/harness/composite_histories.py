# SPDX-License-Identifier: Apache-2.0
"""Random histories of composites: parts change, fail, come back, expire, are
purged, and are asked for by several users with tags they hold. Each history
has URLs of its own, so that many go on at once; composite_model judges.

Histories run in processes, each with a backend of its own:

    with Walkers(processes=2) as walkers:
        httpd = make_httpd(walkers.config(), prepare=write_templates)
        walkers.walk(httpd.port, seed, 1000)     # what came of it

A history is made of its seed and number alone, whatever process it is in."""
import collections
import multiprocessing
import queue
import random
import threading

from .backend import Backend
from .client import Connection, Truncated
from .composite_model import (POLICIES, SHAPES, USERS, Judge, Part, State,
                              Wrong)

STEPS = collections.Counter({
    "nothing": 30, "change": 22, "change back": 6, "fail": 14, "go": 4,
    "mend": 10, "expire": 9, "purge": 9, "expire all": 3, "purge whole": 3})
CONDITIONS = collections.Counter({
    "none": 25, "own": 45, "any": 18, "some": 6, "nonsense": 3, "star": 3})


def chosen(chance, weights):
    return chance.choices(list(weights), weights.values())[0]


class History:
    """One history. `backend` gets its parts, `client` asks."""

    def __init__(self, seed, number, prefix, backend, client, seen,
                 tamper=None):
        self.chance = random.Random("%s %d" % (seed, number))
        self.backend = backend
        self.client = client
        self.tamper = tamper
        self.where = "%s-%d" % (prefix, number)
        self.folder = "/%s/%d" % (prefix, number)
        self.held = {}                  # user: tags, the last one last
        self.versions = collections.Counter()
        self.came = collections.Counter()
        self.story = []
        self.set_up(seen)

    def set_up(self, seen):
        """What is asked for, of what parts, and who judges."""
        shape = SHAPES[self.chance.choice(sorted(SHAPES))]
        self.is_cached = shape.is_cached
        self.parts = [self.make(Part, one) for one in shape.lines]
        self.target = "/made/%s/%s" % (self.where, shape.name)
        self.judge = Judge(self.where, shape, self.parts, seen)

    def make(self, kind, one):
        choice = self.chance.choice
        # Half of all that is kept, or nothing would ever be.
        policy = choice(sorted(POLICIES) + ["kept"] * len(POLICIES))
        return kind(self.where, one, policy, choice(
            ["strong", "strong", "strong", "weak", "none"]),
            self.chance.random() < 0.8)

    def url(self, part):
        return "%s/%s" % (self.folder, part.line.name)

    def walk(self):
        """Raises Wrong, with the story so far."""
        for part in self.parts:
            self.backend.on(self.url(part), part.answer)
        try:
            for _ in range(self.chance.randint(3, 8)):
                self.step(chosen(self.chance, STEPS),
                          self.chance.choice(self.parts))
                self.ask()
        except (Wrong, OSError, Truncated, LookupError,
                ValueError) as error:
            raise Wrong("%s: %r\n  %s" % (self.target, error,
                                          "\n  ".join(self.story)))
        finally:
            for part in self.parts:
                self.backend.on(self.url(part), None)

    # what happens to a part

    def step(self, what, part):
        self.story.append("%s %r" % (what, part))
        name = part.line.name
        if what == "change" or part.state.kind == "ok" and what == "mend":
            self.versions[name] += 1
            part.become(State("ok", 1 + self.versions[name]))
        elif what == "change back" or what == "mend":
            part.become(State("ok", self.chance.randint(
                1, 1 + self.versions[name])))
        elif what == "go":
            part.become(State("gone", 0))
        elif what == "fail":
            part.become(State(self.chance.choice(part.failures),
                              self.chance.randrange(4)))
        elif what == "expire all":
            self.purge(self.parts, "soft")
        elif what == "expire" or what == "purge":
            self.purge([part], "soft" if what == "expire" else "hard")
        elif what == "purge whole" and self.is_cached:
            self.send_purge(self.target, {"ETag-Purge": "hard"})

    def purge(self, parts, kind):
        """By URL, or by tag; a composite that is kept as a whole is known by
        its parts' tags alone."""
        for part in parts:
            part.expire() if kind == "soft" else part.forget()
        fields = {"ETag-Purge": "hard"} if kind == "hard" else {}
        if self.is_cached or self.chance.random() < 0.3:
            fields["Surrogate-Key"] = " ".join(part.key() for part in parts)
            self.send_purge(self.folder + "/", fields)
        else:
            for part in parts:
                self.send_purge(self.url(part), fields)

    def send_purge(self, target, fields):
        got = self.client.request("PURGE", target, fields)
        if got.status != 200:
            raise Wrong("PURGE %s: %r" % (target, got))

    # a request

    def ask(self):
        user = self.chance.choice(USERS)
        offered = self.condition(user)
        fields = {"If-None-Match": ", ".join(offered)} if offered else {}
        if user is not None:
            fields["Authorization"] = user
        before = sum(part.asked for part in self.parts)
        got = self.client.request("GET", self.target, fields)
        if self.tamper is not None:
            self.tamper(self, offered, got)
        self.story.append("%s asks with %s: %r %r" % (user, offered, got,
                                                      got.body))
        word = self.judge.judge(user, offered, got)
        self.came[word] += 1
        if sum(part.asked for part in self.parts) == before:
            self.came[word + ", backends not asked"] += 1
        tag = got.get("ETag")
        if tag is not None:
            self.held.setdefault(user, []).append(tag)

    def condition(self, user):
        what = chosen(self.chance, CONDITIONS)
        own = self.held.get(user, [])
        every = [tag for tags in self.held.values() for tag in tags]
        if what == "own" and own:
            return [own[-1]]
        if what == "any" and every:
            return [self.chance.choice(every)]
        if what == "some" and every:
            return self.chance.choices(every, k=3)
        return {"nonsense": ['"nonsense"'], "star": ["*"]}.get(what, [])


class Client:
    """A connection, and another one when httpd closes it."""

    def __init__(self, port):
        self.port = port
        self.connection = None

    def request(self, *words):
        if self.connection is None:
            self.connection = Connection(self.port)
        got = self.connection.request(*words)
        if got.get("Connection") == "close":
            self.close()
        return got

    def close(self):
        if self.connection is not None:
            self.connection.close()
            self.connection = None


class Walk:
    """Some histories in this process, by some threads."""

    def __init__(self, port, seed, numbers, prefix, backend, tamper=None,
                 make=History, threads=3):
        self.port = port
        self.seed = seed
        self.numbers = iter(numbers)
        self.prefix = prefix
        self.backend = backend
        self.tamper = tamper
        self.make = make
        self.lock = threading.Lock()
        self.seen = {}
        self.came = collections.Counter()
        self.wrong = []
        self.threads = [threading.Thread(target=self.run, daemon=True)
                        for _ in range(threads)]

    def run_all(self):
        for thread in self.threads:
            thread.start()
        for thread in self.threads:
            thread.join()
        return self.came, self.wrong

    def run(self):
        client = Client(self.port)
        while True:
            with self.lock:
                number = next(self.numbers, None)
            if number is None or len(self.wrong) > 20:
                break
            history = self.make(self.seed, number, self.prefix, self.backend,
                                client, self.seen, self.tamper)
            try:
                history.walk()
            except Exception as error:      # shown by the test
                self.wrong.append(str(error))
                client.close()
            with self.lock:
                self.came += history.came
                self.came["histories"] += 1
        client.close()


def serve(prefix, orders, out):
    """A process: its backend's port first, then what came of each order."""
    backend = Backend()
    out.put(backend.port)
    for port, seed, numbers, make in iter(orders.get, None):
        out.put(Walk(port, seed, numbers, prefix, backend,
                     make=make).run_all())
    backend.close()


CONFIG = """
ProxyPass "/%(prefix)s/" "http://127.0.0.1:%(port)d/%(prefix)s/" connectiontimeout=5 timeout=30 retry=0
<Location "/%(prefix)s/">
    ETagCache On
</Location>
"""


def config(prefix, port):
    """For the histories of one backend."""
    return CONFIG % {"prefix": prefix, "port": port} + "".join(
        shape.config(prefix) for shape in SHAPES.values())


def write_templates(httpd):
    for shape in SHAPES.values():
        if shape.template is not None:
            (httpd.root / (shape.name + ".json")).write_text(shape.template)


class Walkers:
    """The processes."""

    def __init__(self, processes=2):
        context = multiprocessing.get_context("spawn")
        self.prefixes = ["w%d" % number for number in range(processes)]
        self.orders = [context.Queue() for _ in self.prefixes]
        self.out = [context.Queue() for _ in self.prefixes]
        self.processes = [
            context.Process(target=serve, args=words, daemon=True)
            for words in zip(self.prefixes, self.orders, self.out)]
        self.ports = []

    def __enter__(self):
        for process in self.processes:
            process.start()
        self.ports = [self.get(number) for number in
                      range(len(self.processes))]
        return self

    def __exit__(self, *_):
        for orders in self.orders:
            orders.put(None)
        for process in self.processes:
            process.join(5)
            process.kill()

    def get(self, number):
        while True:
            try:
                return self.out[number].get(timeout=1)
            except queue.Empty:
                assert self.processes[number].is_alive(), "a walker died"

    def config(self, one=config):
        """one(prefix, port): what one process needs."""
        return "".join(map(one, self.prefixes, self.ports))

    def walk(self, port, seed, count, make=History):
        """What came how often, and what was wrong."""
        every = len(self.processes)
        for number, orders in enumerate(self.orders):
            orders.put((port, seed, range(number, count, every), make))
        came, wrong = collections.Counter(), []
        for number in range(every):
            some, errors = self.get(number)
            came += some
            wrong += errors
        return came, wrong
