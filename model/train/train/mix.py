"""The rows that are trained on: chosen for variety, and multiplied by changes that leave the label true."""

from collections import defaultdict

import numpy as np

from . import mutate
from .data import drop_duplicates

# A source gives all of its first rows and a share of the rest: a grammar's thousandth sentence teaches little.
ALL_OF_FIRST = 600
SHARE_OF_REST = {"own": 0.2, "composed": 0.4, "found": 0.15}
COMPOSED = {"tasktracker_triggers", "bipia_train_injected", "spikee_composed"}
CARRIERS = ("ctx_", "carrier_", "code_docs_", "xquad_", "taubench_user_json", "bfcl_tools", "gsm8k_answer", "own_benign_mail", "dair_guide", "security_docs")
REQUEST_SOURCES = {
    "p3_t0_templates", "gpteacher_codegen", "gpteacher_roleplay", "promptsource_templates", "nlu_eval_home", "clinc150",
    "cyberseceval_instruct_code", "self_instruct_seed", "own_benign_constraints", "own_benign_frames", "bbh",
}
WRITTEN_WEIGHT = 1.5
HARMFUL_ROWS, HARMFUL_WEIGHT = 1500, 0.5


def take(rows, rng):
    by_source = defaultdict(list)
    for row in rows:
        by_source[(row["source"], row["label"])].append(row)
    kept = []
    for (source, _), group in sorted(by_source.items(), key=lambda g: (g[0][0], g[0][1])):
        kind = "own" if source.startswith("own_") else "composed" if source in COMPOSED else "found"
        most = min(len(group), ALL_OF_FIRST + int(SHARE_OF_REST[kind] * max(0, len(group) - ALL_OF_FIRST)))
        kept += [group[i] for i in rng.permutation(len(group))[:most]]
    return kept


def derived(row, text, how, **changes):
    return {**row, "text": text, "how": how, "id": f"{row.get('id', '')}+{how}", **changes}


def mixture(rows, written, harmful, leaks, seed=5):
    rng = np.random.default_rng(seed)
    pick = lambda group: group[rng.integers(len(group))]
    chance = lambda p: rng.random() < p

    rows = drop_duplicates(rows)
    base = take(rows, rng)
    out = [{**r, "how": "as is", "weight": 1.0} for r in base]
    for row in written:
        out.append({**row, "how": "as is", "weight": WRITTEN_WEIGHT})
        for name in ("a", "b"):
            out.append(derived(row, mutate.mutate(row["text"], rng), "mutated " + name, weight=1.0))
    # Twelve in a hundred of everything else changed in place.
    for row in out[: len(base)]:
        if chance(0.12):
            row["text"], row["how"] = mutate.mutate(row["text"], rng), "mutated"

    for i in rng.permutation(len(harmful))[:HARMFUL_ROWS]:
        out.append({**harmful[i], "label": 0, "how": "as is", "weight": HARMFUL_WEIGHT})
    for i in rng.permutation(len(leaks))[:700]:
        out.append({**leaks[i], "how": "as is", "weight": 1.0})

    carriers = [r for r in rows if r["label"] == 0 and r["source"].startswith(CARRIERS) and len(r["text"]) > 120]
    by_carrier = defaultdict(list)
    for row in carriers:
        by_carrier[row["source"]].append(row)
    carrier_sources = sorted(by_carrier)
    carrier = lambda: pick(by_carrier[pick(carrier_sources)])
    short = lambda r: len(r["text"]) < 450
    written_attacks = [r for r in written if r["label"] == 1 and r["channel"] == "user" and short(r) and r["kind"] != "obfuscated"]
    grammar_attacks = [r for r in base if r["label"] == 1 and r["source"] in ("own_direct", "own_multilingual") and short(r)]
    benign_inserts = [r for r in written if r["label"] == 0 and r["channel"] == "tool"] + [
        r for r in rows if r["label"] == 0 and r["source"] in ("own_benign_embedded", "own_benign_mail")
    ]
    harmless = [r for r in base if r["label"] == 0 and r["channel"] == "user"]
    requests = [r for r in rows if r["source"] in REQUEST_SOURCES and r["label"] == 0 and 20 < len(r["text"]) < 200 and "\n" not in r["text"]]

    def place(payload, label, how, origin, kind):
        """In a carrier of any length; sometimes pasted by the user, sometimes as a document."""
        most = int(np.exp(rng.uniform(np.log(80), np.log(1100))))
        text = mutate.buried(payload, carrier()["text"], rng, most)
        draw = rng.random()
        if draw < 0.2:
            text, channel = pick(mutate.REQUESTS) + text, "user"
        else:
            text, channel = mutate.shell(text, rng) if chance(0.4) else text, "document" if draw < 0.45 else "tool"
        out.append(derived(origin, text, how, label=label, channel=channel, kind=kind, weight=1.0, source=how.replace(" ", "_")))

    for _ in range(2600):
        row = pick(written_attacks)
        text = mutate.mutate(row["text"], rng) if chance(0.3) else row["text"]
        place(text, 1, "written attack in carrier", row, "indirect_injection" if row["kind"] == "direct_injection" else row["kind"])
        place(mutate.piece(carrier()["text"], rng, len(text)) if chance(0.6) else pick(benign_inserts)["text"][:450], 0, "carrier in carrier", row, "benign")
    for _ in range(1300):
        row = pick(grammar_attacks)
        place(row["text"], 1, "grammar attack in carrier", row, "indirect_injection")
        place(pick(benign_inserts)["text"][:450], 0, "mail in carrier", row, "benign")
    for _ in range(1300):
        # The same request is an attack when a document makes it of the model, and harmless when it is made of people.
        row = pick(requests)
        place(pick(mutate.SPEAK_TO_MODEL) + row["text"], 1, "request to model", row, "indirect_injection")
        place(pick(mutate.SPEAK_TO_PEOPLE) + row["text"], 0, "request to people", row, "hard_negative")
    for _ in range(1500):
        # Long harmless messages of users: two or three texts of different sources after each other.
        parts = [pick(harmless) for _ in range(int(rng.integers(2, 4)))]
        text = pick(["\n", "\n\n", " "]).join(p["text"][:500] for p in parts)
        out.append(derived(parts[0], text, "joined", weight=1.0, source="joined"))
        attack = pick(written_attacks)
        out.append(derived(attack, mutate.buried(attack["text"], text, rng, 500), "joined attack", weight=1.0, source="joined_attack"))

    for row in out:
        if row["channel"] == "tool" and row["source"].startswith(("ctx_xquad", "carrier_xquad", "dair", "security_docs")) and chance(0.5):
            row["channel"] = "document"
        row.pop("group", None)
        row.pop("family", None)
    order = rng.permutation(len(out))
    return [out[i] for i in order]


def held_back(held, judged, seed=17):
    """Rows that were kept out while the recipe was chosen, for the last passes: those that it was judged by, as many of the
    others as the mixture would take, and the written ones changed once more."""
    rng = np.random.default_rng(seed)
    have = {row["text"] for row in judged}
    others = [row for row in take(drop_duplicates(held), rng) if row["text"] not in have]
    out = []
    for row in judged + others:
        row = {k: v for k, v in row.items() if k not in ("group", "family")}
        is_written = row["source"].startswith("written")
        out.append({**row, "how": "as is", "weight": WRITTEN_WEIGHT if is_written else 1.0})
        if is_written:
            out.append(derived(row, mutate.mutate(row["text"], rng), "mutated", weight=1.0))
    return [out[i] for i in rng.permutation(len(out))]
