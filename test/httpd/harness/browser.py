# SPDX-License-Identifier: Apache-2.0
"""A headless Chromium, spoken to over its debugging pipe: messages in JSON,
each ended by a zero byte."""
import json
import os
import pathlib
import select
import shutil
import subprocess
import tempfile
import time

PROGRAM = "chromium"
ARGUMENTS = ["--headless=new", "--no-sandbox", "--disable-gpu",
             "--disable-dev-shm-usage", "--no-first-run",
             "--disable-background-networking", "--disable-sync",
             "--disable-component-update", "--disable-default-apps",
             "--no-proxy-server", "--remote-debugging-pipe"]


class Browser:
    """One browser with one page. `events` holds what it told of the network,
    (method, parameters), in order."""

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="etagere-chrome-"))
        self.events = []
        self.answers = {}
        self.number = 0
        self.buffer = b""
        self.session = None
        ours, self.output = os.pipe()
        self.input, theirs = os.pipe()
        # The shell gives the pipe's ends the numbers Chromium looks for.
        script = 'exec "$@" 3<&%d 4>&%d' % (ours, theirs)
        self.log = open(self.folder / "output.log", "ab")
        self.process = subprocess.Popen(
            ["bash", "-c", script, "bash", PROGRAM, *ARGUMENTS,
             "--user-data-dir=%s" % (self.folder / "profile"),
             "--log-net-log=%s" % (self.folder / "net.json"),
             "about:blank"], pass_fds=(ours, theirs), stdin=subprocess.DEVNULL,
            stdout=self.log, stderr=self.log,
            env=dict(os.environ, HOME=str(self.folder)))
        os.close(ours)
        os.close(theirs)

    def __enter__(self):
        try:
            target = self.call("Target.createTarget", url="about:blank")
            self.session = self.call("Target.attachToTarget", flatten=True,
                                     targetId=target["targetId"])["sessionId"]
            for domain in ("Page", "Network", "Runtime"):
                self.call(domain + ".enable")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        try:
            self.session = None
            self.call("Browser.close")
            self.process.wait(10)
        except (AssertionError, OSError, subprocess.TimeoutExpired):
            self.process.kill()
            self.process.wait()
        os.close(self.output)
        os.close(self.input)
        self.log.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def call(self, method, **parameters):
        """Sends a command and returns its result."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if self.session is not None:
            message["sessionId"] = self.session
        os.write(self.output, json.dumps(message).encode() + b"\0")
        self.listen(lambda: self.number in self.answers, method)
        answer = self.answers.pop(self.number)
        assert "error" not in answer, answer
        return answer["result"]

    def listen(self, condition, what, timeout=40):
        """Reads what comes until condition() is true."""
        deadline = time.monotonic() + timeout
        while not condition():
            left = deadline - time.monotonic()
            ready = left > 0 and select.select([self.input], [], [], left)[0]
            data = os.read(self.input, 65536) if ready else b""
            assert data, "Chromium has not answered: %s\n%s" % (
                what, (self.folder / "output.log").read_text()[-2000:])
            *messages, self.buffer = (self.buffer + data).split(b"\0")
            for message in messages:
                self.take(json.loads(message))

    def take(self, message):
        if "id" in message:
            self.answers[message["id"]] = message
        else:
            self.events.append((message["method"], message["params"]))

    # what a user does

    def load(self, method, **parameters):
        """Navigates or reloads, until the page says that it is done:
        document.body.dataset.done."""
        self.events.clear()
        self.call(method, **parameters)
        self.listen(lambda: any(name == "Page.loadEventFired"
                                for name, _ in self.events), "load")
        deadline = time.monotonic() + 40
        while self.evaluate("document.body.dataset.done") != "yes":
            assert time.monotonic() < deadline, "the page is not done"

    def open(self, url):
        self.load("Page.navigate", url=url)

    def reload(self):
        self.load("Page.reload")

    def evaluate(self, expression):
        found = self.call("Runtime.evaluate", expression=expression,
                          returnByValue=True)
        return found["result"].get("value")

    # what it saw

    def statuses(self, url):
        """The status codes that came over the network for `url` since the
        page was last loaded, and whether its cache gave the body."""
        ids = {event["requestId"] for name, event in self.events
               if name == "Network.requestWillBeSent"
               and event["request"]["url"] == url}
        return [event["statusCode"] for name, event in self.events
                if name == "Network.responseReceivedExtraInfo"
                and event["requestId"] in ids]
