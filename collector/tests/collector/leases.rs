//! Shared limits over HTTP: in memory, through a real Redis, and while Redis is away.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use sentinel_collector::RedisAway;
use serde_json::{Value, json};

use crate::redis::Redis;
use crate::support::{Client, Folder, Running, config, start};

#[tokio::test]
async fn a_lease_is_a_part_of_the_limit_until_there_is_none_left() {
    let folder = Folder::new();
    let client = folder.start().await.client;
    let begun_ms = now_ms();
    let first = ask(&client, &[lease("a", 7, 10)]).await;
    assert_eq!((&first["source"], &first["leases"][0]["granted"]), (&json!("memory"), &json!(7)));
    let until_ms = first["leases"][0]["until_ms"].as_i64().unwrap();
    assert!((begun_ms + 1_000..=now_ms() + 6_000).contains(&until_ms), "{first}");
    let rest = ask(&client, &[lease("a", 7, 10), lease("a", 7, 10), lease("b", 7, 10)]).await;
    assert_eq!(granted(&rest), [3, 0, 7]);
    let denied_until = rest["leases"][1]["until_ms"].as_i64().unwrap();
    assert!((begun_ms + 55_000..=now_ms() + 62_000).contains(&denied_until), "{rest}");
    let metrics = client.get("/metrics").await.body();
    for line in [
        "sentinel_leases_total{source=\"memory\"} 4",
        "sentinel_lease_units_total 17",
        "sentinel_lease_keys 2",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line}");
    }
    assert!(!metrics.contains("sentinel_redis_up"), "there is none");
}

#[tokio::test]
async fn what_is_no_lease_is_refused_with_its_place() {
    let folder = Folder::new();
    let client = folder.start().await.client;
    for (change, reason) in [
        (json!({"want": 0}), "leases[1].want"),
        (json!({"want": -1}), "line 1"),
        (json!({"limit": ""}), "leases[1].limit"),
        (json!({"key": "x".repeat(200)}), "leases[1].key"),
        (json!({"key": "a b"}), "leases[1].key"),
        (json!({"per": {}}), "leases[1].per"),
        (json!({"per": {"minute": 0}}), "leases[1].per.minute"),
        (json!({"per": {"day": 5}}), "day"),
        (json!({"burst": 0}), "leases[1].burst"),
    ] {
        let mut wrong = lease("a", 1, 10);
        wrong.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let body = json!({"leases": [lease("a", 1, 10), wrong]}).to_string();
        let error = client.send("POST", "/v1/leases", body.as_bytes()).await.refused(400, "malformed_body");
        assert!(error["message"].as_str().unwrap().contains(reason), "{change}: {error}");
    }
    assert_eq!(granted(&ask(&client, &[lease("a", 10, 10)]).await), [10], "a refused batch takes nothing");
    let many = json!({"leases": vec![lease("a", 1, 10); 201]}).to_string();
    client.send("POST", "/v1/leases", many.as_bytes()).await.refused(413, "too_large");
}

#[tokio::test]
async fn two_collectors_share_a_limit_through_redis_to_the_last_one() {
    let Some(redis) = Redis::start().await else { return };
    let folders = [Folder::new(), Folder::new()];
    let collectors = [with_redis(&folders[0], &redis).await, with_redis(&folders[1], &redis).await];
    let window = json!({"limit": "window", "key": "k", "want": 9, "per": {"hour": 500}});
    let bucket = json!({"limit": "bucket", "key": "k", "want": 9, "per": {"second": 200}, "burst": 40});
    let begun = Instant::now();
    let tasks: Vec<_> = (0..8)
        .map(|n| {
            let (client, leases) = (collectors[n % 2].client.clone(), [window.clone(), bucket.clone()]);
            tokio::spawn(async move {
                let mut granted_here = [0, 0];
                // Until each has seen that the hour has nothing left, and for two seconds at least.
                let mut is_used_up = false;
                while !is_used_up || begun.elapsed() < Duration::from_secs(2) {
                    let answer = ask(&client, &leases).await;
                    assert_eq!(answer["source"], "redis");
                    let granted = granted(&answer);
                    is_used_up = granted[0] == 0;
                    for (sum, granted) in granted_here.iter_mut().zip(granted) {
                        *sum += granted;
                    }
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                granted_here
            })
        })
        .collect();
    let (mut window, mut bucket) = (0, 0);
    for task in tasks {
        let [of_window, of_bucket] = task.await.unwrap();
        (window, bucket) = (window + of_window, bucket + of_bucket);
    }
    assert_eq!(window, 500, "everything that the hour has, and no more");
    let fair = 200.0 * begun.elapsed().as_secs_f64();
    println!("{bucket} granted at an even rate, {fair:.0} and a burst of 40 are allowed");
    assert!(bucket as f64 <= fair + 40.0, "{bucket} of {fair}");
}

#[tokio::test]
async fn redis_counts_as_the_memory_does() {
    let Some(redis) = Redis::start().await else { return };
    let folders = [Folder::new(), Folder::new()];
    let here = folders[0].start().await.client;
    let there = with_redis(&folders[1], &redis).await.client;
    // Long periods, so that the time between the two questions does not matter.
    for (name, per, burst) in [
        ("window", json!({"hour": 50}), None),
        ("bucket", json!({"hour": 50}), Some(20)),
        ("both", json!({"minute": 1, "hour": 13}), Some(12)),
        ("windows", json!({"minute": 8, "hour": 13}), None),
    ] {
        for want in [1, 7, 3, 100, 1, 5] {
            let mut wanted = json!({"limit": name, "key": "k", "want": want, "per": per});
            if let Some(burst) = burst {
                wanted["burst"] = burst.into();
            }
            let twice = [wanted.clone(), wanted];
            let (here, there) = (ask(&here, &twice).await, ask(&there, &twice).await);
            assert_eq!(granted(&here), granted(&there), "{name} {want}");
            for n in 0..2 {
                let until = |answer: &Value| answer["leases"][n]["until_ms"].as_i64().unwrap();
                // Slots of an hour's window begin together; the rest is the time between the questions.
                assert!((until(&here) - until(&there)).abs() < 10_000, "{here} {there}");
            }
        }
    }
}

#[tokio::test]
async fn keys_in_redis_are_named_after_nobody_and_expire() {
    let Some(redis) = Redis::start().await else { return };
    let folder = Folder::new();
    let client = with_redis(&folder, &redis).await.client;
    ask(&client, &[json!({"limit": "l", "key": "somebody", "want": 5, "per": {"second": 5}})]).await;
    ask(&client, &[json!({"limit": "l2", "key": "somebody", "want": 5, "per": {"minute": 5}, "burst": 5})])
        .await;
    let keys = redis.ask("KEYS *").await;
    assert!(keys.contains("sentinel:lease:") && !keys.contains("somebody"), "{keys}");
    let begun = Instant::now();
    // The second's key goes, and the minute's is there.
    while !redis.ask("DBSIZE").await.contains(":1\r\n") {
        assert!(begun.elapsed() < Duration::from_secs(40), "no key goes");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_script_that_redis_forgot_is_sent_again() {
    let Some(redis) = Redis::start().await else { return };
    let folder = Folder::new();
    let client = with_redis(&folder, &redis).await.client;
    ask(&client, &[lease("a", 4, 10)]).await;
    redis.ask("SCRIPT FLUSH").await;
    let answer = ask(&client, &[lease("a", 9, 10)]).await;
    assert_eq!((granted(&answer), &answer["source"]), (vec![6], &json!("redis")));
}

#[tokio::test]
async fn a_connection_that_redis_closed_is_no_failure() {
    let Some(redis) = Redis::start().await else { return };
    let folder = Folder::new();
    let client = with_redis(&folder, &redis).await.client;
    ask(&client, &[lease("a", 4, 10)]).await;
    redis.ask("CLIENT KILL TYPE normal SKIPME yes").await;
    let answer = ask(&client, &[lease("a", 9, 10)]).await;
    assert_eq!((granted(&answer), &answer["source"]), (vec![6], &json!("redis")));
    assert!(client.get("/metrics").await.body().contains("\nsentinel_redis_failures_total 0\n"));
}

#[tokio::test]
async fn while_redis_is_away_this_collector_counts_its_part_and_says_so() {
    let Some(mut redis) = Redis::start().await else { return };
    let folder = Folder::new();
    let mut config = config(&folder.database());
    (config.redis, config.redis_away) = (Some(redis.url()), RedisAway::Local { percent: 50 });
    config.redis_wait = LONG;
    let client = start(config).await.client;
    assert_eq!(ask(&client, &[lease("a", 100, 40)]).await["source"], "redis");
    redis.kill();
    let begun = Instant::now();
    let away = ask(&client, &[lease("a", 100, 40)]).await;
    assert_eq!((&away["source"], granted(&away)), (&json!("local"), vec![20]));
    assert_eq!(granted(&ask(&client, &[lease("a", 100, 40)]).await), [0]);
    assert!(begun.elapsed() < LONG, "nobody waits for what is away");
    let metrics = client.get("/metrics").await.body();
    assert!(metrics.contains("\nsentinel_redis_up 0\n"), "{metrics}");
    redis.start_again().await;
    let back = until_source(&client, "redis").await;
    // It has forgotten what it knew: at most one limit more is granted.
    assert_eq!(granted(&back), [1]);
    let metrics = client.get("/metrics").await.body();
    assert!(metrics.contains("\nsentinel_redis_up 1\n"), "{metrics}");
    assert!(!metrics.contains("\nsentinel_redis_failures_total 0\n"), "{metrics}");
    assert!(!metrics.contains("redis-password"));
}

#[tokio::test]
async fn while_redis_is_away_nothing_is_granted_if_that_is_wanted() {
    let Some(mut redis) = Redis::start().await else { return };
    let folder = Folder::new();
    let mut config = config(&folder.database());
    (config.redis, config.redis_away) = (Some(redis.url()), RedisAway::Refuse);
    config.redis_wait = LONG;
    let client = start(config).await.client;
    assert_eq!(granted(&ask(&client, &[lease("a", 5, 40)]).await), [5]);
    redis.kill();
    let begun_ms = now_ms();
    let away = ask(&client, &[lease("a", 5, 40)]).await;
    assert_eq!((&away["source"], granted(&away)), (&json!("refused"), vec![0]));
    let until_ms = away["leases"][0]["until_ms"].as_i64().unwrap();
    assert!((begun_ms + 1..=now_ms() + 1_000).contains(&until_ms), "{away}");
    redis.start_again().await;
    until_source(&client, "redis").await;
}

#[tokio::test]
async fn a_redis_that_hangs_is_waited_for_once_and_its_late_answer_is_nobodys() {
    let Some(redis) = Redis::start().await else { return };
    let folder = Folder::new();
    let mut config = config(&folder.database());
    (config.redis, config.redis_wait) = (Some(redis.url()), HANGS);
    let client = start(config).await.client;
    assert_eq!(granted(&ask(&client, &[lease("a", 5, 100)]).await), [5]);
    redis.signal("-STOP");
    let begun = Instant::now();
    assert_eq!(ask(&client, &[lease("a", 11, 100)]).await["source"], "local");
    let first = begun.elapsed();
    assert!((HANGS..2 * HANGS).contains(&first), "{first:?}");
    redis.signal("-CONT");
    until_source(&client, "redis").await;
    // The answer to the question that was given up would be 11.
    assert_eq!(granted(&ask(&client, &[lease("b", 2, 100), lease("c", 3, 100)]).await), [2, 3]);
}

#[tokio::test]
async fn something_else_on_that_port_is_as_good_as_nothing() {
    let folder = Folder::new();
    let other = Folder::new();
    let other = other.start().await;
    let mut config = config(&folder.database());
    config.redis = Some(format!("redis://{}", other.client.address));
    let client = start(config).await.client;
    assert_eq!(ask(&client, &[lease("a", 5, 40)]).await["source"], "local");
}

/// Redis that was away is tried again after a pause that grows.
async fn until_source(client: &Client, source: &str) -> Value {
    let until = Instant::now() + Duration::from_secs(120);
    loop {
        let answer = ask(client, &[lease("probe", 1, 1_000_000)]).await;
        if answer["source"] == source {
            return answer;
        }
        assert!(Instant::now() < until, "{answer}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn with_redis(folder: &Folder, redis: &Redis) -> Running {
    let mut config = config(&folder.database());
    config.redis = Some(redis.url());
    config.redis_wait = LONG;
    start(config).await
}

/// A busy machine must not look like a Redis that is away.
const LONG: Duration = Duration::from_secs(20);
/// So long one that hangs is waited for here.
const HANGS: Duration = Duration::from_secs(4);

async fn ask(client: &Client, leases: &[Value]) -> Value {
    let body = json!({ "leases": leases }).to_string();
    client.send("POST", "/v1/leases", body.as_bytes()).await.ok()
}

fn granted(answer: &Value) -> Vec<u64> {
    answer["leases"].as_array().unwrap().iter().map(|lease| lease["granted"].as_u64().unwrap()).collect()
}

fn lease(key: &str, want: u32, per_minute: u32) -> Value {
    json!({"limit": "limit", "key": key, "want": want, "per": {"minute": per_minute}})
}

fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64
}
