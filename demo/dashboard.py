# SPDX-License-Identifier: Apache-2.0
"""What mod_etag_composite does, as two of the demo's stories: a dashboard made
of three answers of the backend, one of them a list whose data is looked at; and
a page of HTML with two fragments.

Both use the Demo of show.py: its servers, counts and claims.
"""
import json
import os
import re

PAGE = "/api/dashboard?page=4"
PARTS = ("/api/products?page=4", "/api/summary", "/api/offers")


class Dashboard:
    def __init__(self, demo):
        self.demo = demo
        self.claims = demo.claims
        self.etagere = demo.etagere
        self.offers = os.path.join(demo.state, "offers.json")

    def show(self):
        print("\nA dashboard: one answer made of %s, %s and %s" % PARTS)
        parts = [self.demo.backend.ask(part) for part in PARTS]
        self.demo.show_header()
        first = self.demo.show_row(PAGE, "Etagere, first time", self.etagere)
        again = self.demo.show_row(PAGE, "Etagere, again", self.etagere)
        since = self.demo.log.size()
        tag = self.demo.show_row(PAGE, "Etagere, If-None-Match",
                                 self.etagere, fields=having(first[0]))
        print()
        self.claim_parallel(parts, *first[:2])
        self.claim_held(since, first[0], again, tag)
        self.show_private(first[0])
        self.show_change(first[0])
        self.show_down(first[0])

    def claim_parallel(self, parts, first, requests):
        one_by_one = sum(part.ms for part in parts)
        self.claims.say(
            "cold: its parts take the backend %.0f ms one after another, "
            "and %.0f ms at once" % (one_by_one, first.ms),
            first.status == 200 and requests == len(parts)
            and first.ms < one_by_one * 0.8,
            "status %d, %d backend requests" % (first.status, requests))
        self.claims.say("each stands there byte for byte", all(
            part.body in first.body for part in parts))

    def claim_held(self, since, first, again, tag):
        self.demo.expect("then nobody has to be asked", *again[:2], 200, 0)
        self.claims.say("for the same body and tag",
                        again[0].body == first.body
                        and again[0].fields["ETag"] == first.fields["ETag"])
        self.demo.expect("who has it is told so by 304", *tag[:2], 304, 0)
        words = self.composite_words(since)
        self.claims.say("for which no byte of a body was read (access log: "
                        "%s)" % " ".join(words), words == ("304", "0"))

    def composite_words(self, since):
        """What became of the composite and how many bytes were read for it,
        in the first line of its own behind `since`."""
        with open(self.demo.log.path, encoding="utf-8") as log:
            log.seek(since)
            return re.search(r'"GET %s [^"]*".*" (\S+) (\S+) \S+ \S+ us$'
                             % re.escape(PAGE), log.read(),
                             re.MULTILINE).groups()

    def show_private(self, first):
        """Somebody who is logged in gets what the backend gives them."""
        mine = self.etagere.ask(PAGE, fields={"Cookie": "session=abc"})
        self.claims.say(
            "who is logged in has a tag of their own (Cache-Control: %s)"
            % mine.fields.get("Cache-Control"), mine.status == 200
            and "private" in mine.fields.get("Cache-Control", "")
            and mine.fields["ETag"] != first.fields["ETag"])

    def show_change(self, first):
        product = json.loads(first.body)["products"]["products"][0]
        price = product["price_cents"] + 1
        post = self.etagere.ask(
            "/api/products/%d" % product["id"], method="POST",
            fields={"Content-Type": "application/json"},
            body=json.dumps({"price_cents": price}))
        self.claims.say("a product of it is given another price, at its own "
                        "URL", post.status == 200)
        new, requests = self.demo.counted(self.etagere, PAGE,
                                          fields=having(first))
        self.demo.expect("then one of the three is asked for", new, requests,
                         200, 1)
        row = json.loads(new.body)["products"]["products"][0]
        self.claims.say("the tag has moved, and the new price is there",
                        row == dict(product, price_cents=price,
                                    updated_at=row["updated_at"])
                        and new.fields["ETag"] != first.fields["ETag"])
        held, requests = self.demo.counted(self.etagere, PAGE,
                                           fields=having(new))
        self.demo.expect("and the next answer is 304 again", held, requests,
                         304, 0)

    def show_down(self, first):
        """The offers are optional; their system goes and comes back."""
        os.rename(self.offers, self.offers + ".away")
        self.etagere.ask("/api/offers", method="PURGE")
        answer = self.etagere.ask(PAGE)
        self.claims.say(
            "the system behind the offers is down: %d, ETag-Composite: %s"
            % (answer.status, answer.fields.get("ETag-Composite")),
            answer.status == 200 and answer.fields.get("ETag-Composite")
            == 'incomplete; parts="offers"')
        self.claims.say(
            "then the default stands there, without a tag, and nobody keeps "
            "it", json.loads(answer.body)["offers"] == []
            and "ETag" not in answer.fields
            and answer.fields.get("Cache-Control") == "no-store")
        os.rename(self.offers + ".away", self.offers)
        whole = self.etagere.ask(PAGE)
        self.claims.say("it is back: and so are offers and tag",
                        json.loads(whole.body)["offers"]
                        == json.loads(first.body)["offers"]
                        and "ETag" in whole.fields
                        and "ETag-Composite" not in whole.fields)


class ShopPage:
    PAGE = "/shop/"
    FRAGMENTS = (b"<p>Table 00001: ", b"<ul><li>Lamp 00003</li></ul>")

    def __init__(self, demo):
        self.demo = demo
        self.claims = demo.claims
        self.etagere = demo.etagere
        self.offers = os.path.join(demo.state, "offers.json")

    def show(self):
        print("\nA page with two fragments (Edge Side Includes): %s"
              % self.PAGE)
        raw = self.demo.backend.ask(self.PAGE)
        self.demo.show_header()
        first = self.demo.show_row(self.PAGE, "Etagere, first time",
                                   self.etagere)
        again = self.demo.show_row(self.PAGE, "Etagere, again", self.etagere)
        tag = self.demo.show_row(self.PAGE, "Etagere, If-None-Match",
                                 self.etagere, fields=having(first[0]))
        print()
        self.claim_page(raw, first)
        self.demo.expect("then nobody has to be asked", *again[:2], 200, 0)
        self.claims.say("for the same page and tag",
                        again[0].body == first[0].body
                        and again[0].fields["ETag"] == first[0].fields["ETag"])
        self.demo.expect("who has it is told so by 304", *tag[:2], 304, 0)
        self.show_change(first[0])
        self.show_down()

    def claim_page(self, raw, first):
        self.demo.expect("the backend is asked for the page and for its "
                         "fragments", *first[:2], 200, 3, etag="^W?/?\"")
        self.claims.say(
            "which stand where the backend's page has marks",
            raw.body.count(b"<esi:include ") == len(self.FRAGMENTS)
            and b"esi:" not in first[0].body
            and all(part in first[0].body for part in self.FRAGMENTS))
        self.claims.say(
            "only servers are told of marks", "Surrogate-Control" in raw.fields
            and "Surrogate-Control" not in first[0].fields)

    def show_change(self, first):
        product = json.loads(self.etagere.ask("/api/products/1").body)
        price = product["price_cents"] + 1
        post = self.etagere.ask(
            "/api/products/1", method="POST",
            fields={"Content-Type": "application/json"},
            body=json.dumps({"price_cents": price}))
        self.claims.say("the product in it is given another price",
                        post.status == 200)
        new, requests = self.demo.counted(self.etagere, self.PAGE,
                                          fields=having(first))
        self.demo.expect("then its fragment is asked for, and not the page",
                         new, requests, 200, 1)
        self.claims.say("the page's tag has moved, and the new price is "
                        "there", b": %d cents" % price in new.body
                        and new.fields["ETag"] != first.fields["ETag"])

    def show_down(self):
        os.rename(self.offers, self.offers + ".away")
        self.etagere.ask("/shop/offers", method="PURGE")
        answer = self.etagere.ask(self.PAGE)
        self.claims.say(
            "the offers are down (onerror=\"continue\"): %d, ETag-Composite: "
            "%s" % (answer.status, answer.fields.get("ETag-Composite")),
            answer.status == 200 and "incomplete" in answer.fields.get(
                "ETag-Composite", ""))
        self.claims.say(
            "then nothing stands there, and the page has no tag",
            self.FRAGMENTS[0] in answer.body
            and self.FRAGMENTS[1] not in answer.body
            and b"esi:" not in answer.body and "ETag" not in answer.fields)
        os.rename(self.offers + ".away", self.offers)


def having(answer):
    return {"If-None-Match": answer.fields.get("ETag", "")}
