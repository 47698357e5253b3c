"""Rows of the small grammars in `written/*.grammar`, harmless sentences in disguise, and orders to the model in documents with
twins: the same document without an order, and with a sentence to people instead.

A grammar has lists (`== name`), rows (`== rows LABEL CHANNEL KIND LANGUAGE COUNT`, or `all` for each of them once) and documents with a place for a sentence
(`== twins CHANNEL COUNT`). In a template `{name}` is one of a list, `<<a|b>>` one of these, and `\\<`, `\\>`, `\\n` are what they say.
"""

import argparse
import base64
import codecs
import re
import urllib.parse
from pathlib import Path

import numpy as np

from . import data, mutate

TRIES = 40
AFTER_COMMA = re.compile(r"^([A-Z][^.:?!]{3,40}, )([A-Z])(?=[a-z])")  # an order that begins like an order, after an opening
HELD_OUT = 0.1  # share of templates that are kept out, to judge by
LOOKALIKES = str.maketrans("aceopxyikABCEHKMOPTX", "асеорхуікАВСЕНКМОРТХ")
DIGITS = str.maketrans("aeiostAEIOST", "431057431057")
NEAR = 0.8
IN_CARRIERS, TWINS_IN_CARRIERS = 1400, 0.8
DISGUISED_HARMLESS, DISGUISED_ATTACKS = 1600, 500


class Grammar:
    def __init__(self, paths, rng):
        self.lists, self.rows, self.twins, self.rng = {}, [], [], rng
        for path in paths:
            current = None
            for line in Path(path).read_text(encoding="utf-8").splitlines():
                if line.startswith("== "):
                    name, *rest = line[3:].split(" ")
                    current = []
                    if name == "rows":
                        self.rows.append((Path(path).stem, rest, current))
                    elif name == "twins":
                        self.twins.append((Path(path).stem, rest, current))
                    else:
                        self.lists[name] = current
                elif current is not None and line:
                    current.append(line)

    def pick(self, group):
        return group[self.rng.integers(len(group))]

    def sentence(self, name):
        return AFTER_COMMA.sub(lambda found: found[1] + found[2].lower(), self.fill(self.pick(self.lists[name])))

    def fill(self, template, **given):
        """`given` are sentences that are finished already."""
        text = re.sub(r"<<(?!<)(.+?)>>", lambda found: self.pick(found[1].split("|")), template.replace("\\<", "\x01").replace("\\>", "\x02"))
        text = re.sub(r"\{([a-z_]+)\}", lambda found: given[found[1]]() if found[1] in given else self.fill(self.pick(self.lists[found[1]])) if found[1] in self.lists else found[0], text)
        return text.replace("\x01", "<").replace("\x02", ">").replace("\\n", "\n").replace('\\"', '"')


def held_out(template):
    return data.draw(6, template) < HELD_OUT


def of_templates(grammar, seen):
    for stem, (label, channel, kind, lang, count), templates in grammar.rows:
        made, tries, each = 0, 0, count == "all"
        count = len(templates) if each else int(count)
        while made < count and tries < count * TRIES:
            template, tries = templates[tries % count] if each else grammar.pick(templates), tries + 1
            codings = [c for c in CODINGS if c is not apart]
            coded = lambda: grammar.pick(codings)(grammar.fill(grammar.pick(grammar.lists["plain"])), grammar.rng)
            text = grammar.fill(template, coded=coded)
            if text not in seen:
                seen.add(text)
                made += 1
                yield {"text": text, "label": int(label), "channel": channel, "kind": kind, "lang": lang, "source": f"written_{stem}", "held": held_out(template)}


def of_documents(grammar, seen):
    """Three of each: with an order, with a sentence to people, with neither."""
    for stem, (channel, count), templates in grammar.twins:
        for _ in range(int(count)):
            template = grammar.fill(grammar.pick(templates), insert=lambda: "\x03", doc=lambda: grammar.pick(grammar.lists["doc"]))
            form = grammar.pick(grammar.lists["doc"])
            whole = grammar.fill(form, insert=lambda: "\x03") if "\x03" not in template else template
            quote = (lambda t: t.replace('"', '\\"').replace("\n", "\\n")) if whole.lstrip().startswith(("{", "[{")) else (lambda t: t)
            for label, name in ((1, "order"), (0, "person"), (0, "fact")):
                text = whole.replace("\x03", quote(grammar.sentence(name) if label else grammar.fill(grammar.pick(grammar.lists[name]))))
                if text not in seen:
                    seen.add(text)
                    kind = "indirect_injection" if label else "benign"
                    yield {"text": text, "label": label, "channel": grammar.pick([channel, channel, channel, "document"]), "kind": kind, "lang": "en", "source": f"written_{stem}", "held": held_out(form)}


def of_carriers(grammar, carriers):
    """Orders in texts that other people wrote, and sentences to people in the same ones."""
    for _ in range(IN_CARRIERS):
        carrier, most = grammar.pick(carriers)["text"], int(np.exp(grammar.rng.uniform(4.6, 7.2)))
        state = grammar.rng.bit_generator.state
        for label, name in ((1, "order"), (0, "person")):
            if not label and grammar.rng.random() > TWINS_IN_CARRIERS:
                continue
            sentence = grammar.sentence(name) if label else grammar.fill(grammar.pick(grammar.lists[name]))
            grammar.rng.bit_generator.state, after = state, grammar.rng.bit_generator.state
            text = mutate.buried(sentence, carrier, grammar.rng, most)
            text = mutate.shell(text, grammar.rng) if grammar.rng.random() < 0.2 else text
            grammar.rng.bit_generator.state = after
            kind = "indirect_injection" if label else "benign"
            yield {"text": text, "label": label, "channel": grammar.pick(["tool", "tool", "tool", "document"]), "kind": kind, "lang": "en", "source": "written_orders", "held": False}


def reversed_words(text, rng):
    return " ".join(text.split(" ")[::-1])


def apart(text, rng):
    return "   ".join(" ".join(word) for word in text.split())


def caesar(text, rng):
    by = int(rng.integers(1, 26))
    turn = lambda c: chr((ord(c) - base + by) % 26 + base) if c.isascii() and c.isalpha() and (base := 97 if c.islower() else 65) else c
    return "".join(map(turn, text))


def atbash(text, rng):
    return "".join(chr(219 - ord(c)) if "a" <= c <= "z" else chr(155 - ord(c)) if "A" <= c <= "Z" else c for c in text)


CODINGS = [
    lambda t, rng: codecs.encode(t, "rot13"), lambda t, rng: codecs.encode(t, "rot13"),
    lambda t, rng: t[::-1], lambda t, rng: t[::-1],
    apart, apart, lambda t, rng: "-".join(t), lambda t, rng: ".".join(t.replace(" ", "_")),
    lambda t, rng: t.translate(LOOKALIKES), lambda t, rng: t.translate(LOOKALIKES),
    lambda t, rng: t.translate(DIGITS), lambda t, rng: mutate.leet(t, rng, 0.7),
    lambda t, rng: base64.b64encode(t.encode()).decode(), lambda t, rng: t.encode().hex(),
    lambda t, rng: t.encode().hex(" "), lambda t, rng: urllib.parse.quote(t), lambda t, rng: " ".join(f"{b:08b}" for b in t.encode()[:60]),
    caesar, atbash, reversed_words, lambda t, rng: " ".join(w[::-1] for w in t.split(" ")),
    lambda t, rng: "".join(c.upper() if i % 2 else c.lower() for i, c in enumerate(t)),
]


def of_disguises(grammar, harmless, attacks):
    for label, rows, count in ((0, harmless, DISGUISED_HARMLESS), (1, attacks, DISGUISED_ATTACKS)):
        for _ in range(count):
            row = grammar.pick(rows)
            text = row["text"] if label or grammar.rng.random() < 0.8 else grammar.fill(grammar.pick(grammar.lists["plain"]))
            yield {"text": grammar.pick(CODINGS)(text, grammar.rng), "label": label, "channel": "user", "kind": "obfuscated" if label else "hard_negative", "lang": "en", "source": "written_disguises", "held": False}


def main(arguments):
    options = argparse.ArgumentParser()
    options.add_argument("--written", required=True, help="folder of *.grammar")
    options.add_argument("--mixture", required=True, help="training rows, whose texts are disguised")
    options.add_argument("--documents", required=True, help="harmless texts that orders are put into")
    options.add_argument("--dev", help="rows that nothing may be near to")
    options.add_argument("--seed", type=int, default=61)
    options.add_argument("--out", required=True)
    o = options.parse_args(arguments)
    grammar, seen = Grammar(sorted(Path(o.written).glob("*.grammar")), np.random.default_rng(o.seed)), set()
    mixture, documents = data.read_rows(o.mixture), data.read_rows(o.documents)
    usual = [r for r in mixture if r["channel"] == "user" and r.get("lang", "en") == "en" and 25 <= len(r["text"]) <= 500 and r.get("how", "as is") == "as is"]
    harmless = [r for r in usual if not r["label"] and r["kind"] == "benign"]
    attacks = [r for r in usual if r["label"] and r["kind"] in ("direct_injection", "jailbreak", "system_prompt_leak")]
    carriers = [r for r in documents if not r["label"] and r["channel"] in ("tool", "document") and len(r["text"]) > 200]
    rows = [*of_templates(grammar, seen), *of_documents(grammar, seen), *of_carriers(grammar, carriers), *of_disguises(grammar, harmless, attacks)]
    if o.dev:
        texts, dev = [data.plain(r["text"]) for r in rows], [data.plain(r["text"]) for r in data.read_rows(o.dev)]
        known = set(dev)
        rows = [r for r, t, near in zip(rows, texts, data.similarity(texts, dev)) if near < NEAR and t not in known]
    for number, row in enumerate(rows):
        row["id"] = f"g{number}"
    out = Path(o.out)
    data.write_rows(out / "written.jsonl", [r for r in rows if not r["held"]])
    data.write_rows(out / "written_held_out.jsonl", [r for r in rows if r["held"]])
    print(f"{len(rows)} rows, {sum(r['label'] for r in rows)} attacks, {sum(r['held'] for r in rows)} held out")


if __name__ == "__main__":
    import sys

    main(sys.argv[1:])
