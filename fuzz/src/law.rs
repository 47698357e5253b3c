//! What holds for all traffic, whatever is in it.

use std::sync::LazyLock;

use sentinel_core::{
    Action, Direction, Verdict,
    event::Event,
    receipt::{Gap, GapReason, Receipt},
};
use serde::de::IgnoredAny;

use crate::drive::{Cuts, Ending, Kind, Message, Outcome, Traffic, drive};

/// Runs the traffic whole and cut, and checks everything that needs no knowledge of the body. Answers the outcome.
pub fn run(traffic: &Traffic, cuts: &Cuts, ending: Ending) -> Outcome {
    if *SHOWS {
        eprintln!("{traffic:#?} {cuts:?} {ending:?}");
    }
    let whole = drive(traffic, &Cuts::Never, Ending::WithLast);
    check(traffic, &whole);
    let cut = drive(traffic, cuts, ending);
    check(traffic, &cut);
    // Where a failure strikes depends on the chunks before it.
    if traffic.fails_at.is_none() {
        let (left, right) = (comparable(traffic, &whole), comparable(traffic, &cut));
        assert_eq!(left, right, "the outcome depends on the cuts ({cuts:?}, {ending:?})");
    }
    whole
}

/// Whether traffic is printed before it is sent: so `cargo xtask fuzz --reproduce` asks.
static SHOWS: LazyLock<bool> = LazyLock::new(|| std::env::var_os("SENTINEL_FUZZ_SHOW").is_some());

/// The outcome without what may depend on chunks: how much had gone on before a refusal, and how much of a body came by
/// that is refused for its size, or in the middle of decoding it.
fn comparable(traffic: &Traffic, outcome: &Outcome) -> Outcome {
    let mut outcome = outcome.clone();
    let responses = outcome.response.iter_mut();
    responses.chain([&mut outcome.request]).for_each(|passed| passed.refused_at = None);
    let event = &mut outcome.event;
    let refused = refused_direction(event);
    let is_encoded = refused.and_then(|refused| traffic.message(refused)).is_some_and(Message::is_encoded);
    match refused.filter(|_| is_encoded || event.gaps.contains(&GapReason::Size)) {
        Some(Direction::Request) => event.receipt.request = Receipt::default(),
        Some(Direction::Response) => event.receipt.response = None,
        None => {}
    }
    outcome
}

/// The direction that was refused.
pub fn refused_direction(event: &Event) -> Option<Direction> {
    (event.action == Action::Block).then_some(event.direction)
}

pub fn receipt(event: &Event, direction: Direction) -> Option<&Receipt> {
    match direction {
        Direction::Request => Some(&event.receipt.request),
        Direction::Response => event.receipt.response.as_ref(),
    }
}

fn check(traffic: &Traffic, outcome: &Outcome) {
    let event = &outcome.event;
    for direction in [Direction::Request, Direction::Response] {
        let Some(sent) = traffic.message(direction) else { continue };
        check_receipt(event, direction, sent);
        check_passed(outcome, direction, sent);
        for finding in event.findings.iter().filter(|finding| finding.direction == direction) {
            assert!(finding.start < finding.end, "an empty finding: {finding:?}");
            let counted = receipt(event, direction).map_or(0, |receipt| receipt.bytes);
            assert!(finding.end <= counted, "a finding behind the body: {finding:?}");
        }
    }
    if outcome.reply.is_some() {
        assert_eq!(event.action, Action::Block, "a reply, and the event does not say so");
    }
    if traffic.policy == Kind::Monitor {
        assert!(
            outcome.reply.is_none() && event.action <= Action::Monitor,
            "monitoring has acted: {event:?}"
        );
    }
    if event.verdict == Verdict::Clean {
        // What is not guarded is as policy wants it, and what is only long was read.
        let is_fine = |gap: &Gap| ["not_guarded", "length"].contains(&gap.reason.name());
        let named = |receipt: &Receipt| !receipt.gaps.iter().all(is_fine);
        let gaps = [Some(&event.receipt.request), event.receipt.response.as_ref()];
        assert!(!gaps.into_iter().flatten().any(named), "clean, with gaps: {:?}", event.receipt);
    }
    assert!(event.score.is_finite() && (0.0..=1.0).contains(&event.score), "score {}", event.score);
    assert!(event.findings_total as usize >= event.findings.len());
}

fn check_receipt(event: &Event, direction: Direction, sent: &Message) {
    let Some(receipt) = receipt(event, direction) else { return };
    assert!(receipt.balances(), "{} does not balance: {receipt:?}", direction.name());
    let (counted, sent_bytes) = (receipt.bytes as usize, sent.body.len());
    match (sent.is_encoded(), refused_direction(event) == Some(direction)) {
        // What it decodes to is counted, if it can be decoded.
        (true, _) => {}
        (_, true) => assert!(counted <= sent_bytes, "{counted} bytes counted of {sent_bytes}: {receipt:?}"),
        _ => assert_eq!(counted, sent_bytes, "{} bytes counted: {receipt:?}", direction.name()),
    }
    for gap in &receipt.gaps {
        assert!(
            gap.start <= gap.end && gap.end as usize <= counted,
            "a gap outside of the body: {receipt:?}"
        );
    }
}

/// What went on is what was sent, but for masks and refusals.
fn check_passed(outcome: &Outcome, direction: Direction, sent: &Message) {
    let passed = outcome.passed(direction);
    let refused = refused_direction(&outcome.event);
    if direction == Direction::Response && refused == Some(Direction::Request) {
        // The answer to a request that was refused never was.
        return assert!(outcome.response.is_none(), "a refused request was answered");
    }
    if refused == Some(direction) {
        return check_refusal(outcome, direction, sent);
    }
    // What is decoded may go on decoded; and what was masked in a request comes back in its answer.
    let is_changed = sent.is_encoded() || (direction == Direction::Response && outcome.masked_request);
    if outcome.event.action >= Action::Mask {
        assert!(
            is_changed || is_masked(&sent.body, passed),
            "more than masks was changed\n{}",
            shown(passed)
        );
    } else {
        assert!(is_changed || passed == sent.body, "not masked, and changed\n{}", shown(passed));
    }
}

fn check_refusal(outcome: &Outcome, direction: Direction, sent: &Message) {
    let passed = outcome.passed(direction);
    if direction == Direction::Request {
        assert!(outcome.reply.is_some(), "a refused request got no reply");
        return assert!(passed.is_empty(), "of a refused request {} bytes went on", passed.len());
    }
    if outcome.reply.is_some() {
        return assert!(passed.is_empty(), "of a refused response {} bytes went on", passed.len());
    }
    // Headers had gone: the words of the refusal are the body, or the end of it.
    let refused_at = outcome.response.as_ref().and_then(|passed| passed.refused_at);
    let (before, words) = passed.split_at(refused_at.unwrap_or_default());
    let says_so = words.windows(WORD.len()).any(|window| window == WORD);
    assert!(says_so, "refused in silence\n{}", shown(passed));
    let is_changed = sent.is_encoded() || outcome.masked_request;
    assert!(is_changed || is_masked(&sent.body, before), "before a refusal came\n{}", shown(before));
}

/// Every refusal has it, whatever the client.
const WORD: &[u8] = b"sentinel";

/// Whether `passed` may be what was sent with placeholders in it: whatever else it has was sent, in that order.
fn is_masked(sent: &[u8], passed: &[u8]) -> bool {
    let mut left = sent.iter();
    let mut rest = passed;
    while let Some((first, after)) = rest.split_first() {
        match placeholder_len(rest) {
            Some(len) => rest = &rest[len..],
            None if left.any(|byte| byte == first) => rest = after,
            None => return false,
        }
    }
    true
}

/// `[CARD_1]`, with the quotation marks of a number that was replaced, or in the escapes of a form.
fn placeholder_len(text: &[u8]) -> Option<usize> {
    let quote = text.iter().take_while(|byte| **byte == b'\\').count();
    let quote = if text.get(quote) == Some(&b'"') { quote + 1 } else { 0 };
    let opened = text.get(quote..)?;
    let (name, close) = match opened.strip_prefix(b"[") {
        Some(name) => (name, &b"]"[..]),
        None => (opened.strip_prefix(b"%5B")?, &b"%5D"[..]),
    };
    let letters = name.iter().take_while(|byte| byte.is_ascii_uppercase() || **byte == b'_').count();
    let digits = name.get(letters..)?.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let after = name.get(letters + digits..)?.strip_prefix(close)?;
    let after = after.strip_prefix(&text[..quote]).unwrap_or(after);
    (letters > 1 && digits > 0).then(|| text.len() - after.len())
}

pub fn shown(text: &[u8]) -> String {
    String::from_utf8_lossy(text).into_owned()
}

/// Whether a text is JSON by the grammar, nested however deep: `serde_json` follows no depth when it keeps nothing.
pub fn is_json(text: &[u8]) -> bool {
    std::str::from_utf8(text).is_ok_and(|text| serde_json::from_str::<IgnoredAny>(text).is_ok())
}

/// Whether a byte lies in a gap that the receipt names.
pub fn is_covered(receipt: &Receipt, at: usize) -> bool {
    receipt.gaps.iter().any(|gap| gap.start as usize <= at && at < gap.end as usize)
}
