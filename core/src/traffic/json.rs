//! A JSON reader that allocates nothing, keeps byte spans and accepts exactly RFC 8259.
//!
//! Exactly matters: a reader that is laxer or stricter than the server behind it is a hole. What this one does
//! not accept becomes a gap, and policy decides. `serde_json` cannot give spans of the raw text of keys and
//! values without a copy per value; masking needs those spans. A property test holds this reader to
//! `serde_json`: both accept the same texts.

use crate::{receipt::GapReason, span::Span, text::find};

/// Deeper bodies are not followed. `serde_json` has the same limit, most servers have a higher one.
pub(crate) const DEPTH_MAX: usize = 128;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    ObjectStart,
    ObjectEnd,
    ArrayStart,
    ArrayEnd,
    /// The inside of a key, without quotes.
    Key(Span),
    /// The inside of a string, without quotes.
    String(Span),
    Number(Span),
    /// `true`, `false` or `null`.
    Word,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JsonError {
    Syntax,
    Depth,
}

impl JsonError {
    pub(crate) const fn reason(self) -> GapReason {
        match self {
            Self::Syntax => GapReason::Unparsable,
            Self::Depth => GapReason::Depth,
        }
    }
}

/// What may come next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expect {
    Value,
    /// Just after `[`: a value or `]`.
    ValueOrEnd,
    /// Just after `{`: a key or `}`.
    KeyOrEnd,
    Key,
    /// After a value: `,` or the end of what is open.
    CommaOrEnd,
    /// The one value of the text is complete.
    Nothing,
}

#[derive(Debug)]
pub(crate) struct Reader<'a> {
    text: &'a [u8],
    at: usize,
    expect: Expect,
    depth: usize,
    /// Bit `d` says that depth `d` is an object.
    objects: u128,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { text: text.as_bytes(), at: 0, expect: Expect::Value, depth: 0, objects: 0 }
    }

    /// The next token, or `None` once the whole text was one well-formed value.
    pub(crate) fn token(&mut self) -> Result<Option<Token>, JsonError> {
        self.skip_space();
        if self.expect == Expect::CommaOrEnd && self.peek() == Some(b',') {
            self.at += 1;
            self.skip_space();
            self.expect = if self.in_object() { Expect::Key } else { Expect::Value };
        }
        let Some(byte) = self.peek() else {
            return if self.expect == Expect::Nothing { Ok(None) } else { Err(JsonError::Syntax) };
        };
        let token = match (self.expect, byte) {
            (Expect::Nothing, _) => return Err(JsonError::Syntax),
            (Expect::KeyOrEnd | Expect::CommaOrEnd, b'}') if self.in_object() => self.close(Token::ObjectEnd),
            (Expect::ValueOrEnd | Expect::CommaOrEnd, b']') if self.in_array() => self.close(Token::ArrayEnd),
            (Expect::KeyOrEnd | Expect::Key, b'"') => self.key()?,
            (Expect::Value | Expect::ValueOrEnd, _) => self.value(byte)?,
            _ => return Err(JsonError::Syntax),
        };
        Ok(Some(token))
    }

    /// The end of the last token.
    pub(crate) const fn at(&self) -> usize {
        self.at
    }

    fn value(&mut self, byte: u8) -> Result<Token, JsonError> {
        let token = match byte {
            b'{' => return self.open(Token::ObjectStart, Expect::KeyOrEnd),
            b'[' => return self.open(Token::ArrayStart, Expect::ValueOrEnd),
            b'"' => Token::String(self.string()?),
            b'-' | b'0'..=b'9' => Token::Number(self.number()?),
            b't' => self.word(b"true")?,
            b'f' => self.word(b"false")?,
            b'n' => self.word(b"null")?,
            _ => return Err(JsonError::Syntax),
        };
        self.after_value();
        Ok(token)
    }

    fn open(&mut self, token: Token, expect: Expect) -> Result<Token, JsonError> {
        if self.depth == DEPTH_MAX {
            return Err(JsonError::Depth);
        }
        let bit = 1_u128 << self.depth;
        self.objects = if token == Token::ObjectStart { self.objects | bit } else { self.objects & !bit };
        self.depth += 1;
        self.at += 1;
        self.expect = expect;
        Ok(token)
    }

    fn close(&mut self, token: Token) -> Token {
        self.depth = self.depth.saturating_sub(1);
        self.at += 1;
        self.after_value();
        token
    }

    fn after_value(&mut self) {
        self.expect = if self.depth == 0 { Expect::Nothing } else { Expect::CommaOrEnd };
    }

    fn key(&mut self) -> Result<Token, JsonError> {
        let span = self.string()?;
        self.skip_space();
        if self.peek() != Some(b':') {
            return Err(JsonError::Syntax);
        }
        self.at += 1;
        self.expect = Expect::Value;
        Ok(Token::Key(span))
    }

    fn string(&mut self) -> Result<Span, JsonError> {
        self.at += 1;
        let start = self.at;
        loop {
            let rest = self.text.get(self.at..).unwrap_or_default();
            self.at += find(rest, |b| b.are(b'"') | b.are(b'\\') | b.are_control());
            match self.peek() {
                Some(b'"') => {
                    let span = Span::new(start, self.at);
                    self.at += 1;
                    return Ok(span);
                }
                Some(b'\\') => self.escape()?,
                _ => return Err(JsonError::Syntax),
            }
        }
    }

    fn escape(&mut self) -> Result<(), JsonError> {
        /// One bit for each byte: texts that are JSON themselves are full of escapes.
        const SHORT_ESCAPES: u128 =
            1 << b'"' | 1 << b'\\' | 1 << b'/' | 1 << b'b' | 1 << b'f' | 1 << b'n' | 1 << b'r' | 1 << b't';
        self.at += 1;
        let len = match self.peek() {
            Some(byte) if byte.is_ascii() && SHORT_ESCAPES >> byte & 1 != 0 => 1,
            Some(b'u') => {
                let digits = self.text.get(self.at + 1..self.at + 5).ok_or(JsonError::Syntax)?;
                if !digits.iter().all(u8::is_ascii_hexdigit) {
                    return Err(JsonError::Syntax);
                }
                5
            }
            _ => return Err(JsonError::Syntax),
        };
        self.at += len;
        Ok(())
    }

    fn number(&mut self) -> Result<Span, JsonError> {
        let start = self.at;
        self.eat(b"-");
        if !self.eat(b"0") && self.digits() == 0 {
            return Err(JsonError::Syntax);
        }
        if self.eat(b".") && self.digits() == 0 {
            return Err(JsonError::Syntax);
        }
        if self.eat(b"eE") {
            self.eat(b"+-");
            if self.digits() == 0 {
                return Err(JsonError::Syntax);
            }
        }
        Ok(Span::new(start, self.at))
    }

    fn digits(&mut self) -> usize {
        let start = self.at;
        while self.peek().is_some_and(|b| b.is_ascii_digit()) {
            self.at += 1;
        }
        self.at - start
    }

    fn word(&mut self, word: &[u8]) -> Result<Token, JsonError> {
        match self.text.get(self.at..).is_some_and(|rest| rest.starts_with(word)) {
            true => {
                self.at += word.len();
                Ok(Token::Word)
            }
            false => Err(JsonError::Syntax),
        }
    }

    fn eat(&mut self, any_of: &[u8]) -> bool {
        let found = self.peek().is_some_and(|b| any_of.contains(&b));
        self.at += usize::from(found);
        found
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn in_object(&self) -> bool {
        self.depth > 0 && self.objects & (1 << (self.depth - 1)) != 0
    }

    fn in_array(&self) -> bool {
        self.depth > 0 && !self.in_object()
    }
}

/// The value of a member of the outermost object, as it stands in the text. The first one, where there are several.
pub(crate) fn member<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    any_member(text, &[name])
}

/// The same for a member that may have several names.
pub(crate) fn any_member<'a>(text: &'a str, names: &[&str]) -> Option<&'a str> {
    let mut reader = Reader::new(text);
    if reader.token() != Ok(Some(Token::ObjectStart)) {
        return None;
    }
    while let Ok(Some(Token::Key(key))) = reader.token() {
        let start = reader.at;
        loop {
            reader.token().ok()??;
            if reader.depth == 1 {
                break;
            }
        }
        if text.get(key.range()).is_some_and(|key| names.contains(&key)) {
            return text.get(start..reader.at).map(str::trim);
        }
    }
    None
}

/// The same for a string, without its quotes.
pub(crate) fn string_member<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    member(text, name)?.strip_prefix('"')?.strip_suffix('"')
}

/// Whether the text is exactly one JSON value.
#[cfg(test)]
pub(crate) fn accepts(text: &str) -> bool {
    let mut reader = Reader::new(text);
    loop {
        match reader.token() {
            Ok(Some(_)) => {}
            Ok(None) => return true,
            Err(_) => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn malformed_texts_are_refused() {
        for text in [
            "",
            " ",
            "{",
            "[1,]",
            "{\"a\":1,}",
            "[1 2]",
            "{\"a\" 1}",
            "01",
            "1.",
            "1e",
            "-",
            "+1",
            "nul",
            "\"\\x\"",
            "\"\\u12g4\"",
            "\"\n\"",
            "{}{}",
            "[] x",
            "{a:1}",
            "'a'",
            "[1}",
            "{]",
            ",",
            ":",
            "\u{feff}{}",
            "NaN",
        ] {
            assert!(!accepts(text), "{text:?}");
        }
    }

    #[test]
    fn depth_is_bounded() {
        let deep = |n: usize| "[".repeat(n) + &"]".repeat(n);
        assert!(accepts(&deep(DEPTH_MAX)));
        assert!(!accepts(&deep(DEPTH_MAX + 1)));
    }

    proptest! {
        #[test]
        fn accepts_what_serde_json_accepts(text in r#"[\[\]{}:,"\\ ntrue0-9.eE+a-]{0,24}"#) {
            let theirs = serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok();
            prop_assert_eq!(accepts(&text), theirs, "{}", text);
        }
    }

    #[test]
    fn members_are_found_as_they_stand() {
        let text = r#" {"a": {"id": [1, 2]}, "id" : "x\"y", "n": 1.5 , "n": 2}"#;
        assert_eq!(member(text, "a"), Some(r#"{"id": [1, 2]}"#));
        assert_eq!(string_member(text, "id"), Some(r#"x\"y"#));
        assert_eq!(member(text, "n"), Some("1.5"));
        assert_eq!(member(text, "b"), None);
        assert_eq!(member("[1]", "a"), None);
        assert_eq!(member(r#"{"a":"#, "a"), None);
    }
}
