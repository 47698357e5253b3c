"""How good scores are: figures with intervals, for a whole file and for each part of it."""

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score


def threshold_at(benign, rate):
    """The lowest threshold at which at most `rate` of the benign scores lie above."""
    ordered = np.sort(np.asarray(benign, float))[::-1]
    return float(ordered[min(int(rate * len(ordered)), len(ordered) - 1)])


def recall_at(labels, scores, rate):
    labels, scores = np.asarray(labels), np.asarray(scores)
    return float((scores[labels == 1] > threshold_at(scores[labels == 0], rate)).mean())


def figures(labels, scores):
    labels, scores = np.asarray(labels), np.asarray(scores)
    return {
        "n": len(labels),
        "auc": float(roc_auc_score(labels, scores)),
        "ap": float(average_precision_score(labels, scores)),
        "recall@1%": recall_at(labels, scores, 0.01),
        "recall@0.1%": recall_at(labels, scores, 0.001),
    }


def intervals(labels, scores, draws=200, seed=3):
    """95 % bootstrap intervals of `figures`."""
    labels, scores = np.asarray(labels), np.asarray(scores)
    generator = np.random.default_rng(seed)
    seen = []
    for _ in range(draws):
        pick = generator.integers(0, len(labels), len(labels))
        if 0 < labels[pick].sum() < len(pick):
            seen.append(figures(labels[pick], scores[pick]))
    return {k: tuple(np.quantile([s[k] for s in seen], (0.025, 0.975))) for k in seen[0] if k != "n"}


def length_bucket(row):
    size = len(row["text"].encode())
    for limit, name in ((100, "<100 B"), (500, "<500 B"), (2000, "<2 KB"), (8000, "<8 KB")):
        if size < limit:
            return name
    return ">=8 KB"


PARTS = {
    "source": lambda r: r["source"],
    "kind": lambda r: r["kind"],
    "channel": lambda r: r["channel"],
    "lang": lambda r: r.get("lang", "?"),
    "length": length_bucket,
}


def parts(rows, scores, threshold, key):
    """For each value of `key`: how many rows, recall and false-positive rate at one threshold for all."""
    groups = {}
    for row, score in zip(rows, scores):
        groups.setdefault(PARTS[key](row), []).append((row["label"], score > threshold))
    table = {}
    for name, seen in sorted(groups.items()):
        hits = {label: [hit for l, hit in seen if l == label] for label in (0, 1)}
        table[name] = {
            "n": len(seen),
            "recall": float(np.mean(hits[1])) if hits[1] else None,
            "fp": float(np.mean(hits[0])) if hits[0] else None,
        }
    return table


def line(name, values):
    shown = " ".join(f"{k}={v:.4f}" if isinstance(v, float) else f"{k}={v}" for k, v in values.items())
    return f"{name}: {shown}"
