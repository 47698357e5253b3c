"""One command for all steps: `python -m train all --data FOLDER --tool FEATURES --out FOLDER`, or one step by its name."""

import argparse
import json
import subprocess
import sys
from pathlib import Path

from . import baseline, data, evaluate, families, holdout, mix, vocabulary


def prepare(o, out):
    """Rows: the mixture for training, what was held out, and dev."""
    folder = Path(o.data)
    rows = o.some(data.read_rows(*folder.glob("text_train.jsonl*")))
    dev = o.some(data.read_rows(*folder.glob("text_dev.jsonl*")))
    written = data.read_written(folder / "written")
    harmful = [r for r in data.read_rows(*folder.glob("text_unlabelled_harmful.jsonl*")) if r["kind"] == "harmful_request"]
    leaks = [r for r in data.read_rows(*folder.glob("text_leak_response.jsonl*")) if r.get("split") != "dev"]
    print("train and dev:", data.leakage(rows + written, dev), flush=True)
    kept, held = holdout.split(rows)
    kept_written, held_written = holdout.split(written)
    mixed, val = o.some(mix.mixture(kept, kept_written, harmful, leaks)), o.some(holdout.sample(held + held_written))
    data.write_rows(out / "mix.jsonl", mixed)
    data.write_rows(out / "val.jsonl", val)
    data.write_rows(out / "all.jsonl", mixed + mix.held_back(held, val))
    data.write_rows(out / "dev.jsonl", dev)
    data.write_rows(out / "kept.jsonl", kept + kept_written)


def dump(o, out):
    run = lambda *a: subprocess.run([o.tool, *map(str, a)], check=True)
    run("count", out / "mix.jsonl", out / "counts.tsv")
    pieces = vocabulary.choose(list(vocabulary.read_counts(out / "counts.tsv")), o.pieces)
    (out / "vocab.txt").write_text("\n".join(pieces) + "\n", encoding="utf-8")
    for name in ("mix", "all", "val", "dev"):
        run("dump", "--vocab", out / "vocab.txt", out / f"{name}.jsonl", out / f"dump_{name}")


def compare(o, out):
    """The baseline beside both stages and the teacher: held-out families, and dev."""
    from . import lessons, pack, teacher

    kept = data.read_rows(out / "kept.jsonl")
    model = baseline.Baseline(fast=True).fit(baseline.vectorise([r["text"] for r in kept]), [r["label"] for r in kept])
    large = lessons.load(out / "teacher" / "teacher.pt")
    for name, scored in (("val", "scored_fit"), ("dev", "scored_limits")):
        rows = data.read_rows(out / f"{name}.jsonl")
        windows = pack.scored(out / "chosen" / scored)
        scores = {"n-gram baseline": model.score(baseline.vectorise([r["text"] for r in rows]))}
        for stage in ("first", "second"):
            scores[stage] = pack.row_scores(windows["row"], windows[stage][:, 0], len(rows))
        scores["teacher"] = teacher.score(large, rows)[:, 0]
        for which, values in scores.items():
            print(evaluate.line(f"{name} {which}", evaluate.figures([r["label"] for r in rows], values)))
        if name == "val":
            families.show(rows, scores)


def taught_student(o, out, arguments):
    """First with the teacher alone, then twice more with other rows on their labels: each pass helped on dev and held-out."""
    from . import student

    passes = [out / "student-1", out / "student-2", out / "student"]
    student.main([*arguments, "--out", str(passes[0]), "--epochs", str(o.epochs), "--rate", "1.5e-3"])
    for seed, (before, after, rate, untaught) in enumerate([(*passes[:2], "9e-4", "24000"), (*passes[1:], "8e-4", "20000")], 1):
        more = ["--start", str(before / "student.pt"), "--untaught", untaught, "--epochs", "1", "--rate", rate, "--seed", str(seed)]
        student.main([*arguments, "--out", str(after), *more])


def final_student(o, out, arguments):
    """Twice more with every row there is, by the clock: two runs from the same student, whose mean goes on, and at last ships."""
    from . import student

    before = out / "student"
    for after, minutes, rate, seeds in ((out / "final-student-0", o.minutes, "8e-4", (41, 42)), (out / "final-student", o.minutes / 4, "5e-4", (43, 44))):
        ends = [out / f"final-student-{seed}" for seed in seeds]
        for seed, end in zip(seeds, ends):
            more = ["--start", str(before / "student.pt"), "--untaught", "1000000", "--epochs", "99", "--rate", rate]
            student.main([*arguments, "--out", str(end), *more, "--minutes", str(minutes), "--seed", str(seed)])
        student.mean_of([end / "student.pt" for end in ends], after)
        before = after


def recipe(out):
    """What the card says about how the artefact came to be."""
    path = out / "recipe.json"
    path.write_text(json.dumps({
        "trained on": "the mixture, and then the rows that were held out while the recipe was chosen; the figures under `held out` "
        "are those of the artefact before that. No row of dev was trained on.",
        "seeds": {"mixture": 5, "held-out rows": [1, 11, 17], "teacher": 1, "lessons": [9, 21], "stage 1": 1, "stage 2": [1, 1, 2, 41, 42, 43, 44]},
    }))
    return str(path)


def steps(o, out):
    from . import deep, export, lessons, ngrams, pack, teacher

    sets = [f"val={out}/val.jsonl={out}/dump_val", f"dev={out}/dev.jsonl={out}/dump_dev"]
    rows, taught = f"--rows {out}/mix.jsonl".split(), ["--dump", f"{out}/dump_mix"]
    every, final = f"--rows {out}/all.jsonl".split(), ["--dump", f"{out}/dump_all"]
    heard, heard_more = ["--lessons", f"{out}/lessons"], ["--lessons", f"{out}/final-lessons"]
    network, vocab = f"{out}/teacher/teacher.pt", ["--vocab", f"{out}/vocab.txt"]
    asked = lambda count: ["--teacher", network, "--count", str(count)]

    def packed(to, before, *how):
        files = sorted([*Path(o.data).glob("text_*"), *(Path(o.data) / "written").glob("*.jsonl")])
        pack.main([
            "--tool", o.tool, "--ngrams", f"{out}/{before}ngrams", "--student", f"{out}/{before}student", *vocab, "--fit", f"{out}/val.jsonl",
            "--limits", f"{out}/dev.jsonl", "--out", f"{out}/{to}", *how, "--data", *map(str, files),
        ])

    return {
        "prepare": lambda: prepare(o, out),
        "dump": lambda: dump(o, out),
        "teacher": lambda: teacher.main([*rows, "--validation", f"{out}/val.jsonl", "--out", f"{out}/teacher", "--count", str(o.rows)]),
        "lessons": lambda: lessons.main([*rows, *taught, *asked(o.lessons), "--out", f"{out}/lessons"]),
        "ngrams": lambda: ngrams.main([*rows, *taught, *heard, "--out", f"{out}/ngrams", "--validation", *sets]),
        "student": lambda: taught_student(o, out, [*rows, *taught, *heard, *vocab, "--validation", *sets[:1]]),
        "pack": lambda: packed("chosen", "", "--plain"),
        "compare": lambda: compare(o, out),
        "final-lessons": lambda: lessons.main([
            *every, *final, *asked(o.lessons // 2), "--before", f"{out}/lessons", "--seed", "21", "--out", f"{out}/final-lessons",
        ]),
        "final-ngrams": lambda: ngrams.main([*every, *final, *heard_more, "--out", f"{out}/final-ngrams", "--validation", *sets[1:]]),
        "final-student": lambda: final_student(o, out, [*every, *final, *heard_more, *vocab]),
        "final-pack": lambda: packed("model", "final-", "--combination", f"{out}/chosen/pack/model.json", "--card", f"{out}/chosen/held_out.json", recipe(out)),
        "export": lambda: export.main(["--teacher", network, "--student", f"{out}/final-student/student.pt", "--out", f"{out}/onnx"]),
        "deep": lambda: deep.main([
            "--network", f"{out}/onnx/teacher.onnx", "--dev", f"{out}/dev.jsonl", "--scores", f"{out}/deep_dev.npy", "--out", f"{out}/deep.onnx",
        ]),
    }


def few(rows):
    """For a trial of all steps: some rows of each source, in the same order on every machine."""
    seen, kept = {}, []
    for row in rows:
        key = (row["source"], row["label"])
        seen[key] = seen.get(key, 0) + 1
        if seen[key] <= 3:
            kept.append(row)
    return kept


def main():
    options = argparse.ArgumentParser(prog="python -m train", description=__doc__)
    options.add_argument("step")
    options.add_argument("--data", required=True)
    options.add_argument("--tool", required=True)
    options.add_argument("--out", required=True)
    options.add_argument("--pieces", type=int, default=11700)
    options.add_argument("--rows", type=int, default=30000, help="rows that the teacher is trained on")
    options.add_argument("--lessons", type=int, default=26000, help="rows that the teacher is asked about")
    options.add_argument("--epochs", type=int, default=5, help="of the student's first pass")
    options.add_argument("--minutes", type=float, default=20, help="of each of the student's last long passes, on one core")
    options.add_argument("--smoke", action="store_true", help="all steps on few rows: shows that they run, and no more")
    o = options.parse_args()
    o.some = few if o.smoke else list
    if o.smoke:
        o.pieces, o.rows, o.lessons, o.epochs, o.minutes = 2000, 60, 200, 1, 0.2
    out = Path(o.out)
    out.mkdir(parents=True, exist_ok=True)
    known = steps(o, out)
    if o.step != "all" and o.step not in known:
        sys.exit(f"steps: all {' '.join(known)}")
    for name, step in known.items():
        if o.step in ("all", name):
            print(f"== {name}", flush=True)
            step()


if __name__ == "__main__":
    main()
