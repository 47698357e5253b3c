//! The probe as a proxy-wasm module: it measures while it is configured, and logs the same line as the native program.
#![cfg(target_family = "wasm")]

use proxy_wasm::{
    hostcalls,
    traits::{Context, RootContext},
    types::LogLevel,
};
use sentinel_probe::{measure, to_line};

struct Probe;

impl Context for Probe {}

impl RootContext for Probe {
    fn on_configure(&mut self, _: usize) -> bool {
        hostcalls::log(LogLevel::Warn, &to_line(&measure())).is_ok()
    }
}

proxy_wasm::main! {{
    proxy_wasm::set_root_context(|_| Box::new(Probe));
}}
