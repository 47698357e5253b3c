"""The artefact of the third stage: the teacher's ONNX file, and in its metadata all that a program needs to ask it: the
vocabulary, what the tokenizer does with characters, and a card with the thresholds, set on dev by the file itself."""

import argparse
import hashlib
import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from tokenizers import Tokenizer

from . import calibrate, data, evaluate, minilm


def logits(path, windows, batch=8):
    """What the file says about windows; like lengths together."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    out = np.zeros((len(windows.lengths), len(data.HEADS)), np.float32)
    order = np.argsort(windows.lengths, kind="stable")
    for at in range(0, len(order), batch):
        which = order[at : at + batch]
        longest = windows.lengths[which].max()
        mask = (np.arange(longest)[None] < windows.lengths[which][:, None]).astype(np.int64)
        out[which] = session.run(None, {"ids": windows.ids[which, :longest].astype(np.int64), "mask": mask})[0]
    return out


def ranges(codes):
    out = []
    for code in codes:
        if out and out[-1][1] == code - 1:
            out[-1][1] = code
        else:
            out.append([code, code])
    return out


def characters(tokenizer):
    """What the tokenizer does with each character, found by trying all of them."""
    tables = {"dropped": [], "punctuation": [], "alone": []}
    for code in range(0x110000):
        if 0xD800 <= code < 0xE000:
            continue
        plain = tokenizer.normalizer.normalize_str(f"a{chr(code)}b")
        if plain == "ab":
            tables["dropped"].append(code)
        elif plain.startswith("a ") and len(plain) > 3:
            tables["alone"].append(code)
        if len(tokenizer.pre_tokenizer.pre_tokenize_str(f"a{chr(code)}b")) == 3:
            tables["punctuation"].append(code)
    return {name: ranges(codes) for name, codes in tables.items()}


def vocabulary(tokenizer):
    known = tokenizer.get_vocab()
    pieces = sorted(known, key=known.get)
    assert [known[p] for p in pieces] == list(range(len(pieces))) and not any("\n" in p for p in pieces)
    return "\n".join(pieces)


def card(dev, rows, scores):
    labels = np.array([r["label"] for r in rows])
    who = np.array([data.CHANNELS.index(r["channel"]) + 1 for r in rows])
    # A text counts from the threshold on, so it lies just above the last harmless row that may not.
    limits = [t + 1e-5 for t in calibrate.thresholds(who, scores, labels)]
    figures = evaluate.figures(labels, scores)
    return {
        "schema": "sentinel.deep/1",
        "heads": data.HEADS,
        "pieces": minilm.PIECES,
        "thresholds": dict(zip(data.CHANNELS, limits)),
        "figures": {
            "rows_sha256": hashlib.sha256(Path(dev).read_bytes()).hexdigest(),
            "rows": len(rows),
            "auc": figures["auc"],
            "recall_at_1_percent": figures["recall@1%"],
            "recall_at_0_1_percent": figures["recall@0.1%"],
        },
    }


def main(arguments):
    options = argparse.ArgumentParser()
    options.add_argument("--network", required=True, help="the teacher as ONNX")
    options.add_argument("--dev", required=True)
    options.add_argument("--scores", required=True, help="of dev by this network; made if they are not there")
    options.add_argument("--out", required=True)
    o = options.parse_args(arguments)
    rows = data.read_rows(o.dev)
    if not Path(o.scores).exists():
        windows = minilm.Windows([r["text"] for r in rows], [r["channel"] for r in rows])
        np.save(o.scores, minilm.by_row(windows, logits(o.network, windows), len(rows)))
    tokenizer = Tokenizer.from_file(str(minilm.folder() / "tokenizer.json"))
    notes = {
        "sentinel.card": card(o.dev, rows, np.load(o.scores)[:, 0]),
        "sentinel.characters": characters(tokenizer),
    }
    model = onnx.load(o.network)
    onnx.helper.set_model_props(model, {
        **{name: json.dumps(note, separators=(",", ":")) for name, note in notes.items()},
        "sentinel.vocabulary": vocabulary(tokenizer),
    })
    Path(o.out).write_bytes(model.SerializeToString())
    print(o.out, f"{Path(o.out).stat().st_size / 2**20:.1f} MiB", notes["sentinel.card"])


if __name__ == "__main__":
    import sys

    main(sys.argv[1:])
