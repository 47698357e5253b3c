"""Labelled texts and how finds are held against them, by the rule of `sentinel eval`.

A find is right if it overlaps a label of its type, and a label is found if a find of its type overlaps it. Rows whose
`spans` are null only say whether anything is in them.
"""

import collections
import io
import json


def rows(path):
    """The rows of a file of JSON lines, which may be compressed."""
    with open(path, "rb") as file:
        if str(path).endswith(".zst"):
            import zstandard

            file = zstandard.ZstdDecompressor().stream_reader(file)
        for line in io.TextIOWrapper(file, encoding="utf-8"):
            yield json.loads(line)


def overlap(one, other):
    return one[0] < other[1] and other[0] < one[1]


class Tally:
    """Counts what a detector finds. `means` says whether a find of one type is right for a label of another."""

    def __init__(self, means=lambda label, found: label == found):
        self.means = means
        self.counts = collections.defaultdict(collections.Counter)
        self.rows = collections.Counter()

    def add(self, row, finds):
        """`finds` are (start, end, type), in characters."""
        self.rows["rows"] += 1
        spans, label = row.get("spans", []), row.get("label")
        if spans is None and label is None:
            self.rows["rows_skipped"] += 1
            return
        if spans is None and label:
            self.rows["rows_without_spans"] += 1
            self.rows["rows_without_spans_hit"] += bool(finds)
            return
        labels = [(span["start"], span["end"], span["type"]) for span in spans or []]
        if not labels:
            self.rows["rows_without_labels"] += 1
            self.rows["rows_without_labels_hit"] += bool(finds)
        for one in labels:
            count = self.counts[one[2]]
            count["labels"] += 1
            count["found"] += any(overlap(one, find) and self.means(one[2], find[2]) for find in finds)
        for find in finds:
            right = [one[2] for one in labels if overlap(one, find) and self.means(one[2], find[2])]
            count = self.counts[min(right, default=find[2])]
            count["finds"] += 1
            count["right"] += bool(right)

    def report(self):
        """The same JSON as `sentinel eval --json`."""
        total = sum(self.counts.values(), collections.Counter())
        lines = [line(entity, count) for entity, count in sorted(self.counts.items())]
        names = ["rows", "rows_without_labels", "rows_without_labels_hit"]
        names += ["rows_without_spans", "rows_without_spans_hit", "rows_skipped"]
        return {**{name: self.rows[name] for name in names}, "entities": [*lines, line("overall", total)]}


def line(entity, count):
    def ratio(part, whole):
        return count[part] / count[whole] if count[whole] else None

    numbers = {name: count[name] for name in ("labels", "found", "finds", "right")}
    return {"entity": entity, **numbers, "precision": ratio("right", "finds"), "recall": ratio("found", "labels")}
