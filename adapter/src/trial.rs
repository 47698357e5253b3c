//! A candidate beside the active bundle: who gets it, and whether it decides or only watches.

use sentinel_core::http::Headers;

/// What the collector says of a candidate: `ID; mode=canary; percent=5; salt=1f; key=ip`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trial {
    /// The bundle that it is about.
    pub bundle: String,
    pub mode: Mode,
    percent: u8,
    salt: String,
    key: Key,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// It decides nothing.
    Shadow,
    Canary,
}

/// What of an exchange chooses, so that who is in the trial stays in it.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Key {
    Request,
    Address,
    /// The session that its headers name, or else the address.
    Session,
    Header(String),
}

const SESSION_HEADERS: [&str; 2] = ["mcp-session-id", "x-session-id"];

impl Trial {
    /// A line that is not understood is no trial: the active bundle decides.
    pub fn read(line: &str) -> Option<Self> {
        let mut trial = Self {
            bundle: String::new(),
            mode: Mode::Shadow,
            percent: 0,
            salt: String::new(),
            key: Key::Request,
        };
        let mut fields = line.split(';').map(str::trim);
        trial.bundle = fields.next().filter(|id| !id.is_empty())?.to_owned();
        for field in fields {
            match field.split_once('=')? {
                ("mode", "shadow") => trial.mode = Mode::Shadow,
                ("mode", "canary") => trial.mode = Mode::Canary,
                ("percent", percent) => {
                    trial.percent = percent.parse().ok().filter(|percent| *percent <= 100)?
                }
                ("salt", salt) => trial.salt = salt.to_owned(),
                ("key", "request") => trial.key = Key::Request,
                ("key", "ip") => trial.key = Key::Address,
                ("key", "session") => trial.key = Key::Session,
                ("key", key) => trial.key = Key::Header(key.strip_prefix("header:")?.to_ascii_lowercase()),
                _ => return None,
            }
        }
        Some(trial)
    }

    /// Whether this exchange is in the trial. Where its key says nothing, the request's own number chooses. `address` is that
    /// of the client, with its port if there is one.
    pub fn takes(&self, headers: &Headers<'_>, address: impl FnOnce() -> Option<Vec<u8>>) -> bool {
        if self.percent >= 100 {
            return true;
        }
        let value = match &self.key {
            Key::Request => None,
            Key::Address => address().map(without_port),
            Key::Session => {
                let session = SESSION_HEADERS.iter().find_map(|name| headers.value(name));
                session.map(<[u8]>::to_vec).or_else(|| address().map(without_port))
            }
            Key::Header(name) => headers.value(name).map(<[u8]>::to_vec),
        };
        let value = value.or_else(|| headers.value("x-request-id").map(<[u8]>::to_vec)).unwrap_or_default();
        let hash = sentinel_core::hash::sha256(&[self.salt.as_bytes(), b"/", &value].concat());
        let share = hash.first_chunk::<8>().map_or(u64::MAX, |bytes| u64::from_le_bytes(*bytes));
        share % 100 < u64::from(self.percent)
    }
}

fn without_port(mut address: Vec<u8>) -> Vec<u8> {
    let end = address.iter().rposition(|byte| *byte == b':').unwrap_or(address.len());
    address.truncate(end);
    address
}
