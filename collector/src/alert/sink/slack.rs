//! A message for a webhook as Slack has them, and several that do as it does.

use serde_json::json;

use super::{Post, headline, page};
use crate::domain::Delivery;
use crate::outgoing::Url;

pub(super) fn post(url: &Url, delivery: &Delivery, link: Option<&str>) -> Post {
    let mut text = format!("*{}*\n{}", escaped(&headline(delivery)), escaped(&delivery.notice.summary));
    if let Some(page) = page(link, delivery) {
        text += &format!("\n<{page}|Open it>");
    }
    let body = json!({ "text": text }).to_string().into_bytes();
    Post { url: url.clone(), headers: Vec::new(), body }
}

/// The signs that begin something in a message.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
