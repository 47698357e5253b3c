//! The syntax of expressions: text to a tree. What is not understood is refused with the reason; nothing is guessed.

use alloc::{boxed::Box, format, string::String, vec::Vec};

use sentinel_model::fold::fold_word;

use super::{RegexError, error, set::Set};

/// Parentheses in parentheses.
const DEPTH_MAX: u32 = 32;

pub(super) const REPEAT_MAX: u32 = 1000;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    Empty,
    Set(Set),
    Assert(Assert),
    /// One after the other.
    Row(Vec<Self>),
    /// The first is preferred.
    Either(Vec<Self>),
    Repeat(Box<Self>, Times),
}

/// How often something may stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Times {
    pub(super) min: u32,
    pub(super) max: Option<u32>,
    /// As often as possible is preferred.
    pub(super) is_greedy: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Assert {
    TextStart,
    TextEnd,
    LineStart,
    LineEnd,
    Boundary,
    NoBoundary,
}

pub(super) fn parse(source: &str) -> Result<Node, RegexError> {
    let mut parser = Parser { rest: source, flags: Flags::default(), depth: 0 };
    let node = parser.either()?;
    match parser.rest.is_empty() {
        true => Ok(node),
        false => Err(error("there is a ) without its (")),
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Flags {
    ignores_case: bool,
    /// `^` and `$` stand for lines.
    by_lines: bool,
    dot_is_all: bool,
}

struct Parser<'s> {
    rest: &'s str,
    flags: Flags,
    depth: u32,
}

impl Parser<'_> {
    fn either(&mut self) -> Result<Node, RegexError> {
        let mut branches = Vec::from([self.row()?]);
        while self.eat("|") {
            branches.push(self.row()?);
        }
        Ok(match branches.len() {
            1 => branches.pop().unwrap_or(Node::Empty),
            _ => Node::Either(branches),
        })
    }

    fn row(&mut self) -> Result<Node, RegexError> {
        let mut nodes = Vec::new();
        while let Some(c) = self.peek().filter(|c| !matches!(c, '|' | ')')) {
            self.next();
            if let Some(node) = self.atom(c)? {
                nodes.push(self.repeated(node)?);
            }
        }
        Ok(match nodes.len() {
            0 => Node::Empty,
            1 => nodes.pop().unwrap_or(Node::Empty),
            _ => Node::Row(nodes),
        })
    }

    /// Flags for what follows are no node.
    fn atom(&mut self, c: char) -> Result<Option<Node>, RegexError> {
        let by_lines = self.flags.by_lines;
        Ok(Some(match c {
            '(' => return self.group(),
            '[' => Node::Set(self.class()?),
            '.' if self.flags.dot_is_all => Node::Set(Set::any()),
            '.' => Node::Set(Set::one('\n').complement()),
            '^' => Node::Assert(if by_lines { Assert::LineStart } else { Assert::TextStart }),
            '$' => Node::Assert(if by_lines { Assert::LineEnd } else { Assert::TextEnd }),
            '\\' => match self.escape()? {
                Escape::Char(c) => Node::Set(self.letter(c)?),
                Escape::Set(set) => Node::Set(set),
                Escape::Assert(assert) => Node::Assert(assert),
            },
            '*' | '+' | '?' => return Err(RegexError(format!("there is nothing before the {c} to repeat"))),
            '{' => return Err(error("a brace that repeats nothing; write \\{ for the sign")),
            _ => Node::Set(self.letter(c)?),
        }))
    }

    fn repeated(&mut self, node: Node) -> Result<Node, RegexError> {
        let (min, max) = match self.peek() {
            Some('*') => (0, None),
            Some('+') => (1, None),
            Some('?') => (0, Some(1)),
            Some('{') => self.counts()?,
            _ => return Ok(node),
        };
        self.next();
        let is_greedy = !self.eat("?");
        if self.peek().is_some_and(|c| matches!(c, '*' | '+' | '?' | '{')) {
            return Err(error("what repeats is repeated; put it into parentheses"));
        }
        Ok(Node::Repeat(Box::new(node), Times { min, max, is_greedy }))
    }

    /// `{2}`, `{2,}` or `{2,5}`, up to the last brace.
    fn counts(&mut self) -> Result<(u32, Option<u32>), RegexError> {
        let wrong = || error("expected {n}, {n,} or {n,m}; write \\{ for the sign");
        let (inside, _) = self.rest.strip_prefix('{').and_then(|r| r.split_once('}')).ok_or_else(wrong)?;
        let number = |text: &str| match text.bytes().all(|byte| byte.is_ascii_digit()) {
            true => text.parse::<u32>().ok(),
            false => None,
        };
        let (min, max) = match inside.split_once(',') {
            None => (number(inside), number(inside).map(Some)),
            Some((min, "")) => (number(min), Some(None)),
            Some((min, max)) => (number(min), number(max).map(Some)),
        };
        let (min, max) = (min.ok_or_else(wrong)?, max.ok_or_else(wrong)?);
        if min.max(max.unwrap_or(0)) > REPEAT_MAX {
            return Err(RegexError(format!("repeats more than {REPEAT_MAX} times")));
        }
        if max.is_some_and(|max| max < min) {
            return Err(RegexError(format!("{{{inside}}} ends before it begins")));
        }
        self.rest = self.rest.get(1 + inside.len()..).unwrap_or("");
        Ok((min, max))
    }

    fn group(&mut self) -> Result<Option<Node>, RegexError> {
        let before = self.flags;
        if self.eat("?") && !self.named()? && !self.flags()? {
            return Ok(None);
        }
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(RegexError(format!("parentheses stand deeper than {DEPTH_MAX} in each other")));
        }
        let node = self.either()?;
        if !self.eat(")") {
            return Err(error("there is a ( without its )"));
        }
        self.depth -= 1;
        self.flags = before;
        Ok(Some(node))
    }

    /// The name of a group; nobody asks for it.
    fn named(&mut self) -> Result<bool, RegexError> {
        if ["=", "!", "<=", "<!"].into_iter().any(|look| self.rest.starts_with(look)) {
            return Err(error(
                "look-around such as (?= and (?<! is not supported; write out what a match has",
            ));
        }
        if self.rest.starts_with("P=") {
            return Err(back_reference());
        }
        if !self.eat("P<") && !self.eat("<") {
            return Ok(false);
        }
        let name = self.rest.split_once('>').filter(|(name, _)| {
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        });
        let (_, rest) = name.ok_or_else(|| error("a group has a name that ends nowhere"))?;
        self.rest = rest;
        Ok(true)
    }

    /// Answers whether a group follows, or the flags stand by themselves.
    fn flags(&mut self) -> Result<bool, RegexError> {
        let mut is_on = true;
        loop {
            let flag = match self.next() {
                Some(':') => return Ok(true),
                Some(')') => return Ok(false),
                Some('-') if is_on => {
                    is_on = false;
                    continue;
                }
                Some('i') => &mut self.flags.ignores_case,
                Some('m') => &mut self.flags.by_lines,
                Some('s') => &mut self.flags.dot_is_all,
                Some(c) => {
                    return Err(RegexError(format!(
                        "(?{c} is not supported; there are the flags i, m and s"
                    )));
                }
                None => return Err(error("there is a ( without its )")),
            };
            *flag = is_on;
        }
    }

    fn class(&mut self) -> Result<Set, RegexError> {
        let is_negated = self.eat("^");
        let mut set = Set::default();
        let mut is_first = true;
        loop {
            if ["&&", "--", "~~"].into_iter().any(|sign| self.rest.starts_with(sign)) {
                return Err(error("&&, -- and ~~ in a class are not supported"));
            }
            match self.next() {
                None => return Err(error("there is a [ without its ]")),
                Some(']') if !is_first => break,
                Some('[') => {
                    return Err(error("a class in a class is not supported; write \\[ for the sign"));
                }
                Some(c) => match self.member(c)? {
                    Member::Set(other) => set.add(other),
                    Member::Char(first) => set.add(self.range_from(first)?),
                },
            }
            is_first = false;
        }
        if self.flags.ignores_case {
            set.ignore_case();
        }
        if is_negated {
            set.negate();
        }
        match set.is_empty() {
            true => Err(error("no character is in a class of it")),
            false => Ok(set),
        }
    }

    fn member(&mut self, c: char) -> Result<Member, RegexError> {
        if c != '\\' {
            return readable(c).map(Member::Char);
        }
        match self.escape()? {
            Escape::Char(c) => readable(c).map(Member::Char),
            Escape::Set(set) => Ok(Member::Set(set)),
            Escape::Assert(_) => Err(error("\\b, \\B, \\A and \\z have no meaning in a class")),
        }
    }

    fn range_from(&mut self, first: char) -> Result<Set, RegexError> {
        if !self.rest.starts_with('-') || self.rest.starts_with("-]") {
            return Ok(Set::one(first));
        }
        self.next();
        let Some(c) = self.next() else { return Err(error("there is a [ without its ]")) };
        match self.member(c)? {
            Member::Char(last) if first <= last => Ok(Set::range(first, last)),
            _ => Err(error("a range in a class ends before it begins")),
        }
    }

    fn letter(&self, c: char) -> Result<Set, RegexError> {
        let mut set = Set::one(readable(c)?);
        if self.flags.ignores_case {
            set.ignore_case();
        }
        Ok(set)
    }

    fn escape(&mut self) -> Result<Escape, RegexError> {
        let Some(c) = self.next() else { return Err(error("a \\ stands at the end")) };
        Ok(match c {
            'd' => Escape::Set(Set::digits()),
            'D' => Escape::Set(Set::digits().complement()),
            's' => Escape::Set(Set::spaces()),
            'S' => Escape::Set(Set::spaces().complement()),
            'w' => Escape::Set(Set::word()),
            'W' => Escape::Set(Set::word().complement()),
            'b' if self.rest.starts_with('{') => return Err(error("\\b{ is not supported")),
            'b' => Escape::Assert(Assert::Boundary),
            'B' => Escape::Assert(Assert::NoBoundary),
            'A' => Escape::Assert(Assert::TextStart),
            'z' => Escape::Assert(Assert::TextEnd),
            'n' => Escape::Char('\n'),
            't' => Escape::Char('\t'),
            'r' => Escape::Char('\r'),
            'x' => Escape::Char(self.number(2)?),
            'u' => Escape::Char(self.number(4)?),
            '1'..='9' | 'k' => return Err(back_reference()),
            'p' | 'P' => return Err(error("\\p is not supported; name the characters in a class")),
            '<' | '>' => return Err(RegexError(format!("\\{c} is not supported; for the sign write {c}"))),
            _ if c.is_ascii_punctuation() || c == ' ' => Escape::Char(c),
            _ => return Err(RegexError(format!("\\{c} is not known"))),
        })
    }

    /// The character of `\x41`, `\x{1f600}` or `\u0041`.
    fn number(&mut self, n_digits: usize) -> Result<char, RegexError> {
        let (digits, len) = match self.rest.strip_prefix('{') {
            Some(rest) => rest.split_once('}').map_or(("", 0), |(digits, _)| (digits, digits.len() + 2)),
            None => (self.rest.get(..n_digits).unwrap_or(""), n_digits),
        };
        let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = u32::from_str_radix(digits, 16).ok().filter(|_| is_number);
        let c = number.and_then(char::from_u32).ok_or_else(|| error("expected \\x41, \\u0041 or \\x{41}"))?;
        self.rest = self.rest.get(len..).unwrap_or("");
        Ok(c)
    }

    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.rest = self.rest.get(c.len_utf8()..).unwrap_or("");
        Some(c)
    }

    fn eat(&mut self, start: &str) -> bool {
        let rest = self.rest.strip_prefix(start);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }
}

enum Escape {
    Char(char),
    Set(Set),
    Assert(Assert),
}

enum Member {
    Char(char),
    Set(Set),
}

/// Texts are read with their folded characters beyond ASCII: others would never match.
fn readable(c: char) -> Result<char, RegexError> {
    if c.is_ascii() {
        return Ok(c);
    }
    let folded = fold_word(c.encode_utf8(&mut [0; 4]));
    match folded.chars().eq([c]) {
        true => Ok(c),
        false if folded.is_empty() => {
            Err(RegexError(format!("{:?} is left out of every text that rules read", String::from(c))))
        }
        false => Err(RegexError(format!("{c} is read as {folded}; write {folded}"))),
    }
}

fn back_reference() -> RegexError {
    error("back-references such as \\1 are not supported; write out what they repeat")
}
