# SPDX-License-Identifier: Apache-2.0
"""curl as a client: many requests in one run, over kept-alive connections,
each answer in the coding it came in."""
import pathlib
import re
import subprocess
import tempfile

from .client import Response

# As other clients of the harness say it: they share entries.
HOST = "Host: localhost"


def words(method, headers, more=()):
    """One request as curl's options."""
    found = ["-sS", "--max-time", "40", "-H", HOST, *more]
    if method == "HEAD":
        found.append("-I")
    elif method != "GET":
        found += ["-X", method]
    for name, value in headers.items():
        # An empty value is told to curl in a form of its own.
        found += ["-H", "%s: %s" % (name, value) if value else name + ";"]
    return found


def read_answer(head, body, method):
    """The last message head of the file, and the body."""
    last = head.read_bytes().rstrip(b"\r\n").split(b"\r\n\r\n")[-1]
    lines = last.decode("latin-1").split("\r\n")
    version, status, reason = (lines[0].split(" ", 2) + [""])[:3]
    fields = []
    for line in lines[1:]:
        key, _, value = line.partition(":")
        fields.append((key, value.strip()))
    data = body.read_bytes() if method != "HEAD" and body.exists() else b""
    return Response(version, int(status), reason, fields, data)


def ask(httpd, target, requests, *more, tls=False):
    """Sends each of `requests`, (method, headers), to `target`, one after
    the other; `more` are options for each. Returns the responses."""
    url = "%s://127.0.0.1:%d%s" % (("https", httpd.tls_port, target) if tls
                                   else ("http", httpd.port, target))
    with tempfile.TemporaryDirectory(prefix="etagere-curl-") as name:
        folder = pathlib.Path(name)
        command = ["curl"]
        files = [(folder / ("%d.head" % n), folder / ("%d.body" % n))
                 for n in range(len(requests))]
        for (method, headers), (head, body) in zip(requests, files):
            if len(command) > 1:
                command.append("--next")
            command += words(method, headers, more)
            if tls:
                command.append("-k")
            command += ["-D", str(head), "-o", str(body), url]
        done = subprocess.run(command, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT)
        assert done.returncode == 0, (done.returncode, done.stdout, command)
        return [read_answer(head, body, method)
                for (method, _), (head, body) in zip(requests, files)]


def run(*arguments):
    """curl with these arguments; what it wrote to its output."""
    done = subprocess.run(["curl", "-sS", "--max-time", "40", "-H", HOST,
                           *arguments],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert done.returncode == 0, done.stderr
    return done.stdout


def parts_of(response):
    """[(first, last, bytes)] of a 206, one or several ranges."""
    kind = response.get("Content-Type")
    match = re.search(r"multipart/byteranges; ?boundary=(\S+)", kind or "")
    if match is None:
        return [part_of(response.get("Content-Range"), response.body)]
    mark = b"--" + match.group(1).encode()
    found = []
    for piece in response.body.split(mark)[1:-1]:
        head, _, data = piece.lstrip(b"\r\n").partition(b"\r\n\r\n")
        where = re.search(r"(?i)content-range: *(.*?)\r?$",
                          head.decode("latin-1"), re.MULTILINE)
        found.append(part_of(where.group(1), data[:-2]))
    return found


def part_of(content_range, data):
    match = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", content_range)
    assert match, content_range
    return (*map(int, match.groups()), data)
