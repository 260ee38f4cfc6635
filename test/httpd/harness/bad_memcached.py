# SPDX-License-Identifier: Apache-2.0
"""Servers on a memcached's port that are no memcached, or a broken one.

    with BadMemcached(garbage) as bad:               # answers with noise
        bad.address
    with BadMemcached(honest, real=memcached) as bad:
        bad.behave = wrong_key                       # from the next reply on
        bad.delay = 0.3                              # seconds, for each answer
        bad.close(); bad.open()                      # refuses; accepts again

The first kind needs no memcached. The second stands between httpd and a real
one, passes commands and replies (text protocol) and spoils some of them: such
a behaviour is a function of one reply, (bad, words, line, data), that returns
the bytes to send instead; Hang and Cut end the connection or its speech.
`asked` counts what it was sent, `spoiled` what it changed."""
import os
import random
import socket
import threading
import time

from .net import free_port

STORAGE = (b"set", b"add", b"replace", b"append", b"prepend", b"cas")


class Cut(Exception):
    """Closes the connection at once."""


class Hang(Exception):
    """Says nothing more, and keeps the connection."""


class BadMemcached:
    def __init__(self, behave, real=None, delay=0):
        self.behave = behave
        self.real = real
        self.delay = delay
        self.lock = threading.Lock()
        self.connections = set()
        self.seen = {}           # key -> data block, of what passed
        self.asked = self.spoiled = 0
        self.listener = None
        self.port = free_port()

    @property
    def address(self):
        return "127.0.0.1:%d" % self.port

    def __enter__(self):
        self.open()
        return self

    def __exit__(self, *_):
        self.close()

    # life

    def open(self):
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        listener.listen(512)
        self.listener = listener
        threading.Thread(target=self.accept, args=(listener,),
                         daemon=True).start()

    def close(self):
        """Refuses new connections and cuts those it has."""
        listener, self.listener = self.listener, None
        if listener is not None:
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        with self.lock:
            connections = list(self.connections)
        for connection in connections:
            shut(connection)

    def accept(self, listener):
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(connection,),
                             daemon=True).start()

    def serve(self, connection):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self.lock:
            self.connections.add(connection)
        try:
            if self.real is None:
                self.behave(self, connection)
            else:
                self.between(connection)
        except (Cut, Hang, OSError, ValueError):
            pass
        finally:
            with self.lock:
                self.connections.discard(connection)
            shut(connection)
            connection.close()

    def hear(self, connection):
        """What came next; Cut at the end."""
        data = connection.recv(65536)
        if not data:
            raise Cut()
        with self.lock:
            self.asked += 1
        return data

    def spoil(self):
        with self.lock:
            self.spoiled += 1

    # between httpd and a real memcached

    def between(self, connection):
        """Commands go on by this thread, replies come by another."""
        with self.real.connect(timeout=None) as real:
            real.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            back = threading.Thread(target=self.replies,
                                    args=(real, connection), daemon=True)
            back.start()
            try:
                self.commands(connection, real)
            finally:
                shut(real)
                back.join()

    def commands(self, connection, real):
        with connection.makefile("rb") as stream:
            for words, line, data in blocks(stream, STORAGE, 4):
                with self.lock:
                    self.asked += 1
                if self.behave is out_of_memory and data is not None:
                    self.spoil()
                    connection.sendall(b"SERVER_ERROR out of memory "
                                       b"storing object\r\n")
                elif self.behave is takes_in_vain and data is not None:
                    self.spoil()
                    connection.sendall(b"STORED\r\n")
                else:
                    real.sendall(line + (data or b""))

    def replies(self, real, connection):
        try:
            with real.makefile("rb") as stream:
                is_first = True
                for words, line, data in blocks(stream, (b"VALUE",), 3):
                    if self.delay and is_first:
                        time.sleep(self.delay)
                    is_first = data is None
                    self.behave(self, connection, words, line, data)
                    if data is not None:
                        with self.lock:
                            self.seen[words[1]] = data
            shut(connection)
        except Hang:
            pass
        except (Cut, OSError, ValueError):
            shut(connection)


def shut(connection):
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass


def blocks(stream, with_data, size_at):
    """Lines of the text protocol, each with the data block (and its CRLF)
    that belongs to it, or None."""
    while True:
        line = stream.readline()
        if not line:
            return
        words = line.split()
        data = None
        if words and words[0] in with_data:
            data = stream.read(int(words[size_at]) + 2)
        yield words, line, data


def asked_key(command):
    """The first key of a retrieval command, or one that nobody asked for."""
    words = command.split()
    return words[1] if len(words) > 1 else b"key"


# Without a memcached: functions of (server, connection).

def silent(server, connection):
    """Accepts, listens, never answers."""
    while True:
        server.hear(connection)


def hangs_up(server, connection):
    """Closes as soon as it is asked."""
    server.hear(connection)


def garbage(server, connection):
    chance = random.Random(server.asked)
    while True:
        server.hear(connection)
        server.spoil()
        connection.sendall(chance.randbytes(chance.choice((3, 400, 9000)))
                           + b"\r\n" * chance.randrange(2))


def http(server, connection):
    """Somebody put a web server there."""
    while True:
        server.hear(connection)
        server.spoil()
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n"
                           b"Content-Type: text/html\r\n"
                           b"Content-Length: 11\r\n\r\nBad Request")


def endless_noise(server, connection):
    """Never a line's end."""
    server.hear(connection)
    server.spoil()
    while True:
        connection.sendall(b"VALUE " * 10000)


def endless_values(server, connection):
    """Well-formed values of the key that was asked for, without an END."""
    key = asked_key(server.hear(connection))
    server.spoil()
    value = b"VALUE %s 0 100000 1\r\n%s\r\n" % (key, bytes(100000))
    while True:
        connection.sendall(value)


def four_gigabytes(server, connection):
    """Announces a value of 4 GB, sends a little of it, and goes on slowly."""
    key = asked_key(server.hear(connection))
    server.spoil()
    connection.sendall(b"VALUE %s 0 4294967290 1\r\n" % key)
    while True:
        connection.sendall(bytes(4096))
        time.sleep(0.005)


def negative_length(server, connection):
    """Lengths that no value has."""
    key = asked_key(server.hear(connection))
    server.spoil()
    length = random.Random(server.asked).choice(
        (b"-1", b"18446744073709551615", b"99999999999999999999", b"x"))
    connection.sendall(b"VALUE %s 0 %s 1\r\nabc\r\nEND\r\n" % (key, length))
    server.hear(connection)


# In front of a memcached: functions of (server, connection, words, line,
# data) for each reply line.

def honest(server, connection, words, line, data):
    connection.sendall(line + (data or b""))


def drips(server, connection, words, line, data):
    """A byte every 20 ms."""
    server.spoil()
    for byte in line + (data or b""):
        connection.sendall(bytes((byte,)))
        time.sleep(0.02)


def cut_in_value(server, connection, words, line, data):
    """Closes in the middle of a value."""
    if data is None:
        honest(server, connection, words, line, data)
        return
    server.spoil()
    connection.sendall(line + data[:len(data) // 2])
    raise Cut()


def stuck_in_value(server, connection, words, line, data):
    """Falls silent in the middle of a value."""
    if data is None:
        honest(server, connection, words, line, data)
        return
    server.spoil()
    connection.sendall(line + data[:len(data) // 2])
    raise Hang()


def short_value(server, connection, words, line, data):
    """A value without its last bytes, well-formed."""
    if data is None:
        honest(server, connection, words, line, data)
        return
    server.spoil()
    kept = data[:(len(data) - 2) * 3 // 4]
    words = words[:3] + [b"%d" % len(kept)] + words[4:]
    connection.sendall(b" ".join(words) + b"\r\n" + kept + b"\r\n")


def flipped_bit(server, connection, words, line, data):
    """One bit of every value is wrong."""
    if data is not None and len(data) > 2:
        server.spoil()
        spoiled = bytearray(data)
        chance = random.Random(server.spoiled)
        spoiled[chance.randrange(len(data) - 2)] ^= 1 << chance.randrange(8)
        data = bytes(spoiled)
    connection.sendall(line + (data or b""))


def wrong_key(server, connection, words, line, data):
    """The value that was asked for, under a key that was not."""
    if data is not None:
        server.spoil()
        key = words[1]
        other = key[:-1] + (b"0" if key[-1:] != b"0" else b"1")
        line = line.replace(key, other, 1)
    connection.sendall(line + (data or b""))


def anothers_value(server, connection, words, line, data):
    """Under the right key, what another one holds: every other time one of
    the same kind, else any."""
    if data is not None:
        with server.lock:
            others = [key for key in server.seen if key != words[1]]
            server.spoiled += bool(others)
            turn = server.spoiled
        if others:
            other = random.Random(turn).choice(others)
            if turn % 2:
                other = max(others, key=lambda key: len(
                    os.path.commonprefix((key, words[1]))))
            data = server.seen[other]
            words = words[:3] + [b"%d" % (len(data) - 2)] + words[4:]
            line = b" ".join(words) + b"\r\n"
    connection.sendall(line + (data or b""))


def everything_twice(server, connection, words, line, data):
    """Each value is there twice, each other reply once more than asked."""
    server.spoil()
    connection.sendall((line + (data or b"")) * 2)


def out_of_memory(server, connection, words, line, data):
    """SERVER_ERROR to everything that would be stored (see commands())."""
    honest(server, connection, words, line, data)


def takes_in_vain(server, connection, words, line, data):
    """Says STORED and stores nothing (see commands())."""
    honest(server, connection, words, line, data)
