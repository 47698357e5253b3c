//! Every place of the table with every probe: natively, and in a real Envoy with the same outcome required.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use anyhow::{Context, Result, ensure};
use sentinel_core::Direction;
use sentinel_model::{Channel, ChannelSet};

use super::{
    probe::{Cell, PROBES, Probe},
    table::{Place, Provider, Surface, Table, What, Words},
};
use crate::{
    case::{Case, Policies},
    engine::{Cut, Engine, InEnvoy, Native},
    expect::{Outcome, broken_laws, differences},
};

#[derive(Debug)]
pub struct Matrix {
    pub rows: Vec<Row>,
    /// How many exchanges each engine has run.
    pub exchanges: usize,
}

/// One place in one form, and what came of it.
#[derive(Clone, Debug)]
pub struct Row {
    pub provider: String,
    pub surface: String,
    pub line: String,
    pub direction: Direction,
    pub what: What,
    pub name: Option<String>,
    pub form: &'static str,
    pub is_stream: bool,
    /// The channel that its text should be judged on.
    pub belongs_on: Option<Channel>,
    pub words: Words,
    pub reason: Option<String>,
    /// Where it differs from the table, one engine from the other, or either from what must always hold.
    pub complaints: Vec<String>,
}

/// A proxy has many connections at a time, and events come in batches: one after the other would mostly be waiting.
const WORKERS: usize = 16;

impl Matrix {
    /// On both engines.
    pub fn run(table: &Table) -> Result<Self> {
        let policies = Policies::only_builtin();
        let native = Native::new(&policies)?;
        let envoy = InEnvoy::new(&policies)?;
        Self::run_on(table, &native, Some(&envoy))
    }

    /// On the core alone, which takes no time.
    pub fn run_natively(table: &Table) -> Result<Self> {
        Self::run_on(table, &Native::new(&Policies::only_builtin())?, None)
    }

    fn run_on(table: &Table, native: &Native, envoy: Option<&dyn Engine>) -> Result<Self> {
        let cells: Vec<(&Provider, Cell<'_>)> = table.surfaces().flat_map(cells).collect();
        ensure!(!cells.is_empty(), "the table is empty");
        let cases = cells.iter().flat_map(|(_, cell)| PROBES.map(|probe| (cell, probe))).enumerate();
        let cases: Vec<Case> = cases.map(|(number, (cell, probe))| cell.case(probe, number)).collect();
        let outcomes: Vec<Outcome> = cases.iter().map(|case| native.run(case)).collect::<Result<_>>()?;
        let mut complaints: Vec<Vec<String>> = cases
            .iter()
            .zip(&outcomes)
            .map(|(case, outcome)| native_complaints(native, case, outcome))
            .collect::<Result<_>>()?;
        if let Some(envoy) = envoy {
            let in_envoy = run_all(envoy, &cases)?;
            for ((complaints, native), envoy) in complaints.iter_mut().zip(&outcomes).zip(&in_envoy) {
                let lines = differences(native, envoy).into_iter();
                complaints.extend(lines.map(|line| format!("native and Envoy differ: {line}")));
            }
        }
        let exchanges = cases.len();
        let (outcomes, _) = outcomes.as_chunks();
        let (complaints, _) = complaints.as_chunks::<{ PROBES.len() }>();
        let rows = cells.iter().zip(outcomes).zip(complaints);
        let rows = rows.map(|(((provider, cell), outcomes), complaints)| {
            row(provider, cell, outcomes, complaints, table.judged)
        });
        Ok(Self { rows: rows.collect(), exchanges })
    }

    /// Everything that is wrong, with the place where it is.
    pub fn complaints(&self) -> Vec<String> {
        let lines = self.rows.iter().flat_map(|row| {
            let place = format!("{}, {}, {}, {}", row.provider, row.surface, row.place(), row.form);
            row.complaints.iter().map(move |complaint| format!("{place}: {complaint}"))
        });
        lines.collect()
    }
}

impl Row {
    /// `request: text`, `answer: tool arguments (second)`.
    pub fn place(&self) -> String {
        let way = match self.direction {
            Direction::Request => "request",
            Direction::Response => "answer",
        };
        let name = self.name.as_ref().map(|name| format!(" ({name})")).unwrap_or_default();
        format!("{way}: {}{name}", self.what.name())
    }
}

fn cells<'t>((provider, surface): (&'t Provider, &'t Surface)) -> Vec<(&'t Provider, Cell<'t>)> {
    let ways = [(Direction::Request, &surface.requests), (Direction::Response, &surface.answers)];
    let places =
        ways.into_iter().flat_map(|(direction, places)| places.iter().map(move |place| (direction, place)));
    let cells = places.flat_map(|(direction, place): (Direction, &Place)| {
        place.forms().into_iter().map(move |form| (provider, Cell { surface, direction, place, form }))
    });
    cells.collect()
}

fn native_complaints(native: &Native, case: &Case, outcome: &Outcome) -> Result<Vec<String>> {
    let mut complaints = broken_laws(case, outcome);
    for cut in [Cut::Whole, Cut::Pieces(1), Cut::Pieces(7)] {
        let lines = differences(outcome, &native.run_cut(case, cut)?).into_iter();
        complaints.extend(lines.map(|line| format!("{cut:?}: {line}")));
    }
    Ok(complaints.into_iter().map(|line| format!("{}: {line}", case.name)).collect())
}

fn row(
    provider: &Provider,
    cell: &Cell<'_>,
    outcomes: &[Outcome; PROBES.len()],
    complaints: &[Vec<String>; PROBES.len()],
    judged: ChannelSet,
) -> Row {
    let words = cell.words(outcomes, judged);
    let mut complaints = complaints.concat();
    complaints.extend(unlike_the_table(cell, &words, judged));
    let Cell { surface, direction, place, form } = cell;
    Row {
        provider: provider.provider.clone(),
        surface: surface.name.clone(),
        line: format!("{} {}", surface.method, surface.path),
        direction: *direction,
        what: place.what,
        name: place.name.clone(),
        form: form.name(),
        is_stream: form.is_stream(),
        belongs_on: place.channel,
        words,
        reason: place.reason.clone(),
        complaints,
    }
}

fn unlike_the_table(cell: &Cell<'_>, words: &Words, judged: ChannelSet) -> Vec<String> {
    let expected = cell.place.expected(judged, cell.can_restore());
    let pairs = [
        ("channel", &expected.channel, &words.channel),
        (Probe::Attack.name(), &expected.attack, &words.attack),
        (Probe::Card.name(), &expected.card, &words.card),
        (Probe::Restore.name(), &expected.restored, &words.restored),
        (Probe::Harmless.name(), &expected.harmless, &words.harmless),
    ];
    let unlike = pairs.into_iter().filter(|(_, expected, was)| expected != was);
    unlike.map(|(what, expected, was)| format!("{what}: expected {expected:?}, was {was:?}")).collect()
}

/// In the order of the cases.
fn run_all(engine: &dyn Engine, cases: &[Case]) -> Result<Vec<Outcome>> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                while let Some((idx, case)) = take(&next, cases) {
                    let outcome = engine.run(case).with_context(|| format!("{}: {}", case.file, case.name));
                    done.lock().unwrap_or_else(PoisonError::into_inner).push((idx, outcome));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(idx, _)| *idx);
    done.into_iter().map(|(_, outcome)| outcome).collect()
}

fn take<'c>(next: &AtomicUsize, cases: &'c [Case]) -> Option<(usize, &'c Case)> {
    let idx = next.fetch_add(1, Ordering::Relaxed);
    cases.get(idx).map(|case| (idx, case))
}
