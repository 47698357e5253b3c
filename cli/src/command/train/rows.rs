//! Labelled texts, as people have them.

use std::{
    collections::BTreeSet,
    fs::File,
    io::{BufRead, BufReader},
    path::Path,
};

use sentinel_core::{Channel, FoldedText};
use serde::Deserialize;

use crate::{
    command::eval::{channel, packed::unpack},
    packs,
    report::Fault,
};

#[derive(Debug)]
pub(super) struct Row {
    pub(super) text: String,
    pub(super) channel: Channel,
    pub(super) is_attack: bool,
}

#[derive(Deserialize)]
struct Source {
    text: String,
    label: u8,
    #[serde(default)]
    channel: Option<String>,
}

impl Row {
    /// The same for texts that differ in nothing a model sees.
    pub(super) fn key(&self) -> u64 {
        let folded = FoldedText::new(&self.text);
        let channel = self.channel.name().bytes();
        // FNV-1a, for its few lines.
        folded
            .text()
            .bytes()
            .chain(channel)
            .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
            >> 7
    }

    fn new(source: Source) -> Result<Self, String> {
        if source.label > 1 {
            return Err(format!("label is {}, expected 0 or 1", source.label));
        }
        let channel = channel(source.channel.as_deref().filter(|name| !name.is_empty()))?;
        Ok(Self { text: source.text, channel, is_attack: source.label == 1 })
    }
}

/// All rows of a file, each text once.
pub(super) fn read(path: &Path) -> Result<Vec<Row>, Fault> {
    let fault = |place: String, why: String| Fault::Input(format!("{}{place}: {why}", path.display()));
    let file = File::open(path).map_err(|e| fault(String::new(), e.to_string()))?;
    let mut raw = unpack(Box::new(BufReader::new(file))).map_err(|e| fault(String::new(), e.to_string()))?;
    let first = raw.fill_buf().map_err(|e| fault(String::new(), e.to_string()))?;
    let is_json = first.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{');
    let mut rows = Vec::new();
    if is_json {
        for (idx, line) in raw.lines().enumerate() {
            let place = format!(":{}", idx + 1);
            let line = line.map_err(|e| fault(place.clone(), e.to_string()))?;
            if !line.trim().is_empty() {
                let source: Source =
                    serde_json::from_str(&line).map_err(|e| fault(place.clone(), e.to_string()))?;
                rows.push(Row::new(source).map_err(|why| fault(place, why))?);
            }
        }
    } else {
        let mut reader = csv::ReaderBuilder::new().from_reader(raw);
        let headers = reader.headers().map_err(|e| fault(":1".into(), e.to_string()))?.clone();
        for wanted in ["text", "label"] {
            if !headers.iter().any(|header| header == wanted) {
                let have = headers.iter().collect::<Vec<_>>().join(", ");
                return Err(fault(
                    ":1".into(),
                    format!("there is no column {wanted:?} among {have}; name it in the first line"),
                ));
            }
        }
        for record in reader.deserialize::<Source>() {
            let source = record.map_err(|e| {
                let line = e.position().map_or_else(String::new, |at| format!(":{}", at.line()));
                fault(line, e.to_string())
            })?;
            rows.push(Row::new(source).map_err(|why| fault(String::new(), why))?);
        }
    }
    let mut seen = BTreeSet::new();
    rows.retain(|row| seen.insert(row.key()));
    Ok(rows)
}

/// The examples and twins of all rules: attacks, and harmless texts that look like them.
pub(super) fn of_rules() -> Result<Vec<Row>, Fault> {
    let mut rows = Vec::new();
    for pack in packs::sources(None)? {
        for rule in pack.rules.iter().filter(|rule| rule.family.is_attack()) {
            let channel = packs::channels(&pack, rule).first().copied().unwrap_or(Channel::User);
            let row = |text: &String, is_attack| Row { text: text.clone(), channel, is_attack };
            rows.extend(rule.examples.iter().map(|text| row(text, true)));
            rows.extend(rule.twins.iter().map(|text| row(text, false)));
        }
    }
    let mut seen = BTreeSet::new();
    rows.retain(|row| seen.insert(row.key()));
    Ok(rows)
}
