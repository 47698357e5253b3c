//! Where traces go: an address, the way of speaking there, and headers that let them in.

use axum::http::{HeaderName, HeaderValue};

use crate::config::{OtlpProtocol, TraceExport};
use crate::outgoing::Url;

#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(super) url: Url,
    pub(super) protocol: OtlpProtocol,
    /// Their values are secrets.
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
}

impl Place {
    pub(crate) fn parse(config: &TraceExport) -> Result<Self, String> {
        let url = Url::parse(&config.endpoint).map_err(|reason| format!("traces.endpoint {reason}"))?;
        let target = url.target().trim_end_matches('/').to_owned();
        let target = match config.protocol {
            OtlpProtocol::Grpc if !target.is_empty() => {
                return Err("traces.endpoint has a path, which gRPC has no use for".to_owned());
            }
            OtlpProtocol::Grpc => GRPC_PATH.to_owned(),
            OtlpProtocol::Http if target.contains('?') || target.ends_with(HTTP_PATH) => target,
            OtlpProtocol::Http => format!("{target}{HTTP_PATH}"),
        };
        let headers = config
            .headers
            .iter()
            .enumerate()
            .map(|(idx, text)| header(text).map_err(|reason| format!("traces.headers[{idx}] {reason}")));
        Ok(Self {
            url: url.with_target(target),
            protocol: config.protocol,
            headers: headers.collect::<Result<_, _>>()?,
        })
    }
}

/// `NAME=VALUE`.
fn header(text: &str) -> Result<(HeaderName, HeaderValue), &'static str> {
    let (name, value) = text.split_once('=').ok_or("is not NAME=VALUE")?;
    let name = HeaderName::try_from(name.trim()).map_err(|_| "has no name of a header")?;
    if OURS.contains(&name.as_str()) {
        return Err("is a header that follows from the protocol");
    }
    let mut value = HeaderValue::try_from(value.trim()).map_err(|_| "has no value of a header")?;
    value.set_sensitive(true);
    Ok((name, value))
}

const OURS: [&str; 6] = ["host", "content-type", "content-length", "te", "connection", "transfer-encoding"];
const HTTP_PATH: &str = "/v1/traces";
const GRPC_PATH: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

#[cfg(test)]
mod tests {
    use super::*;

    fn place(endpoint: &str, protocol: OtlpProtocol, headers: &[&str]) -> Result<Place, String> {
        let headers = headers.iter().map(|header| (*header).to_owned()).collect();
        Place::parse(&TraceExport { headers, ..TraceExport::new(endpoint, protocol) })
    }

    #[test]
    fn the_path_follows_from_the_protocol() {
        let target =
            |endpoint: &str, protocol| place(endpoint, protocol, &[]).unwrap().url.target().to_owned();
        assert_eq!(target("http://h:4318", OtlpProtocol::Http), "/v1/traces");
        assert_eq!(target("https://h/otlp/", OtlpProtocol::Http), "/otlp/v1/traces");
        assert_eq!(target("https://h/v1/traces", OtlpProtocol::Http), "/v1/traces");
        assert_eq!(target("http://h:4317", OtlpProtocol::Grpc), GRPC_PATH);
        assert!(place("http://h:4317/x", OtlpProtocol::Grpc, &[]).unwrap_err().contains("path"));
        assert!(place("h:4317", OtlpProtocol::Grpc, &[]).unwrap_err().starts_with("traces.endpoint"));
    }

    #[test]
    fn headers_are_checked_and_their_values_never_shown() {
        let place_with = |header| place("http://h", OtlpProtocol::Http, &["a=b", header]);
        let shown = format!("{:?}", place_with("authorization=Bearer SECRET").unwrap());
        assert!(shown.contains("authorization") && !shown.contains("SECRET"), "{shown}");
        for bad in ["authorization", "a b=c", "a=b\nc", "Content-Type=text/plain"] {
            assert!(place_with(bad).unwrap_err().starts_with("traces.headers[1]"), "{bad:?}");
        }
    }
}
