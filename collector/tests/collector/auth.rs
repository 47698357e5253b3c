//! Who may do what.

use crate::support::{Folder, TOKEN, config, event, start};
use sentinel_collector::{Collector, Config, MetricsAccess};

#[tokio::test]
async fn every_resource_but_the_brief_health_needs_a_token() {
    let folder = Folder::new();
    // All from one address, and most of it wrong.
    let running = start(Config { throttle: false, ..config(&folder.database()) }).await;
    let valid = format!("Bearer {TOKEN}");
    let lower_case = format!("bearer {TOKEN}");
    let longer = format!("Bearer {TOKEN}x");
    let shorter = valid.strip_suffix('s').unwrap().to_owned();
    let basic = format!("Basic {TOKEN}");
    for (method, path, open) in [
        ("POST", "/v1/events", false),
        ("GET", "/v1/events", false),
        ("GET", "/v1/events/a-1", false),
        ("GET", "/v1/gaps", false),
        ("GET", "/health/detailed", false),
        ("GET", "/health/db", false),
        ("GET", "/metrics", false),
        ("GET", "/health", true),
        ("GET", "/health/live", true),
        ("GET", "/health/ready", true),
    ] {
        for (authorization, allowed) in [
            (None, open),
            (Some(""), open),
            (Some("Bearer"), open),
            (Some("Bearer "), open),
            (Some(longer.as_str()), open),
            (Some(shorter.as_str()), open),
            (Some(basic.as_str()), open),
            (Some(lower_case.as_str()), true),
            (Some(valid.as_str()), true),
        ] {
            let client = running.client.with_authorization(authorization);
            let answer = client.send(method, path, b"{\"events\":[]}").await;
            assert_eq!(answer.status != 401, allowed, "{method} {path} with {authorization:?}: {answer:?}");
            assert_eq!(answer.status == 401, answer.has_header("www-authenticate: bearer"), "{answer:?}");
        }
    }
}

#[tokio::test]
async fn senders_and_readers_can_be_different_people() {
    let folder = Folder::new();
    let mut config = config(&folder.database());
    config.tokens.push("another-sender".to_owned());
    config.reader_tokens = vec!["only-a-reader".to_owned()];
    let running = start(config).await;
    for (token, sends, reads) in [
        (TOKEN, 200, 403),
        ("another-sender", 200, 403),
        ("only-a-reader", 403, 200),
        ("nobody-at-all", 401, 401),
    ] {
        let client = running.client.with_token(token);
        assert_eq!(client.post("{\"events\":[]}").await.status, sends, "{token}");
        assert_eq!(client.get("/v1/events").await.status, reads, "{token}");
    }
}

#[tokio::test]
async fn metrics_can_be_opened_to_anyone() {
    let folder = Folder::new();
    let mut config = config(&folder.database());
    config.metrics_access = MetricsAccess::Anyone;
    let running = start(config).await;
    assert_eq!(running.client.with_authorization(None).get("/metrics").await.status, 200);
    assert_eq!(running.client.with_authorization(None).get("/v1/gaps").await.status, 401);
}

#[tokio::test]
async fn a_token_for_the_first_admin_is_given_out_only_while_there_is_none() {
    let folder = Folder::new();
    let config = Config { tokens: Vec::new(), ..config(&folder.database()) };
    let first_token = async |config: &Config| Collector::bind(config.clone()).await.unwrap().first_token();
    let with_admin = Config { admin_tokens: vec!["an-admin-token-of-length".to_owned()], ..config.clone() };
    assert_eq!(first_token(&with_admin).await, None);
    let (one, two) = (first_token(&config).await.unwrap(), first_token(&config).await.unwrap());
    assert!(one.starts_with("sb_") && two.starts_with("sb_") && one != two);
    let mut written = std::fs::read(&config.database).unwrap();
    written.extend(std::fs::read(folder.database().with_extension("db-wal")).unwrap_or_default());
    assert!(!written.windows(two.len()).any(|window| window == two.as_bytes()), "only its hash is written");
}

#[tokio::test]
async fn what_people_do_stands_in_the_log_before_they_are_answered() {
    let folder = Folder::new();
    let running = folder.start().await;
    running.client.ingest(&[event("a", 1)]).await;
    running.client.json("/v1/events?request_id=ann@example.org&limit=5").await;
    running.client.json("/v1/events/a-1").await;
    running.client.get("/v1/events/ann@example.org").await.refused(404, "not_found");
    let journal = running.client.json("/v1/journal").await;
    let told: Vec<String> = journal["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| {
            format!("{} {} {}", line["entry"]["what"], line["entry"]["target"], line["entry"]["outcome"])
        })
        .collect();
    // Newest first, and nothing of it names a person, because it stays for ever.
    let expected = [
        "\"read_content\" \"/v1/events/{id}\" 404",
        "\"read_content\" \"/v1/events/a-1\" 200",
        "\"read_content\" \"/v1/events?request_id=*&limit=5\" 200",
    ];
    assert_eq!(told, expected);
    assert!(journal["entries"][0]["entry"]["who"].as_str().unwrap().starts_with("token:"));
    assert_eq!(journal["entries"][0]["index"], 3);
}
