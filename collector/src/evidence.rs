//! Between what arrives and the store: events are committed to, sealed and numbered; checkpoints of the log are signed;
//! what was sealed is opened again for whoever may read it.
//!
//! Nothing below this module sees the text of an event, and nothing above it sees a key.

mod cosign;
mod erasing;
mod files;
mod intake;
mod keeper;
mod leaf;
mod notary;
mod reading;
mod taking_over;

use std::sync::Arc;

use crate::store::Store;
pub(crate) use cosign::{Cosigners, OUTCOMES, Quorum, WitnessPlace, WitnessStanding};
pub(crate) use erasing::{DELETED_BY_REQUEST, Erased, Eraser, OUTLIVED};
pub(crate) use files::{FilePath, Files, NoProof, Proof};
pub(crate) use intake::Intake;
#[cfg(test)]
pub(crate) use keeper::Content;
pub(crate) use keeper::{Keeper, KeeperError};
pub(crate) use leaf::{AccessLeaf, access_leaf, leaf_of_event};
pub(crate) use notary::Notary;
pub(crate) use reading::{Opened, Reader};
pub(crate) use taking_over::take_over;

/// The store with who keeps its keys and who signs its log.
#[derive(Debug)]
pub(crate) struct Evidence {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) keeper: Arc<Keeper>,
    pub(crate) reader: Arc<Reader>,
    pub(crate) notary: Arc<Notary>,
    pub(crate) cosigners: Arc<Cosigners>,
    pub(crate) quorum: Quorum,
}
