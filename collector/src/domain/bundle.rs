//! A pushed bundle: what the collector reads of it. Filters verify it again; what is checked here spares them the
//! download of something that they would refuse.

use schemars::JsonSchema;
use sentinel_bundle::{Bundle, Contents, Manifest, PublicKey};
use serde::Serialize;

pub(crate) use sentinel_bundle::BUNDLE_BYTES_MAX;

/// A bundle without its bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "Bundle")]
pub(crate) struct BundleInfo {
    /// SHA-256 of the manifest, in hex.
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) version: i64,
    pub(crate) bytes: usize,
    pub(crate) pushed_ms: i64,
    pub(crate) pushed_by: String,
}

/// A bundle that has passed [`TrustKeys::check`], with where it came from.
#[derive(Clone, Debug)]
pub(crate) struct Pushed {
    pub(crate) info: BundleInfo,
    pub(crate) bytes: Vec<u8>,
}

/// What a bundle says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) version: i64,
}

/// Whose signature a bundle needs. Without any key everybody may have signed it.
#[derive(Clone, Debug)]
pub(crate) struct TrustKeys(Vec<PublicKey>);

impl TrustKeys {
    pub(crate) fn parse(texts: &[String]) -> Result<Self, String> {
        let keys = texts.iter().enumerate().map(|(idx, text)| {
            PublicKey::parse(text).map_err(|error| format!("trust_keys[{idx}] is no key: {error}"))
        });
        keys.collect::<Result<_, _>>().map(Self)
    }

    /// Whether a filter would take it now, as far as it can be told here: form, hashes, validity, and the signature if
    /// there are keys.
    pub(crate) fn check(&self, bytes: &[u8], now_ms: i64) -> Result<Header, String> {
        let now_s = u64::try_from(now_ms / 1_000).unwrap_or(0);
        if self.0.is_empty() {
            let contents = Contents::read(bytes).map_err(|error| error.to_string())?;
            let expires = contents.manifest().expires;
            if now_s >= expires {
                return Err(format!("the bundle expired at second {expires}, now it is {now_s}"));
            }
            return header(contents.id().to_string(), contents.manifest());
        }
        let bundle = Bundle::open(bytes, &self.0, now_s, None).map_err(|error| error.to_string())?;
        header(bundle.id().to_string(), bundle.manifest())
    }
}

/// When filters do not take it any more, of a bundle that was checked.
pub(crate) fn bundle_ends_ms(bytes: &[u8]) -> Option<i64> {
    let contents = Contents::read(bytes).ok()?;
    i64::try_from(contents.manifest().expires).ok()?.checked_mul(1_000)
}

fn header(id: String, manifest: &Manifest) -> Result<Header, String> {
    let version = i64::try_from(manifest.version).map_err(|_| "the version is above 2^63 - 1")?;
    Ok(Header { id, name: manifest.name.clone(), version })
}
