//! What was seen of tools, in the proxy's shared data: one memory for all workers, gone with the proxy.

use sentinel_core::ToolMemory;

use crate::host;

/// A proxy without shared data has nothing to compare with, and that is no failure of an exchange.
#[derive(Debug)]
pub(crate) struct SharedTools;

impl ToolMemory for SharedTools {
    fn recall(&mut self, slot: u16) -> Option<Vec<u8>> {
        host::shared_data(&key(slot))
    }

    /// Two workers may write one slot at the same time: one of their tools is then new once more.
    fn remember(&mut self, slot: u16, value: &[u8]) {
        let _ = host::set_shared_data(&key(slot), value);
    }
}

fn key(slot: u16) -> String {
    format!("sentinel.tool/{slot}")
}
