//! The primitives give what their standards say.

use std::hash::Hasher;

use chacha20poly1305::{AeadInOut, ChaCha20Poly1305, KeyInit};
use hkdf::Hkdf;
use siphasher::sip::SipHasher24;

use super::*;
use crate::vault::{aead, secret::Secret};

const SUNSCREEN: &[u8] =
    b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the \
    future, sunscreen would be it.";
const AAD: &str = "50515253c0c1c2c3c4c5c6c7";

fn key() -> Secret {
    Secret::copied(&(0x80..0xa0).collect::<Vec<u8>>()).unwrap()
}

#[test]
fn chacha20_poly1305_as_in_section_2_8_2_of_rfc_8439() {
    let mut text = SUNSCREEN.to_vec();
    let nonce: [u8; 12] = unhex("070000004041424344454647").try_into().unwrap();
    let cipher = ChaCha20Poly1305::new(key().bytes().into());
    let tag = cipher.encrypt_inout_detached(&nonce.into(), &unhex(AAD), text.as_mut_slice().into()).unwrap();
    assert_eq!(
        hex(&text),
        "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d63dbea45e8ca9671282fafb69da92728b\
         1a71de0a9e060b2905d6a5b67ecd3b3692ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc\
         3ff4def08e4b7a9de576d26586cec64b6116"
    );
    assert_eq!(hex(&tag), "1ae10b594f09e26a7e902ecbd0600691");
}

#[test]
fn xchacha20_poly1305_as_in_appendix_a_3_1_of_draft_irtf_cfrg_xchacha() {
    let mut text = SUNSCREEN.to_vec();
    let nonce: [u8; 24] = (0x40..0x58).collect::<Vec<u8>>().try_into().unwrap();
    let tag = aead::encrypt(&key(), &nonce, &unhex(AAD), &mut text).unwrap();
    assert_eq!(
        hex(&text),
        "bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb731c7f1b0b4aa6440bf3a82f4eda7e39\
         ae64c6708c54c216cb96b72e1213b4522f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3fff9\
         21f9664c97637da9768812f615c68b13b52e"
    );
    assert_eq!(hex(&tag), "c0875924c1c7987947deafd8780acf49");
    aead::decrypt(&key(), &nonce, &unhex(AAD), &mut text, &tag).unwrap();
    assert_eq!(text, SUNSCREEN);
}

#[test]
fn hkdf_sha_256_as_in_the_first_case_of_rfc_5869() {
    let mut okm = [0; 42];
    let info = unhex("f0f1f2f3f4f5f6f7f8f9");
    let salt = unhex("000102030405060708090a0b0c");
    Hkdf::<Sha256>::new(Some(&salt), &[0x0b; 22]).expand(&info, &mut okm).unwrap();
    assert_eq!(
        hex(&okm),
        "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"
    );
}

#[test]
fn siphash_2_4_as_in_appendix_a_of_its_paper() {
    let bytes: Vec<u8> = (0..16).collect();
    let mut hasher = SipHasher24::new_with_key(bytes.first_chunk().unwrap());
    hasher.write(&bytes[..15]);
    assert_eq!(hasher.finish(), 0xa129_ca61_49be_45e5);
}
