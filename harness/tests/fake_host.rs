//! The fake host against filters small enough to read: what the client and the upstream see.

#![expect(clippy::unwrap_used, reason = "a test, in functions of its own")]

use sentinel_harness::fake_host::{
    CalloutReply, EndOfStream, FilterModule, HostOptions, MetricValue, Proxy, Status,
};
use sentinel_harness::wire::{Request, Response, Seen, UpstreamSaw};

const PRELUDE: &str = r#"
  (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
  (import "env" "proxy_get_buffer_bytes" (func $get_buffer (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_set_buffer_bytes" (func $set_buffer (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_get_header_map_value" (func $get_header (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_replace_header_map_value" (func $set_header (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_remove_header_map_value" (func $remove_header (param i32 i32 i32) (result i32)))
  (import "env" "proxy_get_property" (func $get_property (param i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_set_property" (func $set_property (param i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_send_local_response"
    (func $reply (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_http_call"
    (func $http_call (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_continue_stream" (func $continue (param i32) (result i32)))
  (import "env" "proxy_close_stream" (func $close (param i32) (result i32)))
  (import "env" "proxy_set_effective_context" (func $effective (param i32) (result i32)))
  (import "env" "proxy_set_tick_period_milliseconds" (func $tick_period (param i32) (result i32)))
  (import "env" "proxy_define_metric" (func $define (param i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_increment_metric" (func $increment (param i32 i64) (result i32)))
  (import "env" "proxy_record_metric" (func $record (param i32 i64) (result i32)))
  (import "env" "proxy_set_shared_data" (func $share (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_grpc_cancel" (func $grpc_cancel (param i32) (result i32)))
  (memory (export "memory") 64)
  (global $free (mut i32) (i32.const 65536))
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "proxy_on_memory_allocate") (param i32) (result i32)
    (global.get $free)
    (global.set $free (i32.add (global.get $free) (local.get 0))))
  (func $ok (param i32) (if (local.get 0) (then (unreachable))))
"#;

fn module(body: &str) -> FilterModule {
    FilterModule::from_bytes(format!("(module {PRELUDE} {body})").as_bytes()).unwrap()
}

#[track_caller]
fn start(body: &str) -> Proxy {
    Proxy::start(&module(body), HostOptions::default()).unwrap()
}

fn ok(_: &UpstreamSaw) -> Response {
    Response::new(200, "fine")
}

fn upstream(seen: &Seen) -> &UpstreamSaw {
    seen.upstream.as_ref().unwrap()
}

#[test]
fn a_filter_without_callbacks_changes_nothing() {
    let mut proxy = start("");
    let request = Request::json("/v1/x?q=1", r#"{"a":1}"#);
    let seen = proxy.exchange(&request, &mut ok).unwrap();
    assert_eq!(upstream(&seen).body(), br#"{"a":1}"#);
    assert_eq!(upstream(&seen).path, "/v1/x?q=1");
    assert_eq!(upstream(&seen).header("content-length"), Some(&b"7"[..]));
    let client = seen.client.unwrap();
    assert_eq!((client.status, client.text().as_str(), client.complete), (200, "fine", true));
}

#[test]
fn an_import_that_no_host_has_is_named() {
    let wat = r#"(module (import "env" "frobnicate" (func)) (memory (export "memory") 1))"#;
    let module = FilterModule::from_bytes(wat.as_bytes()).unwrap();
    let error = Proxy::start(&module, HostOptions::default()).unwrap_err();
    assert!(error.to_string().contains("env.frobnicate"), "{error}");
}

#[test]
fn a_rare_proxy_function_answers_unimplemented() {
    let mut proxy = start(
        r#"(func (export "proxy_on_log") (param i32)
             (if (i32.ne (call $grpc_cancel (i32.const 1)) (i32.const 12)) (then (unreachable))))"#,
    );
    proxy.exchange(&Request::get("/"), &mut ok).unwrap();
}

/// Holds headers and body to the end, then puts `[redacted]` in the body's place with its length.
const REDACT: &str = r#"
  (data (i32.const 0) "[redacted]content-length10")
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (i32.eqz (local.get 2)))
  (func (export "proxy_on_request_body") (param i32 i32 i32) (result i32)
    (if (result i32) (local.get 2) (then (call $redact) (i32.const 0)) (else (i32.const 1))))
  (func (export "proxy_on_request_trailers") (param i32 i32) (result i32)
    (call $redact) (i32.const 0))
  (func $redact
    (call $ok (call $set_buffer (i32.const 0) (i32.const 0) (i32.const -1) (i32.const 0) (i32.const 10)))
    (call $ok (call $set_header (i32.const 0) (i32.const 10) (i32.const 14) (i32.const 24) (i32.const 2))))
"#;

#[test]
fn a_held_body_is_replaced_however_it_arrives() {
    let whole = Request::post("/", "a secret in the body");
    for end_of_stream in [EndOfStream::Alone, EndOfStream::WithLastChunk] {
        let options = HostOptions { end_of_stream, ..HostOptions::default() };
        let mut proxy = Proxy::start(&module(REDACT), options).unwrap();
        for request in [whole.clone(), whole.clone().split(1), whole.clone().split(7).with_trailer("t", "v")]
        {
            let seen = proxy.exchange(&request, &mut ok).unwrap();
            assert_eq!(upstream(&seen).text(), "[redacted]");
            assert_eq!(upstream(&seen).trailers, request.trailers);
            assert!(upstream(&seen).complete);
        }
    }
}

#[test]
fn a_wrong_content_length_truncates_at_the_upstream() {
    let mut proxy = start(
        r#"(data (i32.const 0) "longer than it was")
           (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) (i32.const 1))
           (func (export "proxy_on_request_body") (param i32 i32 i32) (result i32)
             (if (i32.eqz (local.get 2)) (then (return (i32.const 1))))
             (call $ok (call $set_buffer (i32.const 0) (i32.const 0) (i32.const -1) (i32.const 0) (i32.const 18)))
             (i32.const 0))"#,
    );
    let seen = proxy.exchange(&Request::post("/", "short"), &mut ok).unwrap();
    assert_eq!(upstream(&seen).text(), "longe");
    let seen = proxy.exchange(&Request::post("/", "a body that was much longer"), &mut ok).unwrap();
    assert!(!upstream(&seen).complete);
    assert_eq!(seen.client, None, "an upstream that waits for more answers nothing");
}

#[test]
fn without_the_length_the_body_is_chunked() {
    let mut proxy = start(
        r#"(data (i32.const 0) "content-length")
           (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
             (call $ok (call $remove_header (i32.const 0) (i32.const 0) (i32.const 14)))
             (i32.const 0))"#,
    );
    let seen = proxy.exchange(&Request::post("/", "body"), &mut ok).unwrap();
    assert_eq!(upstream(&seen).header("content-length"), None);
    assert_eq!(upstream(&seen).header("transfer-encoding"), Some(&b"chunked"[..]));
}

#[test]
fn a_paused_filter_sees_everything_so_far() {
    // Records the size that each body callback is told.
    let mut proxy = start(
        r#"(data (i32.const 0) "sizes")
           (global $id (mut i32) (i32.const 0))
           (func (export "proxy_on_configure") (param i32 i32) (result i32)
             (call $ok (call $define (i32.const 2) (i32.const 0) (i32.const 5) (i32.const 100)))
             (i32.const 1))
           (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) (i32.const 1))
           (func (export "proxy_on_request_body") (param i32 i32 i32) (result i32)
             (call $ok (call $record (i32.load (i32.const 100)) (i64.extend_i32_u (local.get 1))))
             (i32.eqz (local.get 2)))"#,
    );
    let request = Request::post("/", "abcdef").split(2);
    proxy.exchange(&request, &mut ok).unwrap();
    assert_eq!(proxy.metrics().get("sizes"), Some(&MetricValue::Histogram(vec![2, 4, 6, 6])));
}

#[test]
fn headers_that_are_held_without_the_flag_hold_the_body_too() {
    let options = HostOptions { holds_headers: false, ..HostOptions::default() };
    let mut proxy = Proxy::start(&module(REDACT), options.clone()).unwrap();
    let seen = proxy.exchange(&Request::post("/", "a secret"), &mut ok).unwrap();
    assert_eq!((seen.client, seen.upstream), (None, None));
    assert!(seen.note.unwrap().contains("never continued"));

    // A tick that continues the stream brings the body at last, in one piece.
    let resumes = r#"
        (data (i32.const 0) "[redacted]content-length10")
        (global $stream (mut i32) (i32.const 0))
        (func (export "proxy_on_configure") (param i32 i32) (result i32)
          (call $ok (call $tick_period (i32.const 5))) (i32.const 1))
        (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
          (global.set $stream (local.get 0)) (i32.const 1))
        (func (export "proxy_on_request_body") (param i32 i32 i32) (result i32)
          (if (i32.ne (local.get 1) (i32.const 8)) (then (unreachable)))
          (if (i32.eqz (local.get 2)) (then (unreachable)))
          (call $ok (call $set_buffer (i32.const 0) (i32.const 0) (i32.const -1) (i32.const 3) (i32.const 8)))
          (i32.const 0))
        (func (export "proxy_on_tick") (param i32)
          (call $ok (call $effective (global.get $stream)))
          (call $ok (call $continue (i32.const 0))))"#;
    let mut proxy = Proxy::start(&module(resumes), options).unwrap();
    let before = proxy.now_ns();
    let seen = proxy.exchange(&Request::post("/", "a secret").split(3), &mut ok).unwrap();
    assert_eq!(upstream(&seen).text(), "dacted]c");
    assert_eq!(seen.status(), 200);
    assert_eq!(proxy.now_ns() - before, 5_000_000);
}

const BLOCK: &str = r#"
  (data (i32.const 0) "blocked{rule=x}no waywasm_verdictblock")
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) (i32.const 1))
  (func (export "proxy_on_request_body") (param i32 i32 i32) (result i32)
    (call $ok (call $set_property (i32.const 21) (i32.const 12) (i32.const 33) (i32.const 5)))
    (call $ok (call $reply (i32.const 403) (i32.const 0) (i32.const 15) (i32.const 15) (i32.const 6)
      (i32.const 0) (i32.const 0) (i32.const -1)))
    (i32.const 1))
  (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
    (call $ok (call $set_header (i32.const 2) (i32.const 21) (i32.const 4) (i32.const 33) (i32.const 5)))
    (i32.const 0))
"#;

#[test]
fn a_local_reply_passes_the_filters_own_response_callbacks() {
    let mut proxy = start(BLOCK);
    let mut asked = false;
    let seen = proxy
        .exchange(&Request::post("/", "bad").split(1), &mut |_| {
            asked = true;
            Response::default()
        })
        .unwrap();
    assert!(!asked);
    assert_eq!(seen.upstream, None);
    let client = seen.client.unwrap();
    assert_eq!((client.status, client.text().as_str(), client.complete), (403, "no way", true));
    assert_eq!(client.header("wasm"), Some(&b"block"[..]));
    assert_eq!(client.header("content-type"), Some(&b"text/plain"[..]));
    assert_eq!(proxy.local_reply_details(), Some("blocked{rule=x}"));
    assert_eq!(proxy.filter_state().get("wasm_verdict"), Some(&b"block".to_vec()));
}

#[test]
fn a_held_body_over_the_limit_ends_in_413_or_500() {
    let options = HostOptions { buffer_limit: 8, ..HostOptions::default() };
    let mut proxy = Proxy::start(&module(REDACT), options.clone()).unwrap();
    assert_eq!(proxy.exchange(&Request::post("/", "12345678"), &mut ok).unwrap().status(), 200);
    let seen = proxy.exchange(&Request::post("/", "123456789").split(4), &mut ok).unwrap();
    assert_eq!((seen.status(), &seen.upstream), (413, &None));
    assert_eq!(proxy.local_reply_details(), Some("request_payload_too_large"));

    let holds = |headers: u8| {
        format!(
            r#"(func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32) (i32.const {headers}))
               (func (export "proxy_on_response_body") (param i32 i32 i32) (result i32) (i32.eqz (local.get 2)))"#
        )
    };
    let mut large = |_: &UpstreamSaw| Response::chunked(200, vec![b"12345".to_vec(), b"67890".to_vec()]);
    let mut proxy = Proxy::start(&module(&holds(1)), options.clone()).unwrap();
    assert_eq!(proxy.exchange(&Request::get("/"), &mut large).unwrap().status(), 500);
    let mut proxy = Proxy::start(&module(&holds(0)), options).unwrap();
    let client = proxy.exchange(&Request::get("/"), &mut large).unwrap().client.unwrap();
    assert_eq!(
        (client.status, client.complete),
        (200, false),
        "headers are out, so the response can only be cut"
    );
}

#[test]
fn a_stream_that_is_closed_in_the_response_is_cut() {
    let mut proxy = start(
        r#"(global $seen (mut i32) (i32.const 0))
           (func (export "proxy_on_response_body") (param i32 i32 i32) (result i32)
             (if (global.get $seen) (then (call $ok (call $close (i32.const 1)))))
             (global.set $seen (i32.const 1))
             (i32.const 0))"#,
    );
    let mut answer = |_: &UpstreamSaw| Response::chunked(200, vec![b"one".to_vec(), b"two".to_vec()]);
    let client = proxy.exchange(&Request::get("/"), &mut answer).unwrap().client.unwrap();
    assert_eq!((client.text().as_str(), client.complete), ("one", false));
}

#[test]
fn a_trap_kills_the_vm_until_it_is_restarted() {
    let mut proxy = start(
        r#"(data (i32.const 0) "last words")
           (data (i32.const 16) "kept")
           (data (i32.const 32) "x-trap")
           (func (export "proxy_on_configure") (param i32 i32) (result i32)
             (drop (call $share (i32.const 16) (i32.const 4) (i32.const 0) (i32.const 4) (i32.const 0)))
             (call $ok (call $define (i32.const 0) (i32.const 16) (i32.const 4) (i32.const 100)))
             (i32.const 1))
           (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
             (call $ok (call $increment (i32.load (i32.const 100)) (i64.const 1)))
             (if (i32.eqz (call $get_header (i32.const 0) (i32.const 32) (i32.const 6) (i32.const 200) (i32.const 204)))
               (then
                 (call $ok (call $log (i32.const 4) (i32.const 0) (i32.const 10)))
                 (unreachable)))
             (i32.const 0))"#,
    );
    let error =
        proxy.exchange(&Request::get("/").with_header("x-trap", [0xff]), &mut ok).unwrap_err().to_string();
    assert!(error.contains("proxy_on_request_headers trapped"), "{error}");
    assert!(error.contains("unreachable") && error.contains("last words"), "{error}");
    assert!(!proxy.alive());
    assert!(proxy.exchange(&Request::get("/"), &mut ok).is_err());
    proxy.restart_vm().unwrap();
    assert_eq!(proxy.exchange(&Request::get("/"), &mut ok).unwrap().status(), 200);
    assert_eq!(proxy.metric("kept"), 2);
    assert_eq!(proxy.shared_data().get(&b"kept"[..]), Some(&b"last".to_vec()));
}

#[test]
fn a_new_configuration_keeps_statics_and_a_bad_one_keeps_the_old() {
    // Accepts an empty configuration only; counts roots in a static.
    let mut proxy = start(
        r#"(data (i32.const 0) "roots")
           (global $roots (mut i64) (i64.const 0))
           (func (export "proxy_on_configure") (param i32 i32) (result i32)
             (if (local.get 1) (then (return (i32.const 0))))
             (global.set $roots (i64.add (global.get $roots) (i64.const 1)))
             (call $ok (call $define (i32.const 1) (i32.const 0) (i32.const 5) (i32.const 100)))
             (call $ok (call $record (i32.load (i32.const 100)) (global.get $roots)))
             (i32.const 1))"#,
    );
    assert!(!proxy.reconfigure(b"bad").unwrap());
    assert_eq!(proxy.exchange(&Request::get("/"), &mut ok).unwrap().status(), 200);
    assert!(proxy.reconfigure(b"").unwrap());
    assert_eq!(proxy.metric("roots"), 2);
    proxy.restart_vm().unwrap();
    assert_eq!(proxy.metric("roots"), 1);
}

/// Asks a cluster about each request and continues when the answer is there; the status goes to the filter state.
const ASKS: &str = r#"
  (data (i32.const 0) "policy")
  (data (i32.const 16)
    "\03\00\00\00\07\00\00\00\04\00\00\00\05\00\00\00\01\00\00\00\0a\00\00\00\01\00\00\00:method\00POST\00:path\00/\00:authority\00p\00")
  (data (i32.const 100) ":status")
  (global $stream (mut i32) (i32.const 0))
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (global.set $stream (local.get 0))
    (if (result i32) (call $http_call (i32.const 0) (i32.const 6) (i32.const 16) (i32.const 62)
        (i32.const 0) (i32.const 6) (i32.const 0) (i32.const 0) (i32.const 250) (i32.const 200))
      (then (i32.const 0)) (else (i32.const 1))))
  (func (export "proxy_on_http_call_response") (param i32 i32 i32 i32 i32)
    (call $ok (call $get_header (i32.const 6) (i32.const 100) (i32.const 7) (i32.const 300) (i32.const 304)))
    (call $ok (call $effective (global.get $stream)))
    (call $ok (call $set_property (i32.const 101) (i32.const 6) (i32.load (i32.const 300)) (i32.load (i32.const 304))))
    (call $ok (call $continue (i32.const 0))))
"#;

#[test]
fn a_callout_is_answered_or_times_out() {
    let mut proxy = start(ASKS);
    let before = proxy.now_ns();
    assert_eq!(proxy.exchange(&Request::get("/"), &mut ok).unwrap().status(), 200);
    assert_eq!(proxy.now_ns() - before, 250_000_000);
    assert_eq!(proxy.filter_state().get("status"), Some(&b"504".to_vec()));
    let callouts = proxy.callouts();
    assert_eq!((callouts[0].cluster.as_str(), callouts[0].body.as_slice()), ("policy", &b"policy"[..]));
    assert_eq!(callouts[0].header(":path"), Some(&b"/"[..]));

    proxy.on_callout(|_| Some(CalloutReply::ConnectFailure));
    proxy.exchange(&Request::get("/"), &mut ok).unwrap();
    assert_eq!(proxy.filter_state().get("status"), Some(&b"503".to_vec()));
    proxy.on_callout(|_| Some(CalloutReply::ok("yes")));
    proxy.exchange(&Request::get("/"), &mut ok).unwrap();
    assert_eq!(proxy.filter_state().get("status"), Some(&b"200".to_vec()));

    proxy.unknown_clusters().insert("policy".to_owned());
    proxy.callouts();
    assert_eq!(proxy.exchange(&Request::get("/"), &mut ok).unwrap().status(), 200);
    assert_eq!(proxy.callouts(), vec![]);
}

#[test]
fn a_fault_forces_the_status_of_a_host_function() {
    let mut proxy = start(REDACT);
    proxy.faults().next_calls("proxy_set_buffer_bytes", 1, Status::InternalFailure as u32);
    assert!(proxy.exchange(&Request::post("/", "x"), &mut ok).is_err(), "this filter traps on a bad status");
    proxy.restart_vm().unwrap();
    assert_eq!(proxy.exchange(&Request::post("/", "x"), &mut ok).unwrap().status(), 200);
    proxy.faults().calls_where("proxy_set_buffer_bytes", 10, |n| n == 3);
    assert!(proxy.exchange(&Request::post("/", "x"), &mut ok).is_err());
    assert_eq!(proxy.faults().calls("proxy_set_buffer_bytes"), 3);
}

#[test]
fn total_size_grows_without_a_body_callback() {
    // Looks at request.total_size from the tick, while the body is held back.
    let body = r#"
        (data (i32.const 0) "request\00total_sizesize")
        (global $stream (mut i32) (i32.const 0))
        (func (export "proxy_on_configure") (param i32 i32) (result i32)
          (call $ok (call $define (i32.const 1) (i32.const 14) (i32.const 4) (i32.const 100)))
          (call $ok (call $tick_period (i32.const 5))) (i32.const 1))
        (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
          (global.set $stream (local.get 0))
          (i32.const 1))
        (func (export "proxy_on_tick") (param i32)
          (call $ok (call $effective (global.get $stream)))
          (call $ok (call $get_property (i32.const 0) (i32.const 18) (i32.const 200) (i32.const 204)))
          (call $ok (call $record (i32.load (i32.const 100)) (i64.load (i32.load (i32.const 200))))))"#;
    let options = HostOptions { holds_headers: false, ..HostOptions::default() };
    let size_with = |body_size: usize| {
        let mut proxy = Proxy::start(&module(body), options.clone()).unwrap();
        proxy.exchange(&Request::post("/", vec![b'x'; body_size]), &mut ok).unwrap();
        proxy.metric("size")
    };
    assert_eq!(size_with(2000) - size_with(1000), 1000);
}

#[test]
fn the_same_exchange_uses_the_same_fuel() {
    let fuel = || {
        let mut proxy = start(REDACT);
        proxy.exchange(&Request::post("/", "some body").split(2), &mut ok).unwrap();
        (proxy.fuel_of_last_exchange(), proxy.fuel_used())
    };
    assert_eq!(fuel(), fuel());
    assert!(fuel().0 > 0);
    let mut small = Proxy::start(
        &module(
            r#"(func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) (loop $l (br $l)) (i32.const 0))"#,
        ),
        HostOptions { fuel_per_call: Some(10_000), ..HostOptions::default() },
    )
    .unwrap();
    let error = small.exchange(&Request::get("/"), &mut ok).unwrap_err().to_string();
    assert!(error.contains("fuel"), "{error}");
}

#[test]
fn a_compiled_module_is_read_back_from_disk() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("f.wasm");
    std::fs::write(&path, sentinel_harness::noop::wasm().unwrap()).unwrap();
    FilterModule::load(&path).unwrap();
    assert_eq!(std::fs::read_dir(folder.path().join(".cwasm")).unwrap().count(), 1);
    let again = FilterModule::load(&path).unwrap();
    assert!(again.exports().contains(&"proxy_abi_version_0_2_1".to_owned()));
    let mut proxy = Proxy::start(&again, HostOptions::default()).unwrap();
    assert_eq!(proxy.exchange(&Request::post("/", "x"), &mut ok).unwrap().status(), 200);
}
