//! A secret as its SHA-256: what is stored of API keys and of the first token.
//!
//! A plain hash is enough here, because a secret is 32 bytes of chance and cannot be guessed from its hash. It would not
//! be for a word that a person chose.
//!
//! Invariant: two hashes are compared in the same time wherever they differ. There is no `==` for them.

use sha2::{Digest, Sha256};

#[derive(Clone)]
pub(crate) struct SecretHash([u8; 32]);

impl SecretHash {
    pub(crate) fn of(secret: &str) -> Self {
        Self(Sha256::digest(secret.as_bytes()).into())
    }

    /// As the database has it.
    pub(crate) const fn from_bytes(hash: [u8; 32]) -> Self {
        Self(hash)
    }

    /// For the database.
    pub(crate) const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    pub(crate) fn is_of(&self, presented: &str) -> bool {
        let presented = Self::of(presented);
        let differing = self.0.iter().zip(&presented.0).fold(0, |differing, (a, b)| differing | (a ^ b));
        // Otherwise the compiler may leave the loop at the first difference.
        std::hint::black_box(differing) == 0
    }
}

/// Whoever reads a log could look for the secret of a hash elsewhere.
impl std::fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretHash")
    }
}

#[cfg(test)]
mod tests {
    use std::marker::PhantomData;

    use super::*;

    #[test]
    fn a_difference_at_any_bit_is_a_difference() {
        let hash = SecretHash::of("a secret");
        assert!(hash.is_of("a secret"));
        assert!(!hash.is_of("a secres"));
        for bit in 0..256 {
            let mut other = *hash.as_bytes();
            other[bit / 8] ^= 1 << (bit % 8);
            assert!(!SecretHash::from_bytes(other).is_of("a secret"), "bit {bit}");
        }
    }

    struct Probe<T>(PhantomData<T>);

    trait WithoutEquality {
        const HAS_EQUALITY: bool = false;
    }

    impl<T> WithoutEquality for Probe<T> {}

    // What a type has itself is taken before what a trait gives it.
    impl<T: PartialEq> Probe<T> {
        const HAS_EQUALITY: bool = true;
    }

    #[test]
    fn hashes_have_no_equality_that_could_leave_early() {
        let _ = Probe::<SecretHash>(PhantomData);
        assert_eq!([Probe::<SecretHash>::HAS_EQUALITY, Probe::<[u8; 32]>::HAS_EQUALITY], [false, true]);
    }

    #[test]
    fn a_hash_is_not_printed() {
        assert_eq!(format!("{:?}", SecretHash::of("a secret")), "SecretHash");
    }
}
