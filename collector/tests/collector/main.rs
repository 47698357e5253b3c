//! The collector as its clients see it: through HTTP on a real socket, with a fresh database for each test.
#![expect(clippy::unwrap_used, reason = "a test's panic is its report, also in the helpers that tests share")]
#![expect(clippy::panic, reason = "as above")]
#![expect(clippy::indexing_slicing, reason = "an index that is not there fails the test, as it should")]

#[path = "../../src/outgoing/tests/certificates.rs"]
mod certificates;
mod support;

mod access;
mod alerts;
mod audit;
mod auth;
mod backup;
mod backup_faults;
mod backup_keys;
mod backup_postgres;
mod bundles;
mod canaries;
mod dashboard;
mod deployments;
mod durability;
mod export;
mod expositions;
mod health;
mod ingest;
mod leases;
mod monitor;
mod openapi;
mod operate;
mod queries;
mod read;
mod redis;
mod refusals;
mod renamed_log;
mod replicas;
mod second_opinion;
mod subjects;
mod tls;
mod traces;
mod trials;
mod witness;
mod witnesses;
