//! A notification as an e-mail, and the server that takes it.

use std::fmt;
use std::path::PathBuf;

use super::{headline, page};
use crate::domain::Delivery;

/// A server that takes mail, and between whom.
#[derive(Clone)]
pub(crate) struct MailServer {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) tls: MailTls,
    /// A certificate of a CA, PEM, that is believed beside the system's.
    pub(crate) ca_file: Option<PathBuf>,
    pub(crate) login: Option<(String, String)>,
    pub(crate) from: lettre::message::Mailbox,
    pub(crate) to: Vec<lettre::message::Mailbox>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum MailTls {
    /// From the first byte on.
    Tls,
    /// After a word in the clear; nothing else is said before.
    Starttls,
    None,
}

#[derive(Clone, Debug)]
pub(crate) struct Mail {
    pub(crate) server: MailServer,
    pub(crate) subject: String,
    pub(crate) text: String,
    /// The same whenever the same notification is sent again.
    pub(crate) id: String,
}

pub(super) fn mail(server: &MailServer, delivery: &Delivery, link: Option<&str>) -> Mail {
    let notice = &delivery.notice;
    let mut text = format!("{}\n\nRule: {}\n", notice.summary, notice.rule);
    for (name, value) in notice.group.iter() {
        text += &format!("{name}: {value}\n");
    }
    if let Some(page) = page(link, delivery) {
        text += &format!("\n{page}\n");
    }
    text += &format!("\nWhat to do: docs/alerts.md, {}\n", notice.rule);
    let id = format!("<alert-{}-{}-{}@sentinel>", delivery.alert, delivery.id, notice.at_ms);
    Mail { server: server.clone(), subject: headline(delivery), text, id }
}

/// Without the password.
impl fmt::Debug for MailServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MailServer")
            .field("host", &self.host)
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}
