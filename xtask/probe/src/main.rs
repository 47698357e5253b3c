//! The probe as a native program: one line of JSON.
#![allow(clippy::print_stdout, reason = "xtask reads it")]

use sentinel_probe::measure;

fn main() {
    let what = std::env::args().nth(1).unwrap_or_default();
    println!("{}", measure(&what));
}
