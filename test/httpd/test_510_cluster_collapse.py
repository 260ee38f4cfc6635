# SPDX-License-Identifier: Apache-2.0
"""One fetch serves everybody who asks at the same time on any of two machines;
and what happens when the machine that fetches fails, or the memcached servers
between them do. Times are printed (pytest -s)."""
import itertools
import os
import signal
import threading
import time

import h2.connection
import h2.events
import pytest

from conftest import PROXY
from harness.backend import Counter, answer, in_turn
from harness.crowd import Crowd
from harness.machines import STORES, Machines, arrives, peek
from harness.memcached import Cluster
from harness.net import poll
from harness.steps import FRESH, STALE

CONFIG = PROXY + """
ETagCache On
<Location "/impatient/">
    ETagCacheCollapseWait 1s
</Location>
<Location "/never-waits/">
    ETagCacheCollapseWait 0
</Location>
<Location "/alone/">
    ETagCacheCollapse Off
</Location>
"""
# A lease lasts a few seconds, whatever became of its holder.
LEASE_SECONDS = 3


@pytest.fixture
def own_servers():
    with Cluster(3) as cluster:
        yield cluster


# The servers first, so that they end after the machines.
@pytest.fixture(params=sorted(STORES))
def own_machines(request, own_servers, make_httpd):
    """Machines and servers that the test may break."""
    return Machines(make_httpd, CONFIG, own_servers, request.param)


class Crowds:
    """As many clients on each machine, let loose together."""

    def __init__(self, machines, count):
        self.crowds = [Crowd(httpd, count) for httpd in machines]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for crowd in self.crowds:
            crowd.__exit__()

    def ask(self, path):
        for crowd in self.crowds:
            crowd.ask(path)
        return self

    def answers(self, body=None):
        responses = [response for crowd in self.crowds
                     for response in crowd.answers()]
        for response in responses:
            assert response is not None and response.status == 200, response
            assert body is None or response.body == body
        return responses

    def report(self, what):
        for name, crowd in zip("AB", self.crowds):
            crowd.report("%s, machine %s" % (what, name))


class Stuck:
    """The first request of a path stands still until let go; the later ones
    are answered soon."""

    def __init__(self, backend, path, first=None,
                 later=answer(200, FRESH, b"later", 0.1)):
        self.go = threading.Event()
        self.backend = backend
        self.path = path
        self.first = first or answer(200, FRESH, b"first")
        backend.on(path, in_turn(self.stand, later))

    def stand(self, exchange):
        exchange.wait(self.go)
        self.first(exchange)

    def begin(self, httpd):
        """A client of `httpd` that leads."""
        leader = httpd.connect()
        leader.send_request("GET", self.path)
        poll(lambda: self.backend.hits(self.path) >= 1,
             "the backend is asked")
        return leader


class Waiter:
    """A client that asks and waits, for the lease if it leads on its
    machine."""

    def __init__(self, machines, httpd, path):
        before = machines.asked()
        self.connection = httpd.connect()
        self.began = time.monotonic()
        self.connection.send_request("GET", path)
        poll(lambda: machines.asked() > before + 8, "polling for the lease")

    def answer(self, what):
        response = self.connection.read_response()
        self.seconds = time.monotonic() - self.began
        print("%s: answered %.0f ms after it asked" % (what,
                                                       self.seconds * 1e3))
        self.connection.close()
        return response


def nothing_is_held(machines):
    poll(lambda: not machines.leases(), "the end of all leases", 10)


def test_cluster_100_a_hundred_clients_on_two_machines_one_fetch(
        machines, backend, path):
    backend.on(path, Counter(answer(200, FRESH, b"shared")))
    with Crowds(machines, 50) as crowds:
        responses = crowds.ask(path).answers(b"shared")
        crowds.report("cold key, backend 500 ms")
    assert backend.hits(path) == 1
    nothing_is_held(machines)
    assert len([r for r in responses if r.cache.get("stored")]) == 1
    others = [r for r in responses if not r.cache.get("stored")]
    assert all(r.hit or r.cache.get("collapsed") for r in others)
    for crowd in crowds.crowds:
        assert any(m.response.cache.get("collapsed") for m in crowd.members)


@pytest.mark.parametrize("round_number", range(5))
def test_cluster_101_a_fast_backend_is_asked_once_as_well(
        machines, backend, path, round_number):
    backend.on(path, Counter(answer(200, FRESH, b"fast"), 0.02))
    with Crowds(machines, 20) as crowds:
        crowds.ask(path).answers(b"fast")
        crowds.report("cold key, backend 20 ms")
    assert backend.hits(path) == 1


def test_cluster_102_an_uncacheable_answer_queues_nobody(machines, backend,
                                                        path):
    counter = Counter(answer(200, {"Cache-Control": "private"}, b"own"))
    backend.on(path, counter)
    with Crowds(machines, 30) as crowds:
        crowds.ask(path).answers(b"own")
        crowds.report("uncacheable, backend 500 ms, first time")
    assert backend.hits(path) == 60
    # One leads alone; all others go together when its answer is known.
    assert counter.most > 30, counter.most
    counter.most = 0
    with Crowds(machines, 30) as crowds:
        crowds.ask(path).answers(b"own")
        crowds.report("uncacheable, remembered")
    assert backend.hits(path) == 120
    assert counter.most > 30, counter.most


def test_cluster_103_the_other_machine_remembers_it_too(machines, backend,
                                                       path):
    private = answer(200, {"Cache-Control": "private"}, b"own")
    stuck = Stuck(backend, path, private, private)
    a, b = machines
    leader = stuck.begin(a)
    waiter = Waiter(machines, b, path)
    poll(machines.leases, "a lease")
    assert backend.hits(path) == 1
    stuck.go.set()
    assert leader.read_response().body == b"own"
    leader.close()
    assert waiter.answer("uncacheable elsewhere").body == b"own"
    assert backend.hits(path) == 2
    # What is known not to be storable is forwarded as the client sent it.
    b.get(path, {"If-None-Match": '"x"'})
    assert backend.requests(path)[-1].get("If-None-Match") == '"x"'
    nothing_is_held(machines)


def test_cluster_104_validation_is_collapsed(machines, backend, path):
    a, b = machines
    backend.on(path, answer(200, STALE, b"body"))
    a.get(path)
    poll(lambda: [b.get(path),
                  "If-None-Match" in backend.requests(path)[-1]][1],
         "the stored response on B", 10)
    nothing_is_held(machines)
    backend.on(path, Counter(answer(304, {"Cache-Control": "max-age=60",
                                          "ETag": '"v1"'})))
    with Crowds(machines, 30) as crowds:
        crowds.ask(path).answers(b"body")
        crowds.report("validation, backend 500 ms")
    assert [request.get("If-None-Match")
            for request in backend.requests(path)] == ['"v1"']
    nothing_is_held(machines)


def test_cluster_105_off_is_off(machines, backend, path):
    path = "/alone" + path
    backend.on(path, Counter(answer(200, FRESH, b"each"), 0.2))
    with Crowds(machines, 5) as crowds:
        crowds.ask(path).answers(b"each")
    assert backend.hits(path) > 2


@pytest.mark.parametrize("status", [200, 301, 404, 500, 503])
def test_cluster_106_no_answer_keeps_the_lease(machines, backend, path,
                                              status):
    backend.on(path, answer(status, {"Location": "/elsewhere"}, b"any"))
    for httpd in machines:
        assert httpd.get(path).status == status
        nothing_is_held(machines)


def test_cluster_107_nor_does_one_made_by_httpd(machines, backend, path):
    a, _ = machines
    a.log.claim("AH0")
    backend.on(path, lambda exchange: exchange.cut())
    assert a.get(path).status == 502
    nothing_is_held(machines)


def test_cluster_110_a_failed_fetch_is_tried_by_the_other(machines, backend,
                                                         path):
    def cut(exchange):
        exchange.head(200, dict(FRESH, **{"Content-Length": "1000"}))
        exchange.send(b"only this")
        exchange.cut()
    a, b = machines
    a.log.claim(r"\[proxy|AH0")
    stuck = Stuck(backend, path, cut)
    with stuck.begin(a):
        waiter = Waiter(machines, b, path)
        stuck.go.set()
        response = waiter.answer("the other's fetch failed")
    assert response.body == b"later" and not response.cache.get("collapsed")
    assert backend.hits(path) == 2
    nothing_is_held(machines)


def test_cluster_111_the_leaders_client_leaves(machines, backend, path):
    a, b = machines
    stuck = Stuck(backend, path)
    leader = stuck.begin(a)
    waiter = Waiter(machines, b, path)
    leader.reset()
    stuck.go.set()
    assert waiter.answer("the leader's client left").body in (b"first",
                                                              b"later")
    nothing_is_held(machines)


def test_cluster_112_a_leader_with_a_slow_client_holds_no_machine_up(
        machines, backend, path):
    body = bytes(index * 7 % 250 for index in range(6 << 20))
    a, b = machines
    large = answer(200, FRESH, body)
    stuck = Stuck(backend, path, large, large)
    leader = a.connect(receive_buffer=4096)
    leader.send_request("GET", path)
    poll(lambda: backend.hits(path), "the backend is asked")
    waiter = Waiter(machines, b, path)
    stuck.go.set()
    # The leader's client has read nothing yet.
    assert waiter.answer("a slow client leads elsewhere").body == body
    assert waiter.seconds < 20           # of the 30 that it might wait
    assert leader.read_response().body == body
    leader.close()
    nothing_is_held(machines)


class SlowReader:
    """A client of HTTP/2 that opens its window a little at a time: slowness
    is its part of the story."""

    def __init__(self, httpd, path):
        self.connection = httpd.connect()
        self.h2 = h2.connection.H2Connection()
        self.body = b""
        self.ended = False
        self.h2.initiate_connection()
        self.h2.send_headers(1, [(":method", "GET"), (":scheme", "http"),
                                 (":authority", "localhost"),
                                 (":path", path)], end_stream=True)
        self.connection.send(self.h2.data_to_send())
        self.leaves = threading.Event()
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self):
        while not self.ended and self.connection.more():
            events = self.h2.receive_data(self.connection.buffer)
            self.connection.buffer = b""
            for event in events:
                if isinstance(event, h2.events.DataReceived):
                    self.body += event.data
                    self.leaves.wait(0.02)
                    self.h2.acknowledge_received_data(
                        event.flow_controlled_length, 1)
                self.ended |= isinstance(event, h2.events.StreamEnded)
            self.connection.send(self.h2.data_to_send())

    def all(self):
        self.leaves.set()                # no longer slow
        self.thread.join(60)
        self.connection.close()
        return self.body


@pytest.mark.http2
def test_cluster_115_nor_does_one_over_http2(machines, backend, path):
    body = bytes(index * 7 % 250 for index in range(4 << 20))
    a, b = machines
    large = answer(200, FRESH, body)
    stuck = Stuck(backend, path, large, large)
    leader = SlowReader(a, path)
    poll(lambda: backend.hits(path), "the backend is asked")
    waiter = Waiter(machines, b, path)
    stuck.go.set()
    response = waiter.answer("a slow client of HTTP/2 leads elsewhere")
    assert response.body == body
    # The lease was given up; it would have come with the leader's last byte.
    assert backend.hits(path) == 2
    assert leader.all() == body
    nothing_is_held(machines)


@pytest.mark.parametrize("where,most", [("/impatient", 10),
                                        ("/never-waits", 10)])
def test_cluster_113_the_wait_ends(machines, backend, path, where, most):
    path = where + path
    a, b = machines
    stuck = Stuck(backend, path)
    with stuck.begin(a) as leader:
        began = time.monotonic()
        assert b.get(path).body == b"later"
        seconds = time.monotonic() - began
        print("%s: answered after %.0f ms" % (where, seconds * 1e3))
        # Not the 30 s that others may wait.
        assert seconds < most
        stuck.go.set()
        assert leader.read_response().body == b"first"
    assert backend.hits(path) == 2


def test_cluster_114_waiting_for_both_is_one_wait(machines, backend, path):
    """Who followed on its machine until the wait ended has nothing left to
    wait for the lease, which its former leader holds."""
    path = "/impatient" + path
    a, _ = machines
    stuck = Stuck(backend, path)
    with stuck.begin(a) as leader:
        with Crowd(a, 10) as crowd:
            responses = crowd.ask(path).answers()
            crowd.report("stuck leader, wait 1 s")
        assert all(r.body == b"later" for r in responses)
        assert backend.hits(path) == 2
        stuck.go.set()
        assert leader.read_response().body == b"first"


def test_cluster_120_the_machine_that_leads_is_killed(own_machines, backend,
                                                     path):
    a, b = own_machines
    stuck = Stuck(backend, path)
    with stuck.begin(a):
        with Crowd(b, 20) as crowd:
            before = own_machines.asked()
            crowd.ask(path)
            poll(lambda: own_machines.asked() > before + 60,
                 "polling for the lease")
            assert backend.hits(path) == 1
            a.kill()
            responses = crowd.answers()
            crowd.report("leading machine killed, lease of %d s"
                         % LEASE_SECONDS)
            slowest = max(member.seconds for member in crowd.members)
    assert all(r.body == b"later" for r in responses)
    assert backend.hits(path) == 2
    # It waited for the lease's end, and not for that of its patience.
    assert slowest < 20
    stuck.go.set()
    a.log.claim("AH00098")           # its pid file is still there
    a.start()
    assert arrives(a, path).body == b"later"


def test_cluster_121_the_child_that_leads_is_killed(own_machines, backend,
                                                   path):
    """Its own machine's followers take over at once, and wait for the lease
    that nobody renews."""
    a, b = own_machines
    a.log.claim("exit signal Killed")
    stuck = Stuck(backend, path)
    leader = stuck.begin(a)
    child = a.child_serving(leader)
    waiter = Waiter(own_machines, b, path)
    os.kill(child, signal.SIGKILL)
    again = a.connect()
    again.send_request("GET", path)
    response = waiter.answer("leading child killed")
    assert response.body == b"later" and waiter.seconds < 20
    assert again.read_response().body == b"later"
    assert backend.hits(path) == 2
    stuck.go.set()
    leader.close()
    again.close()


def test_cluster_122_a_lease_is_renewed_while_its_holder_lives(
        machines, backend, path):
    a, b = machines
    backend.on(path, Counter(answer(200, FRESH, b"slow"),
                             LEASE_SECONDS * 2 + 1))
    with Crowds(machines, 10) as crowds:
        crowds.ask(path).answers(b"slow")
        crowds.report("backend %d s" % (LEASE_SECONDS * 2 + 1))
    assert backend.hits(path) == 1


@pytest.mark.parametrize("how", ["kill", "freeze"])
def test_cluster_130_the_servers_are_lost_while_some_wait(own_machines,
                                                         backend, path, how):
    a, b = own_machines
    for httpd in own_machines:
        httpd.log.claim("ETG04")
    stuck = Stuck(backend, path)
    with stuck.begin(a) as leader:
        with Crowd(b, 10) as crowd:
            before = own_machines.asked()
            crowd.ask(path)
            poll(lambda: own_machines.asked() > before + 60,
                 "polling for the lease")
            for server in own_machines.servers:
                getattr(server, how)()
            responses = crowd.answers()
            crowd.report("memcached servers: %s" % how)
        assert all(r.body == b"later" for r in responses)
        stuck.go.set()
        assert leader.read_response().body == b"first"
    for server in own_machines.servers:
        if how == "kill":
            server.start()
        else:
            server.thaw()
    # And it goes on as before. (A hit on one may be its own copy.)
    numbers = itertools.count()

    def is_shared():
        target = "%s-after-%d" % (path, next(numbers))
        backend.on(target, answer(200, FRESH, b"after"))
        return a.get(target).body == b"after" and peek(b, target)
    poll(is_shared, "the servers are used again", 20)
