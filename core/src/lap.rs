//! How long each layer took, for whoever traces exchanges. The clock is the host's and is asked where one layer ends and
//! the next begins.
//!
//! Invariant: where nobody traces there is no clock, and nothing is paid but the question whether there is one.

use alloc::{rc::Rc, vec::Vec};
use core::cell::RefCell;

use serde::{Deserialize, Serialize};

use crate::{action::Direction, step::Time};

/// What a host gives that knows the time.
pub type Clock = fn() -> Time;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layer {
    /// Bytes to segments.
    Traffic,
    /// Segments to views, and what is disguised in them.
    Text,
    /// All detectors but the model.
    Patterns,
    Model,
    /// Waiting for whoever was asked.
    SecondOpinion,
    /// The session of the request, and what it adds.
    Risk,
    /// Findings to a decision.
    Policy,
    /// A decision to bytes.
    Act,
}

impl Layer {
    const COUNT: usize = 8;
}

/// All the time that one layer took for one direction. Layers take turns, so what lies between its beginning and its end
/// may be of others, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lap {
    pub layer: Layer,
    pub direction: Direction,
    /// When it was entered first, after the request came.
    pub at_ns: u64,
    pub took_ns: u64,
}

/// Handed around with what is measured; clones measure the same exchange.
#[derive(Clone, Debug, Default)]
pub(crate) struct Laps(Option<Rc<RefCell<Watch>>>);

#[derive(Debug)]
struct Watch {
    clock: Clock,
    direction: Direction,
    running: Option<(Layer, Time)>,
    request: [Spent; Layer::COUNT],
    response: [Spent; Layer::COUNT],
}

#[derive(Clone, Copy, Debug, Default)]
struct Spent {
    first: Option<Time>,
    took_ns: u64,
}

impl Laps {
    pub(crate) fn by(clock: Clock) -> Self {
        Self(Some(Rc::new(RefCell::new(Watch {
            clock,
            direction: Direction::Request,
            running: None,
            request: [Spent::default(); Layer::COUNT],
            response: [Spent::default(); Layer::COUNT],
        }))))
    }

    /// A layer begins to work on this direction.
    pub(crate) fn begin(&self, direction: Direction, layer: Layer) {
        self.with(|watch| {
            watch.stop();
            watch.direction = direction;
            watch.enter(layer);
        });
    }

    /// The next layer goes on with the same direction.
    pub(crate) fn enter(&self, layer: Layer) {
        self.with(|watch| watch.enter(layer));
    }

    /// Nobody is at work any more. Whoever was asked still is.
    pub(crate) fn pause(&self) {
        self.with(|watch| {
            if !matches!(watch.running, Some((Layer::SecondOpinion, _))) {
                watch.stop();
            }
        });
    }

    pub(crate) fn taken(&self, since: Time) -> Vec<Lap> {
        let mut laps = Vec::new();
        self.with(|watch| {
            watch.stop();
            for (direction, spent) in
                [(Direction::Request, watch.request), (Direction::Response, watch.response)]
            {
                let lap = |(layer, Spent { first, took_ns }): (Layer, Spent)| {
                    let at_ns = first?.0.saturating_sub(since.0);
                    Some(Lap { layer, direction, at_ns, took_ns })
                };
                laps.extend(LAYERS.into_iter().zip(spent).filter_map(lap));
            }
        });
        laps
    }

    fn with(&self, act: impl FnOnce(&mut Watch)) {
        if let Some(watch) = &self.0
            && let Ok(mut watch) = watch.try_borrow_mut()
        {
            act(&mut watch);
        }
    }
}

impl Watch {
    fn enter(&mut self, layer: Layer) {
        if self.running.is_some_and(|(running, _)| running == layer) {
            return;
        }
        let now = (self.clock)();
        self.stop_at(now);
        if let Some(spent) = self.spent(layer) {
            spent.first.get_or_insert(now);
        }
        self.running = Some((layer, now));
    }

    fn stop(&mut self) {
        if self.running.is_some() {
            self.stop_at((self.clock)());
        }
    }

    fn stop_at(&mut self, now: Time) {
        let Some((layer, since)) = self.running.take() else { return };
        if let Some(spent) = self.spent(layer) {
            spent.took_ns = spent.took_ns.saturating_add(now.0.saturating_sub(since.0));
        }
    }

    fn spent(&mut self, layer: Layer) -> Option<&mut Spent> {
        let spent = match self.direction {
            Direction::Request => &mut self.request,
            Direction::Response => &mut self.response,
        };
        spent.get_mut(layer as usize)
    }
}

const LAYERS: [Layer; Layer::COUNT] = [
    Layer::Traffic,
    Layer::Text,
    Layer::Patterns,
    Layer::Model,
    Layer::SecondOpinion,
    Layer::Risk,
    Layer::Policy,
    Layer::Act,
];

#[cfg(test)]
mod tests {
    use core::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    /// One nanosecond for each question.
    fn ticks() -> Time {
        static NOW: AtomicU64 = AtomicU64::new(100);
        Time(NOW.fetch_add(1, Ordering::Relaxed))
    }

    #[test]
    fn layers_that_take_turns_add_up_and_stand_in_the_order_of_the_list() {
        let laps = Laps::by(ticks);
        laps.begin(Direction::Request, Layer::Text);
        laps.enter(Layer::Patterns);
        laps.enter(Layer::Patterns);
        laps.enter(Layer::Text);
        laps.enter(Layer::Patterns);
        laps.pause();
        laps.begin(Direction::Response, Layer::SecondOpinion);
        laps.pause();
        let lap = |layer, direction, at_ns, took_ns| Lap { layer, direction, at_ns, took_ns };
        assert_eq!(
            laps.taken(Time(100)),
            [
                lap(Layer::Text, Direction::Request, 0, 2),
                lap(Layer::Patterns, Direction::Request, 1, 2),
                lap(Layer::SecondOpinion, Direction::Response, 5, 1),
            ]
        );
        assert!(Laps::default().taken(Time(0)).is_empty());
    }
}
