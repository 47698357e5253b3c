//! A fault in the module itself, in a real Envoy with `FAIL_RELOAD`.

use std::io::{Read, Write};

use sentinel_tests::trap::{TRAP_HEADERS, with_trap};

use super::*;

/// Envoy's back-off here, and time for a machine that does other things to compile nothing and start a VM.
const RECOVERS_WITHIN: Duration = Duration::from_secs(60);

fn bomb() -> Request {
    let body = json!({ "messages": [{ "role": "user", "content": HARMLESS }] }).to_string();
    let request = Request::json("/v1/chat/completions", body);
    (0..TRAP_HEADERS).fold(request, |request, n| request.with_header(&format!("x-many-{n}"), "1"))
}

impl Site {
    /// The status of a request, if it got an answer.
    fn try_send(&self, request: &Request) -> Option<u16> {
        let saw = http1::exchange(self.envoy.addr("main").unwrap(), request, WITHIN).unwrap();
        saw.map(|saw| saw.status)
    }
}

#[test]
fn a_trap_lets_nothing_pass_and_is_over_after_the_back_off() {
    let key = SecretKey::from_seed(&[7; 32]);
    let (id, bytes) = bundle(&key);
    let folder = tempfile::tempdir().unwrap();
    let code = folder.path().join("trapping.wasm");
    std::fs::write(&code, with_trap(&std::fs::read(built_filter().unwrap()).unwrap()).unwrap()).unwrap();
    let plan = Plan { concurrency: 1, code: Some(code), ..Plan::default() };
    let site = Site::start_as(bytes, &key, plan, |_| ());
    site.until_bundle_is(&id);
    let attack = json!({ "messages": [{ "role": "user", "content": ATTACK }] }).to_string();
    let attack = Request::json("/v1/chat/completions", attack);
    for round in 1..=3 {
        // An attack that is half here when the VM dies: what it waits for is gone.
        let mut held = std::net::TcpStream::connect(site.envoy.addr("main").unwrap()).unwrap();
        let body = attack.chunks.concat();
        let head = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: test\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        held.write_all(&[head.as_bytes(), &body[..10]].concat()).unwrap();
        until("the half of an attack", || {
            // Of the listener: to ask is a request to the admin port.
            let active = site.envoy.stats("^http.main.downstream_rq_active$").unwrap().into_values().max();
            (active.unwrap_or(0) >= 1).then_some(())
        });
        let passed = site.upstream.requests().len();
        assert_eq!(site.try_send(&bomb()), Some(503), "round {round}");
        assert_eq!(site.upstream.requests().len(), passed, "what made it trap has passed");
        let began = Instant::now();
        let (mut refused, mut statuses) = (0, BTreeSet::new());
        until("the filter to be back", || {
            let status = site.try_send(&attack);
            statuses.insert(status);
            refused += 1;
            (status == Some(403)).then_some(())
        });
        let took = began.elapsed();
        println!("round {round}: back after {took:?}, {refused} requests, which got {statuses:?}");
        assert!(took < RECOVERS_WITHIN, "{took:?}");
        assert!(statuses.iter().all(|status| matches!(status, Some(403 | 503))), "{statuses:?}");
        // The rest of the attack goes nowhere, either.
        let _ = held.write_all(&body[10..]);
        held.set_read_timeout(Some(WITHIN)).unwrap();
        let mut answer = Vec::new();
        let _ = held.read_to_end(&mut answer);
        assert!(!answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
        // The new VM takes the bundle from the proxy's shared data, and its events come.
        let (harmless, status) = site.send("/v1/chat/completions", HARMLESS);
        assert_eq!(status, 200);
        let event = until("an event of the new VM", || site.collector.event(&harmless));
        assert_eq!(event.bundle.as_deref(), Some(id.as_str()), "{:?}", event.degraded);
    }
    let vms = site.collector.account();
    assert_eq!(vms.len(), 4, "a VM of each round, and the first: {vms:?}");
    let reloads = site.envoy.stats("vm_reload_success").unwrap();
    assert!(reloads.values().any(|n| *n >= 3), "{reloads:?}");
    site.nothing_hostile_passed();
}
