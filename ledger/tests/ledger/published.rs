//! Test vectors and examples that others published. Sources:
//! - `vectors/*.json`: transparency-dev/merkle, commit 417fb0c3, `testdata/` (Apache-2.0), one line for each file;
//!   leaves and roots from its `testonly/constants.go`.
//! - the examples of C2SP `signed-note`, `tlog-cosignature`, `tlog-witness`.
//! - the example of Go's `golang.org/x/mod/sumdb/note`.
//! - a checkpoint of sum.golang.org, and requests to a witness, from FiloSottile/torchwood, `cmd/litewitness/testdata`.
//! - a checkpoint of a public log with cosignatures of public witnesses: `arche2025h1.staging.ct.transparency.dev`.

use sentinel_ledger::{
    AddCheckpoint, Algorithm, Checkpoint, Hash, Note, NoteError, SignerKey, Tree, VerifierKey, leaf_hash,
    verify_consistency, verify_inclusion,
};
use serde_json::Value;

/// A few vectors have a word in place of a root: another hash says the same. Nothing at all is no hash here.
fn hash(value: &Value) -> Option<Hash> {
    let text = value.as_str().filter(|text| !text.is_empty())?;
    Some(Hash::from_base64(text).unwrap_or_else(|| leaf_hash(text.as_bytes())))
}

fn proof(vector: &Value) -> Option<Vec<Hash>> {
    vector["proof"].as_array().into_iter().flatten().map(hash).collect()
}

#[test]
fn inclusion_vectors_of_transparency_dev() {
    let vectors: Vec<Value> = serde_json::from_str(include_str!("vectors/inclusion.json")).unwrap();
    assert_eq!(vectors.len(), 98);
    let is_proof = |v: &Value| {
        let (index, size) = (v["leafIdx"].as_u64().unwrap(), v["treeSize"].as_u64().unwrap());
        verify_inclusion(&hash(&v["leafHash"])?, index, size, &proof(v)?, &hash(&v["root"])?).ok()
    };
    for v in &vectors {
        assert_eq!(is_proof(v).is_none(), v["wantErr"].as_bool().unwrap(), "{}: {}", v["file"], v["desc"]);
    }
}

/// They refuse any proof from the empty tree. RFC 6962 leaves it open; `tlog-witness` wants the empty proof there.
const FROM_NOTHING: &str = "additional/size1-is-zero-and-size2-is-not-zero.json";

#[test]
fn consistency_vectors_of_transparency_dev() {
    let vectors: Vec<Value> = serde_json::from_str(include_str!("vectors/consistency.json")).unwrap();
    assert_eq!(vectors.len(), 98);
    let is_proof = |v: &Value| {
        let (old, new) = (v["size1"].as_u64().unwrap(), v["size2"].as_u64().unwrap());
        verify_consistency(old, &hash(&v["root1"])?, new, &hash(&v["root2"])?, &proof(v)?).ok()
    };
    for v in &vectors {
        let is_refused = v["wantErr"].as_bool().unwrap() && v["file"] != FROM_NOTHING;
        assert_eq!(is_proof(v).is_none(), is_refused, "{}: {}", v["file"], v["desc"]);
    }
}

#[test]
fn roots_of_transparency_dev() {
    let entries: [&[u8]; 8] = [
        b"",
        b"\x00",
        b"\x10",
        b"\x20\x21",
        b"\x30\x31",
        b"\x40\x41\x42\x43",
        b"\x50\x51\x52\x53\x54\x55\x56\x57",
        b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
    ];
    let roots = [
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];
    let mut tree = Tree::new();
    for (entry, root) in entries.iter().zip(roots) {
        assert_eq!(tree.root().to_string(), root);
        tree.push(leaf_hash(entry));
    }
    assert_eq!(tree.root(), Hash::parse(roots[8]).unwrap());
}

const GO_TEXT: &str =
    "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
const GO_SIGNATURE: &str = "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
const GO_PRIVATE: &str = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
const GO_PUBLIC: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";

#[test]
fn the_note_of_go() {
    let key = SignerKey::parse(GO_PRIVATE).unwrap();
    assert_eq!(key.to_text(), GO_PRIVATE);
    assert_eq!(key.verifier().to_string(), GO_PUBLIC);
    assert_eq!(VerifierKey::parse(GO_PUBLIC).unwrap(), *key.verifier());
    assert!(!format!("{key:?}").contains("YEKFALVFGyNhPJEMzD1QIDr"), "the seed is in no log");
    let note = key.sign(GO_TEXT).unwrap();
    assert_eq!(note.to_string(), format!("{GO_TEXT}\n{GO_SIGNATURE}"));
}

#[test]
fn the_note_of_the_specification() {
    let key = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
    let key = VerifierKey::parse(key).unwrap();
    let text = "This is an example message.\n\n— example.com/foo \
        Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n";
    let note = Note::parse(text.as_bytes()).unwrap();
    assert_eq!(note.text(), "This is an example message.\n");
    let verified = note.verify(&[key]).unwrap();
    assert_eq!(
        (verified[0].name.as_str(), verified[0].id.to_string().as_str()),
        ("example.com/foo", "530d903a")
    );
    assert_eq!(verified[0].time_s, None);
}

/// The text of a note may have empty lines; the last one ends it.
#[test]
fn the_poem_of_the_specification() {
    let text = "Ognuno sta solo sul cuor della terra\ntrafitto da un raggio di sole:\n\ned è subito sera.\n";
    let line = "— quasimodo.example/salvatore \
        NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i5ddnGITLlC+EhfLW9oJKONrMouFSQU0xMcXxj99ihAQwaqP3ZekRwNtIc=\n";
    let note = Note::parse(format!("{text}\n{line}").as_bytes()).unwrap();
    assert_eq!((note.text(), note.signatures()[0].to_string().as_str()), (text, line));
}

const SUMDB: &str = "go.sum database tree\n35225469\nvt5T6GaLCXvyHFl9VUvvItR43XZxfLgftEcTyO3eJCQ=\n\n— sum.golang.org \
    Az3grpukl5AXaVfYkLiDGORx/DN2nlcS5kZHR5uYOBV2KA2HgXpD+gu9HHONebHLAyaKbbTM75QTtPydhKCExixSfwQ=\n";

#[test]
fn the_checkpoint_of_the_go_checksum_database() {
    let keys =
        [VerifierKey::parse("sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8").unwrap()];
    let signed = Checkpoint::open(SUMDB.as_bytes(), "go.sum database tree", &keys).unwrap();
    assert_eq!(signed.checkpoint().size(), 35_225_469);
    assert_eq!(
        *signed.checkpoint().root(),
        Hash::from_base64("vt5T6GaLCXvyHFl9VUvvItR43XZxfLgftEcTyO3eJCQ=").unwrap()
    );
    assert_eq!(signed.note().to_string(), SUMDB);
    let other = SUMDB.replace("35225469", "35225468");
    assert!(Checkpoint::open(other.as_bytes(), "go.sum database tree", &keys).is_err());
    assert!(Checkpoint::open(SUMDB.as_bytes(), "sum.golang.org", &keys).is_err(), "another origin");
}

const ARCHE: &str = "arche2025h1.staging.ct.transparency.dev
1432088532
U7WM79jrzyhGZ5/GUBTpM7NzwdyfFx61t3RovgcC4Ro=

— arche2025h1.staging.ct.transparency.dev zTM8sQAAAZ5W0WdjBAMARjBEAiBjW5IQf9pvsYLfQFX6hoGREPMHbdQ3urbllzalApkptQIgIpwtEroeW2BXaHAI4kJXFbon5Ch9MNL5zRNZ55lvGt0=
— arche2025h1.staging.ct.transparency.dev ui8GwCF1+kWqZrxGdhj4aX3gcw7XUlXQQabg/27lefwhUkzbC3NygNI75MdhL1bfTW9g8Ei59RA23oHP7Ry1k3ZFWwQ=
— transparency.dev/DEV:witness-little-garden 2AQqhwAAAABqEiEgzgFIqqhbUoDwjMWE6UP8nd8/KYTzwZ2rhIgcqoXHAwVkjZr4AscylP3v7sEodkRAErumC2q44vdgJY096st5BQ==
— witness1.smartit.nu/witness1 pIyCDwAAAABqEiEghIp82KWebrw7/oHQwlTAm3g2RKS4+eebl8eO0WH+/iEcxZ75W3u5hNI7TOQtmJbqmNWVuE0tgh0XwzdZsDsUAQ==
— remora.n621.de 2net5wAAAABqEiEgPlfF3V06o0Y+fHM+J5J9s27wgxxcOVSpZ/2g/KSiXCg9DEZI+aVCIobWX9sXTynk5XeU/zZ0WBxtqB0DrAWfBw==
— witness.stagemole.eu Z/euoAAAAABqEiEgw0i+7g2ENfDAWHmtRzCfKTHSDwYDJA2NmKeGi9Y8FtEyOUvVr+AJmIY/2TUFucgKi7lI7cUiOvKFYe/TmN9DAg==
";

#[test]
fn a_public_log_with_four_public_witnesses() {
    let log = "arche2025h1.staging.ct.transparency.dev";
    let log_key = VerifierKey::parse(&format!("{log}+ba2f06c0+AU0vHmlGCS/PdN8b2OaGmKprLI8HKM+dJ472xgFYh15f"));
    let witnesses = [
        "remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2",
        "transparency.dev/DEV:witness-little-garden+d8042a87+BCtusOxINQNUTN5Oj8HObRkh2yHf/MwYaGX4CPdiVEPM",
        "witness1.smartit.nu/witness1+a48c820f+BPSFWg9G6KPiO7QPryYO5Xq4oYJJ+kAvLKLSimDhoxMO",
        "witness.stagemole.eu+67f7aea0+BEqSG3yu9YrmcM3BHvQYTxwFj3uSWakQepafafpUqklv",
    ];
    let witnesses = witnesses.map(|key| VerifierKey::parse(key).unwrap());
    assert!(witnesses.iter().all(|key| key.algorithm() == Algorithm::CosignatureV1));
    let signed = Checkpoint::open(ARCHE.as_bytes(), log, &[log_key.unwrap()]).unwrap();
    assert_eq!(signed.note().to_string(), ARCHE, "the signature of a kind that we do not know is kept");
    let cosignatures = signed.cosignatures(&witnesses).unwrap();
    assert_eq!(cosignatures.len(), 4);
    assert!(cosignatures.iter().all(|by| by.time_s == Some(0x6a12_2120)));

    // The same lines under another size, or with another time.
    let other = ARCHE.replace("\n1432088532\n", "\n1432088533\n");
    let error = Note::parse(other.as_bytes()).unwrap().verify(&witnesses[..1]).unwrap_err();
    assert!(matches!(error, NoteError::WrongSignature { name, .. } if name == "remora.n621.de"));
    let later = ARCHE.replace("2net5wAAAABqEiEgP", "2net5wAAAABqEiEhP");
    assert!(Note::parse(later.as_bytes()).unwrap().verify(&witnesses[..1]).is_err());
}

#[test]
fn the_request_of_the_specification() {
    let text = "old 20852014
PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=
jrJZDmY8Y7SyJE0MWLpLozkIVMSMZcD5kvuKxPC3swk=
5+pKlUdi2LeF/BcMHBn+Ku6yhPGNCswZZD1X/6QgPd8=
/6WVhPs2CwSsb5rYBH5cjHV/wSmA79abXAwhXw3Kj/0=

example.com/behind-the-sofa
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
— example.com/behind-the-sofa opLqBQsREYCgu6xQkYQwJr9fo45a62DN9EdmHXnZdXNqlcVGlCum2Wks+49/V6267UEjw6QUXTS5Rovnzv++qbSzm9Q=
";
    let request = AddCheckpoint::parse(text.as_bytes()).unwrap();
    assert_eq!((request.old_size(), request.proof().len()), (20_852_014, 4));
    assert_eq!(request.checkpoint().origin(), "example.com/behind-the-sofa");
    assert_eq!(request.checkpoint().size(), 20_852_163);
    assert_eq!(request.note().signatures().len(), 2);
    assert_eq!(request.to_string(), text);
}
