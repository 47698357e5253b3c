#!/usr/bin/env python3
"""detect-secrets on labelled texts: python with_detect_secrets.py --data FILE.jsonl[.zst]

All plugins that it turns on by default, on each text as a file, without asking services whether a secret works. As in
`sentinel eval`, one kind of secret that is found as another is found.
"""

import argparse
import json
import pathlib
import tempfile

from detect_secrets.core.scan import scan_file
from detect_secrets.settings import default_settings, get_settings

from labelled import Tally, rows

VERIFICATION = "detect_secrets.filters.common.is_ignored_due_to_verification_policies"


def finds(text, file):
    """Spans of what is found. A value that stands in a line more than once is found wherever it stands."""
    file.write_text(text, encoding="utf-8")
    lines, starts = text.split("\n"), [0]
    for line in lines:
        starts.append(starts[-1] + len(line) + 1)
    found = set()
    for secret in scan_file(str(file)):
        number, value = secret.line_number - 1, secret.secret_value or ""
        at = lines[number].find(value) if value else -1
        while at >= 0:
            found.add((starts[number] + at, starts[number] + at + len(value), secret.type))
            at = lines[number].find(value, at + len(value))
    return merged(sorted(found))


def merged(found):
    """Plugins that see the same text are one find."""
    finds = []
    for start, end, kind in found:
        if finds and start < finds[-1][1]:
            finds[-1] = (finds[-1][0], max(end, finds[-1][1]), finds[-1][2])
        else:
            finds.append((start, end, kind))
    return finds


def main():
    args = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    args.add_argument("--data", required=True)
    args = args.parse_args()
    tally = Tally(means=lambda label, found: True)
    with default_settings(), tempfile.TemporaryDirectory() as folder:
        get_settings().disable_filters(VERIFICATION)
        file = pathlib.Path(folder) / "text.txt"
        for row in rows(args.data):
            tally.add(row, finds(row["text"], file))
    print(json.dumps(tally.report()))


if __name__ == "__main__":
    main()
