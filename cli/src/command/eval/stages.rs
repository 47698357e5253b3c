//! How well texts are told apart by the model, stage by stage, or by all that a proxy has: `--stage 1`, `2`, `3`, `full`, or
//! `asked`, where a proxy asks stage 3 about what it is not sure of.
//!
//! A row is JSON with `text`, `label` (1 attack, 0 harmless) and, if they are known, `channel`, `kind`, `lang` and `source`.
//! Rows without a label are counted and left out. Nothing of a row but its score is kept, so data may be of any size.

use std::{collections::BTreeMap, fmt::Write, sync::Arc, time::Instant};

use clap::ValueEnum;
use sentinel_core::{Action, Channel, CompactModel, Engine, Judgement, Look, policy::Policy};
use serde::Serialize;
use serde_json::json;

use super::{
    Args,
    attacks::{Row, channel, length},
    lines,
    quality::{Interval, Intervals, Quality, Ranking, Scored},
    scores::Scores,
    third::{self, Second},
};
use crate::{
    document,
    report::{Fault, Report, as_json},
};

/// Draws for the intervals.
const DRAWS: usize = 200;

/// So much is shown of a text that was judged wrongly.
const MISTAKES_BYTES: usize = 160;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Stage {
    /// The first stage of the model alone.
    #[value(name = "1")]
    First,
    /// Both stages, the second on every window.
    #[value(name = "2")]
    Second,
    /// The encoder that a collector gives second opinions with, alone.
    #[value(name = "3")]
    Third,
    /// What a proxy decides: rules, both stages as a proxy uses them, and all else that raises a risk.
    Full,
    /// The same, and a second opinion where the score is near the threshold.
    Asked,
}

/// What one text came to.
#[derive(Default)]
pub(super) struct Judged {
    pub(super) score: f64,
    pub(super) is_flagged: bool,
    pub(super) is_blocked: bool,
    pub(super) second_looks: usize,
    /// Stage 3 gave an opinion.
    pub(super) is_asked: bool,
    /// The rules that were at work, and by how much each moved the risk.
    pub(super) rules: Vec<(String, f32)>,
}

/// How a text is judged.
enum Judge {
    Model(Arc<CompactModel>, Look),
    Deep(Box<sentinel_deep::Model>),
    Engine(Box<Engine>, Option<Second>),
}

impl Judge {
    fn new(args: &Args, stage: Stage) -> Result<Self, Fault> {
        let model = document::model(args.model.as_deref())?;
        let deep = || third::model(args.deep_model.as_deref());
        Ok(match stage {
            Stage::Third => Self::Deep(Box::new(deep()?)),
            Stage::First => Self::Model(model, Look::First),
            Stage::Second => Self::Model(model, Look::All),
            Stage::Full | Stage::Asked => {
                let engine = Engine::new(Policy::default(), document::builtin_patterns()?)
                    .map_err(|e| Fault::Internal(format!("built-in policy: {e}")))?;
                let second = if stage == Stage::Asked { Some(Second::new(deep()?)) } else { None };
                Self::Engine(Box::new(engine.with_model(model)), second)
            }
        })
    }

    fn judge(&self, channel: Channel, text: &str) -> Result<Judged, Fault> {
        Ok(match self {
            Self::Deep(model) => third::judge(model, channel, text)?,
            Self::Model(model, look) => {
                let scores = model.scores(channel, text, *look);
                let logit = scores.iter().map(|score| score.logit()).fold(f32::MIN, f32::max);
                Judged {
                    score: f64::from(logit),
                    is_flagged: logit >= model.scale(channel).threshold,
                    is_blocked: false,
                    second_looks: scores.iter().filter(|score| score.both.is_some()).count(),
                    ..Judged::default()
                }
            }
            Self::Engine(engine, second) => {
                let Some(Judgement { scan, second_looks, suspicion }) =
                    engine.judge("default", channel, text)
                else {
                    return Ok(Judged::default());
                };
                let action = attack_action(&scan);
                let risk = risk(&scan);
                let has_model = scan.findings.iter().any(|finding| finding.rule.ends_with("/model"));
                // So that texts without a finding are told apart, too.
                let score = if has_model { risk } else { risk + (1.0 - risk) * suspicion };
                let judged = Judged {
                    score: f64::from(score),
                    is_flagged: action >= Action::Tag,
                    is_blocked: action >= Action::Block,
                    second_looks: second_looks as usize,
                    is_asked: false,
                    rules: scan
                        .findings
                        .iter()
                        .map(|finding| (finding.rule.clone(), finding.moved))
                        .collect(),
                };
                match second {
                    Some(second) => second.ask(judged, channel, text)?,
                    None => judged,
                }
            }
        })
    }
}

/// The risk that attacks make; personal data and keys are no attack.
fn risk(scan: &sentinel_core::Scan) -> f32 {
    let mut by_channel: BTreeMap<Channel, f32> = BTreeMap::new();
    for finding in &scan.findings {
        *by_channel.entry(finding.channel).or_default() += finding.moved;
    }
    by_channel.into_values().fold(0.0, f32::max)
}

fn attack_action(scan: &sentinel_core::Scan) -> Action {
    let thresholds = sentinel_core::policy::Profile::default().thresholds;
    match risk(scan) {
        risk if risk >= thresholds.block => Action::Block,
        risk if risk >= thresholds.tag => Action::Tag,
        _ => Action::Allow,
    }
}

#[derive(Serialize)]
struct Group {
    #[serde(flatten)]
    quality: Quality,
    blocked_attacks: usize,
    blocked_harmless: usize,
}

#[derive(Serialize)]
struct Cost {
    mean_micros: f64,
    p99_micros: f64,
    harmless_mean_micros: f64,
    /// Of all rows.
    second_stage_rows: f64,
    second_stage_harmless_rows: f64,
    asked_rows: f64,
}

#[derive(Default)]
struct Tally {
    rows: Vec<Kept>,
    unlabelled: usize,
    missed: Vec<String>,
    mistaken: Vec<String>,
}

/// What is kept of a row.
struct Kept {
    scored: Scored,
    is_blocked: bool,
    second_looks: usize,
    is_asked: bool,
    micros: f64,
    groups: [u32; BREAKDOWNS.len()],
}

/// What the figures are broken down by.
const BREAKDOWNS: [&str; 5] = ["source", "kind", "channel", "language", "length"];

pub(super) fn run(args: &Args, stage: Stage) -> Result<Report, Fault> {
    let judge = Judge::new(args, stage)?;
    let mut tally = Tally::default();
    let mut scores = args.scores.as_deref().map(Scores::create).transpose()?;
    let mut names = Names::default();
    for (idx, line) in lines(&args.data)?.enumerate().step_by(args.every.get()) {
        let fault = |why: String| Fault::Input(format!("{}:{}: {why}", args.data.display(), idx + 1));
        let line = line.map_err(|e| fault(e.to_string()))?;
        if line.trim().is_empty() {
            continue;
        }
        let row: Row = serde_json::from_str(&line).map_err(|e| fault(e.to_string()))?;
        let channel = channel(row.channel.as_deref()).map_err(fault)?;
        let Some(judged) = tally.add(args, &judge, &mut names, &row, channel)? else { continue };
        if let Some(scores) = &mut scores {
            scores.add(idx + 1, row.label.is_some_and(|label| label != 0), &judged)?;
        }
    }
    scores.map_or(Ok(()), Scores::end)?;
    let ranking = Ranking::new(tally.rows.iter().map(|row| row.scored));
    let (quality, intervals) = (ranking.quality(), ranking.intervals(DRAWS));
    let cost = tally.cost();
    let mut breakdowns: BTreeMap<&str, BTreeMap<&str, Group>> = BTreeMap::new();
    for (idx, breakdown) in BREAKDOWNS.iter().enumerate() {
        breakdowns.insert(breakdown, tally.groups(idx, &names));
    }
    let json = json!({
        "stage": stage.to_possible_value().map(|value| value.get_name().to_owned()),
        "rows": tally.rows.len(),
        "unlabelled": tally.unlabelled,
        "overall": as_json(&quality)?,
        "intervals": as_json(&intervals)?,
        "cost": as_json(&cost)?,
        "by": as_json(&breakdowns)?,
    });
    let by = breakdowns.get(args.by.name()).map(|groups| (args.by.name(), groups));
    Ok(Report { text: describe(&tally, &quality, &intervals, &cost, by), json, code: 0 })
}

/// Names of groups, each by a number.
#[derive(Default)]
struct Names {
    numbers: BTreeMap<String, u32>,
    list: Vec<String>,
}

impl Names {
    fn number(&mut self, name: &str) -> u32 {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        let number = self.list.len() as u32;
        self.numbers.insert(name.to_owned(), number);
        self.list.push(name.to_owned());
        number
    }
}

impl Tally {
    fn add(
        &mut self,
        args: &Args,
        judge: &Judge,
        names: &mut Names,
        row: &Row,
        channel: Channel,
    ) -> Result<Option<Judged>, Fault> {
        let Some(label) = row.label else {
            self.unlabelled += 1;
            return Ok(None);
        };
        let start = Instant::now();
        let judged = judge.judge(channel, &row.text)?;
        let micros = start.elapsed().as_secs_f64() * 1e6;
        let is_attack = label != 0;
        let known = |name: &Option<String>| name.clone().unwrap_or_else(|| "unknown".to_owned());
        let groups = [
            known(&row.source),
            known(&row.kind),
            row.channel.clone().unwrap_or_else(|| "user".to_owned()),
            known(&row.lang),
            length(row.text.len()).to_owned(),
        ];
        let (list, wanted) = match is_attack {
            true => (&mut self.missed, args.missed),
            false => (&mut self.mistaken, args.mistakes),
        };
        if judged.is_flagged != is_attack && list.len() < wanted {
            let cut = row.text.get(..row.text.floor_char_boundary(MISTAKES_BYTES)).unwrap_or("");
            list.push(format!("{:.3} {} {}", judged.score, known(&row.source), cut.replace('\n', " ")));
        }
        self.rows.push(Kept {
            scored: Scored { score: judged.score, is_attack, is_flagged: judged.is_flagged },
            is_blocked: judged.is_blocked,
            second_looks: judged.second_looks,
            is_asked: judged.is_asked,
            micros,
            groups: groups.map(|name| names.number(&name)),
        });
        Ok(Some(judged))
    }

    fn groups<'n>(&self, breakdown: usize, names: &'n Names) -> BTreeMap<&'n str, Group> {
        let mut rows: BTreeMap<&str, Vec<&Kept>> = BTreeMap::new();
        for row in &self.rows {
            let number = row.groups.get(breakdown).copied().unwrap_or(0);
            let name = names.list.get(number as usize).map_or("", String::as_str);
            rows.entry(name).or_default().push(row);
        }
        let group = |rows: Vec<&Kept>| {
            let blocked = |is_attack: bool| {
                rows.iter().filter(|row| row.is_blocked && row.scored.is_attack == is_attack).count()
            };
            Group {
                quality: Ranking::new(rows.iter().map(|row| row.scored)).quality(),
                blocked_attacks: blocked(true),
                blocked_harmless: blocked(false),
            }
        };
        rows.into_iter().map(|(name, rows)| (name, group(rows))).collect()
    }

    fn cost(&self) -> Cost {
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len().max(1) as f64;
        let mut all: Vec<f64> = self.rows.iter().map(|row| row.micros).collect();
        all.sort_by(f64::total_cmp);
        let is_harmless = |row: &&Kept| !row.scored.is_attack;
        let harmless: Vec<f64> = self.rows.iter().filter(is_harmless).map(|row| row.micros).collect();
        let looked = |rows: Vec<&Kept>| {
            rows.iter().filter(|row| row.second_looks > 0).count() as f64 / rows.len().max(1) as f64
        };
        Cost {
            mean_micros: mean(&all),
            p99_micros: all.get(all.len() * 99 / 100).copied().unwrap_or(0.0),
            harmless_mean_micros: mean(&harmless),
            second_stage_rows: looked(self.rows.iter().collect()),
            second_stage_harmless_rows: looked(self.rows.iter().filter(is_harmless).collect()),
            asked_rows: self.rows.iter().filter(|row| row.is_asked).count() as f64
                / self.rows.len().max(1) as f64,
        }
    }
}

fn percent(share: Option<f64>) -> String {
    share.map_or_else(|| "-".to_owned(), |share| format!("{:.2} %", share * 100.0))
}

fn describe(
    tally: &Tally,
    quality: &Quality,
    intervals: &Intervals,
    cost: &Cost,
    by: Option<(&str, &BTreeMap<&str, Group>)>,
) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let mut line = |name: &str, value: Option<f64>, interval: Option<Interval>| {
        let around = interval.map_or_else(String::new, |Interval { low, high }| {
            format!("{} to {}", percent(Some(low)), percent(Some(high)))
        });
        let _ = writeln!(text, "{name:<28} {:>10}   {around}", percent(value));
    };
    line("area under the curve", quality.auc, intervals.auc);
    line("average precision", quality.average_precision, intervals.average_precision);
    line("recall at 1 % false alarms", quality.recall_at_1_percent, intervals.recall_at_1_percent);
    line("recall at 0.1 %", quality.recall_at_0_1_percent, intervals.recall_at_0_1_percent);
    line("recall as shipped", quality.recall, intervals.recall);
    line("false alarms as shipped", quality.false_positives, intervals.false_positives);
    line("accuracy as shipped", quality.accuracy, None);
    let _ = writeln!(
        text,
        "\n{} rows, {} attacks and {} harmless; {} without a label left out",
        tally.rows.len(),
        quality.attacks,
        quality.harmless,
        tally.unlabelled
    );
    let _ = writeln!(
        text,
        "{:.0} us a row, p99 {:.0} us; stage 2 looked at {} of the rows, {} of the harmless",
        cost.mean_micros,
        cost.p99_micros,
        percent(Some(cost.second_stage_rows)),
        percent(Some(cost.second_stage_harmless_rows))
    );
    if cost.asked_rows > 0.0 {
        let _ = writeln!(text, "stage 3 looked at {} of the rows", percent(Some(cost.asked_rows)));
    }
    if let Some((name, groups)) = by {
        let _ = writeln!(
            text,
            "\n{name:<40} {:>8} {:>9} {:>9} {:>9} {:>9} {:>9}",
            "attacks", "harmless", "recall", "blocked", "alarms", "blocked"
        );
        for (group, Group { quality, blocked_attacks, blocked_harmless }) in groups {
            let share = |part: usize, whole: usize| percent((whole > 0).then(|| part as f64 / whole as f64));
            let _ = writeln!(
                text,
                "{group:<40} {:>8} {:>9} {:>9} {:>9} {:>9} {:>9}",
                quality.attacks,
                quality.harmless,
                percent(quality.recall),
                share(*blocked_attacks, quality.attacks),
                percent(quality.false_positives),
                share(*blocked_harmless, quality.harmless)
            );
        }
    }
    for (what, list) in [("missed", &tally.missed), ("mistaken", &tally.mistaken)] {
        if !list.is_empty() {
            let _ = writeln!(text, "\n{what}");
            list.iter().for_each(|row| {
                let _ = writeln!(text, "  {row}");
            });
        }
    }
    text
}
