//! Whether a new model may take the place of the old one: better on texts like those it was taught with, and no worse on
//! the frozen ones.

use sentinel_core::{CompactModel, Look};
use serde::Serialize;

use super::rows::Row;
use crate::command::eval::quality::{Chance, Quality, Ranking, Scored};

/// The area under the curve may fall by so much on the frozen texts: less than drawing them again would move it.
const AUC_MAY_FALL: f64 = 0.002;

/// False alarms may rise by so much on them, and recall fall.
const ALARMS_MAY_RISE: f64 = 0.0025;
const RECALL_MAY_FALL: f64 = 0.01;

#[derive(Debug, Serialize)]
pub(super) struct Figures {
    #[serde(flatten)]
    quality: Quality,
    /// How surprised the model is by a label, on average.
    loss: f64,
    #[serde(skip)]
    rows: Vec<Scored>,
}

/// Whether attacks are told from harmless texts better than chance would explain: in ninety-nine of a hundred draws of
/// the rows.
fn is_sure_gain(old: &[Scored], new: &[Scored]) -> bool {
    const DRAWS: usize = 200;
    let mut chance = Chance::new();
    let n_losses = (0..DRAWS)
        .filter(|_| {
            let drawn: Vec<usize> = (0..old.len()).map(|_| chance.below(old.len())).collect();
            let auc = |rows: &[Scored]| {
                Ranking::new(drawn.iter().filter_map(|idx| rows.get(*idx)).copied()).quality().auc
            };
            auc(new) <= auc(old)
        })
        .count();
    n_losses * 100 <= DRAWS
}

/// The old model and the new one.
#[derive(Debug, Serialize)]
pub(super) struct Gate {
    pub(super) held_back: [Figures; 2],
    pub(super) frozen: [Figures; 2],
}

impl Figures {
    /// With both stages, as a proxy uses them.
    pub(super) fn of(model: &CompactModel, rows: &[Row]) -> Self {
        let mut loss = 0.0;
        let scored = rows.iter().map(|row| {
            let scores = model.scores(row.channel, &row.text, Look::Open);
            let logit = f64::from(scores.iter().map(|score| score.logit()).fold(-30.0, f32::max));
            loss += if row.is_attack { (-logit).exp().ln_1p() } else { logit.exp().ln_1p() };
            let is_flagged = logit >= f64::from(model.scale(row.channel).threshold);
            Scored { score: logit, is_attack: row.is_attack, is_flagged }
        });
        let scored: Vec<Scored> = scored.collect();
        let quality = Ranking::new(scored.iter().copied()).quality();
        Self { quality, loss: loss / rows.len().max(1) as f64, rows: scored }
    }
}

impl Gate {
    /// What speaks against the new model.
    pub(super) fn objections(&self) -> Vec<String> {
        let mut objections = Vec::new();
        let fell = |of: fn(&Quality) -> Option<f64>, [old, new]: &[Figures; 2]| {
            of(&old.quality).unwrap_or(0.0) - of(&new.quality).unwrap_or(0.0)
        };
        let [old, new] = &self.held_back;
        if fell(|quality| quality.auc, &self.held_back) > 0.0 {
            objections.push("worse on the texts that were held back".to_owned());
        } else if !is_sure_gain(&old.rows, &new.rows) {
            objections.push("no better on the texts that were held back".to_owned());
        }
        if fell(|quality| quality.auc, &self.frozen) > AUC_MAY_FALL {
            objections.push("worse on the frozen texts".to_owned());
        }
        if -fell(|quality| quality.false_positives, &self.frozen) > ALARMS_MAY_RISE {
            objections.push("more false alarms on the frozen texts".to_owned());
        }
        if fell(|quality| quality.recall, &self.frozen) > RECALL_MAY_FALL {
            objections.push("fewer attacks seen in the frozen texts".to_owned());
        }
        objections
    }

    pub(super) fn describe(&self, n_held_back: usize, n_frozen: usize) -> String {
        use std::fmt::Write;
        let mut text = format!(
            "{:<28} {:>9} {:>9}   {:>9} {:>9}\n{:<28} {:>9} {:>9}   {:>9} {:>9}\n",
            "",
            format!("{n_held_back} held"),
            "back",
            format!("{n_frozen}"),
            "frozen",
            "",
            "before",
            "after",
            "before",
            "after"
        );
        type Figure = fn(&Figures) -> Option<f64>;
        let figures: [(&str, Figure); 6] = [
            ("area under the curve", |figures| figures.quality.auc),
            ("recall at 1 % false alarms", |figures| figures.quality.recall_at_1_percent),
            ("recall at the threshold", |figures| figures.quality.recall),
            ("false alarms at it", |figures| figures.quality.false_positives),
            ("accuracy", |figures| figures.quality.accuracy),
            ("loss", |figures| Some(figures.loss)),
        ];
        for (name, of) in figures {
            let show =
                |figures: &Figures| of(figures).map_or_else(|| "-".to_owned(), |value| format!("{value:.4}"));
            let ([a, b], [c, d]) = (&self.held_back, &self.frozen);
            // Writing to a string cannot fail.
            let _ =
                writeln!(text, "{name:<28} {:>9} {:>9}   {:>9} {:>9}", show(a), show(b), show(c), show(d));
        }
        text
    }
}
