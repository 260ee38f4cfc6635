# SPDX-License-Identifier: Apache-2.0
"""A client that sees what is on the wire: raw HTTP/1.1 with keep-alive over
TCP or TLS, and HTTP/2 through curl. Fields are kept as they came, in order;
an answer that ends too early raises Truncated."""
import re
import socket
import ssl
import subprocess


class Truncated(Exception):
    """The connection ended before the message did."""

    def __init__(self, what, got=b""):
        super().__init__("%s (got %r)" % (what, got[-200:]))
        self.got = got


class Response:
    def __init__(self, version, status, reason, fields, body=b"",
                 interim=()):
        self.version = version
        self.status = status
        self.reason = reason
        self.fields = fields
        self.body = body
        self.interim = list(interim)

    def all(self, name):
        return [value for key, value in self.fields
                if key.lower() == name.lower()]

    def get(self, name, default=None):
        values = self.all(name)
        return ", ".join(values) if values else default

    def __contains__(self, name):
        return bool(self.all(name))

    @property
    def text(self):
        return self.body.decode("latin-1")

    @property
    def age(self):
        value = self.get("Age")
        return None if value is None else int(value)

    @property
    def cache(self):
        """Our member of Cache-Status as a dict; {} if there is none."""
        for value in self.all("Cache-Status"):
            for member in re.split(r",(?=(?:[^\"]*\"[^\"]*\")*[^\"]*$)",
                                   value):
                words = [word.strip() for word in member.split(";")]
                if words[0] == "Etagere":
                    return dict(parameter(word) for word in words[1:])
        return {}

    @property
    def hit(self):
        return self.cache.get("hit") is True

    def __repr__(self):
        return "<%s %s %r %d bytes>" % (self.status, self.reason,
                                        self.fields, len(self.body))


def parameter(word):
    key, equals, value = word.partition("=")
    if not equals:
        return key, True
    if re.fullmatch(r"-?\d+", value):
        return key, int(value)
    return key, value.strip('"')


class Connection:
    def __init__(self, port, tls=False, timeout=40, host="127.0.0.1",
                 receive_buffer=None, alpn=None, server_name="localhost"):
        raw = socket.socket()
        if receive_buffer is not None:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF,
                           receive_buffer)
        raw.settimeout(timeout)
        raw.connect((host, port))
        self.local_port = raw.getsockname()[1]
        if tls:
            context = ssl.create_default_context()
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            if alpn:
                context.set_alpn_protocols(alpn)
            raw = context.wrap_socket(raw, server_hostname=server_name)
        self.socket = raw
        self.buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def reset(self):
        """Leaves rudely: the peer gets a RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                               b"\x01\0\0\0\0\0\0\0")
        self.socket.close()

    # sending

    def send(self, data):
        self.socket.sendall(data)

    def send_request(self, method, target, headers=(), body=None,
                     host="localhost", version="HTTP/1.1"):
        lines = ["%s %s %s" % (method, target, version)]
        pairs = list(headers.items() if isinstance(headers, dict)
                     else headers)
        if not any(key.lower() == "host" for key, _ in pairs) \
                and host is not None:
            pairs.insert(0, ("Host", host))
        if body is not None:
            pairs.append(("Content-Length", str(len(body))))
        lines += ["%s: %s" % pair for pair in pairs]
        self.send("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"
                  + (body or b""))

    def request(self, method, target, headers=(), body=None, **options):
        self.send_request(method, target, headers, body, **options)
        return self.read_response(head=method == "HEAD")

    def get(self, target, headers=(), **options):
        return self.request("GET", target, headers, **options)

    # receiving

    def more(self):
        data = self.socket.recv(65536)
        self.buffer += data
        return bool(data)

    def read_until(self, mark):
        while mark not in self.buffer:
            if not self.more():
                raise Truncated("no %r" % mark, self.buffer)
        found, self.buffer = self.buffer.split(mark, 1)
        return found

    def read_exactly(self, count):
        while len(self.buffer) < count:
            if not self.more():
                raise Truncated("%d of %d bytes" % (len(self.buffer), count),
                                self.buffer)
        found, self.buffer = self.buffer[:count], self.buffer[count:]
        return found

    def read_to_end(self):
        while self.more():
            pass
        found, self.buffer = self.buffer, b""
        return found

    def read_head(self):
        """Status line and fields of the next message."""
        text = self.read_until(b"\r\n\r\n").decode("latin-1")
        lines = text.split("\r\n")
        version, status, reason = (lines[0].split(" ", 2) + [""])[:3]
        fields = []
        for line in lines[1:]:
            key, _, value = line.partition(":")
            fields.append((key, value.strip()))
        return Response(version, int(status), reason, fields)

    def read_response(self, head=False):
        interim = []
        while True:
            response = self.read_head()
            if response.status >= 200 or response.status == 101:
                break
            interim.append(response)
        response.interim = interim
        if not head and response.status not in (204, 304, 101):
            response.body = self.read_body(response)
        return response

    def read_body(self, response):
        if "chunked" in (response.get("Transfer-Encoding") or ""):
            return self.read_chunked()
        if "Content-Length" in response:
            return self.read_exactly(int(response.get("Content-Length")))
        return self.read_to_end()

    def read_chunked(self):
        body = b""
        while True:
            size = int(self.read_until(b"\r\n").split(b";")[0], 16)
            if size == 0:
                while self.read_until(b"\r\n"):
                    pass
                return body
            body += self.read_exactly(size)
            assert self.read_exactly(2) == b"\r\n"

    def closed(self):
        """Has the server closed, with nothing more to say?"""
        try:
            return not self.buffer and not self.socket.recv(1)
        except ConnectionResetError:
            return True


def curl(url, *words):
    done = subprocess.run(["curl", "-sSki", "--max-time", "40", *words, url],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert done.returncode == 0, done.stderr
    head, _, body = done.stdout.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    version, status = lines[0].split(" ")[:2]
    fields = [tuple(part.strip() for part in line.split(":", 1))
              for line in lines[1:]]
    return Response(version, int(status), "", fields, body)
