//! `sentinel monitor`: what is unusual at a collector, what comes next, and a week on a page.

use serde_json::Value;

use super::{bundle::moment, events::question::Query};
use crate::{
    collector::{self, Collector},
    report::{Fault, Report},
};

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// A week beside the one before: what came, what was unusual, what comes next.
    Report(WeekArgs),
    /// Hours that had more or fewer than they usually have.
    Anomalies(AnomaliesArgs),
    /// How many there will be, and when a limit is reached.
    Forecast(ForecastArgs),
}

#[derive(Debug, clap::Args)]
pub(crate) struct WeekArgs {
    #[command(flatten)]
    collector: collector::Args,
}

#[derive(Debug, clap::Args)]
pub(crate) struct AnomaliesArgs {
    #[command(flatten)]
    collector: collector::Args,
    /// How many hours back to look.
    #[arg(long, default_value_t = 168, value_parser = clap::value_parser!(u32).range(1..=1_512))]
    hours: u32,
    /// How many false alarms a week may have, over everything that is looked at.
    #[arg(long, default_value_t = 1.0)]
    false_alarms: f64,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ForecastArgs {
    #[command(flatten)]
    collector: collector::Args,
    /// Of one action, route or rule, such as route=chat; of all events without it.
    #[arg(long, value_name = "KIND=VALUE")]
    of: Option<String>,
    #[arg(long, default_value_t = 28)]
    days: u32,
    /// Say when an hour has so many.
    #[arg(long, value_name = "EVENTS")]
    hourly_limit: Option<f64>,
    /// Say when a day has so many.
    #[arg(long, value_name = "EVENTS")]
    daily_limit: Option<f64>,
    /// Say when so many have come from now on, such as what fits on the disk.
    #[arg(long, value_name = "EVENTS")]
    room: Option<f64>,
}

pub(crate) fn run(command: &Command) -> Result<Report, Fault> {
    match command {
        Command::Report(args) => {
            let answer = Collector::new(&args.collector)?.get("/v1/reports/weekly")?;
            Ok(collector::report(week(&answer), answer))
        }
        Command::Anomalies(args) => anomalies(args),
        Command::Forecast(args) => forecast(args),
    }
}

fn anomalies(args: &AnomaliesArgs) -> Result<Report, Fault> {
    let collector = Collector::new(&args.collector)?;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let hour = now.as_secs() / 3_600;
    let since_ms = hour.saturating_sub(u64::from(args.hours)) * HOUR_MS;
    let mut query = Query::default();
    query.add("since_ms", Some(&since_ms.to_string()));
    query.add("false_alarms_a_week", Some(&args.false_alarms.to_string()));
    let answer = collector.get(&query.on("/v1/anomalies"))?;
    Ok(collector::report(unusual(&answer), answer))
}

fn forecast(args: &ForecastArgs) -> Result<Report, Fault> {
    let mut query = Query::default();
    query.add("days", Some(&args.days.to_string()));
    if let Some(of) = &args.of {
        let wrong = || Fault::Input(format!("--of {of}: expected KIND=VALUE, such as route=chat"));
        let (kind, value) = of.split_once('=').ok_or_else(wrong)?;
        query.add("by", Some(kind));
        query.add("value", Some(value));
    }
    let limits = [
        ("hourly_limit", args.hourly_limit, "an hour with {} events"),
        ("daily_limit", args.daily_limit, "a day with {} events"),
        ("room", args.room, "{} events from now on"),
    ];
    for (name, limit, _) in limits {
        query.add(name, limit.map(|limit| limit.to_string()).as_deref());
    }
    let answer = Collector::new(&args.collector)?.get(&query.on("/v1/forecast"))?;
    let mut text = ahead(answer.get("forecast").unwrap_or(&Value::Null));
    for (name, limit, what) in limits {
        let (Some(limit), Some(breach)) = (limit, answer.get(name)) else { continue };
        let on = |name| breach.get(name).and_then(Value::as_i64).map_or("not in these days".to_owned(), day);
        let what = what.replace("{}", &limit.to_string());
        text += &format!("\n{what}: expected {}, at the earliest {}", on("expected"), on("earliest"));
    }
    Ok(collector::report(text, answer))
}

fn week(report: &Value) -> String {
    let mut text = format!(
        "{} to {}\n\nevents{}\n",
        day(number(report, "since_ms") / HOUR_MS as i64),
        day(number(report, "until_ms") / HOUR_MS as i64),
        change(report.get("events").unwrap_or(&Value::Null))
    );
    for (title, list) in [("actions", "actions"), ("routes", "routes"), ("rules", "rules")] {
        text += &format!("\n{title}\n");
        let named = report.get(list).and_then(Value::as_array).into_iter().flatten();
        for one in named {
            text += &format!("  {}{}\n", word(one, "name"), change(one));
        }
    }
    let new: Vec<&str> = report
        .get("new_rules")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    if !new.is_empty() {
        text += &format!("\nrules that had not fired in nine weeks: {}\n", new.join(", "));
    }
    text += &format!("\n{}\n", unusual(report.get("unusual").unwrap_or(&Value::Null)));
    text += &format!("\n{}\n", ahead(report.get("next").unwrap_or(&Value::Null)));
    text + &format!(
        "\nmissing as of now: {} events in {} gaps",
        number(report, "missing_now"),
        number(report, "gaps_now")
    )
}

fn unusual(found: &Value) -> String {
    let (n_series, n_judged) = (number(found, "n_series"), number(found, "n_judged"));
    let mut text =
        format!("unusual, in {n_judged} of {n_series} series (the others are known for less than two weeks)");
    let mut is_empty = true;
    for one in found.get("anomalies").and_then(Value::as_array).into_iter().flatten() {
        is_empty = false;
        text += &format!(
            "\n  {}, {} h: {} {} had {} events where {:.1} were expected",
            hour(number(one, "first_hour")),
            number(one, "last_hour") - number(one, "first_hour") + 1,
            word(one, "kind"),
            word(one, "value"),
            number(one, "count"),
            one.get("expected").and_then(Value::as_f64).unwrap_or(0.0),
        );
    }
    if is_empty { text + "\n  nothing" } else { text }
}

fn ahead(forecast: &Value) -> String {
    let Some(days) = forecast.get("days").and_then(Value::as_array) else {
        return "no forecast: less than two weeks are known".to_owned();
    };
    let float = |of: &Value, name: &str| of.get(name).and_then(Value::as_f64).unwrap_or(0.0);
    let tried = match number(forecast, "weeks_tried") {
        0 => "no week was there to try it on".to_owned(),
        n => format!("of {n} past weeks the worst was off by a factor of {:.2}", float(forecast, "off_by")),
    };
    let mut text = format!("expected events a day ({tried})");
    for one in days {
        text += &format!(
            "\n  {}{:>12.0}   {:.0} to {:.0}",
            day(number(one, "first_hour")),
            float(one, "expected"),
            float(one, "low"),
            float(one, "high")
        );
    }
    text
}

fn change(of: &Value) -> String {
    let (this, before) = (number(of, "this_week"), number(of, "week_before"));
    match before {
        0 => format!(": {this}, none the week before"),
        _ => format!(
            ": {this}, {:+.0} % ({before} the week before)",
            (this - before) as f64 * 100.0 / before as f64
        ),
    }
}

fn number(of: &Value, name: &str) -> i64 {
    of.get(name).and_then(Value::as_i64).unwrap_or(0)
}

fn word<'a>(of: &'a Value, name: &str) -> &'a str {
    of.get(name).and_then(Value::as_str).unwrap_or("")
}

/// From hours since 1970.
fn hour(hour: i64) -> String {
    moment::show(u64::try_from(hour).unwrap_or(0) * 3_600)
}

fn day(first_hour: i64) -> String {
    hour(first_hour).chars().take(10).collect()
}

const HOUR_MS: u64 = 3_600_000;
