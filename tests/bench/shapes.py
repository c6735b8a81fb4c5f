"""shapes.py - lines of a given size whose shape might cost more than their bytes: one list for all tests of that"""
import json


def dump(obj):
    return json.dumps(obj, separators=(",", ":"), ensure_ascii=False)


SEEN = {"session_id": "1759990000", "engagement_time_msec": 1}


def small_event(n):
    return {"name": "refund", "params": {**SEEN, "transaction_id": f"T-{n}"}}


def payload(events, **beside):
    return dump({"client_id": "123.456", **beside, "events": events})


def repeated(make, size):
    """Items until their text is that long."""
    out, n = [], 0
    while n < size:
        out.append(make(len(out)))
        n += len(dump(out[-1])) + 1
    return out


def properties(size, value="gold"):
    return {f"p{i:06}": {"value": value} for i in range(size // (len(value) + 23))}


SHAPES = {
    "ordinary": lambda size: payload(repeated(small_event, min(size, 80_000))),
    "a large envelope and a thousand events": lambda size: payload(
        [{"name": "x"}] * 1000, user_properties=properties(min(size, 70_000) - 14_000, "gold" * 9)),
    "one long string": lambda size: payload([{"name": "x", "params": {"p": "x" * min(size, 100_000)}}]),
    "one long escaped string": lambda size: payload([{"name": "x"}]).replace("123.456", r"\u00e4" * (min(size, 100_000) // 6)),
    "many parameters": lambda size: payload([{"name": "x", "params": {f"p{i}": 1 for i in range(min(size, 100_000) // 12)}}]),
    "many bad names": lambda size: payload([{"name": "x", "params": {f"-{i:05}": None for i in range(min(size, 100_000) // 14)}}]),
    "names alike but for their end": lambda size: payload(
        [{"name": "x", "params": {"n" * 3000 + f"{i:06}": 1 for i in range(min(size, 100_000) // 3010)}}]),
    "many items": lambda size: payload([{"name": "x", "params": {"items": [{"item_id": "1"}] * (min(size, 100_000) // 17)}}]),
    "many user properties": lambda size: payload([{"name": "x"}], user_properties=properties(min(size, 90_000))),
    "many bad user properties": lambda size: payload([{"name": "x"}], user_properties=properties(min(size, 90_000), "x" * 60)),
    "deep nesting": lambda size: payload(
        [{"name": "x", "params": {"p": [json.loads("[" * 27 + "]" * 27)] * (min(size, 100_000) // 56)}}]),
    "a thousand warnings each": lambda size: payload(
        [{"name": "x", "params": {f"_{i}{n}": None for i in range(max(size // 20_000, 1))}} for n in range(1000)]),
    "white space": lambda size: payload([{"name": "x"}]).replace("[", "[" + " " * size),
    "numbers of many digits": lambda size: payload([{"name": "x", "params": {"p": 7}}]).replace(":7", ":" + "7" * min(size, 100_000)),
}
