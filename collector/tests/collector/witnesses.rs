//! A collector whose log is cosigned by real witnesses, and what happens when they do not do as they should.

use std::path::Path;
use std::time::{Duration, Instant};

use sentinel_collector::audit::{Check, Report, Source, check};
use sentinel_collector::{Config, TlsFiles, WitnessConfig, WitnessServer};
use sentinel_harness::port::free_addr;
use sentinel_ledger::{Checkpoint, CosignerKey, EMPTY_ROOT, VerifierKey};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::certificates::{Authority, Server};
use crate::support::{Client, Folder, Running, config, event, start};
use crate::witness::Witness;

/// The evidence as an auditor reads it.
struct Served<'a>(&'a Client);

impl Source for Served<'_> {
    async fn get(&mut self, path: &str) -> Result<Option<Vec<u8>>, String> {
        let answer = self.0.get(&format!("/log/{path}")).await;
        match answer.status {
            200 => Ok(Some(answer.bytes)),
            404 => Ok(None),
            status => Err(format!("{path}: {status}")),
        }
    }
}

fn asking(database: &Path, witnesses: Vec<String>, quorum: usize) -> Config {
    let mut config = config(database);
    (config.witnesses, config.witness_quorum) = (witnesses, quorum);
    config.checkpoint_every = Duration::from_millis(20);
    config.witness_every = Duration::from_millis(20);
    config
}

/// Of a log that has its first entry.
async fn log_key(folder: &Folder) -> VerifierKey {
    let running = folder.start().await;
    running.client.ingest(&[event("first", 1)]).await;
    // The first checkpoint is signed at the latest when somebody wants a proof.
    running.client.json("/v1/events/first-1/proof").await;
    let key = running.client.get("/log/key").await.body();
    running.stop().await;
    VerifierKey::parse(key.trim()).unwrap()
}

async fn ingest(client: &Client, vm: &str, first: i64, last: i64) {
    client.ingest(&(first..=last).map(|seq| event(vm, seq)).collect::<Vec<_>>()).await;
}

/// Metrics are no entries of the log, so that looking does not change what is looked at.
async fn metric(client: &Client, series: &str) -> Option<f64> {
    let text = client.get("/metrics").await.body();
    let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.map(|value| value.parse().unwrap())
}

async fn until(client: &Client, series: &str, wanted: impl Fn(f64) -> bool) {
    let begun = Instant::now();
    loop {
        let value = metric(client, series).await;
        if value.is_some_and(&wanted) {
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{series} is {value:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Once it has signed and shown everything that is in the log.
async fn until_shown(client: &Client, size: i64) {
    until(client, "sentinel_log_witnessed_size", |found| found >= size as f64).await;
}

async fn size_of(client: &Client, path: &str) -> u64 {
    let note = client.get(path).await.body();
    let (text, _) = note.rsplit_once("\n\n").unwrap();
    Checkpoint::parse(&format!("{text}\n")).unwrap().size()
}

async fn audit(client: &Client, key: &VerifierKey, witnesses: &[&VerifierKey]) -> Report {
    let wanted = Check {
        key: Some(key.clone()),
        witnesses: witnesses.iter().map(|key| (*key).clone()).collect(),
        cosignatures_min: witnesses.len(),
        ..Check::default()
    };
    check(&wanted, &mut Served(client)).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_witnesses_cosign_and_an_auditor_who_asks_for_both_is_content() {
    let (folder, one, two) = (Folder::new(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let key = log_key(&folder).await;
    let one = Witness::start(one.path(), "one.example", &[&key]).await;
    let two = Witness::start(two.path(), "two.example", &[&key]).await;
    let running = start(asking(&folder.database(), vec![one.place(), two.place()], 2)).await;
    let client = &running.client;
    for first in (1..=600).step_by(100) {
        ingest(client, "a", first, first + 99).await;
    }
    until_shown(client, 600).await;
    let report = audit(client, &key, &[&one.key, &two.key]).await;
    assert!(report.is_good(), "{report:?}");
    assert_eq!((report.cosigned_by.len(), report.n_events), (2, 601));
    let nobody = CosignerKey::from_seed("one.example", &[9; 32]).unwrap();
    let report = audit(client, &key, &[&one.key, &two.key, nobody.verifier()]).await;
    assert!(!report.is_good(), "a witness that was never asked has cosigned nothing");
    // A proof has the cosignatures with it, as soon as there are some over the event.
    let proof = client.json("/v1/events/a-1/proof").await["proof"].as_str().unwrap().to_owned();
    assert!(proof.contains("— one.example ") && proof.contains("— two.example "), "{proof}");
    for name in ["one.example", "two.example"] {
        assert_eq!(
            metric(client, &format!("sentinel_log_witness_up{{witness=\"{name}\"}}")).await,
            Some(1.0)
        );
    }
    let health = client.json("/health/detailed").await;
    assert_eq!(health["log"]["witnesses"][1]["name"], "two.example");
    assert_eq!(health["log"]["witnesses"][1]["outcome"], "cosigned");
    // What the witnesses say themselves fits to it.
    let about = one.client.json("/").await;
    assert_eq!(
        (&about["logs"][0]["origin"], &about["logs"][0]["contradictions"]),
        (&"sentinel.local".into(), &0.into())
    );
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_witness_that_is_away_holds_nothing_up_and_catches_up_later() {
    let (folder, one, two) = (Folder::new(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let key = log_key(&folder).await;
    let one = Witness::start(one.path(), "one.example", &[&key]).await;
    let away = Witness::start_at(free_addr().unwrap(), two.path(), "two.example", &[&key], 60_000).await;
    let (place, address) = (away.place(), away.client.address);
    let running = start(asking(&folder.database(), vec![one.place(), place], 2)).await;
    let client = &running.client;
    ingest(client, "a", 1, 50).await;
    until_shown(client, 51).await;
    away.stop().await;
    until(client, "sentinel_log_witness_size{witness=\"two.example\"}", |size| size >= 51.0).await;
    ingest(client, "a", 51, 100).await;
    until(client, "sentinel_log_witness_up{witness=\"two.example\"}", |up| up == 0.0).await;
    until(client, "sentinel_log_witness_size{witness=\"one.example\"}", |size| size >= 101.0).await;
    let shown = size_of(client, "/log/checkpoint").await;
    assert!((51..101).contains(&shown), "what is shown has two cosignatures: {shown}");
    assert!(size_of(client, "/log/checkpoint.unwitnessed").await >= 101);
    assert_eq!(client.get("/health").await.status, 200, "the collector itself is well");
    let told = client.json("/health/detailed").await["log"]["witnesses"][1].clone();
    assert!(told["outcome"] == "away" && told["problem"].is_string(), "{told}");

    let away = Witness::start_at(address, two.path(), "two.example", &[&key], 60_000).await;
    until_shown(client, 101).await;
    let report = audit(client, &key, &[&one.key, &away.key]).await;
    assert!(report.is_good() && report.size >= 101, "{report:?}");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_witness_with_tls_cosigns_and_one_with_an_old_certificate_does_not() {
    let (folder, good, old) = (Folder::new(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let log = log_key(&folder).await;
    let authority = Authority::new(1);
    let begin = async |place: &Path, name: &str, server: &Server<'_>| {
        let [cert, key, _] = authority.write(server, &folder.path().join(name));
        let mut config = WitnessConfig::new(([127, 0, 0, 1], 0).into(), place);
        config.name = Some(format!("{name}.example"));
        config.logs = vec![log.to_string()];
        config.tls = Some(TlsFiles { cert, key });
        let server = WitnessServer::bind(config).await.unwrap();
        let place = format!("https://{}={}", server.local_addr(), server.key());
        tokio::spawn(server.run(std::future::pending()));
        place
    };
    for name in ["good", "old"] {
        std::fs::create_dir(folder.path().join(name)).unwrap();
    }
    let expired = Server { until: "210101000000Z", ..Server::local() };
    let places =
        vec![begin(good.path(), "good", &Server::local()).await, begin(old.path(), "old", &expired).await];
    let ca_files = vec![folder.path().join("good").join("ca.pem")];
    let running = start(Config { ca_files, ..asking(&folder.database(), places, 1) }).await;
    let client = &running.client;
    ingest(client, "a", 1, 50).await;
    until_shown(client, 51).await;
    until(client, "sentinel_log_witness_up{witness=\"old.example\"}", |up| up == 0.0).await;
    let told = client.json("/health/detailed").await["log"]["witnesses"].clone();
    assert_eq!(told[0]["outcome"], "cosigned", "{told}");
    assert!(told[1]["problem"].as_str().unwrap().contains("its certificate has expired"), "{told}");
    running.stop().await;
}

/// A witness that does the same whatever it is asked.
async fn bad(answer: Option<Vec<u8>>) -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut request = [0; 4096];
            let _ = socket.read(&mut request).await;
            match &answer {
                Some(answer) => drop(socket.write_all(answer).await),
                None => held.push(socket),
            }
        }
    });
    format!("http://{address}")
}

fn http(status: &str, body: &str) -> Option<Vec<u8>> {
    Some(format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_cosignature_is_told_and_never_kept() {
    let (folder, good) = (Folder::new(), tempfile::tempdir().unwrap());
    let log = log_key(&folder).await;
    let good = Witness::start(good.path(), "good.example", &[&log]).await;
    let seed = |idx: usize| CosignerKey::from_seed(&format!("w{idx}"), &[idx as u8 + 1; 32]).unwrap();
    let other = Checkpoint::new("sentinel.local", 7, EMPTY_ROOT, Vec::new()).unwrap();
    let of_other = seed(3).cosign(&other, 1_790_000_000).unwrap().to_string();
    let of_stranger = seed(99).cosign(&other, 1_790_000_000).unwrap().to_string();
    let endless = format!("HTTP/1.1 200 OK\r\n\r\n{}", "x".repeat(1 << 20)).into_bytes();
    let closed = format!("http://{}", free_addr().unwrap());
    let cases = [
        ("nobody listens", closed, "away"),
        ("it never answers", bad(None).await, "away"),
        ("it speaks no HTTP", bad(Some(b"hello\r\n\r\n".to_vec())).await, "away"),
        ("a signature of another checkpoint", bad(http("200 OK", &of_other)).await, "wrong"),
        ("a signature by somebody else", bad(http("200 OK", &of_stranger)).await, "wrong"),
        ("no signature", bad(http("200 OK", "fine")).await, "wrong"),
        ("no end", bad(Some(endless)).await, "away"),
        ("a conflict without a size", bad(http("409 Conflict", "5\n")).await, "wrong"),
        ("it does not know the log", bad(http("404 Not Found", "who?")).await, "refused"),
        ("it sends elsewhere", bad(http("302 Found", "")).await, "wrong"),
        ("it is out of order", bad(http("500 Oops", "")).await, "away"),
        ("it says that the log has forked", bad(http("422 No", "forked")).await, "contradicted"),
    ];
    let mut places = vec![good.place()];
    places
        .extend(cases.iter().enumerate().map(|(idx, (_, url, _))| format!("{url}={}", seed(idx).verifier())));
    let running = start(asking(&folder.database(), places, 1)).await;
    let client = &running.client;
    for first in (1..=500).step_by(50) {
        ingest(client, "a", first, first + 49).await;
    }
    until_shown(client, 501).await;
    for (idx, (what, _, outcome)) in cases.iter().enumerate() {
        let series =
            format!("sentinel_log_witness_requests_total{{witness=\"w{idx}\",outcome=\"{outcome}\"}}");
        until(client, &series, |count| count >= 1.0).await;
        let cosigned =
            format!("sentinel_log_witness_requests_total{{witness=\"w{idx}\",outcome=\"cosigned\"}}");
        assert_eq!(metric(client, &cosigned).await, Some(0.0), "{what}");
    }
    let report = audit(client, &log, &[&good.key]).await;
    assert!(report.is_good(), "{report:?}");
    let note = client.get("/log/checkpoint").await.body();
    assert_eq!(note.matches("— ").count(), 2, "only what verifies is kept: {note}");
    running.stop().await;
}

fn copy(from: &Folder) -> Folder {
    let to = Folder::new();
    for end in ["", ".keys"] {
        let path = |folder: &Folder| format!("{}{end}", folder.database().display());
        std::fs::copy(path(from), path(&to)).unwrap();
    }
    to
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_was_set_back_or_forked_gets_no_cosignature_and_an_alarm() {
    let (folder, one) = (Folder::new(), tempfile::tempdir().unwrap());
    let key = log_key(&folder).await;
    let witness = Witness::start(one.path(), "one.example", &[&key]).await;
    let begin = async |folder: &Folder| -> Running {
        start(asking(&folder.database(), vec![witness.place()], 1)).await
    };
    let running = begin(&folder).await;
    ingest(&running.client, "a", 1, 20).await;
    until_shown(&running.client, 21).await;
    running.stop().await;
    let fork = copy(&folder);
    let running = begin(&folder).await;
    ingest(&running.client, "a", 21, 60).await;
    until_shown(&running.client, 61).await;
    let shown = size_of(&running.client, "/log/checkpoint").await;
    running.stop().await;

    // The copy goes on: first it is shorter than what was cosigned, then longer and different.
    let running = begin(&fork).await;
    let client = &running.client;
    let alarm = "sentinel_log_witness_contradicted{witness=\"one.example\"}";
    ingest(client, "b", 1, 5).await;
    until(client, alarm, |value| value == 1.0).await;
    let told = client.json("/health/detailed").await["log"]["witnesses"][0].clone();
    assert!(told["problem"].as_str().unwrap().contains("set back"), "{told}");
    ingest(client, "b", 6, 100).await;
    let begun = Instant::now();
    while witness.client.json("/").await["logs"][0]["contradictions"] == 0 {
        assert!(begun.elapsed() < Duration::from_secs(60), "the witness was never asked about the fork");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let cosigned = "sentinel_log_witness_requests_total{witness=\"one.example\",outcome=\"cosigned\"}";
    assert_eq!((metric(client, alarm).await, metric(client, cosigned).await), (Some(1.0), Some(0.0)));
    // The fork is not shown to anyone, while what comes in is still taken in and signed by the log.
    assert!(size_of(client, "/log/checkpoint").await <= 25);
    assert!(size_of(client, "/log/checkpoint.unwitnessed").await > shown);
    running.stop().await;

    // The true one goes on where it was.
    let running = begin(&folder).await;
    ingest(&running.client, "a", 61, 80).await;
    until_shown(&running.client, shown as i64 + 20).await;
    assert!(audit(&running.client, &key, &[&witness.key]).await.is_good());
    running.stop().await;
}

#[tokio::test]
async fn what_cannot_be_asked_is_refused_at_the_start() {
    let folder = Folder::new();
    let key = CosignerKey::from_seed("w", &[1; 32]).unwrap().verifier().to_string();
    for (witnesses, quorum, reason) in [
        (vec![format!("https://u:p@w.example={key}")], 0, "user"),
        (vec![format!("http://w.example={key}")], 2, "witness_quorum is 2"),
        (vec!["http://w.example".to_owned()], 0, "URL=VKEY"),
    ] {
        let error = sentinel_collector::Collector::bind(asking(&folder.database(), witnesses, quorum)).await;
        let error = error.unwrap_err();
        assert!(error.is_config() && error.to_string().contains(reason), "{error}");
    }
}
