//! Metrics of the address where an identity provider publishes its keys.

use super::Text;
use crate::http::App;

pub(super) fn write(app: &App, text: &mut Text) {
    let Some(standing) = app.gate.fetched_keys().map(|keys| keys.standing()) else { return };
    let help = "Whether the identity provider gave its keys when it was asked last.";
    text.gauge("sentinel_jwks_up", help, u8::from(standing.is_up));
    text.gauge("sentinel_jwks_keys", "Keys of the identity provider that are in use.", standing.n_keys);
    // Never is not 0.
    if let Some(age) = standing.age() {
        let help = "How long ago the identity provider gave its keys.";
        text.gauge("sentinel_jwks_age_seconds", help, age.as_secs_f64());
    }
    let name = "sentinel_jwks_requests_total";
    text.head(name, "counter", "Requests for the keys of the identity provider.");
    for (outcome, count) in [("good", standing.n_good), ("failed", standing.n_failed)] {
        text.sample(name, &[("outcome", outcome)], count);
    }
}
