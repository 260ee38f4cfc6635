# SPDX-License-Identifier: Apache-2.0
"""The same histories of pages with Edge Side Includes: the first part is the
page, whose versions do not all include the same; a fragment may have another
one that stands in for it (alt)."""
import collections
import json

from .composite_histories import History
from .composite_model import FAILURES, Judge, Part, Wrong, line

# src, alt and onerror of an include, by the names of parts.
Include = collections.namedtuple("Include", "name alt is_continue")

A = Include("a", None, False)
B = Include("b", None, True)
C = Include("c", "d", False)
D = Include("e", "b", True)
# What a page includes, by its version.
INCLUDES = [[A, C], [A, B, C, D], [B, A], [C, B, D], [D]]

CONFIG = """
ProxyPass "/%(prefix)s/" "http://127.0.0.1:%(port)d/%(prefix)s/" connectiontimeout=5 timeout=30 retry=0
<Location "/%(prefix)s/">
    ETagCache On
</Location>
<LocationMatch "^/%(prefix)s/[0-9]+/page$">
    ETagCompositeESI On
    ETagCompositeESIAllow /%(prefix)s
</LocationMatch>
"""


def config(prefix, port):
    return CONFIG % {"prefix": prefix, "port": port}


class Fragment(Part):
    """Whatever it is made of will do."""
    failures = ("500", "503", "cut", "silence")

    def fails(self, state):
        return state.kind in FAILURES

    def piece(self, state, user):
        return "" if state.kind == "gone" else super().piece(state, user)


class Page(Part):
    """The page: its own piece, then a line for each include. Of a backend
    that does not answer mod_proxy says nothing to the client either."""
    failures = ("500", "503")

    def fails(self, state):
        return state.kind != "ok"

    def includes(self, state):
        return INCLUDES[state.version % len(INCLUDES)]

    def text(self, state, user):
        folder = "/" + self.where.replace("-", "/") + "/"
        return "\n".join([self.piece(state, user)] + [
            '<esi:include src="%s"%s%s/>' % (
                folder + one.name,
                ' alt="%s"' % (folder + one.alt) if one.alt else "",
                ' onerror="continue"' if one.is_continue else "")
            for one in self.includes(state)])

    def fields(self, state):
        return dict(super().fields(state), **{
            "Content-Type": "text/html",
            "Surrogate-Control": 'content="ESI/1.0"'})


class PageJudge(Judge):
    """parts: the page, and all that it may include."""

    def of(self, name):
        for part in self.parts:
            if part.line.name == name:
                return part
        raise Wrong("there is no part %r" % name)

    def judge(self, user, offered, got):
        if got.status == 304 and "ETag-Composite" not in got:
            return self.unchanged(user, offered, got)
        if got.status == 200:
            return self.page(user, offered, got)
        return self.failed(user, got)

    # 200

    def page(self, user, offered, got):
        rows = got.body.decode().split("\n")
        page = self.parts[0]
        state = self.shown_as(page, user, rows[0])
        includes = page.includes(state)
        self.holds(len(rows) == 1 + len(includes), "other includes", rows)
        self.is_whose(user, got)
        missing = self.missing(got)
        content = (user, page.counts_as(state, user)) + tuple(
            self.include(one, user, row, missing)
            for one, row in zip(includes, rows[1:]))
        self.holds(not missing, "missing for no reason", missing)
        if "ETag-Composite" in got:
            self.holds(got.get("Cache-Control") == "no-store"
                       and "ETag" not in got and "Age" not in got,
                       "an incomplete one with a tag or a life", got)
            return "incomplete"
        tag = got.get("ETag")
        self.holds(tag, "a whole page without a tag", got)
        self.is_tag_of(tag, content)
        self.holds(tag not in offered and "*" not in offered,
                   "no 304 for a tag that is held", tag)
        return "whole"

    def missing(self, got):
        said = got.get("ETag-Composite")
        if said is None:
            return []
        return [url.rpartition("/")[2] for url in
                said.partition('parts="')[2].rstrip('"').split(", ")]

    def shown_as(self, part, user, row):
        found = self.find(part, user, row)
        self.holds(found, "a part as it cannot be now", part, row,
                   part.possible(user))
        return found

    def find(self, part, user, row):
        for state in part.possible(user):
            if not part.fails(state) and part.piece(state, user) == row:
                return state
        return None

    def include(self, one, user, row, missing):
        """What the tag must stand for of an include that shows this."""
        part = self.of(one.name)
        last = self.of(one.alt) if one.alt else part
        if row and self.find(part, user, row):
            return one.name, part.counts_as(self.find(part, user, row), user)
        self.holds(one.is_continue or one.alt or row == "",
                   "a part as it cannot be now", part, row,
                   part.possible(user))
        if one.alt:
            self.holds(self.may_not_be(part, user), "alt for no reason",
                       part, row)
        if row:
            return one.alt, last.counts_as(self.shown_as(last, user, row),
                                           user)
        self.holds(one.is_continue, "a needed one is missing", part, last)
        if last.line.name in missing:
            missing.remove(last.line.name)
            self.holds(last.may_fail(user), "missing for no reason", last)
            return last.line.name, "missing"
        self.holds(self.find(last, user, ""), "nothing for no reason", last,
                   last.possible(user))
        return last.line.name, "gone"

    def may_not_be(self, part, user):
        return any(state.kind != "ok" for state in part.possible(user))

    def is_weak(self, content):
        return any(tag[0] == "tag" and tag[1].startswith("W/")
                   for tag in [content[1]] + [one[1] for one in content[2:]])

    # 304

    def unchanged(self, user, offered, got):
        tag = got.get("ETag")
        self.holds(tag and got.body == b""
                   and (tag in offered or "*" in offered),
                   "a 304 for a tag that nobody holds", tag, offered)
        self.is_whose(user, got)
        content = self.contents.get(tag)
        if content is None:
            self.holds("*" in offered or tag in self.untold,
                       "a 304 for a tag of nothing", tag)
            self.untold.add(tag)
            return "304"
        self.holds(content[0] == user, "the tag of another user", content,
                   user)
        page = self.parts[0]
        self.holds(content[1] in page.may_hold(user),
                   "a 304 for what has changed", page, content)
        for name, counts in content[2:]:
            self.holds(counts in self.of(name).may_hold(user),
                       "a 304 for what has changed", self.of(name), counts,
                       self.of(name).possible(user))
        return "304"

    # neither

    def failed(self, user, got):
        page = self.parts[0]
        kinds = {state.kind for state in page.possible(user)}
        if got.get("Content-Type") != "application/problem+json":
            kind = "gone" if got.status == 404 else str(got.status)
            self.holds(kind in kinds, "no such failure", got, page)
            return "failed"
        self.holds(got.status == 502 and "ETag" not in got
                   and got.get("Cache-Control") == "no-store",
                   "no problem document", got)
        part = self.of(json.loads(got.body)["part"].rpartition("/")[2])
        self.holds(self.may_not_be(part, user), "failed for no reason", part)
        return "failed"


class PageHistory(History):
    def set_up(self, seen):
        self.is_cached = False
        self.parts = [self.make(Page, line("page"))] + [
            self.make(Fragment, line(name)) for name in "abcde"]
        self.target = self.url(self.parts[0])
        self.judge = PageJudge(self.where, None, self.parts, seen)
