"""What the Python scenarios share: the standard records, checks and the line that ends a scenario."""
import json
import sys
import traceback

RECORDS, PARTITIONS, BASE_TIME = 300, 3, 1700000000000
DAY7 = "604800000"

CONTENT = [
    (b"k0", b"v0", [("a", b"1"), ("a", b"2"), ("b", b"\x00\xff\x10"), ("e", b"")]),
    (None, b"v1", []),
    (b"k2", None, []),
    (b"", b"", []),
    ("ключ-열쇠".encode(), "값".encode(), []),
]


class NotAvailable(Exception):
    """The client has no such feature; the message says which."""


def key(i):
    return b"key-%d" % i


def value(i):
    return b"value-%d-" % i + b"naru " * 20


def big(n):
    return bytes((j * 7 + (j >> 8) * 13) & 0xFF for j in range(n))


def expect(condition, detail):
    if not condition:
        raise AssertionError(detail)


def verify(got, n, parts):
    """got: (partition, offset, key, value) in the order of arrival; exactly the standard records [0, n)."""
    expect(len(got) == n, f"{len(got)} records, want {n}")
    following = [0] * parts
    for p, offset, k, v in got:
        i = following[p] * parts + p
        expect(offset == following[p], f"partition {p}: offset {offset}, want {following[p]}")
        expect(k == key(i) and v == value(i), f"partition {p} offset {offset}: key {k!r} value {v[:40]!r}, want record {i}")
        following[p] += 1


def verify_content(got):
    """got: (timestamp, key, value, headers) of every record of CONTENT."""
    for i, (g, want) in enumerate(zip(got, CONTENT)):
        full = (BASE_TIME + i * 1000, want[0], want[1], want[2])
        g = (g[0], g[1], g[2], [(h, v) for h, v in g[3]])
        expect(g == full, f"record {i}: got {g!r}, want {full!r}")


def line(name, error):
    out = {"scenario": name, "ok": error is None}
    if isinstance(error, NotAvailable):
        out["na"] = True
    if error is not None:
        last = traceback.extract_tb(error.__traceback__)[-1] if error.__traceback__ else None
        where = f" ({last.filename.rsplit('/', 1)[-1]}:{last.lineno})" if last else ""
        out["detail"] = str(error) if isinstance(error, NotAvailable) else f"{type(error).__name__}: {error}{where}"
    print(json.dumps(out), flush=True)


def arguments():
    return sys.argv[1], sys.argv[2], sys.argv[3:]


# The compaction scenario: versions of each key, the last of which is a tombstone for the last keys, and
# records that fill the active segment.
KEYS, DEAD, VERSIONS = 20, 5, 12
WRITTEN = KEYS * VERSIONS
TOTAL = WRITTEN + 150
COMPACTED = {"cleanup.policy": "compact", "segment.bytes": "1048576", "min.cleanable.dirty.ratio": "0.01"}


def compact_record(i):
    version, k = divmod(i, KEYS)
    if i >= WRITTEN:
        return b"fill", b"fill" * 2500
    if version == VERSIONS - 1 and k >= KEYS - DEAD:
        return b"key-%d" % k, None
    return b"key-%d" % k, b"%d-%d-" % (version, k) + b"x" * 10000


def older(got):
    """got: (offset, key, value) of all that is left; how many records are not the newest of their key."""
    last, keys, old = -1, set(), 0
    for offset, k, v in got:
        expect(offset > last and (k, v) == compact_record(offset), f"offset {offset} after {last} is another record")
        last = offset
        if offset < WRITTEN:
            keys.add(k)
            old += offset < WRITTEN - KEYS
    expect(len(keys) == KEYS, f"{len(keys)} keys, want {KEYS}")
    return old
