//! `sentinel policy diff`: what another policy would change, by what is in force and not by how it is written.

mod weigh;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
    path::PathBuf,
};

use sentinel_core::{
    Engine,
    policy::{Exemption, Policy, Route},
};
use serde_json::{Value, json};

use self::weigh::{Effect, weigh};
use super::effective::{self, Values, said};
use crate::{
    document::{self, Kind},
    report::{Fault, Report},
};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The policy that is.
    before: PathBuf,
    /// The policy that would be.
    after: PathBuf,
}

#[derive(Debug, PartialEq)]
struct Change {
    /// `profile default`, `route llm`, `exemptions` and the like.
    group: String,
    field: String,
    /// `null`: there is none.
    before: Value,
    after: Value,
    effect: Effect,
}

pub(crate) fn run(args: &Args) -> Result<Report, Fault> {
    let before = document::load(&args.before, Kind::Policy)?.engine;
    let after = document::load(&args.after, Kind::Policy)?.engine;
    let changes = changes(&before, &after)?;
    let count = |effect| changes.iter().filter(|change| change.effect == effect).count();
    let mut text = String::new();
    let mut group = "";
    for change in &changes {
        // Writing to a string cannot fail.
        if change.group != group {
            let _ = writeln!(text, "{}", change.group);
            group = &change.group;
        }
        let _ = writeln!(
            text,
            "  {:9}  {}: {} -> {}",
            change.effect.name(),
            change.field,
            side(&change.before),
            side(&change.after)
        );
    }
    let (stricter, laxer, different) =
        (count(Effect::Stricter), count(Effect::Laxer), count(Effect::Different));
    let _ = match changes.len() {
        0 => writeln!(text, "no difference in what is in force"),
        _ => writeln!(text, "{stricter} stricter, {laxer} laxer, {different} different"),
    };
    let listed: Vec<Value> = changes.iter().map(Change::json).collect();
    let json = json!({ "changes": listed, "stricter": stricter, "laxer": laxer, "different": different });
    Ok(Report { text, json, code: u8::from(!changes.is_empty()) })
}

impl Change {
    fn json(&self) -> Value {
        let Self { group, field, before, after, effect } = self;
        json!({ "group": group, "field": field, "before": before, "after": after, "effect": effect.name() })
    }
}

fn side(value: &Value) -> String {
    if value.is_null() { "(none)".into() } else { said(value) }
}

fn changes(before: &Engine, after: &Engine) -> Result<Vec<Change>, Fault> {
    let (a, b) = (before.policy(), after.policy());
    let mut changes = routes(a, b)?;
    let names = effective::names([a, b].into_iter());
    let (old, new) = (effective::profiles(a), effective::profiles(b));
    for name in old.keys().chain(new.keys()).collect::<BTreeSet<_>>() {
        let group = format!("profile {name}");
        match (old.get(name), new.get(name)) {
            (Some(x), Some(y)) => {
                let x = effective::with_rules(x, before, &names)?;
                let y = effective::with_rules(y, after, &names)?;
                let mut found = compare(&group, &x, &y);
                drop_echoes(&mut found);
                changes.extend(found);
            }
            (x, _) => changes.push(presence(group, "profile", x.is_some())),
        }
    }
    let tenants = |policy: &Policy| policy.tenants.as_ref().map_or(Ok(Values::new()), effective::flat);
    changes.extend(compare("tenants", &tenants(a)?, &tenants(b)?));
    changes.extend(exemptions(&a.exemptions, &b.exemptions));
    changes.extend(canaries(a, b));
    changes.extend(patterns(a, b)?);
    changes.extend(compare("rates", &effective::flat(&a.rates)?, &effective::flat(&b.rates)?));
    changes.extend(compare("emit", &effective::flat(&a.emit)?, &effective::flat(&b.emit)?));
    Ok(changes)
}

fn compare(group: &str, before: &Values, after: &Values) -> Vec<Change> {
    let fields: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let change = |field: &String| {
        let [before, after] = [before, after].map(|side| side.get(field).cloned().unwrap_or(Value::Null));
        let effect = weigh(field, &before, &after);
        (before != after).then(|| Change { group: group.into(), field: field.clone(), before, after, effect })
    };
    fields.into_iter().filter_map(change).collect()
}

/// What is one thing or the other, as a whole.
fn presence(group: String, what: &str, was: bool) -> Change {
    let [before, after] = [was, !was].map(|is| if is { Value::from("exists") } else { Value::Null });
    Change { group, field: what.into(), before, after, effect: Effect::Different }
}

/// A channel or a detector that only follows its profile does not say it again.
fn drop_echoes(changes: &mut Vec<Change>) {
    let of_profile: BTreeMap<String, (Value, Value)> = changes
        .iter()
        .filter(|change| !change.field.starts_with("channels.") && !change.field.starts_with("detectors."))
        .map(|change| (change.field.clone(), (change.before.clone(), change.after.clone())))
        .collect();
    changes.retain(|change| {
        let parts = ["channels.", "detectors."].iter().find_map(|part| change.field.strip_prefix(part));
        let Some((_, own)) = parts.and_then(|rest| rest.split_once('.')) else { return true };
        let general = if own == "tag" || own == "block" { format!("thresholds.{own}") } else { own.into() };
        of_profile.get(&general) != Some(&(change.before.clone(), change.after.clone()))
    });
}

/// By name. Where several have one, by their order, too.
fn routes(a: &Policy, b: &Policy) -> Result<Vec<Change>, Fault> {
    let (old, new) = (by_name(a), by_name(b));
    let mut changes = Vec::new();
    let order = |routes: &[(String, &Route)], others: &[(String, &Route)]| -> Vec<String> {
        let is_common = |name: &&String| others.iter().any(|(other, _)| other == *name);
        routes.iter().map(|(name, _)| name).filter(is_common).cloned().collect()
    };
    let (was, is) = (order(&old, &new), order(&new, &old));
    if was != is {
        let [before, after] = [was, is].map(|names| Value::from(names.join(", ")));
        let (group, field) = ("routes".into(), "order".into());
        changes.push(Change { group, field, before, after, effect: Effect::Different });
    }
    for (name, route) in &old {
        let group = format!("route {name}");
        match new.iter().find(|(other, _)| other == name) {
            Some((_, other)) => {
                changes.extend(compare(&group, &effective::flat(route)?, &effective::flat(other)?))
            }
            None => changes.push(presence(group, "route", true)),
        }
    }
    let added = new.iter().filter(|(name, _)| !old.iter().any(|(other, _)| other == name));
    changes.extend(added.map(|(name, _)| presence(format!("route {name}"), "route", false)));
    Ok(changes)
}

fn by_name(policy: &Policy) -> Vec<(String, &Route)> {
    let mut named: Vec<(String, &Route)> = Vec::new();
    for route in &policy.routes {
        let same = policy.routes.iter().take(named.len()).filter(|other| other.name == route.name).count();
        let name = if same == 0 { route.name.clone() } else { format!("{} ({})", route.name, same + 1) };
        named.push((name, route));
    }
    named
}

/// An exemption is the same as long as it is about the same; it may end at another time.
fn exemptions(a: &[Exemption], b: &[Exemption]) -> Vec<Change> {
    let about = |exemption: &Exemption| {
        let clients = exemption.clients.iter().map(|client| client.as_str()).collect::<Vec<_>>().join(", ");
        let or_any = |text: String| if text.is_empty() { "any".into() } else { text };
        let (routes, clients) = (or_any(exemption.routes.join(", ")), or_any(clients));
        format!("{} for {clients} on {routes}", exemption.rules.join(", "))
    };
    let mut changes = Vec::new();
    let mut add = |field: String, before, after, effect| {
        changes.push(Change { group: "exemptions".into(), field, before, after, effect });
    };
    for old in a {
        let until = Value::from(old.until.as_str());
        match b.iter().find(|new| about(new) == about(old)) {
            None => add(about(old), until, Value::Null, Effect::Stricter),
            Some(new) => {
                let effect = match new.until.get().cmp(&old.until.get()) {
                    std::cmp::Ordering::Greater => Effect::Laxer,
                    std::cmp::Ordering::Less => Effect::Stricter,
                    std::cmp::Ordering::Equal => continue,
                };
                add(about(old), until, new.until.as_str().into(), effect);
            }
        }
    }
    for new in b.iter().filter(|new| !a.iter().any(|old| about(new) == about(old))) {
        add(about(new), Value::Null, new.until.as_str().into(), Effect::Laxer);
    }
    changes
}

/// None of them is named: they must not leave, and what is printed is kept in logs.
fn canaries(a: &Policy, b: &Policy) -> Vec<Change> {
    let only = |x: &Policy, y: &Policy| x.canaries.iter().filter(|text| !y.canaries.contains(text)).count();
    let change = |field: &str, number: usize, effect| {
        (number > 0).then(|| Change {
            group: "canaries".into(),
            field: field.into(),
            before: Value::from(a.canaries.len()),
            after: Value::from(b.canaries.len()),
            effect,
        })
    };
    let (removed, added) = (only(a, b), only(b, a));
    let removed = change(&format!("{removed} removed"), removed, Effect::Laxer);
    removed.into_iter().chain(change(&format!("{added} added"), added, Effect::Stricter)).collect()
}

/// By id, and without the words, which only the policy may say.
fn patterns(a: &Policy, b: &Policy) -> Result<Vec<Change>, Fault> {
    let mut changes = Vec::new();
    let ids: BTreeSet<&str> = a.patterns.iter().chain(&b.patterns).map(|rule| rule.id.as_str()).collect();
    for id in ids {
        let [old, new] = [a, b].map(|policy| policy.patterns.iter().find(|rule| rule.id == id));
        let group = format!("pattern {id}");
        match (old, new) {
            (Some(old), Some(new)) => {
                let is_reworded = old.any != new.any || old.regex != new.regex;
                let [mut old, mut new] = [effective::flat(old)?, effective::flat(new)?];
                for values in [&mut old, &mut new] {
                    values.retain(|field, _| field != "any" && field != "regex");
                }
                changes.extend(compare(&group, &old, &new));
                if is_reworded {
                    let (before, after) = ("(not shown)".into(), "(other words)".into());
                    changes.push(Change {
                        group,
                        field: "any, regex".into(),
                        before,
                        after,
                        effect: Effect::Different,
                    });
                }
            }
            (old, _) => {
                let effect = if old.is_some() { Effect::Laxer } else { Effect::Stricter };
                changes.push(Change { effect, ..presence(group, "pattern", old.is_some()) });
            }
        }
    }
    Ok(changes)
}
