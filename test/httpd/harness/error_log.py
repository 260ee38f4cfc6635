# SPDX-License-Identifier: Apache-2.0
"""The error log as a judge: a line of level warn or worse, or a child that
ended by a signal, fails the test during which it was written, unless the test
claimed it."""
import re

WORTH_FAILING = re.compile(
    r"\[[\w.-]*:(?:warn|error|crit|alert|emerg)\]|exit signal"
    r"|==ERROR: |==\d+== |runtime error: |ThreadSanitizer: ")

# Written by httpd itself under conditions our tests make on purpose, and no
# sign of a fault: scoreboard growth, loopback names.
HARMLESS = re.compile(
    r"AH00558|AH00484|AH01873|AH10159|AH00288|AH00045|AH00046|AH00047"
    r"|server is within MinSpareThreads")


class ErrorLog:
    def __init__(self, path):
        self.path = path
        self.offset = 0
        self.late_claims = []
        self.claims = []

    def note(self, text):
        """Writes a line of our own, so that a reader can tell which test
        wrote what."""
        with open(self.path, "a") as log:
            log.write("---- %s ----\n" % text)

    def claim(self, pattern):
        """Lines that match `pattern` are expected in the present test."""
        self.claims.append(re.compile(pattern))

    def claim_from_now(self, pattern):
        """The same, but not of what has been written already."""
        self.late_claims.append((len(self.text().splitlines()),
                                 re.compile(pattern)))

    def text(self, whole=False):
        """What was written since the test began (or ever)."""
        if not self.path.exists():
            return ""
        with open(self.path, errors="replace") as log:
            log.seek(0 if whole else self.offset)
            return log.read()

    def unclaimed(self):
        return [line for number, line in enumerate(self.text().splitlines())
                if WORTH_FAILING.search(line) and not HARMLESS.search(line)
                and not any(claim.search(line) for claim in self.claims)
                and not any(number >= start and claim.search(line)
                            for start, claim in self.late_claims)]

    def next_test(self, name):
        self.claims = []
        self.late_claims = []
        self.offset = (self.path.stat().st_size if self.path.exists()
                       else 0)
        self.note(name)
