"""Leave-one-family-out in one table: recall of each held-out attack family at a false-positive rate that is measured on
held-out harmless sources, and the false positives of each of these at that threshold."""

import numpy as np

from . import evaluate
from .holdout import attack_family


def table(rows, scores, rate=0.01):
    """`scores`: name of a model -> scores of `rows`."""
    labels = np.array([r["label"] for r in rows])
    families = np.array([attack_family(r) for r in rows])
    out = {}
    for name, values in scores.items():
        values = np.asarray(values)
        limit = evaluate.threshold_at(values[labels == 0], rate)
        recall = {f: float((values[(families == f) & (labels == 1)] > limit).mean()) for f in sorted(set(families[labels == 1]))}
        false = {f: float((values[(families == f) & (labels == 0)] > limit).mean()) for f in sorted(set(families[labels == 0]))}
        out[name] = {"limit": limit, "recall": recall, "mean": float(np.mean(list(recall.values()))), "fp": false}
    return out


def show(rows, scores, rate=0.01):
    tables = table(rows, scores, rate)
    names = list(tables)
    count = {}
    for row in rows:
        key = (attack_family(row), row["label"])
        count[key] = count.get(key, 0) + 1
    print(f"recall at {rate:.1%} false positives on held-out harmless rows: " + ", ".join(names))
    for family in tables[names[0]]["recall"]:
        print(f"  {family} ({count[(family, 1)]}): " + "  ".join(f"{tables[n]['recall'][family]:.3f}" for n in names))
    print("  mean: " + "  ".join(f"{tables[n]['mean']:.3f}" for n in names))
    worst = sorted(tables[names[0]]["fp"], key=lambda f: -max(tables[n]["fp"][f] for n in names))
    for family in worst[:14]:
        print(f"  false positives {family} ({count[(family, 0)]}): " + "  ".join(f"{tables[n]['fp'][family]:.3f}" for n in names))
