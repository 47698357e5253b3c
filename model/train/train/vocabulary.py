"""The student's pieces: those of the pretrained vocabulary that the words of the data use, so that their vectors can be
inherited, and whole words of other scripts by frequency."""

from collections import Counter

import numpy as np
from tokenizers import Tokenizer

from . import minilm
from .features import FIRST_PIECE


def read_counts(path):
    with open(path, encoding="utf-8", newline="\n") as lines:
        for line in lines:
            word, _, rest = line.rstrip("\n").partition("\t")
            counts = rest.split("\t")
            if word and counts[0].isdigit():
                yield word, int(counts[0]), int(counts[1]) if len(counts) > 1 else int(counts[0])


def choose(counts, size):
    """Pieces by how many rows need them. A word counts for every piece it is made of."""
    known = Tokenizer.from_file(str(minilm.folder() / "tokenizer.json"))
    known.no_truncation()
    known.no_padding()
    special = {"[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"}
    uses = Counter()
    for word, _, rows in counts:
        if len(word) > 40:
            continue
        pieces = known.encode(word, add_special_tokens=False).tokens
        if any(p in special for p in pieces):
            # No piece of the pretrained vocabulary: the word's own characters.
            pieces = [c if i == 0 else "##" + c for i, c in enumerate(word)]
        for piece in pieces:
            uses[piece] += rows ** 0.75
    fits = lambda p: len(p.encode()) <= 32 and "\n" not in p and "\t" not in p and p.removeprefix("##")
    return [p for p, _ in uses.most_common() if fits(p)][:size]


def vectors(pieces, width, seed=1):
    """Start of the embedding table: the pretrained vectors on their first principal axes. [272 + pieces, width]"""
    table = minilm.pretrained().words.weight.detach().numpy().astype(np.float64)
    ids = Tokenizer.from_file(str(minilm.folder() / "tokenizer.json")).get_vocab()
    used = table[[ids[p] for p in pieces if p in ids]]
    centre = used.mean(0)
    _, _, axes = np.linalg.svd(used - centre, full_matrices=False)
    small = lambda rows: (rows - centre) @ axes[:width].T
    scale = 1 / small(used).std()
    out = np.random.default_rng(seed).normal(0, 0.3, (FIRST_PIECE + len(pieces), width))
    for i, piece in enumerate(pieces):
        if piece in ids:
            out[FIRST_PIECE + i] = small(table[ids[piece]]) * scale
    for byte in range(128):
        if chr(byte).lower() in ids:
            out[16 + byte] = small(table[ids[chr(byte).lower()]]) * scale
    for speaker, word in enumerate(["user", "tool", "system", "response", "document"], 1):
        out[speaker] = small(table[ids[word]]) * scale
    return out.astype(np.float32)
