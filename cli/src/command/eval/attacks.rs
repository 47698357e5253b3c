//! Whole texts that are attacks or are not, held against the rules: what is caught at each level, what is caught by
//! mistake, and by which rule.
//!
//! A row is JSON with `text`, `label` (1 attack, 0 harmless) and `channel` (user, tool, system, response or the name of a
//! channel). It is *tagged* or *blocked* if its risk reaches the built-in thresholds. Rows without a label are left out.

use std::{collections::BTreeMap, fmt::Write};

use clap::ValueEnum;
use sentinel_core::{
    Channel, Engine, Family, Sighting,
    policy::{Policy, Profile, Thresholds},
    risk_of,
};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Args, DetectorArg, lines};
use crate::{
    packs,
    report::{Fault, Report, as_json},
};

const LEVELS: [u8; 4] = [1, 2, 3, 4];

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum By {
    Source,
    Kind,
    Lang,
    Channel,
    Rule,
    /// Of the text.
    Length,
}

impl By {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Kind => "kind",
            Self::Lang => "language",
            Self::Channel => "channel",
            Self::Rule => "rule",
            Self::Length => "length",
        }
    }
}

#[derive(Deserialize)]
pub(super) struct Row {
    pub(super) text: String,
    #[serde(default)]
    pub(super) label: Option<u8>,
    #[serde(default)]
    pub(super) channel: Option<String>,
    #[serde(default)]
    pub(super) source: Option<String>,
    #[serde(default)]
    pub(super) kind: Option<String>,
    #[serde(default)]
    pub(super) lang: Option<String>,
}

/// What happened to the rows of one group, at each level.
#[derive(Clone, Default, Serialize)]
struct Count {
    attacks: usize,
    harmless: usize,
    attacks_tagged: [usize; LEVELS.len()],
    attacks_blocked: [usize; LEVELS.len()],
    harmless_tagged: [usize; LEVELS.len()],
    harmless_blocked: [usize; LEVELS.len()],
}

/// What one rule saw.
#[derive(Clone, Default, Serialize)]
struct RuleCount {
    level: u8,
    attacks: usize,
    harmless: usize,
    /// Attacks that no other rule saw.
    alone: usize,
    #[serde(skip)]
    mistakes: Vec<String>,
}

#[derive(Default)]
struct Tally {
    total: Count,
    groups: BTreeMap<String, Count>,
    rules: BTreeMap<String, RuleCount>,
    missed: Vec<String>,
    n_missed: usize,
}

pub(super) fn run(args: &Args) -> Result<Report, Fault> {
    let profile = Profile { level: 4, ..Profile::default() };
    let thresholds = profile.thresholds;
    let policy = Policy { profiles: [("default".to_owned(), profile)].into(), ..Policy::default() };
    let engine = Engine::new(policy, packs::patterns(args.packs.as_deref())?)
        .map_err(|e| Fault::Internal(format!("built-in policy: {e}")))?;
    let mut tally = Tally::default();
    let of_detector = |family: Family| match args.detector {
        DetectorArg::Topics => family == Family::Harmful,
        _ => family.is_attack(),
    };
    for rule in engine.rule_summaries().filter(|rule| of_detector(rule.family)) {
        tally.rules.insert(rule.id.to_owned(), RuleCount { level: rule.level, ..RuleCount::default() });
    }
    for (idx, line) in lines(&args.data)?.enumerate() {
        let fault = |why: String| Fault::Input(format!("{}:{}: {why}", args.data.display(), idx + 1));
        let line = line.map_err(|e| fault(e.to_string()))?;
        let row: Row = serde_json::from_str(&line).map_err(|e| fault(e.to_string()))?;
        let channel = channel(row.channel.as_deref()).map_err(fault)?;
        let Some(label) = row.label else { continue };
        let mut found = engine.sightings(channel, &row.text);
        found.retain(|sighting| of_detector(sighting.family));
        tally.add(args, thresholds, &row, label == 1, &found);
    }
    let json = json!({
        "total": as_json(&tally.total)?,
        "groups": as_json(&tally.groups)?,
        "rules": as_json(&tally.rules)?,
    });
    Ok(Report { text: tally.describe(args), json, code: 0 })
}

/// Data sets know four channels, the engine more.
pub(crate) fn channel(name: Option<&str>) -> Result<Channel, String> {
    match name {
        None | Some("user") => Ok(Channel::User),
        Some("tool") => Ok(Channel::ToolResult),
        Some("response") => Ok(Channel::Assistant),
        Some(name) => Channel::ALL
            .into_iter()
            .find(|channel| channel.name() == name)
            .ok_or_else(|| format!("there is no channel {name:?}")),
    }
}

/// Each rule counts once, as strongly as it was seen.
fn risk_at(level: u8, found: &[Sighting<'_>]) -> f32 {
    let mut strongest: BTreeMap<&str, f32> = BTreeMap::new();
    for sighting in found.iter().filter(|sighting| sighting.level <= level) {
        let score = strongest.entry(sighting.rule).or_default();
        *score = score.max(sighting.score);
    }
    risk_of(strongest.into_values())
}

impl Tally {
    fn add(
        &mut self,
        args: &Args,
        thresholds: Thresholds,
        row: &Row,
        is_attack: bool,
        found: &[Sighting<'_>],
    ) {
        let risks = LEVELS.map(|level| risk_at(level, found));
        self.total.add(is_attack, risks, thresholds);
        if let Some(group) = group(args.by, row) {
            self.groups.entry(group.to_owned()).or_default().add(is_attack, risks, thresholds);
        }
        let mut rules: Vec<&str> = found.iter().filter(|s| s.level <= args.level).map(|s| s.rule).collect();
        rules.sort_unstable();
        rules.dedup();
        for rule in &rules {
            let count = self.rules.entry((*rule).to_owned()).or_default();
            match is_attack {
                true => count.attacks += 1,
                false => count.harmless += 1,
            }
            count.alone += usize::from(is_attack && rules.len() == 1);
            if !is_attack && count.mistakes.len() < args.mistakes {
                let hits = found.iter().filter(|s| s.rule == *rule).take(1);
                count.mistakes.extend(hits.map(|s| quote(row, s)));
            }
        }
        if is_attack && rules.is_empty() {
            self.n_missed += 1;
            if self.missed.len() < args.missed {
                self.missed.push(format!("[{}] {}", about(row), shorten(&row.text)));
            }
        }
    }

    fn describe(&self, args: &Args) -> String {
        let mut text = String::new();
        let total = &self.total;
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{} attacks, {} harmless\n", total.attacks, total.harmless);
        let _ = writeln!(
            text,
            "{:<7} {:>17} {:>17} {:>17} {:>17}",
            "level", "attacks tagged", "blocked", "harmless tagged", "blocked"
        );
        for (idx, level) in LEVELS.iter().enumerate() {
            let _ = writeln!(text, "{level:<7} {}", total.line(idx));
        }
        if args.by == By::Rule {
            self.describe_rules(&mut text);
        } else {
            let idx = usize::from(args.level - 1);
            let _ = writeln!(text, "\nby {} at level {}", args.by.name(), args.level);
            for (group, count) in &self.groups {
                let _ = writeln!(
                    text,
                    "{group:<32} {}  of {}/{}",
                    count.line(idx),
                    count.attacks,
                    count.harmless
                );
            }
        }
        for (rule, count) in self.rules.iter().filter(|(_, count)| !count.mistakes.is_empty()) {
            let _ = writeln!(text, "\n{rule} in harmless texts");
            count.mistakes.iter().for_each(|mistake| {
                let _ = writeln!(text, "  {mistake}");
            });
        }
        if !self.missed.is_empty() {
            let _ =
                writeln!(text, "\nattacks that no rule up to level {} sees: {}", args.level, self.n_missed);
            self.missed.iter().for_each(|missed| {
                let _ = writeln!(text, "  {missed}");
            });
        }
        text
    }

    fn describe_rules(&self, text: &mut String) {
        let _ = writeln!(
            text,
            "\n{:<44} {:>5} {:>8} {:>8} {:>7} {:>9}",
            "rule", "level", "attacks", "harmless", "alone", "precision"
        );
        for (rule, count) in &self.rules {
            let RuleCount { level, attacks, harmless, alone, .. } = count;
            let precision = percent(*attacks, attacks + harmless);
            let _ =
                writeln!(text, "{rule:<44} {level:>5} {attacks:>8} {harmless:>8} {alone:>7} {precision:>9}");
        }
    }
}

impl Count {
    fn add(&mut self, is_attack: bool, risks: [f32; LEVELS.len()], thresholds: Thresholds) {
        let (rows, tagged, blocked) = match is_attack {
            true => (&mut self.attacks, &mut self.attacks_tagged, &mut self.attacks_blocked),
            false => (&mut self.harmless, &mut self.harmless_tagged, &mut self.harmless_blocked),
        };
        *rows += 1;
        for ((risk, tagged), blocked) in risks.iter().zip(tagged).zip(blocked) {
            *tagged += usize::from(*risk >= thresholds.tag);
            *blocked += usize::from(*risk >= thresholds.block);
        }
    }

    fn line(&self, idx: usize) -> String {
        let of =
            |counts: &[usize; LEVELS.len()], all: usize| percent(counts.get(idx).copied().unwrap_or(0), all);
        format!(
            "{:>17} {:>17} {:>17} {:>17}",
            of(&self.attacks_tagged, self.attacks),
            of(&self.attacks_blocked, self.attacks),
            of(&self.harmless_tagged, self.harmless),
            of(&self.harmless_blocked, self.harmless)
        )
    }
}

fn percent(part: usize, whole: usize) -> String {
    match whole {
        0 => "-".to_owned(),
        _ => format!("{:.2} %", part as f64 * 100.0 / whole as f64),
    }
}

fn group(by: By, row: &Row) -> Option<&str> {
    let value = match by {
        By::Source => &row.source,
        By::Kind => &row.kind,
        By::Lang => &row.lang,
        By::Channel => &row.channel,
        By::Length => return Some(length(row.text.len())),
        By::Rule => return None,
    };
    Some(value.as_deref().unwrap_or("-"))
}

pub(super) fn length(bytes: usize) -> &'static str {
    match bytes {
        ..=99 => "under 100 B",
        100..=499 => "100 to 500 B",
        500..=1999 => "500 B to 2 KB",
        2000..=7999 => "2 to 8 KB",
        _ => "8 KB and more",
    }
}

fn about(row: &Row) -> String {
    let parts = [&row.source, &row.channel, &row.lang];
    parts.iter().map(|part| part.as_deref().unwrap_or("-")).collect::<Vec<_>>().join(" ")
}

fn shorten(text: &str) -> String {
    const CHARS_MAX: usize = 400;
    text.chars().take(CHARS_MAX).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// The text around what a rule saw.
fn quote(row: &Row, sighting: &Sighting<'_>) -> String {
    const AROUND: usize = 60;
    let cut = |from: usize, to: usize| {
        let bytes = row.text.as_bytes().get(from..to.min(row.text.len())).unwrap_or_default();
        String::from_utf8_lossy(bytes).replace('\n', " ")
    };
    let (start, end) = (sighting.span.start as usize, sighting.span.end as usize);
    let (before, after) = (cut(start.saturating_sub(AROUND), start), cut(end, end + AROUND));
    format!("[{}] {before}⟦{}⟧{after}  {:.2}", about(row), cut(start, end), sighting.score)
}
