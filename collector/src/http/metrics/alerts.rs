//! Metrics of alerts and of who was told.

use super::Text;
use crate::alert::Counts;
use crate::http::App;

pub(super) fn write(app: &App, text: &mut Text) {
    let Counts { fired, sent, left_out, open } = app.alarm.counts();
    let name = "sentinel_alerts_fired_total";
    text.head(name, "counter", "Alerts that this collector opened, by rule and severity.");
    for ((rule, severity), n) in &fired {
        text.sample(name, &[("rule", rule), ("severity", severity)], n);
    }
    let name = "sentinel_alert_notifications_total";
    text.head(name, "counter", "Notifications sent, by sink and outcome.");
    for ((sink, outcome), n) in &sent {
        text.sample(name, &[("sink", sink), ("outcome", outcome)], n);
    }
    let name = "sentinel_alert_groups_left_out_total";
    text.head(name, "counter", "What found no place among the groups that a rule watches apart.");
    for (rule, n) in &left_out {
        text.sample(name, &[("rule", rule)], n);
    }
    let name = "sentinel_alerts_open";
    text.head(name, "gauge", "Alerts that are open, by state.");
    for (state, n) in &open {
        text.sample(name, &[("state", state)], n);
    }
}
