use super::*;
use crate::alert::due::due;
use crate::alert::file::AlertsFile;
use crate::alert::rule::AlertPlan;
use crate::domain::{Delivery, DeliveryState};
use proptest::prelude::*;

const RESOLVE_MS: i64 = 8_000;
const COOLDOWN_MS: i64 = 20_000;

fn plan(repeat: bool) -> AlertPlan {
    let repeat = if repeat { r#","repeat":"1m""# } else { "" };
    let text = format!(
        r#"{{"sinks":[{{"name":"chat","slack":{{"url":"http://127.0.0.1:9/x"}}}},
                      {{"name":"pager","severity":"critical","slack":{{"url":"http://127.0.0.1:9/y"}}}}],
             "rules":[{{"name":"mine","at_least":1,"within":"5s","resolve_after":"8s","cooldown":"20s"{repeat}}}]}}"#
    );
    let file: AlertsFile = serde_json::from_str(&text).unwrap();
    file.plan(&|_| None).unwrap()
}

fn mine(plan: &AlertPlan) -> &Rule {
    plan.rules.iter().find(|rule| rule.name == "mine").unwrap()
}

fn met() -> Option<Met> {
    Some(Met { value: 1.0, summary: "one".to_owned() })
}

/// What a store keeps, as the suite of stores proves that they keep it: an alert with what is due, together or not at all.
#[derive(Default)]
struct Kept {
    alerts: Vec<Alert>,
    outbox: Vec<Delivery>,
}

impl Kept {
    fn last_told(&self) -> Option<i64> {
        self.alerts.iter().filter_map(|alert| alert.told_ms).max()
    }

    fn open(&self) -> Option<&Alert> {
        self.alerts.iter().find(|alert| alert.state != AlertState::Resolved)
    }

    /// A turn of a collector that knows the open alert as `known`.
    fn turn(
        &mut self,
        plan: &AlertPlan,
        known: Option<&Alert>,
        met: Option<Met>,
        silences: &[Silence],
        now_ms: i64,
    ) {
        let rule = mine(plan);
        let step = match (known, met) {
            (Some(known), met) => {
                let last_told_ms = known.told_ms.or(self.last_told());
                next(Some(rule), known, met, last_told_ms, silences, now_ms)
            }
            (None, Some(met)) => Some(open(rule, Group::default(), met, self.last_told(), silences, now_ms)),
            (None, None) => None,
        };
        let Some(step) = step else { return };
        let (mut alert, mut deliveries) = due(step, Some(rule), &plan.sinks, now_ms);
        match known {
            None if self.open().is_some() => return,
            None => {
                alert.id = self.alerts.len() as i64 + 1;
                self.alerts.push(alert.clone());
            }
            Some(known) => {
                let there = self.alerts.iter_mut().find(|there| there.id == known.id).unwrap();
                if there.version != known.version {
                    return;
                }
                alert.version += 1;
                *there = alert.clone();
            }
        }
        deliveries.iter_mut().for_each(|delivery| delivery.alert = alert.id);
        self.outbox.extend(deliveries);
    }
}

#[derive(Clone, Debug)]
enum Move {
    /// So many ms later one or both of two collectors look, and it is so or not. The second one knows what was there
    /// before the first looked.
    Turn {
        later_ms: i64,
        is_met: bool,
        both: bool,
    },
    Acknowledge,
    Silence {
        for_ms: i64,
    },
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let turn = || {
        (200_i64..6_000, any::<bool>(), any::<bool>()).prop_map(|(later_ms, is_met, both)| Move::Turn {
            later_ms,
            is_met,
            both,
        })
    };
    let one = prop_oneof![
        turn(),
        turn(),
        turn(),
        turn(),
        turn(),
        Just(Move::Acknowledge),
        (1_000_i64..40_000).prop_map(|for_ms| Move::Silence { for_ms }),
    ];
    prop::collection::vec(one, 1..120)
}

proptest! {
    /// Nothing but what is stored is known to a turn, so each is also the first one after a restart.
    #[test]
    fn cooldown_is_kept_and_nothing_is_lost_or_told_twice(moves in moves()) {
        let plan = plan(false);
        let (mut kept, mut silences, mut now_ms) = (Kept::default(), Vec::new(), 1_000_000);
        for each in moves {
            match each {
                Move::Turn { later_ms, is_met, both } => {
                    now_ms += later_ms;
                    let known = kept.open().cloned();
                    let met = || is_met.then(met).flatten();
                    kept.turn(&plan, known.as_ref(), met(), &silences, now_ms);
                    if both {
                        kept.turn(&plan, known.as_ref(), met(), &silences, now_ms);
                    }
                    // Nothing that has to be told waits: firing, cool, and not told.
                    if let Some(alert) = kept.open().filter(|alert| alert.state == AlertState::Firing && alert.told_ms.is_none()) {
                        let told_ms = kept.last_told().unwrap();
                        prop_assert!(now_ms - told_ms < COOLDOWN_MS, "{alert:?}");
                    }
                }
                Move::Acknowledge => {
                    let idx = kept.alerts.iter().position(|alert| alert.state == AlertState::Firing);
                    if let Some(idx) = idx {
                        let alert = &mut kept.alerts[idx];
                        alert.version += 1;
                        (alert.state, alert.acknowledged_ms) = (AlertState::Acknowledged, Some(now_ms));
                    }
                }
                Move::Silence { for_ms } => silences.push(Silence {
                    id: 1, rule: Some("mine".to_owned()), group: Group::default(), starts_ms: now_ms,
                    ends_ms: now_ms + for_ms, reason: "r".to_owned(), made_by: "w".to_owned(), made_ms: now_ms,
                }),
            }
        }
        let chat: Vec<&Delivery> = kept.outbox.iter().filter(|delivery| delivery.sink == "chat").collect();
        let firing: Vec<i64> = chat.iter().filter(|d| d.notice.kind == Telling::Firing).map(|d| d.notice.at_ms).collect();
        prop_assert!(firing.windows(2).all(|pair| pair[1] - pair[0] >= COOLDOWN_MS), "{firing:?}");
        for alert in &kept.alerts {
            let of = |kind| chat.iter().filter(|d| d.alert == alert.id && d.notice.kind == kind).count();
            let was_told = usize::from(alert.told_ms.is_some());
            let is_over = usize::from(alert.state == AlertState::Resolved);
            prop_assert_eq!((of(Telling::Firing), of(Telling::Resolved)), (was_told, was_told * is_over));
        }
        let sinks_are_right = kept.outbox.iter().all(|d| d.sink == "chat" && d.state == DeliveryState::Waiting);
        prop_assert!(sinks_are_right, "the pager hears of critical alerts only");
    }
}

#[test]
fn an_alert_is_told_once_and_its_end_too() {
    let (plan, mut kept) = (plan(false), Kept::default());
    for now_ms in [0, 1_000, 2_000, 3_000] {
        kept.turn(&plan, kept.open().cloned().as_ref(), met(), &[], now_ms);
    }
    for now_ms in [4_000, 9_000, 11_000, 12_000] {
        kept.turn(&plan, kept.open().cloned().as_ref(), None, &[], now_ms);
    }
    let told: Vec<_> = kept.outbox.iter().map(|d| (d.notice.kind, d.notice.at_ms)).collect();
    assert_eq!(told, [(Telling::Firing, 0), (Telling::Resolved, 2_000 + RESOLVE_MS + 1_000)]);
}

#[test]
fn what_fires_again_while_it_cools_is_told_when_it_has_cooled() {
    let (plan, mut kept) = (plan(false), Kept::default());
    kept.turn(&plan, None, met(), &[], 0);
    kept.turn(&plan, kept.open().cloned().as_ref(), None, &[], 9_000);
    for now_ms in [10_000, 15_000, 19_000, 20_000, 25_000] {
        kept.turn(&plan, kept.open().cloned().as_ref(), met(), &[], now_ms);
    }
    let told: Vec<_> = kept.outbox.iter().map(|d| (d.notice.kind, d.notice.at_ms)).collect();
    assert_eq!(told, [(Telling::Firing, 0), (Telling::Resolved, 9_000), (Telling::Firing, 20_000)]);
}

#[test]
fn what_lasts_is_repeated_until_somebody_takes_it_on() {
    let (plan, mut kept) = (plan(true), Kept::default());
    for n in 0..200 {
        kept.turn(&plan, kept.open().cloned().as_ref(), met(), &[], n * 1_000);
        if n == 130 {
            let alert = &mut kept.alerts[0];
            (alert.version, alert.acknowledged_ms) = (alert.version + 1, Some(130_000));
        }
    }
    let told: Vec<_> = kept.outbox.iter().map(|d| (d.notice.kind, d.notice.at_ms)).collect();
    assert_eq!(told, [(Telling::Firing, 0), (Telling::Repeated, 60_000), (Telling::Repeated, 120_000)]);
    assert_eq!(kept.alerts[0].state, AlertState::Acknowledged);
}

#[test]
fn an_alert_without_a_rule_ends_and_that_is_told() {
    let (plan, mut kept) = (plan(false), Kept::default());
    kept.turn(&plan, None, met(), &[], 0);
    let step = next(None, kept.open().unwrap(), None, Some(0), &[], 5).unwrap();
    let (alert, deliveries) = due(step, None, &plan.sinks, 5);
    assert_eq!((alert.state, deliveries.len()), (AlertState::Resolved, 1));
}

#[test]
fn a_silence_is_for_its_rule_and_group_and_time() {
    let group: Group = [("route", "chat"), ("rule", "pii/card")].into_iter().collect();
    let silence = |rule: Option<&str>, pairs: &[(&str, &str)]| Silence {
        id: 1,
        rule: rule.map(str::to_owned),
        group: pairs.iter().copied().collect(),
        starts_ms: 10,
        ends_ms: 20,
        reason: "r".to_owned(),
        made_by: "w".to_owned(),
        made_ms: 1,
    };
    assert!(silence(Some("mine"), &[]).covers("mine", &group, 10));
    assert!(silence(None, &[("route", "chat")]).covers("other", &group, 19));
    assert!(!silence(None, &[("route", "chat")]).covers("other", &group, 20));
    assert!(!silence(None, &[("route", "chat")]).covers("other", &group, 9));
    assert!(!silence(None, &[("route", "tools")]).covers("mine", &group, 10));
    assert!(!silence(None, &[("vm", "a")]).covers("mine", &group, 10));
    assert!(!silence(Some("mine"), &[]).covers("other", &group, 10));
}
