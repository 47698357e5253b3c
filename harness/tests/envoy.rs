//! A real Envoy with the no-op filter in it.

use std::time::Duration;

use sentinel_harness::bootstrap::{AccessLog, Bootstrap, Listener, WasmFilter};
use sentinel_harness::envoy::{self, Envoy};
use sentinel_harness::upstream::Upstream;
use sentinel_harness::wire::{Request, Response};
use sentinel_harness::{http1, http2, noop};

const WITHIN: Duration = Duration::from_secs(20);

#[test]
fn the_noop_filter_passes_everything() {
    let folder = tempfile::tempdir().unwrap();
    let upstream =
        Upstream::start(|saw| Response::new(200, saw.body.clone()).with_trailer("x-down", "2")).unwrap();
    let filter = WasmFilter::new(noop::write_into(folder.path()).unwrap(), "{}");
    let mut bootstrap =
        Bootstrap::new(upstream.addr(), Some(filter)).with_listener(Listener::new("plain", None));
    bootstrap.http1_trailers = true;
    let log = folder.path().join("access.log");
    bootstrap.listeners[0].access_log =
        Some(AccessLog { path: log.clone(), format: "%REQ(:PATH)% %RESPONSE_CODE%".to_owned() });
    let envoy = Envoy::run(&bootstrap).unwrap();

    let request = Request::post("/v1", "hello there").split(3).with_trailer("x-up", "1");
    for listener in ["main", "plain"] {
        let addr = envoy.addr(listener).unwrap();
        let client = http1::exchange(addr, &request, WITHIN).unwrap().unwrap();
        assert_eq!((client.status, client.text().as_str(), client.complete), (200, "hello there", true));
        assert_eq!(client.trailers, Some(vec![(b"x-down".to_vec(), b"2".to_vec())]));
        let client = http2::exchange(addr, &request, WITHIN).unwrap().unwrap();
        assert_eq!((client.status, client.text().as_str(), client.complete), (200, "hello there", true));
        for saw in upstream.take_requests() {
            assert_eq!((saw.text().as_str(), saw.path.as_str()), ("hello there", "/v1"));
            assert_eq!(saw.trailers, request.trailers);
        }
    }
    let stats = envoy.stats("^http.main.downstream_rq_2xx$").unwrap();
    assert_eq!(stats.get("http.main.downstream_rq_2xx"), Some(&2));
    assert!(envoy.prometheus().unwrap().contains("envoy_http_downstream_rq_total"));
    assert!(envoy.cpu_time().unwrap() > Duration::ZERO);
    assert!(envoy.rss_bytes().unwrap() > 10_000_000);
    let pid = envoy.pid();
    drop(envoy);
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists(), "Envoy outlived its handle");
    assert_eq!(std::fs::read_to_string(log).unwrap(), "/v1 200\n/v1 200\n");
}

#[test]
fn validate_tells_a_good_configuration_from_a_bad_one() {
    let folder = tempfile::tempdir().unwrap();
    let addr = ([127, 0, 0, 1], 9).into();
    let filter = WasmFilter::new(noop::write_into(folder.path()).unwrap(), "{}");
    let good = envoy::validate(&Bootstrap::new(addr, Some(filter.clone()))).unwrap();
    assert!(good.ok, "{}", good.stderr);
    assert!(good.user_cpu > Duration::ZERO && good.peak_rss > 10_000_000, "{good:?}");
    let missing = WasmFilter { code: folder.path().join("missing.wasm"), ..filter };
    let bad = envoy::validate(&Bootstrap::new(addr, Some(missing))).unwrap();
    assert!(!bad.ok);
    assert!(bad.stderr.contains("missing.wasm"), "{}", bad.stderr);
}
