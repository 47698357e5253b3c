//! Where a witness is and by what its cosignatures are known: `URL=VKEY`.

use sentinel_ledger::{Algorithm, VerifierKey};

use crate::outgoing::Url;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WitnessPlace {
    pub(super) add_checkpoint: Url,
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
        let url = Url::parse(url)?;
        if url.target().contains(['?', '%']) {
            return Err("has an address with more than host, port and path".to_owned());
        }
        let prefix = url.target().trim_end_matches('/');
        let add_checkpoint = url.with_target(format!("{prefix}{ADD_CHECKPOINT}"));
        Ok(Self { add_checkpoint, key })
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

    /// As it was given, but for a slash at its end. Where a witness is, is no secret.
    pub(super) fn address(&self) -> String {
        let target = self.add_checkpoint.target();
        format!("{}{}", self.add_checkpoint, target.strip_suffix(ADD_CHECKPOINT).unwrap_or(target))
    }
}

const ADD_CHECKPOINT: &str = "/add-checkpoint";
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
        for (url, address, target) in [
            ("http://w.example", "http://w.example", "/add-checkpoint"),
            ("https://w.example:90/a/b/", "https://w.example:90/a/b", "/a/b/add-checkpoint"),
            ("http://[::1]:90/", "http://[::1]:90", "/add-checkpoint"),
        ] {
            let place = place(url).unwrap();
            assert_eq!((place.address(), place.add_checkpoint.target()), (address.to_owned(), target));
        }
        for (url, reason) in [
            ("w.example", "http://"),
            ("http://", "host"),
            ("http://[::1", "]"),
            ("http://w.example:x", "port"),
            ("http://w.example:70000", "port"),
            ("http://u:p@w.example", "user"),
            ("http://w.example/a?b", "more than"),
            ("http://w.example/a b", "visible"),
        ] {
            assert!(place(url).unwrap_err().contains(reason), "{url}");
        }
        let of_log = SignerKey::from_seed("log", &[7; 32]).unwrap().verifier().to_string();
        assert!(WitnessPlace::parse(&format!("http://w.example={of_log}")).unwrap_err().contains("of a log"));
        let twice = vec![format!("http://a={key}"), format!("http://b={key}")];
        assert!(WitnessPlace::parse_all(&twice).unwrap_err().contains("witnesses[1]"));
    }
}
