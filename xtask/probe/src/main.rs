//! The probe as a native program: one line of JSON.
#![allow(clippy::print_stdout, reason = "xtask reads it")]

use sentinel_probe::{measure, to_line};

fn main() {
    println!("{}", to_line(&measure()));
}
