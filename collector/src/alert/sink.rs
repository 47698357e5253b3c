//! Who is told, and in what form: one file per kind of receiver. What is sent is made here, purely; sending is elsewhere.
//!
//! Invariant: an address or a password that was read here is in nothing that can be printed.

mod alertmanager;
mod entry;
mod mail;
mod slack;
mod webhook;

use std::fmt;

pub(crate) use entry::SinkEntry;
pub(crate) use mail::{Mail, MailServer, MailTls};

use crate::domain::{Delivery, Severity, Telling, Words as _};
use crate::outgoing::Url;

#[derive(Clone, Debug)]
pub(crate) struct Sink {
    pub(crate) name: String,
    /// What is less severe is not sent.
    pub(crate) severity: Severity,
    pub(crate) kind: Kind,
}

#[derive(Clone)]
pub(crate) enum Kind {
    Slack { url: Url },
    Webhook { url: Url, secret: String },
    Email(Box<MailServer>),
    Alertmanager { url: Url },
}

/// What is to be sent.
#[derive(Clone, Debug)]
pub(crate) enum Message {
    Post(Post),
    Mail(Mail),
}

/// A request whose body is JSON.
#[derive(Clone)]
pub(crate) struct Post {
    pub(crate) url: Url,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
}

impl Kind {
    pub(crate) const fn word(&self) -> &'static str {
        match self {
            Self::Slack { .. } => "slack",
            Self::Webhook { .. } => "webhook",
            Self::Email(_) => "email",
            Self::Alertmanager { .. } => "alertmanager",
        }
    }
}

impl Sink {
    pub(crate) fn takes(&self, severity: Severity) -> bool {
        severity.rank() >= self.severity.rank()
    }

    /// As it is sent now. `link`: where people see this collector.
    pub(crate) fn message(&self, delivery: &Delivery, link: Option<&str>, now_ms: i64) -> Message {
        match &self.kind {
            Kind::Slack { url } => Message::Post(slack::post(url, delivery, link)),
            Kind::Webhook { url, secret } => {
                Message::Post(webhook::post(url, secret, delivery, link, now_ms))
            }
            Kind::Email(server) => Message::Mail(mail::mail(server, delivery, link)),
            Kind::Alertmanager { url } => Message::Post(alertmanager::post(url, delivery, link, now_ms)),
        }
    }
}

/// Addresses of webhooks are secrets.
impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// Neither headers nor the address.
impl fmt::Debug for Post {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Post").field("n_bytes", &self.body.len()).finish_non_exhaustive()
    }
}

/// The page of an alert.
fn page(link: Option<&str>, delivery: &Delivery) -> Option<String> {
    link.map(|link| match delivery.alert {
        0 => format!("{link}/#alerts"),
        id => format!("{link}/#alerts/{id}"),
    })
}

/// One line that says what it is about.
fn headline(delivery: &Delivery) -> String {
    let notice = &delivery.notice;
    let word = match notice.kind {
        Telling::Firing => notice.severity.word().to_ascii_uppercase(),
        Telling::Repeated => format!("{} STILL", notice.severity.word().to_ascii_uppercase()),
        Telling::Resolved => "RESOLVED".to_owned(),
        Telling::Test => "TEST".to_owned(),
    };
    match notice.group.is_empty() {
        true => format!("[{word}] {}", notice.rule),
        false => format!("[{word}] {} ({})", notice.rule, notice.group),
    }
}

#[cfg(test)]
mod tests;
