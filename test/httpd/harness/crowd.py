# SPDX-License-Identifier: Apache-2.0
"""Many clients at once."""
import threading
import time

from .client import Truncated


class Member:
    """One client of a crowd: its connection, and what came of it."""

    def __init__(self, httpd, number, headers, options):
        self.connection = httpd.connect(**options)
        self.number = number
        self.headers = headers
        self.response = None
        self.error = None
        self.seconds = None
        self.thread = None

    def ask(self, target, gate):
        self.response = self.error = None    # of the question before
        gate.wait()
        began = time.monotonic()
        try:
            self.response = self.connection.get(target, self.headers)
        except (OSError, Truncated, ValueError) as error:
            self.error = error
        self.seconds = time.monotonic() - began


class Crowd:
    """`count` connected clients; ask() lets them loose together, answers()
    waits for all."""

    def __init__(self, httpd, count, headers=lambda number: {}, **options):
        self.members = [Member(httpd, number, headers(number), options)
                        for number in range(count)]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for member in self.members:
            member.connection.close()

    def ask(self, target):
        gate = threading.Event()
        for member in self.members:
            member.thread = threading.Thread(target=member.ask,
                                             args=(target, gate),
                                             daemon=True)
            member.thread.start()
        gate.set()
        return self

    def answers(self, timeout=90):
        deadline = time.monotonic() + timeout
        for member in self.members:
            member.thread.join(max(0, deadline - time.monotonic()))
            assert not member.thread.is_alive(), \
                "client %d still waits" % member.number
        return [member.response for member in self.members]

    def report(self, what):
        """Times are printed, never judged: machines are noisy."""
        times = sorted(member.seconds for member in self.members)
        print("%s: %d clients, fastest %.0f ms, median %.0f ms, "
              "slowest %.0f ms" % (what, len(times), times[0] * 1e3,
                                   times[len(times) // 2] * 1e3,
                                   times[-1] * 1e3))
