"""The split of package routing in Python: reads lines of JSON [parts, weights]
and prints slot and pick. Specified in slot.go."""
import hashlib
import json
import sys
import unicodedata


def slot(parts):
    key = unicodedata.normalize("NFC", "\0".join(parts)).encode()
    u = int.from_bytes(hashlib.sha256(key).digest()[:8], "big")
    return u * 10_000 >> 64


def pick(slot, weights):
    total, before = sum(weights), 0
    for i, weight in enumerate(weights):
        before += weight
        if total and 10_000 * before // total > slot:
            return i
    return -1


for line in sys.stdin:
    parts, weights = json.loads(line)
    s = slot(parts)
    print(s, pick(s, weights))
