# SPDX-License-Identifier: Apache-2.0
"""mod_etag_composite where something is scarce, or goes on for long."""
import json
import threading

import pytest

import harness.httpd
from harness.backend import answer
from harness.httpd import mpm

PARTS = ("a", "b", "c")
CONFIG = """
ProxyPass "/part/" "http://@BACKEND@/part/" connectiontimeout=5 timeout=30 retry=0
<Location "/three">
    SetHandler etag-composite
    ETagCompositePart a "/part/a?%s" query:n
    ETagCompositePart b "/part/b?%s" query:n
    ETagCompositePart c "/part/c?%s" query:n
</Location>
"""

ONE_THREAD = """
StartServers 1
ServerLimit 2
ThreadsPerChild 1
ThreadLimit 1
MaxRequestWorkers 2
MinSpareThreads 1
MaxSpareThreads 2
"""


@pytest.mark.skipif(mpm() == "prefork", reason="has no such directive")
@pytest.mark.parametrize("cache", ["Off", "On"])
def test_a_child_with_one_thread_asks_in_turn(make_httpd, backend,
                                              monkeypatch, cache):
    """There mod_proxy has one connection, and no lock for it."""
    monkeypatch.setitem(harness.httpd.SIZES, mpm(), ONE_THREAD)

    def echo(exchange):
        exchange.respond(200, {"Cache-Control": "max-age=60"},
                         json.dumps(exchange.request.target).encode())
    for name in PARTS:
        backend.on("/part/" + name, echo)
    httpd = make_httpd(
        CONFIG + '<Location "/part/">\nETagCache %s\n</Location>\n' % cache,
        without=("http2",),
        prepare=lambda httpd: httpd.log.claim("AH00484"))
    assert "ETG0501" in httpd.log.text(whole=True)
    wrong = []

    def ask(client):
        for turn in range(30):
            number = "%d-%d" % (client, turn)
            got = httpd.get("/three?n=" + number)
            if got.status != 200 or json.loads(got.body) != {
                    name: "/part/%s?%s" % (name, number) for name in PARTS}:
                wrong.append((number, got))
    clients = [threading.Thread(target=ask, args=(number,))
               for number in range(6)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    assert not wrong, wrong[:3]


def test_what_was_too_long_leaves_its_room_to_others(make_httpd, backend):
    httpd = make_httpd("""
ProxyPass "/part/" "http://@BACKEND@/part/" connectiontimeout=5 timeout=30 retry=0
<Location "/two">
    SetHandler etag-composite
    ETagCompositeMaxBytes 1000
    ETagCompositePart long "/part/long" optional
    ETagCompositePart short "/part/short"
</Location>
""")
    backend.on("/part/long", answer(200, {}, b"1" * 300000))
    backend.on("/part/short", answer(200, {}, b"1" * 900, delay=0.3))
    got = httpd.get("/two")
    assert got.status == 200, got.body
    assert json.loads(got.body) == {"long": None, "short": int("1" * 900)}
    assert got.get("ETag-Composite") == 'incomplete; parts="long"'
