//! A name that says secret with its value: `password = "…"`, `api_key: …`, `Authorization: Bearer …`, `-p…`, and
//! "the password is …". All of them have a sign that prose rarely has, and only those signs are looked for.
//!
//! Bounded work: so many bytes before a sign and behind it.

use super::{
    chars::{Set, byte_at, byte_before, contains, slice},
    pem,
    rule::Rule,
    token::Seen,
    url,
    value::{is_aws_secret, is_basic, is_credential, is_key, is_passkey, is_password},
};
use crate::detect::Budget;

/// What a name promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Password,
    Key,
    AwsSecret,
    Authorization,
}

/// Ends of names, without what joins their words.
const NAMES: [(&[u8], Kind); 40] = [
    (b"password", Kind::Password),
    (b"passwd", Kind::Password),
    (b"passwort", Kind::Password),
    (b"kennwort", Kind::Password),
    (b"passphrase", Kind::Password),
    (b"passcode", Kind::Password),
    (b"pwd", Kind::Password),
    (b"authorization", Kind::Authorization),
    (b"secretaccesskey", Kind::AwsSecret),
    (b"secretkey", Kind::AwsSecret),
    (b"awssecret", Kind::AwsSecret),
    (b"secret", Kind::Key),
    (b"token", Kind::Key),
    (b"bearer", Kind::Key),
    (b"apikey", Kind::Key),
    (b"accesskey", Kind::Key),
    (b"privatekey", Kind::Key),
    (b"authkey", Kind::Key),
    (b"signingkey", Kind::Key),
    (b"encryptionkey", Kind::Key),
    (b"masterkey", Kind::Key),
    (b"licensekey", Kind::Key),
    (b"sharedkey", Kind::Key),
    (b"storagekey", Kind::Key),
    (b"accountkey", Kind::Key),
    (b"insertkey", Kind::Key),
    (b"deploykey", Kind::Key),
    (b"appkey", Kind::Key),
    (b"consumerkey", Kind::Key),
    (b"servicekey", Kind::Key),
    (b"adminkey", Kind::Key),
    (b"sessionkey", Kind::Key),
    (b"clientkey", Kind::Key),
    (b"hmackey", Kind::Key),
    (b"jwtkey", Kind::Key),
    (b"githubkey", Kind::Key),
    (b"sharedaccesskey", Kind::Key),
    (b"credential", Kind::Key),
    (b"credentials", Kind::Key),
    (b"clientcredential", Kind::Key),
];

const NAME_MAX: usize = 24;
const VALUE_MAX: usize = 160;
/// Before the end of a text, so much is looked at for something that has begun.
const OPEN_MAX: usize = 512;

/// What a sign led to: a rule, where its text begins, and what that text is.
pub(super) struct Reading {
    pub(super) rule: Rule,
    pub(super) start: usize,
    pub(super) seen: Seen,
}

/// Reads at every sign from `from` on.
pub(super) fn read_all(
    text: &[u8],
    cased: &[u8],
    from: usize,
    budget: &mut Budget,
    mut on_reading: impl FnMut(Reading),
) {
    let mut at = from;
    while let Some(sign) = next_sign(text, at) {
        at = sign + 1;
        if !budget.spend(1) {
            return;
        }
        let reading = match byte_at(text, sign) {
            b':' if slice(text, sign + 1, sign + 3) == b"//" => {
                let (start, seen) = url::read(text, sign + 3);
                Some(Reading { rule: Rule::UrlPassword, start, seen })
            }
            b'-' => dashes(text, cased, sign),
            b's' => spoken(text, cased, sign),
            _ => assignment(text, cased, sign),
        };
        let Some(reading) = reading.filter(|reading| reading.seen != Seen::Nothing) else { continue };
        if let Seen::Token(end) = reading.seen {
            at = at.max(end);
            budget.spend((end - reading.start) as u32 / 8);
        }
        on_reading(reading);
    }
}

/// The end of what stands at `at` behind the word `Bearer`, wherever that stands.
pub(super) fn read_bearer(text: &[u8], cased: &[u8], at: usize) -> Option<usize> {
    const SCHEME: &[u8] = b"bearer ";
    let from = at.checked_sub(SCHEME.len())?;
    if slice(text, from, at) != SCHEME {
        return None;
    }
    let end = at + Set::VALUE.run(text, at, VALUE_MAX);
    is_credential(slice(cased, at, end)).then_some(end)
}

/// Where something begins that the end of the text cuts off.
pub(super) fn open(text: &[u8], cased: &[u8]) -> Option<usize> {
    let mut open = None;
    let mut budget = Budget::for_bytes(OPEN_MAX);
    let from = text.len().saturating_sub(OPEN_MAX);
    read_all(text, cased, from, &mut budget, |reading| {
        let is_open = matches!(reading.seen, Seen::Open) || reading.seen == Seen::Token(text.len());
        if is_open && reading.start < text.len() {
            open = Some(open.unwrap_or(reading.start).min(reading.start));
        }
    });
    open
}

/// The next `=`, `:`, `--`, `-p` or the middle of `passw`.
fn next_sign(text: &[u8], from: usize) -> Option<usize> {
    const BLOCK: usize = 32;
    let is_sign = |a: u8, b: u8| {
        // `|` and `&`, not their lazy kin: without branches this becomes vector instructions.
        (a == b'=') | (a == b':') | ((a == b'-') & ((b == b'-') | (b == b'p'))) | ((a == b's') & (b == b'w'))
    };
    let mut at = from;
    while let Some(block) = text.get(at..).and_then(|rest| rest.first_chunk::<{ BLOCK + 1 }>()) {
        let (here, next) = (block.first_chunk::<BLOCK>()?, block.last_chunk::<BLOCK>()?);
        if here.iter().zip(next).fold(false, |any, (&a, &b)| any | is_sign(a, b)) {
            return here.iter().zip(next).position(|(&a, &b)| is_sign(a, b)).map(|hit| at + hit);
        }
        at += BLOCK;
    }
    (at..text.len()).find(|&at| is_sign(byte_at(text, at), byte_at(text, at + 1)))
}

/// `name = value`, with the sign at `at`.
fn assignment(text: &[u8], cased: &[u8], at: usize) -> Option<Reading> {
    let kind = name_before(text, cased, at)?;
    let mut from = at + 1;
    let is_compared = byte_at(text, from) == b'=' || b"!=<>".contains(&byte_before(text, at));
    while matches!(byte_at(text, from), b'=' | b'>' | b' ' | b'\t') && from < at + 16 {
        from += 1;
    }
    let value = Value::read(text, from);
    if is_compared && value.quote.is_none() {
        return None;
    }
    judge(kind, cased, value)
}

fn judge(kind: Kind, cased: &[u8], value: Value) -> Option<Reading> {
    let (mut start, mut scheme) = (value.start, "");
    for name in ["bearer", "basic", "token", "ssws", "apikey"] {
        let end = start + name.len();
        if slice(cased, start, end).eq_ignore_ascii_case(name.as_bytes()) && byte_at(cased, end) == b' ' {
            (start, scheme) = (end + 1, name);
            break;
        }
    }
    let value = if start == value.start { value } else { value.from(cased, start) };
    let text = slice(cased, value.start, value.end);
    let rule = match kind {
        _ if scheme == "basic" => is_basic(text).then_some(Rule::Bearer),
        _ if !scheme.is_empty() => is_credential(text).then_some(Rule::Bearer),
        Kind::Authorization => is_key(text).then_some(Rule::Bearer),
        Kind::AwsSecret if is_aws_secret(text) => Some(Rule::AwsSecret),
        Kind::AwsSecret | Kind::Key => (is_key(text)
            || (value.quote.is_some() && value.is_plain && is_passkey(text)))
        .then_some(Rule::Key),
        Kind::Password if value.is_plain && is_password(text) => Some(Rule::Password),
        Kind::Password => None,
    };
    let seen = match rule {
        Some(_) => Seen::Token(value.end),
        None if value.end == cased.len() => Seen::Open,
        None => Seen::Nothing,
    };
    Some(Reading { rule: rule.unwrap_or(Rule::Key), start: value.start, seen })
}

/// The kind of the name that ends before a sign, quotes and spaces between.
fn name_before(text: &[u8], cased: &[u8], sign: usize) -> Option<Kind> {
    let mut end = sign;
    while end > 0 && sign - end < 8 && b" \t\"'`])*:\\".contains(&byte_before(text, end)) {
        end -= 1;
    }
    name_ending(text, cased, end)
}

fn name_ending(text: &[u8], cased: &[u8], end: usize) -> Option<Kind> {
    // Most names that are none end in other letters.
    if !matches!(byte_before(text, end), b'd' | b't' | b'e' | b'y' | b'n' | b'r' | b'l' | b's') {
        return None;
    }
    let mut name = [0_u8; NAME_MAX];
    let mut free = NAME_MAX;
    let mut at = end;
    while at > 0 && free > 0 && end - at < 2 * NAME_MAX {
        at -= 1;
        match byte_at(text, at) {
            b'_' | b'-' | b'.' | b' ' => {}
            byte if byte.is_ascii_alphanumeric() => {
                free -= 1;
                if let Some(slot) = name.get_mut(free) {
                    *slot = byte;
                }
            }
            _ => break,
        }
    }
    let name = name.get(free..).unwrap_or_default();
    if name.ends_with(b"publickeytoken") {
        return None;
    }
    let last = name.last();
    let fits = |(ending, _): &&(&[u8], Kind)| ending.last() == last && name.ends_with(ending);
    let known = NAMES.iter().find(fits).map(|(_, kind)| *kind);
    // `DB_PASS` and `dbPass`, but no compass.
    let is_pass = || {
        let pass = end.checked_sub(4)?;
        let stands_alone = !byte_before(text, pass).is_ascii_alphanumeric()
            || (byte_at(cased, pass) == b'P' && byte_at(cased, pass + 1) == b'a');
        (name.ends_with(b"pass") && stands_alone).then_some(Kind::Password)
    };
    known.or_else(is_pass)
}

/// Dashes: the armour of a key, or an option of a command.
fn dashes(text: &[u8], cased: &[u8], at: usize) -> Option<Reading> {
    if byte_before(text, at) == b'-' {
        return None;
    }
    let armour = pem::read(text, cased, at);
    if armour != Seen::Nothing {
        return Some(Reading { rule: Rule::PrivateKey, start: at, seen: armour });
    }
    if !byte_before(text, at).is_ascii_whitespace() {
        return None;
    }
    let rest = slice(text, at, at + 16);
    let spelled = [&b"--password "[..], b"-password ", b"--pass ", b"-pass ", b"--passwd "];
    if let Some(option) = spelled.iter().find(|option| rest.starts_with(option)) {
        return judge(Kind::Password, cased, Value::read(text, at + option.len()));
    }
    if rest.starts_with(b"-p") && takes_password(text, at) {
        let from = at + 2 + usize::from(byte_at(text, at + 2) == b' ');
        return judge(Kind::Password, cased, Value::read(text, from));
    }
    None
}

/// Whether `-p` at `at` is an option of a command that takes a password there: of `mysql` only without a space.
fn takes_password(text: &[u8], at: usize) -> bool {
    const COMMAND_MAX: usize = 48;
    if slice(text, at.saturating_sub(8), at) == b"sshpass " {
        return true;
    }
    let line = slice(text, at.saturating_sub(COMMAND_MAX), at).rsplit(|b| *b == b'\n').next();
    !byte_at(text, at + 2).is_ascii_whitespace() && contains(line.unwrap_or_default(), b"mysql")
}

/// "The password for x is y", where `at` is the second s.
fn spoken(text: &[u8], cased: &[u8], at: usize) -> Option<Reading> {
    const WORDS_MAX: usize = 5;
    let start = at.checked_sub(3)?;
    if slice(text, start, at + 2) != b"passw" {
        return None;
    }
    let mut from = at + 2 + Set::LOWER.run(text, at + 2, 8);
    for _ in 0..WORDS_MAX {
        if byte_at(text, from) != b' ' {
            return None;
        }
        let word = from + 1;
        let len = Set::LOWER.run(text, word, 16);
        from = word + len;
        if matches!(slice(text, word, from), b"is" | b"was" | b"ist" | b"lautet" | b"es" | b"est") {
            let value = Value::read(text, from + usize::from(byte_at(text, from) == b' '));
            let value = if value.quote.is_none() { value.without_stop(text) } else { value };
            return judge(Kind::Password, cased, value);
        }
    }
    None
}

/// The text behind a sign, up to its quote or to where a word ends.
#[derive(Clone, Copy, Debug)]
struct Value {
    start: usize,
    end: usize,
    quote: Option<u8>,
    /// No space before its quote ends it.
    is_plain: bool,
}

impl Value {
    fn read(text: &[u8], from: usize) -> Self {
        let mut start = from;
        let mut quote = None;
        let marks = slice(text, from, from + 3);
        let n_marks = marks.iter().position(|b| b"\"'`".contains(b));
        // `"`, `\"` and `b"`.
        if let Some(at) = n_marks.filter(|at| marks.iter().take(*at).all(|b| b"\\bur".contains(b))) {
            start = from + at + 1;
            quote = marks.get(at).copied();
        }
        Self { start, end: start, quote, is_plain: true }.from(text, start)
    }

    /// The same value without what stands before `start`.
    fn from(self, text: &[u8], start: usize) -> Self {
        let rest = slice(text, start, start + VALUE_MAX);
        let is_end = |b: &u8| match self.quote {
            Some(quote) => *b == quote || *b <= b' ',
            None => *b <= b' ' || Set::STOP.has(*b),
        };
        let len = rest.iter().position(is_end).unwrap_or(rest.len());
        let mut end = start + len;
        // The escape of the quote that ends it.
        if self.quote.is_some() && byte_before(text, end) == b'\\' && end > start {
            end -= 1;
        }
        let closes = |quote| rest.get(len).is_none_or(|b| *b == quote);
        let is_plain = self.quote.is_none_or(closes);
        let mut value = Self { start, end, quote: self.quote, is_plain };
        if self.quote.is_none() {
            value = value.without_brackets(text);
        }
        value
    }

    /// `f(token=abc)` and `{token: abc}`.
    fn without_brackets(mut self, text: &[u8]) -> Self {
        let inner = slice(text, self.start, self.end);
        let opens = inner.iter().any(|b| b"([{".contains(b));
        while !opens && self.end > self.start && b")]}".contains(&byte_before(text, self.end)) {
            self.end -= 1;
        }
        self
    }

    /// The end of a sentence is no part of a password.
    fn without_stop(mut self, text: &[u8]) -> Self {
        if self.end > self.start && b".:".contains(&byte_before(text, self.end)) {
            self.end -= 1;
        }
        self
    }
}
