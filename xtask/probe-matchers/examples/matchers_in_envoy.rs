//! The probe as a proxy-wasm module: it measures while it is configured, and logs the same line as the native program.
#![cfg(target_family = "wasm")]

use proxy_wasm::{
    hostcalls,
    traits::{Context, RootContext},
    types::LogLevel,
};
use sentinel_probe_matchers::measure;

struct Probe;

impl Context for Probe {}

impl RootContext for Probe {
    fn on_configure(&mut self, _: usize) -> bool {
        let what = self.get_plugin_configuration().unwrap_or_default();
        hostcalls::log(LogLevel::Warn, &measure(&String::from_utf8_lossy(&what))).is_ok()
    }
}

proxy_wasm::main! {{
    proxy_wasm::set_root_context(|_| Box::new(Probe));
}}
