//! Who may come in, as a store keeps it.

use crate::access::api_key::{ApiKey, Grant, KeyId, RANDOM_BYTES};
use crate::access::bootstrap::{Bootstrap, LIFETIME_MS};
use crate::access::permission::{Permission, Permissions};
use crate::access::role::{Role, Roles};
use crate::domain::{Holder, HolderKind};
use crate::store::{Admin, PeopleChange, Store};

const NOW_MS: i64 = 1_800_000_000_000;

pub(super) async fn run<S: Store + 'static>(fresh: &mut impl AsyncFnMut() -> S) {
    a_key_is_found_as_it_was_put(&fresh().await).await;
    a_key_gets_one_successor(&fresh().await).await;
    the_first_revocation_stays(&fresh().await).await;
    roles_are_of_their_holder(&fresh().await).await;
    an_admin_is_one_who_can_come_in_now(&fresh().await).await;
    the_first_token_makes_one_admin(&fresh().await).await;
    many_at_once_make_one_admin(&fresh().await).await;
    a_nonce_is_used_once(&fresh().await).await;
}

async fn a_key_is_found_as_it_was_put(store: &dyn Store) {
    let plain = key(1, Role::Ingest);
    let mut full = key(2, Role::Admin);
    full.grant.scope = Some(Permissions::of(&[Permission::ManageKeys, Permission::ReadEvents]));
    full.grant.not_after_ms = Some(NOW_MS + 9);
    for each in [&plain, &full] {
        assert!(put(store, each).await);
        assert_eq!(told(&store.api_key(each.id).await.unwrap().unwrap()), told(each));
        assert!(!put(store, each).await, "the id is taken");
    }
    assert!(store.api_key(key(3, Role::Ingest).id).await.unwrap().is_none());
    let mut all: Vec<KeyId> = (1..=9).map(|seed| key(seed, Role::Ingest).id).collect();
    for seed in 3..=9 {
        put(store, &key(seed, Role::Ingest)).await;
    }
    all.sort();
    let (mut walked, mut after) = (Vec::new(), None);
    while let page = store.api_keys(after, 4).await.unwrap()
        && let Some(last) = page.last()
    {
        after = Some(last.id);
        walked.extend(page.iter().map(|key| key.id));
    }
    assert_eq!(walked, all);
}

async fn a_key_gets_one_successor(store: &dyn Store) {
    let (old, new, other) = (key(1, Role::Ingest), key(2, Role::Ingest), key(3, Role::Ingest));
    put(store, &old).await;
    let rotate = async |old: &ApiKey, new: &ApiKey| {
        let change = PeopleChange::Rotate { old: old.id, until_ms: NOW_MS + 5, new: Box::new(new.clone()) };
        store.change_people(change).await.unwrap()
    };
    assert!(!rotate(&old, &old).await, "the id is taken");
    assert!(store.api_key(old.id).await.unwrap().unwrap().replaced.is_none());
    assert!(rotate(&old, &new).await);
    let replaced = store.api_key(old.id).await.unwrap().unwrap().replaced.unwrap();
    assert_eq!((replaced.by, replaced.until_ms), (new.id, NOW_MS + 5));
    assert!(!rotate(&old, &other).await, "it has a successor");
    assert!(store.api_key(other.id).await.unwrap().is_none());
    store.change_people(PeopleChange::Revoke { id: new.id, at_ms: NOW_MS }).await.unwrap();
    assert!(!rotate(&new, &other).await, "it was revoked");
    assert!(!rotate(&other, &key(4, Role::Ingest)).await, "it is not there");
    assert!(store.api_key(key(4, Role::Ingest).id).await.unwrap().is_none());
}

async fn the_first_revocation_stays(store: &dyn Store) {
    let key = key(1, Role::Ingest);
    let revoke = async |at_ms| store.change_people(PeopleChange::Revoke { id: key.id, at_ms }).await.unwrap();
    assert!(!revoke(1).await);
    put(store, &key).await;
    assert!(revoke(2).await && revoke(3).await);
    assert_eq!(store.api_key(key.id).await.unwrap().unwrap().revoked_ms, Some(2));
}

async fn roles_are_of_their_holder(store: &dyn Store) {
    let (wallet, claim) = (HolderKind::Wallet, HolderKind::Claim);
    let several: Roles = [Role::Viewer, Role::Auditor].into_iter().collect();
    give(store, wallet, "b", Role::Viewer.into()).await;
    give(store, claim, "b", several).await;
    give(store, wallet, "a", several).await;
    give(store, wallet, "b", Role::Approver.into()).await;
    let of = async |kind, name: &str| {
        let holder = store.holder(kind, name.to_owned()).await.unwrap();
        holder.map(|holder| holder.roles)
    };
    assert_eq!(of(wallet, "b").await, Some(Role::Approver.into()));
    assert_eq!(of(claim, "b").await, Some(several));
    assert_eq!((of(claim, "a").await, of(wallet, "B").await), (None, None));
    let names = async |kind, after: Option<&str>, limit| {
        let after = after.map(str::to_owned);
        let found = store.holders(kind, after, limit).await.unwrap();
        found.into_iter().map(|holder| holder.name).collect::<Vec<_>>()
    };
    give(store, wallet, "B", several).await;
    assert_eq!(names(wallet, None, 9).await, ["B", "a", "b"], "byte by byte");
    assert_eq!(names(wallet, None, 2).await, ["B", "a"]);
    assert_eq!(names(wallet, Some("a"), 9).await, ["b"]);
    assert_eq!(names(claim, None, 9).await, ["b"]);
    let take_away = async |kind, name: &str| {
        store.change_people(PeopleChange::TakeAway { kind, name: name.to_owned() }).await.unwrap()
    };
    assert!(take_away(wallet, "b").await && !take_away(wallet, "b").await);
    assert_eq!((of(wallet, "b").await, of(claim, "b").await), (None, Some(several)));
}

async fn an_admin_is_one_who_can_come_in_now(store: &dyn Store) {
    let manage = |permission| Some(Permissions::of(&[permission]));
    let mut n = 0;
    let mut admin = |change: &dyn Fn(&mut ApiKey)| {
        n += 1;
        let mut key = key(n, Role::Admin);
        change(&mut key);
        key
    };
    let not = [
        key(99, Role::Approver),
        admin(&|key| key.grant.scope = manage(Permission::ReadEvents)),
        admin(&|key| key.revoked_ms = Some(1)),
        admin(&|key| key.grant.not_after_ms = Some(NOW_MS)),
    ];
    for key in not {
        put(store, &key).await;
        assert!(!store.has_admin(NOW_MS).await.unwrap(), "{key:?}");
    }
    let replaced = admin(&|_| {});
    put(store, &replaced).await;
    let new = Box::new(key(98, Role::Viewer));
    store.change_people(PeopleChange::Rotate { old: replaced.id, until_ms: NOW_MS, new }).await.unwrap();
    assert!(!store.has_admin(NOW_MS).await.unwrap(), "its grace is over");
    assert!(store.has_admin(NOW_MS - 1).await.unwrap(), "in its grace");
    let narrowed = admin(&|key| key.grant.scope = manage(Permission::ManageKeys));
    put(store, &narrowed).await;
    assert!(store.has_admin(NOW_MS).await.unwrap());
    store.change_people(PeopleChange::Revoke { id: narrowed.id, at_ms: 1 }).await.unwrap();
    for kind in [HolderKind::Wallet, HolderKind::Claim] {
        give(store, kind, "ann", [Role::Viewer, Role::Auditor].into_iter().collect()).await;
        assert!(!store.has_admin(NOW_MS).await.unwrap());
        give(store, kind, "ann", [Role::Viewer, Role::Admin].into_iter().collect()).await;
        assert!(store.has_admin(NOW_MS).await.unwrap());
        store.change_people(PeopleChange::TakeAway { kind, name: "ann".to_owned() }).await.unwrap();
    }
    assert!(!store.has_admin(NOW_MS).await.unwrap());
}

async fn the_first_token_makes_one_admin(store: &dyn Store) {
    assert!(store.bootstrap().await.unwrap().is_none());
    let (old, _) = Bootstrap::issue(&[1; 32], NOW_MS);
    let (new, _) = Bootstrap::issue(&[2; 32], NOW_MS);
    for each in [&old, &new] {
        assert!(store.change_people(PeopleChange::PutBootstrap(each.clone())).await.unwrap());
    }
    let redeem = async |bootstrap: &Bootstrap, key: &ApiKey, now_ms| {
        let admin = Box::new(Admin::Key(key.clone()));
        let change = PeopleChange::FirstAdmin { token: bootstrap.hash.clone(), admin, now_ms };
        store.change_people(change).await.unwrap()
    };
    let admin = key(1, Role::Admin);
    assert!(!redeem(&old, &admin, NOW_MS).await, "another token took its place");
    assert!(!redeem(&new, &admin, NOW_MS + LIFETIME_MS).await, "it has expired");
    put(store, &key(2, Role::Ingest)).await;
    assert!(!redeem(&new, &key(2, Role::Admin), NOW_MS).await, "the id is taken");
    assert!(!store.bootstrap().await.unwrap().unwrap().spent, "what was not done spends nothing");
    assert!(redeem(&new, &admin, NOW_MS + LIFETIME_MS - 1).await);
    assert!(store.bootstrap().await.unwrap().unwrap().spent);
    store.change_people(PeopleChange::Revoke { id: admin.id, at_ms: 1 }).await.unwrap();
    assert!(!redeem(&new, &key(3, Role::Admin), NOW_MS).await, "it is spent, with an admin or without");
    store.change_people(PeopleChange::PutBootstrap(old.clone())).await.unwrap();
    give(store, HolderKind::Wallet, "ann", Role::Admin.into()).await;
    assert!(!redeem(&old, &key(3, Role::Admin), NOW_MS).await, "there is an admin");
}

async fn many_at_once_make_one_admin(store: &dyn Store) {
    let (bootstrap, _) = Bootstrap::issue(&[1; 32], NOW_MS);
    store.change_people(PeopleChange::PutBootstrap(bootstrap.clone())).await.unwrap();
    let redeem = |name: &str| {
        let holder = Holder {
            kind: HolderKind::Wallet,
            name: name.to_owned(),
            roles: Role::Admin.into(),
            at_ms: NOW_MS,
        };
        let (token, admin) = (bootstrap.hash.clone(), Box::new(Admin::Holder(holder)));
        store.change_people(PeopleChange::FirstAdmin { token, admin, now_ms: NOW_MS })
    };
    let (a, b, c) = tokio::join!(redeem("a"), redeem("b"), redeem("c"));
    assert_eq!([a, b, c].into_iter().filter(|done| *done.as_ref().unwrap()).count(), 1);
    assert_eq!(store.holders(HolderKind::Wallet, None, 9).await.unwrap().len(), 1);
}

async fn a_nonce_is_used_once(store: &dyn Store) {
    let using = async |nonce: &str, until_ms, now_ms| {
        let change = PeopleChange::UseNonce { nonce: nonce.to_owned(), until_ms, now_ms };
        store.change_people(change).await.unwrap()
    };
    assert!(using("a", 100, 1).await && using("b", 200, 1).await);
    assert!(!using("a", 300, 99).await, "used until its end, which nobody moves");
    assert!(!using("b", 200, 199).await);
    assert!(using("a", 300, 100).await, "forgotten");
    assert!(!using("a", 300, 100).await);
}

pub(super) async fn put(store: &dyn Store, key: &ApiKey) -> bool {
    store.change_people(PeopleChange::PutKey(Box::new(key.clone()))).await.unwrap()
}

pub(super) async fn give(store: &dyn Store, kind: HolderKind, name: &str, roles: Roles) {
    let holder = Holder { kind, name: name.to_owned(), roles, at_ms: NOW_MS };
    assert!(store.change_people(PeopleChange::Give(holder)).await.unwrap());
}

pub(super) fn key(seed: u8, role: Role) -> ApiKey {
    let grant = Grant { label: format!("key {seed}"), roles: role.into(), scope: None, not_after_ms: None };
    ApiKey::issue(grant, &[seed; RANDOM_BYTES], NOW_MS - 1_000).unwrap().key
}

/// All of a key, for there is no `==` for hashes.
fn told(key: &ApiKey) -> String {
    format!("{key:?} {:?}", key.hash.as_bytes())
}
