"""Calibration, thresholds and the model card, and the folder that the Rust tool turns into the artefact."""

import argparse
import hashlib
import json
import shutil
import subprocess
from pathlib import Path

import numpy as np

from . import calibrate, data, evaluate, families
from .features import DTYPES

GREY_SHARE = 0.10  # share of harmless texts of which stage 2 reads a window
SHARES = (0.05, 0.10, 0.20, 0.27)  # what the card shows, so that the trade can be judged
WINDOWS = 2  # of a text that stage 2 reads at most, unless a policy says otherwise
GREY_SURE = 0.0005  # share of harmless texts that stage 1 may call attacks alone


def scored(folder):
    """What `features score` wrote: the integer kernels' logits of every window."""
    folder, out = Path(folder), {}
    out["row"] = np.fromfile(folder / "row.u32", DTYPES["u32"]).astype(np.int64)
    for name in ("first", "second"):
        out[name] = np.fromfile(folder / f"{name}.f32", np.float32).reshape(-1, 4)
    return out


def speakers(rows, row):
    number = {c: i + 1 for i, c in enumerate(data.CHANNELS)}
    return np.array([number.get(r["channel"], 1) for r in rows])[row]


def row_scores(row, values, rows):
    out = np.full(rows, -20.0)
    np.maximum.at(out, row, values)
    return out


def alone(table, who, first, longer=0.0):
    own = np.array([t["stage1"] for t in table])[who - 1]
    long = np.array([t["long"][0] for t in table])[who - 1]
    return own[:, 0] + own[:, 1] * first - long * longer


def cascade(table, row, who, first, second, grey, rows):
    """What ships: a window's score is that of both stages if stage 1 leaves it open and there is time, and stage 1's otherwise."""
    longer = calibrate.doublings(row, rows)
    by_itself = alone(table, who, first, longer)
    asked = most_suspicious(row, by_itself, (by_itself >= grey[0]) & (by_itself < grey[1]))
    return np.where(asked, calibrate.combined(table, who, first, second, longer), by_itself), asked


def most_suspicious(row, by_itself, is_open, windows=WINDOWS):
    """Those of the open windows that a text's time is enough for."""
    order = np.lexsort((-by_itself, ~is_open, row))
    start = np.flatnonzero(np.diff(np.append(-1, row[order])) != 0)
    place = np.arange(len(order)) - np.repeat(start, np.diff(np.append(start, len(order))))
    asked = np.zeros(len(order), bool)
    asked[order] = place < windows
    return asked & is_open


def grey_from(row, by_itself, labels, share, grey_to):
    """The lowest score of stage 1 that is asked about, so that `share` of the harmless texts have a window to ask about.

    Windows cost time on harmless traffic, so the band is chosen by what it costs there, and not by what it saves."""
    open_windows = by_itself < grey_to
    highest = row_scores(row[open_windows], by_itself[open_windows], len(labels))
    return float(np.quantile(highest[labels == 0], 1 - share))


def limits_of(table, rows, w, who, labels, share):
    """The cascade with a band that `share` of the harmless texts reach: its numbers, scores and thresholds."""
    first, second = w["first"][:, 0].astype(float), w["second"][:, 0].astype(float)
    by_itself = alone(table, who, first, calibrate.doublings(w["row"], len(rows)))
    sure = float(np.quantile(row_scores(w["row"], by_itself, len(rows))[labels == 0], 1 - GREY_SURE))
    band = [grey_from(w["row"], by_itself, labels, share, sure), sure]
    values, asked = cascade(table, w["row"], who, first, second, band, len(rows))
    whole = row_scores(w["row"], values, len(rows))
    channel = np.array([{c: i + 1 for i, c in enumerate(data.CHANNELS)}.get(r["channel"], 1) for r in rows])
    # A text at the threshold counts as an attack, and the filter's sums are shorter: so a little above the last that may not.
    limits = np.full(len(data.CHANNELS), calibrate.threshold(whole, labels) + 1e-5)
    reached = np.zeros(len(rows), bool)
    reached[w["row"][asked]] = True
    windows = np.bincount(w["row"][asked], minlength=len(rows))
    alarms = whole > limits[channel - 1]
    return {
        "band": band, "limits": limits, "scores": whole, "alarms": alarms, "alone": row_scores(w["row"], by_itself, len(rows)),
        "figures": {
            "harmless rows with a window in the band": float(reached[labels == 0].mean()),
            "windows of stage 2 for each harmless row": float(windows[labels == 0].mean()),
            "attack rows with a window in the band": float(reached[labels == 1].mean()),
            "attack rows below the band": float((row_scores(w["row"], by_itself, len(rows))[labels == 1] < band[0]).mean()),
            **evaluate.figures(labels, whole),
            "recall at the thresholds": float(alarms[labels == 1].mean()),
            "false positives at the thresholds": float(alarms[labels == 0].mean()),
        },
    }


def held_out_figures(table, rows, w, who, labels, ships):
    """Rows that nothing was trained on: each stage, both on all windows, and what would ship with its band and thresholds."""
    first, second = w["first"][:, 0].astype(float), w["second"][:, 0].astype(float)
    by_row = lambda values: row_scores(w["row"], values, len(rows))
    whole = by_row(cascade(table, w["row"], who, first, second, ships["band"], len(rows))[0])
    scores = {"stage 1": by_row(first), "stage 2": by_row(second), "both": by_row(calibrate.combined(table, who, first, second)), "cascade": whole}
    channel = np.array([{c: i + 1 for i, c in enumerate(data.CHANNELS)}.get(r["channel"], 1) for r in rows])
    alarms = whole > ships["limits"][channel - 1]
    means = {name: one["mean"] for name, one in families.table(rows, scores).items()}
    return {
        **{name: {**evaluate.figures(labels, s), "mean recall of families at 1%": means[name]} for name, s in scores.items()},
        "recall at the thresholds": float(alarms[labels == 1].mean()),
        "false positives at the thresholds": float(alarms[labels == 0].mean()),
    }


def digest(path):
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def main(arguments):
    options = argparse.ArgumentParser()
    options.add_argument("--tool", required=True, help="the features tool")
    options.add_argument("--ngrams", required=True)
    options.add_argument("--student", required=True)
    options.add_argument("--vocab", required=True)
    options.add_argument("--fit", help="rows that nothing was trained on, for the combination")
    options.add_argument("--combination", help="model.json whose combination is kept: then nothing is fitted, and `fit` is not needed")
    options.add_argument("--plain", action="store_true", help="both stages count the same")
    options.add_argument("--card", nargs="*", default=[], help="JSON files whose keys go into the card")
    options.add_argument("--long", type=float, nargs=2, default=(0.0, 0.0), help="what stage 1 and both lose with each doubling of a text's windows")
    options.add_argument("--share", type=float, default=GREY_SHARE)
    options.add_argument("--limits", required=True, help="rows that set the thresholds")
    options.add_argument("--data", nargs="*", default=[], help="files to name in the card, with their hashes")
    options.add_argument("--out", required=True)
    o = options.parse_args(arguments)
    out, folder = Path(o.out), Path(o.out) / "pack"
    folder.mkdir(parents=True, exist_ok=True)
    for source in (Path(o.ngrams) / "pack", Path(o.student) / "pack"):
        for path in source.glob("*.f32"):
            shutil.copy(path, folder / path.name)
    shutil.copy(o.vocab, folder / "vocab.txt")
    model = {
        "card": {},
        "ngrams": json.loads((Path(o.ngrams) / "shape.json").read_text()),
        "encoder": json.loads((Path(o.student) / "shape.json").read_text()),
        "calibration": [
            {"stage1": {"bias": 0.0, "slope": 1.0}, "both": {"bias": 0.0, "stage1": 0.5, "stage2": 0.5}, "grey": [-30.0, 30.0], "threshold": 0.0, "long": {"stage1": 0.0, "both": 0.0}}
        ] * 5,
    }
    tool = lambda *a: subprocess.run([o.tool, *map(str, a)], check=True)

    def write():
        (folder / "model.json").write_text(json.dumps(model, indent=1))
        tool("pack", folder, out / "sentinel.smdl")

    # Packed once as it is: what is calibrated are the numbers of the integer kernels, not of the networks.
    write()
    sets = {}
    for name, path in (("fit", o.fit), ("limits", o.limits)):
        if name == "fit" and o.combination:
            continue
        tool("score", out / "sentinel.smdl", path, out / f"scored_{name}")
        rows = data.read_rows(path)
        windows = scored(out / f"scored_{name}")
        sets[name] = (rows, windows, speakers(rows, windows["row"]), np.array([r["label"] for r in rows]))
    if o.combination:
        kept = json.loads(Path(o.combination).read_text())["calibration"]
        table = [{"both": [t["both"][k] for k in ("bias", "stage1", "stage2")], "stage1": [t["stage1"][k] for k in ("bias", "slope")], "long": (0.0, 0.0)} for t in kept]
    else:
        rows, w, who, labels = sets["fit"]
        table = calibrate.calibrate([(w["row"], who, w["first"][:, 0].astype(float), w["second"][:, 0].astype(float), labels)], o.plain)
    for entry in table:
        entry["long"] = o.long
    shown = {share: limits_of(table, *sets["limits"], share) for share in sorted({*SHARES, o.share})}
    ships = shown[o.share]
    model["calibration"] = [
        {
            "stage1": {"bias": float(t["stage1"][0]), "slope": float(t["stage1"][1])},
            "both": {"bias": float(t["both"][0]), "stage1": float(t["both"][1]), "stage2": float(t["both"][2])},
            "grey": ships["band"],
            "threshold": float(limit),
            "long": {"stage1": float(t["long"][0]), "both": float(t["long"][1])},
        }
        for t, limit in zip(table, ships["limits"])
    ]
    if not o.combination:
        (out / "held_out.json").write_text(json.dumps({"held out": held_out_figures(table, *sets["fit"], ships)}, indent=1))
    labels = sets["limits"][3]
    model["card"] = {
        "data": {Path(p).name: digest(p) for p in o.data},
        "budget": calibrate.BUDGET,
        f"{Path(o.limits).name.split('.')[0]} (not trained on; sets the thresholds and the band)": {"stage 1": evaluate.figures(labels, ships["alone"]), "cascade": ships["figures"]},
        "grey band, on the same rows": {f"{share:.0%}": one["figures"] for share, one in shown.items()},
    }
    for path in o.card:
        model["card"].update(json.loads(Path(path).read_text()))
    write()
    print(json.dumps({"card": model["card"], "calibration": model["calibration"]}, indent=1))


if __name__ == "__main__":
    import sys

    main(sys.argv[1:])
