#!/usr/bin/env python3
"""Tables about the model, in Markdown, as they stand in docs/detection.md.

    tools/model_tables.py --sentinel target/dist/sentinel --data dev.jsonl.zst [--model FILE]

The data are JSON lines with `text`, `label` (1 attack, 0 harmless), `channel`, `source`, `kind` and `lang`, packed or not.
Attacks are also buried in harmless texts of the same data, drawn with a fixed seed. Nothing of a text goes into the tables.
"""

import argparse
import gzip
import json
import random
import subprocess
import tempfile
from pathlib import Path

SIZES = [512, 2048, 8192, 32768]
BURIED = 400


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


if __name__ == "__main__":
    main()
