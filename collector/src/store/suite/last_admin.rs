//! The last admin of a store stays, also where two are taken away at once.

use super::people::{give, key, put};
use crate::access::role::Role;
use crate::domain::HolderKind;
use crate::store::{PeopleChange, Store, Ways};

const NOW_MS: i64 = 1_800_000_000_000;

pub(super) async fn run<S: Store + 'static>(fresh: &mut impl AsyncFnMut() -> S) {
    a_change_that_takes_the_last_admin_away_is_not_done(&fresh().await).await;
    ways_that_are_closed_do_not_count(&fresh().await).await;
    of_two_who_revoke_each_other_one_stays(&fresh().await).await;
}

async fn spared(store: &dyn Store, change: PeopleChange, ways: Ways) -> bool {
    let change = PeopleChange::UnlessLastAdmin { change: Box::new(change), ways, now_ms: NOW_MS };
    store.change_people(change).await.unwrap()
}

async fn a_change_that_takes_the_last_admin_away_is_not_done(store: &dyn Store) {
    let (admin, other) = (key(1, Role::Admin), key(2, Role::Viewer));
    put(store, &admin).await;
    put(store, &other).await;
    let revoke = |id| PeopleChange::Revoke { id, at_ms: NOW_MS };
    assert!(!spared(store, revoke(admin.id), Ways::ALL).await);
    assert_eq!(store.api_key(admin.id).await.unwrap().unwrap().revoked_ms, None);
    assert!(spared(store, revoke(other.id), Ways::ALL).await);
    // Its successor is the one to stay.
    let new = key(3, Role::Admin);
    let rotate = PeopleChange::Rotate { old: admin.id, until_ms: NOW_MS + 5, new: Box::new(new.clone()) };
    assert!(spared(store, rotate, Ways::ALL).await);
    assert!(!spared(store, revoke(new.id), Ways::ALL).await);
    assert!(spared(store, revoke(admin.id), Ways::ALL).await);
    assert!(!spared(store, revoke(new.id), Ways::ALL).await);
    // What is not there is not done for that reason.
    let nobody = PeopleChange::TakeAway { kind: HolderKind::Claim, name: "ops".to_owned() };
    assert!(!spared(store, nobody, Ways::ALL).await);
    // Where there is no admin, none is taken away.
    assert!(store.change_people(revoke(new.id)).await.unwrap());
    assert!(spared(store, revoke(other.id), Ways::ALL).await);
}

async fn ways_that_are_closed_do_not_count(store: &dyn Store) {
    let admin = key(1, Role::Admin);
    put(store, &admin).await;
    give(store, HolderKind::Wallet, "ann", Role::Admin.into()).await;
    give(store, HolderKind::Claim, "ops", Role::Admin.into()).await;
    let revoke = || PeopleChange::Revoke { id: admin.id, at_ms: NOW_MS };
    assert!(!spared(store, revoke(), Ways { wallets: false, claims: false }).await);
    assert!(spared(store, revoke(), Ways { wallets: false, claims: true }).await);
    let take_away = |kind, name: &str| PeopleChange::TakeAway { kind, name: name.to_owned() };
    assert!(!spared(store, take_away(HolderKind::Claim, "ops"), Ways { wallets: false, claims: true }).await);
    assert!(spared(store, take_away(HolderKind::Claim, "ops"), Ways::ALL).await);
    assert!(!spared(store, take_away(HolderKind::Wallet, "ann"), Ways::ALL).await);
    assert!(store.holder(HolderKind::Wallet, "ann".to_owned()).await.unwrap().is_some());
}

async fn of_two_who_revoke_each_other_one_stays(store: &dyn Store) {
    let (one, other) = (key(1, Role::Admin), key(2, Role::Admin));
    put(store, &one).await;
    put(store, &other).await;
    let revoke = |id| spared(store, PeopleChange::Revoke { id, at_ms: NOW_MS }, Ways::ALL);
    let (a, b) = tokio::join!(revoke(one.id), revoke(other.id));
    assert!(a != b, "{a} {b}");
    assert!(store.has_admin(NOW_MS).await.unwrap());
}
