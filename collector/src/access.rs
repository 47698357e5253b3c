//! Who may do what: roles, and the ways to show that one has them.
//!
//! [`role`] says what each role may do, [`principal`] is somebody who was let in. There are four ways in: [`api_key`] for
//! programs, [`jwt`] for people of an identity provider, [`wallet`] for people with a key of their own, and
//! [`bootstrap`] for the first of them all. [`throttle`] slows down guessing, [`headers`] protects browsers.
//!
//! Invariant: no clock, no chance, no I/O and no panic. The time and random bytes are arguments, whatever arrives from
//! outside is refused or understood in full, and what is refused says why without repeating a secret.

pub(crate) mod api_key;
pub(crate) mod base58;
pub(crate) mod base64url;
pub(crate) mod bootstrap;
pub(crate) mod bounded;
pub(crate) mod challenge;
pub(crate) mod ed25519;
pub(crate) mod headers;
pub(crate) mod jwks;
pub(crate) mod jws;
pub(crate) mod jwt;
pub(crate) mod key_refresh;
pub(crate) mod permission;
pub(crate) mod principal;
pub(crate) mod recent;
pub(crate) mod refusals;
pub(crate) mod rfc3339;
pub(crate) mod role;
pub(crate) mod secret;
pub(crate) mod session;
pub(crate) mod strict_json;
pub(crate) mod throttle;
pub(crate) mod token_error;
pub(crate) mod wallet;
