//! The probe as a proxy-wasm module: it measures while it is configured, and logs the same line as the native program.
#![cfg(target_family = "wasm")]

use proxy_wasm::{
    hostcalls,
    traits::{Context, RootContext},
    types::{LogLevel, Status},
};
use sentinel_core::guard::{SharedMemory, Stored};
use sentinel_probe::measure;

/// The proxy's shared data, as the filter uses it.
#[derive(Clone, Debug)]
struct Memory;

impl SharedMemory for Memory {
    fn load(&self, key: &str) -> Option<(Vec<u8>, u32)> {
        let (value, version) = hostcalls::get_shared_data(key).ok()?;
        Some((value?, version.unwrap_or_default()))
    }

    fn store(&self, key: &str, value: &[u8], version: Option<u32>) -> Stored {
        match hostcalls::set_shared_data(key, Some(value), version) {
            Ok(()) => Stored::Done,
            Err(Status::CasMismatch) => Stored::Conflict,
            Err(_) => Stored::Failed,
        }
    }
}

struct Probe;

impl Context for Probe {}

impl RootContext for Probe {
    fn on_configure(&mut self, _: usize) -> bool {
        let what = self.get_plugin_configuration().unwrap_or_default();
        hostcalls::log(LogLevel::Warn, &measure(&String::from_utf8_lossy(&what), &Memory)).is_ok()
    }
}

proxy_wasm::main! {{
    proxy_wasm::set_root_context(|_| Box::new(Probe));
}}
