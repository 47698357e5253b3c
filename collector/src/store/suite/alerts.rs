//! Alerts, silences and what is to be sent, as a store keeps them.

use std::sync::Arc;

use crate::domain::{Alert, AlertState, Delivery, DeliveryState, Group, Notice, Severity, Silence, Telling};
use crate::store::{AlertChange, Store};

pub(super) async fn run<S: Store + 'static>(fresh: &mut impl AsyncFnMut() -> S) {
    what_is_open_is_open_once(&fresh().await).await;
    a_step_is_from_what_is_there(&fresh().await).await;
    taking_on_is_done_once(&fresh().await).await;
    one_of_many_collectors_opens_and_sends(Arc::new(fresh().await)).await;
    deliveries_come_in_their_order(&fresh().await).await;
    silences_end(&fresh().await).await;
    what_is_over_is_forgotten_and_numbers_go_on(&fresh().await).await;
}

async fn what_is_open_is_open_once(store: &dyn Store) {
    let first = alert("mine", "chat");
    assert_eq!(open(store, &first, None, &["a", "b"]).await, Some(1));
    assert_eq!(open(store, &first, Some(5), &["a"]).await, None, "it is open");
    assert_eq!(open(store, &alert("mine", "tools"), None, &[]).await, Some(2));
    assert_eq!(open(store, &alert("other", "chat"), Some(9), &[]).await, None, "it was never told");
    let kept = store.alert(1).await.unwrap().unwrap();
    assert_eq!(kept, Alert { id: 1, ..first.clone() });
    assert_eq!(store.alert(9).await.unwrap(), None);
    assert_eq!(store.open_alerts().await.unwrap().len(), 2);
    let told =
        async |rule: &str, route: &str| store.last_told(rule.to_owned(), group(route).text()).await.unwrap();
    assert_eq!((told("mine", "chat").await, told("mine", "none").await), (Some(5), None));
    let resolved = Alert { state: AlertState::Resolved, resolved_ms: Some(8), ..kept };
    assert_eq!(step(store, &resolved).await, Some(1));
    assert_eq!(open(store, &first, None, &[]).await, None, "it was told since");
    assert_eq!(open(store, &first, Some(5), &[]).await, Some(3));
    let page = store.alerts(None, 2, None).await.unwrap();
    assert_eq!(page.iter().map(|alert| alert.id).collect::<Vec<_>>(), [3, 2]);
    let resolved = store.alerts(Some(AlertState::Resolved), 9, Some(3)).await.unwrap();
    assert_eq!(resolved.iter().map(|alert| (alert.id, alert.version)).collect::<Vec<_>>(), [(1, 1)]);
}

async fn a_step_is_from_what_is_there(store: &dyn Store) {
    open(store, &alert("mine", "chat"), None, &[]).await;
    let before = store.alert(1).await.unwrap().unwrap();
    let seen = Alert { seen_ms: 9, value: 2.5, summary: "more".to_owned(), ..before.clone() };
    assert_eq!(step(store, &seen).await, Some(1));
    assert_eq!(step(store, &seen).await, None, "somebody was faster");
    assert_eq!(store.alert(1).await.unwrap().unwrap(), Alert { version: 1, ..seen });
}

async fn taking_on_is_done_once(store: &dyn Store) {
    open(store, &alert("mine", "chat"), None, &[]).await;
    let take = async |id, who: &str| {
        let change = AlertChange::Acknowledge { id, who: who.to_owned(), at_ms: 7 };
        store.change_alerts(change).await.unwrap()
    };
    assert_eq!(take(2, "ann").await, None);
    assert_eq!(take(1, "ann").await, Some(1));
    assert_eq!(take(1, "bob").await, None);
    let taken = store.alert(1).await.unwrap().unwrap();
    assert_eq!((taken.acknowledged_by.as_deref(), taken.version), (Some("ann"), 1));
    assert_eq!(taken.state, AlertState::Acknowledged);
}

async fn one_of_many_collectors_opens_and_sends<S: Store + 'static>(store: Arc<S>) {
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                let opened = open(&*store, &alert("mine", "chat"), None, &["a"]).await;
                (opened.is_some(), claim(&*store, 1, 10).await)
            })
        })
        .collect();
    let (mut n_opened, mut n_claimed) = (0, 0);
    for task in tasks {
        let (opened, claimed) = task.await.unwrap();
        n_opened += u32::from(opened);
        n_claimed += u32::from(claimed);
    }
    assert_eq!((n_opened, n_claimed), (1, 1));
    assert_eq!(store.deliveries(None, 9, None).await.unwrap().len(), 1);
}

async fn deliveries_come_in_their_order(store: &dyn Store) {
    let told = alert("mine", "chat");
    open(store, &told, None, &["a", "b"]).await;
    let before = store.alert(1).await.unwrap().unwrap();
    let deliveries = vec![Delivery::new("a", notice(Telling::Resolved))];
    store.change_alerts(AlertChange::Step { alert: Box::new(before), deliveries }).await.unwrap();
    let due = async |now_ms| -> Vec<i64> {
        store.due_deliveries(now_ms, 9).await.unwrap().into_iter().map(|due| due.id).collect()
    };
    assert_eq!(due(4).await, [0; 0], "not before its time");
    assert_eq!(due(5).await, [1, 2], "the end waits for the beginning");
    assert!(claim(store, 1, 5).await);
    assert!(!claim(store, 1, 5).await);
    assert_eq!(due(5).await, [2], "somebody is at it");
    assert_eq!(due(5 + CLAIM_MS).await, [1, 2], "and has not come back");
    let mut first = store.deliveries(Some(1), 9, Some(2)).await.unwrap().remove(0);
    assert_eq!((first.attempts, first.notice.kind), (1, Telling::Firing));
    (first.outcome, first.next_ms) = ("it answers 500".to_owned(), 100);
    assert!(sent(store, &first).await);
    assert_eq!(due(50).await, [2]);
    assert!(claim(store, 1, 100).await);
    let late = Delivery { state: DeliveryState::Delivered, ..first.clone() };
    assert!(!sent(store, &late).await, "that attempt is over");
    let done = Delivery { attempts: 2, done_ms: Some(101), ..late };
    assert!(sent(store, &done).await);
    assert_eq!(due(101).await, [2, 3]);
    let log = store.deliveries(None, 9, None).await.unwrap();
    assert_eq!(log.iter().map(|each| each.id).collect::<Vec<_>>(), [3, 2, 1]);
    assert_eq!(log[2], Delivery { claimed_until_ms: 0, ..done });
    let test = Delivery::new("a", notice(Telling::Test));
    let logged = store.change_alerts(AlertChange::Log(Box::new(test))).await.unwrap();
    assert_eq!(logged, Some(4));
    assert_eq!(store.deliveries(Some(1), 9, None).await.unwrap().len(), 3);
}

async fn silences_end(store: &dyn Store) {
    for ends_ms in [50, 70] {
        let made = store.change_alerts(AlertChange::PutSilence(silence(ends_ms))).await.unwrap();
        assert!(made.is_some());
    }
    let ids = async |after_ms, before| -> Vec<i64> {
        store.silences(after_ms, 9, before).await.unwrap().into_iter().map(|each| each.id).collect()
    };
    assert_eq!(
        (ids(0, None).await, ids(0, Some(2)).await, ids(50, None).await),
        (vec![2, 1], vec![1], vec![2])
    );
    let end = async |id| store.change_alerts(AlertChange::EndSilence { id, at_ms: 60 }).await.unwrap();
    assert_eq!((end(2).await, end(2).await, end(1).await, end(9).await), (Some(2), None, None, None));
    let ended = store.silences(0, 9, None).await.unwrap().remove(0);
    assert_eq!(ended, Silence { id: 2, ends_ms: 60, ..silence(70) });
}

async fn what_is_over_is_forgotten_and_numbers_go_on(store: &dyn Store) {
    for route in ["a", "b", "c"] {
        let id = open(store, &alert("mine", route), None, &["s"]).await.unwrap();
        let there = store.alert(id).await.unwrap().unwrap();
        let resolved = Alert { state: AlertState::Resolved, resolved_ms: Some(id), ..there };
        step(store, &resolved).await;
    }
    store.change_alerts(AlertChange::Forget { before_ms: 3 }).await.unwrap();
    let left: Vec<i64> =
        store.alerts(None, 9, None).await.unwrap().into_iter().map(|alert| alert.id).collect();
    assert_eq!(left, [3]);
    assert_eq!(store.deliveries(None, 9, None).await.unwrap().len(), 3, "they are not done");
    store.change_alerts(AlertChange::Forget { before_ms: 99 }).await.unwrap();
    assert_eq!(open(store, &alert("mine", "d"), None, &[]).await, Some(4));
}

/// Something of each.
pub(in crate::store) async fn fill(store: &dyn Store) {
    open(store, &alert("mine", "chat"), None, &["a"]).await.unwrap();
    store.change_alerts(AlertChange::PutSilence(silence(70))).await.unwrap().unwrap();
}

/// What is there, as text.
pub(in crate::store) async fn answers(store: &dyn Store) -> String {
    format!(
        "{:?} {:?} {:?}",
        store.alerts(None, 9, None).await,
        store.silences(0, 9, None).await,
        store.deliveries(None, 9, None).await
    )
}

async fn open(store: &dyn Store, alert: &Alert, last_told_ms: Option<i64>, sinks: &[&str]) -> Option<i64> {
    let deliveries = sinks.iter().map(|sink| Delivery::new(sink, notice(Telling::Firing))).collect();
    let change = AlertChange::Open { alert: Box::new(alert.clone()), last_told_ms, deliveries };
    store.change_alerts(change).await.unwrap()
}

async fn step(store: &dyn Store, alert: &Alert) -> Option<i64> {
    let change = AlertChange::Step { alert: Box::new(alert.clone()), deliveries: Vec::new() };
    store.change_alerts(change).await.unwrap()
}

async fn claim(store: &dyn Store, id: i64, now_ms: i64) -> bool {
    let change = AlertChange::Claim { id, now_ms, until_ms: now_ms + CLAIM_MS };
    store.change_alerts(change).await.unwrap().is_some()
}

async fn sent(store: &dyn Store, delivery: &Delivery) -> bool {
    store.change_alerts(AlertChange::Sent(Box::new(delivery.clone()))).await.unwrap().is_some()
}

fn group(route: &str) -> Group {
    [("route", route)].into_iter().collect()
}

fn alert(rule: &str, route: &str) -> Alert {
    Alert {
        id: 0,
        version: 0,
        rule: rule.to_owned(),
        severity: Severity::Warning,
        group: group(route),
        state: AlertState::Firing,
        summary: "so it is".to_owned(),
        value: 1.5,
        opened_ms: 5,
        seen_ms: 5,
        told_ms: Some(5),
        told_to: vec!["a".to_owned(), "b".to_owned()],
        acknowledged_ms: None,
        acknowledged_by: None,
        resolved_ms: None,
    }
}

fn notice(kind: Telling) -> Notice {
    Notice {
        kind,
        rule: "mine".to_owned(),
        severity: Severity::Warning,
        group: group("chat"),
        summary: "so it is".to_owned(),
        value: 1.5,
        opened_ms: 5,
        at_ms: 5,
    }
}

fn silence(ends_ms: i64) -> Silence {
    Silence {
        id: 0,
        rule: Some("mine".to_owned()),
        group: group("chat"),
        starts_ms: 1,
        ends_ms,
        reason: "we know".to_owned(),
        made_by: "ann".to_owned(),
        made_ms: 1,
    }
}

const CLAIM_MS: i64 = 1_000;
