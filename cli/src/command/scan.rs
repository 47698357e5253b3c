//! `sentinel scan`: one body through the engine, without a proxy and without a network.

use std::{
    fmt::Write,
    fs,
    io::{self, Read},
    path::PathBuf,
};

use clap::ValueEnum;
use sentinel_core::{Action, Direction, Format, Scan, Span, Verdict};

use crate::{
    document,
    report::{Fault, Report, as_json},
};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A file, or `-` for standard input.
    file: PathBuf,
    #[arg(long, value_enum, default_value_t = FormatArg::Auto)]
    format: FormatArg,
    /// Judge as a response of the model.
    #[arg(long)]
    response: bool,
    /// A policy file; otherwise the built-in policy.
    #[arg(long)]
    policy: Option<PathBuf>,
    #[arg(long, default_value = "default")]
    profile: String,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum FormatArg {
    Auto,
    Text,
    OpenaiChat,
}

pub(crate) fn run(args: &Args) -> Result<Report, Fault> {
    let body = read(args)?;
    let engine = document::engine(args.policy.as_deref())?;
    let direction = if args.response { Direction::Response } else { Direction::Request };
    let format = match args.format {
        FormatArg::Auto => Format::Auto,
        FormatArg::Text => Format::PlainText,
        FormatArg::OpenaiChat => Format::OpenAiChat,
    };
    let scan = engine.scan(&args.profile, direction, format, &body).ok_or_else(|| {
        let known: Vec<&String> = engine.policy().profiles.keys().collect();
        Fault::Input(format!("--profile: there is no profile {:?}; there are {known:?}", args.profile))
    })?;
    let is_fine = scan.verdict == Verdict::Clean && scan.action <= Action::Monitor;
    Ok(Report { text: describe(&scan, &body), json: as_json(&scan)?, code: if is_fine { 0 } else { 1 } })
}

fn read(args: &Args) -> Result<Vec<u8>, Fault> {
    if args.file.as_os_str() == "-" {
        let mut body = Vec::new();
        io::stdin().read_to_end(&mut body).map_err(|e| Fault::Input(format!("standard input: {e}")))?;
        return Ok(body);
    }
    fs::read(&args.file).map_err(|e| Fault::Input(format!("{}: {e}", args.file.display())))
}

fn describe(scan: &Scan, body: &[u8]) -> String {
    let mut text =
        format!("{}  action {}  score {:.3}\n", scan.verdict.name(), scan.action.name(), scan.score);
    for finding in &scan.findings {
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "\n{} v{}  channel {}  bytes {}..{}  score {:.2}{}",
            finding.rule,
            finding.version,
            finding.channel.name(),
            finding.start,
            finding.end,
            finding.score,
            if finding.shadow { "  (recorded only)" } else { "" },
        );
        text.push_str(&quote(body, Span { start: finding.start, end: finding.end }));
    }
    let receipt = &scan.receipt;
    let _ = writeln!(
        text,
        "\n{} bytes: {} scanned, {} structure, {} in gaps",
        receipt.bytes,
        receipt.scanned,
        receipt.structural,
        receipt.gap_bytes()
    );
    for gap in &receipt.gaps {
        let _ = writeln!(text, "gap {}  bytes {}..{}", gap.reason.name(), gap.start, gap.end);
    }
    text
}

/// The line of the input around a span, with carets under it.
fn quote(body: &[u8], span: Span) -> String {
    const AROUND: usize = 32;
    let Span { start, end } = span;
    let (start, end) = (start as usize, (end as usize).min(body.len()));
    let from = start.saturating_sub(AROUND);
    let to = end.saturating_add(AROUND).min(body.len());
    let shown = |range: std::ops::Range<usize>| -> String {
        let bytes = body.get(range).unwrap_or_default();
        String::from_utf8_lossy(bytes).chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
    };
    let (before, inside, after) = (shown(from..start), shown(start..end), shown(end..to));
    let pad = " ".repeat(before.chars().count());
    let carets = "^".repeat(inside.chars().count().max(1));
    format!("  {before}{inside}{after}\n  {pad}{carets}\n")
}
