//! Key files. A secret key lies alone in a file that only its owner reads; a public key is one line of text.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
};

use sentinel_bundle::{PublicKey, SecretKey};
use serde_json::json;

use super::at;
use crate::report::{Fault, Report};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where the secret key goes; the public one goes beside it, with .pub behind the name.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

pub(super) fn run(args: &Args) -> Result<Report, Fault> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|e| Fault::Internal(format!("no chance from the system: {e}")))?;
    let secret = SecretKey::from_seed(&seed);
    let public = secret.public().map_err(|e| Fault::Internal(e.to_string()))?;
    let mut public_file = args.out.as_os_str().to_owned();
    public_file.push(".pub");
    let public_file = PathBuf::from(public_file);
    if public_file.exists() {
        return Err(at(&public_file, &"it is there already; keys are never overwritten"));
    }
    write_secret(&args.out, &secret.to_text())?;
    fs::write(&public_file, format!("{public}\n")).map_err(|e| at(&public_file, &e))?;
    Ok(Report {
        text: format!(
            "secret key  {} (keep it where only the signer reads it)\npublic key  {}\n{public}\nid {}",
            args.out.display(),
            public_file.display(),
            public.id()
        ),
        json: json!({
            "secret_file": args.out, "public_file": public_file,
            "public": public.to_string(), "id": public.id().to_string(),
        }),
        code: 0,
    })
}

/// The file is made with its narrow mode; it is at no time open to others.
fn write_secret(path: &Path, text: &str) -> Result<(), Fault> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => at(path, &"it is there already; keys are never overwritten"),
        _ => at(path, &error),
    })?;
    writeln!(file, "{text}").and_then(|()| file.sync_all()).map_err(|e| at(path, &e))
}

pub(super) fn read_secrets(paths: &[PathBuf]) -> Result<Vec<SecretKey>, Fault> {
    paths.iter().map(|path| read_secret(path)).collect()
}

fn read_secret(path: &Path) -> Result<SecretKey, Fault> {
    #[cfg(unix)]
    {
        let metadata = fs::metadata(path).map_err(|e| at(path, &e))?;
        let mode = std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o777;
        if mode & 0o077 != 0 {
            let reason = format!("others may read or change this key (mode {mode:o}); run: chmod 600 FILE");
            return Err(at(path, &reason.replace("FILE", &path.display().to_string())));
        }
    }
    let text = fs::read_to_string(path).map_err(|e| at(path, &e))?;
    SecretKey::parse(text.trim()).map_err(|e| at(path, &e))
}

/// Each is a key, or a file with one key on each line; `#` begins a remark.
pub(super) fn read_trusted(texts: &[String]) -> Result<Vec<PublicKey>, Fault> {
    let mut keys = Vec::new();
    for text in texts {
        if text.starts_with("ed25519:") {
            keys.push(PublicKey::parse(text).map_err(|e| Fault::Input(format!("{text}: {e}")))?);
            continue;
        }
        let path = Path::new(text);
        let lines = fs::read_to_string(path).map_err(|e| at(path, &e))?;
        let before = keys.len();
        for (number, line) in (1..).zip(lines.lines().map(str::trim)) {
            if !line.is_empty() && !line.starts_with('#') {
                let key = PublicKey::parse(line);
                keys.push(key.map_err(|e| Fault::Input(format!("{}:{number}: {e}", path.display())))?);
            }
        }
        if keys.len() == before {
            return Err(at(path, &"there is no key in it"));
        }
    }
    Ok(keys)
}
