# SPDX-License-Identifier: Apache-2.0
"""Internal requests, fired by test/httpd/mod_internal.c on a path of the
server under test (`SetHandler internal`)."""
import urllib.parse

from .httpd import mpm

LOCATIONS = """
<Location "/-fire">
    SetHandler internal
</Location>
"""
WHOAMI = """
<Location "/whoami">
    SetHandler whoami
</Location>
"""


class Answer:
    def __init__(self, line):
        self.outcome, status, bytes_, whole, took = line.split()
        self.status = int(status)
        self.bytes = int(bytes_)
        self.is_whole = whole == "1"
        self.seconds = int(took) / 1e6
        self.fields = []
        self.body = None

    def get(self, name):
        values = [value for key, value in self.fields
                  if key.lower() == name.lower()]
        return ", ".join(values) if values else None

    def __repr__(self):
        return "<%s %d %r %r>" % (self.outcome, self.status, self.fields,
                                  self.body)


def order(target, fields=(), **options):
    """The query that mod_internal.c reads."""
    pairs = [("target", target), *options.items()]
    pairs += [("field", "%s:%s" % field) for field in fields]
    return "/-fire?" + "&".join(
        "%s=%s" % (key, urllib.parse.quote(str(value), safe=""))
        for key, value in pairs)


def fire_many(httpd, target, fields=(), **options):
    """What came of each; `brief`: a count of each outcome and status."""
    with httpd.connect(timeout=300) as connection:
        response = connection.request("GET", order(target, fields, **options))
    assert response.status == 200, response
    lines = response.body.decode().splitlines()
    if options.get("brief"):
        words = lines[0].split()
        counts = dict(zip(words[0:8:2], map(int, words[1:8:2])))
        counts.update((int(word.split(":")[0]), int(word.split(":")[1]))
                      for word in words[8:])
        return counts
    answers = []
    for line in lines:
        if line.startswith("="):
            answers[-1].body = urllib.parse.unquote_to_bytes(line[1:])
        elif line.startswith(" "):
            name, _, value = line[1:].partition(": ")
            answers[-1].fields.append((name, value))
        else:
            answers.append(Answer(line))
    return answers


def fire(httpd, target, fields=(), **options):
    """One, with its body."""
    options.setdefault("body", 1)
    answers = fire_many(httpd, target, fields, **options)
    assert len(answers) == 1, answers
    return answers[0]


def is_supported():
    return mpm() != "prefork"
