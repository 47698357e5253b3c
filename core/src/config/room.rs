//! How much room things may take in one VM, and what happens when it is used up.

use alloc::{format, string::String};

use serde::{Deserialize, Serialize};

/// Where events wait for the collector.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct BufferConfig {
    /// Events that wait in one VM. Missing: `max_buffer`, which is the older name of it.
    pub events: Option<u32>,
    pub on_full: OnFull,
}

/// What gives way to the next event when there is no room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum OnFull {
    #[default]
    DropOldest,
    /// Events of exchanges that nothing was done about, chosen by chance; the others only when there are no such events.
    Sample,
    /// Nothing: requests are refused until there is room.
    Block,
}

/// Memory that a VM may use, in MiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct MemoryConfig {
    /// Above this, work that can be left out is left out.
    pub soft_mib: u32,
    /// Above this, no further bodies are held.
    pub hard_mib: u32,
}

impl Default for MemoryConfig {
    fn default() -> Self {
        Self { soft_mib: 128, hard_mib: 256 }
    }
}

impl MemoryConfig {
    const MIB_MAX: u32 = 4_096;

    pub(super) fn check(self) -> Result<(), (&'static str, String)> {
        let Self { soft_mib, hard_mib } = self;
        for (field, value) in [("memory.soft_mib", soft_mib), ("memory.hard_mib", hard_mib)] {
            if !(1..=Self::MIB_MAX).contains(&value) {
                return Err((field, format!("is {value}, expected 1 to {}", Self::MIB_MAX)));
            }
        }
        match soft_mib <= hard_mib {
            true => Ok(()),
            false => {
                Err(("memory.hard_mib", format!("is {hard_mib}, less than soft_mib, which is {soft_mib}")))
            }
        }
    }
}
