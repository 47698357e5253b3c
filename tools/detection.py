#!/usr/bin/env python3
"""Tables about the rules against attacks, in Markdown, as they stand in docs/detection.md.

    tools/detection.py --sentinel target/release/sentinel --data dev.jsonl

The data are JSON lines with `text`, `label` (1 attack, 0 harmless), `channel`, `source` and `kind`. Nothing of a text goes
into the tables.
"""

import argparse
import json
import subprocess


def evaluate(args, by):
    command = [args.sentinel, "--json", "eval", "--detector", "patterns", "--level", "4", "--by", by, "--data", args.data]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def percent(part, whole):
    return "" if not whole else f"{100 * part / whole:.1f}" if whole < 1000 else f"{100 * part / whole:.2f}"


def levels(title, counts, rows, of):
    print(f"| {title} | rows | " + " | ".join(f"PL{n} tagged | PL{n} blocked" for n in range(1, 5)) + " |")
    print("|---|---:|" + "---:|---:|" * 4)
    for name, count in rows:
        cells = []
        for level in range(4):
            cells += [percent(counts(count, f"{of}_tagged")[level], count[of]), percent(counts(count, f"{of}_blocked")[level], count[of])]
        print(f"| {name} | {count[of]} | " + " | ".join(cells) + " |")
    print()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sentinel", required=True)
    parser.add_argument("--data", required=True)
    args = parser.parse_args()
    by_source, by_kind = evaluate(args, "source"), evaluate(args, "kind")
    total = by_source["total"]
    field = lambda count, name: count[name]
    print("### Attacks caught, in percent\n")
    attacks = [(name, count) for name, count in by_source["groups"].items() if count["attacks"]]
    levels("source", field, attacks + [("**all**", total)], "attacks")
    print("### Harmless texts hit, in percent\n")
    harmless = [(name, count) for name, count in by_source["groups"].items() if count["harmless"]]
    hit = [(name, count) for name, count in harmless if any(count["harmless_tagged"])]
    quiet = [(name, count) for name, count in harmless if not any(count["harmless_tagged"])]
    kinds = [(f"kind {name}", count) for name, count in by_kind["groups"].items() if count["harmless"]]
    levels("source", field, hit + kinds + [("**all**", total)], "harmless")
    rows = sum(count["harmless"] for _, count in quiet)
    print(f"Nothing at any level was found in the other {len(quiet)} sources, {rows} texts.\n")
    print("### What each rule saw\n")
    print("| rule | PL | attacks | harmless | alone | precision % |\n|---|---:|---:|---:|---:|---:|")
    seen = {rule: count for rule, count in by_source["rules"].items() if count["attacks"] + count["harmless"]}
    for rule, count in sorted(seen.items()):
        precision = percent(count["attacks"], count["attacks"] + count["harmless"])
        print(f"| `{rule}` | {count['level']} | {count['attacks']} | {count['harmless']} | {count['alone']} | {precision} |")
    print(f"\n{len(by_source['rules']) - len(seen)} rules saw nothing in these texts.")


if __name__ == "__main__":
    main()
