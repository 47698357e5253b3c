//! How fast bodies are read and judged. The probe measures from inside, so the same code tells about a native build and
//! about V8; `cargo xtask bench` with `extract`, `judge`, `model` or `guards` builds, runs and prints it.

pub mod extract;
pub mod guards;
pub mod judge;
pub mod matchers;
pub mod model;
pub mod scores;

use sentinel_core::guard::SharedMemory;
use serde::Serialize;
pub use serde::de::DeserializeOwned;

/// What is measured, by name: `extract`, `model`, `guards`, `judge`, `judge:` with part of the name of a body, or `scores:` with
/// texts. `memory` is what the host lends.
pub fn measure<M: SharedMemory + Clone + 'static>(what: &str, memory: &M) -> String {
    match what.split_once(':').unwrap_or((what, "")) {
        ("model", _) => to_line(&model::measure()),
        ("guards", _) => to_line(&guards::measure(memory)),
        ("scores", texts) => to_line(&scores::measure(texts)),
        ("judge", only) => to_line(&judge::measure(only)),
        _ => to_line(&extract::measure()),
    }
}

/// One line that [`from_line`] finds among others.
pub fn to_line(rows: &impl Serialize) -> String {
    format!("{MARK}{}", serde_json::to_string(rows).unwrap_or_default())
}

/// The rows of a line that [`measure`] made, whatever stands before it.
pub fn from_line<Row: DeserializeOwned>(line: &str) -> Option<Vec<Row>> {
    serde_json::from_str(line.split_once(MARK)?.1).ok()
}

/// Bits that came out, mixed into those before.
const fn mix(digest: u64, bits: u32) -> u64 {
    (digest ^ bits as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29)
}

const MARK: &str = "sentinel-probe ";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extract::Row;

    #[test]
    fn rows_survive_a_log() {
        let row = Row { body: "b".into(), bytes: 1, segments: 2, survey: 3.0, value: 4.0, ignored: 5.0 };
        let log = format!("[warning] wasm log: {}", to_line(&[row]));
        let rows: Option<Vec<Row>> = from_line(&log);
        assert_eq!(rows.and_then(|rows| rows.first().map(|row| row.segments)), Some(2));
    }
}
