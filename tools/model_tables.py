#!/usr/bin/env python3
"""Tables about the model, in Markdown, as they stand in docs/detection.md.

    tools/model_tables.py --sentinel target/dist/sentinel --data dev.jsonl.zst [--model FILE]

The data are JSON lines with `text`, `label` (1 attack, 0 harmless), `channel`, `source`, `kind` and `lang`, packed or not.
Attacks are also buried in harmless texts of the same data, and attacks and harmless texts are disguised alike, drawn with a
fixed seed. Nothing of a text goes into the tables.
"""

import argparse
import base64
import codecs
import gzip
import json
import random
import subprocess
import tempfile
from pathlib import Path

SIZES = [512, 2048, 8192, 32768]
BURIED = 400
DISGUISED = 400

DIGITS = str.maketrans("aeiost", "431057")
CYRILLIC = str.maketrans("aceopxyACEHKMOPTX", "асеорхуАСЕНКМОРТХ")
WIDE = {code: code + 0xFEE0 for code in range(0x21, 0x7F)}


def evaluate(args, stage, data):
    command = [args.sentinel, "--json", "eval", "--stage", stage, "--data", str(data)]
    command += ["--model", args.model] if args.model else []
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def percent(share, digits=1):
    return "" if share is None else f"{100 * share:.{digits}f}"


def around(report, name):
    interval = report["intervals"].get(name)
    return f" ({percent(interval['low'])} to {percent(interval['high'])})" if interval else ""


def rows(path):
    data = Path(path).read_bytes()
    if data[:4] == b"\x28\xb5\x2f\xfd":
        data = subprocess.run(["zstd", "-dc", path], check=True, capture_output=True).stdout
    elif data[:2] == b"\x1f\x8b":
        data = gzip.decompress(data)
    return [json.loads(line) for line in data.decode().split("\n") if line.strip()]


def buried(all_rows, folder):
    """Attacks within harmless texts of each size, and those texts without them, one file a size."""
    chance = random.Random(20)
    attacks = [row for row in all_rows if row["label"] == 1 and len(row["text"]) <= 400 and row["channel"] == "tool"]
    attacks += [row for row in all_rows if row["label"] == 1 and len(row["text"]) <= 400 and row["channel"] == "user"]
    chance.shuffle(attacks)
    harmless = [row["text"] for row in all_rows if row["label"] == 0 and row["channel"] == "tool" and row["kind"] == "benign"]
    for size in SIZES:
        path = Path(folder) / f"buried-{size}.jsonl"
        with path.open("w") as file:
            for row in attacks[:BURIED]:
                carrier = ""
                while len(carrier) < size:
                    carrier += chance.choice(harmless) + "\n\n"
                carrier = carrier[:size]
                at = carrier.rfind(" ", 0, chance.randrange(1, size)) + 1
                whole = carrier[:at] + row["text"] + "\n" + carrier[at:]
                for text, label in ((whole, 1), (carrier, 0)):
                    print(json.dumps({"text": text, "label": label, "channel": "tool"}), file=file)
        yield size, path


def with_typos(text, chance):
    """One letter in twenty-five is left out, doubled or swapped with the next."""
    out = list(text)
    for at in range(len(out) - 1):
        if out[at].isalpha() and chance.random() < 0.04:
            out[at : at + 2] = chance.choice([[out[at + 1], out[at]], ["", out[at + 1]], [out[at] * 2, out[at + 1]]])
    return "".join(out)


def some_words(change):
    return lambda text, chance: " ".join(change(word) if chance.random() < 0.3 else word for word in text.split(" "))


DISGUISES = {
    "none": lambda text, chance: text,
    "typing errors": with_typos,
    "no signs between words": lambda text, chance: "".join(c for c in text if c.isalnum() or c.isspace()),
    "capitals": lambda text, chance: text.upper(),
    "digits for letters, in a third of the words": some_words(lambda word: word.translate(DIGITS)),
    "digits for letters, everywhere": lambda text, chance: text.translate(DIGITS),
    "Cyrillic letters for Latin ones": lambda text, chance: text.translate(CYRILLIC),
    "wide letters": lambda text, chance: text.translate(WIDE),
    "characters without a width": lambda text, chance: "\u200b".join(text),
    "letters apart": lambda text, chance: "   ".join(" ".join(word) for word in text.split()),
    "Unicode tags": lambda text, chance: "Hello." + "".join(chr(0xE0000 + ord(c)) for c in text if c.isascii()),
    "base64": lambda text, chance: base64.b64encode(text.encode()).decode(),
    "hexadecimal": lambda text, chance: text.encode().hex(),
    "rot13": lambda text, chance: codecs.encode(text, "rot13"),
    "in reverse": lambda text, chance: text[::-1],
}


def disguised(all_rows, folder):
    """English attacks and harmless texts of users, none of which is a disguise by itself, one file a disguise."""
    plain = [row for row in all_rows if row["channel"] == "user" and row["lang"] == "en" and 60 <= len(row["text"]) <= 600]
    drawn = []
    for label in (0, 1):
        kinds = ("benign", "direct_injection", "jailbreak", "system_prompt_leak")
        rows = [row for row in plain if row["label"] == label and row["kind"] in kinds]
        drawn += random.Random(21).sample(rows, min(DISGUISED, len(rows)))
    for idx, (name, disguise) in enumerate(DISGUISES.items()):
        path, chance = Path(folder) / f"disguised-{idx}.jsonl", random.Random(22)
        with path.open("w") as file:
            for row in drawn:
                print(json.dumps({**row, "text": disguise(row["text"], chance)}), file=file)
        yield name, path


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sentinel", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--model")
    args = parser.parse_args()
    reports = {stage: evaluate(args, stage, args.data) for stage in ("1", "2", "full")}
    print("### All together\n")
    print("| | stage 1 | both stages | all, rules included |\n|---|---:|---:|---:|")
    for name, label in [
        ("auc", "area under the curve"),
        ("average_precision", "average precision"),
        ("recall_at_1_percent", "attacks found where 1 % of harmless texts are hit"),
        ("recall_at_0_1_percent", "where 0.1 % are hit"),
        ("recall", "attacks found as shipped"),
        ("false_positives", "harmless texts hit as shipped"),
    ]:
        cells = [percent(report["overall"][name], 2) + around(report, name) for report in reports.values()]
        print(f"| {label}, % | " + " | ".join(cells) + " |")
    cost = reports["full"]["cost"]
    print(f"\nStage 2 looked at {percent(cost['second_stage_harmless_rows'])} % of the harmless texts.\n")
    for by in ("source", "kind", "channel", "language", "length"):
        print(f"### By {by}, as shipped, in percent\n")
        print(f"| {by} | attacks | found | blocked | harmless | hit | blocked |\n|---|---:|---:|---:|---:|---:|---:|")
        quiet = quiet_rows = 0
        for name, group in sorted(reports["full"]["by"][by].items()):
            attacks, harmless = group["attacks"], group["harmless"]
            if by == "language" and attacks + harmless < 50:
                continue
            if by == "source" and not attacks and not group["false_positives"]:
                quiet, quiet_rows = quiet + 1, quiet_rows + harmless
                continue
            share = lambda part, whole: percent(part / whole) if whole else ""
            print(
                f"| {name} | {attacks or ''} | {percent(group['recall'])} | {share(group['blocked_attacks'], attacks)} "
                f"| {harmless or ''} | {percent(group['false_positives'])} | {share(group['blocked_harmless'], harmless)} |"
            )
        if quiet:
            print(f"\nNothing was hit in the other {quiet} sources, {quiet_rows} texts.")
        print()
    print("### Buried in harmless text, in percent\n")
    print("| bytes around it | found | harmless texts of that size hit |\n|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as folder:
        for size, path in buried(rows(args.data), folder):
            overall = evaluate(args, "full", path)["overall"]
            print(f"| {size} | {percent(overall['recall'])} | {percent(overall['false_positives'])} |")

    print("\n### Disguised, in percent\n")
    print("| disguise | found | blocked | harmless in the same disguise: hit | blocked |\n|---|---:|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as folder:
        for name, path in disguised(rows(args.data), folder):
            report = evaluate(args, "full", path)
            overall, (group,) = report["overall"], report["by"]["channel"].values()
            print(
                f"| {name} | {percent(overall['recall'])} | {percent(group['blocked_attacks'] / overall['attacks'])} "
                f"| {percent(overall['false_positives'])} | {percent(group['blocked_harmless'] / overall['harmless'])} |"
            )


if __name__ == "__main__":
    main()
