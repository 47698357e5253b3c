//! Values behind a name that says secret: whether they are one, or stand for one.

use super::{
    chars::{Set, byte_at, contains, contains_folded, slice},
    jwt::decode64,
    random::{Letters, is_filler, is_random, is_worded},
};

/// Passwords nobody has.
const SAMPLES: [&[u8]; 15] = [
    b"password",
    b"passwd",
    b"example",
    b"changeme",
    b"change_me",
    b"change-me",
    b"your",
    b"placeholder",
    b"redacted",
    b"xxxx",
    b"****",
    b"dummy",
    b"....",
    b"getenv",
    b"environ",
];

/// Names of what passwords are made into, which have digits as passwords have.
const ALGORITHMS: [&[u8]; 10] =
    [b"sha1", b"sha256", b"sha512", b"sha-", b"md5", b"base64", b"bcrypt", b"argon2", b"pbkdf2", b"utf8"];

/// Stands for a value that somebody puts in later: a variable, a template, a hint.
pub(super) fn is_reference(value: &[u8]) -> bool {
    let value = value.strip_prefix(b"\\").unwrap_or(value);
    let second = byte_at(value, 1);
    let is_variable = match byte_at(value, 0) {
        b'$' => second.is_ascii_alphabetic() || b"_({$".contains(&second),
        b'%' => value.last() == Some(&b'%') || b"s({".contains(&second),
        b'{' | b'<' | b'[' | b'(' | b'*' | b'.' | b'/' | b'~' => true,
        b'#' => second == b'{' || second == b'#',
        b'@' => second == b'{' || second == b'@',
        _ => false,
    };
    is_variable || [&b"${"[..], b"{{", b"}}", b"<%", b"://"].iter().any(|mark| contains(value, mark))
}

/// A key or token, and no name of one as programs have it.
pub(super) fn is_key(value: &[u8]) -> bool {
    is_credential(value) && !is_path(value)
}

/// Long, of the letters that keys have, drawn by chance.
pub(super) fn is_credential(value: &[u8]) -> bool {
    const LEN: core::ops::RangeInclusive<usize> = 16..=159;
    LEN.contains(&value.len()) && Set::VALUE.holds(value) && (is_random(value) || is_mixed(value))
}

/// Chance may leave out digits, but then it mixes cases as nobody does.
fn is_mixed(value: &[u8]) -> bool {
    let letters = Letters::of(value);
    letters.len >= 20
        && letters.lower > 4
        && letters.upper > 4
        && letters.millibits >= 3_900
        && !is_worded(value)
        && !is_filler(value)
}

/// A key of more letters than keys have: long, and signs between digits and letters.
pub(super) fn is_passkey(value: &[u8]) -> bool {
    let letters = Letters::of(value);
    (20..=159).contains(&letters.len)
        && letters.digits > 1
        && letters.other > 3
        && letters.millibits >= 4_000
        && is_password(value)
        && !is_filler(value)
}

/// The secret of an access key of AWS: forty letters of base64.
pub(super) fn is_aws_secret(value: &[u8]) -> bool {
    let letters = Letters::of(value);
    value.len() == 40
        && Set::BASE64.holds(value)
        && letters.lower > 0
        && letters.upper > 0
        && letters.digits > 0
        && !is_filler(value)
}

/// User and password behind `Basic`.
pub(super) fn is_basic(value: &[u8]) -> bool {
    let mut decoded = [0_u8; 128];
    let len = decode64(value, &mut decoded);
    let decoded = slice(&decoded, 0, len);
    value.len() >= 8 && contains(decoded, b":") && decoded.iter().all(|b| (b' '..0x7f).contains(b))
}

/// A password: letters, and digits or signs among them. A word by itself is too often the name of something.
pub(super) fn is_password(value: &[u8]) -> bool {
    const LEN: core::ops::RangeInclusive<usize> = 6..=128;
    // Before anything that takes time.
    if !LEN.contains(&value.len()) {
        return false;
    }
    let letters = Letters::of(value);
    let signs = value.iter().filter(|b| b.is_ascii_punctuation() && !b"._-/\\()[],:;".contains(b)).count();
    letters.lower + letters.upper > 0
        && letters.digits + signs > 0
        && letters.distinct > 3
        && !is_reference(value)
        && !is_code(value)
        && !SAMPLES.iter().chain(&ALGORITHMS).any(|word| contains_folded(value, word))
}

/// A call, a path or a place in a table, as programs have them behind `=`.
fn is_code(value: &[u8]) -> bool {
    let opens = |b: &u8| b"([{".contains(b);
    let closes = |b: &u8| b")]}".contains(b);
    let has_call = value.iter().position(opens).is_some_and(|at| slice(value, 0, at).iter().all(is_name));
    (has_call && value.iter().any(closes)) || is_path(value) || value.ends_with(b"(")
}

/// Names joined by dots or what programs have for them.
fn is_path(value: &[u8]) -> bool {
    const NAME_MIN: usize = 5;
    let mut names = value.split(|b| *b == b'.');
    let is_dotted = names.clone().count() > 1 && names.any(|name| name.len() >= NAME_MIN && is_worded(name));
    is_dotted || contains(value, b"->") || contains(value, b"::")
}

fn is_name(byte: &u8) -> bool {
    Set::DOTTED.has(*byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_have_digits_or_signs() {
        for value in ["Tr4!nsp-Wq8zLm", "%_T7m2-Rq-&w", "hunter2!", "Kestrel71!", "`47Kestrel", "P@ssw0rd"] {
            assert!(is_password(value.as_bytes()), "{value}");
        }
    }

    #[test]
    fn code_variables_and_words_are_no_passwords() {
        for value in [
            "getpass.getpass()",
            "os.environ['DB_PASSWORD1']",
            "$DB_PASSWORD1",
            "${PASSWORD_2}",
            "%PASSWORD1%",
            "<password1>",
            "required",
            "changeme1",
            "********",
            "SHA256-hashed",
            "config.database.password1",
        ] {
            assert!(!is_password(value.as_bytes()), "{value}");
        }
    }
}
