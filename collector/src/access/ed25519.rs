//! Public keys whose signatures say who signed.
//!
//! Invariant: a key has one text of 32 bytes, nobody else can sign for it, and a message has one signature by it. So the
//! few points that anyone can sign for and second writings of a point are no keys, and signatures are checked strictly.

use std::fmt;

use ed25519_dalek::{Signature, VerifyingKey};

#[derive(Clone, PartialEq, Eq)]
pub(crate) struct PublicKey(VerifyingKey);

impl PublicKey {
    pub(crate) fn from_bytes(bytes: &[u8; 32]) -> Result<Self, &'static str> {
        let key = VerifyingKey::from_bytes(bytes).map_err(|_| "it is no point of the curve")?;
        if key.to_edwards().compress().as_bytes() != bytes {
            return Err("it is a second writing of a point of the curve");
        }
        match key.is_weak() {
            true => Err("it is one of the few weak keys that anyone can sign for"),
            false => Ok(Self(key)),
        }
    }

    pub(crate) fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    pub(crate) fn has_signed(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        self.0.verify_strict(message, &Signature::from_bytes(signature)).is_ok()
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PublicKey")
    }
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::{Signer, SigningKey};
    use proptest::prelude::*;

    use super::*;

    fn hex(text: &str) -> [u8; 32] {
        let digit = |sign: u8| char::from(sign).to_digit(16).unwrap() as u8;
        let bytes: Vec<u8> =
            text.as_bytes().chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect();
        bytes.try_into().unwrap()
    }

    /// The points of order 1, 2, 4 and 8, and writings of them with a coordinate that is not below 2^255 - 19.
    #[test]
    fn points_that_anyone_can_sign_for_are_no_keys() {
        for text in [
            "0100000000000000000000000000000000000000000000000000000000000000",
            "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "0000000000000000000000000000000000000000000000000000000000000000",
            "0000000000000000000000000000000000000000000000000000000000000080",
            "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
            "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
            "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
            "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
            "0100000000000000000000000000000000000000000000000000000000000080",
            "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        ] {
            assert!(PublicKey::from_bytes(&hex(text)).is_err(), "{text}");
        }
    }

    /// 2^255 - 19 + 3 is another writing of 3, which is the coordinate of a point of full order.
    #[test]
    fn a_second_writing_of_a_good_point_is_no_key() {
        let mut good = [0; 32];
        good[0] = 3;
        assert!(PublicKey::from_bytes(&good).is_ok());
        let second = hex("f0ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f");
        assert!(VerifyingKey::from_bytes(&second).is_ok(), "the library reads it");
        assert!(PublicKey::from_bytes(&second).unwrap_err().contains("second writing"));
    }

    /// Case 2 of ed25519-speccheck ("Taming the many EdDSAs", Chalkias, Garillot and Nikolaenko): the holder of a key can
    /// make further signatures with a commitment of small order, which plain verification takes.
    #[test]
    fn a_further_signature_of_the_holder_is_refused() {
        let message = hex("aebf3f2601a0c8c5d39cc7d8911642f740b78168218da8471772b35f9d35b9ab");
        let key = hex("f7badec5b8abeaf699583992219b7b223f1df3fbbea919844e3f7c554a43dd43");
        let mut signature = [0; 64];
        signature[..32]
            .copy_from_slice(&hex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa"));
        signature[32..]
            .copy_from_slice(&hex("8c4bd45aecaca5b24fb97bc10ac27ac8751a7dfe1baff8b953ec9f5833ca260e"));
        let plain = VerifyingKey::from_bytes(&key).unwrap();
        assert!(
            ed25519_dalek::Verifier::verify(&plain, &message, &Signature::from_bytes(&signature)).is_ok()
        );
        assert!(!PublicKey::from_bytes(&key).unwrap().has_signed(&message, &signature));
    }

    /// A stranger can add the order of the group to the second half of a signature.
    #[test]
    fn a_signature_changed_by_a_stranger_is_refused() {
        const ORDER: &str = "edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010";
        let signing = SigningKey::from_bytes(&[1; 32]);
        let mut signature = signing.sign(b"words").to_bytes();
        let key = PublicKey::from_bytes(signing.verifying_key().as_bytes()).unwrap();
        assert!(key.has_signed(b"words", &signature));
        let mut carry = 0;
        for (byte, more) in signature[32..].iter_mut().zip(hex(ORDER)) {
            carry += u16::from(*byte) + u16::from(more);
            *byte = carry as u8;
            carry >>= 8;
        }
        assert_eq!(carry, 0);
        assert!(!key.has_signed(b"words", &signature));
    }

    proptest! {
        #[test]
        fn one_bit_of_key_message_or_signature_decides(seed in any::<[u8; 32]>(), bit in 0usize..(32 + 5 + 64) * 8) {
            let signing = SigningKey::from_bytes(&seed);
            let mut all = signing.verifying_key().to_bytes().to_vec();
            all.extend(b"words");
            all.extend(signing.sign(b"words").to_bytes());
            let holds = |all: &[u8]| {
                let (key, rest) = all.split_at(32);
                let (message, signature) = rest.split_at(5);
                PublicKey::from_bytes(key.try_into().unwrap())
                    .is_ok_and(|key| key.has_signed(message, signature.try_into().unwrap()))
            };
            prop_assert!(holds(&all));
            all[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(!holds(&all));
        }
    }
}
