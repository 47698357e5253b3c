//! Who may come in: keys, wallets, values of a provider's claim, signing in, the first admin.

use schemars::JsonSchema;
use serde_json::{Value, json};

use super::operation::Operation;
use super::parameter::{Parameter, one_of, page_size, path, pattern, query, text};
use crate::http::people::holders::{self, VALUE_BYTES_MAX};
use crate::http::people::{Myself, bootstrap, keys, sign_in};

pub(super) fn operations() -> Vec<Operation> {
    let of_wallets = of_holders(
        ["/v1/wallets", "/v1/wallets/{address}"],
        ["listWallets", "getWallet", "setWallet", "removeWallet"],
        [
            "Addresses that may sign in",
            "The roles of an address",
            "Give an address these roles, and no others",
            "Take all roles from an address",
        ],
        || path("address", pattern(ADDRESS), WALLET, "An Ed25519 key in base58."),
    );
    let of_claims = of_holders(
        ["/v1/claims", "/v1/claims/{value}"],
        ["listClaims", "getClaim", "setClaim", "removeClaim"],
        [
            "Values of the provider's claim that mean roles",
            "The roles of a value",
            "Give a value these roles, and no others",
            "Take all roles from a value",
        ],
        || path("value", claim(), "sentinel-analysts", "A value of the claim."),
    );
    let [wallets, wallet, set_wallet, remove_wallet] = of_wallets;
    let [claims, value, set_value, remove_value] = of_claims;
    let mut all = vec![
        wallets.answers::<Wallets>(200, "One page, in the order of addresses."),
        wallet.answers::<Wallet>(200, "The address with its roles."),
        set_wallet.answers::<Wallet>(200, "The address with its roles."),
        remove_wallet.answers::<FormerWallet>(200, "It has no roles any more."),
        claims.answers::<Claims>(200, "One page, in the order of values."),
        value.answers::<Claim>(200, "The value with its roles."),
        set_value.answers::<Claim>(200, "The value with its roles.").or("conflict"),
        remove_value.answers::<FormerClaim>(200, "It means no roles any more."),
    ];
    all.extend(of_keys());
    all.extend(of_signing_in());
    all
}

/// To list, to get one, to set one, to remove one; without what differs.
fn of_holders(
    [several, one]: [&'static str; 2],
    [list, get, set, remove]: [&'static str; 4],
    [about_list, about_get, about_set, about_remove]: [&'static str; 4],
    name: fn() -> Parameter,
) -> [Operation; 4] {
    [
        Operation::new("GET", several, TAG, list, about_list)
            .reads_query()
            .with(query("limit", page_size(holders::LIMIT_MAX, holders::LIMIT_DEFAULT), "How many, at most."))
            .with(query("after", text(), "`next` of the page before.")),
        Operation::new("GET", one, TAG, get, about_get).with(name()).or("bad_parameter").or("not_found"),
        Operation::new("PUT", one, TAG, set, about_set)
            .with(name())
            .reads_query()
            .with(force())
            .takes::<holders::Wanted>(json!({"roles": ["analyst"]}))
            .or("last_admin"),
        Operation::new("DELETE", one, TAG, remove, about_remove)
            .with(name())
            .reads_query()
            .with(force())
            .or("last_admin")
            .or("not_found"),
    ]
}

fn of_keys() -> [Operation; 4] {
    let id = || path("id", pattern("^[0-9a-zA-Z]+$"), "aaaaaaaa", "The id of a key.");
    [
        Operation::new("GET", "/v1/keys", TAG, "listKeys", "Keys of programs, without their secrets")
            .reads_query()
            .with(query("limit", page_size(keys::LIMIT_MAX, keys::LIMIT_DEFAULT), "How many, at most."))
            .with(query("after", text(), "`next` of the page before."))
            .answers::<keys::List>(200, "One page."),
        Operation::new("POST", "/v1/keys", TAG, "createKey", "Make a key")
            .takes::<keys::Wanted>(json!({"label": "filters in Oslo", "roles": ["ingest"]}))
            .answers::<keys::Made>(201, "The key, with its secret this once.")
            .or("conflict"),
        Operation::new(
            "POST",
            "/v1/keys/{id}/rotate",
            TAG,
            "rotateKey",
            "Make a successor; both work for a while",
        )
        .with(id())
        .may_take::<keys::Rotation>(json!({"grace_ms": 3_600_000}))
        .answers::<keys::Made>(201, "The successor, with its secret this once.")
        .or("not_found")
        .or("conflict"),
        Operation::new("POST", "/v1/keys/{id}/revoke", TAG, "revokeKey", "End a key at once")
            .with(id())
            .reads_query()
            .with(force())
            .may_take::<keys::Nothing>(json!({}))
            .answers::<keys::Shown>(200, "The key as it is now.")
            .or("last_admin")
            .or("not_found"),
    ]
}

fn force() -> Parameter {
    query("force", one_of(&["true", "false"]), "Also if no admin could come in afterwards.")
}

fn of_signing_in() -> [Operation; 4] {
    [
        Operation::new("GET", "/v1/whoami", TAG, "whoAmI", "Who one is, and what one may do")
            .answers::<Myself>(200, "What the token stands for."),
        Operation::new(
            "POST",
            "/v1/auth/wallet/challenge",
            TAG,
            "askForChallenge",
            "A text for a wallet to sign",
        )
        .takes::<sign_in::Asked>(json!({"address": WALLET}))
        .answers::<sign_in::Challenge>(200, "To be signed byte for byte, within five minutes, once.")
        .or("not_found")
        .or("store_unavailable"),
        Operation::new(
            "POST",
            "/v1/auth/wallet/session",
            TAG,
            "beginSession",
            "Sign in with a signed challenge",
        )
        .takes::<sign_in::Answered>(json!({"address": WALLET, "nonce": "", "signature": ""}))
        .answers::<sign_in::Session>(200, "A token for an hour.")
        .or("not_found")
        .or("unauthorized")
        .or("too_many_failures")
        .or("store_unavailable"),
        Operation::new("POST", "/v1/bootstrap", TAG, "makeFirstAdmin", "Make the first admin")
            .proven_by("firstToken")
            .takes::<bootstrap::Wanted>(json!({"key": "ann"}))
            .answers::<FirstAdmin>(201, "The admin: a key, a wallet, or a value of the claim.")
            .or("unauthorized")
            .or("conflict")
            .or("too_many_failures")
            .or("store_unavailable"),
    ]
}

fn claim() -> Value {
    json!({"type": "string", "minLength": 1, "maxLength": VALUE_BYTES_MAX, "pattern": "^[!-~]+$"})
}

/// The forms that [`holders`] writes for its two kinds.
macro_rules! holder_forms {
    ($several:ident, $one:ident, $former:ident, $list:ident, $name:ident) => {
        #[derive(JsonSchema)]
        #[expect(dead_code, reason = "the form of what one handler writes for two kinds")]
        struct $several {
            $list: Vec<$one>,
            next: Option<String>,
        }

        #[derive(JsonSchema)]
        #[expect(dead_code, reason = "as above")]
        struct $one {
            $name: String,
            roles: Vec<String>,
            at_ms: i64,
        }

        #[derive(JsonSchema)]
        #[expect(dead_code, reason = "as above")]
        struct $former {
            $name: String,
            #[schemars(length(max = 0))]
            roles: Vec<String>,
        }
    };
}

holder_forms!(Wallets, Wallet, FormerWallet, wallets, address);
holder_forms!(Claims, Claim, FormerClaim, claims, value);

#[derive(JsonSchema)]
#[schemars(untagged)]
#[schemars(rename = "NewAdmin")]
#[expect(dead_code, reason = "the form of what the handler writes")]
enum FirstAdmin {
    Key(keys::Made),
    Wallet { wallet: String, roles: Vec<String> },
    Claim { claim: String, roles: Vec<String> },
}

const TAG: &str = "access";
const ADDRESS: &str = "^[1-9A-HJ-NP-Za-km-z]{32,44}$";
/// Somebody's whose secret everybody knows.
const WALLET: &str = "AKnL4NNf3DGWZJS6cPknBuEGnVsV4A4m5tgebLHaRSZ9";
