"""What the teacher says about the student's windows: logits of four heads and the pooled vector on its main axes."""

import argparse
import time
from pathlib import Path

import numpy as np
import torch

from . import data, features, minilm, student
from .student import TAUGHT
from .teacher import choose


def load(path):
    model = minilm.pretrained()
    model.load_state_dict(torch.load(path, weights_only=True))
    return model.eval()


def main(arguments):
    options = argparse.ArgumentParser()
    options.add_argument("--teacher", required=True)
    options.add_argument("--rows", required=True)
    options.add_argument("--dump", required=True)
    options.add_argument("--out", required=True)
    options.add_argument("--count", type=int, default=30000, help="how many rows")
    options.add_argument("--minutes", type=float, default=1e9)
    options.add_argument("--before", help="earlier lessons of the same teacher, about a dump that this one begins with")
    options.add_argument("--seed", type=int, default=9)
    o = options.parse_args(arguments)
    out = Path(o.out)
    out.mkdir(parents=True, exist_ok=True)
    rows, dump = data.read_rows(o.rows), features.Dump(o.dump)
    model = load(o.teacher)
    first = dump.windows_of_rows()
    logits = np.zeros((dump.count, 4), np.float32)
    full = np.zeros((dump.count, minilm.WIDTH), np.float16)
    small = np.zeros((dump.count, TAUGHT), np.float16)
    known, earlier = np.zeros(dump.count, bool), np.zeros(dump.count, bool)
    centre = axes = None
    if o.before:
        before = {n: np.load(Path(o.before) / f"{n}.npy") for n in ("logits", "vectors", "known", "centre", "axes")}
        old = len(before["known"])
        logits[:old], small[:old], earlier[:old] = before["logits"], before["vectors"], before["known"]
        centre, axes = before["centre"], before["axes"]
    windows_of = lambda r: student.windows_of(r, rows[r]["label"], first)
    asked = np.array([r for r in range(len(rows)) if not earlier[windows_of(r)].all()])
    order = asked[choose([rows[r] for r in asked], o.count, seed=o.seed)]
    chosen = np.concatenate([windows_of(r) for r in order])
    print(f"{len(order)} rows, {len(chosen)} windows", flush=True)
    started = time.time()
    for at in range(0, len(chosen), 4000):
        which = np.sort(chosen[at : at + 4000])
        windows = minilm.Windows(features.texts(dump, rows, which), [rows[int(dump.row[w])]["channel"] for w in which], most=1)
        logits[which], full[which] = minilm.run(model, windows, pooled=True)
        known[which] = True
        print(f"{at + len(which)} windows {time.time() - started:.0f} s", flush=True)
        if (time.time() - started) / 60 > o.minutes:
            break
    seen = full[known].astype(np.float32)
    if axes is None:
        centre = seen.mean(0)
        axes = np.linalg.svd((seen - centre)[:20000], full_matrices=False)[2][:TAUGHT]
    small[known] = (seen - centre) @ axes.T
    for name, value in (("logits", logits), ("vectors", small), ("known", known | earlier), ("centre", centre), ("axes", axes)):
        np.save(out / f"{name}.npy", value)


if __name__ == "__main__":
    import sys

    main(sys.argv[1:])
