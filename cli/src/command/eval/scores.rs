//! What each row came to, for whoever wants to look at them one by one: `--scores FILE`.
//!
//! A line of JSON for each row that was judged, with the number of its line in the data. Texts are not repeated, so the file
//! may be kept where the data may not.

use std::{
    fs::File,
    io::{BufWriter, Write},
    path::Path,
};

use serde_json::json;

use super::stages::Judged;
use crate::report::Fault;

pub(super) struct Scores {
    file: BufWriter<File>,
    name: String,
}

impl Scores {
    pub(super) fn create(path: &Path) -> Result<Self, Fault> {
        let name = path.display().to_string();
        let file = File::create(path).map_err(|error| Fault::Input(format!("{name}: {error}")))?;
        Ok(Self { file: BufWriter::new(file), name })
    }

    pub(super) fn add(&mut self, line: usize, is_attack: bool, judged: &Judged) -> Result<(), Fault> {
        let Judged { score, is_flagged, is_blocked, second_looks, is_asked, rules } = judged;
        let row = json!({
            "line": line,
            "label": u8::from(is_attack),
            "score": score,
            "flagged": is_flagged,
            "blocked": is_blocked,
            "second_looks": second_looks,
            "asked": is_asked,
            "rules": rules.iter().map(|(id, moved)| json!([id, moved])).collect::<Vec<_>>(),
        });
        writeln!(self.file, "{row}").map_err(|error| self.fault(&error))
    }

    pub(super) fn end(mut self) -> Result<(), Fault> {
        self.file.flush().map_err(|error| self.fault(&error))
    }

    fn fault(&self, error: &std::io::Error) -> Fault {
        Fault::Input(format!("{}: {error}", self.name))
    }
}
