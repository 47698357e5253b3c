//! Where a witness is and by what its cosignatures are known: `URL=VKEY`.

use sentinel_ledger::{Algorithm, VerifierKey};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WitnessPlace {
    pub(super) host: String,
    pub(super) port: u16,
    /// Before `/add-checkpoint`: empty, or from a slash on and without one at its end.
    pub(super) prefix: String,
    pub(crate) key: VerifierKey,
}

impl WitnessPlace {
    /// The submission prefix of the witness, and its key.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let (url, key) = text.split_once('=').ok_or("is not URL=VKEY")?;
        let key = VerifierKey::parse(key).map_err(|error| format!("has no key of a witness: {error}"))?;
        if key.algorithm() != Algorithm::CosignatureV1 {
            return Err(format!("{} is the key of a log, not of a witness", key.name()));
        }
        if url.starts_with("https://") {
            return Err(
                "TLS to witnesses is not supported; put a proxy that does it beside the collector".to_owned()
            );
        }
        let rest = url.strip_prefix("http://").ok_or("does not begin with http://")?;
        if !rest.bytes().all(|b| b.is_ascii_graphic()) || rest.contains(['?', '#', '@', '%']) {
            return Err("has an address with more than host, port and path".to_owned());
        }
        let end = rest.find('/').unwrap_or(rest.len());
        let (place, prefix) = rest.split_at_checked(end).unwrap_or((rest, ""));
        let (host, port) = match place.strip_prefix('[').map(|inner| inner.split_once(']')) {
            Some(Some((host, port))) => (host, port),
            Some(None) => return Err("has an address without its ]".to_owned()),
            None => place.split_at_checked(place.find(':').unwrap_or(place.len())).unwrap_or((place, "")),
        };
        let port = match port {
            "" => 80,
            port => {
                port.strip_prefix(':').and_then(|port| port.parse().ok()).ok_or("has no port to 65535")?
            }
        };
        if host.is_empty() {
            return Err("names no host".to_owned());
        }
        let prefix = prefix.trim_end_matches('/').to_owned();
        Ok(Self { host: host.to_owned(), port, prefix, key })
    }

    pub(crate) fn parse_all(texts: &[String]) -> Result<Vec<Self>, String> {
        let mut places: Vec<Self> = Vec::new();
        for (idx, text) in texts.iter().enumerate() {
            let place = Self::parse(text).map_err(|reason| format!("witnesses[{idx}] {reason}"))?;
            if places.iter().any(|other| other.key.public_bytes() == place.key.public_bytes()) {
                return Err(format!("witnesses[{idx}] has the key of another; one witness counts once"));
            }
            places.push(place);
        }
        match places.len() > WITNESSES_MAX {
            true => {
                Err(format!("witnesses has {} entries, at most {WITNESSES_MAX} are allowed", places.len()))
            }
            false => Ok(places),
        }
    }

    /// For the header `host`.
    pub(super) fn authority(&self) -> String {
        let Self { host, port, .. } = self;
        match host.contains(':') {
            true => format!("[{host}]:{port}"),
            false => format!("{host}:{port}"),
        }
    }
}

/// Their signatures have to fit into a note, with the log's.
pub(super) const WITNESSES_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use sentinel_ledger::{CosignerKey, SignerKey};

    #[test]
    fn places_are_read_strictly() {
        let key = CosignerKey::from_seed("w.example/w1", &[7; 32]).unwrap().verifier().to_string();
        let place = |url: &str| WitnessPlace::parse(&format!("{url}={key}"));
        let parts = |url: &str| place(url).map(|place| (place.authority(), place.prefix)).unwrap();
        assert_eq!(parts("http://w.example"), ("w.example:80".to_owned(), String::new()));
        assert_eq!(parts("http://w.example:90/a/b/"), ("w.example:90".to_owned(), "/a/b".to_owned()));
        assert_eq!(parts("http://[::1]:90/"), ("[::1]:90".to_owned(), String::new()));
        for (url, reason) in [
            ("https://w.example", "TLS"),
            ("w.example", "http://"),
            ("http://", "host"),
            ("http://[::1", "]"),
            ("http://w.example:x", "port"),
            ("http://w.example:70000", "port"),
            ("http://u:p@w.example", "more than"),
            ("http://w.example/a?b", "more than"),
            ("http://w.example/a b", "more than"),
        ] {
            assert!(place(url).unwrap_err().contains(reason), "{url}");
        }
        let of_log = SignerKey::from_seed("log", &[7; 32]).unwrap().verifier().to_string();
        assert!(WitnessPlace::parse(&format!("http://w.example={of_log}")).unwrap_err().contains("of a log"));
        let twice = vec![format!("http://a={key}"), format!("http://b={key}")];
        assert!(WitnessPlace::parse_all(&twice).unwrap_err().contains("witnesses[1]"));
    }
}
