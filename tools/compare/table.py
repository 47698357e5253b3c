#!/usr/bin/env python3
"""Reports of `sentinel eval --json` and of the scripts here as one table: python table.py NAME=FILE.json NAME=FILE.json …

Without NAME= the name of the file is taken.
"""

import json
import pathlib
import sys


def percent(ratio):
    return "–" if ratio is None else f"{ratio * 100:.1f}"


def main():
    reports = {}
    for argument in sys.argv[1:]:
        name, _, path = argument.rpartition("=")
        reports[name or pathlib.Path(path).stem] = json.loads(pathlib.Path(path).read_text())
    lines = {name: {line["entity"]: line for line in report["entities"]} for name, report in reports.items()}
    labels = {entity: line["labels"] for by in lines.values() for entity, line in by.items()}
    # What has no label is counted in the last line.
    order = sorted(labels, key=lambda entity: (entity == "overall", -labels[entity], entity))
    print("| entity | labels | " + " | ".join(f"{name}: precision | recall" for name in reports) + " |")
    print("|---|---:|" + "---:|---:|" * len(reports))
    for entity in order:
        if labels[entity]:
            found = [by.get(entity, {"precision": None, "recall": None}) for by in lines.values()]
            cells = [f"{percent(line['precision'])} | {percent(line['recall'])}" for line in found]
            print(f"| {entity} | {labels[entity]} | " + " | ".join(cells) + " |")
    for name, report in reports.items():
        clean, hit = report["rows_without_labels"], report["rows_without_labels_hit"]
        print(f"\n{name}: something found in {hit} of {clean} texts without labels", end="")
        if report.get("rows_without_spans"):
            whole, hit = report["rows_without_spans"], report["rows_without_spans_hit"]
            print(f", and in {hit} of {whole} that are labelled as a whole", end="")
        print(".")


if __name__ == "__main__":
    main()
