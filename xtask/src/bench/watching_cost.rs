//! What it costs to be watched: the same filter in several Envoys, without metrics and events, and with more and more of
//! them.

use std::{collections::BTreeSet, fs, path::Path};

use anyhow::Result;
use sentinel_harness::{
    bootstrap::{Bootstrap, WasmFilter},
    upstream::Upstream,
    wire::Response,
};
use serde_json::json;
use wasmparser::{Parser, Payload};

use super::variants::{self, Variant};
use crate::build;

pub(super) fn run(rounds: usize, seconds: u64, bytes: usize) -> Result<()> {
    let filter = build::filter()?;
    let upstream = Upstream::start_unrecorded(|_| Response::json(super::CHAT_ANSWER))?;
    let collector = Upstream::start_unrecorded(|_| Response::json("{}"))?;
    let but_metrics = all_but_metrics(&filter)?;
    let start = |name, capabilities, config: &serde_json::Value| {
        let filter = WasmFilter { capabilities, ..WasmFilter::new(&filter, config.to_string()) };
        let bootstrap = Bootstrap::new(upstream.addr(), Some(filter));
        Variant::start(name, &bootstrap.with_cluster("collector", collector.addr()))
    };
    let to_collector = json!({ "cluster": "collector", "token": "a-token-of-the-bench" });
    let events = json!({ "collector": to_collector });
    let traces =
        json!({ "collector": to_collector, "policy": { "trace": { "layers": true, "gen_ai": true } } });
    let mut all = [
        start("neither", Some(but_metrics), &json!({}))?,
        start("metrics", None, &json!({}))?,
        start("metrics, events", None, &events)?,
        start("metrics, events for traces", None, &traces)?,
    ];
    variants::compare(&mut all, rounds, seconds, bytes)
}

/// Every call of the host and every callback of the module; what it cannot define it does not count.
fn all_but_metrics(module: &Path) -> Result<Vec<String>> {
    let bytes = fs::read(module)?;
    let mut names = BTreeSet::new();
    for payload in Parser::new(0).parse_all(&bytes) {
        match payload? {
            Payload::ImportSection(imports) => {
                for import in imports.into_imports() {
                    names.insert(import?.name.to_owned());
                }
            }
            Payload::ExportSection(exports) => {
                for export in exports {
                    names.insert(export?.name.to_owned());
                }
            }
            _ => {}
        }
    }
    Ok(names.into_iter().filter(|name| !name.ends_with("_metric")).collect())
}
