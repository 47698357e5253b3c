//! How many of which witnesses make a checkpoint one that others are shown.

use sentinel_ledger::{Note, VerifierKey};

use crate::domain::CheckpointRow;
use crate::store::{Store, StoreError};

/// With 0 every checkpoint is shown.
#[derive(Clone, Debug, Default)]
pub(crate) struct Quorum {
    pub(crate) witnesses: Vec<VerifierKey>,
    pub(crate) n: usize,
}

impl Quorum {
    /// The newest checkpoint that enough witnesses have cosigned; `None` before the first. What others see never goes
    /// back, because checkpoints grow and keep their signatures.
    pub(crate) async fn newest(&self, store: &dyn Store) -> Result<Option<CheckpointRow>, StoreError> {
        if self.n == 0 {
            return store.newest_checkpoint().await;
        }
        let found = store.cosigned_checkpoint(self.n).await?;
        // Signatures were counted; that they are of these witnesses has to be seen.
        Ok(found.filter(|row| self.is_met_by(&row.note)))
    }

    fn is_met_by(&self, note: &str) -> bool {
        let verified = Note::parse(note.as_bytes()).and_then(|note| note.verify(&self.witnesses));
        verified.is_ok_and(|verified| verified.len() >= self.n)
    }
}
