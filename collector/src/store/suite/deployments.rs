//! What every store must do with bundles, deployments and feedback.

use std::sync::Arc;

use crate::domain::{Deed, Entry, Label, Mode, Plan, Pushed, State, samples};
use crate::store::{Change, Feedback, Store};

pub(crate) async fn run<S: Store + 'static>(mut fresh: impl AsyncFnMut() -> S) {
    a_bundle_is_kept_byte_for_byte(&fresh().await).await;
    a_version_of_a_name_is_one_bundle(&fresh().await).await;
    a_deployment_is_kept_with_everything_that_was_done(&fresh().await).await;
    only_one_deployment_is_open(&fresh().await).await;
    of_many_that_begin_at_once_one_does(Arc::new(fresh().await)).await;
    the_active_bundle_is_the_last_promoted(&fresh().await).await;
    pages_go_backwards(&fresh().await).await;
    a_second_word_replaces_the_first(&fresh().await).await;
}

async fn a_bundle_is_kept_byte_for_byte(store: &dyn Store) {
    let bytes: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    let mut pushed = samples::pushed("a", 1);
    (pushed.info.bytes, pushed.bytes) = (bytes.len(), bytes);
    assert!(store.change(Change::PutBundle(pushed.clone())).await.unwrap());
    let found = store.bundle("a".to_owned()).await.unwrap().unwrap();
    assert_eq!((&found.info, &found.bytes), (&pushed.info, &pushed.bytes));
    assert!(store.bundle("b".to_owned()).await.unwrap().is_none());
    // Signed by other keys it is the same bundle with other bytes.
    pushed.bytes[7] = 99;
    assert!(store.change(Change::PutBundle(pushed.clone())).await.unwrap());
    assert_eq!(store.bundle("a".to_owned()).await.unwrap().unwrap().bytes, pushed.bytes);
    assert_eq!(store.bundles().await.unwrap(), [pushed.info]);
}

async fn a_version_of_a_name_is_one_bundle(store: &dyn Store) {
    put(store, "a", 1).await;
    put(store, "b", 2).await;
    assert!(!store.change(Change::PutBundle(samples::pushed("c", 2))).await.unwrap());
    let mut other_name = samples::pushed("c", 2);
    other_name.info.name = "another".to_owned();
    assert!(store.change(Change::PutBundle(other_name)).await.unwrap());
    let mut ids: Vec<String> = store.bundles().await.unwrap().into_iter().map(|info| info.id).collect();
    assert_eq!(ids.pop().as_deref(), Some("a"), "newest first");
    assert_eq!(ids.len(), 2);
}

async fn a_deployment_is_kept_with_everything_that_was_done(store: &dyn Store) {
    put(store, "active", 1).await;
    put(store, "candidate", 2).await;
    let plan = Plan { active: None, ..samples::plan(Mode::Canary) };
    assert!(begin(store, 1, &plan).await);
    let plan = samples::plan(Mode::Shadow);
    assert!(enter(store, 1, State::RolledBack, Deed::RolledBack).await);
    assert!(begin(store, 2, &plan).await);
    assert!(store.change(Change::Tally { number: 2, tally: "{\"n\":1}".to_owned() }).await.unwrap());
    assert!(enter(store, 2, State::Frozen, Deed::Frozen).await);
    assert!(enter(store, 2, State::Promoted, Deed::Promoted).await);
    let [newest, oldest] = &store.deployments(10, None).await.unwrap()[..] else { panic!() };
    assert_eq!(
        (newest.number, newest.state, newest.tally.as_deref()),
        (2, State::Promoted, Some("{\"n\":1}"))
    );
    assert_eq!(format!("{:?}", newest.plan), format!("{plan:?}"));
    let deeds: Vec<Deed> = newest.history.iter().map(|entry| entry.what).collect();
    assert_eq!(deeds, [Deed::Started, Deed::Frozen, Deed::Promoted]);
    assert_eq!(newest.history[1], entry(Deed::Frozen));
    assert_eq!((oldest.number, oldest.state, &oldest.plan.active), (1, State::RolledBack, &None));
    // What has ended stays as it is.
    assert!(!enter(store, 2, State::RolledBack, Deed::RolledBack).await);
    assert!(!store.change(Change::Tally { number: 2, tally: "{}".to_owned() }).await.unwrap());
    assert_eq!(store.deployments(1, None).await.unwrap()[0].history.len(), 3);
}

async fn only_one_deployment_is_open(store: &dyn Store) {
    put(store, "active", 1).await;
    put(store, "candidate", 2).await;
    let plan = samples::plan(Mode::Canary);
    assert!(begin(store, 1, &plan).await);
    assert!(!begin(store, 2, &plan).await);
    assert!(enter(store, 1, State::Frozen, Deed::Frozen).await);
    assert!(!begin(store, 2, &plan).await);
    assert!(enter(store, 1, State::RolledBack, Deed::RolledBack).await);
    assert!(!begin(store, 1, &plan).await, "the number is taken");
    assert!(begin(store, 2, &plan).await);
    let unknown = Plan { candidate: samples::info("nowhere", 9), ..plan };
    assert!(enter(store, 2, State::RolledBack, Deed::RolledBack).await);
    let change = Change::Begin {
        number: 3,
        plan: Box::new(unknown),
        state: State::Running,
        entry: entry(Deed::Started),
    };
    assert!(store.change(change).await.is_err());
    assert!(begin(store, 3, &samples::plan(Mode::Canary)).await, "the store works on after a failure");
}

async fn of_many_that_begin_at_once_one_does<S: Store + 'static>(store: Arc<S>) {
    put(&*store, "active", 1).await;
    put(&*store, "candidate", 2).await;
    let tasks: Vec<_> = (1..=8)
        .map(|number| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { begin(&*store, number, &samples::plan(Mode::Canary)).await })
        })
        .collect();
    let mut n_begun = 0;
    for task in tasks {
        n_begun += usize::from(task.await.unwrap());
    }
    assert_eq!((n_begun, store.deployments(10, None).await.unwrap().len()), (1, 1));
}

async fn the_active_bundle_is_the_last_promoted(store: &dyn Store) {
    assert_eq!(store.active_bundle().await.unwrap(), None);
    put(store, "active", 1).await;
    put(store, "candidate", 2).await;
    let first = Plan { candidate: samples::info("active", 1), active: None, ..samples::plan(Mode::Active) };
    let change = Change::Begin {
        number: 1,
        plan: Box::new(first),
        state: State::Promoted,
        entry: entry(Deed::Promoted),
    };
    assert!(store.change(change).await.unwrap());
    assert_eq!(store.active_bundle().await.unwrap().unwrap().id, "active");
    assert!(begin(store, 2, &samples::plan(Mode::Canary)).await);
    assert_eq!(store.active_bundle().await.unwrap().unwrap().id, "active");
    assert!(enter(store, 2, State::RolledBack, Deed::RolledBack).await);
    assert_eq!(store.active_bundle().await.unwrap().unwrap().id, "active");
    assert!(begin(store, 3, &samples::plan(Mode::Canary)).await);
    assert!(enter(store, 3, State::Promoted, Deed::Promoted).await);
    assert_eq!(store.active_bundle().await.unwrap().unwrap(), samples::pushed("candidate", 2).info);
}

async fn pages_go_backwards(store: &dyn Store) {
    put(store, "active", 1).await;
    put(store, "candidate", 2).await;
    for number in 1..=5 {
        assert!(begin(store, number, &samples::plan(Mode::Shadow)).await);
        assert!(enter(store, number, State::RolledBack, Deed::RolledBack).await);
    }
    for (limit, before, expected) in
        [(2, None, vec![5, 4]), (2, Some(4), vec![3, 2]), (9, Some(2), vec![1]), (9, Some(1), vec![])]
    {
        let found = store.deployments(limit, before).await.unwrap();
        assert_eq!(found.iter().map(|deployment| deployment.number).collect::<Vec<_>>(), expected);
    }
}

async fn a_second_word_replaces_the_first(store: &dyn Store) {
    let say = async |label| {
        let (event, who) = ("a-1".to_owned(), "token:000000".to_owned());
        store.change(Change::PutFeedback(Feedback { event, label, at_ms: 1, who })).await.unwrap();
        store.label("a-1".to_owned()).await.unwrap()
    };
    assert_eq!(store.label("a-1".to_owned()).await.unwrap(), None);
    assert_eq!(say(Label::FalsePositive).await, Some(Label::FalsePositive));
    assert_eq!(say(Label::TruePositive).await, Some(Label::TruePositive));
    assert_eq!(store.label("a-2".to_owned()).await.unwrap(), None);
}

async fn put(store: &dyn Store, id: &str, version: i64) {
    let Pushed { info, bytes } = samples::pushed(id, version);
    assert!(store.change(Change::PutBundle(Pushed { info, bytes })).await.unwrap());
}

async fn begin(store: &dyn Store, number: i64, plan: &Plan) -> bool {
    let entry = entry(Deed::Started);
    store
        .change(Change::Begin { number, plan: Box::new(plan.clone()), state: State::Running, entry })
        .await
        .unwrap()
}

async fn enter(store: &dyn Store, number: i64, state: State, what: Deed) -> bool {
    let entry = entry(what);
    store.change(Change::Enter { number, state, entry, tally: None }).await.unwrap()
}

fn entry(what: Deed) -> Entry {
    let figures = (what == Deed::Frozen).then(|| "{\"judged\":7}".to_owned());
    Entry { at_ms: 5_000, what, who: "token:000000".to_owned(), why: "because".to_owned(), figures }
}
