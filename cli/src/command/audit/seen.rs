//! What was seen before: the newest checkpoint that a verification was content with, in a file of the verifier's own.
//! Without it a log that was set back, or replaced as a whole, looks as good as ever.

use std::{fs, io::ErrorKind, path::Path};

use crate::report::Fault;

/// `None` at the first time.
pub(super) fn read(path: &Path) -> Result<Option<String>, Fault> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Fault::Input(format!("{}: {error}", path.display()))),
    }
}

/// In one step, so that an interruption leaves the old one.
pub(super) fn write(path: &Path, checkpoint: &[u8]) -> Result<(), Fault> {
    let mut draft = path.as_os_str().to_owned();
    draft.push(".new");
    fs::write(&draft, checkpoint)
        .and_then(|()| fs::rename(&draft, path))
        .map_err(|error| Fault::Input(format!("{}: {error}", path.display())))
}
