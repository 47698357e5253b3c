//! Reading what users write: policies as YAML or JSON, with every error that can be told apart, each with its file, line,
//! column, field and reason.
//!
//! The types decide what is a policy. Only where they refuse a document is it held against their schema, which finds
//! all places at once, and what is left is checked as if they were not there.

mod problem;
mod shape;
mod tree;

pub(crate) use problem::Problem;
pub(crate) use tree::Node;

use std::{fs, path::Path, sync::Arc};

use sentinel_core::{
    CompactModel, Engine, Family, PatternSet,
    config::PluginConfig,
    policy::{DEFAULT_PROFILE, DETECTORS, Policy, PolicyError},
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

use self::tree::{Content, Place};
use crate::{nearest::nearest, report::Fault};

/// A document that is right, and what it is made into.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) engine: Engine,
    pub(crate) document: Node,
    /// Where the policy stands in the document: `policy.` in a plugin configuration.
    pub(crate) prefix: &'static str,
}

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Policy,
    /// A whole plugin configuration, as it stands in a proxy's configuration.
    Plugin,
}

pub(crate) fn builtin_patterns() -> Result<Arc<PatternSet>, Fault> {
    PatternSet::builtin().map(Arc::new).map_err(|e| Fault::Internal(format!("built-in rule packs: {e}")))
}

/// The model of a file, or the one that is built in.
pub(crate) fn model(path: Option<&Path>) -> Result<Arc<CompactModel>, Fault> {
    let Some(path) = path else {
        let model = CompactModel::builtin().map_err(|e| Fault::Internal(format!("built-in model: {e}")))?;
        return Ok(Arc::new(model));
    };
    let bytes = fs::read(path).map_err(|e| Fault::Input(format!("{}: {e}", path.display())))?;
    let model = CompactModel::open_shared(bytes.into());
    model.map(Arc::new).map_err(|e| Fault::Input(format!("{}: {e}", path.display())))
}

/// The encoder of a file, or the one that is built in.
pub(crate) fn deep_model(path: Option<&Path>) -> Result<sentinel_deep::Model, Fault> {
    let Some(path) = path else {
        return sentinel_deep::Model::open(sentinel_deep::BUILTIN)
            .map_err(|e| Fault::Internal(format!("built-in encoder: {e}")));
    };
    let file = fs::read(path).map_err(|e| Fault::Input(format!("{}: {e}", path.display())))?;
    sentinel_deep::Model::open(&file).map_err(|e| Fault::Input(format!("{}: {e}", path.display())))
}

/// A policy that types and engine accept, or the built-in one.
pub(crate) fn engine(policy: Option<&Path>) -> Result<Engine, Fault> {
    match policy {
        Some(path) => Ok(load(path, Kind::Policy)?.engine),
        None => builtin_engine(builtin_patterns()?)?.with_builtin_model(),
    }
}

/// The engine that a file makes, or everything that is wrong with it, a line each.
pub(crate) fn load(path: &Path, kind: Kind) -> Result<Loaded, Fault> {
    load_with(path, kind, builtin_patterns()?)
}

/// The same with other rules than those that are built in.
pub(crate) fn load_with(path: &Path, kind: Kind, patterns: Arc<PatternSet>) -> Result<Loaded, Fault> {
    let text = read_text(path)?;
    read_with(&text, kind, patterns)?.map_err(|problems| {
        let lines: Vec<String> = problems.iter().map(|problem| problem.line(path, "")).collect();
        Fault::Input(lines.join("\n"))
    })
}

/// The same of a text, with the problems as they are.
pub(crate) fn read(text: &str, kind: Kind) -> Result<Result<Loaded, Vec<Problem>>, Fault> {
    read_with(text, kind, builtin_patterns()?)
}

fn read_with(
    text: &str,
    kind: Kind,
    patterns: Arc<PatternSet>,
) -> Result<Result<Loaded, Vec<Problem>>, Fault> {
    let rules = builtin_engine(Arc::clone(&patterns))?;
    let rules: Vec<String> = rules.rule_summaries().map(|rule| rule.id.into()).collect();
    let document: Node = match parse(text) {
        Ok(document) => document,
        Err(problem) => return Ok(Err(vec![problem])),
    };
    let reader = Reader { text, kind, rules, document: &document };
    Ok(match reader.policy().and_then(|policy| reader.engine(policy, patterns)) {
        Ok(engine) => Ok(Loaded { engine: engine.with_builtin_model()?, prefix: kind.prefix(), document }),
        Err(mut problems) => {
            problems.sort_by_key(|problem| problem.at);
            problems.dedup();
            Err(problems)
        }
    })
}

pub(crate) fn read_text(path: &Path) -> Result<String, Fault> {
    fs::read_to_string(path).map_err(|e| Fault::Input(format!("{}: {e}", path.display())))
}

/// The JSON Schema of a document, made from the types.
pub(crate) fn schema(kind: Kind) -> Value {
    let mut schema = match kind {
        Kind::Policy => schemars::schema_for!(Policy).to_value(),
        Kind::Plugin => schemars::schema_for!(PluginConfig).to_value(),
    };
    shorten_numbers(&mut schema);
    schema
}

/// A 32-bit number that became a 64-bit one has grown digits that nobody wrote.
fn shorten_numbers(value: &mut Value) {
    match value {
        Value::Number(number) if number.is_f64() => {
            let short = number.as_f64().and_then(|long| (long as f32).to_string().parse().ok());
            if let Some(short) = short.and_then(serde_json::Number::from_f64) {
                *number = short;
            }
        }
        Value::Array(items) => items.iter_mut().for_each(shorten_numbers),
        Value::Object(members) => members.values_mut().for_each(shorten_numbers),
        _ => {}
    }
}

trait WithModel: Sized {
    fn with_builtin_model(self) -> Result<Self, Fault>;
}

impl WithModel for Engine {
    fn with_builtin_model(self) -> Result<Self, Fault> {
        Ok(self.with_model(model(None)?))
    }
}

fn builtin_engine(patterns: Arc<PatternSet>) -> Result<Engine, Fault> {
    Engine::new(Policy::default(), patterns).map_err(|e| Fault::Internal(format!("built-in policy: {e}")))
}

impl Kind {
    const fn prefix(self) -> &'static str {
        match self {
            Self::Policy => "",
            Self::Plugin => "policy.",
        }
    }
}

struct Reader<'a> {
    text: &'a str,
    kind: Kind,
    rules: Vec<String>,
    document: &'a Node,
}

impl Reader<'_> {
    /// The policy that the types read.
    fn policy(&self) -> Result<Policy, Vec<Problem>> {
        let refused = match self.kind {
            Kind::Policy => match parse(self.text) {
                Ok(policy) => return Ok(policy),
                Err(problem) => problem,
            },
            Kind::Plugin => match parse::<PluginConfig>(self.text).and_then(|config| as_proxy_reads(&config))
            {
                Ok(config) => return Ok(config.effective_policy()),
                Err(problem) => problem,
            },
        };
        let mut problems = shape::problems(self.document, &schema(self.kind));
        let mut rest = self.document.clone();
        for at in problems.iter().filter_map(|problem| problem.at) {
            without(&mut rest, at);
        }
        let rest = rest.to_json();
        let rest = match self.kind {
            Kind::Policy => Some(&rest),
            Kind::Plugin => rest.get("policy"),
        };
        // Beside what the form shows; where it is not enough left to be a policy, the form has to do.
        if let Some(policy) = rest.and_then(|rest| Policy::deserialize(rest).ok())
            && !problems.is_empty()
        {
            problems.extend(self.complaints(&policy));
        }
        Err(if problems.is_empty() { vec![refused] } else { problems })
    }

    fn engine(&self, policy: Policy, patterns: Arc<PatternSet>) -> Result<Engine, Vec<Problem>> {
        let complaints = self.complaints(&policy);
        if !complaints.is_empty() {
            return Err(complaints);
        }
        Engine::new(policy.clone(), patterns).map_err(|error| vec![self.problem(&policy, error)])
    }

    fn complaints(&self, policy: &Policy) -> Vec<Problem> {
        let own = policy.patterns.iter().map(|rule| rule.id.as_str());
        let rules = self.rules.iter().map(String::as_str).chain(own);
        policy.complaints(rules).into_iter().map(|error| self.problem(policy, error)).collect()
    }

    fn problem(&self, policy: &Policy, PolicyError { field, reason }: PolicyError) -> Problem {
        let field = format!("{}{field}", self.kind.prefix());
        let found = self.document.find(&field);
        let written = named(&field).or_else(|| found.node.text().filter(|_| found.is_whole));
        let nearest = written.and_then(|written| self.nearest(policy, &field, written)).map(String::from);
        // A value that is wrong is pointed at; a name that is wrong is a key.
        let is_value = found.is_whole && found.node.is_plain() && named(&field).is_none();
        let at = if is_value { found.node.at } else { found.at };
        Problem { at: Some(at), field, reason, nearest }
    }

    /// What was meant by a name that does not exist, by the field that it stands in.
    fn nearest<'a>(&'a self, policy: &'a Policy, field: &str, written: &str) -> Option<&'a str> {
        let part = |name: &str| field.contains(&format!(".{name}")) || field.starts_with(name);
        let routes = || policy.routes.iter().map(|route| route.name.as_str());
        let profiles = || policy.profiles.keys().map(String::as_str).chain([DEFAULT_PROFILE]);
        if named(field).is_some() || part("exemptions") && part("rules") {
            let families = Family::ALL.iter().map(|family| family.name());
            let detectors = DETECTORS.iter().map(|(name, _)| *name);
            let own = policy.patterns.iter().map(|rule| rule.id.as_str());
            let rules = self.rules.iter().map(String::as_str).chain(own);
            return nearest(rules.chain(families).chain(detectors), written);
        }
        if part("exemptions") && part("routes") {
            return nearest(routes(), written);
        }
        let is_profile =
            part("tenants") && (part("profiles") || part("unknown")) || field.ends_with(".profile");
        is_profile.then(|| nearest(profiles(), written)).flatten()
    }
}

/// The name of a rule that is the last part of a field: `pii/card` of `profiles.default.rules.pii/card`.
fn named(field: &str) -> Option<&str> {
    let behind =
        |part: &str| field.rsplit_once(part).map(|(_, name)| name).filter(|name| !name.contains('['));
    behind(".rules.").or_else(|| behind(".masks."))
}

/// The proxy reads JSON and checks more than the types say; let exactly that code decide.
fn as_proxy_reads(config: &PluginConfig) -> Result<PluginConfig, Problem> {
    let whole = |reason: String| Problem { at: None, field: String::new(), reason, nearest: None };
    let json = serde_json::to_vec(config).map_err(|e| whole(e.to_string()))?;
    PluginConfig::parse(&json).map_err(|e| whole(e.to_string()))
}

/// Takes the entry out of a document that stands at a place, or in which it stands. Whether there was one.
fn without(node: &mut Node, at: Place) -> bool {
    match &mut node.content {
        Content::Map(entries) => {
            let before = entries.len();
            entries.retain(|entry| {
                let is_it = entry.at == at || entry.value.at == at && !holds(&entry.value, at);
                !is_it && !(is_item(&entry.value, at))
            });
            entries.len() < before || entries.iter_mut().any(|entry| without(&mut entry.value, at))
        }
        Content::List(items) => items.iter_mut().any(|item| without(item, at)),
        _ => false,
    }
}

/// An entry of a map begins where the map itself does.
fn holds(node: &Node, at: Place) -> bool {
    matches!(&node.content, Content::Map(entries) if entries.iter().any(|entry| entry.at == at))
}

/// An item that is wrong as a whole takes its list with it.
fn is_item(node: &Node, at: Place) -> bool {
    matches!(&node.content, Content::List(items) if items.iter().any(|item| item.at == at && !holds(item, at)))
}

/// YAML 1.2 contains JSON, so one reader serves both.
pub(crate) fn parse<T: DeserializeOwned>(text: &str) -> Result<T, Problem> {
    serde_saphyr::from_str(text).map_err(|error| Problem {
        at: error.location().map(|at| Place::from(&at)),
        field: String::new(),
        reason: first_line(&error.to_string()).into(),
        nearest: None,
    })
}

/// The parser repeats the place in words and draws it; file, line and column stand in front already.
fn first_line(message: &str) -> &str {
    let line = message.lines().find(|line| !line.trim().is_empty()).unwrap_or(message).trim();
    match line.strip_prefix("error: line ").and_then(|rest| rest.split_once(": ")) {
        Some((_, reason)) => reason,
        None => line,
    }
}
