//! Taking over what an older collector kept in the clear: sealed, and into the log, before anybody is served.

use std::sync::Arc;

use super::intake::Intake;
use super::keeper::KeeperError;
use crate::domain::Received;
use crate::store::Store;

/// Says how many elements there were. An interruption loses nothing: what was taken over already is a duplicate.
pub(crate) async fn take_over(store: &Arc<dyn Store>, intake: &Intake) -> Result<usize, KeeperError> {
    let mut n_taken = 0;
    loop {
        let left = store.left_over(AT_ONCE).await?;
        let Some(last) = left.last().cloned() else { return Ok(n_taken) };
        n_taken += left.len();
        for same_time in left.chunk_by(|a, b| a.received_ms == b.received_ms) {
            let elements: Vec<Received> = same_time.iter().map(|one| one.element.clone()).collect();
            intake.take(&elements, same_time.first().map_or(0, |one| one.received_ms)).await?;
        }
        store.forget_left_over(last).await?;
    }
}

const AT_ONCE: usize = 500;
