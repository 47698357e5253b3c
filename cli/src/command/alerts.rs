//! `sentinel alerts`: what fires at a collector, taking it on, silencing it; and whether a file of alerts is right.

pub(super) mod file;

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};

use crate::{
    collector::{self, Collector},
    report::{Fault, Report},
};

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// List alerts, newest first.
    List(ListArgs),
    /// Take an alert on: it is not repeated, and its end is still told.
    Acknowledge(AcknowledgeArgs),
    /// Tell nobody about a rule, or about a group, for a while.
    Silence(SilenceArgs),
    /// Send a test to a sink, and say what came of it. Exits with 1 if it was not delivered.
    Test(TestArgs),
    /// Check a file of alerts and show what it comes to. Variables that it names have to be set.
    Check {
        /// YAML or JSON.
        file: PathBuf,
    },
    /// List what was sent to whom, newest first.
    Deliveries(DeliveriesArgs),
}

#[derive(Debug, clap::Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    collector: collector::Args,
    /// firing, acknowledged, silenced or resolved.
    #[arg(long)]
    state: Option<String>,
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=1000))]
    limit: u16,
}

#[derive(Debug, clap::Args)]
pub(crate) struct AcknowledgeArgs {
    #[command(flatten)]
    collector: collector::Args,
    /// Its number.
    id: u64,
}

#[derive(Debug, clap::Args)]
pub(crate) struct SilenceArgs {
    #[command(flatten)]
    collector: collector::Args,
    /// The rule that is not to be told.
    #[arg(long, required_unless_present = "group")]
    rule: Option<String>,
    /// What its group has to say, such as route=chat; may be given several times.
    #[arg(long = "group", value_name = "NAME=VALUE", value_parser = pair)]
    group: Vec<(String, String)>,
    /// For how long.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=129_600))]
    minutes: u32,
    #[arg(long)]
    reason: String,
}

#[derive(Debug, clap::Args)]
pub(crate) struct TestArgs {
    #[command(flatten)]
    collector: collector::Args,
    /// Its name, as it stands in the file.
    sink: String,
}

#[derive(Debug, clap::Args)]
pub(crate) struct DeliveriesArgs {
    #[command(flatten)]
    collector: collector::Args,
    /// Of this alert only.
    #[arg(long)]
    alert: Option<u64>,
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=1000))]
    limit: u16,
}

pub(crate) fn run(command: &Command) -> Result<Report, Fault> {
    match command {
        Command::List(args) => list(args),
        Command::Acknowledge(args) => {
            let path = format!("/v1/alerts/{}/acknowledge", args.id);
            let answer = Collector::new(&args.collector)?.post_json(&path, &json!({}))?;
            let text = answer.get("alert").map(alert_line).unwrap_or_default();
            Ok(collector::report(text, answer))
        }
        Command::Silence(args) => silence(args),
        Command::Test(args) => test(args),
        Command::Check { file } => {
            let json = file::read(file)?.describe();
            Ok(Report { text: in_force(&json), json, code: 0 })
        }
        Command::Deliveries(args) => deliveries(args),
    }
}

fn list(args: &ListArgs) -> Result<Report, Fault> {
    let state = match args.state.as_deref() {
        // What the collector knows are words; what is none would change the question.
        Some(state) if state.bytes().all(|b| b.is_ascii_lowercase()) => format!("&state={state}"),
        Some(state) => return Err(Fault::Input(format!("{state:?} is no state of an alert"))),
        None => String::new(),
    };
    let path = format!("/v1/alerts?limit={}{state}", args.limit);
    let answer = Collector::new(&args.collector)?.get(&path)?;
    Ok(collector::report(lines(&answer, "alerts", alert_line, "no alerts"), answer))
}

fn silence(args: &SilenceArgs) -> Result<Report, Fault> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let ends_ms = (now + Duration::from_secs(u64::from(args.minutes) * 60)).as_millis();
    let group: Map<String, Value> =
        args.group.iter().map(|(name, value)| (name.clone(), Value::String(value.clone()))).collect();
    let ends_ms = u64::try_from(ends_ms).unwrap_or(u64::MAX);
    let body = json!({ "rule": args.rule, "group": group, "ends_ms": ends_ms, "reason": args.reason });
    let answer = Collector::new(&args.collector)?.post_json("/v1/silences", &body)?;
    let id = answer.pointer("/silence/id").and_then(Value::as_u64).unwrap_or_default();
    Ok(collector::report(format!("silence {id}, for {} minutes", args.minutes), answer))
}

fn test(args: &TestArgs) -> Result<Report, Fault> {
    let body = json!({ "sink": args.sink });
    let json = Collector::new(&args.collector)?.post_json("/v1/alerts/test", &body)?;
    let outcome = json.pointer("/delivery/outcome").and_then(Value::as_str).unwrap_or_default();
    let text = format!("{}: {outcome}", args.sink);
    let is_delivered = json.pointer("/delivery/state").and_then(Value::as_str) == Some("delivered");
    Ok(Report { text, code: u8::from(!is_delivered), json })
}

fn deliveries(args: &DeliveriesArgs) -> Result<Report, Fault> {
    let alert = args.alert.map(|id| format!("&alert={id}")).unwrap_or_default();
    let path = format!("/v1/alerts/deliveries?limit={}{alert}", args.limit);
    let answer = Collector::new(&args.collector)?.get(&path)?;
    Ok(collector::report(lines(&answer, "deliveries", delivery_line, "nothing was sent"), answer))
}

fn lines(answer: &Value, list: &str, line: fn(&Value) -> String, none: &str) -> String {
    let entries = answer.get(list).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    match entries.is_empty() {
        true => none.to_owned(),
        false => entries.iter().map(line).collect::<Vec<_>>().join("\n"),
    }
}

fn alert_line(alert: &Value) -> String {
    let group = alert.get("group").and_then(Value::as_object);
    let said = |(name, value): (&String, &Value)| format!("{name}={}", value.as_str().unwrap_or_default());
    let group: Vec<String> = group.into_iter().flatten().map(said).collect();
    let [state, severity, rule, summary] =
        ["state", "severity", "rule", "summary"].map(|name| word(alert, name));
    format!("{}  {state}  {severity}  {rule}  {}  {summary}", number(alert, "id"), group.join(","))
}

fn delivery_line(delivery: &Value) -> String {
    let [sink, kind, rule, state, outcome] =
        ["sink", "kind", "rule", "state", "outcome"].map(|name| word(delivery, name));
    let attempts = number(delivery, "attempts");
    let id = number(delivery, "id");
    format!("{id}  {sink}  {kind}  {rule}  {state} after {attempts}  {outcome}")
}

fn in_force(plan: &Value) -> String {
    let rule_line = |rule: &Value| {
        let limit = match rule.get("at_least") {
            Some(limit) => format!("at least {limit}"),
            None => format!("below {}", rule.get("below").unwrap_or(&Value::Null)),
        };
        let [name, severity, measure, within, cooldown] =
            ["name", "severity", "measure", "within", "cooldown"].map(|field| word(rule, field));
        format!("{name}  {severity}  {measure} {limit} within {within}, again after {cooldown}")
    };
    let sink_line = |sink: &Value| {
        let [name, kind, severity] = ["name", "kind", "severity"].map(|field| word(sink, field));
        format!("sink {name}  {kind}  from {severity} on")
    };
    let each = |list: &str| plan.get(list).and_then(Value::as_array).cloned().unwrap_or_default();
    let rules = each("rules");
    let sinks = each("sinks");
    let lines: Vec<String> = rules.iter().map(rule_line).chain(sinks.iter().map(sink_line)).collect();
    lines.join("\n")
}

fn word<'v>(value: &'v Value, name: &str) -> &'v str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn number(value: &Value, name: &str) -> u64 {
    value.get(name).and_then(Value::as_u64).unwrap_or_default()
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}
