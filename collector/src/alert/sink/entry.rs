//! A sink as it is written in the file: its secrets as they are, or the names of the environment variables that have them.

use std::fmt;
use std::path::PathBuf;

use serde::Deserialize;

use super::{Kind, MailServer, MailTls, Sink};
use crate::alert::file::is_name;
use crate::domain::Severity;
use crate::outgoing::Url;

#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct SinkEntry {
    pub(crate) name: String,
    severity: Option<Severity>,
    slack: Option<Address>,
    webhook: Option<Signed>,
    email: Option<Email>,
    alertmanager: Option<Address>,
}

#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Address {
    url: Option<String>,
    url_env: Option<String>,
}

#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Signed {
    url: Option<String>,
    url_env: Option<String>,
    secret: Option<String>,
    secret_env: Option<String>,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Email {
    host: String,
    port: Option<u16>,
    #[serde(default)]
    tls: Option<MailTls>,
    ca_file: Option<PathBuf>,
    user: Option<String>,
    password: Option<String>,
    password_env: Option<String>,
    from: String,
    to: Vec<String>,
}

type Wrong = (String, String);

impl SinkEntry {
    /// The error has the field below this sink, with its dot.
    pub(crate) fn sink(&self, variable: &dyn Fn(&str) -> Option<String>) -> Result<Sink, Wrong> {
        if !is_name(&self.name) {
            return Err((".name".to_owned(), "expected 1 to 64 of a-z, 0-9, - and _".to_owned()));
        }
        let at = |kind: &str| {
            let kind = kind.to_owned();
            move |(field, reason): Wrong| (format!(".{kind}{field}"), reason)
        };
        let Self { slack, webhook, email, alertmanager, .. } = self;
        let kind = match (slack, webhook, email, alertmanager) {
            (Some(slack), None, None, None) => {
                Kind::Slack { url: url(&slack.url, &slack.url_env, variable).map_err(at("slack"))? }
            }
            (None, Some(webhook), None, None) => webhook.kind(variable).map_err(at("webhook"))?,
            (None, None, Some(email), None) => {
                Kind::Email(Box::new(email.server(variable).map_err(at("email"))?))
            }
            (None, None, None, Some(address)) => {
                let url = url(&address.url, &address.url_env, variable).map_err(at("alertmanager"))?;
                // The address of Alertmanager as people know it; what belongs behind it is ours.
                let target = format!("{}/api/v2/alerts", url.target().trim_end_matches('/'));
                Kind::Alertmanager { url: url.with_target(target) }
            }
            _ => {
                let reason = "expected one of slack, webhook, email and alertmanager";
                return Err((String::new(), reason.to_owned()));
            }
        };
        Ok(Sink { name: self.name.clone(), severity: self.severity.unwrap_or(Severity::Info), kind })
    }
}

impl Signed {
    fn kind(&self, variable: &dyn Fn(&str) -> Option<String>) -> Result<Kind, Wrong> {
        let url = url(&self.url, &self.url_env, variable)?;
        let secret = secret("secret", &self.secret, &self.secret_env, variable)?;
        let secret = secret.ok_or_else(|| wrong("secret", "is missing; so is secret_env"))?;
        match secret.len() < SECRET_BYTES_MIN {
            true => Err(wrong("secret", "is shorter than 16 bytes")),
            false => Ok(Kind::Webhook { url, secret }),
        }
    }
}

impl Email {
    fn server(&self, variable: &dyn Fn(&str) -> Option<String>) -> Result<MailServer, Wrong> {
        let tls = self.tls.unwrap_or(MailTls::Starttls);
        let password = secret("password", &self.password, &self.password_env, variable)?;
        let login = match (self.user.clone(), password) {
            (Some(user), Some(password)) => Some((user, password)),
            (None, None) => None,
            _ => return Err(wrong("user", "expected both a user and a password, or none")),
        };
        if login.is_some() && tls == MailTls::None {
            return Err(wrong("tls", "a password is not sent without TLS"));
        }
        if !self.host.bytes().all(|b| b.is_ascii_graphic()) || self.host.is_empty() {
            return Err(wrong("host", "names no host"));
        }
        let mailbox = |field: &str, text: &String| {
            text.parse().map_err(|_| wrong(field, "is no address such as alerts@example.org"))
        };
        let to: Result<Vec<_>, Wrong> =
            self.to.iter().enumerate().map(|(idx, text)| mailbox(&format!("to[{idx}]"), text)).collect();
        if self.to.is_empty() || self.to.len() > TO_MAX {
            return Err(wrong("to", "expected 1 to 32 addresses"));
        }
        let default_port = match tls {
            MailTls::Tls => 465,
            MailTls::Starttls => 587,
            MailTls::None => 25,
        };
        Ok(MailServer {
            host: self.host.clone(),
            port: self.port.unwrap_or(default_port),
            tls,
            ca_file: self.ca_file.clone(),
            login,
            from: mailbox("from", &self.from)?,
            to: to?,
        })
    }
}

fn url(
    plain: &Option<String>,
    name: &Option<String>,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<Url, Wrong> {
    let text = secret("url", plain, name, variable)?;
    let text = text.ok_or_else(|| wrong("url", "is missing; so is url_env"))?;
    Url::parse(&text).map_err(|reason| wrong("url", reason))
}

/// What is written, or what the variable has that is named.
fn secret(
    field: &str,
    plain: &Option<String>,
    name: &Option<String>,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<Option<String>, Wrong> {
    match (plain, name) {
        (Some(_), Some(_)) => Err(wrong(field, &format!("is given, and {field}_env, too"))),
        (Some(plain), None) => Ok(Some(plain.clone())),
        (None, Some(name)) => {
            let found = variable(name).filter(|value| !value.is_empty());
            let missing =
                || wrong(&format!("{field}_env"), &format!("the environment variable {name} is not set"));
            found.map(Some).ok_or_else(missing)
        }
        (None, None) => Ok(None),
    }
}

fn wrong(field: &str, reason: &str) -> Wrong {
    (format!(".{field}"), reason.to_owned())
}

/// It has secrets.
impl fmt::Debug for SinkEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SinkEntry").field("name", &self.name).finish_non_exhaustive()
    }
}

const SECRET_BYTES_MIN: usize = 16;
const TO_MAX: usize = 32;
