//! Bodies that are held until memory is short, in a real Envoy.

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use sentinel_harness::fake_host::{FilterModule, HostOptions, Proxy};

use super::*;

const MIB: usize = 1024 * 1024;
const BODY: usize = 3 * MIB;

/// What an idle VM uses, in MiB: the same in every host, since the module counts itself.
fn idle_mib() -> u64 {
    let config = json!({ "collector": { "cluster": "collector", "token": "test-token", "flush_ms": 20 } });
    let options = HostOptions { plugin_config: config.to_string().into_bytes(), ..HostOptions::default() };
    let mut proxy = Proxy::start(&FilterModule::load(&built_filter().unwrap()).unwrap(), options).unwrap();
    proxy.advance(1_000_000_000);
    proxy.tick().unwrap();
    proxy.metric("sentinel.vm_heap_used_bytes").div_ceil(MIB as u64)
}

/// A harmless request of [`BODY`] bytes, of which all but the last have been sent.
struct Held {
    stream: TcpStream,
    end: Vec<u8>,
}

impl Held {
    fn begin(site: &Site) -> Self {
        let mut stream = TcpStream::connect(site.envoy.addr("main").unwrap()).unwrap();
        let text = "It is a fine day. ".repeat(BODY / 18);
        let body = json!({ "messages": [{ "role": "user", "content": text }] }).to_string();
        let (front, end) = body.as_bytes().split_at(body.len() - 10);
        let head = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: test\r\ncontent-type: application/json\r\n\
             connection: close\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        // A request that is refused is not read to its end.
        let _ = stream.write_all(&[head.as_bytes(), front].concat());
        Self { stream, end: end.to_vec() }
    }

    /// Sends the rest; answers the status.
    fn end(mut self) -> Option<u16> {
        let _ = self.stream.write_all(&self.end);
        self.stream.set_read_timeout(Some(WITHIN)).unwrap();
        let mut answer = Vec::new();
        let _ = self.stream.read_to_end(&mut answer);
        let text = String::from_utf8_lossy(&answer);
        text.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok())
    }
}

#[test]
fn memory_that_is_short_is_given_back_without_a_restart() {
    let key = SecretKey::from_seed(&[7; 32]);
    let (id, bytes) = bundle_with(&key, DEADLINE_MS, json!({ "body_bytes": 4 * MIB }));
    let idle = idle_mib();
    let config = json!({ "memory": { "soft_mib": idle + 8, "hard_mib": idle + 24 } });
    let plan = Plan { concurrency: 1, config, ..Plan::default() };
    let site = Site::start_as(bytes, &key, plan, |bootstrap| {
        bootstrap["static_resources"]["listeners"][0]["per_connection_buffer_limit_bytes"] = json!(16 * MIB);
    });
    site.recover(&id);
    assert_eq!((site.metric("memory_strain"), site.metric("degraded")), (0, 0));

    // Above the soft ceiling: optional work is left out, attacks are found all the same.
    let mut held: Vec<Held> = (0..4).map(|_| Held::begin(&site)).collect();
    until("the soft ceiling", || (site.metric("memory_strain") == 1).then_some(()));
    assert_eq!(site.metric("degraded"), 1);
    let (doubtful, status) = site.send("/v1/chat/completions", doubtful_text().unwrap());
    assert_eq!(status, 200);
    let (_, status) = site.send("/v1/chat/completions", ATTACK);
    assert_eq!(status, 403);
    let event = until("the event", || site.collector.event(&doubtful));
    assert!(event.degraded.as_ref().is_some_and(|why| why.contains("memory is short")), "{event:?}");
    let gaps = &event.receipt.request.gaps;
    assert!(gaps.iter().any(|gap| gap.reason == GapReason::SecondLook), "{event:?}");

    // Above the hard one: bodies are refused, also those that were held and would grow.
    let mut refused = None;
    until("the hard ceiling", || {
        held.push(Held::begin(&site));
        let (request, status) = site.send("/v1/chat/completions", HARMLESS);
        refused = (status == 503).then_some(request);
        refused.is_some().then_some(())
    });
    until("the gauge", || (site.metric("memory_strain") == 2).then_some(()));
    assert_eq!(site.metric("degraded"), 1);
    let n_held = held.len();
    let event = until("the event", || site.collector.event(refused.as_ref().unwrap()));
    assert_eq!(event.gaps, [GapReason::DetectorError]);
    assert!(event.degraded.as_ref().is_some_and(|why| why.contains("no further bodies")), "{event:?}");
    let get = Request::get("/v1/models");
    let saw = http1::exchange(site.envoy.addr("main").unwrap(), &get, WITHIN).unwrap();
    // Not the request, which has no body, but its answer would have to be held.
    assert_eq!(saw.map(|saw| saw.status), Some(502));

    // Each of them gets an answer, and then everything is as before.
    let statuses: Vec<Option<u16>> = held.into_iter().map(Held::end).collect();
    println!("{n_held} bodies of {BODY} bytes were held; in the end they got {statuses:?}");
    assert!(statuses.iter().all(|status| matches!(status, Some(200 | 502 | 503))), "{statuses:?}");
    assert!(statuses.contains(&Some(200)), "{statuses:?}");
    until("memory to be free", || (site.metric("memory_strain") == 0).then_some(()));
    until("the gauge to fall", || (site.metric("degraded") == 0).then_some(()));
    let sent = site.recover(&id);
    let last = until("its event", || site.collector.event(sent.last().unwrap()));
    assert_eq!(last.degraded, None);
    assert_eq!(site.collector.account().len(), 1, "the VM started anew");
    site.nothing_hostile_passed();
}
