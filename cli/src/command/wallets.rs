//! `sentinel wallets`: which address may sign in to a collector, and as what.

use serde_json::{Value, json};

use super::keys::{forced, words};
use crate::{
    collector::{self, Collector},
    report::{Fault, Report},
};

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Give an address its roles, instead of those that it had.
    Set(SetArgs),
    /// Take all roles from an address; its sessions end at once.
    Remove(RemoveArgs),
    /// List all addresses with their roles.
    List(ListArgs),
}

#[derive(Debug, clap::Args)]
pub(crate) struct SetArgs {
    #[command(flatten)]
    collector: collector::Args,
    /// In base58, as wallets show it.
    address: String,
    /// viewer, analyst, approver, admin, auditor or ingest; may be given several times.
    #[arg(long = "role", value_name = "ROLE", value_delimiter = ',', required = true)]
    roles: Vec<String>,
    /// Also if no admin can come in afterwards.
    #[arg(long)]
    force: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct RemoveArgs {
    #[command(flatten)]
    collector: collector::Args,
    address: String,
    /// Also if no admin can come in afterwards.
    #[arg(long)]
    force: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    collector: collector::Args,
}

pub(crate) fn run(command: &Command) -> Result<Report, Fault> {
    match command {
        Command::Set(args) => {
            let path = path(&args.address)? + forced(args.force);
            let answer = Collector::new(&args.collector)?.put_json(&path, &json!({ "roles": args.roles }))?;
            Ok(collector::report(line(&answer), answer))
        }
        Command::Remove(args) => {
            let path = path(&args.address)? + forced(args.force);
            let answer = Collector::new(&args.collector)?.delete(&path)?;
            Ok(collector::report(format!("{}  has no role any more", args.address), answer))
        }
        Command::List(args) => {
            let wallets = Collector::new(&args.collector)?.all("/v1/wallets", "wallets")?;
            let text: Vec<String> = wallets.iter().map(line).collect();
            let text = if text.is_empty() { "no wallets".to_owned() } else { text.join("\n") };
            Ok(collector::report(text, json!({ "wallets": wallets })))
        }
    }
}

/// Base58 has only letters and digits, which need no escape.
fn path(address: &str) -> Result<String, Fault> {
    match !address.is_empty() && address.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        true => Ok(format!("/v1/wallets/{address}")),
        false => Err(Fault::Input(format!("{address:?} is no address in base58"))),
    }
}

fn line(wallet: &Value) -> String {
    let address = wallet.get("address").and_then(Value::as_str).unwrap_or_default();
    format!("{address}  {}", words(wallet, "roles"))
}
