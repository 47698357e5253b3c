//! `/v1/second-opinion`: what a larger model thinks of texts that a filter is not sure of.
//!
//! The model keeps a core busy for a while, so it runs on threads of its own and never on those of the server. Requests
//! between their headers and the end of their work hold a permit: there are as many as may wait and be worked on, and who
//! finds none is told so at once. Nobody is answered after his deadline, and nothing is begun for who has gone.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::{Request, State};
use schemars::JsonSchema;
use sentinel_deep::{Error, Model, Opinion, Speaker, Text};
use serde::{Deserialize, Serialize};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::App;
use super::body;
use super::error::ApiError;
use super::metrics::{Histogram, Series, Text as MetricsText};
use crate::config::SecondOpinion;

/// Where requests wait for the model.
pub(crate) struct OpinionDesk {
    model: Arc<Model>,
    jobs: Sender<Job>,
    places: Arc<Semaphore>,
    places_max: usize,
    working: Arc<AtomicUsize>,
    deadline_max: Duration,
    counters: Mutex<Counters>,
}

struct Counters {
    results: Series,
    took: Histogram,
}

struct Job {
    texts: Vec<(Speaker, String)>,
    until: Instant,
    answer: oneshot::Sender<Result<Vec<Opinion>, Error>>,
    /// Given back when the work is done, however long the client waited.
    place: OwnedSemaphorePermit,
}

impl OpinionDesk {
    /// Starts the threads; they end when the desk is gone.
    pub(crate) fn new(config: &SecondOpinion) -> Self {
        let (jobs, waiting) = channel();
        let waiting = Arc::new(Mutex::new(waiting));
        let working = Arc::new(AtomicUsize::new(0));
        for _ in 0..config.workers {
            let (model, waiting) = (Arc::clone(&config.model), Arc::clone(&waiting));
            let working = Arc::clone(&working);
            std::thread::spawn(move || work(&model, &waiting, &working));
        }
        let places_max = config.workers + config.queue_max;
        Self {
            model: Arc::clone(&config.model),
            jobs,
            places: Arc::new(Semaphore::new(places_max)),
            places_max,
            working,
            deadline_max: config.deadline_max,
            counters: Mutex::new(Counters {
                results: Series::from_zero(&RESULTS),
                took: Histogram::default(),
            }),
        }
    }

    pub(super) fn write(&self, text: &mut MetricsText) {
        let counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        let name = "sentinel_second_opinions_total";
        text.series(
            name,
            "Requests for second opinions, by what became of them.",
            "result",
            &counters.results,
        );
        let name = "sentinel_second_opinion_seconds";
        counters.took.write(
            name,
            "From a request's headers to its opinions, of those that were answered.",
            text,
        );
        drop(counters);
        let working = self.working.load(Ordering::Relaxed);
        let waiting = self.places_max.saturating_sub(self.places.available_permits()).saturating_sub(working);
        text.gauge("sentinel_second_opinion_queue", "Requests that wait for the model.", waiting);
    }

    /// How many places are taken, of how many.
    pub(super) fn places(&self) -> (usize, usize) {
        (self.places_max.saturating_sub(self.places.available_permits()), self.places_max)
    }

    pub(super) fn model(&self) -> &str {
        self.model.id()
    }

    fn count(&self, result: &str, took: Option<Duration>) {
        let mut counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        counters.results.add(result);
        if let Some(took) = took {
            counters.took.add(took);
        }
    }
}

fn work(model: &Model, waiting: &Mutex<Receiver<Job>>, working: &AtomicUsize) {
    loop {
        let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Job { texts, until, answer, place }) = next else { return };
        // Whoever asked has gone, or will not get an answer in time.
        if answer.is_closed() || Instant::now() >= until {
            continue;
        }
        working.fetch_add(1, Ordering::Relaxed);
        let texts: Vec<Text<'_>> =
            texts.iter().map(|(speaker, text)| Text { speaker: *speaker, text }).collect();
        // The engine is somebody else's: should it panic, this request fails, and no other.
        let opinions = catch_unwind(AssertUnwindSafe(|| model.opinions(&texts, Some(until))));
        // Before the answer, and the place first: whoever has the answer finds neither work nor queue in the metrics.
        drop(place);
        working.fetch_sub(1, Ordering::Relaxed);
        let _ = answer.send(opinions.unwrap_or_else(|_| Err(Error::Network("it panicked".to_owned()))));
    }
}

#[derive(Serialize, JsonSchema)]
pub(crate) struct Opinions {
    opinions: Vec<Said>,
    model: String,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Opinion")]
struct Said {
    attack: f32,
    head: &'static str,
    windows: usize,
}

pub(crate) async fn ask(State(app): State<Arc<App>>, request: Request) -> Result<Json<Opinions>, ApiError> {
    let Some(desk) = &app.second_opinion else {
        return Err(ApiError::not_found(
            "this collector was started without a model for second opinions; start it with --deep-model builtin",
        ));
    };
    let begun = Instant::now();
    let answered = answer(desk, request, begun).await;
    let took = answered.is_ok().then(|| begun.elapsed());
    desk.count(result(&answered), took);
    answered
}

async fn answer(desk: &OpinionDesk, request: Request, begun: Instant) -> Result<Json<Opinions>, ApiError> {
    let place = Arc::clone(&desk.places).try_acquire_owned().map_err(|_| ApiError::queue_full())?;
    let (texts, deadline) = read(&body::bytes(request, super::events::BODY_BYTES_MAX).await?)?;
    let until = begun + deadline.unwrap_or(desk.deadline_max).min(desk.deadline_max);
    let (answer, answered) = oneshot::channel();
    let gone = || ApiError::no_opinion("the model's threads have ended");
    desk.jobs.send(Job { texts, until, answer, place }).map_err(|_| gone())?;
    match tokio::time::timeout_at(until.into(), answered).await {
        Err(_) => Err(ApiError::too_late()),
        // The worker came to it too late.
        Ok(Err(_)) if Instant::now() >= until => Err(ApiError::too_late()),
        Ok(Err(_)) => Err(gone()),
        Ok(Ok(Err(error))) => Err(ApiError::no_opinion(error.to_string())),
        Ok(Ok(Ok(opinions))) if opinions.iter().any(|opinion| opinion.unread > 0) => {
            Err(ApiError::too_late())
        }
        Ok(Ok(Ok(opinions))) => {
            let said = |Opinion { attack, head, windows, .. }| Said { attack, head, windows };
            let opinions = opinions.into_iter().map(said).collect();
            Ok(Json(Opinions { opinions, model: desk.model.id().to_owned() }))
        }
    }
}

/// What became of a request, for the metrics.
fn result(answered: &Result<Json<Opinions>, ApiError>) -> &'static str {
    match answered.as_ref().map_err(ApiError::status) {
        Ok(_) => "answered",
        Err(429) => "refused",
        Err(504) => "late",
        Err(503) => "failed",
        Err(_) => "malformed",
    }
}

/// The texts of a body, and how long its sender waits.
type Asked = (Vec<(Speaker, String)>, Option<Duration>);

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "OpinionRequest")]
pub(super) struct Body {
    #[schemars(length(min = 1, max = 64))]
    texts: Vec<One>,
    deadline_ms: Option<u64>,
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "OpinionText")]
struct One {
    channel: String,
    text: String,
}

fn read(body: &[u8]) -> Result<Asked, ApiError> {
    let form = "{\"texts\": [{\"channel\": \"user\", \"text\": \"...\"}], \"deadline_ms\": 500}";
    if !body.trim_ascii_start().starts_with(b"{") {
        return Err(ApiError::malformed(format!("expected an object {form}, at line 1")));
    }
    let Body { texts, deadline_ms } = serde_json::from_slice(body).map_err(|error| {
        // Without serde's text: that may quote the body, and this reaches logs of senders.
        let place = format!("line {} column {}", error.line(), error.column());
        match error.classify() {
            serde_json::error::Category::Data => {
                ApiError::malformed(format!("expected an object {form}, at {place}"))
            }
            _ => ApiError::malformed(format!("the body is not JSON, at {place}")),
        }
    })?;
    let bytes: usize = texts.iter().map(|one| one.text.len()).sum();
    if texts.is_empty() {
        return Err(ApiError::malformed("there is no text to give an opinion of"));
    }
    if texts.len() > TEXTS_MAX || bytes > TEXTS_BYTES_MAX {
        let limits = format!("limits are {TEXTS_MAX} and {TEXTS_BYTES_MAX} bytes");
        return Err(ApiError::too_large(format!(
            "there are {} texts of {bytes} bytes; {limits}",
            texts.len()
        )));
    }
    let speaker = |(idx, One { channel, text }): (usize, One)| {
        let speaker = sentinel_deep::speaker(&channel);
        speaker
            .map(|speaker| (speaker, text))
            .ok_or_else(|| ApiError::malformed(format!("texts[{idx}] has a channel that is not known")))
    };
    let texts = texts.into_iter().enumerate().map(speaker).collect::<Result<_, _>>()?;
    Ok((texts, deadline_ms.map(Duration::from_millis)))
}

const RESULTS: [&str; 5] = ["answered", "refused", "late", "failed", "malformed"];
const TEXTS_MAX: usize = 64;
/// Of all texts together: about a minute of one core.
const TEXTS_BYTES_MAX: usize = 256 << 10;
