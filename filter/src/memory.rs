//! What the VMs of this proxy share, as the core wants to use it.

use sentinel_core::guard::{HashKey, SharedMemory, Stored};

use crate::host::{self, HostError};

/// The proxy's shared data.
#[derive(Debug)]
pub(crate) struct ProxyMemory;

impl SharedMemory for ProxyMemory {
    fn load(&self, key: &str) -> Option<(Vec<u8>, u32)> {
        host::shared_data_versioned(key)
    }

    fn store(&self, key: &str, value: &[u8], version: Option<u32>) -> Stored {
        match host::swap_shared_data(key, value, version) {
            Ok(()) => Stored::Done,
            Err(HostError::VERSION_CONFLICT) => Stored::Conflict,
            Err(_) => Stored::Failed,
        }
    }
}

const KEY: &str = "sentinel.key";

/// What keys of limits are hashed with. Proxies that share limits have to hash alike, and what they have in common is the
/// token of their collector; without one the workers of a proxy agree on a key of chance.
pub(crate) fn hash_key(token: Option<&str>, chance: impl FnOnce() -> [u8; 16]) -> HashKey {
    if let Some(token) = token {
        let hash = sentinel_core::hash::sha256(&[b"sentinel.leases/1\n", token.as_bytes()].concat());
        return HashKey::new(first_16(&hash).unwrap_or_default());
    }
    if host::shared_data(KEY).is_none() {
        // Whoever writes last decides, so what stands there afterwards is what counts.
        let _ = host::set_shared_data(KEY, &chance());
    }
    HashKey::new(host::shared_data(KEY).as_deref().and_then(first_16).unwrap_or_default())
}

fn first_16(bytes: &[u8]) -> Option<[u8; 16]> {
    bytes.first_chunk().copied()
}
