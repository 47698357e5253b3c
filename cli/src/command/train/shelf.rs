//! Versions of a model in a folder: `0001.smdl`, `0002.smdl` and so on, and `current`, which names one of them. Nothing is
//! ever overwritten, so going back is writing one name.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use sentinel_core::hash;
use serde_json::{Value, json};

use super::{gate::Gate, read_artefact};
use crate::report::{Fault, Report, as_json};

#[derive(Debug)]
pub(super) struct Shelf<'a> {
    folder: &'a Path,
}

const CURRENT: &str = "current";

impl<'a> Shelf<'a> {
    pub(super) const fn new(folder: &'a Path) -> Self {
        Self { folder }
    }

    /// What a new version begins with, and its hash.
    pub(super) fn start(&self, chosen: Option<&Path>) -> Result<(&'static [u8], String), Fault> {
        let artefact = match (chosen, self.current()?) {
            (Some(path), _) => read_artefact(path)?,
            (None, Some(name)) => read_artefact(&self.folder.join(name))?,
            (None, None) => sentinel_model::BUILTIN_MODEL,
        };
        Ok((artefact, hash::sha256_hex(artefact)))
    }

    /// Writes a new version and makes it the current one.
    pub(super) fn keep(&self, artefact: &[u8], parent: &str, gate: &Gate) -> Result<PathBuf, Fault> {
        fs::create_dir_all(self.folder).map_err(|e| self.fault(&e))?;
        let number = self.versions()?.last().map_or(1, |(number, _)| number + 1);
        let name = format!("{number:04}.smdl");
        let path = self.folder.join(&name);
        let about = json!({
            "sha256": hash::sha256_hex(artefact), "parent": parent, "before": self.current()?, "gate": as_json(gate)?,
        });
        fs::write(self.folder.join(format!("{number:04}.json")), format!("{about:#}\n"))
            .map_err(|e| self.fault(&e))?;
        fs::write(&path, artefact).map_err(|e| self.fault(&e))?;
        self.set_current(&name)?;
        Ok(path)
    }

    /// The version that was current before this one.
    pub(super) fn roll_back(&self) -> Result<Report, Fault> {
        let Some(current) = self.current()? else {
            return Err(Fault::Input(format!("{}: no version is current", self.folder.display())));
        };
        let about = self.folder.join(&current).with_extension("json");
        let about: Value =
            fs::read(&about).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
        let before = about.get("before").and_then(Value::as_str);
        match before {
            Some(before) => self.set_current(before)?,
            None => fs::remove_file(self.folder.join(CURRENT)).map_err(|e| self.fault(&e))?,
        }
        let now = before.unwrap_or("the model that is built in");
        Ok(Report {
            text: format!("{current} is no longer current; {now} is"),
            json: json!({ "was": current, "current": before }),
            code: 0,
        })
    }

    pub(super) fn history(&self) -> Result<Report, Fault> {
        let current = self.current()?;
        let versions = self.versions()?;
        let line = |(number, name): &(u32, String)| {
            let mark = if current.as_deref() == Some(name) { "*" } else { " " };
            format!("{mark} {number:04}  {}", self.folder.join(name).display())
        };
        let names: Vec<&String> = versions.iter().map(|(_, name)| name).collect();
        let text = match versions.is_empty() {
            true => format!("{}: no versions; the model that is built in is used", self.folder.display()),
            false => versions.iter().map(line).collect::<Vec<_>>().join("\n"),
        };
        Ok(Report { text, json: json!({ "versions": names, "current": current }), code: 0 })
    }

    fn current(&self) -> Result<Option<String>, Fault> {
        match fs::read_to_string(self.folder.join(CURRENT)) {
            Ok(name) => Ok(Some(name.trim().to_owned())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.fault(&error)),
        }
    }

    /// In one step, so that a reader never sees half a name.
    fn set_current(&self, name: &str) -> Result<(), Fault> {
        let draft = self.folder.join("current.new");
        fs::write(&draft, format!("{name}\n")).map_err(|e| self.fault(&e))?;
        fs::rename(&draft, self.folder.join(CURRENT)).map_err(|e| self.fault(&e))
    }

    fn versions(&self) -> Result<Vec<(u32, String)>, Fault> {
        let entries = match fs::read_dir(self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(self.fault(&error)),
        };
        let mut versions = Vec::new();
        for entry in entries {
            let name = entry.map_err(|e| self.fault(&e))?.file_name().to_string_lossy().into_owned();
            if let Some(number) = name.strip_suffix(".smdl").and_then(|number| number.parse().ok()) {
                versions.push((number, name));
            }
        }
        versions.sort();
        Ok(versions)
    }

    fn fault(&self, error: &dyn std::fmt::Display) -> Fault {
        Fault::Input(format!("{}: {error}", self.folder.display()))
    }
}
