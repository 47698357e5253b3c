//! The properties of Envoy that a filter can read, as `proxy_get_property` serialises them.

use super::abi::Status;
use super::state::HostState;
use super::stream::{Half, Stream};
use crate::wire::{Headers, content_length, header};

/// Numbers are 8 bytes little-endian, booleans one byte, texts their bytes.
pub(crate) fn property(state: &HostState, path: &[u8]) -> Result<Vec<u8>, Status> {
    let parts: Vec<String> =
        path.split(|byte| *byte == 0).map(|part| String::from_utf8_lossy(part).into_owned()).collect();
    if let Some((_, value)) = state.properties.iter().find(|(given, _)| *given == parts) {
        return Ok(value.clone());
    }
    let stream = state.stream.as_ref().filter(|stream| stream.id == state.effective);
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    match parts.as_slice() {
        ["plugin_name"] => Ok(PLUGIN_NAME.into()),
        ["plugin_root_id"] => Ok(ROOT_ID.into()),
        ["plugin_vm_id"] => Ok(state.vm_id.clone().into_bytes()),
        ["filter_state"] => Err(Status::SerializationFailure),
        // There is a host as soon as the router has the request.
        ["xds", "upstream_host_metadata"] if stream.is_some_and(|stream| stream.request.passed) => {
            Err(Status::SerializationFailure)
        }
        _ => {
            let stream = stream.ok_or(Status::NotFound)?;
            let found = of_stream(stream, &parts, state.clock_ns).or_else(|| {
                let first = parts.first()?;
                stream.filter_state.get(first.as_bytes()).filter(|_| parts.len() == 1).cloned()
            });
            found.ok_or(Status::NotFound)
        }
    }
}

pub(crate) const PLUGIN_NAME: &str = "filter";
pub(crate) const ROOT_ID: &str = "filter_root";
pub(crate) const ROUTE_NAME: &str = "default";
pub(crate) const CLUSTER_NAME: &str = "upstream";

fn of_stream(stream: &Stream, parts: &[&str], clock_ns: u64) -> Option<Vec<u8>> {
    match parts {
        ["request", rest @ ..] => of_request(stream, rest, clock_ns),
        ["response", rest @ ..] => of_response(stream, rest),
        ["source", "address"] => Some(format!("127.0.0.1:{}", source_port(stream)).into_bytes()),
        ["source", "port"] => number(source_port(stream)),
        ["destination", "address"] => Some(b"127.0.0.1:10000".to_vec()),
        ["destination", "port"] => number(10_000),
        ["connection", "id"] => number(stream.number),
        ["connection", "mtls"] => Some(vec![0]),
        ["xds", "route_name"] => Some(ROUTE_NAME.into()),
        ["xds", "cluster_name"] => Some(CLUSTER_NAME.into()),
        ["xds", "virtual_host_name"] => Some(b"all".to_vec()),
        ["xds", "listener_direction"] => number(0),
        ["upstream", "address"] if stream.response.known => Some(b"127.0.0.1:20000".to_vec()),
        _ => None,
    }
}

fn of_request(stream: &Stream, parts: &[&str], clock_ns: u64) -> Option<Vec<u8>> {
    let half = &stream.request;
    let headers = half.headers_to_read(stream.logging);
    let pick = |name: &str| headers.and_then(|headers| header(headers, name)).map(<[u8]>::to_vec);
    match parts {
        ["path"] => pick(":path"),
        ["url_path"] => Some(pick(":path")?.split(|byte| *byte == b'?').next()?.to_vec()),
        ["query"] => Some(pick(":path")?.splitn(2, |byte| *byte == b'?').nth(1).unwrap_or_default().to_vec()),
        ["host"] => pick(":authority"),
        ["method"] => pick(":method"),
        ["scheme"] => pick(":scheme"),
        ["id"] => pick("x-request-id"),
        ["useragent"] => pick("user-agent"),
        ["referer"] => pick("referer"),
        ["headers", name] => pick(name),
        ["protocol"] => Some(if stream.http2 { b"HTTP/2".to_vec() } else { b"HTTP/1.1".to_vec() }),
        ["size"] => {
            let given = headers.and_then(|headers| content_length(headers));
            number(given.map_or(half.bytes_received, |size| size as u64))
        }
        ["total_size"] => number(half.bytes_received + headers.map_or(0, byte_size)),
        ["time"] => number(stream.started_ns),
        ["duration"] if stream.logging => number(clock_ns.saturating_sub(stream.started_ns)),
        _ => None,
    }
}

fn of_response(stream: &Stream, parts: &[&str]) -> Option<Vec<u8>> {
    let half: &Half = &stream.response;
    let headers = half.headers_to_read(stream.logging);
    match parts {
        ["code"] => {
            let status = header(&half.headers, ":status")?;
            number(std::str::from_utf8(status).ok()?.parse().ok()?)
        }
        ["code_details"] if half.known => Some(stream.details.clone().into_bytes()),
        ["flags"] => number(0),
        ["size"] => number(half.bytes_passed),
        ["total_size"] => number(half.bytes_passed + headers.map_or(0, byte_size)),
        ["headers", name] => headers.and_then(|headers| header(headers, name)).map(<[u8]>::to_vec),
        _ => None,
    }
}

fn source_port(stream: &Stream) -> u64 {
    40_000 + stream.number % 20_000
}

fn byte_size(headers: &Headers) -> u64 {
    headers.iter().map(|(name, value)| (name.len() + value.len()) as u64).sum()
}

#[expect(clippy::unnecessary_wraps, reason = "the arms above it are options")]
fn number(n: u64) -> Option<Vec<u8>> {
    Some(n.to_le_bytes().to_vec())
}
