//! The tables of a store, as both kinds of database have them, in an order in which each refers only to those before.

/// What a column holds.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Int,
    Text,
    Bytes,
    Real,
}

#[derive(Debug)]
pub(super) struct Table {
    pub(super) name: &'static str,
    /// Those of the key first.
    pub(super) columns: &'static [(&'static str, Kind)],
    pub(super) n_keys: usize,
    /// How many rows are one portion: a few megabytes at most.
    pub(super) portion: i64,
}

use Kind::{Bytes, Int, Real, Text};

const fn table(name: &'static str, n_keys: usize, columns: &'static [(&'static str, Kind)]) -> Table {
    Table { name, columns, n_keys, portion: 1_000 }
}

pub(super) const TABLES: [Table; 22] = [
    table("leaves", 1, &[("idx", Int), ("leaf", Bytes)]),
    table("tiles", 2, &[("level", Int), ("idx", Int), ("hashes", Bytes)]),
    table("checkpoints", 1, &[("size", Int), ("at_ms", Int), ("note", Text)]),
    table("vms", 1, &[("no", Int), ("vm", Text), ("first_seq", Int), ("last_seq", Int), ("n_events", Int)]),
    table("vm_gaps", 2, &[("vm_no", Int), ("first_seq", Int), ("last_seq", Int)]),
    Table {
        portion: 200,
        ..table(
            "events",
            1,
            &[
                ("idx", Int),
                ("received_ms", Int),
                ("vm_no", Int),
                ("seq", Int),
                ("event_id", Text),
                ("time_ms", Int),
                ("request", Int),
                ("session", Int),
                ("subject", Bytes),
                ("route", Text),
                ("verdict", Text),
                ("action", Text),
                ("score", Real),
                ("key", Int),
                ("payload", Bytes),
            ],
        )
    },
    table("rules", 1, &[("no", Int), ("rule", Text)]),
    table("event_rules", 3, &[("rule_no", Int), ("time_ms", Int), ("idx", Int)]),
    Table {
        portion: 200,
        ..table(
            "quarantine",
            1,
            &[
                ("digest", Bytes),
                ("key", Int),
                ("payload", Bytes),
                ("first_ms", Int),
                ("last_ms", Int),
                ("n_times", Int),
            ],
        )
    },
    table(
        "journal",
        1,
        &[("idx", Int), ("at_ms", Int), ("who", Text), ("what", Text), ("target", Text), ("outcome", Int)],
    ),
    table(
        "data_keys",
        1,
        &[
            ("id", Int),
            ("period", Int),
            ("subject", Bytes),
            ("wrapped", Bytes),
            ("created_ms", Int),
            ("destroyed_ms", Int),
        ],
    ),
    table("hourly", 3, &[("kind", Text), ("hour", Int), ("value", Text), ("n", Int)]),
    table("secrets", 1, &[("name", Text), ("wrapped", Bytes)]),
    table(
        "api_keys",
        1,
        &[
            ("id", Text),
            ("hash", Bytes),
            ("label", Text),
            ("roles", Text),
            ("scope", Text),
            ("created_ms", Int),
            ("not_after_ms", Int),
            ("revoked_ms", Int),
            ("replaced_by", Text),
            ("replaced_until_ms", Int),
        ],
    ),
    table("role_holders", 2, &[("kind", Text), ("name", Text), ("roles", Text), ("at_ms", Int)]),
    Table {
        portion: 1,
        ..table(
            "bundles",
            1,
            &[
                ("id", Text),
                ("name", Text),
                ("version", Int),
                ("bytes", Bytes),
                ("pushed_ms", Int),
                ("pushed_by", Text),
            ],
        )
    },
    table(
        "deployments",
        1,
        &[
            ("number", Int),
            ("candidate", Text),
            ("active", Text),
            ("mode", Text),
            ("percent", Int),
            ("salt", Text),
            ("hash_key", Text),
            ("labels", Text),
            ("rules", Text),
            ("state", Text),
            ("started_ms", Int),
            ("tally", Text),
        ],
    ),
    table(
        "deployment_history",
        1,
        &[
            ("id", Int),
            ("deployment", Int),
            ("at_ms", Int),
            ("what", Text),
            ("who", Text),
            ("why", Text),
            ("figures", Text),
        ],
    ),
    table("feedback", 1, &[("event_id", Text), ("label", Text), ("at_ms", Int), ("who", Text)]),
    table(
        "alerts",
        1,
        &[
            ("id", Int),
            ("version", Int),
            ("rule", Text),
            ("severity", Text),
            ("grp", Text),
            ("state", Text),
            ("summary", Text),
            ("value", Real),
            ("opened_ms", Int),
            ("seen_ms", Int),
            ("told_ms", Int),
            ("told_to", Text),
            ("acknowledged_ms", Int),
            ("acknowledged_by", Text),
            ("resolved_ms", Int),
        ],
    ),
    table(
        "alert_silences",
        1,
        &[
            ("id", Int),
            ("rule", Text),
            ("grp", Text),
            ("starts_ms", Int),
            ("ends_ms", Int),
            ("reason", Text),
            ("made_by", Text),
            ("made_ms", Int),
        ],
    ),
    table(
        "alert_deliveries",
        1,
        &[
            ("id", Int),
            ("alert", Int),
            ("sink", Text),
            ("notice", Text),
            ("attempts", Int),
            ("state", Text),
            ("next_ms", Int),
            ("claimed_until_ms", Int),
            ("outcome", Text),
            ("done_ms", Int),
        ],
    ),
];
