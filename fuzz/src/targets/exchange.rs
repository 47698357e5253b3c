//! Headers and bodies of both directions, all of the fuzzer's choosing, on every kind of host and policy.

use sentinel_core::{HeaderHold, config::WithoutHeaderHold};

use crate::{
    drive::{Kind, Message, Traffic},
    law,
    source::Source,
};

pub fn run(data: &[u8]) {
    let (bodies, mut source) = Source::after_body(data);
    let (cuts, ending) = (source.cuts(), source.ending());
    let split = source.below(usize::from(u16::MAX)) % (bodies.len() + 1);
    let (request, response) = bodies.split_at(split);
    let header_hold = source.pick(&[HeaderHold::Works, HeaderHold::Unproven, HeaderHold::Missing]);
    let with_failure = source.byte();
    let traffic = Traffic {
        policy: source.pick(&Kind::ALL),
        header_hold,
        without_header_hold: source.pick(&[WithoutHeaderHold::HeadersFirst, WithoutHeaderHold::Refuse]),
        hold_found_missing: header_hold == HeaderHold::Unproven && source.flag(),
        fails_at: (with_failure % 4 == 1).then_some(usize::from(with_failure / 4)),
        request: headers(&mut source, Message::new(REQUEST, request)),
        response: Some(headers(&mut source, Message::new(&[], response))),
    };
    law::run(&traffic, &cuts, ending);
}

const REQUEST: &[(&str, &[u8])] =
    &[(":method", b"POST"), (":path", b"/v1/fuzz"), (":authority", b"fuzz.local")];

fn headers(source: &mut Source<'_>, mut message: Message) -> Message {
    for _ in 0..source.below(8) {
        let (name, values) = source.pick(HEADERS);
        let value = match source.byte() {
            0 => source.bytes(40),
            pick => values.get(usize::from(pick - 1)).copied().unwrap_or(b""),
        };
        let value = match value {
            b"LENGTH" => message.body.len().to_string().into_bytes(),
            value => value.to_vec(),
        };
        message = message.with(name, &value);
    }
    message
}

type Values = &'static [&'static [u8]];

/// Headers that an exchange looks at, with values that mean something to it.
const HEADERS: &[(&str, Values)] = &[
    (
        "content-type",
        &[
            b"application/json",
            b"text/event-stream",
            b"application/x-ndjson",
            b"text/plain; charset=utf-8",
            b"application/vnd.api+json",
            b"multipart/form-data; boundary=b",
            b"application/x-www-form-urlencoded",
            b"application/octet-stream",
            b"image/png",
            b"audio/mpeg",
            b"application/vnd.amazon.eventstream",
            b"\xff/\xfe",
            b"Application/JSON ; x=y",
        ],
    ),
    ("content-encoding", &[b"gzip", b"identity", b"br", b"deflate", b"gzip, identity", b"zstd", b"", b"x"]),
    ("content-length", &[b"LENGTH", b"0", b"1", b"524289", b"99999999999999999999", b"-1", b"1, 1", b"x"]),
    (":path", &[b"/", b"/v1/chat/completions?k=v", b"*", b"", b"/%zz/\xff"]),
    (":method", &[b"GET", b"CONNECT", b"connect", b"PUT"]),
    (":status", &[b"200", b"101", b"204", b"99999", b"x"]),
    ("connection", &[b"upgrade", b"close, Upgrade", b"keep-alive"]),
    ("upgrade", &[b"websocket", b"h2c"]),
    ("x-sentinel-verdict", &[b"clean"]),
    ("X_Sentinel_Action", &[b"allow"]),
    ("x-request-id", &[b"r1"]),
    ("traceparent", &[b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", b"00"]),
    ("accept-encoding", &[b"gzip"]),
];
