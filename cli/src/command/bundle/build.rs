//! `sentinel bundle build`. Nothing is signed that a proxy would refuse, and the same input gives the same bytes.

use std::path::PathBuf;

use sentinel_bundle::{Bundle, Draft, Hash, Kind, PublicKey, SecretKey};

use super::{inspect, keys, moment, parts, read, write};
use crate::{
    document,
    report::{Fault, Report},
};

#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("end").required(true))]
pub(crate) struct Args {
    /// The policy, as YAML or JSON.
    #[arg(long, value_name = "FILE")]
    policy: PathBuf,
    /// Rule packs in place of those that are built in: a folder of YAML files, or the JSON that they come to.
    #[arg(long, value_name = "PATH")]
    packs: Option<PathBuf>,
    /// A model in place of the one that is built in.
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// A feed; may be given several times.
    #[arg(long = "feed", value_name = "FILE")]
    feeds: Vec<PathBuf>,
    /// The report of how well this does; its hash goes into the bundle, the report does not.
    #[arg(long, value_name = "FILE")]
    evaluation: Option<PathBuf>,
    #[arg(long)]
    name: String,
    /// Higher than that of any bundle before; proxies go only forwards.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    version: u64,
    /// From when on it is valid: a date, or seconds since 1970.
    #[arg(long, value_name = "TIME", value_parser = moment::parse, default_value = "0")]
    not_before: u64,
    /// Until when it is valid. No proxy takes it after that.
    #[arg(long, value_name = "TIME", value_parser = moment::parse, group = "end")]
    expires: Option<u64>,
    /// The same, counted from now.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=36_500), group = "end")]
    days: Option<u64>,
    /// A secret key to sign with; may be given several times.
    #[arg(long = "key", value_name = "FILE", required = true)]
    keys: Vec<PathBuf>,
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

pub(super) fn run(args: &Args) -> Result<Report, Fault> {
    let keys = keys::read_secrets(&args.keys)?;
    let packs = args.packs.as_deref().map(parts::read_packs).transpose()?;
    let (packs, patterns) = match packs {
        Some((bytes, patterns)) => (Some(bytes), patterns),
        None => (None, document::builtin_patterns()?),
    };
    let policy = parts::read_policy(&args.policy, patterns)?;
    let model = args.model.as_deref().map(parts::read_model).transpose()?;
    let feeds = args.feeds.iter().map(|path| parts::read_feed(path)).collect::<Result<Vec<_>, _>>()?;
    let evaluation = args.evaluation.as_deref().map(read).transpose()?;
    let expires = match (args.expires, args.days) {
        (Some(expires), _) => expires,
        (None, days) => moment::now()? + days.unwrap_or(0) * moment::DAY,
    };
    let mut parts = vec![("policy.json", Kind::Policy, &policy[..])];
    parts.extend(packs.iter().map(|bytes| ("packs.json", Kind::Packs, &bytes[..])));
    parts.extend(model.iter().map(|bytes| ("model.smdl", Kind::Model, &bytes[..])));
    parts.extend(feeds.iter().map(|(name, bytes)| (name.as_str(), Kind::Feed, &bytes[..])));
    let draft = Draft {
        name: &args.name,
        version: args.version,
        not_before: args.not_before,
        expires,
        parts,
        evaluation: evaluation.as_deref().map(Hash::of),
    };
    let bytes = draft.seal(&keys).map_err(|e| Fault::Input(e.to_string()))?;
    let bundle = open_again(&bytes, &keys, args.not_before)?;
    write(&args.out, &bytes)?;
    inspect::report(&args.out, bytes.len(), bundle.contents())
}

/// What was written is read once as a proxy reads it, before anybody gets it.
fn open_again<'b>(bytes: &'b [u8], keys: &[SecretKey], now: u64) -> Result<Bundle<'b>, Fault> {
    let internal = |e: &dyn std::fmt::Display| Fault::Internal(format!("the bundle that was made: {e}"));
    let trusted: Result<Vec<PublicKey>, _> = keys.iter().map(SecretKey::public).collect();
    Bundle::open(bytes, &trusted.map_err(|e| internal(&e))?, now, None).map_err(|e| internal(&e))
}
