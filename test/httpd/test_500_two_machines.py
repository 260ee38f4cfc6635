# SPDX-License-Identifier: Apache-2.0
"""Two machines share what three memcached servers hold: one fills, the other
hits; what is purged on one is gone on the other, and on one that was away.
With memcached alone, and behind a local store that is trusted for a while."""
import json
import pathlib

import pytest

from conftest import PROXY
from harness.backend import answer, counting, validating
from harness.machines import Machines, arrives, goes, peek, share
from harness.net import poll
from harness.steps import FRESH, STALE

CONFIG = PROXY + "ETagCache On\n"
KINDS = ["url", "tag", "all"]


@pytest.fixture
def a(machines):
    return machines.httpds[0]


@pytest.fixture
def b(machines):
    return machines.httpds[1]


def purge(httpd, path, kind, hard=False):
    """Purges `path`, whose response carries the tag `path`, in one of three
    ways."""
    words = {"all": ["all"]}.get(kind, []) + (["hard"] if hard else [])
    headers = {"ETag-Purge": ", ".join(words)} if words else {}
    if kind == "tag":
        headers["Surrogate-Key"] = path
    response = httpd.request("PURGE", path, headers)
    assert response.status == 200, (response, response.body)
    return json.loads(response.text)


def tagged(path):
    return dict(FRESH, **{"Surrogate-Key": path})


def test_machines_100_one_fills_the_other_hits(a, b, backend, path):
    backend.on(path, answer(200, dict(FRESH, ETag='"e"', **{
        "X-Own": "field", "Content-Type": "text/x-test"}), b"shared"))
    first = share(a, [b], backend, path)
    second = b.get(path)
    assert second.hit and second.body == first.body == b"shared"
    for name in ("ETag", "X-Own", "Content-Type", "Date"):
        assert second.get(name) == first.get(name)
    assert b.get(path, {"If-None-Match": '"e"'}).status == 304
    assert backend.hits(path) == 1


@pytest.mark.parametrize("size", [0, 1, 65537, 1000001, 3 << 20])
def test_machines_101_bodies_of_all_sizes(a, b, backend, path, size):
    body = bytes(index * 7 % 253 for index in range(size))
    backend.on(path, answer(200, FRESH, body))
    share(a, [b], backend, path)
    response = b.get(path)
    assert response.hit and response.body == body
    assert backend.hits(path) == 1


def test_machines_102_variants(a, b, backend, path):
    def varying(exchange):
        exchange.respond(200, dict(FRESH, Vary="X-A"),
                         exchange.request.get("X-A").encode())
    backend.on(path, varying)
    for value in ("1", "2", "3"):
        share(a, [b], backend, path, {"X-A": value})
    for value in ("1", "2", "3"):
        for httpd in (a, b):
            response = httpd.get(path, {"X-A": value})
            assert response.hit and response.text == value
    assert backend.hits(path) == 3


def test_machines_103_all_three_servers_hold_something(a, b, machines,
                                                      backend, path):
    for number in range(30):
        backend.on("%s-%d" % (path, number), answer(200, FRESH, b"body"))
        a.get("%s-%d" % (path, number))
    arrives(b, "%s-29" % path)
    counts = [server.count("curr_items") for server in machines.servers]
    print("items on the servers: %s" % counts)
    assert all(count > 3 for count in counts), counts


def test_machines_104_a_refreshed_response_is_refreshed_for_all(
        a, b, backend, path):
    backend.on(path, answer(200, STALE, b"validated"))
    with a.connect() as connection:
        connection.get(path)
    backend.on(path, answer(304, {"Cache-Control": "max-age=60",
                                  "ETag": '"v1"'}))
    # Until the writing of the first is done this may be a plain fetch.
    poll(lambda: a.get(path).body == b"validated", "a validation on A", 10)
    response = arrives(b, path)
    assert response.body == b"validated"
    assert backend.requests(path)[-1].get("If-None-Match") == '"v1"'


def test_machines_105_a_url_of_8_kb(a, b, machines, backend, path):
    """memcached takes no key of more than 250 bytes."""
    long_path = path + "-" + "long" * 2000
    other = long_path[:-1] + "x"
    backend.on(long_path, answer(200, FRESH, b"long"))
    backend.on(other, answer(200, FRESH, b"other"))
    share(a, [b], backend, long_path)
    share(a, [b], backend, other)
    assert b.get(long_path).text == "long" and b.get(other).text == "other"
    assert backend.hits(long_path) == backend.hits(other) == 1
    purge(a, long_path, "url", hard=True)
    goes(b, long_path, machines.trust)
    assert b.get(other).hit


@pytest.mark.parametrize("hard", [False, True], ids=["soft", "hard"])
@pytest.mark.parametrize("kind", KINDS)
def test_machines_110_purged_on_one_gone_on_the_other(
        a, b, machines, backend, path, kind, hard):
    backend.on(path, counting(tagged(path)))
    share(a, [b], backend, path)
    assert b.get(path).text == "answer 1"
    said = purge(a, path, kind, hard)
    assert peek(a, path) is None
    goes(b, path, machines.trust)
    assert b.get(path).text == "answer 2"
    arrives(a, path)
    assert a.get(path).text == "answer 2"
    assert backend.hits(path) == 2, said


@pytest.mark.parametrize("kind", KINDS)
def test_machines_111_other_urls_stay(a, b, machines, backend, path, kind):
    if kind == "all":
        pytest.skip("everything is everything")
    for end in ("-gone", "-stays"):
        backend.on(path + end, counting(tagged(path + end)))
        share(a, [b], backend, path + end)
    purge(b, path + "-gone", kind)
    goes(a, path + "-gone", machines.trust)
    assert a.get(path + "-stays").hit and b.get(path + "-stays").hit


@pytest.mark.parametrize("kind", KINDS)
def test_machines_112_one_that_was_away_sees_the_purge(
        a, b, backend, path, kind):
    backend.on(path, counting(tagged(path)))
    share(a, [b], backend, path)
    b.stop()
    purge(a, path, kind)
    b.start()
    try:
        # With a local store its copy was trusted no longer than before.
        goes(b, path, machines_trust(b))
        assert b.get(path).text == "answer 2"
    finally:
        assert b.process is not None


def machines_trust(httpd):
    return 1.5 if "local:" in "".join(httpd.parts) else 0


def test_machines_113_a_purge_during_the_fetch_of_another(
        a, b, machines, backend, path):
    """What was fetched before the purge is not stored after it as fresh."""
    def slow(exchange):
        if exchange.number == 1:
            purge(b, path, "url")
        exchange.respond(200, FRESH, b"%d" % exchange.number)
    backend.on(path, slow)
    assert a.get(path).body == b"1"
    response = poll(lambda: keep_second(b.get(path)), "the second answer", 10)
    assert response.body == b"2"
    goes_on = poll(lambda: keep_second(a.get(path)), "it on A too", 10)
    assert goes_on.body == b"2"


def keep_second(response):
    return response if response.body == b"2" else None


def test_machines_114_an_unsafe_request_invalidates_for_all(
        a, b, machines, backend, path):
    backend.on(path, counting(FRESH))
    share(a, [b], backend, path)
    assert a.request("POST", path, body=b"x").status == 200
    goes(b, path, machines.trust)
    assert not b.get(path).text.endswith(" 1")


def test_machines_115_validation_after_a_soft_purge_elsewhere(
        a, b, machines, backend, path):
    backend.on(path, validating(tagged(path)))
    share(a, [b], backend, path)
    purge(a, path, "tag")
    goes(b, path, machines.trust)
    assert b.get(path).body == b"validated body"
    assert backend.requests(path)[-1].get("If-None-Match") == '"v1"'
    arrives(a, path)
    assert backend.hits(path) == 2


def test_machines_120_a_trusted_copy_costs_no_round_trip(
        make_httpd, servers, backend, path):
    backend.on(path, answer(200, FRESH, b"near"))
    pair = Machines(make_httpd, CONFIG + "ETagCacheTierTTL 1h\n", servers,
                    "tiers")
    a, b = pair
    share(a, [b], backend, path)
    poll(lambda: costs(pair, b, path) == 0, "a hit without round trip", 10)
    assert costs(pair, b, path, 50) == 0
    assert backend.hits(path) == 1


def costs(machines, httpd, path, times=1):
    """What the servers were asked while these hits were served."""
    before = machines.asked()
    with httpd.connect() as connection:
        for _ in range(times):
            assert connection.get(path).hit
    return machines.asked() - before


def test_machines_130_the_readmes_example(make_httpd, servers, backend, path):
    """As it stands there, but for the addresses and the store's folder."""
    text = (pathlib.Path(__file__).parents[2] / "README.md").read_text()
    section = text.split("## More than one machine")[1]
    example = section.split("<<'END'\n")[1].split("END\n")[0]
    assert "ETagCacheTierTTL" in example
    for number, server in enumerate(servers, 11):
        example = example.replace("10.0.0.%d" % number, server.address)
    assert "10.0.0." not in example
    example = example.replace("local:", "local:@STORE@")
    a, b = (make_httpd(CONFIG + example) for _ in range(2))
    backend.on(path, counting(dict(tagged(path), ETag='"e"')))
    share(a, [b], backend, path)
    assert b.get(path).text == "answer 1"
    purge(b, path, "tag")
    goes(a, path, 5)
    assert not a.get(path).text.endswith(" 1")
