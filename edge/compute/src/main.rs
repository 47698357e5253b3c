//! The guard as a program for Fastly Compute, and for Viceroy, which is its host on one's own machine.
//!
//! An instance has one request at a time and stays for the next one, and what it remembers it keeps. Rules are compiled before
//! the program is shipped.
//!
//! | file | what |
//! |---|---|
//! | `prepared.rs`, `heap.rs` | what all instances begin with; the allocator |
//! | `site.rs` | what the exchanges of an instance have in common |
//! | `exchange.rs`, `way.rs`, `head.rs` | one exchange, one direction of it, heads of messages |
//! | `settings.rs`, `bundles.rs` | what the stores of the service say |
//! | `calls.rs` | calls to the collector |
//! | `raw.rs` | calls of the host that the SDK has no safe form of |
//!
//! Invariant: this program decides nothing about content, and no input makes it panic. A panic would end the instance with
//! what it had not sent.
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod bundles;
mod calls;
mod clock;
mod exchange;
mod head;
mod heap;
mod prepared;
mod raw;
mod settings;
mod site;
mod way;

use std::time::{Duration, Instant};

use fastly::{
    Request, Response,
    http::serve::{NextRequestError, NextRequestOptions, RequestPromise},
};

use self::site::Site;

fn main() {
    let mut site = match Site::start(seed()) {
        Ok(site) => site,
        Err(error) => {
            eprintln!("sentinel: {error}");
            return Response::from_status(503).send_to_client();
        }
    };
    let mut next = Some(Request::from_client());
    while let Some(request) = next {
        site.serve(request);
        next = wait(&mut site);
    }
    site.end();
}

/// Does what there is to do until another request comes. `None`: none will.
fn wait(site: &mut Site) -> Option<Request> {
    let until = Instant::now() + site.idle();
    let mut promise = RequestPromise::new(&NextRequestOptions::from_timeout(site.idle())).ok()?;
    loop {
        let free = site.tend();
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return None;
        }
        match promise.wait_timeout(free.min(left).max(Duration::from_millis(1))) {
            Ok(request) => return Some(request),
            Err(NextRequestError::Timeout(again)) => promise = again,
            Err(_) => return None,
        }
    }
}

/// From the host's source of chance, which the standard library's hashers are seeded with.
fn seed() -> [u8; 32] {
    use std::hash::{BuildHasher, RandomState};
    let mut seed = [0; 32];
    for (idx, eight) in seed.chunks_mut(8).enumerate() {
        eight.copy_from_slice(&RandomState::new().hash_one(idx).to_le_bytes());
    }
    seed
}
