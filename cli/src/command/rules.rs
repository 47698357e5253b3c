//! `sentinel rules`: what the rules are, what one of them looks for, and whether all of them do what they say.

use std::{
    fmt::Write,
    path::{Path, PathBuf},
};

use clap::Subcommand;
use sentinel_core::{
    Engine, Family, RuleSummary, Sighting,
    policy::{Policy, Profile},
};
use sentinel_model::{
    Channel,
    source::{ContextSource, PackSource, RuleSource},
};
use serde_json::json;

use crate::{
    nearest::distance,
    packs,
    report::{Fault, Report, as_json},
};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// All rules: id, version, family, level and score.
    List(ListArgs),
    /// One rule: what it looks for, where, with examples and with texts that it leaves alone.
    Explain(ExplainArgs),
    /// Hold every rule against its own examples and twins.
    Test(TestArgs),
}

#[derive(Debug, clap::Args)]
pub(crate) struct ListArgs {
    /// Only rules of this family, such as `injection`.
    #[arg(long)]
    family: Option<String>,
    /// Only rules up to this level.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=4))]
    level: u8,
    #[command(flatten)]
    packs: PacksArg,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ExplainArgs {
    /// The id, such as `injection/ignore-instructions`.
    id: String,
    #[command(flatten)]
    packs: PacksArg,
}

#[derive(Debug, clap::Args)]
pub(crate) struct TestArgs {
    #[command(flatten)]
    packs: PacksArg,
}

#[derive(Debug, clap::Args)]
pub(crate) struct PacksArg {
    /// A folder of packs (*.yaml) instead of those that are built in.
    #[arg(long, value_name = "DIR")]
    packs: Option<PathBuf>,
}

pub(crate) fn run(command: &Command) -> Result<Report, Fault> {
    match command {
        Command::List(args) => list(args),
        Command::Explain(args) => explain(args),
        Command::Test(args) => test(args.packs.packs.as_deref()),
    }
}

/// An engine in which every rule is used.
fn engine(folder: Option<&Path>) -> Result<Engine, Fault> {
    let profile = Profile { level: 4, ..Profile::default() };
    let policy = Policy { profiles: [("default".to_owned(), profile)].into(), ..Policy::default() };
    Engine::new(policy, packs::patterns(folder)?)
        .map_err(|e| Fault::Internal(format!("built-in policy: {e}")))
}

fn list(args: &ListArgs) -> Result<Report, Fault> {
    if let Some(name) = &args.family
        && !Family::ALL.iter().any(|family| family.name() == name)
    {
        let known = Family::ALL.map(Family::name);
        return Err(Fault::Input(format!("--family: there is no family {name:?}; there are {known:?}")));
    }
    let engine = engine(args.packs.packs.as_deref())?;
    let is_wanted = |rule: &RuleSummary<'_>| {
        rule.level <= args.level && args.family.as_ref().is_none_or(|family| rule.family.name() == family)
    };
    let rules: Vec<RuleSummary<'_>> = engine.rule_summaries().filter(is_wanted).collect();
    let mut text = format!("{:<44} {:>2}  {:<11} {:>5} {:>5}\n", "rule", "v", "family", "level", "score");
    for RuleSummary { id, version, family, level, score } in &rules {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{id:<44} {version:>2}  {:<11} {level:>5} {score:>5.2}", family.name());
    }
    let _ = writeln!(text, "\n{} rules", rules.len());
    Ok(Report { text, json: json!({ "rules": as_json(&rules)? }), code: 0 })
}

fn explain(args: &ExplainArgs) -> Result<Report, Fault> {
    let folder = args.packs.packs.as_deref();
    for pack in packs::sources(folder)? {
        if let Some(rule) = pack.rules.iter().find(|rule| rule.id == args.id) {
            return Ok(explain_rule(&pack, rule));
        }
        if let Some(context) = pack.contexts.iter().find(|context| context.id == args.id) {
            return Ok(explain_context(&pack, context));
        }
    }
    let engine = engine(folder)?;
    if let Some(rule) = engine.rule_summaries().find(|rule| rule.id == args.id) {
        let RuleSummary { id, version, family, level, score } = rule;
        let text = format!(
            "{id}  version {version}\nfamily {}  level {level}  score {score:.2}\n\n\
             Found by a detector, not by phrases: see docs/rules.md.\n",
            family.name()
        );
        return Ok(Report { text, json: as_json(&rule)?, code: 0 });
    }
    let nearest = engine.rule_summaries().map(|rule| rule.id).min_by_key(|id| distance(id, &args.id));
    Err(Fault::Input(format!(
        "there is no rule {:?}; the nearest is {:?}; `sentinel rules list` shows all",
        args.id,
        nearest.unwrap_or("")
    )))
}

fn explain_rule(pack: &PackSource, rule: &RuleSource) -> Report {
    let channels: Vec<&str> = packs::channels(pack, rule).iter().copied().map(Channel::name).collect();
    let mut text = format!(
        "{}  version {}, of pack {} version {}\n{}\n\nfamily {}  level {}  score {:.2}\nchannels {}\n",
        rule.id,
        rule.version,
        pack.name,
        pack.version,
        rule.description,
        rule.family.name(),
        rule.level,
        rule.score,
        channels.join(", ")
    );
    if !rule.owasp.is_empty() {
        let _ = writeln!(text, "OWASP {}", rule.owasp.join(", "));
    }
    if !rule.atlas.is_empty() {
        let _ = writeln!(text, "ATLAS {}", rule.atlas.join(", "));
    }
    section(&mut text, "any of", &rule.any);
    section(&mut text, "only near one of", &rule.with);
    section(&mut text, "not near any of", &rule.unless);
    section(&mut text, "matches", &rule.examples);
    section(&mut text, "leaves alone", &rule.twins);
    let json = json!({
        "id": rule.id, "version": rule.version, "pack": pack.name, "family": rule.family.name(), "level": rule.level,
        "description": rule.description, "channels": channels, "owasp": rule.owasp, "atlas": rule.atlas, "any": rule.any,
        "with": rule.with, "unless": rule.unless, "examples": rule.examples, "twins": rule.twins,
    });
    Report { text, json, code: 0 }
}

fn explain_context(pack: &PackSource, context: &ContextSource) -> Report {
    let mut text = format!(
        "{}  of pack {} version {}\n{}\n\nmultiplies the score of a match by {}\n",
        context.id, pack.name, pack.version, context.description, context.factor
    );
    section(&mut text, "any of", &context.any);
    section(&mut text, "moves", &context.examples);
    section(&mut text, "does not move", &context.twins);
    let json = json!({
        "id": context.id, "pack": pack.name, "factor": context.factor, "description": context.description,
        "any": context.any, "examples": context.examples, "twins": context.twins,
    });
    Report { text, json, code: 0 }
}

fn section(text: &mut String, title: &str, lines: &[String]) {
    if !lines.is_empty() {
        let _ = write!(text, "\n{title}\n");
    }
    for line in lines {
        let _ = writeln!(text, "  {}", line.replace('\n', "\n  "));
    }
}

fn test(folder: Option<&Path>) -> Result<Report, Fault> {
    let engine = engine(folder)?;
    let packs = packs::sources(folder)?;
    let mut complaints = Vec::new();
    let (mut n_rules, mut n_texts) = (0, 0);
    for pack in &packs {
        for rule in &pack.rules {
            n_rules += 1;
            n_texts += rule.examples.len() + rule.twins.len();
            complaints.extend(test_rule(&engine, pack, rule));
        }
        for context in &pack.contexts {
            n_texts += context.examples.len() + context.twins.len();
            complaints.extend(test_context(&engine, context));
        }
    }
    let mut text = complaints.join("\n");
    let _ = write!(text, "\n{n_rules} rules, {n_texts} texts, {} complaints\n", complaints.len());
    let code = u8::from(!complaints.is_empty());
    Ok(Report { text, json: json!({ "rules": n_rules, "texts": n_texts, "complaints": complaints }), code })
}

/// Examples must match on every channel of the rule; twins may match no rule on any channel.
fn test_rule(engine: &Engine, pack: &PackSource, rule: &RuleSource) -> Vec<String> {
    let channels = packs::channels(pack, rule);
    let mut complaints = Vec::new();
    for (text, channel) in rule.examples.iter().flat_map(|text| channels.iter().map(move |c| (text, *c))) {
        if !engine.sightings(channel, text).iter().any(|sighting| sighting.rule == rule.id) {
            complaints.push(format!("{} misses {text:?} on {}", rule.id, channel.name()));
        }
    }
    for (text, channel) in rule.twins.iter().flat_map(|text| Channel::ALL.map(|channel| (text, channel))) {
        let found = phrases(engine, channel, text);
        if let Some(first) = found.first() {
            complaints.push(format!(
                "{}: {} matches its twin {text:?} on {}",
                rule.id,
                first.rule,
                channel.name()
            ));
        }
    }
    complaints
}

fn test_context(engine: &Engine, context: &ContextSource) -> Vec<String> {
    let holds = |sighting: &Sighting<'_>| sighting.contexts.contains(&context.id.as_str());
    let mut complaints = Vec::new();
    for text in &context.examples {
        let found = phrases(engine, Channel::User, text);
        if found.is_empty() {
            complaints.push(format!("{}: no rule matches its example {text:?}", context.id));
        } else if !found.iter().any(holds) {
            complaints.push(format!("{} does not hold in {text:?}", context.id));
        }
    }
    for text in &context.twins {
        let found = phrases(engine, Channel::User, text);
        if found.is_empty() {
            complaints.push(format!("{}: no rule matches its twin {text:?}", context.id));
        } else if found.iter().any(holds) {
            complaints.push(format!("{} holds in its twin {text:?}", context.id));
        }
    }
    complaints
}

/// What rules with phrases see.
fn phrases<'e>(engine: &'e Engine, channel: Channel, text: &str) -> Vec<Sighting<'e>> {
    let mut found = engine.sightings(channel, text);
    found.retain(|sighting| sighting.family.raises_risk());
    found
}
