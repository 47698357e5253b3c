//! Other ways of matching the rule packs, beside ours, on the same folded texts. The same code tells about a native build
//! and about a proxy's V8; `cargo xtask bench matchers` builds, runs and prints it.
//!
//! Every phrase of a pack is also written as a regular expression ([`regex`]), in favour of the automata where the two
//! languages differ: classes of bytes instead of characters, no second pass for where a match begins, and neither the
//! surroundings that rules ask for nor the budget. Ours does all of that.

mod agreement;
mod heap;
mod regex;
mod rules;
mod texts;
mod timing;
mod ways;

use sentinel_probe::to_line;

/// What is measured: the name of a way, or `agreement`.
pub fn measure(what: &str) -> String {
    match what {
        "agreement" => to_line(&[agreement::measure()]),
        way => to_line(&ways::measure(way)),
    }
}
