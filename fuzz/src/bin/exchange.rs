//! headers and bodies of both directions, on every kind of host and policy
#![no_main]

sentinel_fuzz::target!(sentinel_fuzz::targets::exchange::run);
