//! documents of A2A over JSON-RPC, bent out of shape
#![no_main]

sentinel_fuzz::format_target!("a2a");
