//! What is being tried out.

use super::{Check, Status};
use crate::domain::Words;
use crate::http::App;

pub(super) fn checks(app: &App) -> Vec<Check> {
    vec![experiment(app), model(app), patterns()]
}

fn experiment(app: &App) -> Check {
    let name = "experiment";
    match app.desk.current() {
        Some((deployment, report)) => {
            let (mode, state) = (deployment.plan.mode.word(), deployment.state.word());
            let check = Check::at_most(name, report.judged as f64, f64::INFINITY, f64::INFINITY, "judged");
            check.saying(format!("{mode}, {state}"))
        }
        None => Check::not_configured(name, "no candidate is on trial"),
    }
}

fn model(app: &App) -> Check {
    let name = "second_opinion_model";
    match &app.second_opinion {
        Some(desk) => Check::new(name, Status::Ok).saying(desk.model()),
        None => Check::not_configured(name, "there is no model for second opinions"),
    }
}

fn patterns() -> Check {
    Check::not_configured("pattern_discovery", "this collector looks for no new patterns")
}
