//! The language of rules. A phrase that is accepted means the same when it is written out, and finds a text that is
//! made of its own words.

use sentinel_core::{PatternSet, scan_text};
use sentinel_model::{
    Channel, Family, Pack, Rule,
    pack::SCHEMA,
    phrase::{Phrase, Step, Words},
};

use crate::source::Source;

/// Longer texts are beyond the reach of the detector, and no rule is one.
const TEXT_BYTES_MAX: usize = 300;
const TEXT_WORDS_MAX: usize = 48;

pub fn run(data: &[u8]) {
    let (text, mut source) = Source::after_body(data);
    let Ok(text) = std::str::from_utf8(text) else { return };
    let Ok(phrase) = Phrase::parse(text) else { return };
    let said = match &phrase {
        // What cannot be looked for is refused.
        Phrase::Literal(literal) if !literal.text.contains('<') || literal.text.len() < 4 => return,
        Phrase::Literal(literal) => literal.text.clone(),
        Phrase::Words(words) => {
            let written = write(words);
            let again = Phrase::parse(&written);
            assert_eq!(again.as_ref(), Ok(&phrase), "written out: {written}");
            say(words, &mut source)
        }
    };
    if said.len() > TEXT_BYTES_MAX || said.split(' ').count() > TEXT_WORDS_MAX {
        return;
    }
    let pack = Pack {
        schema: SCHEMA.into(),
        name: "fuzz".into(),
        version: 1,
        rules: vec![rule(text)],
        contexts: Vec::new(),
    };
    let patterns = PatternSet::compile(&[pack]).expect("a phrase that is read can be compiled").into();
    let found = scan_text(&patterns, Some(Channel::User), &said);
    assert!(found.contains(&RULE.to_owned()), "{phrase:?} does not find {said:?}");
}

const RULE: &str = "injection/fuzz";

fn rule(phrase: &str) -> Rule {
    Rule {
        id: RULE.into(),
        version: 1,
        family: Family::Injection,
        level: 1,
        score: 0.9,
        channels: vec![Channel::User],
        any: vec![phrase.into()],
        with: Vec::new(),
        unless: Vec::new(),
        description: String::new(),
        owasp: Vec::new(),
        atlas: Vec::new(),
    }
}

/// A text that the phrase must find: one alternative of each step, and as many other words between as may be.
fn say(words: &Words, source: &mut Source<'_>) -> String {
    let mut said: Vec<String> = Vec::new();
    for (idx, Step { gap, alternatives }) in words.steps.iter().enumerate() {
        if idx > 0 {
            said.extend((0..source.below(usize::from(*gap) + 1)).map(|_| "zz".to_owned()));
        }
        let alternative = &alternatives[source.below(alternatives.len())];
        for word in &alternative.words {
            let more = if word.prefix && source.flag() { "zz" } else { "" };
            said.push(format!("{}{more}", word.text));
        }
    }
    said.join(" ")
}

fn write(words: &Words) -> String {
    let mut out = String::new();
    for Step { gap, alternatives } in &words.steps {
        if *gap > 0 {
            out.push_str(&format!("~{gap} "));
        }
        let alternatives: Vec<String> = alternatives
            .iter()
            .map(|alternative| {
                let word = |word: &sentinel_model::phrase::Word| {
                    format!("{}{}", word.text, if word.prefix { "*" } else { "" })
                };
                alternative.words.iter().map(word).collect::<Vec<_>>().join(" ")
            })
            .collect();
        out.push_str(&format!("({}) ", alternatives.join("|")));
    }
    out
}
