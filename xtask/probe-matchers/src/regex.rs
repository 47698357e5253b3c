//! Phrases as regular expressions over the folded text.

use sentinel_model::phrase::{Alternative, Phrase, Step, Words, stands_alone};

use crate::rules::Rule;

/// How classes are written. Both mean the same, but for text beyond ASCII, where bytes make the smaller automata.
#[derive(Clone, Copy)]
pub(crate) enum Dialect {
    Bytes,
    Chars,
}

/// One expression for all phrases of a rule.
pub(crate) fn of_rule(rule: &Rule, dialect: Dialect) -> String {
    let phrases: Vec<String> = rule.phrases.iter().map(|phrase| of_phrase(phrase, dialect)).collect();
    phrases.join("|")
}

impl Dialect {
    /// A letter of a word.
    const fn letter(self) -> &'static str {
        match self {
            Self::Bytes => r"(?-u:[0-9a-z_'\x80-\xff])",
            Self::Chars => r"[0-9a-z_'\x{80}-\x{10ffff}]",
        }
    }

    /// What stands between words.
    const fn gap(self) -> &'static str {
        match self {
            Self::Bytes => r"(?-u:[^0-9a-z_'\x80-\xff])",
            Self::Chars => r"[^0-9a-z_'\x{80}-\x{10ffff}]",
        }
    }

    /// What may stand before the first word: a quotation mark, too.
    const fn before(self) -> &'static str {
        match self {
            Self::Bytes => r"(?:^|(?-u:[^0-9a-z_\x80-\xff]))",
            Self::Chars => r"(?:^|[^0-9a-z_\x{80}-\x{10ffff}])",
        }
    }

    const fn after(self) -> &'static str {
        match self {
            Self::Bytes => r"(?:$|(?-u:[^0-9a-z_'\x80-\xff])|'(?:$|(?-u:[^0-9a-z_\x80-\xff])))",
            Self::Chars => r"(?:$|[^0-9a-z_'\x{80}-\x{10ffff}]|'(?:$|[^0-9a-z_\x{80}-\x{10ffff}]))",
        }
    }

    /// Any character.
    const fn any(self) -> &'static str {
        match self {
            Self::Bytes => r"(?-u:[\x00-\x7f]|[\xc0-\xff][\x80-\xbf]{1,3})",
            Self::Chars => r"(?s:.)",
        }
    }
}

pub(crate) fn of_phrase(phrase: &Phrase, dialect: Dialect) -> String {
    match phrase {
        Phrase::Literal(literal) => {
            let before = if literal.begins_line { r"(?:^|\n)[ \t]{0,8}" } else { "" };
            format!("{before}{}", escaped(&literal.text))
        }
        Phrase::Words(words) if has_lone_chars(words) => of_lone_chars(words, dialect),
        Phrase::Words(words) => of_words(words, dialect),
    }
}

fn of_words(words: &Words, dialect: Dialect) -> String {
    let (letter, gap) = (dialect.letter(), dialect.gap());
    let between = |step: &Step| match step.gap {
        0 => format!("{gap}+"),
        n => format!("{gap}+(?:{letter}+{gap}+){{0,{n}}}"),
    };
    let row = |row: &Alternative| {
        let words = row.words.iter().map(|word| match word.prefix {
            true => format!("{}{letter}*", word.text),
            false => word.text.clone(),
        });
        words.collect::<Vec<_>>().join(&format!("{gap}+"))
    };
    let steps = joined(words, between, row);
    format!("{}{steps}{}", dialect.before(), dialect.after())
}

/// Where characters stand alone there are no boundaries, and a gap is one of characters.
fn of_lone_chars(words: &Words, dialect: Dialect) -> String {
    let (gap, any) = (dialect.gap(), dialect.any());
    let between = |step: &Step| match step.gap {
        0 => format!("{gap}*"),
        n => format!("{any}{{0,{n}}}"),
    };
    let row = |row: &Alternative| {
        row.words.iter().map(|word| word.text.clone()).collect::<Vec<_>>().join(&format!("{gap}*"))
    };
    joined(words, between, row)
}

fn joined(words: &Words, between: impl Fn(&Step) -> String, row: impl Fn(&Alternative) -> String) -> String {
    let steps = words.steps.iter().enumerate().map(|(idx, step)| {
        let rows: Vec<String> = step.alternatives.iter().map(&row).collect();
        let before = if idx == 0 { String::new() } else { between(step) };
        format!("{before}(?:{})", rows.join("|"))
    });
    steps.collect()
}

fn has_lone_chars(words: &Words) -> bool {
    let rows = words.steps.iter().flat_map(|step| &step.alternatives);
    rows.flat_map(|row| &row.words).any(|word| word.text.chars().any(stands_alone))
}

fn escaped(text: &str) -> String {
    // Before `<` and `>` a backslash would make a boundary of a word.
    let has_a_meaning = |c: char| c.is_ascii_punctuation() && !matches!(c, '<' | '>');
    let escape = |c: char| if has_a_meaning(c) { format!("\\{c}") } else { c.to_string() };
    text.chars().map(escape).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(phrase: &str, matching: &[&str], others: &[&str]) {
        let source = of_phrase(&Phrase::parse(phrase).unwrap(), Dialect::Chars);
        let regex = regex_lite::Regex::new(&source).unwrap();
        for text in matching {
            assert!(regex.is_match(text), "{phrase} in {text}: {source}");
        }
        for text in others {
            assert!(!regex.is_match(text), "{phrase} in {text}: {source}");
        }
    }

    #[test]
    fn an_expression_says_what_its_phrase_says() {
        check(
            "(ignore|set aside) ~2 instruction*",
            &["ignore instructions", "so, set  aside the old instruction.", "'ignore your instructions'"],
            &[
                "ignored instructions",
                "ignore a b c instructions",
                "ignoreinstructions",
                "signore instructions",
            ],
        );
        check("tell it", &["tell it", "\"tell it\""], &["retell it", "tell it's", "tell item"]);
        check("忽略 ~2 指令", &["请忽略一切指令"], &["忽略那里所有指令"]);
        check("\"<|im\"", &["a<|im_start"], &["<im"]);
        check("\"^system:\"", &["a\n  system: b"], &["the system: b"]);
    }
}
