//! A model that was loaded, and what it thinks of texts.

use std::time::{Duration, Instant};

use sentinel_model::compact::{HEAD_NAMES, HEADS, Speaker};
use sha2::{Digest, Sha256};
use tract_onnx::prelude::Framework as _;

use crate::{
    Error,
    artifact::{Card, Parts},
    network::Network,
    windows::windows,
};

/// A batch holds no more, so that a deadline is missed by one full window at most. Larger ones are not faster: one window
/// keeps a core busy.
const BATCH_TOKENS_MAX: usize = 128;

/// The logit of 0.4, from which on a policy tags by default.
const AT_THRESHOLD: f32 = -0.405_465_1;

/// Loaded once, asked from any number of threads.
pub struct Model {
    id: String,
    parts: Parts,
    network: Network,
}

#[derive(Clone, Copy, Debug)]
pub struct Text<'a> {
    pub speaker: Speaker,
    pub text: &'a str,
}

/// What a text is, by its most suspicious window.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Opinion {
    /// How likely an attack, as the network says it. Where no window was read it is as low as can be.
    pub logit: f32,
    /// The same from 0 to 1: 0.4 at the threshold of its speaker, the nearer to 1 the further above.
    pub attack: f32,
    /// Whether the threshold is reached.
    pub is_attack: bool,
    /// What kind of attack it is most like.
    pub head: &'static str,
    pub windows: usize,
    /// Windows that were left when the deadline came.
    pub unread: usize,
}

/// A window of one of the texts.
struct Window {
    text: usize,
    ids: Vec<u32>,
}

impl Model {
    /// Loads what `python -m train export` wrote. It takes about half a second, and an answer is asked for, so that a
    /// network of another form is noticed here.
    pub fn open(file: &[u8]) -> Result<Self, Error> {
        let model = tract_onnx::onnx()
            .proto_model_for_read(&mut &*file)
            .map_err(|e| Error::Onnx(format!("{e:#}")))?;
        let parts = Parts::read(&model)?;
        let network = Network::new(&model)?;
        let last = u32::try_from(parts.pieces.n_ids().saturating_sub(1)).unwrap_or(u32::MAX);
        network.logits(&[&parts.frame.around(Speaker::User, &[last])])?;
        let digest = Sha256::digest(file);
        let id = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { id, parts, network })
    }

    /// SHA-256 of the file, in hexadecimal.
    pub fn id(&self) -> &str {
        &self.id
    }

    pub const fn card(&self) -> &Card {
        &self.parts.card
    }

    /// The pieces of a text, by their numbers in the vocabulary.
    pub fn pieces(&self, text: &str) -> Vec<u32> {
        self.parts.pieces.ids(text)
    }

    pub fn opinion(&self, speaker: Speaker, text: &str) -> Result<Opinion, Error> {
        let opinions = self.opinions(&[Text { speaker, text }], None)?;
        opinions.first().copied().ok_or_else(|| Error::Network("no answer".to_owned()))
    }

    /// An opinion of each text, in their order. After the first, no batch is begun that would not end before the deadline.
    pub fn opinions(&self, texts: &[Text<'_>], until: Option<Instant>) -> Result<Vec<Opinion>, Error> {
        let mut of_texts = vec![Found::default(); texts.len()];
        let mut all = Vec::new();
        for (idx, (text, found)) in texts.iter().zip(&mut of_texts).enumerate() {
            let pieces = match until.is_some_and(|until| Instant::now() >= until) {
                // Not even taken apart: there is one window to it, at least, and it stays unread.
                true => Vec::new(),
                false => self.pieces(text.text),
            };
            for range in windows(pieces.len()) {
                found.windows += 1;
                let ids = self.parts.frame.around(text.speaker, pieces.get(range).unwrap_or_default());
                all.push(Window { text: idx, ids });
            }
        }
        all.sort_by_key(|window| window.ids.len());
        let mut rest = all.as_slice();
        while !rest.is_empty() {
            let (batch, behind) = rest.split_at_checked(fitting(rest)).unwrap_or((rest, &[]));
            let tokens = batch.len() * batch.last().map_or(0, |window| window.ids.len());
            let is_first = rest.len() == all.len();
            let expected = self.network.expected(tokens);
            if until.is_some_and(|until| !may_begin(is_first, expected, Instant::now(), until)) {
                break;
            }
            let ids: Vec<&[u32]> = batch.iter().map(|window| window.ids.as_slice()).collect();
            for (window, logits) in batch.iter().zip(self.network.logits(&ids)?) {
                if let Some(found) = of_texts.get_mut(window.text) {
                    found.add(logits);
                }
            }
            rest = behind;
        }
        Ok(texts.iter().zip(of_texts).map(|(text, found)| self.judge(text.speaker, &found)).collect())
    }

    fn judge(&self, speaker: Speaker, found: &Found) -> Opinion {
        let threshold = self.parts.thresholds.get(speaker.index()).copied().unwrap_or_default();
        let [logit, of_kinds @ ..] = found.highest.unwrap_or([f32::MIN; HEADS]);
        let kinds = HEAD_NAMES.iter().skip(1).zip(of_kinds);
        let (head, _) = kinds.max_by(|(_, a), (_, b)| a.total_cmp(b)).unwrap_or((&"attack", logit));
        Opinion {
            logit,
            attack: 1.0 / (1.0 + (threshold - AT_THRESHOLD - logit).exp()),
            is_attack: logit >= threshold,
            head,
            windows: found.windows,
            unread: found.windows - found.read,
        }
    }
}

/// Without the weights and the vocabulary, which are all that there is to see.
impl std::fmt::Debug for Model {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Model").field("id", &self.id).finish_non_exhaustive()
    }
}

/// What is known of a text so far.
#[derive(Clone, Copy, Default)]
struct Found {
    windows: usize,
    read: usize,
    /// The logits of its most suspicious window.
    highest: Option<[f32; HEADS]>,
}

impl Found {
    fn add(&mut self, logits: [f32; HEADS]) {
        self.read += 1;
        let [attack, ..] = logits;
        if self.highest.is_none_or(|[before, ..]| attack > before) {
            self.highest = Some(logits);
        }
    }
}

/// The first batch may, if there is time at all: once it took very long for no reason of its own, say because the machine
/// slept, this is how it is learnt that it no longer does.
fn may_begin(is_first: bool, expected: Duration, now: Instant, until: Instant) -> bool {
    now < until && (is_first || now + expected <= until)
}

/// How many windows from the first on make a batch: one, at least. They come in order of their length.
fn fitting(windows: &[Window]) -> usize {
    let fits = |(idx, window): &(usize, &Window)| (idx + 1) * window.ids.len() <= BATCH_TOKENS_MAX;
    windows.iter().enumerate().take_while(fits).count().max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_batch_does_not_end_all_opinions_for_good() {
        let now = Instant::now();
        let [short, long] = [50, 5_000].map(Duration::from_millis);
        assert!(may_begin(true, long, now, now + short));
        assert!(!may_begin(false, long, now, now + short));
        assert!(may_begin(false, short, now, now + short));
        assert!(!may_begin(true, Duration::ZERO, now, now));
    }

    #[test]
    fn a_batch_is_one_full_window_or_several_short_ones() {
        let of = |lengths: &[usize]| {
            let window = |len: &usize| Window { text: 0, ids: vec![0; *len] };
            fitting(&lengths.iter().map(window).collect::<Vec<_>>())
        };
        assert_eq!(of(&[4; 100]), 32);
        assert_eq!(of(&[4, 60, 64, 65]), 2);
        assert_eq!(of(&[128, 128]), 1);
    }
}
