//! The collector over HTTP: one file per resource. Every answer passes [`observe`], which counts it and logs what an
//! error kept private.

mod aggregates;
mod auth;
mod body;
mod bundle;
mod bundles;
mod compliance;
mod deployments;
pub(crate) mod endpoints;
mod error;
mod events;
mod export;
mod feedback;
mod filter;
mod gaps;
mod gate;
mod health;
mod journal;
mod leases;
mod log;
mod metrics;
mod params;
mod people;
mod period;
mod second_opinion;
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
    AskOpinion, Deploy, Export, Feedback, ManageKeys, ManageSubjects, PollBundle, PushBundle, ReadContent,
    ReadEvents, ReadJournal, ReadMetrics, ReadProofs, SendEvents, TakeLease,
};
use crate::config::{Config, MetricsAccess};
use crate::deploy::Desk;
use crate::domain::BUNDLE_BYTES_MAX;
use crate::evidence::{Cosigners, Eraser, Evidence, Files, Intake, Keeper, Notary, Reader};
use crate::lease::Leases;
use crate::port::Peer;
use crate::store::Store;
use error::{ApiError, PrivateDetail};
pub(crate) use gate::Gate;
use metrics::Metrics;
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
    leases: Leases,
    metrics_access: MetricsAccess,
    /// One permit for each batch between its headers and its answer.
    ingest: Semaphore,
    ingest_in_flight_max: usize,
    /// One permit for each export that is under way.
    exports: Arc<Semaphore>,
    metrics: Metrics,
    second_opinion: Option<OpinionDesk>,
    started: Instant,
}

impl App {
    pub(crate) fn new(
        config: &Config,
        evidence: Evidence,
        desk: Arc<Desk>,
        leases: Leases,
        gate: Gate,
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
            leases,
            metrics_access: config.metrics_access,
            ingest: Semaphore::new(config.ingest_in_flight_max),
            ingest_in_flight_max: config.ingest_in_flight_max,
            exports: Arc::new(Semaphore::new(export::EXPORTS_MAX)),
            metrics: Metrics::default(),
            second_opinion: config.second_opinion.as_ref().map(OpinionDesk::new),
            started: Instant::now(),
        }
    }

    pub(crate) fn store(&self) -> &dyn Store {
        &*self.store
    }

    fn ingest_in_flight(&self) -> usize {
        self.ingest_in_flight_max.saturating_sub(self.ingest.available_permits())
    }
}

pub(crate) use events::now_ms;

pub(crate) fn router(app: Arc<App>) -> Router {
    let may = |permission| from_fn_with_state((Arc::clone(&app), permission), auth::require);
    let metrics = match app.metrics_access {
        MetricsAccess::Reader => get(metrics::show).route_layer(may(ReadMetrics)),
        MetricsAccess::Anyone => get(metrics::show),
    };
    let people = people::resources();
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
        .route("/v1/events/{id}", get(events::one).route_layer(may(ReadContent)))
        .route("/v1/events/{id}/proof", get(log::prove).route_layer(may(ReadProofs)))
        .route("/log/events/{*path}", get(log::events).route_layer(may(Export)))
        .route("/log/{*path}", get(log::file).route_layer(may(ReadProofs)))
        .route("/v1/subjects/erase", post(subjects::erase).route_layer(may(ManageSubjects)))
        .route("/v1/journal", get(journal::list).route_layer(may(ReadJournal)))
        .route("/v1/second-opinion", post(second_opinion::ask).route_layer(may(AskOpinion)))
        .route("/v1/aggregates", get(aggregates::show).route_layer(may(ReadEvents)))
        .route("/v1/compliance", get(compliance::show).route_layer(may(ReadEvents)))
        .route("/v1/export", get(export::stream).route_layer(may(Export)))
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
        .route(
            "/v1/deployments",
            post(deployments::begin)
                .route_layer(may(Deploy))
                .merge(get(deployments::list).route_layer(may(ReadEvents))),
        )
        .route("/v1/deployments/current/{verb}", post(deployments::change).route_layer(may(Deploy)))
        .route("/v1/feedback", post(feedback::label).route_layer(may(Feedback)))
        .route("/health", get(health::ready))
        .route("/health/live", get(health::live))
        .route("/health/ready", get(health::ready))
        .route("/health/detailed", get(health::detailed).route_layer(may(ReadMetrics)))
        .route("/health/db", get(health::db).route_layer(may(ReadMetrics)))
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
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let mut response = next.run(request).await;
    let status = response.status().as_u16();
    app.metrics.count_answer(status);
    if let Some(PrivateDetail(detail)) = response.extensions_mut().remove() {
        tracing::warn!(%method, path, status, detail, "request failed");
    }
    let headers = response.headers_mut();
    for (name, value) in headers::headers(Answer::Private, app.has_tls) {
        // A file of the log says itself how long it may be kept.
        headers.entry(HeaderName::from_static(name)).or_insert(HeaderValue::from_static(value));
    }
    response
}
