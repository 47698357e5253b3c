//! Blinding: what has to be found again is stored as a keyed hash. The database then tells that two rows have a word or a
//! subject in common, and not which, unless the root is known, too.
//!
//! What this gives away, to whoever has the database alone: how often each hash occurs, and with which others. So the
//! words of a payload have to be deleted with it: destroying its key does not blind them any further.

use std::{collections::BTreeSet, fmt, hash::Hasher};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use siphasher::sip::SipHasher24;

use super::{
    secret::Secret,
    words::{Reach, each_word},
};

const TAG_BYTES: usize = 16;

/// Half of an HMAC-SHA-256 of the subject's id, byte for byte: `Anna` and `anna` are two subjects.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SubjectTag(pub(crate) [u8; TAG_BYTES]);

/// SipHash-2-4 of a word. 64 bits are enough to find rows, and SipHash is made for short texts: words are the one thing
/// here of which there are a hundred to an event.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct BlindWord(pub(crate) u64);

/// The different words of one event, or of one question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BlindWords {
    /// In the order of the hashes, so that the order of the text is not told.
    pub(crate) words: BTreeSet<BlindWord>,
    /// False if there were more than were wanted: then the first ones are here.
    pub(crate) complete: bool,
}

pub(crate) struct Blinder {
    subject: Hmac<Sha256>,
    word: Secret,
}

impl Blinder {
    pub(super) fn new(subject: &Secret, word: Secret) -> Self {
        #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
        let subject = Hmac::new_from_slice(subject.bytes()).expect("any length");
        Self { subject, word }
    }

    pub(crate) fn subject(&self, id: &str) -> SubjectTag {
        let hash = self.subject.clone().chain_update(id).finalize().into_bytes();
        let mut tag = SubjectTag([0; TAG_BYTES]);
        tag.0.iter_mut().zip(hash).for_each(|(byte, hashed)| *byte = hashed);
        tag
    }

    /// An exact text, other for each kind of text: a request's id is no session's.
    pub(crate) fn number(&self, kind: &str, text: &str) -> i64 {
        let mut hasher = self.hasher();
        for part in [kind, "\0", text] {
            hasher.write(part.as_bytes());
        }
        hasher.finish().cast_signed()
    }

    /// What an event is found by: at most `words_max` different words of its texts, with the pieces of joined ones.
    pub(crate) fn of_event<'t>(
        &self,
        texts: impl IntoIterator<Item = &'t str>,
        words_max: usize,
    ) -> BlindWords {
        self.collect(texts, Reach::WholesAndPieces, words_max)
    }

    /// What a question asks for: an event answers it if it has all of them.
    pub(crate) fn of_question(&self, text: &str, words_max: usize) -> BlindWords {
        self.collect([text], Reach::Wholes, words_max)
    }

    fn hasher(&self) -> SipHasher24 {
        #[expect(clippy::expect_used, reason = "a secret has 32 bytes, and these are 16")]
        SipHasher24::new_with_key(self.word.bytes().first_chunk().expect("16 bytes"))
    }

    fn collect<'t>(
        &self,
        texts: impl IntoIterator<Item = &'t str>,
        reach: Reach,
        words_max: usize,
    ) -> BlindWords {
        let hasher = self.hasher();
        let mut words = BTreeSet::new();
        let mut take = |word: &str| {
            let word = BlindWord(hashed(hasher, word));
            words.contains(&word) || words.len() < words_max && words.insert(word)
        };
        let complete = texts.into_iter().all(|text| each_word(text, reach, &mut take));
        BlindWords { words, complete }
    }
}

fn hashed(mut hasher: SipHasher24, word: &str) -> u64 {
    hasher.write(word.as_bytes());
    hasher.finish()
}

impl fmt::Debug for Blinder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Blinder(..)")
    }
}

impl fmt::Display for SubjectTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for SubjectTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for BlindWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for BlindWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// With spaces between them, as an index of words takes them.
impl fmt::Display for BlindWords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut between = "";
        self.words.iter().try_for_each(|word| {
            write!(f, "{between}{word}")?;
            between = " ";
            Ok(())
        })
    }
}
