//! Case files: an exchange and what is expected of it. The project's own cases and `sentinel policy test` read the same
//! form and hold it against the same laws.
//!
//! | module | what |
//! |---|---|
//! | [`case`] | the form of a case file, and the exchange that it describes |
//! | [`expect`] | what a case expects, what every case must hold, and what two engines must agree on |
//! | [`native`] | the engine that needs no host: the core by itself |
//!
//! How to write cases is said in `tests/tests/cases.rs`.
#![forbid(unsafe_code)]

pub mod case;
pub mod expect;
pub mod native;
