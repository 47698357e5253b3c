//! Packs and models that came with bundles. Several bundles in a row have the same ones as a rule; they are built once and
//! lie in memory once, for as long as something uses them.

use std::{collections::BTreeMap, sync::Arc};

use sentinel_bundle::Hash;
use sentinel_core::{CompactModel, PatternSet};
use sentinel_model::Pack;

#[derive(Clone, Debug, Default)]
pub struct Parts {
    packs: BTreeMap<Hash, Arc<PatternSet>>,
    models: BTreeMap<Hash, Arc<CompactModel>>,
}

impl Parts {
    pub fn packs(&mut self, part: &[u8]) -> Result<Arc<PatternSet>, String> {
        let hash = Hash::of(part);
        if let Some(known) = self.packs.get(&hash) {
            return Ok(Arc::clone(known));
        }
        let text = std::str::from_utf8(part).map_err(|_| "part packs: is no text".to_owned())?;
        let packs = Pack::read_all(text).map_err(|error| format!("part packs: {error}"))?;
        let built = Arc::new(PatternSet::compile(&packs).map_err(|error| format!("part packs: {error}"))?);
        self.packs.insert(hash, Arc::clone(&built));
        Ok(built)
    }

    pub fn model(&mut self, part: &[u8]) -> Result<Arc<CompactModel>, String> {
        let hash = Hash::of(part);
        if let Some(known) = self.models.get(&hash) {
            return Ok(Arc::clone(known));
        }
        let opened =
            CompactModel::open_shared(part.into()).map_err(|error| format!("part model: {error}"))?;
        let opened = Arc::new(opened);
        self.models.insert(hash, Arc::clone(&opened));
        Ok(opened)
    }

    /// What only this list still has.
    pub fn forget_unused(&mut self) {
        self.packs.retain(|_, packs| Arc::strong_count(packs) > 1);
        self.models.retain(|_, model| Arc::strong_count(model) > 1);
    }
}
