//! Where Redis is: `redis://[[USER]:PASSWORD@]HOST[:PORT][/DATABASE]`.

use std::fmt;

#[derive(Clone, PartialEq, Eq)]
pub(crate) struct RedisUrl {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) user: Option<String>,
    pub(super) password: Option<String>,
    pub(super) database: u32,
}

impl RedisUrl {
    /// The error never quotes the text, which may hold a password.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text.starts_with("rediss://") {
            return Err(
                "TLS to Redis is not supported; put a proxy that does it beside the collector".to_owned()
            );
        }
        let rest = text.strip_prefix("redis://").ok_or("does not begin with redis://")?;
        let (place, database) = rest.split_once('/').unwrap_or((rest, ""));
        let (who, place) = place.rsplit_once('@').map_or((None, place), |(who, place)| (Some(who), place));
        let (user, password) = match who {
            None => (None, None),
            Some(who) => {
                let (user, password) = who.split_once(':').ok_or("has a user without a password")?;
                (Some(user).filter(|user| !user.is_empty()), Some(password))
            }
        };
        let (host, port) = match place.strip_prefix('[').map(|inner| inner.split_once(']')) {
            Some(Some((host, port))) => (host, port.strip_prefix(':')),
            Some(None) => return Err("has an address without its ]".to_owned()),
            None => place.split_once(':').map_or((place, None), |(host, port)| (host, Some(port))),
        };
        if host.is_empty() {
            return Err("names no host".to_owned());
        }
        let port = port.unwrap_or("6379").parse().map_err(|_| "has a port that is no number to 65535")?;
        let database = match database {
            "" => 0,
            number => number.parse().map_err(|_| "has a database that is no number")?,
        };
        let (user, password) = (user.map(decoded).transpose()?, password.map(decoded).transpose()?);
        Ok(Self { host: host.to_owned(), port, user, password, database })
    }
}

/// Percent escapes, which a password with `@` or `/` needs.
fn decoded(text: &str) -> Result<String, String> {
    let wrong = || "has a % without two hexadecimal digits in its user or password".to_owned();
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        rest = behind;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let (digits, behind) = rest.split_at_checked(2).ok_or_else(wrong)?;
        let digits = std::str::from_utf8(digits).map_err(|_| wrong())?;
        bytes.push(u8::from_str_radix(digits, 16).map_err(|_| wrong())?);
        rest = behind;
    }
    String::from_utf8(bytes).map_err(|_| wrong())
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "redis://{}:{}/{}", self.host, self.port, self.database)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_passwords_never_shown() {
        let url = RedisUrl::parse("redis://me:p%40ss@cache.internal:7000/3").unwrap();
        assert_eq!((url.host.as_str(), url.port, url.database), ("cache.internal", 7000, 3));
        assert_eq!((url.user.as_deref(), url.password.as_deref()), (Some("me"), Some("p@ss")));
        assert!(!format!("{url:?}").contains("p@ss"));
        let url = RedisUrl::parse("redis://:secret@[::1]").unwrap();
        assert_eq!((url.host.as_str(), url.port, url.user, url.database), ("::1", 6379, None, 0));
        for (text, reason) in [
            ("rediss://a", "TLS"),
            ("http://a", "redis://"),
            ("redis://", "no host"),
            ("redis://a:b", "port"),
            ("redis://a/b", "database"),
            ("redis://user@a", "without a password"),
            ("redis://:%4@a", "hexadecimal"),
            ("redis://[::1", "]"),
        ] {
            assert!(RedisUrl::parse(text).unwrap_err().contains(reason), "{text}");
        }
    }
}
