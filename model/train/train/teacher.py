"""Fine-tuning of the pretrained encoder. It is the second opinion of the collector, and what the student learns from.

A row of several windows is scored by the highest of them, in training as well: an attack in a long document is in one
window only, and only that window learns from it. Of a harmless text every window is harmless, and one at random will do.
"""

import argparse
import copy
import time
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from . import data, evaluate, minilm

FROZEN = 2
WINDOWS_OF_ROW = 3
SMOOTHING = 0.03
DECAY_OF_LAYERS = 0.85
HEAD_RATE = 1e-3
WRITTEN_LIKELIER = 4.0


def batches(windows, rows, order, tokens):
    """Rows of like length together, and a bounded number of tokens in each batch."""
    generator = np.random.default_rng(len(order))
    first = np.searchsorted(windows.row, np.arange(len(rows) + 1))
    last = first[1:].copy()
    for i, row in enumerate(rows):
        if not row["label"]:
            first[i] += generator.integers(last[i] - first[i])
            last[i] = first[i] + 1
    longest = np.array([windows.lengths[a:b].max() for a, b in zip(first, last)])
    for at in range(0, len(order), 2048):
        chunk = order[at : at + 2048]
        chunk = chunk[np.argsort(longest[chunk], kind="stable")]
        cuts, count, widest = [[]], 0, 0
        for row in chunk:
            own = last[row] - first[row]
            if (count + own) * max(widest, longest[row]) > tokens and cuts[-1]:
                cuts.append([])
                count = widest = 0
            cuts[-1].append(row)
            count, widest = count + own, max(widest, longest[row])
        for i in np.random.default_rng(at).permutation(len(cuts)):
            picked = np.array(cuts[i])
            which = np.concatenate([np.arange(first[r], last[r]) for r in picked])
            yield picked, which, np.repeat(np.arange(len(picked)), last[picked] - first[picked])


def highest(logits, owner, rows):
    index = torch.from_numpy(owner)[:, None].expand_as(logits)
    return torch.full((rows, logits.shape[1]), -1e9).scatter_reduce(0, index, logits, "amax")


def choose(rows, count, seed):
    """`count` rows in random order; those that were written one by one are left out last."""
    likely = np.array([WRITTEN_LIKELIER if r["source"].startswith("written") else 1.0 for r in rows])
    return np.argsort(-np.log(np.random.default_rng(seed).random(len(rows))) / likely)[:count][np.random.default_rng(seed + 1).permutation(min(count, len(rows)))]


def targets(rows):
    pairs = [data.heads_of(r) for r in rows]
    y, known = (torch.tensor(np.array(p), dtype=torch.float32) for p in zip(*pairs))
    weight = torch.tensor([r.get("weight", 1.0) for r in rows], dtype=torch.float32)
    # The head that decides counts most; what kind of attack it is comes second.
    return y, known * weight[:, None] * torch.tensor([1.0, 0.25, 0.25, 0.25])


def groups(model, rate):
    out = [{"params": model.head.parameters(), "lr": HEAD_RATE, "weight_decay": 0.0}]
    for depth, layer in enumerate(reversed(model.layers[FROZEN:])):
        out.append({"params": layer.parameters(), "lr": rate * DECAY_OF_LAYERS**depth, "weight_decay": 0.01})
    return out


def train(rows, validation, out, rate, count, tokens, seed):
    torch.manual_seed(seed)
    out = Path(out)
    windows = minilm.Windows([r["text"] for r in rows], [r["channel"] for r in rows], most=WINDOWS_OF_ROW)
    order = choose(rows, count, seed)
    print(f"{len(rows)} rows, {len(order)} of them used, {windows.lengths.sum() / len(rows):.0f} tokens each", flush=True)
    y, weight = targets(rows)
    model = minilm.pretrained()
    averaged = copy.deepcopy(model)
    optimiser = torch.optim.AdamW(groups(model, rate), betas=(0.9, 0.98), fused=True)
    peaks = [g["lr"] for g in optimiser.param_groups]
    used = begun = step = 0
    started, losses, report = time.time(), [], 0
    for picked, which, owner in batches(windows, rows, order, tokens):
        share = used / len(order)
        for group, peak in zip(optimiser.param_groups, peaks):
            group["lr"] = peak * min(share / 0.06, (1.02 - share) / 0.94)
        model.train()
        with torch.autocast("cpu", torch.bfloat16):
            mean, peak = model.pooled(*windows.batch(which), frozen=FROZEN)
        features = F.dropout(torch.cat([mean, peak], -1).float(), 0.1)
        logits = highest(model.head(features), owner, len(picked))
        goal = y[picked] * (1 - SMOOTHING) + SMOOTHING / 2
        each = F.binary_cross_entropy_with_logits(logits, goal, reduction="none") * weight[picked]
        loss = each.sum() / len(picked)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        keep = min(0.995, step / (step + 10))
        with torch.no_grad():
            for a, b in zip(averaged.parameters(), model.parameters()):
                a.lerp_(b, 1 - keep)
        step, used = step + 1, used + len(picked)
        begun += int(windows.lengths[which].sum())
        losses.append(float(loss.detach()))
        if step % 20 == 0:
            print(f"{step} rows {used} loss {np.mean(losses[-50:]):.4f} {begun / (time.time() - started):.0f} tokens/s {time.time() - started:.0f} s", flush=True)
        if used * 4 // len(order) > report:
            report = used * 4 // len(order)
            torch.save(averaged.state_dict(), out / "teacher.pt")
            check(averaged, validation, f"validation at {report}/4")
    torch.save(averaged.state_dict(), out / "teacher.pt")
    check(averaged, validation, "validation")


def score(model, rows):
    windows = minilm.Windows([r["text"] for r in rows], [r["channel"] for r in rows])
    return minilm.by_row(windows, minilm.run(model, windows), len(rows))


def check(model, rows, name):
    if rows:
        scores = score(model, rows)[:, 0]
        print(evaluate.line(name, evaluate.figures([r["label"] for r in rows], scores)), flush=True)


def main(arguments):
    options = argparse.ArgumentParser()
    options.add_argument("--rows", required=True)
    options.add_argument("--validation")
    options.add_argument("--out", required=True)
    options.add_argument("--rate", type=float, default=1e-4)
    options.add_argument("--count", type=int, default=45000)
    options.add_argument("--tokens", type=int, default=4096)
    options.add_argument("--seed", type=int, default=1)
    o = options.parse_args(arguments)
    Path(o.out).mkdir(parents=True, exist_ok=True)
    validation = data.read_rows(o.validation)[::4] if o.validation else []
    train(data.read_rows(o.rows), validation, o.out, o.rate, o.count, o.tokens, o.seed)


if __name__ == "__main__":
    import sys

    main(sys.argv[1:])
