# SPDX-License-Identifier: Apache-2.0
"""Ports and waiting. Nothing here sleeps for a fixed time in the hope that
something has happened: it polls until a deadline and says what did not."""
import collections
import os
import random
import re
import socket
import time


LAST_GIVEN = collections.deque(maxlen=500)


def port_range():
    """This worker's own part of the ports, when pytest runs several."""
    worker = re.sub(r"\D", "", os.environ.get("PYTEST_XDIST_WORKER", ""))
    if not worker:
        return 10000, 32000
    first = 10000 + int(worker) % 8 * 2750
    return first, first + 2750


def free_port():
    """A TCP port on the loopback address that nobody listens on now. Not one
    the kernel would choose: other tests' connections come from those. Nor one
    that was given lately: who has it may not listen on it yet."""
    chance = random.SystemRandom()
    while True:
        port = chance.randrange(*port_range())
        if port in LAST_GIVEN:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        LAST_GIVEN.append(port)
        return port


def is_free(port):
    """Could a server listen on it now?"""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
            return True
        except OSError:
            return False


def poll(condition, what, timeout=20.0, interval=0.02):
    """Waits until condition() is true and returns its value."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError("not within %g s: %s" % (timeout, what))
        time.sleep(interval)


def accepts(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True
    except OSError:
        return False


def wait_for_port(port, process=None, timeout=30.0):
    """Waits until somebody listens on `port`; fails early if `process`
    ends."""
    def ready():
        if process is not None and process.poll() is not None:
            raise AssertionError("the server ended with status %s"
                                 % process.returncode)
        return accepts(port)
    poll(ready, "a listener on port %d" % port, timeout)


def socket_inodes(local_port, peer_port=None):
    """The inodes of established sockets with this local port."""
    inodes = set()
    with open("/proc/net/tcp") as table:
        next(table)
        for line in table:
            row = line.split()
            local = int(row[1].split(":")[1], 16)
            peer = int(row[2].split(":")[1], 16)
            if local == local_port and row[3] == "01" \
                    and peer_port in (None, peer):
                inodes.add(row[9])
    return inodes


def owners(pids, inodes):
    """Which of `pids` hold one of these sockets open."""
    found = set()
    for pid in pids:
        try:
            names = os.listdir("/proc/%d/fd" % pid)
        except OSError:
            continue
        for name in names:
            try:
                target = os.readlink("/proc/%d/fd/%s" % (pid, name))
            except OSError:
                continue
            match = re.match(r"socket:\[(\d+)\]", target)
            if match and match.group(1) in inodes:
                found.add(pid)
    return found
