# SPDX-License-Identifier: Apache-2.0
"""Pages of a telephone provider's call log as its JSON API would list them:
ids, numbers, dates, durations and prices are chance, names and keys repeat."""
import datetime
import json
import random
import uuid

PAGE = 42 * 1000
START = datetime.datetime(2024, 3, 1, tzinfo=datetime.timezone.utc)
STATUS = ["completed"] * 7 + ["busy", "no-answer", "failed"]
PREFIXES = ["+4930", "+4989", "+4940", "+33142", "+44207", "+1212", "+1415",
            "+81352"]


def number(chance):
    return chance.choice(PREFIXES) + "%07d" % chance.randrange(10 ** 7)


def call(chance, own, began):
    seconds = int(chance.expovariate(1 / 140))
    return {
        "id": str(uuid.UUID(int=chance.getrandbits(128), version=4)),
        "account_id": "AC4f0d9a71",
        "direction": chance.choice(["inbound", "outbound"]),
        "from": own,
        "to": number(chance),
        "status": chance.choice(STATUS),
        "start_time": began.isoformat(),
        "end_time": (began
                     + datetime.timedelta(seconds=seconds)).isoformat(),
        "duration": seconds,
        "price": "-%.5f" % (0.0085 * (seconds // 60 + 1)
                            * chance.choice([1, 1.5, 4])),
        "price_unit": "EUR",
        "recording": None if chance.random() < 0.8 else
        "/recordings/%s" % chance.randbytes(17).hex(),
    }


def page(seed, size=PAGE):
    """Page `seed`: at least `size` bytes, the same every time."""
    chance = random.Random(seed)
    own = number(chance)
    began = START + datetime.timedelta(minutes=chance.randrange(500000))
    calls, length = [], 0
    while length < size:
        began -= datetime.timedelta(seconds=chance.randrange(1, 4000))
        calls.append(call(chance, own, began))
        length += len(json.dumps(calls[-1], separators=(",", ":"))) + 1
    return json.dumps({
        "page": seed, "page_size": len(calls), "calls": calls,
        "next_page_uri": "/calls.json?page=%d" % (seed + 1),
    }, separators=(",", ":")).encode()
