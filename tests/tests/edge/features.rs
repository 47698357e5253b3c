//! All trials, in the words of the table, and the hosts that each is for.

use sentinel_tests::engine::EdgeHost;

use super::{addresses, bodies, broken, bundles, compute, events, host::Host, limits, streams, traps};

#[derive(Debug)]
pub(crate) struct Feature {
    pub(crate) words: &'static str,
    pub(crate) is_for: fn(Host) -> bool,
    pub(crate) test: fn(Host),
    /// A host that is known not to do it, for a reason that `docs/edge.md` gives.
    pub(crate) fails_on: Option<Host>,
}

const fn everywhere(words: &'static str, test: fn(Host)) -> Feature {
    Feature { words, is_for: |_| true, test, fails_on: None }
}

/// Where an instance lasts as long as its host, and has many requests at a time.
const fn in_script(words: &'static str, test: fn(Host)) -> Feature {
    Feature { words, is_for: |host| host != Host::Viceroy, test, fails_on: None }
}

const fn in_program(words: &'static str, test: fn(Host)) -> Feature {
    Feature { words, is_for: |host| host == Host::Viceroy, test, fails_on: None }
}

pub(crate) const FEATURES: [Feature; 24] = [
    everywhere(
        "a stream comes event by event, each before the next but one is sent",
        streams::one_comes_event_by_event,
    ),
    everywhere("an upstream that is away: 502, and an event", broken::an_upstream_that_is_away),
    everywhere("an answer that breaks off is no whole one to the client", broken::an_answer_that_breaks_off),
    Feature {
        fails_on: Some(Host::Package(EdgeHost::Workerd)),
        ..everywhere("nor is a stream that breaks off", broken::a_stream_that_breaks_off)
    },
    everywhere("a client that goes stops the upstream, and leaves an event", broken::a_client_that_goes),
    everywhere(
        "events wait for a collector that is away, and come once",
        events::they_wait_for_a_collector_that_is_away,
    ),
    everywhere("a wrong configuration: the built-in policy guards", broken::a_wrong_configuration),
    everywhere("an inline bundle, if a trusted key signed it", bundles::an_inline_one),
    everywhere("bundles over HTTP, and a bad one is refused", bundles::those_of_the_collector),
    in_script("the last good one stays, and no older one follows it", bundles::the_last_good_one_stays),
    everywhere("a bundle from a store, from the first request on, if it is signed", bundles::one_of_a_store),
    in_script("the next one from it; a bad one leaves the last good one", bundles::the_next_one_of_a_store),
    everywhere("a body over the limit: 413, or on unread if policy says so", bodies::one_over_the_limit),
    everywhere("the address of a client, and none that it makes up", addresses::one_is_known),
    everywhere("limits, counted in the instance: 429", limits::one_is_counted_in_the_instance),
    Feature {
        words: "limits that several workers share by durable objects",
        is_for: Host::has_objects,
        test: limits::one_is_shared_by_workers,
        fails_on: None,
    },
    in_script(
        "a trap: closed or open by policy, a new instance for the next request",
        traps::one_fails_by_policy,
    ),
    in_script("a request that traps every instance: 503", traps::one_of_every_instance_does_not_pass),
    in_script(
        "metrics as Prometheus reads them, behind a token",
        events::metrics_are_for_those_with_the_token,
    ),
    in_script("40 streams at a time do not wait for one another", streams::many_do_not_wait_for_one_another),
    Feature {
        words: "`scheduled` sends events that wait",
        is_for: Host::can_be_scheduled,
        test: events::a_schedule_sends_those_that_wait,
        fails_on: None,
    },
    in_program("events in a log endpoint, too", compute::events_stand_in_a_log_endpoint_too),
    in_program("a host name that is none does not end the service", compute::a_host_name_that_is_none),
    in_program("instances draw keys of their own, each", compute::instances_have_no_chance_in_common),
];
