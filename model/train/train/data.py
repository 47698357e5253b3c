"""Rows: reading them, grouping them, and proof that train and dev do not overlap.

A row is a dict of the schema `id, text, label, kind, channel, lang, source`. Whatever has these keys can be read, one JSON
object a line, plain or compressed. A row's `group` is what may never be torn apart between training and validation.
"""

import gzip
import hashlib
import io
import json
import lzma
import re
import unicodedata
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import zstandard

CHANNELS = ["user", "tool", "system", "response", "document"]
HEADS = ["attack", "injection", "jailbreak", "leak"]

# What a kind says about each head: 1 yes, 0 no, None not known (no loss).
HEADS_OF_KIND = {
    "direct_injection": (1, 1, 0, None),
    "indirect_injection": (1, 1, None, None),
    "jailbreak": (1, None, 1, 0),
    "system_prompt_leak": (1, None, 0, 1),
    "obfuscated": (1, None, None, None),
    "adversarial_suffix": (1, None, 1, 0),
}


def open_text(path):
    path = Path(path)
    opened = {
        ".zst": lambda: zstandard.open(path, "rb"),
        ".gz": lambda: gzip.open(path, "rb"),
        ".xz": lambda: lzma.open(path, "rb"),
    }.get(path.suffix, lambda: open(path, "rb"))()
    return io.TextIOWrapper(opened, encoding="utf-8", errors="replace", newline="\n")


def read_rows(*paths):
    rows = []
    for path in paths:
        with open_text(path) as lines:
            for line in lines:
                if line.strip():
                    row = json.loads(line)
                    row.setdefault("channel", "user")
                    row.setdefault("source", Path(path).name.split(".")[0])
                    row.setdefault("kind", "unknown")
                    rows.append(row)
    return rows


def write_rows(path, rows):
    with open(path, "w", encoding="utf-8") as out:
        for row in rows:
            out.write(json.dumps(row, ensure_ascii=False) + "\n")


def draw(seed, *parts):
    """A number in [0, 1) that depends on nothing but its arguments."""
    text = "\x1f".join([str(seed), *map(str, parts)])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=7).digest(), "big") / 2**56


def heads_of(row):
    """Targets and weights of the four heads."""
    if not row["label"]:
        return [0.0] * 4, [1.0] * 4
    known = HEADS_OF_KIND.get(row["kind"], (1, None, None, None))
    return [float(k or 0) for k in known], [0.0 if k is None else 1.0 for k in known]


def read_written(folder):
    """The rows that were written one by one. Twins stand next to each other and mostly share a family: a group is a
    family of three or more, and otherwise all that is tied together by a family or by standing in the same ten lines."""
    rows = []
    for path in sorted(Path(folder).glob("*.jsonl")):
        own = read_rows(path)
        sizes = Counter(row["family"] for row in own)
        parent = list(range(len(own)))

        def root(i):
            while parent[i] != i:
                parent[i] = parent[parent[i]]
                i = parent[i]
            return i

        first = {}
        for i, row in enumerate(own):
            keys = [("family", row["family"])]
            if sizes[row["family"]] < 3:
                keys.append(("lines", i // 10))
            for key in keys:
                parent[root(i)] = root(first.setdefault(key, i))
        for i, row in enumerate(own):
            row["group"] = f"{path.stem}/{own[root(i)]['family']}/{root(i)}"
        rows += own
    return rows


def plain(text):
    """Words only: what two texts have to share to be called the same."""
    return re.sub(r"[\W_]+", " ", unicodedata.normalize("NFKC", text).casefold()).strip()


def drop_duplicates(rows):
    seen, kept = set(), []
    for row in rows:
        key = (plain(row["text"]) or row["text"], row["channel"])
        if key not in seen:
            seen.add(key)
            kept.append(row)
    return kept


def shingles(text):
    words = text.split()
    if len(words) >= 6:
        parts = (" ".join(words[i : i + 3]) for i in range(len(words) - 2))
    else:
        parts = (text[i : i + 5] for i in range(max(1, len(text) - 4)))
    return np.fromiter({hash_of(p) for p in parts}, dtype=np.uint64)


def hash_of(part):
    return int.from_bytes(hashlib.blake2b(part.encode(), digest_size=8).digest(), "little")


def min_hashes(texts, functions=64, seed=7):
    draws = np.random.default_rng(seed)
    factors = draws.integers(1, 2**63, functions, dtype=np.uint64) | np.uint64(1)
    offsets = draws.integers(0, 2**63, functions, dtype=np.uint64)
    out = np.empty((len(texts), functions), np.uint32)
    for i, text in enumerate(texts):
        mixed = shingles(text)[:, None] * factors + offsets
        out[i] = (mixed >> np.uint64(32)).min(0)
    return out


def similarity(texts, others, bands=16):
    """How like the nearest of `others` each text is, by MinHash; 0 if nothing is near."""
    a, b = min_hashes(others), min_hashes(texts)
    width = a.shape[1] // bands
    near = np.zeros(len(texts))
    for band in range(bands):
        cut = slice(band * width, (band + 1) * width)
        buckets = defaultdict(list)
        for i, key in enumerate(map(bytes, np.ascontiguousarray(a[:, cut]))):
            if len(buckets[key]) < 50:
                buckets[key].append(i)
        for j, key in enumerate(map(bytes, np.ascontiguousarray(b[:, cut]))):
            if key in buckets:
                near[j] = max(near[j], (a[buckets[key]] == b[j]).mean(1).max())
    return near


def leakage(train, dev, threshold=0.8):
    """How many rows of `dev` are in `train`, word for word or nearly."""
    train_texts, dev_texts = ([plain(r["text"]) for r in rows] for rows in (train, dev))
    exact = set(train_texts)
    report = {"train": len(train), "dev": len(dev), "exact": sum(t in exact for t in dev_texts)}
    near = similarity(dev_texts, train_texts)
    report["near"] = int((near >= threshold).sum())
    report["near_threshold"] = threshold
    report["similarity_deciles"] = [round(float(q), 2) for q in np.quantile(near, np.linspace(0.1, 1, 10))]
    return report
