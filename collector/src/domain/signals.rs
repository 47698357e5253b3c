//! What an event says for metrics, traces and alerts, and nobody asks questions about. Nothing of it is a reason to refuse the event:
//! what is missing or odd is left out.

use serde::Deserialize;
use serde_json::value::RawValue;

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Signals {
    pub(crate) trace_id: Option<TraceId>,
    pub(crate) trace: Option<Trace>,
    pub(crate) latency: Latency,
    pub(crate) coverage: Coverage,
    pub(crate) gen_ai: GenAi,
    pub(crate) gaps: Vec<String>,
    pub(crate) method: Option<String>,
    pub(crate) status: Option<u16>,
    pub(crate) profile: Option<String>,
    pub(crate) direction: Option<String>,
    pub(crate) is_degraded: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TraceId(pub(crate) [u8; 16]);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SpanId(pub(crate) [u8; 8]);

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Trace {
    pub(crate) parent: Option<SpanId>,
    pub(crate) is_sampled: bool,
    pub(crate) began_ns: u64,
    pub(crate) took_ns: u64,
    pub(crate) layers: Vec<Lap>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Lap {
    pub(crate) layer: String,
    pub(crate) direction: String,
    pub(crate) at_ns: u64,
    pub(crate) took_ns: u64,
}

/// In microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct Latency {
    pub(crate) request: Option<u64>,
    pub(crate) response: Option<u64>,
}

/// Of both bodies together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Coverage {
    pub(crate) bytes: u64,
    /// Those of them that were scanned, or are structure.
    pub(crate) covered: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct GenAi {
    pub(crate) provider: Option<String>,
    pub(crate) operation: Option<String>,
    pub(crate) model: Option<String>,
    pub(crate) input_tokens: Option<u64>,
    pub(crate) output_tokens: Option<u64>,
}

/// The same, as it stands in an event.
#[derive(Default, Deserialize)]
#[serde(default)]
struct View<'a> {
    #[serde(borrow)]
    trace_id: Option<&'a RawValue>,
    #[serde(borrow)]
    trace: Option<&'a RawValue>,
    #[serde(borrow)]
    latency_us: Option<&'a RawValue>,
    #[serde(borrow)]
    receipt: Option<&'a RawValue>,
    #[serde(borrow)]
    gen_ai: Option<&'a RawValue>,
    #[serde(borrow)]
    gaps: Option<&'a RawValue>,
    #[serde(borrow)]
    method: Option<&'a RawValue>,
    #[serde(borrow)]
    status: Option<&'a RawValue>,
    #[serde(borrow)]
    profile: Option<&'a RawValue>,
    #[serde(borrow)]
    direction: Option<&'a RawValue>,
    #[serde(borrow)]
    degraded: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Receipts {
    request: Option<Receipt>,
    response: Option<Receipt>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Receipt {
    bytes: u32,
    scanned: u32,
    structural: u32,
}

#[derive(Deserialize)]
struct TraceView {
    parent: Option<String>,
    #[serde(default)]
    sampled: bool,
    began_ns: u64,
    took_ns: u64,
    #[serde(default)]
    layers: Vec<Lap>,
}

impl Signals {
    /// A pass of its own over the text, so that none of this can be a reason why the first one fails.
    pub(super) fn of(body: &str) -> Self {
        serde_json::from_str::<View<'_>>(body).map(|view| Self::read(&view)).unwrap_or_default()
    }

    fn read(view: &View<'_>) -> Self {
        let mut gaps: Vec<String> = read(view.gaps).unwrap_or_default();
        gaps.truncate(GAPS_MAX);
        Self {
            trace_id: read::<String>(view.trace_id).and_then(|text| digits(&text)).map(TraceId),
            trace: read::<TraceView>(view.trace).map(TraceView::into_trace),
            latency: read(view.latency_us).unwrap_or_default(),
            coverage: read(view.receipt).map(Receipts::coverage).unwrap_or_default(),
            gen_ai: read(view.gen_ai).unwrap_or_default(),
            gaps,
            method: read(view.method),
            status: read(view.status),
            profile: read(view.profile),
            direction: read(view.direction),
            is_degraded: view.degraded.is_some_and(|raw| raw.get() != "null"),
        }
    }
}

impl Receipts {
    fn coverage(self) -> Coverage {
        let mut sum = Coverage::default();
        for Receipt { bytes, scanned, structural } in [self.request, self.response].into_iter().flatten() {
            sum.bytes += u64::from(bytes);
            sum.covered += (u64::from(scanned) + u64::from(structural)).min(u64::from(bytes));
        }
        sum
    }
}

impl TraceView {
    fn into_trace(self) -> Trace {
        let Self { parent, sampled, began_ns, took_ns, mut layers } = self;
        layers.truncate(LAPS_MAX);
        let parent = parent.as_deref().and_then(digits).map(SpanId);
        Trace { parent, is_sampled: sampled, began_ns, took_ns, layers }
    }
}

fn read<T: for<'de> Deserialize<'de>>(raw: Option<&RawValue>) -> Option<T> {
    serde_json::from_str(raw?.get()).ok()
}

/// Hexadecimal digits of exactly that many bytes, not all of them zero.
fn digits<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    if text.len() != 2 * N {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let [high, low] = pair else { return None };
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    (bytes != [0; N]).then_some(bytes)
}

const fn digit(b: u8) -> Option<u8> {
    match b {
        b'0'..=b'9' => Some(b - b'0'),
        b'a'..=b'f' => Some(b - b'a' + 10),
        _ => None,
    }
}

impl std::fmt::Display for TraceId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

const GAPS_MAX: usize = 16;
/// Eight layers in each direction, and room for more.
const LAPS_MAX: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    fn signals(text: &str) -> Signals {
        Signals::of(text)
    }

    #[test]
    fn what_is_odd_is_left_out_and_what_is_right_beside_it_is_not() {
        let trace_id = "4bf92f3577b34da6a3ce929d0e0e4736";
        let found = signals(&format!(
            r#"{{"trace_id":"{trace_id}","trace":7,"latency_us":{{"request":5}},"status":"x","gaps":["size"],
            "gen_ai":{{"model":"m","input_tokens":-1}},"degraded":null,"method":["POST"]}}"#
        ));
        assert_eq!(found.trace_id.unwrap().to_string(), trace_id);
        assert_eq!((found.latency.request, found.latency.response), (Some(5), None));
        assert_eq!((found.status, found.method, found.trace), (None, None, None));
        assert_eq!((found.gaps, found.is_degraded), (vec!["size".to_owned()], false));
        for bad in ["", "4bf9", "ann@example.org", &"0".repeat(32), &trace_id.to_uppercase()] {
            assert_eq!(signals(&format!(r#"{{"trace_id":"{bad}"}}"#)).trace_id, None, "{bad}");
        }
    }

    #[test]
    fn the_place_in_a_trace_is_read_as_the_core_writes_it() {
        let trace = sentinel_core::event::Trace {
            parent: Some("00f067aa0ba902b7".to_owned()),
            sampled: true,
            began_ns: 5,
            took_ns: 9,
            layers: vec![sentinel_core::Lap {
                layer: sentinel_core::Layer::SecondOpinion,
                direction: sentinel_core::Direction::Request,
                at_ns: 1,
                took_ns: 2,
            }],
        };
        let found =
            signals(&format!(r#"{{"trace":{}}}"#, serde_json::to_string(&trace).unwrap())).trace.unwrap();
        assert_eq!(found.parent, Some(SpanId([0, 0xf0, 0x67, 0xaa, 0x0b, 0xa9, 2, 0xb7])));
        let lap =
            Lap { layer: "second_opinion".to_owned(), direction: "request".to_owned(), at_ns: 1, took_ns: 2 };
        assert_eq!((found.is_sampled, found.began_ns, found.took_ns), (true, 5, 9));
        assert_eq!(found.layers, [lap]);
    }
}
