"""The encoder that runs inside the proxy: its form, its training on labels and on what the teacher says, its export."""

import argparse
import copy
import json
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from . import data, evaluate
from .features import LONGEST, Dump
from .teacher import highest, targets
from .vocabulary import vectors

WIDTH, LAYERS, HEADS, FFN = 128, 2, 4, 256
TAUGHT = 128  # width of the teacher's vector that the pooled state has to predict
LOST_WORDS = 0.08
WINDOWS_OF_ROW = 4
BESIDE_TEACHER = 0.4


class Layer(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.q, self.k, self.v, self.o = (nn.Linear(WIDTH, WIDTH) for _ in range(4))
        self.up, self.down = nn.Linear(WIDTH, FFN), nn.Linear(FFN, WIDTH)

    def forward(self, x, mask, drop):
        rows, length, _ = x.shape
        split = lambda t: t.view(rows, length, HEADS, WIDTH // HEADS).transpose(1, 2)
        a = self.norm1(x)
        seen = F.scaled_dot_product_attention(split(self.q(a)), split(self.k(a)), split(self.v(a)), attn_mask=mask)
        x = x + drop(self.o(seen.transpose(1, 2).reshape(rows, length, WIDTH)))
        return x + drop(self.down(F.relu(self.up(self.norm2(x)))))


class Student(nn.Module):
    def __init__(self, start):
        super().__init__()
        self.embed = nn.Embedding.from_pretrained(torch.from_numpy(start), freeze=False)
        self.position = nn.Parameter(torch.randn(LONGEST, WIDTH) * 0.02)
        self.layers = nn.ModuleList(Layer() for _ in range(LAYERS))
        self.norm = nn.LayerNorm(WIDTH)
        self.head = nn.Linear(2 * WIDTH, 4)
        self.guess = nn.Linear(2 * WIDTH, TAUGHT)  # used in training only
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, ids, lengths):
        real = torch.arange(ids.shape[1])[None, :] < lengths[:, None]
        mask = torch.where(real, 0.0, -1e4)[:, None, None, :]
        x = self.embed(ids)
        if self.training:
            lost = torch.rand(ids.shape) < LOST_WORDS
            lost[:, 0] = False
            x = torch.where(lost[:, :, None], 0.0, x)
        x = x + self.position[: ids.shape[1]]
        drop = lambda t: F.dropout(t, 0.1, self.training)
        for layer in self.layers:
            x = layer(x, mask, drop)
        x = self.norm(x)
        shown = real[:, :, None]
        pooled = torch.cat([(x * shown).sum(1) / shown.sum(1), torch.where(shown, x, -1e4).amax(1)], -1)
        return self.head(F.dropout(pooled, 0.1, self.training)), self.guess(pooled)


def windows_of(row, label, first, generator=None):
    """The windows of a row that are learned from: of an attack the first few, of a harmless text any two."""
    own = np.arange(first[row], first[row + 1])
    if label:
        return own[:WINDOWS_OF_ROW]
    if len(own) <= 2:
        return own
    generator = np.random.default_rng(int(row)) if generator is None else generator
    return np.sort(generator.choice(own, 2, replace=False))


def batches(dump, chosen, order, windows, generator):
    """Rows of like length together. `chosen`: row -> its windows."""
    longest = np.array([dump.lengths[chosen[r]].max() for r in order])
    for at in range(0, len(order), 4096):
        chunk = order[at : at + 4096][np.argsort(longest[at : at + 4096], kind="stable")]
        made, which, owner, picked = [], [], [], []
        for row in chunk:
            which += list(chosen[row])
            owner += [len(picked)] * len(chosen[row])
            picked.append(row)
            if len(which) >= windows:
                made.append((np.array(picked), np.array(which), np.array(owner)))
                which, owner, picked = [], [], []
        if picked:
            made.append((np.array(picked), np.array(which), np.array(owner)))
        for i in generator.permutation(len(made)):
            yield made[i]


@torch.no_grad()
def run(model, dump, windows=256):
    model.eval()
    order = np.argsort(dump.lengths, kind="stable")
    out = np.zeros((dump.count, 4), np.float32)
    for at in range(0, len(order), windows):
        which = order[at : at + windows]
        ids, lengths = dump.ids(which)
        out[which] = model(torch.from_numpy(ids), torch.from_numpy(lengths))[0].numpy()
    return out


def by_row(dump, logits):
    out = np.full((int(dump.index["rows"]), logits.shape[1]), -20.0, np.float32)
    np.maximum.at(out, np.asarray(dump.row), logits)
    return out


def train(dump, rows, pieces, taught, validation, out, epochs, rate, windows, seed, start=None, untaught=0, minutes=None):
    """`minutes`: the rate falls with time instead of with rows, and ends when they are over, `epochs` or not."""
    torch.manual_seed(seed)
    generator = np.random.default_rng(seed)
    first = dump.windows_of_rows()
    order = np.flatnonzero(np.diff(first) > 0)
    has = taught[2]
    if has.any():
        # With a teacher, what it was asked about (each row's windows are those that it saw), and as many others as wanted.
        heard = np.array([has[windows_of(r, rows[r]["label"], first)].all() for r in order])
        others = generator.permutation(order[~heard])[:untaught]
        order = np.concatenate([order[heard], others])
    else:
        others = order
    chosen = {r: windows_of(r, rows[r]["label"], first) for r in order}
    # Where no teacher was asked, more windows of long harmless texts: one loud window makes the whole text an alarm.
    for r in others:
        own = np.arange(first[r], first[r + 1])
        if not rows[r]["label"] and len(own) > 2:
            chosen[r] = np.sort(generator.choice(own, min(len(own), WINDOWS_OF_ROW), replace=False))
    print(f"{len(order)} rows, {sum(map(len, chosen.values()))} windows", flush=True)
    y, weight = targets(rows)
    model = Student(vectors(pieces, WIDTH))
    if start:
        model.load_state_dict(torch.load(start, weights_only=True))
    averaged = copy.deepcopy(model)
    table = [p for n, p in model.named_parameters() if n == "embed.weight"]
    rest = [p for n, p in model.named_parameters() if n != "embed.weight"]
    optimiser = torch.optim.AdamW(
        [{"params": table, "lr": rate * 0.5, "weight_decay": 0.0}, {"params": rest, "lr": rate, "weight_decay": 0.02}],
        betas=(0.9, 0.98), fused=True,
    )
    peaks = [g["lr"] for g in optimiser.param_groups]
    logits_t, vectors_t, has = taught
    step, started, used, total = 0, time.time(), 0, epochs * len(order)
    for epoch in range(epochs):
        seen = []
        for picked, which, owner in batches(dump, chosen, generator.permutation(order), windows, generator):
            share = used / total if minutes is None else (time.time() - started) / 60 / minutes
            if share >= 1:
                break
            for group, peak in zip(optimiser.param_groups, peaks):
                group["lr"] = peak * min(share / 0.05 + 0.02, (1.02 - share) / 0.95)
            model.train()
            ids, lengths = dump.ids(which)
            logits, guess = model(torch.from_numpy(ids), torch.from_numpy(lengths))
            hard = F.binary_cross_entropy_with_logits(
                highest(logits, owner, len(picked)), y[picked] * 0.97 + 0.015, reduction="none"
            ) * weight[picked]
            known = has[which]
            # Labels count less where the teacher says more.
            trust = torch.from_numpy(np.where(has[[chosen[r][0] for r in picked]], BESIDE_TEACHER, 1.0)).float()[:, None]
            loss = (hard * trust).sum() / len(picked)
            if known.any():
                at = torch.from_numpy(np.flatnonzero(known))
                soft = torch.sigmoid(torch.from_numpy(logits_t[which[known]]).float())
                told = F.binary_cross_entropy_with_logits(logits[at], soft, reduction="none") * torch.tensor([1.0, 0.3, 0.3, 0.3])
                near = 1 - F.cosine_similarity(guess[at], torch.from_numpy(vectors_t[which[known]]).float())
                loss = loss + told.sum() / len(which) + 0.5 * near.sum() / len(which)
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            step, used = step + 1, used + len(picked)
            keep = min(0.998, step / (step + 10))
            with torch.no_grad():
                for a, b in zip(averaged.parameters(), model.parameters()):
                    a.lerp_(b, 1 - keep)
            seen.append(float(loss.detach()))
            if step % 100 == 0:
                print(f"{step} epoch {epoch} loss {np.mean(seen[-100:]):.4f} {time.time() - started:.0f} s", flush=True)
                torch.save(averaged.state_dict(), out / "student.pt")
        torch.save(averaged.state_dict(), out / "student.pt")
        for name, (other, known_rows) in validation.items():
            scores = by_row(other, run(averaged, other))[:, 0]
            print(evaluate.line(f"epoch {epoch} {name}", evaluate.figures([r["label"] for r in known_rows], scores)), flush=True)
        if minutes is not None and time.time() - started >= 60 * minutes:
            break
    return averaged


def mean_of(paths, out):
    """The mean of students that went on from the same one: better than any of them, and as small."""
    states = [torch.load(p, weights_only=True) for p in paths]
    state = {name: torch.stack([s[name] for s in states]).mean(0) for name in states[0]}
    model = Student(state["embed.weight"].numpy())
    model.load_state_dict(state)
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    torch.save(state, out / "student.pt")
    (out / "shape.json").write_text(json.dumps(export(model, out / "pack")))


def export(model, folder):
    """Raw arrays in the form that the Rust tool packs."""
    folder.mkdir(parents=True, exist_ok=True)
    put = lambda name, t: t.detach().numpy().astype("<f4").tofile(folder / f"encoder.{name}.f32")
    put("embed", model.embed.weight)
    put("position", model.position)
    for n, layer in enumerate(model.layers):
        for norm in ("norm1", "norm2"):
            put(f"{n}.{norm}.gain", getattr(layer, norm).weight)
            put(f"{n}.{norm}.bias", getattr(layer, norm).bias)
        for part in ("q", "k", "v", "o", "up", "down"):
            put(f"{n}.{part}.weight", getattr(layer, part).weight)
            put(f"{n}.{part}.bias", getattr(layer, part).bias)
    put("norm.gain", model.norm.weight)
    put("norm.bias", model.norm.bias)
    put("head.weight", model.head.weight)
    put("head.bias", model.head.bias)
    return {"width": WIDTH, "layers": LAYERS, "heads": HEADS, "ffn": FFN}


def lessons(folder, count):
    """What the teacher said about windows of this dump: logits, vectors, and for which windows."""
    if folder is None:
        return np.zeros((count, 4), np.float32), np.zeros((count, TAUGHT), np.float16), np.zeros(count, bool)
    return tuple(np.load(Path(folder) / f"{n}.npy") for n in ("logits", "vectors", "known"))


def main(arguments):
    options = argparse.ArgumentParser()
    options.add_argument("--rows", required=True)
    options.add_argument("--dump", required=True)
    options.add_argument("--vocab", required=True)
    options.add_argument("--lessons")
    options.add_argument("--validation", nargs="*", default=[], help="NAME=ROWS=DUMP")
    options.add_argument("--out", required=True)
    options.add_argument("--epochs", type=int, default=4)
    options.add_argument("--rate", type=float, default=1e-3)
    options.add_argument("--windows", type=int, default=64)
    options.add_argument("--start", help="a trained student to go on from")
    options.add_argument("--untaught", type=int, default=0, help="rows that the teacher was not asked about, on their labels alone")
    options.add_argument("--minutes", type=float, help="end by the clock")
    options.add_argument("--seed", type=int, default=1)
    o = options.parse_args(arguments)
    out = Path(o.out)
    out.mkdir(parents=True, exist_ok=True)
    rows, dump = data.read_rows(o.rows), Dump(o.dump)
    pieces = Path(o.vocab).read_text(encoding="utf-8").split("\n")
    pieces = pieces[:-1] if pieces[-1] == "" else pieces
    validation = {}
    for entry in o.validation:
        name, path, folder = entry.split("=")
        validation[name] = (Dump(folder), data.read_rows(path))
    model = train(dump, rows, pieces, lessons(o.lessons, dump.count), validation, out, o.epochs, o.rate, o.windows, o.seed, o.start, o.untaught, o.minutes)
    shape = export(model, out / "pack")
    (out / "shape.json").write_text(json.dumps(shape))


if __name__ == "__main__":
    import sys

    main(sys.argv[1:])
