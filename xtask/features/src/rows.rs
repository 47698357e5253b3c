//! Reading rows, one at a time.

use std::{
    fs::File,
    io::{self, BufRead, BufReader},
    path::Path,
};

use anyhow::{Context, Result, bail};
use sentinel_model::compact::Speaker;
use serde::Deserialize;

#[derive(Deserialize)]
struct Row {
    text: String,
    channel: Option<String>,
}

/// Calls `each` with the number of the line, who speaks, and the text.
pub(crate) fn for_each(input: &Path, mut each: impl FnMut(u32, Speaker, &str) -> Result<()>) -> Result<u32> {
    let reader: Box<dyn BufRead> = match input.as_os_str() == "-" {
        true => Box::new(BufReader::new(io::stdin())),
        false => Box::new(BufReader::new(File::open(input).with_context(|| input.display().to_string())?)),
    };
    let mut n_lines = 0;
    for line in reader.lines() {
        let line = line?;
        if !line.trim().is_empty() {
            let row: Row = serde_json::from_str(&line).with_context(|| format!("line {}", n_lines + 1))?;
            let speaker = speaker(row.channel.as_deref()).with_context(|| format!("line {}", n_lines + 1))?;
            each(n_lines, speaker, &row.text)?;
        }
        n_lines += 1;
    }
    Ok(n_lines)
}

fn speaker(channel: Option<&str>) -> Result<Speaker> {
    let Some(channel) = channel else { return Ok(Speaker::User) };
    match Speaker::ALL.into_iter().find(|speaker| speaker.name() == channel) {
        Some(speaker) => Ok(speaker),
        None => bail!("the channel {channel:?} is not known"),
    }
}
