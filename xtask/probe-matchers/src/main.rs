//! The probe as a native program: one line of JSON.
#![allow(clippy::print_stdout, reason = "xtask reads it")]

fn main() {
    let what = std::env::args().nth(1).unwrap_or_default();
    println!("{}", sentinel_probe_matchers::measure(&what));
}
