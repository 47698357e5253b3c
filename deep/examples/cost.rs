//! What the third stage costs here: `cargo run --release -p sentinel-deep --example cost`.
#![expect(clippy::unwrap_used, reason = "whoever measures sees what went wrong")]

use std::time::Instant;

use sentinel_deep::{BUILTIN, Model, Speaker, Text};

/// Each measurement is the best of so many: neighbours only ever make it slower.
const TIMES: usize = 9;

fn main() {
    let before = resident_mib();
    let begun = Instant::now();
    let model = Model::open(BUILTIN).unwrap();
    println!(
        "loaded in {:.0} ms; {:.0} MiB more",
        begun.elapsed().as_secs_f64() * 1e3,
        resident_mib() - before
    );
    // A word of one piece, over and over: 124 of them fill a window.
    let of_words = |words: usize| "house ".repeat(words);
    for (what, texts, words) in [
        ("a text of 12 words", 1, 12),
        ("a window of 128 tokens", 1, 124),
        ("8 texts of 12 words at once", 8, 12),
        ("8 windows of 128 tokens at once", 8, 124),
    ] {
        let text = of_words(words);
        let texts = vec![Text { speaker: Speaker::User, text: &text }; texts];
        let mut best = f64::MAX;
        for _ in 0..TIMES {
            let begun = Instant::now();
            model.opinions(&texts, None).unwrap();
            best = best.min(begun.elapsed().as_secs_f64() * 1e3);
        }
        println!("{what}: {best:.1} ms, {:.1} ms each", best / texts.len() as f64);
    }
    println!("{:.0} MiB more in the end", resident_mib() - before);
}

/// Of this process, where the system says it.
fn resident_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kib.unwrap_or(f64::NAN) / 1024.0
}
