"""Stage 1: a linear model over hashed features of windows, learned as the integer code will sum it."""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from . import data, evaluate
from .features import Dump
from .student import by_row, lessons
from .teacher import highest, targets

BITS = 18
WORDS = 65
LOST = 0.2  # share of features that a window loses in training: no single one may decide
KINDS = 255


def norms():
    """A window's sum is divided by the root of its words, so that a long window is not louder than a short one."""
    return 1 / np.sqrt(np.arange(WORDS, dtype=np.float32) + 4)


class Grams:
    """Features of windows as buckets, those of unwanted kinds left out."""

    def __init__(self, dump, kinds=KINDS):
        at = np.asarray(dump.ngrams_at).astype(np.int64)
        wanted = ((kinds >> np.arange(8)) & 1).astype(bool)[np.asarray(dump.kinds)]
        self.buckets = (np.asarray(dump.ngrams) & (2**BITS - 1)).astype(np.int32)[wanted]
        self.at = np.concatenate([[0], np.cumsum(wanted)])[at]
        self.norm = norms()[np.minimum(np.asarray(dump.words), WORDS - 1)]
        self.speaker = np.asarray(dump.speaker).astype(np.int64) - 1

    def batch(self, which, generator=None):
        parts = [self.buckets[self.at[w] : self.at[w + 1]] for w in which]
        sizes = np.array([len(p) for p in parts])
        offsets = np.concatenate([[0], np.cumsum(sizes)[:-1]])
        norm = np.repeat(self.norm[which], sizes).astype(np.float32)
        if generator is not None:
            norm *= (generator.random(len(norm)) > LOST) / (1 - LOST)
        return (
            torch.from_numpy(np.concatenate(parts).astype(np.int64)), torch.from_numpy(offsets),
            torch.from_numpy(norm), torch.from_numpy(self.speaker[which]),
        )


class Linear:
    def __init__(self):
        self.table = torch.zeros(2**BITS, 4, requires_grad=True)
        self.bias = torch.zeros(5, 4, requires_grad=True)

    def logits(self, buckets, offsets, norm, speaker):
        # EmbeddingBag's weights must have the table's type, and one number for each feature.
        return F.embedding_bag(buckets, self.table, offsets, mode="sum", per_sample_weights=norm) + self.bias[speaker]


@torch.no_grad()
def run(model, grams, count, size=4096):
    return np.concatenate([model.logits(*grams.batch(np.arange(at, min(at + size, count)))).numpy() for at in range(0, count, size)])


def train(dump, grams, rows, taught, epochs=6, rate=0.12, decay=1e-6, seed=1, size=400, told_weight=1.0, say=print):
    generator = np.random.default_rng(seed)
    first = dump.windows_of_rows()
    order = np.flatnonzero(np.diff(first) > 0)
    y, weight = targets(rows)
    logits_t, _, has = taught
    model = Linear()
    optimiser = torch.optim.Adagrad([model.table, model.bias], lr=rate, initial_accumulator_value=1e-8, weight_decay=decay)
    total, used = epochs * len(order), 0
    for epoch in range(epochs):
        seen = []
        shuffled = generator.permutation(order)
        for at in range(0, len(shuffled), size):
            picked = shuffled[at : at + size]
            for group in optimiser.param_groups:
                group["lr"] = rate * (1.02 - used / total)
            own = [np.arange(first[r], min(first[r + 1], first[r] + 8)) for r in picked]
            which, owner = np.concatenate(own), np.repeat(np.arange(len(picked)), [len(o) for o in own])
            logits = model.logits(*grams.batch(which, generator))
            hard = F.binary_cross_entropy_with_logits(highest(logits, owner, len(picked)), y[picked] * 0.98 + 0.01, reduction="none") * weight[picked]
            loss = hard.sum() / len(picked)
            known = has[which]
            if known.any():
                at_known = torch.from_numpy(np.flatnonzero(known))
                soft = torch.sigmoid(torch.from_numpy(logits_t[which[known]]).float())
                told = F.binary_cross_entropy_with_logits(logits[at_known], soft, reduction="none") * torch.tensor([1.0, 0.3, 0.3, 0.3])
                loss = loss + told_weight * told.sum() / len(which)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            used += len(picked)
            seen.append(float(loss.detach()))
        say(f"epoch {epoch} loss {np.mean(seen):.4f}", flush=True)
    return model


def export(model, folder):
    folder.mkdir(parents=True, exist_ok=True)
    table = model.table.detach().numpy()
    table.astype("<f4").tofile(folder / "ngrams.table.f32")
    model.bias.detach().numpy().astype("<f4").tofile(folder / "ngrams.bias.f32")
    norms().astype("<f4").tofile(folder / "ngrams.norm.f32")
    # A few features of great weight would cost all others their resolution.
    clip = [float(np.quantile(np.abs(table[:, h][table[:, h] != 0]), 0.9995)) for h in range(4)]
    return {"bits": BITS, "kinds": KINDS, "clip": clip}


def mean_of(before, after, share, out):
    """`share` of a new table and the rest of the one before: what both learned stays, and what only one did counts for less."""
    old, new = (torch.load(Path(path) / "ngrams.pt", weights_only=True) for path in (before, after))
    model = Linear()
    model.table, model.bias = (a * (1 - share) + b * share for a, b in zip(old, new))
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    torch.save((model.table, model.bias), out / "ngrams.pt")
    version = json.loads((Path(after) / "shape.json").read_text())["features_version"]
    (out / "shape.json").write_text(json.dumps({**export(model, out / "pack"), "features_version": version}))


def main(arguments):
    options = argparse.ArgumentParser()
    options.add_argument("--rows", required=True)
    options.add_argument("--dump", required=True)
    options.add_argument("--lessons")
    options.add_argument("--validation", nargs="*", default=[], help="NAME=ROWS=DUMP")
    options.add_argument("--out", required=True)
    options.add_argument("--epochs", type=int, default=6)
    options.add_argument("--rate", type=float, default=0.12)
    options.add_argument("--decay", type=float, default=1e-6)
    options.add_argument("--kinds", type=int, default=KINDS)
    o = options.parse_args(arguments)
    out = Path(o.out)
    out.mkdir(parents=True, exist_ok=True)
    started = time.time()
    rows, dump = data.read_rows(o.rows), Dump(o.dump)
    model = train(dump, Grams(dump, o.kinds), rows, lessons(o.lessons, dump.count), o.epochs, o.rate, o.decay)
    torch.save((model.table.detach(), model.bias.detach()), out / "ngrams.pt")
    for entry in o.validation:
        name, path, folder = entry.split("=")
        other, known = Dump(folder), data.read_rows(path)
        scores = by_row(other, run(model, Grams(other, o.kinds), other.count))[:, 0]
        np.save(out / f"{name}.npy", scores)
        print(evaluate.line(name, evaluate.figures([r["label"] for r in known], scores)), f"{time.time() - started:.0f} s", flush=True)
    (out / "shape.json").write_text(json.dumps({**export(model, out / "pack"), "features_version": dump.index["features_version"]}))


if __name__ == "__main__":
    import sys

    main(sys.argv[1:])
