//! A bootstrap for a test Envoy, from values. It is JSON, which Envoy reads as it reads YAML.
//!
//! Ports are 0 unless given: Envoy picks them, and [`crate::envoy::Envoy`] says which.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde_json::{Map, Value, json};

pub const UPSTREAM_CLUSTER: &str = "upstream";

#[derive(Clone, Debug)]
pub struct Bootstrap {
    pub listeners: Vec<Listener>,
    pub upstream: SocketAddr,
    /// Further clusters, by name.
    pub clusters: Vec<(String, SocketAddr)>,
    pub admin_port: u16,
    /// Names and regexes of `stats_config.stats_tags`.
    pub stats_tags: Vec<(String, String)>,
    /// Lets HTTP/1.1 trailers pass, on both sides; Envoy drops them by default.
    pub http1_trailers: bool,
}

/// Speaks HTTP/1.1 and cleartext HTTP/2, whichever the client starts with.
#[derive(Clone, Debug)]
pub struct Listener {
    pub name: String,
    pub port: u16,
    /// Where its requests go: [`UPSTREAM_CLUSTER`], or the name of one of the bootstrap's own clusters.
    pub cluster: String,
    pub filter: Option<WasmFilter>,
    /// HTTP filters before and after the wasm filter, as Envoy's JSON.
    pub filters_before: Vec<Value>,
    pub filters_after: Vec<Value>,
    /// `filter_metadata` of the route.
    pub route_metadata: Option<Value>,
    /// `request_body_buffer_limit` of the route.
    pub request_body_buffer_limit: Option<u64>,
    pub per_connection_buffer_limit_bytes: Option<u32>,
    pub access_log: Option<AccessLog>,
    /// `tracing` of the connection manager, as Envoy's JSON.
    pub tracing: Option<Value>,
}

#[derive(Clone, Debug)]
pub struct WasmFilter {
    pub code: PathBuf,
    /// Handed to the filter as text.
    pub plugin_config: String,
    pub name: String,
    pub root_id: String,
    pub vm_id: String,
    pub vm_config: Option<String>,
    pub allow_on_headers_stop_iteration: bool,
    pub failure_policy: FailurePolicy,
    /// The calls of the host and the callbacks that it has, if not all. Any other call is answered with an error.
    pub capabilities: Option<Vec<String>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailurePolicy {
    /// With a back-off of 0.1 s.
    Reload,
    Closed,
    Open,
}

#[derive(Clone, Debug)]
pub struct AccessLog {
    pub path: PathBuf,
    /// One line; the newline is added.
    pub format: String,
}

impl Bootstrap {
    /// One listener, named `main`, with a filter or without.
    pub fn new(upstream: SocketAddr, filter: Option<WasmFilter>) -> Self {
        Self {
            listeners: vec![Listener::new("main", filter)],
            upstream,
            clusters: Vec::new(),
            admin_port: 0,
            stats_tags: Vec::new(),
            http1_trailers: false,
        }
    }

    #[must_use]
    pub fn with_listener(mut self, listener: Listener) -> Self {
        self.listeners.push(listener);
        self
    }

    #[must_use]
    pub fn with_cluster(mut self, name: &str, addr: SocketAddr) -> Self {
        self.clusters.push((name.to_owned(), addr));
        self
    }

    pub fn to_json(&self) -> Value {
        let tags = self.stats_tags.iter().map(|(name, regex)| json!({"tag_name": name, "regex": regex}));
        let listeners = self.listeners.iter().map(|listener| self.listener(listener));
        let upstream = (UPSTREAM_CLUSTER.to_owned(), self.upstream);
        let clusters = std::iter::once(&upstream).chain(&self.clusters);
        let clusters = clusters.map(|(name, addr)| self.cluster(name, *addr));
        json!({
            "node": {"id": "test", "cluster": "test"},
            "admin": {"address": address(local(self.admin_port))},
            "stats_config": {"stats_tags": tags.collect::<Vec<_>>()},
            "static_resources": {
                "listeners": listeners.collect::<Vec<_>>(),
                "clusters": clusters.collect::<Vec<_>>(),
            },
        })
    }

    fn listener(&self, listener: &Listener) -> Value {
        let mut config = json!({
            "name": listener.name,
            "address": address(local(listener.port)),
            "filter_chains": [{"filters": [{
                "name": "envoy.filters.network.http_connection_manager",
                "typed_config": self.connection_manager(listener),
            }]}],
        });
        if let Some(limit) = listener.per_connection_buffer_limit_bytes {
            set(&mut config, "per_connection_buffer_limit_bytes", json!(limit));
        }
        config
    }

    fn connection_manager(&self, listener: &Listener) -> Value {
        let router = json!({
            "name": "envoy.filters.http.router",
            "typed_config": {"@type": format!("{TYPES}/envoy.extensions.filters.http.router.v3.Router")},
        });
        let mut filters = listener.filters_before.clone();
        filters.extend(listener.filter.as_ref().map(WasmFilter::to_json));
        filters.extend(listener.filters_after.iter().cloned());
        filters.push(router);
        let mut manager = json!({
            "@type": format!(
                "{TYPES}/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
            ),
            "stat_prefix": listener.name,
            "codec_type": "AUTO",
            "preserve_external_request_id": true,
            "http_protocol_options": {"enable_trailers": self.http1_trailers},
            "access_log": listener.access_log.iter().map(AccessLog::to_json).collect::<Vec<_>>(),
            "http_filters": filters,
            "route_config": {
                "name": "local",
                "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [listener.route()]}],
            },
        });
        if let Some(tracing) = &listener.tracing {
            set(&mut manager, "tracing", tracing.clone());
        }
        manager
    }

    fn cluster(&self, name: &str, addr: SocketAddr) -> Value {
        json!({
            "name": name,
            "type": "STATIC",
            "connect_timeout": "2s",
            "load_assignment": {
                "cluster_name": name,
                "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address(addr)}}]}],
            },
            "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": format!("{TYPES}/envoy.extensions.upstreams.http.v3.HttpProtocolOptions"),
                "explicit_http_config": {"http_protocol_options": {"enable_trailers": self.http1_trailers}},
            }},
        })
    }
}

impl Listener {
    pub fn new(name: &str, filter: Option<WasmFilter>) -> Self {
        Self {
            name: name.to_owned(),
            port: 0,
            cluster: UPSTREAM_CLUSTER.to_owned(),
            filter,
            filters_before: Vec::new(),
            filters_after: Vec::new(),
            route_metadata: None,
            request_body_buffer_limit: None,
            per_connection_buffer_limit_bytes: None,
            access_log: None,
            tracing: None,
        }
    }

    fn route(&self) -> Value {
        let mut route = json!({
            "name": "default",
            "match": {"prefix": "/"},
            "route": {"cluster": self.cluster, "timeout": "60s"},
        });
        if let Some(metadata) = &self.route_metadata {
            set(&mut route, "metadata", json!({"filter_metadata": metadata}));
        }
        if let Some(limit) = self.request_body_buffer_limit {
            set(&mut route, "request_body_buffer_limit", json!(limit));
        }
        route
    }
}

impl WasmFilter {
    /// With the flag that correct body filters need, and VMs that are made anew after a trap.
    pub fn new(code: impl Into<PathBuf>, plugin_config: impl Into<String>) -> Self {
        Self {
            code: code.into(),
            plugin_config: plugin_config.into(),
            name: "filter".to_owned(),
            root_id: "filter_root".to_owned(),
            vm_id: "vm".to_owned(),
            vm_config: None,
            allow_on_headers_stop_iteration: true,
            failure_policy: FailurePolicy::Reload,
            capabilities: None,
        }
    }

    fn to_json(&self) -> Value {
        let mut vm = json!({
            "vm_id": self.vm_id,
            "runtime": "envoy.wasm.runtime.v8",
            "code": {"local": {"filename": self.code}},
        });
        if let Some(config) = &self.vm_config {
            set(&mut vm, "configuration", text(config));
        }
        let mut config = json!({
            "name": self.name,
            "root_id": self.root_id,
            "failure_policy": self.failure_policy.name(),
            "allow_on_headers_stop_iteration": self.allow_on_headers_stop_iteration,
            "vm_config": vm,
            "configuration": text(&self.plugin_config),
        });
        if self.failure_policy == FailurePolicy::Reload {
            set(&mut config, "reload_config", json!({"backoff": {"base_interval": "0.1s"}}));
        }
        if let Some(names) = &self.capabilities {
            let allowed: Map<String, Value> = names.iter().map(|name| (name.clone(), json!({}))).collect();
            set(&mut config, "capability_restriction_config", json!({"allowed_capabilities": allowed}));
        }
        json!({
            "name": "envoy.filters.http.wasm",
            "typed_config": {
                "@type": format!("{TYPES}/envoy.extensions.filters.http.wasm.v3.Wasm"),
                "config": config,
            },
        })
    }
}

impl FailurePolicy {
    fn name(self) -> &'static str {
        match self {
            Self::Reload => "FAIL_RELOAD",
            Self::Closed => "FAIL_CLOSED",
            Self::Open => "FAIL_OPEN",
        }
    }
}

impl AccessLog {
    fn to_json(&self) -> Value {
        json!({
            "name": "envoy.access_loggers.file",
            "typed_config": {
                "@type": format!("{TYPES}/envoy.extensions.access_loggers.file.v3.FileAccessLog"),
                "path": self.path,
                "log_format": {"text_format_source": {"inline_string": format!("{}\n", self.format)}},
            },
        })
    }
}

const TYPES: &str = "type.googleapis.com";

fn text(value: &str) -> Value {
    json!({"@type": format!("{TYPES}/google.protobuf.StringValue"), "value": value})
}

fn address(addr: SocketAddr) -> Value {
    json!({"socket_address": {"address": addr.ip().to_string(), "port_value": addr.port()}})
}

fn local(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

fn set(object: &mut Value, key: &str, value: Value) {
    if let Some(map) = object.as_object_mut() {
        map.insert(key.to_owned(), value);
    }
}
