//! What is written today has to be read in years. The bytes here were computed by another implementation, libsodium with
//! the standard library of Python, from the descriptions in the modules.

use std::io::Write;

use super::*;
use crate::vault::{blind::Blinder, stream::Label};

/// 0, 1, 2 and so on.
struct Counting(u8);

impl Entropy for Counting {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), NoEntropy> {
        for byte in bytes {
            *byte = self.0;
            self.0 += 1;
        }
        Ok(())
    }
}

fn kek_ring() -> Ring {
    Ring::of(Kek::fresh(&mut Counting(0)).unwrap())
}

fn counted(from: u8) -> Nonce {
    Nonce::fresh(&mut Counting(from)).unwrap()
}

const WRAPPED_START: &str = "016c0f1e48404142434445464748494a4b4c4d4e4f5051525354555657\
    8654fd3bb2c2d3a4820beec22fd8d22e6fcad67f2d6f9609f280bcdfc5e54465";

#[test]
fn a_key_encryption_key() {
    let text = "kek:6c0f1e48:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    assert_eq!(*kek_ring().first().to_text(), text);
}

#[test]
fn a_wrapped_data_key_and_a_wrapped_root() {
    for (subject, tag) in
        [(Some(TAG), "4c84ea6512957470c47cc566677b8a27"), (None, "33ff90dd18363408be7421da712149ec")]
    {
        let key = DataKey::fresh(KeyId(42), scope(subject), &mut Counting(32)).unwrap();
        let wrapped = key.wrap(&kek_ring(), counted(64)).unwrap();
        assert_eq!(hex(&wrapped.to_bytes()), format!("{WRAPPED_START}{tag}"));
    }
    let root = Root::fresh(&mut Counting(32)).unwrap();
    let wrapped = root.wrap(&kek_ring(), counted(64)).unwrap();
    assert_eq!(hex(&wrapped.to_bytes()), format!("{WRAPPED_START}0c89c863d9083c52308316aa88deebcc"));
}

#[test]
fn a_sealed_payload_and_its_commitment() {
    let key = DataKey::fresh(KeyId(42), scope(None), &mut Counting(32)).unwrap();
    let payload = Payload {
        body: br#"{"verdict":"malicious"}"#.as_slice(),
        salt: Salt::fresh(&mut Counting(88)).unwrap(),
    };
    let place = Place { column: "body", vm: "vm-1", seq: 7 };
    let sealed = "0168696a6b6c6d6e6f707172737475767778797a7b7c7d7e7f\
        60d736d859fd5335b11295cf405e6387e15bc64afd4a243821e3f8c19d9b6ead64f14be36d7ea4\
        2b3e1a36a8b436ac4a87934a9798a30c";
    assert_eq!(hex(&key.seal(&place, &payload, counted(104)).unwrap()), sealed);
    assert_eq!(
        payload.commitment().to_string(),
        "6ef3e897bec56a7be499eb6f493de47c781a6224c1aa100fb1535ab22007ed6a"
    );
}

#[test]
fn what_comes_from_the_root() {
    let root = Root::fresh(&mut Counting(32)).unwrap();
    assert_eq!(
        hex(root.log_seed().bytes()),
        "e0ec61698ea274245c48c393ab5b0abc85514db3563ecc89e7847497c46dff85"
    );
    let blinder: Blinder = root.blinder();
    assert_eq!(blinder.subject("anna@example.org").to_string(), "6e105f3fd92a33a17688b1a784ee4d65");
    for (word, hash) in [
        ("anna", "b5d716de57e8d8c0"),
        ("grüße", "5585481d65bfb7e6"),
        ("anna@mail.example.org", "f734d33774df3858"),
    ] {
        assert_eq!(blinder.of_question(word, 8).to_string(), hash, "{word}");
    }
}

#[test]
fn a_sealed_file() {
    let content: Vec<u8> = (0..65_541u64).map(|i| (i * 7 % 251) as u8).collect();
    for (content, length, hash) in [
        (&content[..], 65_676, "7a31dbf3306030a432ba7eddbb976ebab04db34aa1d952d1f6528e39b7fb7f1e"),
        (&[], 119, "f3538c29b250f9b684792664f69661d49a4e6e6d08184caef598487f2a1f5b59"),
    ] {
        let label = Label::new("database", "full.db").unwrap();
        let mut sealer = Sealer::begin(Vec::new(), label, &kek_ring(), &mut Counting(32)).unwrap();
        sealer.write_all(content).unwrap();
        let file = sealer.finish().unwrap();
        assert_eq!(file.len(), length);
        assert_eq!(hex(&Sha256::digest(&file)), hash);
    }
}
