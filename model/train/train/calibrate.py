"""How the two stages become one score, and where it becomes an alarm: for each speaker, on rows that no stage learned from.

Only slopes that are not negative are allowed: more evidence never lowers a score.
"""

import numpy as np
from scipy.optimize import minimize

from .data import CHANNELS
from .evaluate import threshold_at

BUDGET = 0.0025
ENOUGH = 150  # rows of each label; a speaker with fewer is judged as all are
SHRINK = 2.0


def fit(features, labels, towards=None):
    """Logistic regression: bias first, then slopes >= 0, drawn towards an earlier solution. Both labels weigh the same."""
    x = np.column_stack([np.ones(len(features)), features])
    y = np.where(labels, 1.0, -1.0)
    weight = np.where(labels, 0.5 / max(1, labels.sum()), 0.5 / max(1, (~labels).sum()))
    towards = np.array([0.0] + [0.5] * features.shape[1]) if towards is None else np.asarray(towards)

    def loss(w):
        margin = y * (x @ w)
        slope = -y * weight / (1 + np.exp(np.clip(margin, -30, 30)))
        extra = SHRINK / len(y) * (w - towards)
        return float((weight * np.logaddexp(0, -margin)).sum() + extra @ (w - towards) / 2), x.T @ slope + extra

    return minimize(loss, towards, jac=True, bounds=[(None, None)] + [(0.02, None)] * features.shape[1]).x


def best_windows(row, scores, rows):
    """For each row the window with the highest score."""
    order = np.lexsort((scores, row))
    last = np.flatnonzero(np.diff(np.append(row[order], -1)) != 0)
    out = np.full(rows, -1)
    out[row[order][last]] = order[last]
    return out


def calibrate(parts, plain=False):
    """`parts`: (row, speaker, stage 1, stage 2, labels of rows) for files whose rows were not trained on.

    With `plain`, both stages count the same for every speaker: one slope and one bias, too few numbers to fit noise.
    Windows are chosen by the sum of both logits; the fit is repeated with the windows that the fit itself chooses."""
    features, labels, speakers = [], [], []
    weights = np.array([0.0, 0.5, 0.5])
    for _ in range(3):
        features, labels, speakers = [], [], []
        for row, speaker, first, second, label in parts:
            best = best_windows(row, weights[1] * first + weights[2] * second, len(label))
            have = best >= 0
            features.append(np.column_stack([first[best[have]], second[best[have]]]))
            labels.append(np.asarray(label)[have].astype(bool))
            speakers.append(speaker[best[have]])
        x, y, who = np.concatenate(features), np.concatenate(labels), np.concatenate(speakers)
        if plain:
            bias, slope = fit(x.sum(1, keepdims=True), y)
            weights = np.array([bias, slope, slope])
        else:
            weights = fit(x, y)
    alone = fit(x[:, :1], y)
    table = []
    for n in range(1, len(CHANNELS) + 1):
        mine = who == n
        own = min(y[mine].sum(), (~y[mine]).sum()) >= ENOUGH
        both = fit(x[mine], y[mine], weights) if own and not plain else weights
        first = fit(x[mine, :1], y[mine], alone) if own else alone
        table.append({"both": both, "stage1": first, "long": (0.0, 0.0)})
    return table


FEW_WINDOWS, MANY_WINDOWS = 4, 128


def doublings(row, rows):
    """For each window how often its text doubles the few windows that cost nothing, as `model/src/compact/calibration.rs` has it."""
    windows = np.clip(np.bincount(row, minlength=rows), FEW_WINDOWS, MANY_WINDOWS)
    whole = np.floor(np.log2(windows)).astype(int)
    return (whole - int(np.log2(FEW_WINDOWS)) + windows / 2.0**whole - 1)[row]


def combined(table, speaker, first, second, longer=0.0):
    """`longer`: what `doublings` says. A text of many windows has many chances, so each of them counts for less."""
    both = np.array([t["both"] for t in table])[speaker - 1]
    long = np.array([t["long"][1] for t in table])[speaker - 1]
    return both[:, 0] + both[:, 1] * first + both[:, 2] * second - long * longer


def threshold(scores, labels, budget=BUDGET):
    """One threshold for all speakers: the combination is the same for all of them, and a score is how far a text is above the
    threshold. With thresholds of their own the same evidence would be worth less in what a tool gives back."""
    scores, labels = np.asarray(scores), np.asarray(labels)
    return threshold_at(scores[labels == 0], budget)
