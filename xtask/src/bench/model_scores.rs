//! Every window of every text of a file, judged by both stages of the model that is built in: natively, in the fake host and
//! in Envoy's V8. Fails unless each score has the same bits everywhere. Says what harmless texts cost.

use std::{fs, io::Read, path::Path, time::Instant};

use anyhow::{Context, Result, ensure};
use sentinel_harness::fake_host::{FilterModule, HostOptions, Proxy};
use sentinel_probe::{
    from_line,
    scores::{Cost, Digest, Text, measure},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::probe::Probe;

/// The probe is given its texts with its configuration, so many bytes of them at a time.
const PART_BYTES: usize = 400_000;

#[derive(Deserialize)]
struct Row {
    text: String,
    channel: Option<String>,
    label: Option<u8>,
}

pub(super) fn run(file: &Path) -> Result<()> {
    let probe = Probe::build("scores")?;
    let module = FilterModule::load(&probe.module)?;
    let (started, mut n_texts, mut n_windows) = (Instant::now(), 0, 0);
    let mut costs = Costs::default();
    for part in parts(texts(file)?) {
        let json = serde_json::to_string(&part)?;
        let native = measure(&json);
        ensure!(native.len() == part.len(), "{} of {} texts were judged", native.len(), part.len());
        let what = format!("scores:{json}");
        let in_envoy = probe.measured_in_envoy::<Digest>(&what)?;
        costs.add(&native, &in_envoy);
        for (name, digests) in [("wasmtime", in_fake_host(&module, &what)?), ("Envoy", in_envoy)] {
            let is_same = |native: &Digest, other: &Digest| {
                (native.windows, native.bits) == (other.windows, other.bits)
            };
            let differs = native.iter().zip(&digests).position(|(native, other)| !is_same(native, other));
            ensure!(
                digests.len() == native.len() && differs.is_none(),
                "in {name}: {} texts instead of {}, and text {:?} of the {} from {n_texts} on has other scores",
                digests.len(),
                native.len(),
                differs,
                part.len()
            );
        }
        n_texts += part.len();
        n_windows += native.iter().map(|digest| u64::from(digest.windows)).sum::<u64>();
    }
    ensure!(n_texts > 0, "{}: no texts", file.display());
    println!(
        "{n_texts} texts, {n_windows} windows, both stages: the same bits natively, in wasmtime and in V8 ({:.0} s)",
        started.elapsed().as_secs_f64()
    );
    costs.print();
    Ok(())
}

/// What harmless texts cost, in microseconds.
#[derive(Default)]
struct Costs {
    native: Vec<Cost>,
    in_envoy: Vec<Cost>,
}

impl Costs {
    fn add(&mut self, native: &[Digest], in_envoy: &[Digest]) {
        self.native.extend(native.iter().filter_map(|digest| digest.cost));
        self.in_envoy.extend(in_envoy.iter().filter_map(|digest| digest.cost));
    }

    fn print(&self) {
        println!("{:<32} {:>10} {:>10} {:>10} {:>10}   us", "harmless texts", "mean", "median", "p90", "p99");
        for (host, costs) in [("native", &self.native), ("Envoy", &self.in_envoy)] {
            for (what, is_all) in [("the model", false), ("all that is judged", true)] {
                let of = |cost: &Cost| if is_all { cost.all } else { cost.model };
                let mut costs: Vec<f64> = costs.iter().map(of).collect();
                costs.sort_by(f64::total_cmp);
                let at =
                    |share: f64| costs.get((costs.len() as f64 * share) as usize).copied().unwrap_or(0.0);
                let mean = costs.iter().sum::<f64>() / costs.len().max(1) as f64;
                let what = format!("{what}, {host}");
                println!("{what:<32} {mean:>10.1} {:>10.1} {:>10.1} {:>10.1}", at(0.5), at(0.9), at(0.99));
            }
        }
    }
}

fn in_fake_host(module: &FilterModule, what: &str) -> Result<Vec<Digest>> {
    let options = HostOptions { plugin_config: what.into(), ..HostOptions::default() };
    let proxy = Proxy::start(module, options)?;
    let lines = proxy.logs();
    lines.iter().find_map(|line| from_line(&line.text)).context("the probe said nothing in the fake host")
}

fn texts(file: &Path) -> Result<Vec<Text>> {
    const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
    let data = fs::read(file).with_context(|| file.display().to_string())?;
    let mut lines = String::new();
    match data.starts_with(ZSTD) {
        true => ruzstd::decoding::StreamingDecoder::new(data.as_slice())?.read_to_string(&mut lines)?,
        false => data.as_slice().read_to_string(&mut lines)?,
    };
    let lines = lines.lines().filter(|line| !line.trim().is_empty());
    lines
        .map(|line| {
            let Row { text, channel, label } = serde_json::from_str(line)?;
            let channel: Value = match channel.as_deref() {
                None => json!("user"),
                Some("tool") => json!("tool_result"),
                Some("response") => json!("assistant"),
                Some(name) => json!(name),
            };
            Ok(Text { channel: serde_json::from_value(channel)?, text, is_harmless: label == Some(0) })
        })
        .collect()
}

fn parts(texts: Vec<Text>) -> Vec<Vec<Text>> {
    let mut parts: Vec<Vec<Text>> = Vec::new();
    let mut bytes = PART_BYTES;
    for text in texts {
        if bytes >= PART_BYTES {
            parts.push(Vec::new());
            bytes = 0;
        }
        bytes += text.text.len();
        if let Some(part) = parts.last_mut() {
            part.push(text);
        }
    }
    parts
}
