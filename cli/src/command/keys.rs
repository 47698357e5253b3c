//! `sentinel keys`: keys of programs at a collector.

use clap::ArgGroup;
use serde_json::{Value, json};

use crate::{
    collector::{self, Collector},
    report::{Fault, Report},
};

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Make a key and print its secret, which is shown this once.
    Create(CreateArgs),
    /// List all keys; secrets are not among what is shown.
    List(ListArgs),
    /// Make a successor of a key; the old one goes on for a while, so that a fleet can change without a pause.
    Rotate(RotateArgs),
    /// Let nobody in with a key any more, from now on.
    Revoke(RevokeArgs),
}

#[derive(Debug, clap::Args)]
#[command(group = ArgGroup::new("what").required(true).args(["roles", "first_admin"]))]
pub(crate) struct CreateArgs {
    #[command(flatten)]
    collector: collector::Args,
    /// What the key is for, in words.
    #[arg(long)]
    label: String,
    /// viewer, analyst, approver, admin, auditor or ingest; may be given several times.
    #[arg(long = "role", value_name = "ROLE", value_delimiter = ',')]
    roles: Vec<String>,
    /// Only this of what the roles allow, such as read_proofs; may be given several times.
    #[arg(long = "scope", value_name = "PERMISSION", value_delimiter = ',', requires = "roles")]
    scope: Vec<String>,
    /// Let it end after so many days; a successor lasts as long again.
    #[arg(long, value_name = "DAYS", requires = "roles", value_parser = clap::value_parser!(u16).range(1..))]
    days: Option<u16>,
    /// Make the first admin: the token file has the token that the collector has printed at its start.
    #[arg(long)]
    first_admin: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    collector: collector::Args,
}

#[derive(Debug, clap::Args)]
pub(crate) struct RotateArgs {
    #[command(flatten)]
    collector: collector::Args,
    id: String,
    /// How long the old key goes on; 0 ends it at once.
    #[arg(long, value_name = "HOURS", default_value_t = 24, value_parser = clap::value_parser!(u16).range(0..=720))]
    grace_hours: u16,
}

#[derive(Debug, clap::Args)]
pub(crate) struct RevokeArgs {
    #[command(flatten)]
    collector: collector::Args,
    id: String,
    /// Also if no admin can come in afterwards.
    #[arg(long)]
    force: bool,
}

pub(crate) fn run(command: &Command) -> Result<Report, Fault> {
    match command {
        Command::Create(args) => create(args),
        Command::List(args) => list(args),
        Command::Rotate(args) => rotate(args),
        Command::Revoke(args) => revoke(args),
    }
}

fn create(args: &CreateArgs) -> Result<Report, Fault> {
    let collector = Collector::new(&args.collector)?;
    if args.first_admin {
        return made(collector.post_json("/v1/bootstrap", &json!({ "key": args.label }))?);
    }
    let mut wanted = json!({ "label": args.label, "roles": args.roles });
    if let Some(fields) = wanted.as_object_mut() {
        if !args.scope.is_empty() {
            fields.insert("scope".to_owned(), args.scope.clone().into());
        }
        if let Some(days) = args.days {
            fields.insert("not_after_ms".to_owned(), days_from_now_ms(days)?.into());
        }
    }
    made(collector.post_json("/v1/keys", &wanted)?)
}

fn days_from_now_ms(days: u16) -> Result<u64, Fault> {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let now = now.map_err(|_| Fault::Internal("the clock is before 1970".into()))?;
    Ok(now.as_secs().saturating_add(u64::from(days) * 86_400).saturating_mul(1_000))
}

fn list(args: &ListArgs) -> Result<Report, Fault> {
    let collector = Collector::new(&args.collector)?;
    let keys = collector.all("/v1/keys", "keys")?;
    let text: Vec<String> = keys.iter().map(line).collect();
    let text = if text.is_empty() { "no keys".to_owned() } else { text.join("\n") };
    Ok(collector::report(text, json!({ "keys": keys })))
}

fn rotate(args: &RotateArgs) -> Result<Report, Fault> {
    let collector = Collector::new(&args.collector)?;
    let grace_ms = u64::from(args.grace_hours) * 3_600_000;
    let path = format!("/v1/keys/{}/rotate", id(&args.id)?);
    made(collector.post_json(&path, &json!({ "grace_ms": grace_ms }))?)
}

fn revoke(args: &RevokeArgs) -> Result<Report, Fault> {
    let collector = Collector::new(&args.collector)?;
    let path = format!("/v1/keys/{}/revoke{}", id(&args.id)?, forced(args.force));
    let answer = collector.post_json(&path, &json!({}))?;
    Ok(collector::report(line(&answer), answer))
}

pub(super) const fn forced(force: bool) -> &'static str {
    if force { "?force=true" } else { "" }
}

/// It becomes a part of a path.
fn id(text: &str) -> Result<&str, Fault> {
    match !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        true => Ok(text),
        false => Err(Fault::Input(format!("{text:?} is no id of a key, such as `keys list` shows them"))),
    }
}

fn made(answer: Value) -> Result<Report, Fault> {
    let (Some(key), Some(secret)) = (answer.get("key"), answer.get("secret").and_then(Value::as_str)) else {
        return Err(Fault::Internal("the collector has made no key that this command understands".into()));
    };
    let text = format!("{}\nsecret, shown this once: {secret}", line(key));
    Ok(collector::report(text, answer.clone()))
}

fn line(key: &Value) -> String {
    let word = |name: &str| key.get(name).and_then(Value::as_str).unwrap_or_default();
    let mut text = format!("{}  {}  {}  {}", word("id"), word("state"), words(key, "roles"), word("label"));
    let scope = words(key, "scope");
    if !scope.is_empty() {
        text.push_str(&format!("  only {scope}"));
    }
    if let Some(by) = key.get("replaced_by").and_then(Value::as_str) {
        text.push_str(&format!("  followed by {by}"));
    }
    text
}

pub(super) fn words(of: &Value, name: &str) -> String {
    let words = of.get(name).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    words.collect::<Vec<_>>().join(",")
}
