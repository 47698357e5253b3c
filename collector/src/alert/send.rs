//! Sending what is due: claimed first, so that one collector sends it; noted afterwards, so that what a crash leaves open is
//! sent again. What is noted of a failure names no address and no secret.

use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderName;
use tokio::task::JoinSet;

use super::counts::{DELIVERED, FAILED, RETRIED};
use super::sink::{Mail, Message, Post, Sink};
use super::{Alarm, backoff, smtp};
use crate::domain::{Delivery, DeliveryState, Group, Notice, Severity, Telling};
use crate::outgoing::{Outgoing, Request};
use crate::store::{AlertChange, StoreError};

#[derive(Clone, Debug)]
pub(crate) struct Sender(Arc<Outgoing>);

/// Why it was not taken, in our words.
#[derive(Debug)]
struct Refused(String);

impl Sender {
    pub(crate) const fn new(outgoing: Arc<Outgoing>) -> Self {
        Self(outgoing)
    }

    async fn send(&self, message: Message) -> Result<(), Refused> {
        match message {
            Message::Post(post) => self.post(post).await,
            Message::Mail(mail) => self.mail(mail).await,
        }
    }

    async fn post(&self, post: Post) -> Result<(), Refused> {
        let mut request = Request::post(post.url, "application/json", post.body);
        for (name, value) in post.headers {
            let with = request.with_header(HeaderName::from_static(name), &value);
            request = with.map_err(|_| Refused(format!("the header {name} cannot be sent")))?;
        }
        let answer = self.0.send(request, SEND_WAIT).await.map_err(|failure| Refused(failure.to_string()))?;
        answer.success().map(drop).map_err(|failure| Refused(failure.to_string()))
    }

    async fn mail(&self, mail: Mail) -> Result<(), Refused> {
        match tokio::time::timeout(SEND_WAIT, smtp::send(mail)).await {
            Ok(sent) => sent.map_err(Refused),
            Err(_) => Err(Refused("the mail server took too long".to_owned())),
        }
    }
}

impl Alarm {
    pub(super) async fn send_due(&self, now_ms: fn() -> i64) -> Result<(), StoreError> {
        let due = self.store.due_deliveries(now_ms(), DUE_MAX).await?;
        let mut sending = JoinSet::new();
        for mut delivery in due {
            let claimed_ms = now_ms();
            let until_ms = claimed_ms.saturating_add(CLAIM_MS);
            let claim = AlertChange::Claim { id: delivery.id, now_ms: claimed_ms, until_ms };
            if self.store.change_alerts(claim).await?.is_none() {
                continue;
            }
            delivery.attempts += 1;
            let message = self.sink(&delivery.sink).map(|sink| self.message(sink, &delivery, claimed_ms));
            let sender = self.sender.clone();
            sending.spawn(async move {
                let sent = match message {
                    Some(message) => Some(sender.send(message).await),
                    None => None,
                };
                (delivery, sent)
            });
        }
        while let Some(ended) = sending.join_next().await {
            let Ok((delivery, sent)) = ended else { continue };
            self.note(delivery, sent, now_ms()).await?;
        }
        Ok(())
    }

    async fn note(
        &self,
        mut delivery: Delivery,
        sent: Option<Result<(), Refused>>,
        now_ms: i64,
    ) -> Result<(), StoreError> {
        let again_ms = backoff::next_ms(delivery.attempts, now_ms, chance());
        let (state, outcome, counted) = match (sent, again_ms) {
            (Some(Ok(())), _) => (DeliveryState::Delivered, "delivered".to_owned(), DELIVERED),
            (Some(Err(Refused(reason))), Some(_)) => (DeliveryState::Waiting, reason, RETRIED),
            (Some(Err(Refused(reason))), None) => (DeliveryState::Failed, reason, FAILED),
            (None, _) => (DeliveryState::Failed, "there is no such sink any more".to_owned(), FAILED),
        };
        if state != DeliveryState::Delivered {
            let (sink, attempts) = (&delivery.sink, delivery.attempts);
            tracing::warn!(sink, attempts, outcome, "a notification was not delivered");
        }
        self.count_sent(&delivery.sink, counted);
        (delivery.state, delivery.outcome) = (state, outcome);
        match state {
            DeliveryState::Waiting => delivery.next_ms = again_ms.unwrap_or(now_ms),
            _ => delivery.done_ms = Some(now_ms),
        }
        self.store.change_alerts(AlertChange::Sent(Box::new(delivery))).await?;
        Ok(())
    }

    /// Sends a test to one sink, once and now, and says what came of it. `None`: there is no such sink.
    pub(crate) async fn test(
        &self,
        name: &str,
        who: &str,
        now_ms: i64,
    ) -> Result<Option<Delivery>, StoreError> {
        let Some(sink) = self.sink(name) else { return Ok(None) };
        let notice = Notice {
            kind: Telling::Test,
            rule: "test".to_owned(),
            severity: Severity::Info,
            group: Group::default(),
            summary: format!("A test by {who}: this sink hears of alerts."),
            value: 0.0,
            opened_ms: now_ms,
            at_ms: now_ms,
        };
        let mut delivery = Delivery { attempts: 1, done_ms: Some(now_ms), ..Delivery::new(name, notice) };
        let (state, outcome, counted) = match self.sender.send(self.message(sink, &delivery, now_ms)).await {
            Ok(()) => (DeliveryState::Delivered, "delivered".to_owned(), DELIVERED),
            Err(Refused(reason)) => (DeliveryState::Failed, reason, FAILED),
        };
        self.count_sent(name, counted);
        (delivery.state, delivery.outcome) = (state, outcome);
        let change = AlertChange::Log(Box::new(delivery.clone()));
        delivery.id = self.store.change_alerts(change).await?.unwrap_or_default();
        Ok(Some(delivery))
    }

    fn sink(&self, name: &str) -> Option<&Sink> {
        self.plan.sinks.iter().find(|sink| sink.name == name)
    }

    fn message(&self, sink: &Sink, delivery: &Delivery, now_ms: i64) -> Message {
        sink.message(delivery, self.plan.link.as_deref(), now_ms)
    }
}

/// Only parts those who wait; when the system gives none, they do not part.
fn chance() -> u64 {
    let mut random = [0; 8];
    match getrandom::fill(&mut random) {
        Ok(()) => u64::from_le_bytes(random),
        Err(_) => 0,
    }
}

pub(super) const SEND_WAIT: Duration = Duration::from_secs(15);
/// Longer than sending and noting take.
const CLAIM_MS: i64 = 60_000;
const DUE_MAX: usize = 20;
