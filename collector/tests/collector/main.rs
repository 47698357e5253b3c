//! The collector as its clients see it: through HTTP on a real socket, with a fresh database for each test.
#![expect(clippy::unwrap_used, reason = "a test's panic is its report, also in the helpers that tests share")]
#![expect(clippy::panic, reason = "as above")]
#![expect(clippy::indexing_slicing, reason = "an index that is not there fails the test, as it should")]

mod support;

mod access;
mod audit;
mod auth;
mod backup;
mod backup_faults;
mod bundles;
mod deployments;
mod durability;
mod export;
mod ingest;
mod leases;
mod operate;
mod queries;
mod read;
mod redis;
mod replicas;
mod second_opinion;
mod subjects;
mod tls;
mod trials;
mod witness;
mod witnesses;
