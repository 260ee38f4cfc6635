# SPDX-License-Identifier: Apache-2.0
"""A scripted origin. A test says what a path answers:

    backend.on("/a", answer(200, {"Cache-Control": "max-age=60"}, b"hello"))

    def broken(exchange):
        exchange.send(b"HTTP/1.1 200 OK\\r\\nContent-Length: 10\\r\\n\\r\\nhalf")
        exchange.cut()
    backend.on("/b", broken)

and afterwards looks at what arrived: hits("/a"), requests("/a")[-1].get(...).
One thread per connection, raw sockets, so that it can misbehave in every way.
"""
import collections
import email.utils
import socket
import threading
import time

from .net import free_port


def http_date(moment=None):
    return email.utils.formatdate(time.time() if moment is None else moment,
                                  usegmt=True)


class Request:
    def __init__(self, method, target, fields, body, peer):
        self.method = method
        self.target = target
        self.path = target.split("?", 1)[0]
        self.fields = fields
        self.body = body
        self.peer = peer
        self.at = time.monotonic()

    def all(self, name):
        return [value for key, value in self.fields
                if key.lower() == name.lower()]

    def get(self, name, default=None):
        values = self.all(name)
        return ", ".join(values) if values else default

    def __contains__(self, name):
        return bool(self.all(name))

    def __repr__(self):
        return "<%s %s %r>" % (self.method, self.target, self.fields)


class Cut(Exception):
    """Ends the connection at once."""


class Exchange:
    """One request and the means to answer it. `number` counts the requests
    for this path, from 1."""

    def __init__(self, backend, connection, request, number):
        self.backend = backend
        self.connection = connection
        self.request = request
        self.number = number
        self.keep = True

    def send(self, data):
        self.connection.sendall(data)

    def head(self, status=200, headers=(), reason=None):
        pairs = list(headers.items() if isinstance(headers, dict)
                     else headers)
        if not any(key.lower() == "date" for key, _ in pairs):
            pairs.append(("Date", http_date()))
        lines = ["HTTP/1.1 %d %s" % (status, reason or "Status")]
        lines += ["%s: %s" % pair for pair in pairs if pair[1] is not None]
        self.send("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n")

    def respond(self, status=200, headers=(), body=b"", reason=None):
        """A whole, well-formed answer; the body is left out where the
        method or status has none."""
        pairs = list(headers.items() if isinstance(headers, dict)
                     else headers)
        names = [key.lower() for key, _ in pairs]
        bodiless = status in (204, 304) or status < 200
        if not bodiless and "content-length" not in names \
                and "transfer-encoding" not in names:
            pairs.append(("Content-Length", str(len(body))))
        self.head(status, pairs, reason)
        if self.request.method != "HEAD" and not bodiless:
            self.send(body)

    def chunk(self, data):
        self.send(b"%x\r\n%s\r\n" % (len(data), data))

    def end_chunks(self):
        self.send(b"0\r\n\r\n")

    def cut(self):
        """Closes the connection as it stands."""
        raise Cut()

    def reset(self):
        """Closes it with a RST."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                   b"\x01\0\0\0\0\0\0\0")
        raise Cut()

    def wait(self, event, timeout=60):
        """Stands still until the test lets it go on."""
        if not event.wait(timeout):
            raise Cut()

    def pause(self, seconds):
        """The backend is slow: this much of the story is its work, not a
        wait of the test's."""
        time.sleep(seconds)


def answer(status=200, headers=(), body=b"body", delay=0, reason=None):
    """A handler that always answers the same."""
    data = body.encode() if isinstance(body, str) else body

    def handler(exchange):
        if delay:
            exchange.pause(delay)
        exchange.respond(status, headers, data, reason)
    return handler


def in_turn(*handlers):
    """The first request gets the first handler, and so on; the last one
    stays."""
    def handler(exchange):
        chosen = handlers[min(exchange.number, len(handlers)) - 1]
        chosen(exchange)
    return handler


def counting(headers=(), status=200, prefix="answer "):
    """A body that says which request of its path this was."""
    def handler(exchange):
        exchange.respond(status, headers,
                         ("%s%d" % (prefix, exchange.number)).encode())
    return handler


def validating(headers, etag='"v1"', body=b"validated body"):
    """An origin that answers 304 to a matching If-None-Match."""
    def handler(exchange):
        fields = dict(headers, ETag=etag)
        if exchange.request.get("If-None-Match") == etag:
            exchange.respond(304, fields)
        else:
            exchange.respond(200, fields, body)
    return handler


class Counter:
    """Answers after `delay`, and knows how many it served at once."""

    def __init__(self, respond, delay=0.5):
        self.respond = respond
        self.delay = delay
        self.lock = threading.Lock()
        self.now = 0
        self.most = 0

    def __call__(self, exchange):
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
        exchange.pause(self.delay)
        with self.lock:
            self.now -= 1
        self.respond(exchange)


class Backend:
    def __init__(self):
        self.lock = threading.Lock()
        self.handlers = {}
        self.fallback = None
        self.seen = collections.defaultdict(list)
        self.connections = set()
        self.listener = None
        self.port = free_port()
        self.open()

    # what it answers

    def on(self, path, handler):
        """What `path` (without a query) answers from now on. Forgets what
        was counted for it."""
        with self.lock:
            self.handlers[path] = handler
            self.seen.pop(path, None)

    def otherwise(self, handler):
        self.fallback = handler

    # what it saw

    def requests(self, path):
        with self.lock:
            return list(self.seen[path])

    def hits(self, path):
        return len(self.requests(path))

    # its own life

    def open(self):
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        listener.listen(512)
        self.listener = listener
        threading.Thread(target=self.accept, args=(listener,),
                         daemon=True).start()

    def close(self):
        """Goes down: refuses new connections and cuts those it has."""
        listener, self.listener = self.listener, None
        if listener is not None:
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        self.cut_all()

    def cut_all(self):
        with self.lock:
            connections = list(self.connections)
        for connection in connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def accept(self, listener):
        while True:
            try:
                connection, peer = listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(connection, peer),
                             daemon=True).start()

    def serve(self, connection, peer):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self.lock:
            self.connections.add(connection)
        try:
            stream = connection.makefile("rb")
            while self.one(connection, stream, peer):
                pass
        except (Cut, OSError, ValueError):
            pass
        finally:
            with self.lock:
                self.connections.discard(connection)
            stream.close()
            connection.close()

    def one(self, connection, stream, peer):
        request = read_request(stream, peer)
        if request is None:
            return False
        with self.lock:
            self.seen[request.path].append(request)
            number = len(self.seen[request.path])
            handler = self.handlers.get(request.path, self.fallback)
        exchange = Exchange(self, connection, request, number)
        if handler is None:
            exchange.respond(404, {}, b"no such path in this test")
        else:
            handler(exchange)
        return exchange.keep and request.get("Connection") != "close"


def read_request(stream, peer):
    line = stream.readline(1 << 20)
    if not line.strip():
        return None
    method, target, _ = line.decode("latin-1").rstrip("\r\n").split(" ", 2)
    fields = []
    while True:
        line = stream.readline(1 << 20)
        if line in (b"\r\n", b"\n", b""):
            break
        key, _, value = line.decode("latin-1").partition(":")
        fields.append((key, value.strip()))
    request = Request(method, target, fields, b"", peer)
    if "Content-Length" in request:
        request.body = stream.read(int(request.get("Content-Length")))
    elif "chunked" in request.get("Transfer-Encoding", ""):
        request.body = read_chunks(stream)
    return request


def read_chunks(stream):
    body = b""
    while True:
        size = int(stream.readline().split(b";")[0], 16)
        data = stream.read(size)
        stream.readline()
        if size == 0:
            return body
        body += data
