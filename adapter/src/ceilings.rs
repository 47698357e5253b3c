//! Where a VM stands between its ceilings of memory.

use sentinel_core::{MemoryStrain, config::MemoryConfig};

#[derive(Debug, Default)]
pub struct Ceilings {
    config: MemoryConfig,
    strain: MemoryStrain,
}

impl Ceilings {
    pub const fn set(&mut self, config: MemoryConfig) {
        self.config = config;
    }

    /// As it is now, with so many bytes in use. A ceiling that was reached counts until an eighth of it is free again, so
    /// that nobody goes in and out with every request.
    pub fn strain(&mut self, used: usize) -> MemoryStrain {
        let is_over = |ceiling_mib: u32, counts: bool| {
            let ceiling = (ceiling_mib as usize).saturating_mul(1024 * 1024);
            used > if counts { ceiling - ceiling / 8 } else { ceiling }
        };
        let before = self.strain;
        self.strain = if is_over(self.config.hard_mib, before == MemoryStrain::Refuses) {
            MemoryStrain::Refuses
        } else if is_over(self.config.soft_mib, before >= MemoryStrain::Sheds) {
            MemoryStrain::Sheds
        } else {
            MemoryStrain::None
        };
        self.strain
    }
}
