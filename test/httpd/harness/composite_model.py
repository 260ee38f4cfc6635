# SPDX-License-Identifier: Apache-2.0
"""What a composite may be, told by a model of its parts.

A Shape is a section of httpd's configuration: its parts, and how they are
put together. A Part is one URL of one history: what its backend would answer
now, and what it has answered since the URL was purged, which is all that our
cache may answer in its place. A Judge sees each answer of a composite and
raises Wrong where the model does not allow it:

- each part is shown in a state that it may be in for this user, byte by byte;
- tags are equal if and only if the parts' states, and the user of a private
  composite, are; so a tag never stands for a part older than it says;
- a 304 is for a tag that was offered, and whose states may be shown now;
- what is incomplete says so, and has neither a tag nor a life;
- a failure names a needed part that may fail now."""
import collections
import json
import threading

USERS = (None, "Bearer ann", "Bearer bob")
# Failures: a status, a body that ends too early, no answer, no JSON.
FAILURES = ("500", "503", "cut", "silence", "garbage")

# state: what a backend has at a moment. kind: "ok", "gone" or a failure.
State = collections.namedtuple("State", "kind version")


class Wrong(AssertionError):
    """What the model does not allow."""


class Policy:
    """How long a part's answers hold, and for whom."""

    def __init__(self, fields, is_kept=False, is_own=False, is_spare=False):
        self.fields = fields
        self.is_kept = is_kept          # used again without asking
        self.is_own = is_own            # each user has another body
        self.is_spare = is_spare        # a stale one stands in for a failure


HOUR = "public, max-age=3600"
POLICIES = {
    "kept": Policy({"Cache-Control": HOUR}, is_kept=True),
    "spare": Policy({"Cache-Control": HOUR + ", stale-if-error=3600"},
                    is_kept=True, is_spare=True),
    "each": Policy({"Cache-Control": HOUR, "Vary": "Authorization"},
                   is_kept=True, is_own=True),
    "checked": Policy({"Cache-Control": "public, no-cache"}),
    "expired": Policy({"Cache-Control": "public, max-age=0"}),
    "silent": Policy({}),
    "never": Policy({"Cache-Control": "no-store"}),
    "own": Policy({"Cache-Control": "private, max-age=60"}, is_own=True),
}

# line: a part as a section has it. pointer: (before, after) the piece.
Line = collections.namedtuple("Line", "name optional default pointer")


def line(name, optional=False, default="null", pointer=None):
    return Line(name, optional, default, pointer)


class Shape:
    """A section: `name` in its URL, its lines, and the text around them. A
    template is text in which {"$part": "x"} stands."""

    def __init__(self, name, lines, template=None, is_public=False,
                 is_cached=False):
        self.name = name
        self.lines = lines
        self.template = template
        self.is_public = is_public      # nothing is forwarded
        self.is_cached = is_cached      # our cache keeps it as a whole

    def config(self, prefix):
        """Its section. Histories' URLs are /PREFIX-NUMBER/NAME."""
        words = ["SetHandler etag-composite"]
        if self.template is not None:
            words.append('ETagCompositeTemplate "%s.json"' % self.name)
        if self.is_public:
            words.append("ETagCompositeForward none")
        if self.is_cached:
            words.append("ETagCache On")
        words += [config_line(prefix, one) for one in self.lines]
        return '<LocationMatch "^/made/%s-([0-9]+)/%s$">\n    %s\n' \
            "</LocationMatch>\n" % (prefix, self.name, "\n    ".join(words))

    def body(self, pieces):
        """The composite of these pieces, as it must be byte by byte."""
        if self.template is None:
            return "{%s}" % ",".join('"%s":%s' % (one.name, pieces[one.name])
                                     for one in self.lines)
        text = self.template
        for one in self.lines:
            text = text.replace('{"$part": "%s"}' % one.name,
                                pieces[one.name])
        return text

    def pieces(self, body):
        """What a body shows of each part."""
        shown = json.loads(body)
        return shown if self.template is None else shown["all"]


def config_line(prefix, one):
    words = ['ETagCompositePart %s "/%s/%%s/%s" path:1'
             % (one.name, prefix, one.name)]
    if one.optional:
        words.append("optional")
    if one.default != "null":
        words.append("default=%s" % one.default)
    if one.pointer:
        words.append("pointer=%s" % one.pointer[0])
    return " ".join(words)


AT_ITEMS = ("/items/1", '{"items": [0, %s], "rest": 1.50}')
AT_NAME = ("/a~1b", ' {"no": {}, "a/b": %s}\n')
ALL = '{"all": {"a": {"$part": "a"}, "b": {"$part": "b"}}, "v": 1.0}'
REPEATED = ('{ "v" : 2.00, "all": {"a": {"$part": "a"}, "c": {"$part": "c"},'
            ' "b":{"$part": "b"}}, "again": [{"$part": "a"}]}')
SHAPES = {shape.name: shape for shape in (
    Shape("one", [line("a")]),
    Shape("two", [line("a"), line("b")]),
    Shape("some", [line("a"), line("b", True, "[]"), line("c", True)]),
    Shape("five", [line("a"), line("b", True), line("c", True, "[]"),
                   line("d", pointer=AT_ITEMS),
                   line("e", True, "0", AT_NAME)]),
    Shape("filled", [line("a"), line("b", True)], ALL),
    Shape("public", [line("a"), line("b", True), line("c")], REPEATED,
          is_public=True),
    Shape("cached", [line("a"), line("b", True, "[]"), line("c")],
          is_cached=True),
    Shape("shared", [line("a"), line("b", True)], is_public=True,
          is_cached=True),
)}


class Part:
    """One URL of one history, at its backend and in our cache."""
    failures = FAILURES

    def __init__(self, where, one, policy, tags, knows_star):
        self.where = where              # in its bodies: whose part it is
        self.line = one
        self.policy = POLICIES[policy]
        self.policy_name = policy
        self.tags = tags                # "strong", "weak", "none"
        self.knows_star = knows_star    # what If-None-Match: * is
        self.lock = threading.Lock()
        self.state = State("ok", 1)
        self.answered = {}              # user: states since it was purged
        self.stale = {}                 # user: states before a soft purge
        self.asked = 0

    def __repr__(self):
        return "<%s %s %s tags, %r>" % (self.line.name, self.policy_name,
                                        self.tags, self.state)

    # its backend

    def whose(self, user):
        return user if self.policy.is_own else None

    def tag(self, state):
        """One tag for all users, as of a backend that thinks of one only:
        that alone must not mix their composites."""
        if self.tags == "none" or state.kind not in ("ok", "garbage"):
            return None
        return '%s"%s%d"' % ("W/" if self.tags == "weak" else "",
                             state.kind, state.version)

    def piece(self, state, user):
        """What of its body goes into a composite."""
        if state.kind == "gone":
            return self.line.default
        return json.dumps({"of": self.where, "part": self.line.name,
                           "version": state.version,
                           "user": self.whose(user)})

    def text(self, state, user):
        if state.kind == "garbage":
            return ("{", "<p>", "[1,]", "")[state.version % 4]
        whole = self.line.pointer[1] if self.line.pointer else "%s"
        return whole % self.piece(state, user)

    def answer(self, exchange):
        """The backend's handler."""
        with self.lock:
            user = exchange.request.get("Authorization")
            state = self.state
            self.asked += 1
            if self.policy.is_kept and state.kind in ("ok", "gone",
                                                      "garbage"):
                self.answered.setdefault(self.whose(user), set()).add(state)
        fields = self.fields(state)
        if state.kind == "silence":
            exchange.cut()
        elif state.kind == "cut":
            exchange.head(200, dict(fields, **{"Content-Length": "100"}))
            exchange.send(b'{"of": 1')
            exchange.cut()
        elif state.kind in ("500", "503"):
            exchange.respond(int(state.kind), {}, b"{}")
        elif state.kind == "gone":
            exchange.respond(404, fields, b"{}")
        elif self.is_held(exchange.request.get("If-None-Match"), state):
            exchange.respond(304, fields)
        else:
            exchange.respond(200, fields, self.text(state, user).encode())

    def fields(self, state):
        return dict(self.policy.fields, ETag=self.tag(state), **{
            "Surrogate-Key": self.key(), "Content-Type": "application/json"})

    def is_held(self, condition, state):
        tag = self.tag(state)
        if condition == "*":
            return tag is not None and self.knows_star
        return tag is not None and condition is not None \
            and bare(tag) in map(bare, condition.split(", "))

    def become(self, state):
        with self.lock:
            self.state = state

    # our cache

    def key(self):
        """Its tag for purges."""
        return "%s-%s" % (self.where, self.line.name)

    def expire(self):
        """Before a soft purge is asked for."""
        with self.lock:
            for user, states in self.answered.items():
                self.stale.setdefault(user, set()).update(states)
            self.answered = {}

    def forget(self):
        """Before a hard one is."""
        with self.lock:
            self.answered = {}
            self.stale = {}

    # what may be shown

    def possible(self, user):
        """The states it may be in for this user."""
        with self.lock:
            states = {self.state} | self.answered.get(self.whose(user), set())
            if self.policy.is_spare and self.state.kind in FAILURES:
                states |= self.stale.get(self.whose(user), set())
        return states

    def fails(self, state):
        return state.kind in FAILURES or (state.kind == "gone"
                                          and not self.line.optional)

    def may_fail(self, user):
        return any(map(self.fails, self.possible(user)))

    def may_hold(self, user):
        """What a 304 may be for, as counts_as() says it. A 304 is decided by
        a part's fields alone, so what is no JSON has a part in it; but of
        such a composite there is no tag unless If-None-Match: * asks."""
        return {self.counts_as(state, user) for state in self.possible(user)
                if not self.fails(state)
                or (state.kind == "garbage" and self.tag(state))}

    def counts_as(self, state, user):
        """What a composite's tag is made of."""
        if state.kind == "gone":
            return "gone"
        tag = self.tag(state)
        return ("tag", tag) if tag else ("body", self.piece(state, user))


def bare(tag):
    return tag[2:] if tag.startswith("W/") else tag


class Judge:
    """Of the answers of one history. seen: tag -> where, of all histories
    of this process."""

    def __init__(self, where, shape, parts, seen):
        self.where = where
        self.shape = shape
        self.parts = parts
        self.seen = seen
        self.contents = {}              # tag -> what it stands for
        self.tags = {}                  # and back
        self.untold = set()             # tags that a star was answered with

    def holds(self, right, why, *more):
        if not right:
            raise Wrong("%s: %s" % (why, ", ".join(map(repr, more))))

    def whom(self, user, got):
        """Whose composite this must be. One of public parts that are the
        same for all is made for nobody, and a cache may give it to anybody.
        """
        if self.shape.is_public:
            return None
        if user is not None and got.hit:
            self.holds(not any(part.policy.is_own for part in self.parts),
                       "another user's composite", user, got)
            return None
        return user

    def judge(self, user, offered, got):
        """An answer to a request with these tags in If-None-Match. Returns
        what it was."""
        user = self.whom(user, got)
        if "ETag-Composite" in got:
            return self.incomplete(user, offered, got)
        if got.status == 304:
            return self.unchanged(user, offered, got)
        if got.status == 200:
            return self.whole(user, offered, got)
        return self.failed(user, got)

    # whole

    def whole(self, user, offered, got):
        states = {part.line.name: self.shown(part, user, got)
                  for part in self.parts}
        self.same_body({part.line.name: part.piece(states[part.line.name],
                                                   user)
                        for part in self.parts}, got)
        tag = got.get("ETag")
        self.holds(tag, "a whole composite without a tag", states)
        self.is_tag_of(tag, self.content(user, states))
        self.holds(tag not in offered and "*" not in offered,
                   "no 304 for a tag that is held", tag)
        self.holds("no-store" not in got.get("Cache-Control")
                   or any(part.policy_name == "never"
                          for part in self.parts), "no-store of nobody", got)
        self.is_whose(user, got)
        return "whole"

    def shown(self, part, user, got):
        """The state that a part is shown in."""
        shown = self.shape.pieces(got.body)[part.line.name]
        for state in part.possible(user):
            if not part.fails(state) \
                    and json.loads(part.piece(state, user)) == shown:
                return state
        raise Wrong("a part as it cannot be now: %r shows %r, not one of %r"
                    % (part, shown, part.possible(user)))

    def same_body(self, pieces, got):
        self.holds(got.body == self.shape.body(pieces).encode(),
                   "a body put together otherwise", got.body, pieces)

    def content(self, user, states):
        """What the tag must stand for."""
        return (self.shape.name, user) + tuple(
            part.counts_as(states[part.line.name], user)
            for part in self.parts)

    def is_tag_of(self, tag, content):
        self.holds(self.contents.setdefault(tag, content) == content,
                   "one tag for two", tag, self.contents[tag], content)
        self.holds(self.tags.setdefault(content, tag) == tag,
                   "two tags for one", tag, self.tags[content], content)
        self.holds(self.seen.setdefault(tag, self.where) == self.where,
                   "a tag of another history", tag, self.seen[tag])
        self.holds(tag.startswith("W/") == self.is_weak(content),
                   "too strong or too weak", tag, content)

    def is_weak(self, content):
        return any(one[0] == "tag" and one[1].startswith("W/")
                   for one in content[2:])

    def is_whose(self, user, got):
        control = got.get("Cache-Control", "")
        self.holds(user is None or "private" in control
                   or "no-store" in control, "for all to see", control)

    # 304

    def unchanged(self, user, offered, got):
        tag = got.get("ETag")
        self.holds(got.body == b"", "a 304 with a body", got)
        self.holds(tag and (tag in offered or "*" in offered),
                   "a 304 for a tag that nobody holds", tag, offered)
        self.is_whose(user, got)
        if "*" in offered and tag not in self.contents:
            self.told(tag, user)
        content = self.contents.get(tag)
        if content is None:
            self.holds(tag in self.untold, "a 304 for a tag of nothing", tag)
            return "304"
        self.holds(content[1] == user, "the tag of another user", content,
                   user)
        for part, counts in zip(self.parts, content[2:]):
            self.holds(counts in part.may_hold(user),
                       "a 304 for what has changed", part, counts,
                       part.possible(user))
        return "304"

    def told(self, tag, user):
        """A tag that is seen without a body: of what is there now, if that
        is sure."""
        may = [part.may_hold(user) for part in self.parts]
        self.holds(all(may), "a 304 for what is not there", tag, self.parts)
        if all(len(one) == 1 for one in may):
            self.is_tag_of(tag, (self.shape.name, user)
                           + tuple(one.pop() for one in may))
        else:
            self.untold.add(tag)

    # neither

    def incomplete(self, user, offered, got):
        said = got.get("ETag-Composite")
        names = said.partition('parts="')[2].rstrip('"').split(", ")
        self.holds(got.get("Cache-Control") == "no-store"
                   and "ETag" not in got and "Age" not in got,
                   "an incomplete one with a tag or a life", got)
        for name in names:
            part = self.part(name)
            self.holds(part.line.optional and part.may_fail(user),
                       "missing for no reason", part)
        if got.status == 304:       # from our cache: there is something
            self.holds("*" in offered, "a 304 without a tag", got)
            return "304"
        self.holds(got.status == 200, "another status", got)
        self.same_body({
            part.line.name: part.line.default if part.line.name in names
            else part.piece(self.shown(part, user, got), user)
            for part in self.parts}, got)
        return "incomplete"

    def part(self, name):
        for part in self.parts:
            if part.line.name == name:
                return part
        raise Wrong("there is no part %r" % name)

    def failed(self, user, got):
        self.holds(got.status == 502, "another status", got)
        self.holds(got.get("Content-Type") == "application/problem+json"
                   and got.get("Cache-Control") == "no-store"
                   and "ETag" not in got, "no problem document", got)
        part = self.part(json.loads(got.body)["part"])
        self.holds(not part.line.optional and part.may_fail(user),
                   "failed for no reason", part, got.body)
        return "failed"
