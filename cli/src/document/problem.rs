//! What is wrong with a document, and where.

use std::{fmt, path::Path};

use serde_json::{Value, json};

use super::tree::Place;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    /// Missing where the document as a whole is meant.
    pub(crate) at: Option<Place>,
    /// Such as `profiles.default.level`; empty for the whole document.
    pub(crate) field: String,
    pub(crate) reason: String,
    /// The name that was meant, probably.
    pub(crate) nearest: Option<String>,
}

impl Problem {
    /// For people: `policy.yaml:4:5: profiles.default.levle: there is no such field; did you mean "level"?`
    pub(crate) fn line(&self, file: &Path, kind: &str) -> String {
        let place = self.at.map(|at| format!(":{}:{}", at.line, at.column)).unwrap_or_default();
        format!("{}{place}: {kind}{self}", file.display())
    }

    pub(crate) fn json(&self) -> Value {
        json!({
            "line": self.at.map(|at| at.line),
            "column": self.at.map(|at| at.column),
            "field": self.field,
            "reason": self.reason,
            "nearest": self.nearest,
        })
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        f.write_str(&self.reason)?;
        match &self.nearest {
            Some(name) => write!(f, "; did you mean {name:?}?"),
            None => Ok(()),
        }
    }
}
