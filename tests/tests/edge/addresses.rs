//! Who a client is, by its address.

use sentinel_tests::engine::EdgeHost;
use serde_json::{Value, json};

use super::{
    host::Host,
    site::{ATTACK, Site, answer, chat},
};

/// Cloudflare writes the address there, and takes away what a client sent by that name. Others do not.
const HEADER: &str = "cf-connecting-ip";

fn exempting(address: &str) -> Value {
    let exemption = json!({
        "clients": [format!("ip:{address}")], "rules": ["injection"], "until": "2500-01-01", "reason": "a test",
    });
    json!({ "policy": { "exemptions": [exemption] } })
}

pub(crate) fn one_is_known(host: Host) {
    let is_told = host == Host::Package(EdgeHost::Workerd);
    let site = Site::start(host, exempting("127.0.0.1"), |_| answer());
    let mut request = chat(ATTACK);
    if is_told {
        request = request.with_header(HEADER, "127.0.0.1");
    }
    assert_eq!(site.send(&request).status, 200, "{:?}", site.event());

    let site = Site::start(host, exempting("10.1.2.3"), |_| answer());
    let mut request = chat(ATTACK).with_header("x-forwarded-for", "10.1.2.3");
    if !is_told {
        request = request.with_header(HEADER, "10.1.2.3");
    }
    assert_eq!(site.send(&request).status, 403);
}
