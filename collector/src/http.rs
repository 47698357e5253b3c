//! The collector over HTTP: one file per resource. Every answer passes [`observe`], which counts it and logs what an
//! error kept private.

mod aggregates;
mod alerts;
mod answered;
mod auth;
mod body;
mod bundle;
mod bundles;
mod checks;
mod compliance;
mod dashboard;
mod deployments;
pub(crate) mod endpoints;
mod error;
mod events;
mod exchange_lines;
mod export;
mod feedback;
mod filter;
mod gaps;
mod gate;
mod health;
mod journal;
mod leases;
mod live;
mod log;
mod log_level;
mod metrics;
mod monitor;
mod openapi;
mod overview;
mod params;
mod people;
mod period;
mod refusals;
mod second_opinion;
mod silences;
mod subjects;

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::{ConnectInfo, DefaultBodyLimit, Request, State};
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::{get, post};
use tokio::sync::Semaphore;

use crate::access::headers::{self, Answer};
use crate::access::permission::Permission::{
    AskOpinion, Deploy, Export, Feedback, ManageAlerts, ManageKeys, ManageSubjects, Operate, PollBundle,
    PushBundle, ReadContent, ReadEvents, ReadJournal, ReadMetrics, ReadProofs, SendEvents, TakeLease,
};
use crate::alert::{Alarm, Observation};
use crate::config::{Config, LogFilter, MetricsAccess};
use crate::deploy::Desk;
use crate::domain::BUNDLE_BYTES_MAX;
use crate::evidence::{Cosigners, Eraser, Evidence, Files, Intake, Keeper, Notary, Reader};
use crate::lease::Leases;
use crate::port::Peer;
use crate::store::Store;
use crate::trace::Tracer;
use error::ApiError;
pub(crate) use gate::Gate;
use live::Live;
pub(crate) use metrics::LAYERS;
use metrics::Metrics;
use refusals::RefusalBook;
use second_opinion::OpinionDesk;

/// What the handlers share.
pub(crate) struct App {
    store: Arc<dyn Store>,
    pub(crate) keeper: Arc<Keeper>,
    intake: Intake,
    reader: Arc<Reader>,
    files: Files,
    pub(crate) eraser: Arc<Eraser>,
    pub(crate) notary: Arc<Notary>,
    pub(crate) cosigners: Arc<Cosigners>,
    pub(crate) gate: Gate,
    has_tls: bool,
    pub(crate) desk: Arc<Desk>,
    pub(crate) alarm: Arc<Alarm>,
    leases: Leases,
    metrics_access: MetricsAccess,
    /// One permit for each batch between its headers and its answer.
    ingest: Semaphore,
    ingest_in_flight_max: usize,
    pub(crate) live: Arc<Live>,
    /// One permit for each export that is under way.
    exports: Arc<Semaphore>,
    metrics: Metrics,
    pub(crate) refusals: RefusalBook,
    second_opinion: Option<OpinionDesk>,
    pub(crate) tracer: Option<Tracer>,
    log_filter: Option<Arc<dyn LogFilter>>,
    facts: checks::Facts,
    started: Instant,
}

impl App {
    pub(crate) fn new(
        config: &Config,
        evidence: Evidence,
        desk: Arc<Desk>,
        leases: Leases,
        gate: Gate,
        alarm: Arc<Alarm>,
    ) -> Self {
        let Evidence { store, keeper, reader, notary, cosigners, quorum } = evidence;
        Self {
            intake: Intake::new(Arc::clone(&store), Arc::clone(&keeper)),
            eraser: Arc::new(Eraser::new(Arc::clone(&store), Arc::clone(&keeper))),
            files: Files::new(Arc::clone(&store), Arc::clone(&keeper), Arc::clone(&notary), quorum),
            cosigners,
            reader,
            notary,
            keeper,
            store,
            gate,
            has_tls: config.tls.is_some(),
            desk,
            alarm,
            leases,
            metrics_access: config.metrics_access,
            ingest: Semaphore::new(config.ingest_in_flight_max),
            ingest_in_flight_max: config.ingest_in_flight_max,
            live: Arc::new(Live::new()),
            exports: Arc::new(Semaphore::new(export::EXPORTS_MAX)),
            metrics: Metrics::default(),
            refusals: RefusalBook::default(),
            second_opinion: config.second_opinion.as_ref().map(OpinionDesk::new),
            tracer: None,
            log_filter: config.log_filter.clone(),
            facts: checks::Facts::of(config),
            started: Instant::now(),
        }
    }

    /// Looks for new events while somebody watches. Never ends.
    pub(crate) async fn follow(&self) {
        self.live.follow(&*self.store, &self.reader).await;
    }

    pub(crate) fn store(&self) -> &dyn Store {
        &*self.store
    }

    fn ingest_in_flight(&self) -> usize {
        self.ingest_in_flight_max.saturating_sub(self.ingest.available_permits())
    }
}

pub(crate) use alerts::watch_alerts;
pub(crate) use events::now_ms;

pub(crate) fn router(app: Arc<App>) -> Router {
    let may = |permission| from_fn_with_state((Arc::clone(&app), permission), auth::require);
    let metrics = match app.metrics_access {
        MetricsAccess::Reader => get(metrics::show).route_layer(may(ReadMetrics)),
        MetricsAccess::Anyone => get(metrics::show),
    };
    let people = people::resources();
    let document = openapi::text(app.metrics_access);
    Router::new()
        .merge(people.managed.route_layer(may(ManageKeys)))
        .merge(people.known.route_layer(from_fn_with_state(Arc::clone(&app), auth::known)))
        .merge(people.open)
        .route(
            "/v1/events",
            post(events::ingest)
                .route_layer(may(SendEvents))
                .merge(get(events::list).route_layer(may(ReadContent))),
        )
        .route("/", get(dashboard::page))
        .route("/assets/{version}/{*path}", get(dashboard::file))
        .route("/v1/live", get(live::watch).route_layer(may(ReadContent)))
        .route("/v1/events/{id}", get(events::one).route_layer(may(ReadContent)))
        .route("/v1/events/{id}/proof", get(log::prove).route_layer(may(ReadProofs)))
        .route("/log/events/{*path}", get(log::events).route_layer(may(Export)))
        .route("/log/{*path}", get(log::file).route_layer(may(ReadProofs)))
        .route("/v1/subjects/erase", post(subjects::erase).route_layer(may(ManageSubjects)))
        .route("/v1/journal", get(journal::list).route_layer(may(ReadJournal)))
        .route("/v1/second-opinion", post(second_opinion::ask).route_layer(may(AskOpinion)))
        .route("/v1/aggregates", get(aggregates::show).route_layer(may(ReadEvents)))
        .route("/v1/overview", get(overview::show).route_layer(may(ReadEvents)))
        .route("/v1/compliance", get(compliance::show).route_layer(may(ReadEvents)))
        .route("/v1/export", get(export::stream).route_layer(may(Export)))
        .route("/v1/anomalies", get(monitor::anomalies).route_layer(may(ReadEvents)))
        .route("/v1/forecast", get(monitor::forecast).route_layer(may(ReadEvents)))
        .route("/v1/reports/weekly", get(monitor::weekly).route_layer(may(ReadEvents)))
        .route("/v1/gaps", get(gaps::list).route_layer(may(ReadEvents)))
        .route("/v1/bundle", get(bundle::poll).route_layer(may(PollBundle)))
        .route("/v1/leases", post(leases::grant).route_layer(may(TakeLease)))
        .route(
            "/v1/bundles",
            post(bundles::push)
                .layer(DefaultBodyLimit::max(BUNDLE_BYTES_MAX))
                .route_layer(may(PushBundle))
                .merge(get(bundles::list).route_layer(may(ReadEvents))),
        )
        .route("/v1/bundles/{id}", get(bundles::one).route_layer(may(ReadContent)))
        .route(
            "/v1/deployments",
            post(deployments::begin)
                .route_layer(may(Deploy))
                .merge(get(deployments::list).route_layer(may(ReadEvents))),
        )
        .route("/v1/deployments/current/{verb}", post(deployments::change).route_layer(may(Deploy)))
        .merge(alerts::shown().route_layer(may(ReadEvents)))
        .merge(alerts::managed().route_layer(may(ManageAlerts)))
        .route("/v1/feedback", post(feedback::label).route_layer(may(Feedback)))
        .route("/openapi.json", get(async move || openapi::answer(document.clone())))
        .route("/health", get(health::ready))
        .route("/health/live", get(health::live))
        .route("/health/ready", get(health::ready))
        .route("/health/detailed", get(health::detailed).route_layer(may(ReadMetrics)))
        .route("/health/db", get(health::db).route_layer(may(ReadMetrics)))
        .route("/health/system", get(checks::system).route_layer(may(ReadMetrics)))
        .route("/health/quality-gates", get(checks::quality_gates).route_layer(may(ReadMetrics)))
        .route("/health/security", get(checks::security).route_layer(may(ReadMetrics)))
        .route("/health/scaling", get(checks::scaling).route_layer(may(ReadMetrics)))
        .route("/health/research", get(checks::research).route_layer(may(ReadMetrics)))
        .route("/v1/log-level", get(log_level::show).put(log_level::change).route_layer(may(Operate)))
        .route("/metrics", metrics)
        .fallback(async || ApiError::not_found("there is no such resource"))
        .method_not_allowed_fallback(async || ApiError::method_not_allowed())
        .layer(DefaultBodyLimit::max(events::BODY_BYTES_MAX))
        .layer(from_fn_with_state(Arc::clone(&app), observe))
        .with_state(app)
}

async fn observe(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    if let Some(ConnectInfo(Peer(peer))) = request.extensions().get::<ConnectInfo<Peer>>().copied() {
        request.extensions_mut().insert(auth::Source(peer.ip()));
    }
    let asked = answered::Asked::of(&request);
    let refused = refusals::Asked::of(&request);
    let mut response = next.run(request).await;
    if response.status().is_server_error() {
        app.alarm.observe(Observation::Error { place: "collector" }, now_ms());
    }
    app.refusals.saw(refused, &response, now_ms());
    asked.answered(&mut response, &app.metrics);
    let headers = response.headers_mut();
    for (name, value) in headers::headers(Answer::Private, app.has_tls) {
        // A file of the log says itself how long it may be kept.
        headers.entry(HeaderName::from_static(name)).or_insert(HeaderValue::from_static(value));
    }
    response
}
