//! The fake host against a real Envoy: the same filters and requests give the same callbacks, statuses and ends.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test, in functions of its own"
)]

use std::time::Duration;

use sentinel_harness::bootstrap::{Bootstrap, Listener, WasmFilter};
use sentinel_harness::envoy::{Envoy, EnvoyOptions};
use sentinel_harness::fake_host::{CalloutReply, FilterModule, HostOptions, Proxy};
use sentinel_harness::upstream::Upstream;
use sentinel_harness::wire::{Request, Response, UpstreamSaw};
use sentinel_harness::{http1, http2};
use serde_json::{Value, json};

const WITHIN: Duration = Duration::from_secs(60);
/// Where the fake host gives no answer: Envoy would have answered long before.
const NO_ANSWER_WITHIN: Duration = Duration::from_millis(300);

/// Logs every callback of a stream as a letter, a number and a flag, and what host calls answer in it: the request
/// header and property `path`, the response header `:status`, and each body buffer, each as one digit.
const TRACE: &str = r#"
  (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
  (import "env" "proxy_get_buffer_bytes" (func $get_buffer (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_set_buffer_bytes" (func $set_buffer (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_get_header_map_value" (func $get_header (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_replace_header_map_value" (func $set_header (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_remove_header_map_value" (func $remove_header (param i32 i32 i32) (result i32)))
  (import "env" "proxy_get_property" (func $get_property (param i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_send_local_response"
    (func $reply (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_close_stream" (func $close (param i32) (result i32)))
  (memory (export "memory") 100)
  (global $free (mut i32) (i32.const 65536))
  (data (i32.const 0) ":path")
  (data (i32.const 8) "request\00path")
  (data (i32.const 24) ":status")
  (data (i32.const 32) "content-length")
  (data (i32.const 48) "[redacted]10")
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "proxy_on_memory_allocate") (param i32) (result i32)
    (global.get $free)
    (global.set $free (i32.add (global.get $free) (local.get 0))))
  (func $digit (param $at i32) (param $n i32)
    (i32.store8 (local.get $at) (i32.add (i32.const 48) (local.get $n))))
  (func $trace (param $letter i32) (param $n i32) (param $flag i32)
    (local $at i32)
    (i32.store8 (i32.const 1000) (local.get $letter))
    (local.set $at (i32.const 1008))
    (loop $next
      (call $digit (local.get $at) (i32.rem_u (local.get $n) (i32.const 10)))
      (local.set $n (i32.div_u (local.get $n) (i32.const 10)))
      (local.set $at (i32.sub (local.get $at) (i32.const 1)))
      (br_if $next (i32.gt_u (local.get $at) (i32.const 1001))))
    (i32.store8 (i32.const 1001) (i32.const 58))
    (call $digit (i32.const 1009) (local.get $flag))
    (i32.store8 (i32.const 1010) (i32.const 32))
    (call $digit (i32.const 1011)
      (call $get_header (i32.const 0) (i32.const 0) (i32.const 5) (i32.const 900) (i32.const 904)))
    (call $digit (i32.const 1012) (call $get_property (i32.const 8) (i32.const 12) (i32.const 900) (i32.const 904)))
    (call $digit (i32.const 1013)
      (call $get_header (i32.const 2) (i32.const 24) (i32.const 7) (i32.const 900) (i32.const 904)))
    (call $digit (i32.const 1014) (call $body_size (i32.const 0)))
    (call $digit (i32.const 1015) (call $body_size (i32.const 1)))
    (drop (call $log (i32.const 3) (i32.const 1000) (i32.const 16))))
  ;; One byte is asked for: its presence tells an open buffer from a closed or empty one.
  (func $body_size (param $kind i32) (result i32)
    (i32.store (i32.const 904) (i32.const 0))
    (drop (call $get_buffer (local.get $kind) (i32.const 0) (i32.const 1) (i32.const 900) (i32.const 904)))
    (i32.load (i32.const 904)))
  (func $redact (param $body i32) (param $headers i32)
    (drop (call $set_buffer (local.get $body) (i32.const 0) (i32.const -1) (i32.const 48) (i32.const 10)))
    (drop (call $set_header (local.get $headers) (i32.const 32) (i32.const 14) (i32.const 58) (i32.const 2))))
  (func $block (drop (call $reply (i32.const 403) (i32.const 48) (i32.const 4) (i32.const 48) (i32.const 10)
    (i32.const 0) (i32.const 0) (i32.const -1))))
  (func (export "proxy_on_done") (param i32) (result i32)
    (call $trace (i32.const 100) (i32.const 0) (i32.const 0)) (i32.const 1))
  (func (export "proxy_on_log") (param i32) (call $trace (i32.const 108) (i32.const 0) (i32.const 0)))
  (func (export "proxy_on_delete") (param i32))
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (call $trace (i32.const 72) (i32.const 0) (local.get 2)) REQUEST_HEADERS)
  (func (export "proxy_on_request_body") (param i32 i32 i32) (result i32)
    (call $trace (i32.const 66) (local.get 1) (local.get 2)) REQUEST_BODY)
  (func (export "proxy_on_request_trailers") (param i32 i32) (result i32)
    (call $trace (i32.const 84) (local.get 1) (i32.const 0)) REQUEST_TRAILERS)
  (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
    (call $trace (i32.const 104) (i32.const 0) (local.get 2)) RESPONSE_HEADERS)
  (func (export "proxy_on_response_body") (param i32 i32 i32) (result i32)
    (call $trace (i32.const 98) (local.get 1) (local.get 2)) RESPONSE_BODY)
  (func (export "proxy_on_response_trailers") (param i32 i32) (result i32)
    (call $trace (i32.const 116) (local.get 1) (i32.const 0)) RESPONSE_TRAILERS)
"#;

const GO: &str = "(i32.const 0)";
const HOLD_TO_END: &str = "(i32.eqz (local.get 2))";
const REDACT_REQUEST_AT_END: &str =
    "(if (local.get 2) (then (call $redact (i32.const 0) (i32.const 0)))) (i32.eqz (local.get 2))";
const REDACT_RESPONSE_AT_END: &str =
    "(if (local.get 2) (then (call $redact (i32.const 1) (i32.const 2)))) (i32.eqz (local.get 2))";

/// What a filter does in each callback, in the order of [`CALLBACKS`].
struct Filter {
    name: &'static str,
    does: [&'static str; 6],
}

const CALLBACKS: [&str; 6] = [
    "REQUEST_HEADERS",
    "REQUEST_BODY",
    "REQUEST_TRAILERS",
    "RESPONSE_HEADERS",
    "RESPONSE_BODY",
    "RESPONSE_TRAILERS",
];

const FILTERS: [Filter; 11] = [
    Filter { name: "passes", does: [GO, GO, GO, GO, GO, GO] },
    Filter {
        name: "redacts_request",
        does: [
            HOLD_TO_END,
            REDACT_REQUEST_AT_END,
            "(call $redact (i32.const 0) (i32.const 0)) (i32.const 0)",
            GO,
            GO,
            GO,
        ],
    },
    Filter {
        name: "redacts_response",
        does: [
            GO,
            GO,
            GO,
            HOLD_TO_END,
            REDACT_RESPONSE_AT_END,
            "(call $redact (i32.const 1) (i32.const 2)) (i32.const 0)",
        ],
    },
    Filter { name: "blocks_headers", does: ["(call $block) (i32.const 1)", GO, GO, GO, GO, GO] },
    Filter {
        name: "blocks_body",
        does: [HOLD_TO_END, "(call $block) (i32.const 1)", "(call $block) (i32.const 1)", GO, GO, GO],
    },
    Filter { name: "blocks_response", does: [GO, GO, GO, "(call $block) (i32.const 1)", GO, GO] },
    Filter {
        name: "blocks_held_response_body",
        does: [GO, GO, GO, "(i32.const 1)", "(call $block) (i32.const 1)", GO],
    },
    Filter {
        name: "closes_response_body",
        does: [
            GO,
            GO,
            GO,
            GO,
            "(if (local.get 2) (then (drop (call $close (i32.const 1))))) (i32.const 0)",
            GO,
        ],
    },
    Filter {
        name: "closes_request",
        does: ["(drop (call $close (i32.const 0))) (i32.const 1)", GO, GO, GO, GO, GO],
    },
    Filter {
        name: "blocks_begun_response",
        does: [GO, GO, GO, GO, "(if (local.get 2) (then (call $block))) (i32.eqz (local.get 2))", GO],
    },
    Filter {
        name: "holds_body_only",
        does: [
            "(drop (call $remove_header (i32.const 0) (i32.const 32) (i32.const 14))) (i32.const 0)",
            REDACT_REQUEST_AT_END,
            "(call $redact (i32.const 0) (i32.const 0)) (i32.const 0)",
            GO,
            GO,
            GO,
        ],
    },
];

impl Filter {
    fn wasm(&self) -> Vec<u8> {
        let mut body = TRACE.to_owned();
        for (callback, does) in CALLBACKS.iter().zip(self.does) {
            body = body.replace(&format!(" {callback})"), &format!(" {does})"));
        }
        wat::parse_str(format!("(module {body})")).unwrap()
    }
}

/// What is compared: the trace of callbacks, then both ends.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    trace: Vec<String>,
    client: Option<(u16, String, bool)>,
    upstream: Option<(String, bool, Option<String>)>,
}

fn answer(saw: &UpstreamSaw) -> Response {
    match saw.path.as_str() {
        "/length" => Response::new(200, "an answer").with_header("content-length", "9"),
        "/empty" => Response::new(204, ""),
        "/trailers" => Response::new(200, "an answer").with_trailer("x-down", "1"),
        "/unchanged" => Response::new(304, "").with_header("content-length", "9"),
        "/refused" => Response::new(426, "no").with_header("content-length", "2"),
        "/switch" => switching(),
        _ => Response::new(200, "an answer"),
    }
}

/// No framing: what follows is another protocol.
fn switching() -> Response {
    let response = Response { status: 101, ..Response::default() };
    response.with_header("connection", "upgrade").with_header("upgrade", "websocket")
}

fn upgrade(path: &str) -> Request {
    Request::get(path).with_header("connection", "upgrade").with_header("upgrade", "websocket")
}

fn requests() -> Vec<(&'static str, Request)> {
    let post = Request::post("/", "a secret body");
    let http2 = |mut request: Request| {
        request.http2 = true;
        request
    };
    let mut chunked = post.clone().with_header("transfer-encoding", "chunked");
    chunked.path = "/length".to_owned();
    vec![
        ("get", Request::get("/empty")),
        ("get with trailers in the response", Request::get("/trailers")),
        ("post", post.clone()),
        ("chunked", chunked),
        ("trailers", post.clone().with_trailer("x-up", "1")),
        ("head with a length", Request::new("HEAD", "/length")),
        ("not changed", Request::get("/unchanged")),
        ("refused upgrade", upgrade("/refused")),
        ("upgrade", upgrade("/switch")),
        ("http2", http2(post.clone())),
        ("http2 trailers", http2(post.with_trailer("x-up", "1"))),
    ]
}

fn outcome(
    trace: Vec<String>,
    client: Option<sentinel_harness::wire::ClientSaw>,
    upstream: Option<UpstreamSaw>,
) -> Outcome {
    Outcome {
        trace,
        client: client.map(|saw| (saw.status, saw.text(), saw.complete)),
        upstream: upstream.map(|saw| {
            let length = saw.header("content-length").map(|v| String::from_utf8_lossy(v).into_owned());
            (saw.text(), saw.complete, length)
        }),
    }
}

fn in_fake_host(module: &FilterModule, request: &Request) -> Outcome {
    let mut proxy = Proxy::start(module, HostOptions::default()).unwrap();
    let seen = proxy.exchange(request, &mut |saw| answer(saw)).unwrap();
    outcome(proxy.logs().iter().map(|line| line.text.clone()).collect(), seen.client, seen.upstream)
}

/// The lines that the filter logged since `from`, once the stream has been logged and let go.
fn trace_in(envoy: &Envoy, from: usize) -> Vec<String> {
    let started = std::time::Instant::now();
    loop {
        let log = envoy.log();
        let lines = log.get(from..).unwrap_or_default().lines();
        let trace: Vec<String> = lines
            .filter_map(|line| line.split_once(" wasm log"))
            .filter_map(|(_, rest)| Some(rest.split_once(": ")?.1.to_owned()))
            .collect();
        let over =
            trace.iter().any(|line| line.starts_with('l')) && trace.iter().any(|line| line.starts_with('d'));
        if over || started.elapsed() > WITHIN {
            return trace;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn callbacks_statuses_and_both_ends_agree() {
    let folder = tempfile::tempdir().unwrap();
    let upstream = Upstream::start(answer).unwrap();
    let mut bootstrap = Bootstrap::new(upstream.addr(), None);
    bootstrap.http1_trailers = true;
    let mut modules = Vec::new();
    for filter in &FILTERS {
        let path = folder.path().join(filter.name);
        std::fs::write(&path, filter.wasm()).unwrap();
        modules.push(FilterModule::from_bytes(&filter.wasm()).unwrap());
        let wasm = WasmFilter { vm_id: filter.name.to_owned(), ..WasmFilter::new(path, "") };
        bootstrap.listeners.push(Listener::new(filter.name, Some(wasm)));
    }
    let mut options = EnvoyOptions::new(&bootstrap);
    options.bootstrap_yaml = with_upgrades(bootstrap.to_json()).to_string();
    let envoy = Envoy::start(&options).unwrap();
    let mut differences = Vec::new();
    for (filter, module) in FILTERS.iter().zip(&modules) {
        let addr = envoy.addr(filter.name).unwrap();
        for (name, request) in requests() {
            let fake = in_fake_host(module, &request);
            let within = if fake.client.is_some() { WITHIN } else { NO_ANSWER_WITHIN };
            let from = envoy.log().len();
            upstream.take_requests();
            let client = if request.http2 {
                http2::exchange(addr, &request, within).unwrap()
            } else {
                http1::exchange(addr, &request, within).unwrap()
            };
            let trace = trace_in(&envoy, from);
            let real = outcome(trace, client, upstream.take_requests().pop());
            if real != fake {
                differences.push(format!("{} / {name}\n  envoy {real:?}\n  fake  {fake:?}", filter.name));
            }
        }
    }
    assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));
}

/// Without this Envoy refuses upgrades by itself, before the filter sees them.
fn with_upgrades(mut bootstrap: Value) -> Value {
    for listener in bootstrap["static_resources"]["listeners"].as_array_mut().unwrap() {
        let manager = &mut listener["filter_chains"][0]["filters"][0]["typed_config"];
        manager["upgrade_configs"] = json!([{"upgrade_type": "websocket"}]);
    }
    bootstrap
}

/// The ends alone: how a large body is cut into pieces is the network's choice.
#[test]
fn limits_and_holds_agree() {
    const MIB: usize = 1 << 20;
    let holds_response_body = Filter { name: "holds_response_body", does: [GO, GO, GO, GO, HOLD_TO_END, GO] };
    let folder = tempfile::tempdir().unwrap();
    let upstream = Upstream::start(large_answer).unwrap();
    let mut bootstrap = Bootstrap::new(upstream.addr(), None);
    // The filter, its flag, the path, and the size of the request's body.
    let cases = [
        (&FILTERS[1], true, "/", MIB),
        (&FILTERS[1], true, "/", MIB + 1),
        (&FILTERS[1], false, "/", 10),
        (&FILTERS[2], true, "/large", 0),
        (&holds_response_body, true, "/large", 0),
        (&FILTERS[0], true, "/large", 3 * MIB),
    ];
    for (idx, (filter, flag, ..)) in cases.iter().enumerate() {
        let path = folder.path().join(format!("{idx}"));
        std::fs::write(&path, filter.wasm()).unwrap();
        let mut wasm = WasmFilter::new(path, "");
        wasm.allow_on_headers_stop_iteration = *flag;
        bootstrap.listeners.push(Listener::new(&idx.to_string(), Some(wasm)));
    }
    let envoy = Envoy::run(&bootstrap).unwrap();
    for (idx, (filter, flag, path, size)) in cases.into_iter().enumerate() {
        let request = Request::post(path, vec![b'x'; size]);
        upstream.take_requests();
        let client = http1::exchange(envoy.addr(&idx.to_string()).unwrap(), &request, WITHIN).unwrap();
        let real = ends(client, upstream.take_requests().pop());
        let options = HostOptions { holds_headers: flag, ..HostOptions::default() };
        let mut proxy = Proxy::start(&FilterModule::from_bytes(&filter.wasm()).unwrap(), options).unwrap();
        let seen = proxy.exchange(&request, &mut |saw| large_answer(saw)).unwrap();
        assert_eq!(real, ends(seen.client, seen.upstream), "{} {path} {size}", filter.name);
    }
}

fn large_answer(saw: &UpstreamSaw) -> Response {
    let size = if saw.path == "/large" { 3 << 20 } else { 2 };
    Response::new(200, vec![b'y'; size])
}

type Ends = (Option<(u16, bool)>, Option<(usize, bool)>);

fn ends(client: Option<sentinel_harness::wire::ClientSaw>, upstream: Option<UpstreamSaw>) -> Ends {
    (client.map(|saw| (saw.status, saw.complete)), upstream.map(|saw| (saw.body.len(), saw.complete)))
}

/// Calls a cluster in the headers callback and continues when there is an answer; logs the dispatch's status, then
/// the answer's numbers of headers and body bytes and its `:status`.
fn callout_filter(cluster: &str) -> Vec<u8> {
    let headers = "\\03\\00\\00\\00\\07\\00\\00\\00\\04\\00\\00\\00\\05\\00\\00\\00\\02\\00\\00\\00\\0a\\00\\00\\00\\01\\00\\00\\00\
        :method\\00POST\\00:path\\00/c\\00:authority\\00p\\00";
    let more = format!(
        r#"
        (import "env" "proxy_http_call"
          (func $http_call (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
        (import "env" "proxy_continue_stream" (func $continue (param i32) (result i32)))
        (import "env" "proxy_set_effective_context" (func $effective (param i32) (result i32)))
        (data (i32.const 2000) "{cluster}")
        (data (i32.const 2100) "{headers}")
        (global $stream (mut i32) (i32.const 0))
        (func $ask (param $stream i32) (result i32)
          (local $status i32)
          (global.set $stream (local.get $stream))
          (local.set $status (call $http_call (i32.const 2000) (i32.const 4) (i32.const 2100) (i32.const 63)
            (i32.const 2000) (i32.const 4) (i32.const 0) (i32.const 0) (i32.const 200) (i32.const 900)))
          (call $trace (i32.const 97) (i32.const 0) (local.get $status))
          (i32.eqz (local.get $status)))
        (func (export "proxy_on_http_call_response") (param i32 i32 i32 i32 i32)
          (call $trace (i32.const 110) (local.get 2) (i32.const 0))
          (call $trace (i32.const 115) (local.get 3) (i32.const 0))
          (i32.store (i32.const 904) (i32.const 0))
          (drop (call $get_header (i32.const 6) (i32.const 24) (i32.const 7) (i32.const 900) (i32.const 904)))
          (drop (call $log (i32.const 3) (i32.load (i32.const 900)) (i32.load (i32.const 904))))
          (drop (call $effective (global.get $stream)))
          (drop (call $continue (i32.const 0))))"#
    );
    let (imports, functions) = more.split_at(more.find("(data").unwrap());
    let mut body = TRACE.replacen("  (import", &format!("{imports}  (import"), 1) + functions;
    for (callback, does) in CALLBACKS.iter().zip(["(call $ask (local.get 0))", GO, GO, GO, GO, GO]) {
        body = body.replace(&format!(" {callback})"), &format!(" {does})"));
    }
    wat::parse_str(format!("(module {body})")).unwrap()
}

#[test]
fn callouts_agree() {
    let folder = tempfile::tempdir().unwrap();
    let upstream = Upstream::ok().unwrap();
    let good = Upstream::start(|_| Response::new(201, "yes").with_header("content-length", "3")).unwrap();
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let dead = sentinel_harness::port::free_addr().unwrap();
    let mut bootstrap = Bootstrap::new(upstream.addr(), None)
        .with_cluster("good", good.addr())
        .with_cluster("slow", silent.local_addr().unwrap())
        .with_cluster("dead", dead);
    let cases = [
        ("good", None),
        ("slow", Some(CalloutReply::Timeout)),
        ("dead", Some(CalloutReply::ConnectFailure)),
        ("none", Some(CalloutReply::Reset)),
    ];
    for (cluster, _) in &cases {
        let path = folder.path().join(cluster);
        std::fs::write(&path, callout_filter(cluster)).unwrap();
        let wasm = WasmFilter { vm_id: (*cluster).to_owned(), ..WasmFilter::new(path, "") };
        bootstrap.listeners.push(Listener::new(cluster, Some(wasm)));
    }
    let envoy = Envoy::run(&bootstrap).unwrap();
    for (cluster, reply) in cases {
        let from = envoy.log().len();
        let addr = envoy.addr(cluster).unwrap();
        let client = http1::exchange(addr, &Request::get("/"), WITHIN).unwrap();
        let real = (client.map(|saw| saw.status), trace_in(&envoy, from));

        let options = HostOptions { unknown_clusters: vec!["none".to_owned()], ..HostOptions::default() };
        let module = FilterModule::from_bytes(&callout_filter(cluster)).unwrap();
        let mut proxy = Proxy::start(&module, options).unwrap();
        let good = CalloutReply::Answer {
            status: 201,
            headers: vec![(b"content-length".to_vec(), b"3".to_vec())],
            body: b"yes".to_vec(),
        };
        proxy.on_callout(move |_| Some(reply.clone().unwrap_or_else(|| good.clone())));
        let ok = Response::new(200, "ok").with_header("content-length", "2");
        let seen = proxy.exchange(&Request::get("/"), &mut |_| ok.clone()).unwrap();
        let fake: Vec<String> = proxy.logs().iter().map(|line| line.text.clone()).collect();
        assert_eq!(real, (Some(seen.status()), fake), "{cluster}");
    }
}

const PROPERTIES: [&[&str]; 33] = [
    &["request", "path"],
    &["request", "url_path"],
    &["request", "query"],
    &["request", "host"],
    &["request", "method"],
    &["request", "scheme"],
    &["request", "protocol"],
    &["request", "id"],
    &["request", "useragent"],
    &["request", "referer"],
    &["request", "headers", "x-given"],
    &["request", "headers", "x-missing"],
    &["request", "size"],
    &["request", "total_size"],
    &["request", "nonsense"],
    &["response", "code"],
    &["response", "code_details"],
    &["response", "flags"],
    &["response", "size"],
    &["response", "headers", "x-answer"],
    &["connection", "mtls"],
    &["xds", "route_name"],
    &["xds", "cluster_name"],
    &["xds", "virtual_host_name"],
    &["xds", "listener_direction"],
    &["xds", "upstream_host_metadata"],
    &["plugin_name"],
    &["plugin_root_id"],
    &["plugin_vm_id"],
    &["listener_direction"],
    &["cluster_name"],
    &["route_name"],
    &["nonsense"],
];

/// Logs the status and the value, in hex, of every property in each callback.
fn property_filter() -> Vec<u8> {
    let mut data = String::new();
    let mut calls = String::new();
    for (idx, path) in PROPERTIES.iter().enumerate() {
        let at = 10_000 + idx * 64;
        let path = path.join("\\00");
        let size = path.replace("\\00", "_").len();
        data.push_str(&format!("(data (i32.const {at}) \"{path}\")\n"));
        calls.push_str(&format!("(call $property (i32.const {idx}) (i32.const {at}) (i32.const {size}))\n"));
    }
    let dump = r#"
      (func $nibble (param $at i32) (param $n i32)
        (i32.store8 (local.get $at)
          (i32.add (local.get $n) (select (i32.const 48) (i32.const 87) (i32.lt_u (local.get $n) (i32.const 10))))))
      (func $property (param $idx i32) (param $path i32) (param $size i32)
        (local $at i32) (local $from i32) (local $end i32)
        (i32.store (i32.const 900) (i32.const 0))
        (i32.store (i32.const 904) (i32.const 0))
        (call $digit (i32.const 1203)
          (call $get_property (local.get $path) (local.get $size) (i32.const 900) (i32.const 904)))
        (call $digit (i32.const 1200) (i32.div_u (local.get $idx) (i32.const 10)))
        (call $digit (i32.const 1201) (i32.rem_u (local.get $idx) (i32.const 10)))
        (i32.store8 (i32.const 1202) (i32.const 61))
        (i32.store8 (i32.const 1204) (i32.const 58))
        (local.set $at (i32.const 1205))
        (local.set $from (i32.load (i32.const 900)))
        (local.set $end (i32.add (local.get $from) (i32.load (i32.const 904))))
        (block $done (loop $next
          (br_if $done (i32.ge_u (local.get $from) (local.get $end)))
          (call $nibble (local.get $at) (i32.shr_u (i32.load8_u (local.get $from)) (i32.const 4)))
          (call $nibble (i32.add (local.get $at) (i32.const 1)) (i32.and (i32.load8_u (local.get $from)) (i32.const 15)))
          (local.set $from (i32.add (local.get $from) (i32.const 1)))
          (local.set $at (i32.add (local.get $at) (i32.const 2)))
          (br $next)))
        (drop (call $log (i32.const 3) (i32.const 1200) (i32.sub (local.get $at) (i32.const 1200)))))"#;
    let mut body = TRACE.replace("(func $trace (param", &format!("{data}{dump}\n(func $trace (param"));
    let last = "(drop (call $log (i32.const 3) (i32.const 1000) (i32.const 16))))";
    body = body.replace(last, &format!("{}{calls})", last.strip_suffix(')').unwrap()));
    for callback in CALLBACKS {
        body = body.replace(&format!(" {callback})"), &format!(" {GO})"));
    }
    wat::parse_str(format!("(module {body})")).unwrap()
}

#[test]
fn properties_agree() {
    let folder = tempfile::tempdir().unwrap();
    let upstream =
        Upstream::start(|_| Response::new(200, "an answer").with_header("x-answer", "yes")).unwrap();
    let path = folder.path().join("properties.wasm");
    std::fs::write(&path, property_filter()).unwrap();
    let module = FilterModule::load(&path).unwrap();
    let bootstrap = Bootstrap::new(upstream.addr(), Some(WasmFilter::new(path, "")));
    let envoy = Envoy::run(&bootstrap).unwrap();
    let request = Request::post("/some/path?q=1&r=2", "a body of some size")
        .with_header("x-given", b"\xff\xfe")
        .with_header("x-request-id", "11111111-2222-4333-8444-555555555555")
        .with_header("user-agent", "test");
    http1::exchange(envoy.addr("main").unwrap(), &request, WITHIN).unwrap().unwrap();
    let real = named(trace_in(&envoy, 0));
    let mut proxy = Proxy::start(&module, HostOptions::default()).unwrap();
    proxy
        .exchange(&request, &mut |_| Response::new(200, "an answer").with_header("x-answer", "yes"))
        .unwrap();
    let fake = named(proxy.logs().iter().map(|line| line.text.clone()).collect());
    let differences: Vec<String> = real
        .iter()
        .zip(&fake)
        .filter(|(real, fake)| real != fake)
        .map(|(real, fake)| format!("envoy {real}   fake {fake}"))
        .collect();
    assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));
    assert_eq!(real.len(), fake.len());
}

/// `phase property=status:value`.
fn named(trace: Vec<String>) -> Vec<String> {
    let mut phase = String::new();
    let mut lines = Vec::new();
    for line in trace {
        match line.split_once('=') {
            None => phase = line,
            Some((idx, value)) => {
                let name = PROPERTIES[idx.parse::<usize>().unwrap()].join(".");
                lines.push(format!("{} {name}={value}", &phase[..1]));
            }
        }
    }
    lines
}
