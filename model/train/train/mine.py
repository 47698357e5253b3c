"""More to learn where a trained model is wrong: rows that the mixture left out and stage 1 gets wrong, long harmless documents
and the windows of them that look worst, attacks within such documents, and attacks in many languages with harmless twins.

Stage 2 goes on from its weights with all that it still gets wrong and a part of the rest; stage 1 begins anew with everything.
"""

import argparse
from pathlib import Path

import numpy as np

from . import data, mutate, pack

WRONG = 0.2  # from so far off a row counts as not yet learned
EASY_ROWS = 18000  # of the mixture, of those that are learned
MINED_ATTACKS, EASY_MINED = 3500, 3000
IN_DOCUMENTS = 2500
PIECE = 2000  # characters of a document that stage 1 reads as a text of its own
LOUD_WINDOWS, LOUD_FROM = 2, -4.5
KINDS_OF_LANGUAGES = {"user": "direct_injection", "tool": "indirect_injection", "leak": "system_prompt_leak"}
LEAN = ("id", "text", "label", "kind", "channel", "lang", "source")


def languages(path):
    """Lines of language, label, what it is, and text."""
    out = []
    for line in Path(path).read_text(encoding="utf-8").splitlines():
        lang, label, what, text = line.split("\t")
        kind = KINDS_OF_LANGUAGES[what] if label == "1" else "hard_negative"
        channel = "tool" if what == "tool" else "user"
        out.append({"text": text, "label": int(label), "lang": lang, "channel": channel, "kind": kind, "source": "written_languages"})
    return out


def wrongness(rows, row, logits):
    """How far off each row is, by its most suspicious window. Windows without a logit do not count."""
    known = ~np.isnan(logits)
    best = pack.row_scores(row[known], logits[known].astype(float), len(rows))
    return np.abs(np.array([r["label"] for r in rows]) - 1 / (1 + np.exp(-best)))


def lean(row, **changes):
    return {**{k: row[k] for k in LEAN if k in row}, "weight": 1.0, **changes}


def loud_windows(rows, row, logits, spans):
    """The windows of long harmless texts that stage 1 thinks most of, as texts of their own."""
    first = np.searchsorted(row, np.arange(len(rows) + 1))
    for i, one in enumerate(rows):
        own = np.arange(first[i], first[i + 1])
        if one["label"] or len(own) < 4:
            continue
        raw = one["text"].encode("utf-8", "replace")
        for w in own[np.argsort(-logits[own])[:LOUD_WINDOWS]]:
            if logits[w] >= LOUD_FROM:
                yield lean(one, text=raw[spans[w, 0] : spans[w, 1]].decode("utf-8", "replace"), how="window")


def more_rows(pool, documents, written, attacks, harmless, scored, rng):
    """`scored`: row, stage 1's logits and spans of the windows of `pool + documents`."""
    pick = lambda group: group[rng.integers(len(group))]
    row, logits, spans = scored
    everything = pool + documents
    wrong = wrongness(everything, row, logits)[: len(pool)]
    labels = np.array([r["label"] for r in pool])
    out = [lean(pool[i], how="mined") for i in np.flatnonzero((wrong > WRONG) & (labels == 0))]
    out += [lean(pool[i], how="mined") for i in rng.permutation(np.flatnonzero((wrong > WRONG) & (labels == 1)))[:MINED_ATTACKS]]
    out += [lean(pool[i], how="mined") for i in rng.permutation(np.flatnonzero(wrong <= WRONG))[:EASY_MINED]]
    out += loud_windows(everything, row, logits, spans)

    def within(one, low, high, **changes):
        text = mutate.buried(one["text"], pick(documents)["text"], rng, int(np.exp(rng.uniform(low, high))))
        kind = "indirect_injection" if one["label"] else "benign"
        return lean(one, text=mutate.shell(text, rng) if rng.random() < 0.3 else text, kind=kind, channel=pick(["tool", "tool", "document"]), **changes)

    for one in written:
        twins = [other for other in written if other["lang"] == one["lang"] and not other["label"]]
        out.append(lean(one, how="as is", weight=1.5))
        out.append(lean(one, text=mutate.mutate(one["text"], rng), how="mutated"))
        out.append(lean(one, text=f"{one['text']} {pick(twins)['text']}", how="joined"))
        out.append(within(one, 4.5, 6.6, how="carrier"))
    for _ in range(IN_DOCUMENTS):
        out.append(within(pick(attacks), 4.6, 6.8, how="in document", source="in_document"))
        if rng.random() < 0.6:
            out.append(within(pick(harmless), 4.6, 6.8, how="in document", source="in_document"))
    return out


def for_stage_2(mixture, wrong, more, rng):
    """All that is not learned yet, a part of the rest, and what is new. `at` says where a row stood in the mixture."""
    hard, easy = np.flatnonzero(wrong > WRONG), rng.permutation(np.flatnonzero(wrong <= WRONG))[:EASY_ROWS]
    out = []
    for i in np.sort(np.concatenate([hard, easy])):
        row = {**mixture[i], "at": int(i)}
        # What is wholly wrong after so many passes is rather labelled wrongly, unless it was written one by one.
        if wrong[i] > 0.9 and not row["source"].startswith("written"):
            row["weight"] = row.get("weight", 1.0) * 0.5
        out.append(row)
    out += more
    return [out[i] for i in rng.permutation(len(out))]


def for_stage_1(mixture, documents, more, rng):
    """The mixture as it is, so that its lessons still fit, then what is new; documents in pieces."""
    new = [{**r, "weight": 0.6} if r["how"] == "mined" and r["label"] else r for r in more]
    for row in documents:
        text = row["text"]
        new += [lean(row, text=text[at : at + PIECE], how="piece") for at in range(0, len(text), PIECE) if len(text) - at > 300]
    return mixture + [new[i] for i in rng.permutation(len(new))]


def main(arguments):
    options = argparse.ArgumentParser()
    options.add_argument("--mixture", required=True)
    options.add_argument("--student-logits", required=True, help="attack logit of each window of the mixture's dump, NaN where not read")
    options.add_argument("--mixture-rows", required=True, help="row.u32 of the mixture's dump")
    options.add_argument("--pool", required=True, help="rows that the mixture left out")
    options.add_argument("--documents", required=True, help="long harmless texts, same schema")
    options.add_argument("--languages", required=True)
    options.add_argument("--without", nargs="*", default=[], help="languages to judge by")
    options.add_argument("--scored", required=True, help="`features score --first-only` of pool, then documents")
    options.add_argument("--out", required=True)
    o = options.parse_args(arguments)
    rng, out = np.random.default_rng(51), Path(o.out)
    mixture, pool, documents = data.read_rows(o.mixture), data.read_rows(o.pool), data.read_rows(o.documents)
    folder = Path(o.scored)
    scored = (
        np.fromfile(folder / "row.u32", np.uint32).astype(np.int64),
        np.fromfile(folder / "first.f32", np.float32).reshape(-1, 4)[:, 0],
        np.fromfile(folder / "span.u32", np.uint32).reshape(-1, 2),
    )
    written = [row for row in languages(o.languages) if row["lang"] not in o.without]
    short = [r for r in mixture if len(r["text"]) < 450 and (r["source"].startswith("written") or r["source"].startswith("own_"))]
    attacks = [r for r in short if r["label"] and r["channel"] in ("user", "tool")]
    harmless = [r for r in short if not r["label"] and r["source"].startswith("written")]
    more = more_rows(pool, documents, written, attacks, harmless, scored, rng)
    wrong = wrongness(mixture, np.fromfile(o.mixture_rows, np.uint32).astype(np.int64), np.load(o.student_logits))
    data.write_rows(out / "stage-2.jsonl", for_stage_2(mixture, wrong, more, rng))
    data.write_rows(out / "stage-1.jsonl", for_stage_1(mixture, documents, more, rng))
    print(f"{len(more)} rows more, {int((wrong > WRONG).sum())} of the mixture not learned yet")


if __name__ == "__main__":
    import sys

    main(sys.argv[1:])
