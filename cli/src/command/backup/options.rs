//! How a collector is started, as far as its environment says and without its secrets: what a new machine needs to know.
//!
//! Which options there are, and which of them are secret, is asked of `sentinel serve` itself.

use std::env;

use clap::{Args as _, Command};
use serde_json::{Map, Value, json};

use crate::command::serve;

/// JSON: the options that the environment sets or that have a default, and the names of secrets that are set.
pub(super) fn of_environment() -> String {
    let serve = serve::Args::augment_args(Command::new("serve"));
    let (mut options, mut secrets) = (Map::new(), Vec::new());
    for arg in serve.get_arguments() {
        let Some(name) = arg.get_env().and_then(|name| name.to_str()) else { continue };
        let set = env::var(name).ok();
        if arg.is_hide_env_values_set() {
            secrets.extend(set.map(|_| name.to_owned()));
            continue;
        }
        let default = || arg.get_default_values().first().and_then(|value| value.to_str()).map(str::to_owned);
        if let Some(value) = set.or_else(default) {
            options.insert(name.to_owned(), Value::String(value));
        }
    }
    json!({ "options": options, "secrets_that_were_set": secrets }).to_string()
}
