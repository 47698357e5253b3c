//! The network itself, run by tract. Weights lie in the file with eight bits and become floats when it is loaded; the table
//! of pieces, half of all weights, stays as it is.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use sentinel_model::compact::HEADS;
use tract_onnx::{
    pb::ModelProto,
    prelude::{InferenceModelExt as _, IntoRunnable as _, Tensor, TypedSimplePlan, tvec},
};

use crate::Error;

pub(crate) struct Network {
    plan: Arc<TypedSimplePlan>,
    /// What a token took of late.
    nanos_per_token: AtomicU64,
}

impl Network {
    pub(crate) fn new(model: &ModelProto) -> Result<Self, Error> {
        let wrong = |e: &dyn std::fmt::Display| Error::Network(format!("{e:#}"));
        let parsed = tract_onnx::onnx().parse(model, None).map_err(|e| wrong(&e))?;
        let plan = parsed.model.into_optimized().and_then(|model| model.into_runnable());
        Ok(Self { plan: plan.map_err(|e| wrong(&e))?, nanos_per_token: AtomicU64::new(0) })
    }

    /// How long a batch of so many tokens should take, going by those before.
    pub(crate) fn expected(&self, tokens: usize) -> Duration {
        Duration::from_nanos(self.nanos_per_token.load(Ordering::Relaxed).saturating_mul(tokens as u64))
    }

    /// The logits of windows. Shorter ones are filled up, and what fills them is hidden from the network.
    pub(crate) fn logits(&self, batch: &[&[u32]]) -> Result<Vec<[f32; HEADS]>, Error> {
        let begun = Instant::now();
        let longest = batch.iter().map(|ids| ids.len()).max().unwrap_or(0);
        let mut ids = vec![0_i64; batch.len() * longest];
        let mut mask = ids.clone();
        let rows = ids.chunks_exact_mut(longest.max(1)).zip(mask.chunks_exact_mut(longest.max(1)));
        for ((ids, mask), window) in rows.zip(batch) {
            for ((id, there), piece) in ids.iter_mut().zip(mask).zip(*window) {
                (*id, *there) = (i64::from(*piece), 1);
            }
        }
        let logits =
            self.run(&[batch.len(), longest], &ids, &mask).map_err(|e| Error::Network(format!("{e:#}")))?;
        if logits.len() != batch.len() {
            return Err(Error::Network(format!("{} windows, {} answers", batch.len(), logits.len())));
        }
        let tokens = (batch.len() * longest).max(1) as u64;
        let took = u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX) / tokens;
        let before = self.nanos_per_token.load(Ordering::Relaxed);
        let smoothed = if before == 0 { took } else { before - before / 4 + took / 4 };
        self.nanos_per_token.store(smoothed, Ordering::Relaxed);
        Ok(logits)
    }

    fn run(
        &self,
        shape: &[usize],
        ids: &[i64],
        mask: &[i64],
    ) -> tract_onnx::prelude::TractResult<Vec<[f32; HEADS]>> {
        let inputs = tvec!(Tensor::from_shape(shape, ids)?.into(), Tensor::from_shape(shape, mask)?.into());
        let outputs = self.plan.run(inputs)?;
        let Some(output) = outputs.first() else { return Ok(Vec::new()) };
        let all = output.to_plain_array_view::<f32>()?;
        let flat: Vec<f32> = all.iter().copied().collect();
        Ok(flat.as_chunks::<HEADS>().0.to_vec())
    }
}
