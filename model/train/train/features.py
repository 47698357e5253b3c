"""What the Rust tool dumped: windows of rows, their pieces and hashed features. Nothing here folds, splits or hashes."""

import json
from pathlib import Path

import numpy as np

DTYPES = {"u8": np.uint8, "u16": np.uint16, "u32": np.uint32, "u64": np.uint64}
FIRST_PIECE = 272
LONGEST = 128


class Dump:
    """`row[w]`, `span[w]`, `speaker[w]` of each window; `tokens[tokens_at[w]:tokens_at[w + 1]]` its ids."""

    def __init__(self, folder):
        folder = Path(folder)
        self.index = json.loads((folder / "index.json").read_text())
        for path in folder.iterdir():
            name, _, kind = path.name.partition(".")
            if kind in DTYPES and path.stat().st_size:
                setattr(self, name, np.memmap(path, DTYPES[kind], mode="r"))
        self.span = np.asarray(self.span).reshape(-1, 2)
        self.tokens_at = np.asarray(self.tokens_at).astype(np.int64)
        self.lengths = np.diff(self.tokens_at).astype(np.int64)
        self.count = len(self.lengths)

    def ids(self, which):
        """Ids of windows as a rectangle, padded with zeros, and their lengths."""
        lengths = self.lengths[which]
        out = np.zeros((len(which), int(lengths.max())), np.int64)
        for i, w in enumerate(which):
            out[i, : lengths[i]] = self.tokens[self.tokens_at[w] : self.tokens_at[w + 1]]
        return out, lengths

    def windows_of_rows(self):
        """`first[r]..first[r + 1]` are the windows of row r."""
        rows = int(self.index["rows"])
        return np.searchsorted(np.asarray(self.row), np.arange(rows + 1))


def texts(dump, rows, which=None):
    """The text that each window was cut from, in the row's own spelling."""
    which = range(dump.count) if which is None else which
    raw, at = None, -1
    out = []
    for w in which:
        row = int(dump.row[w])
        if row != at:
            raw, at = rows[row]["text"].encode("utf-8", "replace"), row
        begin, end = dump.span[w]
        out.append(raw[begin:end].decode("utf-8", "replace"))
    return out
