//! A witness of a log, through everything that the protocol may meet.

use sentinel_ledger::{
    Accepted, AddCheckpoint, Checkpoint, CosignerKey, EMPTY_ROOT, Hash, Note, Refusal, Seen, SignerKey,
    TileMap, VerifierKey, Witness, consistency_proof, cosignatures, leaf_hash, parse_conflict,
};

use crate::naive;

const ORIGIN: &str = "example.com/log";
const NOW: u64 = 1_700_000_000;

struct Log {
    key: SignerKey,
    leaves: Vec<Hash>,
    tiles: TileMap,
}

impl Log {
    fn new(n: usize) -> Self {
        let leaves = naive::leaves(n);
        let key = SignerKey::from_seed(ORIGIN, &[1; 32]).unwrap();
        Self { key, tiles: naive::tiles(&leaves), leaves }
    }

    fn keys(&self) -> Vec<VerifierKey> {
        vec![self.key.verifier().clone()]
    }

    fn head(&self, size: usize) -> Checkpoint {
        Checkpoint::new(ORIGIN, size as u64, naive::root(&self.leaves[..size]), Vec::new()).unwrap()
    }

    fn request(&self, old: usize, new: usize) -> AddCheckpoint {
        let proof = consistency_proof(old as u64, new as u64, &mut self.tiles.clone()).unwrap();
        let request = AddCheckpoint::new(old as u64, proof, self.head(new).sign(&self.key).unwrap()).unwrap();
        // As it arrives.
        AddCheckpoint::parse(request.to_string().as_bytes()).unwrap()
    }
}

fn witness() -> Witness {
    Witness::new(CosignerKey::from_seed("witness.example/w1", &[2; 32]).unwrap())
}

fn refused(result: Result<Accepted, Refusal>, status: u16) -> Refusal {
    let refusal = result.unwrap_err();
    assert_eq!(refusal.status(), status, "{refusal}");
    refusal
}

#[test]
fn a_log_grows_and_the_witness_follows() {
    let (log, witness) = (Log::new(600), witness());
    let known = [witness.key().clone()];
    let mut seen = Seen::NOTHING;
    for size in [0, 0, 1, 1, 2, 3, 70, 256, 257, 512, 600] {
        let request = log.request(seen.size as usize, size);
        let accepted = witness.add_checkpoint(&request, &log.keys(), seen, NOW + size as u64).unwrap();
        seen = accepted.seen;
        assert_eq!(seen, Seen { size: size as u64, root: *log.head(size).root() });

        // What the log does with the answer.
        let mut note = request.note().clone();
        for line in cosignatures(accepted.body().as_bytes(), request.checkpoint(), &known).unwrap() {
            note.add(line).unwrap();
        }
        let signed = Checkpoint::open(note.to_string().as_bytes(), ORIGIN, &log.keys()).unwrap();
        let by_witness = signed.cosignatures(&known).unwrap();
        assert_eq!(by_witness[0].time_s, Some(NOW + size as u64));
        assert_eq!(accepted.checkpoint, note);
    }
}

#[test]
fn each_refusal_has_its_status() {
    let (log, witness) = (Log::new(60), witness());
    let seen = Seen { size: 20, root: *log.head(20).root() };
    let ask = |request: &AddCheckpoint| witness.add_checkpoint(request, &log.keys(), seen, NOW);
    let good = log.request(20, 50);
    assert!(ask(&good).is_ok());

    refused(witness.add_checkpoint(&good, &[], seen, NOW), 404);
    let stranger = SignerKey::from_seed(ORIGIN, &[7; 32]).unwrap();
    let by_stranger =
        AddCheckpoint::new(20, good.proof().to_vec(), log.head(50).sign(&stranger).unwrap()).unwrap();
    refused(ask(&by_stranger), 403);
    let line = log.head(49).sign(&log.key).unwrap().signatures()[0].clone();
    let spoilt = Note::new(&log.head(50).to_string(), vec![line]).unwrap();
    refused(ask(&AddCheckpoint::new(20, good.proof().to_vec(), spoilt).unwrap()), 403);
    refused(ask(&AddCheckpoint::new(51, Vec::new(), good.note().clone()).unwrap()), 400);

    for old in [0, 19, 21, 50] {
        let refusal = refused(ask(&log.request(old, 50)), 409);
        assert_eq!(refusal.body(), "20\n");
        assert_eq!(refusal.content_type(), "text/x.tlog.size");
        assert_eq!(parse_conflict(refusal.body().as_bytes()), Some(20));
    }

    let with_proof = |proof: Vec<Hash>| AddCheckpoint::new(20, proof, good.note().clone()).unwrap();
    refused(ask(&with_proof(Vec::new())), 422);
    refused(ask(&with_proof(good.proof()[1..].to_vec())), 422);
    refused(ask(&with_proof(log.request(21, 50).proof().to_vec())), 422);
    for idx in 0..good.proof().len() {
        let mut proof = good.proof().to_vec();
        proof[idx].0[31] ^= 0x80;
        refused(ask(&with_proof(proof)), 422);
    }
    for second in [0, 1 << 63, u64::MAX] {
        refused(witness.add_checkpoint(&good, &log.keys(), seen, second), 500);
    }
}

#[test]
fn a_forked_log_gets_no_second_signature() {
    let (log, witness) = (Log::new(60), witness());
    let seen = Seen { size: 20, root: *log.head(20).root() };
    // Entry 3 was changed afterwards; everything else is in order, the log's own signature too.
    let mut fork = Log::new(60);
    fork.leaves[3] = leaf_hash(b"nothing happened");
    fork.tiles = naive::tiles(&fork.leaves);
    for size in [20, 21, 60] {
        let refusal = refused(witness.add_checkpoint(&fork.request(20, size), &log.keys(), seen, NOW), 422);
        assert!(matches!(refusal, Refusal::Proof(_)));
    }
    // The empty tree has one root.
    let empty = Checkpoint::new(ORIGIN, 0, leaf_hash(b""), Vec::new()).unwrap().sign(&log.key).unwrap();
    let request = AddCheckpoint::new(0, Vec::new(), empty).unwrap();
    refused(witness.add_checkpoint(&request, &log.keys(), Seen::NOTHING, NOW), 422);
    let needless = AddCheckpoint::new(0, vec![EMPTY_ROOT], log.head(5).sign(&log.key).unwrap()).unwrap();
    refused(witness.add_checkpoint(&needless, &log.keys(), Seen::NOTHING, NOW), 422);
}

#[test]
fn signatures_of_others_are_not_passed_on() {
    let (log, witness) = (Log::new(9), witness());
    let other = CosignerKey::from_seed("witness.example/w2", &[3; 32]).unwrap();
    let mut note = log.head(9).sign(&log.key).unwrap();
    note.add(other.cosign(&log.head(9), NOW).unwrap()).unwrap();
    let request = AddCheckpoint::new(0, Vec::new(), note).unwrap();
    let accepted = witness.add_checkpoint(&request, &log.keys(), Seen::NOTHING, NOW).unwrap();
    let names: Vec<_> = accepted.checkpoint.signatures().iter().map(|line| line.name()).collect();
    assert_eq!(names, [ORIGIN, "witness.example/w1"]);
}

/// Requests and answers of `cmd/litewitness/testdata/litewitness.txt` of FiloSottile/torchwood. For a log that is not known
/// it answers 403, the specification asks for 404. The last request, for the same checkpoint again, is ours.
#[test]
fn the_requests_that_litewitness_is_tested_with() {
    const LOG: &str = "sigsum.org/v1/tree/4d6d8825a6bb689d459628312889dfbb0bcd41b5211d9e1ce768b0ff0309e562";
    let key = format!("{LOG}+5202289b+Af/cLU2Y5BJNP+r3iMDC+av9eWCD0fBJVDfzAux5zxAP");
    let keys = [VerifierKey::parse(&key).unwrap()];
    let witness = witness();
    let leaf = |sign: &str| format!("Kg{sign}{}=\n", "A".repeat(39));
    let (second, third, fourth, fifth) = (leaf("EA"), leaf("IA"), leaf("MA"), leaf("QA"));
    let one = "1\nKgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n";
    let three = "3\nRcCI1Nk56ZcSmIEfIn0SleqtV7uvrlXNccFx595Iwl0=\n";
    let five = "5\nQrtXrQZCCvpIgsSmOsah7HdICzMLLyDfxToMql9WTjY=\n";
    let by_one =
        "UgIom7fPZTqpxWWhyjWduBvTvGVqsokMbqTArsQilegKoFBJQjUFAmQ0+YeSPM3wfUQMFSzVnnNuWRTYrajXpNUbIQY=";
    let by_three =
        "UgIom2VbtIcdFbwFAy1n7s6IkAxIY6J/GQOTuZF2ORV39d75cbAj2aQYwyJre36kezNobZs4SUUdrcawfAB8WVrx6go=";
    let by_five =
        "UgIomw/EOJmWi0i1FQsOj+etB7F8IccFam/jgd6wzRns4QPVmyEZtdvl1U2KEmLOZ/ASRcWJi0tW90dJWAShei7sDww=";
    // Theirs ends with "6gx=", which sets bits that stand for nothing; strict base64 refuses that before any signature.
    let wrong = by_three.replace("6go=", "6gw=");
    let changed = third.replace("AAAA=", "AABA=");
    let inner = "wgiIFdZfYNv6WU1OllBKsWnLYIS/DBMqt8Uh/S4OukE=\n";
    let to_five = format!("{third}{fourth}{inner}{fifth}");
    let from_one = format!("{second}+fUDV+k970B4I3uKrqJM4aP1lloPZP8mvr2Z4wRw2LI=\n{fifth}");
    let mut seen = Seen::NOTHING;
    let steps: [(u64, String, &str, &str, u16, &str); 9] = [
        (0, String::new(), one, by_one, 200, "— witness.example/w1 "),
        (1, format!("{second}{third}"), three, &wrong, 403, ""),
        (1, String::new(), three, by_three, 422, ""),
        (1, format!("{second}{changed}"), three, by_three, 422, ""),
        (1, format!("{second}{third}"), three, by_three, 200, "— witness.example/w1 "),
        (1, from_one, five, by_five, 409, "3\n"),
        (3, to_five, five, by_five, 200, "— witness.example/w1 "),
        (0, String::new(), five, by_five, 409, "5\n"),
        (5, String::new(), five, by_five, 200, "— witness.example/w1 "),
    ];
    for (old, proof, head, signature, status, answer) in steps {
        let text = format!("old {old}\n{proof}\n{LOG}\n{head}\n— {LOG} {signature}\n");
        let result = AddCheckpoint::parse(text.as_bytes())
            .map_err(Refusal::from)
            .and_then(|request| witness.add_checkpoint(&request, &keys, seen, NOW));
        let (found, body) = match &result {
            Ok(accepted) => (200, accepted.body()),
            Err(refusal) => (refusal.status(), refusal.body()),
        };
        assert_eq!(found, status, "{text}{body}");
        assert!(body.starts_with(answer), "{text}{body}");
        seen = result.map_or(seen, |accepted| accepted.seen);
    }
    assert_eq!(seen.size, 5);
}
