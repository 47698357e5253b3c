//! The dashboard: one page with its scripts and styles, out of this program's own binary.
//!
//! The page is the same for everyone and holds nothing about anyone; what it shows, its scripts ask for under `/v1/` with
//! the token of whoever sits before it. Invariant: no file names another host, and the address of a file changes with its
//! content, so that a browser may keep it for ever and never mixes two versions.

mod files;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::LazyLock;

use axum::body::Bytes;
use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};

use super::error::ApiError;
use crate::access::headers::{self, Answer};
use files::FILES;

static DASHBOARD: LazyLock<Dashboard> = LazyLock::new(Dashboard::new);

struct Dashboard {
    page: Asset,
    /// By their paths below [`Self::version`].
    files: BTreeMap<&'static str, Asset>,
    version: String,
}

struct Asset {
    content_type: &'static str,
    etag: String,
    plain: Bytes,
    gzip: Bytes,
}

pub(super) async fn page(headers: HeaderMap) -> Response {
    // The page names the version of everything else, so it is asked for each time.
    answer(&DASHBOARD.page, &headers, "no-cache")
}

pub(super) async fn file(
    path: Result<Path<(String, String)>, PathRejection>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let none = || ApiError::not_found("the dashboard has no such file; load its page again");
    let Path((version, path)) = path.map_err(|_| none())?;
    let asset =
        DASHBOARD.files.get(path.as_str()).filter(|_| version == DASHBOARD.version).ok_or_else(none)?;
    Ok(answer(asset, &headers, "public, max-age=31536000, immutable"))
}

impl Dashboard {
    fn new() -> Self {
        let mut all = Sha256::new();
        for (path, bytes) in FILES {
            all.update(path);
            all.update(Sha256::digest(bytes));
        }
        let version = short(&all.finalize());
        let page = include_str!("../../dashboard/index.html").replace("{version}", &version);
        let files = FILES.iter().map(|(path, bytes)| (*path, Asset::new(path, Bytes::from_static(bytes))));
        Self { page: Asset::new("index.html", page.into()), files: files.collect(), version }
    }
}

impl Asset {
    fn new(path: &str, plain: Bytes) -> Self {
        let gzip = gzip(&plain).unwrap_or_else(|_| plain.clone());
        Self { content_type: content_type(path), etag: short(&Sha256::digest(&plain)), plain, gzip }
    }
}

fn answer(asset: &Asset, asked: &HeaderMap, caching: &'static str) -> Response {
    let takes_gzip = names(asked, header::ACCEPT_ENCODING, "gzip");
    let (bytes, etag) = match takes_gzip {
        true => (&asset.gzip, format!("\"{}-gzip\"", asset.etag)),
        false => (&asset.plain, format!("\"{}\"", asset.etag)),
    };
    let mut response = match names(asked, header::IF_NONE_MATCH, &etag) {
        true => StatusCode::NOT_MODIFIED.into_response(),
        false => ([(header::CONTENT_TYPE, asset.content_type)], bytes.clone()).into_response(),
    };
    let to = response.headers_mut();
    to.insert(header::CACHE_CONTROL, HeaderValue::from_static(caching));
    to.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    if let Ok(etag) = HeaderValue::from_str(&etag) {
        to.insert(header::ETAG, etag);
    }
    if takes_gzip {
        to.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    for (name, value) in headers::headers(Answer::Page, false) {
        to.entry(HeaderName::from_static(name)).or_insert(HeaderValue::from_static(value));
    }
    response
}

/// Whether a list has this member, whatever quality it is given; nobody sends `gzip;q=0` who has a browser.
fn names(headers: &HeaderMap, list: HeaderName, member: &str) -> bool {
    let values = headers.get_all(list).into_iter().filter_map(|value| value.to_str().ok());
    let mut members =
        values.flat_map(|value| value.split(',')).map(|one| one.split(';').next().unwrap_or(one).trim());
    members.any(|one| one.strip_prefix("W/").unwrap_or(one) == member)
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, ending)| ending) {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    }
}

fn gzip(bytes: &[u8]) -> std::io::Result<Bytes> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes)?;
    encoder.finish().map(Bytes::from)
}

/// The first 64 bits in hex.
fn short(hash: &[u8]) -> String {
    hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/dashboard");

    fn on_disk(folder: &Path, paths: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => on_disk(&path, paths),
                false => _ = paths.insert(path.strip_prefix(FOLDER).unwrap().to_str().unwrap().to_owned()),
            }
        }
    }

    #[test]
    fn every_file_of_the_folder_is_served() {
        let mut expected = BTreeSet::new();
        on_disk(Path::new(FOLDER), &mut expected);
        expected.remove("index.html");
        let listed: BTreeSet<String> = FILES.iter().map(|(path, _)| (*path).to_owned()).collect();
        assert_eq!(listed, expected);
        assert!(FILES.iter().all(|(path, _)| content_type(path) != "application/octet-stream"));
    }

    /// Names of XML namespaces are no addresses that a browser asks.
    #[test]
    fn no_file_names_another_host() {
        const NAMESPACE: &str = "http://www.w3.org/2000/svg";
        let page = &DASHBOARD.page.plain;
        for (path, bytes) in FILES.iter().copied().chain([("index.html", &page[..])]) {
            let text = String::from_utf8(bytes.to_vec()).unwrap().replace(NAMESPACE, "");
            for scheme in ["http://", "https://", "ws://", "wss://", "\"//", "'//", "(//"] {
                assert!(!text.contains(scheme), "{path} has {scheme}");
            }
            for unsafe_way in
                ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"]
            {
                assert!(!text.contains(unsafe_way), "{path} has {unsafe_way}");
            }
        }
    }

    /// What a module imports by name has to be there: a wrong path shows only when somebody opens that page.
    #[test]
    fn every_import_leads_to_a_file() {
        let mut found = 0;
        for (path, bytes) in FILES.iter().filter(|(path, _)| path.ends_with(".js")) {
            let text = std::str::from_utf8(bytes).unwrap();
            let quoted = text
                .split(['"', '\''])
                .skip(1)
                .step_by(1)
                .filter(|part| part.starts_with("./") || part.starts_with("../"));
            for import in quoted.filter(|part| part.ends_with(".js")) {
                let mut folders: Vec<&str> = path.split('/').collect();
                folders.pop();
                for part in import.split('/') {
                    match part {
                        "." => {}
                        ".." => _ = folders.pop(),
                        name => folders.push(name),
                    }
                }
                let target = folders.join("/");
                assert!(FILES.iter().any(|(path, _)| *path == target), "{path} imports {import}");
                found += 1;
            }
        }
        assert!(found > 20, "{found}");
    }
}
