//! What is refused, and with which reason and place; what stands at a limit.

use ed25519_dalek::Signer;
use sentinel_ledger::{
    AddCheckpoint, Algorithm, Checkpoint, CheckpointError, CosignerKey, EMPTY_ROOT, KeyError, NOTE_BYTES_MAX,
    Note, NoteError, ProofFile, ProofFileError, RequestError, SIGNATURES_MAX, SignerKey, TIME_MAX,
    VerifierKey, cosignatures, leaf_hash, parse_conflict,
};

use crate::naive;

const LINE: &str = "— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n";

pub(crate) fn log_key() -> SignerKey {
    SignerKey::from_seed("example.com/log", &[1; 32]).unwrap()
}

pub(crate) fn witness_key() -> CosignerKey {
    CosignerKey::from_seed("witness.example/w1", &[2; 32]).unwrap()
}

pub(crate) fn head(size: u64) -> Checkpoint {
    Checkpoint::new("example.com/log", size, leaf_hash(&size.to_be_bytes()), Vec::new()).unwrap()
}

#[test]
fn a_note_is_refused_with_the_place() {
    let note = |text: &str| Note::parse(text.as_bytes()).unwrap_err();
    assert_eq!(note(""), NoteError::NoEmptyLine);
    assert_eq!(note("text\n"), NoteError::NoEmptyLine);
    assert_eq!(note(&format!("text\n{LINE}")), NoteError::NoEmptyLine);
    assert_eq!(
        note(&format!("\n{LINE}")),
        NoteError::NoEmptyLine,
        "a text ends with a newline, so it has one"
    );
    assert_eq!(note("text\n\n"), NoteError::Signatures(0));
    assert_eq!(note(&format!("text\n\n{}", LINE.trim_end())), NoteError::NoLastNewline);
    assert_eq!(note(&format!("te\u{1}xt\n\n{LINE}")), NoteError::Control { at: 2, byte: 1 });
    assert_eq!(note(&format!("text\r\n\r\n{LINE}")), NoteError::Control { at: 4, byte: b'\r' });
    assert_eq!(Note::parse(b"te\xffxt\n\n"), Err(NoteError::Utf8(2)));
    for wrong in [
        "",
        " ",
        "—",
        "— ",
        "— a",
        "— a ",
        "- a AAAAAAA=",
        "—  AAAAAAA=",
        "— a+b AAAAAAA=",
        "— a AAAAAA==",
        "— a AAAA",
        "— a AAAAAAA",
        "— a AAAAAAB=",
        "— a  AAAAAAA=",
        "— a AAAAAAA= ",
        "— a b AAAAAAA=",
        "— a\u{a0}b AAAAAAA=",
    ] {
        assert_eq!(
            note(&format!("text\n\n{LINE}{wrong}\n")),
            if wrong.is_empty() { NoteError::Signatures(0) } else { NoteError::SignatureLine { line: 2 } },
            "{wrong:?}"
        );
    }
    assert!(Note::parse(format!("\n\n{LINE}").as_bytes()).is_ok(), "a text of one empty line");
    assert_eq!(Note::parse(&vec![b'a'; NOTE_BYTES_MAX + 1]), Err(NoteError::TooLong(NOTE_BYTES_MAX + 1)));
}

#[test]
fn a_note_at_its_limits() {
    let note = |n: usize| Note::parse(format!("text\n\n{}", LINE.repeat(n)).as_bytes());
    assert!(note(16).is_ok(), "the specification asks for these");
    let mut full = note(SIGNATURES_MAX).unwrap();
    assert_eq!(note(SIGNATURES_MAX + 1), Err(NoteError::Signatures(SIGNATURES_MAX + 1)));
    let before = full.clone();
    let one_more = log_key().signature_of("text\n");
    assert_eq!(full.add(one_more), Err(NoteError::Signatures(SIGNATURES_MAX + 1)));
    assert_eq!(full, before);

    let longest = "a".repeat(NOTE_BYTES_MAX - LINE.len() - 2) + "\n";
    let note = Note::parse(format!("{longest}\n{LINE}").as_bytes()).unwrap();
    assert_eq!(note.to_string().len(), NOTE_BYTES_MAX);
    let error = Note::new(&format!("a{longest}"), note.signatures().to_vec());
    assert_eq!(error, Err(NoteError::TooLong(NOTE_BYTES_MAX + 1)));
    assert_eq!(Note::new("text", note.signatures().to_vec()), Err(NoteError::NoNewline));
    assert_eq!(Note::new("text\n", Vec::new()), Err(NoteError::Signatures(0)));
}

#[test]
fn which_signatures_count() {
    let (log, other) = (log_key(), SignerKey::from_seed("example.com/other", &[3; 32]).unwrap());
    let (text, known) = ("text\n", [log.verifier().clone()]);
    let by_other = other.sign(text).unwrap();
    assert!(
        matches!(by_other.verify(&known), Err(NoteError::NoKnownSignature { signed_by }) if signed_by.len() == 1)
    );

    let mut both = by_other.clone();
    both.add(log.signature_of(text)).unwrap();
    both.add(log.signature_of(text)).unwrap();
    assert_eq!(both.signatures().len(), 2, "a key's new signature takes the place of its old one");
    assert_eq!(both.verify(&known).unwrap().len(), 1);
    assert_eq!(both.verify(&[known[0].clone(), other.verifier().clone()]).unwrap().len(), 2);

    let repeated = both.to_string() + &log.signature_of(text).to_string();
    assert_eq!(
        Note::parse(repeated.as_bytes()).unwrap().verify(&known).unwrap().len(),
        1,
        "a key counts once"
    );

    // A known key's signature of another text spoils the note, wherever it stands.
    let foreign = log.signature_of("another\n").to_string();
    for spoilt in [format!("{both}{foreign}"), both.to_string().replace("\n\n", &format!("\n\n{foreign}"))] {
        let error = Note::parse(spoilt.as_bytes()).unwrap().verify(&known).unwrap_err();
        assert!(matches!(error, NoteError::WrongSignature { .. }), "{error}");
    }
    // The same name or the same id alone is another key.
    let namesake = SignerKey::from_seed("example.com/log", &[9; 32]).unwrap();
    let mut note = log.sign(text).unwrap();
    note.add(namesake.signature_of("another\n")).unwrap();
    assert_eq!(note.verify(&known).unwrap().len(), 1);
    let renamed = log.signature_of("another\n").to_string().replace("example.com/log", "example.com/gol");
    let note = Note::parse(format!("{}{renamed}", log.sign(text).unwrap()).as_bytes()).unwrap();
    assert_eq!(note.verify(&known).unwrap().len(), 1);
}

#[test]
fn keys_are_refused_with_the_reason() {
    let vkey = log_key().verifier().to_string();
    let error = |text: &str| VerifierKey::parse(text).unwrap_err();
    for form in
        ["", "a", "a+b", "a+00000000", "a+0000000+AAAA", "a+0000000A+AAAA", "a+00000000+A", "a+00000000+"]
    {
        assert_eq!(error(form), KeyError::Form, "{form:?}");
    }
    assert!(matches!(error(&vkey.replace("example", "sample")), KeyError::Id { .. }));
    let (name, rest) = vkey.split_once('+').unwrap();
    let other_id =
        format!("{name}+{}{}", if rest.starts_with('0') { '1' } else { '0' }, rest.get(1..).unwrap());
    assert!(matches!(error(&other_id), KeyError::Id { .. }));
    assert!(matches!(error("a+00000000+AQID"), KeyError::Length { found: 2, .. }));
    assert!(matches!(VerifierKey::new("", Algorithm::Ed25519, &[0; 32]), Err(KeyError::Name(_))));
    for name in ["", "a b", "a+b", "a\n", "a\u{a0}", "a\u{2003}b", "a\0"] {
        assert!(matches!(SignerKey::from_seed(name, &[1; 32]), Err(KeyError::Name(_))), "{name:?}");
    }
    let weak =
        [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    assert!(matches!(VerifierKey::new("a", Algorithm::Ed25519, &weak), Err(KeyError::Weak(_))));
    assert!(matches!(VerifierKey::new("a", Algorithm::Ed25519, &[2; 32]), Err(KeyError::Point(_))));
    let ml_dsa = "a+00000000+BgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    assert!(matches!(error(ml_dsa), KeyError::Type { found: 6, .. }));

    // A log's key and a witness's are not taken for each other, nor a public one for a secret.
    assert!(matches!(CosignerKey::parse(&log_key().to_text()), Err(KeyError::Type { found: 1, .. })));
    assert!(matches!(SignerKey::parse(&witness_key().to_text()), Err(KeyError::Type { found: 4, .. })));
    assert!(matches!(SignerKey::parse(&vkey), Err(KeyError::NotSecret)));
    assert!(VerifierKey::parse(&log_key().to_text()).is_err());
    assert_eq!(CosignerKey::parse(&witness_key().to_text()).unwrap().verifier(), witness_key().verifier());
}

#[test]
fn a_cosignature_holds_for_its_time_and_kind_only() {
    let (checkpoint, witness) = (head(7), witness_key());
    let known = [witness.verifier().clone()];
    let note = |line| Note::new(&checkpoint.to_string(), vec![line]).unwrap();
    for time in [0, 1, 1_679_315_147, TIME_MAX] {
        let verified = note(witness.cosign(&checkpoint, time).unwrap()).verify(&known).unwrap();
        assert_eq!(verified[0].time_s, Some(time));
    }
    assert!(matches!(witness.cosign(&checkpoint, TIME_MAX + 1), Err(KeyError::Time(_))));
    // What is signed, and that a time beyond the limit is refused though the signature is right.
    for (time, is_taken) in [(TIME_MAX, true), (TIME_MAX + 1, false)] {
        let message =
            format!("cosignature/v1\ntime {time}\nexample.com/log\n7\n{}\n", checkpoint.root().to_base64());
        let signature = ed25519_dalek::SigningKey::from_bytes(&[2; 32]).sign(message.as_bytes()).to_bytes();
        let id = known[0].id().0.to_be_bytes();
        let bytes = [&id[..], &time.to_be_bytes(), &signature].concat();
        let line = format!("— witness.example/w1 {}\n", sentinel_bundle::base64::encode(&bytes));
        let note = Note::parse(format!("{checkpoint}\n{line}").as_bytes()).unwrap();
        assert_eq!(note.verify(&known).is_ok(), is_taken, "time {time}");
    }
    // The same seed as a log's key: another id, and no signature of the one passes for one of the other.
    let twin = SignerKey::from_seed("witness.example/w1", &[2; 32]).unwrap();
    assert_ne!(twin.verifier().id(), witness.verifier().id());
    assert!(note(witness.cosign(&checkpoint, 1).unwrap()).verify(&[twin.verifier().clone()]).is_err());
    let extended = Checkpoint::new("example.com/log", 7, *checkpoint.root(), vec!["more".into()]).unwrap();
    let moved = Note::new(&extended.to_string(), vec![witness.cosign(&checkpoint, 1).unwrap()]).unwrap();
    assert!(moved.verify(&known).is_err(), "extension lines are signed too");
}

#[test]
fn a_checkpoint_is_refused_with_the_line() {
    let root = EMPTY_ROOT.to_base64();
    assert_eq!(head(0).to_string().lines().count(), 3);
    for (text, line) in [
        (String::new(), 1),
        ("\n".into(), 2),
        ("a".into(), 1),
        (format!("a\n0\n{root}"), 3),
        ("a\n".into(), 2),
        ("a\n0\n".into(), 3),
        (format!("\n0\n{root}\n"), 1),
        (format!("a\n\n{root}\n"), 2),
        (format!("a\n01\n{root}\n"), 2),
        (format!("a\n+1\n{root}\n"), 2),
        (format!("a\n 1\n{root}\n"), 2),
        (format!("a\n18446744073709551616\n{root}\n"), 2),
        (format!("a\n0\n{root}=\n"), 3),
        ("a\n0\nAAAA\n".into(), 3),
        (format!("a\n0\n{root}\n\n"), 4),
        (format!("a\n0\n{root}\nb\n\n"), 5),
        (format!("a\t\n0\n{root}\n"), 1),
        (format!("a\n0\n{root}\nb\r\n"), 4),
    ] {
        let error = Checkpoint::parse(&text).unwrap_err();
        assert!(matches!(error, CheckpointError::Line { line: l, .. } if l == line), "{text:?}: {error}");
    }
    assert!(Checkpoint::new("a\nb", 0, EMPTY_ROOT, Vec::new()).is_err());
    assert!(Checkpoint::new("a", 0, EMPTY_ROOT, vec![String::new()]).is_err());
}

#[test]
fn a_request_is_refused_with_the_line() {
    let note = head(5).sign(&log_key()).unwrap();
    let hash = EMPTY_ROOT.to_base64();
    let error = |text: String| AddCheckpoint::parse(text.as_bytes()).unwrap_err();
    for old in ["", "old", "old ", "old 01", "old +1", "old  1", "Old 1", "new 1", "old 1 ", "old -1"] {
        assert_eq!(error(format!("{old}\n{hash}\n\n{note}")), RequestError::OldSize, "{old:?}");
    }
    assert_eq!(error(String::new()), RequestError::NoEmptyLine);
    assert_eq!(error(format!("old 1\n{hash}\n")), RequestError::NoEmptyLine);
    assert_eq!(error(format!("old 1\n{hash}\n{hash}=\n\n{note}")), RequestError::ProofLine { line: 3 });
    assert_eq!(error(format!("old 1\n{hash}\r\n\n{note}")), RequestError::ProofLine { line: 2 });
    let lines = |n| format!("{hash}\n").repeat(n);
    assert_eq!(error(format!("old 1\n{}\n{note}", lines(64))), RequestError::ProofLines(64));
    assert!(AddCheckpoint::parse(format!("old 1\n{}\n{note}", lines(63)).as_bytes()).is_ok());
    assert!(
        matches!(error(format!("old 1\n\n\n{note}")), RequestError::Checkpoint(_)),
        "a second empty line"
    );
    assert!(matches!(error("old 1\n\n".into()), RequestError::Checkpoint(_)));
    let no_checkpoint = log_key().sign("hello\n").unwrap();
    assert!(matches!(error(format!("old 1\n\n{no_checkpoint}")), RequestError::Checkpoint(_)));
    let too_long = sentinel_ledger::REQUEST_BYTES_MAX + 1;
    assert_eq!(AddCheckpoint::parse(&vec![b'a'; too_long]), Err(RequestError::TooLong(too_long)));
    assert!(AddCheckpoint::new(1, vec![EMPTY_ROOT; 64], note).is_err());
}

#[test]
fn a_file_proves_an_entry() {
    let leaves = naive::leaves(11);
    let root = naive::root(&leaves);
    let checkpoint = Checkpoint::new("example.com/log", 11, root, Vec::new()).unwrap();
    let mut note = checkpoint.sign(&log_key()).unwrap();
    note.add(witness_key().cosign(&checkpoint, 99).unwrap()).unwrap();
    let keys = [log_key().verifier().clone()];
    for extra in [None, Some(b"seen by the auditor".to_vec())] {
        let file = ProofFile::new(extra.clone(), 4, naive::path(4, &leaves), note.clone()).unwrap();
        let file = ProofFile::parse(file.to_string().as_bytes()).unwrap();
        assert_eq!((file.extra(), file.index()), (extra.as_deref(), 4));
        let signed = file.verify(&leaves[4], "example.com/log", &keys).unwrap();
        assert_eq!(signed.cosignatures(&[witness_key().verifier().clone()]).unwrap()[0].time_s, Some(99));
        assert!(file.verify(&leaves[5], "example.com/log", &keys).is_err());
        assert!(file.verify(&leaves[4], "example.com/other", &keys).is_err());
        assert!(file.verify(&leaves[4], "example.com/log", &[]).is_err());
    }
    let text = ProofFile::new(Some(vec![1]), 4, naive::path(4, &leaves), note).unwrap().to_string();
    assert!(text.starts_with("c2sp.org/tlog-proof@v1\nextra AQ==\nindex 4\n"));
    let error = |text: String| ProofFile::parse(text.as_bytes()).unwrap_err();
    let line = |text: String| match error(text) {
        ProofFileError::Line { line, .. } => line,
        other => panic!("{other}"),
    };
    assert_eq!(line(text.replace("@v1", "@v2")), 1);
    assert_eq!(line(text.replace("AQ==", "AQ=")), 2);
    assert_eq!(line(text.replace("index 4", "index 04")), 3);
    assert_eq!(line(text.replace("extra AQ==\nindex 4\n", "index 4\nextra AQ==\n")), 3);
    assert_eq!(line(text.replace("index 4\n", "index 4\nAAAA\n")), 4);
    assert_eq!(error(text.replace("AQ==", "")), ProofFileError::Extra(0));
    let path = format!("index 4\n{}", format!("{}\n", EMPTY_ROOT.to_base64()).repeat(61));
    assert_eq!(error(text.replace("index 4\n", &path)), ProofFileError::Path(65));
}

#[test]
fn an_answer_gives_the_signatures_of_known_witnesses() {
    let (checkpoint, witness) = (head(7), witness_key());
    let line = witness.cosign(&checkpoint, 5).unwrap();
    let known = [witness.verifier().clone()];
    let answer = format!("{LINE}{line}{LINE}");
    assert_eq!(cosignatures(answer.as_bytes(), &checkpoint, &known), Ok(vec![line.clone()]));
    assert!(matches!(
        cosignatures(LINE.as_bytes(), &checkpoint, &known),
        Err(NoteError::NoKnownSignature { .. })
    ));
    assert!(matches!(
        cosignatures(answer.as_bytes(), &head(8), &known),
        Err(NoteError::WrongSignature { .. })
    ));
    for wrong in ["", "\n", "hello\n", answer.trim_end()] {
        assert!(cosignatures(wrong.as_bytes(), &checkpoint, &known).is_err(), "{wrong:?}");
    }
    assert_eq!(parse_conflict(b"20852163\n"), Some(20_852_163));
    for wrong in [&b""[..], b"\n", b"1", b"01\n", b"1\n\n", b" 1\n", b"-1\n", b"\xff\n"] {
        assert_eq!(parse_conflict(wrong), None);
    }
}
