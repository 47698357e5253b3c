//! Passwords in URLs: `scheme://user:password@host`. Only the password is the secret; the rest tells what it is for.

use super::{
    chars::{byte_at, slice},
    random::Letters,
    token::Seen,
    value::is_reference,
};

const USERINFO_MAX: usize = 256;

/// What documentation writes in place of a password.
const SAMPLES: [&[u8]; 16] = [
    b"password",
    b"passwd",
    b"pass",
    b"pwd",
    b"pw",
    b"passwort",
    b"secret",
    b"token",
    b"guest",
    b"example",
    b"changeme",
    b"change_me",
    b"your_password",
    b"your-password",
    b"yourpassword",
    b"mypassword",
];

/// Reads what follows the `//` that ends at `at`. Answers where the password begins, and what it is.
pub(super) fn read(text: &[u8], at: usize) -> (usize, Seen) {
    let rest = slice(text, at, at + USERINFO_MAX);
    let is_end = |b: &u8| *b <= b' ' || b"/\\\"'`<>,".contains(b);
    let len = rest.iter().position(is_end).unwrap_or(rest.len());
    let authority = rest.get(..len).unwrap_or_default();
    let Some(colon) = authority.iter().position(|b| *b == b':') else { return (at, Seen::Nothing) };
    let start = at + colon + 1;
    let Some(host) = authority.iter().rposition(|b| *b == b'@').filter(|host| *host > colon) else {
        // A port is no password.
        let is_open = at + len == text.len() && !byte_at(text, start).is_ascii_digit();
        return (start, if is_open { Seen::Open } else { Seen::Nothing });
    };
    let user = slice(text, at, at + colon);
    let password = slice(text, start, at + host);
    let is_sample = password.len() < 3
        || password == user
        || SAMPLES.contains(&password)
        || is_reference(password)
        || Letters::of(password).distinct < 2;
    (start, if is_sample { Seen::Nothing } else { Seen::Token(at + host) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(url: &str, password: Option<&str>) {
        let at = url.find("://").unwrap() + 3;
        let found = match read(url.as_bytes(), at) {
            (start, Seen::Token(end)) => url.get(start..end),
            _ => None,
        };
        assert_eq!(found, password, "{url}");
    }

    #[test]
    fn the_password_is_between_the_colon_and_the_last_at() {
        check("postgres://app:w9#Tz4Lm@db.internal:5432/main", Some("w9#Tz4Lm"));
        check("redis://:s3cr3tpw@10.0.0.1", Some("s3cr3tpw"));
        check("https://me:p@ss1@host/path@x", Some("p@ss1"));
        check("mongodb+srv://u:Zq9xw2@c0.example.net/?w=majority", Some("Zq9xw2"));
    }

    #[test]
    fn ports_users_and_samples_are_not_passwords() {
        for url in [
            "http://localhost:8080/user@example.com",
            "ssh://git@github.com:22/a/b",
            "postgres://user:password@localhost/db",
            "postgres://postgres:postgres@localhost/db",
            "mysql://root:${DB_PASSWORD}@db/x",
            "mysql://root:<password>@db/x",
            "ftp://user:****@host",
        ] {
            check(url, None);
        }
    }
}
