//! The rules of the built-in packs, as far as they judge what a user says, with their phrases taken apart.

use sentinel_core::builtin_packs;
use sentinel_model::{Channel, Pack, phrase::Phrase, rarity::Rarity};

pub(crate) const CHANNEL: Channel = Channel::User;

pub(crate) struct Rule {
    pub(crate) id: String,
    pub(crate) phrases: Vec<Phrase>,
    /// A match is not all that it asks for.
    pub(crate) has_conditions: bool,
}

/// Packs with nothing but these rules, and the rules.
pub(crate) fn all() -> (Vec<Pack>, Vec<Rule>) {
    let mut packs = builtin_packs().expect("built-in packs");
    for pack in &mut packs {
        pack.rules.retain(|rule| rule.channels.contains(&CHANNEL));
    }
    let rules = packs.iter().flat_map(|pack| &pack.rules).map(|rule| Rule {
        id: rule.id.clone(),
        phrases: rule.any.iter().map(|source| Phrase::parse(source).expect("a phrase")).collect(),
        has_conditions: !rule.with.is_empty() || !rule.unless.is_empty(),
    });
    let rules = rules.collect();
    (packs, rules)
}

/// What the literal pass looks for: literals and the rarest words of anchor steps, each once.
pub(crate) fn anchors(rules: &[Rule]) -> Vec<String> {
    let rarity = Rarity::default();
    let phrases = rules.iter().flat_map(|rule| &rule.phrases);
    let mut anchors: Vec<String> = phrases.flat_map(|phrase| of_phrase(phrase, &rarity)).collect();
    anchors.sort_unstable();
    anchors.dedup();
    anchors
}

fn of_phrase(phrase: &Phrase, rarity: &Rarity) -> Vec<String> {
    match phrase {
        Phrase::Literal(literal) => vec![literal.text.clone()],
        Phrase::Words(words) => {
            let alternatives = &words.steps[rarity.anchor(words)].alternatives;
            alternatives.iter().map(|row| row.words[rarity.anchor_word(row)].text.clone()).collect()
        }
    }
}
