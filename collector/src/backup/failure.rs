//! Why something was not done, by who must act.

use std::fmt::Display;
use std::io;
use std::path::Path;

use crate::vault::{Refused, StreamRefused};

#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Whoever asked: another file, another key, another place.
    #[error("{0}")]
    Input(String),
    /// A backup that is not what was sealed.
    #[error("{0}")]
    Damaged(String),
    /// The machine: no space, no rights, no answer.
    #[error("{0}")]
    Machine(String),
}

impl Failure {
    pub(super) fn machine(path: &Path, error: &dyn Display) -> Self {
        Self::Machine(format!("{}: {error}", path.display()))
    }

    pub(super) fn input(path: &Path, error: &dyn Display) -> Self {
        Self::Input(format!("{}: {error}", path.display()))
    }

    pub(super) fn damaged(path: &Path, error: &dyn Display) -> Self {
        Self::Damaged(format!("{}: {error}", path.display()))
    }

    /// Of reading a sealed file: what was sealed otherwise is told from a disk that does not answer, and from a key that
    /// was not given.
    pub(super) fn reading(path: &Path, error: &io::Error) -> Self {
        let refused = error.get_ref().and_then(|source| source.downcast_ref::<StreamRefused>());
        match refused {
            Some(StreamRefused::Key(Refused::UnknownKek(_))) => Self::input(path, error),
            Some(_) => Self::damaged(path, error),
            None if error.kind() == io::ErrorKind::NotFound => Self::input(path, error),
            None => Self::machine(path, error),
        }
    }
}
