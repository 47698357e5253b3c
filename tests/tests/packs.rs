//! The rule packs against their own words: every example matches its rule, no twin matches any rule.
#![expect(clippy::unwrap_used, reason = "a test's panic is its report, also in the helpers that tests share")]

use std::{
    fs,
    path::PathBuf,
    sync::{Arc, OnceLock},
};

use sentinel_core::{
    Engine, PatternSet, builtin_packs,
    policy::{Policy, Profile},
    scan_text,
};
use sentinel_model::{
    Channel, Family, pack,
    source::{PackSource, RuleSource},
};

fn packs() -> Vec<(PathBuf, PackSource)> {
    let folder = sentinel_tests::folder().join("../model/patterns");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> =
        files.filter(|path| path.extension().is_some_and(|ext| ext == "yaml")).collect();
    files.sort();
    let read = |path: PathBuf| {
        let source = PackSource::read(&fs::read_to_string(&path).unwrap()).unwrap();
        (path, source)
    };
    files.into_iter().map(read).collect()
}

fn patterns() -> &'static Arc<PatternSet> {
    static PATTERNS: OnceLock<Arc<PatternSet>> = OnceLock::new();
    PATTERNS.get_or_init(|| PatternSet::builtin().unwrap().into())
}

/// Calls `check` for every rule with the channels that it judges, and lists what it complains about.
#[track_caller]
fn for_every_rule(check: impl Fn(&RuleSource, &[Channel]) -> Vec<String>) {
    let packs = packs();
    let complaints: Vec<String> = packs
        .iter()
        .flat_map(|(_, pack)| {
            pack.rules.iter().map(|rule| (rule, rule.channels.as_ref().unwrap_or(&pack.channels)))
        })
        .flat_map(|(rule, channels)| check(rule, channels))
        .collect();
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

#[test]
fn every_example_matches_its_rule_on_every_channel() {
    for_every_rule(|rule, channels| {
        let pairs =
            rule.examples.iter().flat_map(|text| channels.iter().map(move |channel| (text, *channel)));
        let missed =
            pairs.filter(|(text, channel)| !scan_text(patterns(), Some(*channel), text).contains(&rule.id));
        missed.map(|(text, channel)| format!("{} misses {text:?} on {}", rule.id, channel.name())).collect()
    });
}

#[test]
fn no_twin_matches_any_rule_on_any_channel() {
    for_every_rule(|rule, _| {
        let pairs = rule.twins.iter().flat_map(|text| Channel::ALL.map(|channel| (text, channel)));
        let scanned =
            pairs.map(|(text, channel)| (text, channel, scan_text(patterns(), Some(channel), text)));
        let matched = scanned.filter(|(.., found)| !found.is_empty());
        matched
            .map(|(text, channel, found)| {
                format!("twin of {}: {text:?} matches {found:?} on {}", rule.id, channel.name())
            })
            .collect()
    });
}

#[test]
fn a_rule_is_silent_on_the_channels_that_it_does_not_judge() {
    for_every_rule(|rule, channels| {
        let others = Channel::ALL.into_iter().filter(|channel| !channels.contains(channel));
        let pairs = others.flat_map(|channel| rule.examples.iter().map(move |text| (text, channel)));
        let matched =
            pairs.filter(|(text, channel)| scan_text(patterns(), Some(*channel), text).contains(&rule.id));
        matched.map(|(text, channel)| format!("{} judges {text:?} on {}", rule.id, channel.name())).collect()
    });
}

#[test]
fn contexts_hold_in_their_examples_and_not_in_their_twins() {
    let profile = Profile { level: 4, ..Profile::default() };
    let policy = Policy { profiles: [("default".into(), profile)].into(), ..Policy::default() };
    let engine = Engine::new(policy, PatternSet::builtin().unwrap().into()).unwrap();
    let check = |id: &str, text: &str, holds: bool| {
        let mut found = engine.sightings(Channel::User, text);
        found.retain(|sighting| sighting.family.raises_risk());
        assert!(!found.is_empty(), "{id}: no rule matches {text:?}");
        let is_seen = found.iter().any(|sighting| sighting.contexts.contains(&id));
        assert_eq!(is_seen, holds, "{id} in {text:?}");
    };
    let contexts: Vec<_> = packs().into_iter().flat_map(|(_, pack)| pack.contexts).collect();
    assert!(!contexts.is_empty());
    for context in contexts {
        context.examples.iter().for_each(|text| check(&context.id, text, true));
        context.twins.iter().for_each(|text| check(&context.id, text, false));
    }
}

/// The tests above would pass for a folder that is empty.
#[test]
fn the_sources_are_what_is_built_in() {
    let source: Vec<pack::Pack> = packs().into_iter().map(|(_, pack)| pack.into_artefact()).collect();
    let built_in = builtin_packs().unwrap();
    assert_eq!(source, built_in);
    assert!(built_in.iter().map(|pack| pack.rules.len()).sum::<usize>() >= 250);
    // What is out of sight is found by a detector: no phrase can say it.
    let in_packs = |family: &Family| family.is_attack() && *family != Family::Obfuscation;
    for family in Family::ALL.into_iter().filter(in_packs) {
        let any = built_in.iter().flat_map(|pack| &pack.rules).any(|rule| rule.family == family);
        assert!(any, "no rule of family {}", family.name());
    }
}

/// `docs/rule-list.md`, made of the packs.
fn rule_list() -> String {
    let packs: Vec<PackSource> = packs().into_iter().map(|(_, pack)| pack).collect();
    let n_rules: usize = packs.iter().map(|pack| pack.rules.len()).sum();
    let mut list = format!(
        "# The rules of the packs\n\nMade of `model/patterns` by a test; `{WRITE}=1 cargo test -p sentinel-tests --test packs` \
         writes it anew.\nWhat the columns mean is in [rules.md](rules.md). {n_rules} rules.\n"
    );
    for pack in packs.iter().filter(|pack| !pack.rules.is_empty()) {
        let usual: Vec<&str> = pack.channels.iter().map(|channel| channel.name()).collect();
        list += &format!(
            "\n## {}, version {}\n\nChannels, unless a row names others: {}.\n\n\
             | rule | version | level | score | OWASP LLM Top 10 | MITRE ATLAS | what it means |\n|---|---|---|---|---|---|---|\n",
            pack.name,
            pack.version,
            usual.join(", ")
        );
        for rule in &pack.rules {
            let names =
                |channels: &Vec<Channel>| channels.iter().map(|channel| channel.name()).collect::<Vec<_>>();
            let channels = rule.channels.as_ref().map(|list| format!(" *{}*", names(list).join(", ")));
            list += &format!(
                "| `{}` | {} | {} | {:.2} | {} | {} | {}{} |\n",
                rule.id,
                rule.version,
                rule.level,
                rule.score,
                rule.owasp.join(", "),
                rule.atlas.join(", "),
                rule.description.replace('|', "\\|"),
                channels.unwrap_or_default()
            );
        }
    }
    list
}

const WRITE: &str = "SENTINEL_WRITE_DOCS";

#[test]
fn the_list_of_rules_is_current() {
    let path = sentinel_tests::folder().join("../docs/rule-list.md");
    let list = rule_list();
    if std::env::var_os(WRITE).is_some() {
        fs::write(&path, &list).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(written == list, "docs/rule-list.md is not current; run the tests of packs once with {WRITE}=1");
}
