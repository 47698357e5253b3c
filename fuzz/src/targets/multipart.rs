//! Uploads as browsers and SDKs send them: parts of the fuzzer's choosing around one with something planted in it.

use sentinel_core::Direction;

use crate::{
    drive::{Message, Traffic},
    law,
    plant::{self, Way},
    source::Source,
};

const PARTS_MAX: usize = 5;

/// Bytes that are a body as they are, or choices about one.
pub fn run(data: &[u8]) {
    match data.strip_prefix(b"\0") {
        Some(choices) => parts(&mut Source::new(choices)),
        None => any_bytes(data),
    }
}

fn any_bytes(data: &[u8]) {
    let (body, mut source) = Source::after_body(data);
    let (cuts, ending) = (source.cuts(), source.ending());
    let boundary = boundary(&mut source);
    law::run(&post(&boundary, &mut source, body), &cuts, ending);
}

fn parts(source: &mut Source<'_>) {
    let (cuts, ending) = (source.cuts(), source.ending());
    let boundary = boundary(source);
    let (n_parts, way) = (1 + source.below(PARTS_MAX), Way::pick(source));
    let chosen = source.below(n_parts);
    let build = |planted: &str| {
        let mut source = source.clone();
        let newline = source.pick(&["\r\n", "\r\n", "\r\n", "\n"]);
        let mut body = source.text(12).into_bytes();
        if !body.is_empty() {
            body.extend_from_slice(newline.as_bytes());
        }
        for part in 0..n_parts {
            body.extend(
                format!("--{boundary}{}{newline}", source.pick(&["", "", "", " ", "\t"])).into_bytes(),
            );
            let planted = (part == chosen).then_some(planted);
            write_part(&mut body, newline, &mut source, planted, way);
        }
        body.extend(format!("--{boundary}{}", source.pick(&["--", "--\r\n", "--", "", "-"])).into_bytes());
        body.extend(source.bytes(12));
        post(&boundary, &mut source, &body)
    };
    law::run(&build("x"), &cuts, ending);
    plant::check(Direction::Request, build, &cuts, ending);
}

/// A part; what is planted stands in its text, its name or the name of its file.
fn write_part(body: &mut Vec<u8>, newline: &str, source: &mut Source<'_>, planted: Option<&str>, way: Way) {
    let place = source.byte() % 4;
    let (mut name, mut file) = (source.pick(NAMES).to_owned(), source.pick(FILES).map(str::to_owned));
    let mut text = source.bytes(60).to_vec();
    if let Some(planted) = planted {
        match (place, &mut file) {
            (1, _) => name = way.put(planted, &name),
            (2, Some(file)) => *file = way.put(planted, file),
            _ => text = way.put(planted, &String::from_utf8_lossy(&text)).into_bytes(),
        }
    }
    let file = file.map(|file| format!("; filename=\"{file}\"")).unwrap_or_default();
    let disposition = source.pick(&["Content-Disposition", "content-disposition", "CONTENT-DISPOSITION"]);
    let mut head = format!("{disposition}: form-data; name=\"{name}\"{file}{newline}");
    for _ in 0..source.below(3) {
        head.push_str(source.pick(PART_HEADERS));
        head.push_str(newline);
    }
    body.extend(head.into_bytes());
    body.extend_from_slice(newline.as_bytes());
    body.extend(text);
    body.extend_from_slice(newline.as_bytes());
}

const NAMES: &[&str] = &["prompt", "file", "model", "image", "messages", "", "a\\\"b", "input[0]"];

const FILES: &[Option<&str>] = &[None, None, Some("a.txt"), Some("a.png"), Some("a.jsonl"), Some("")];

const PART_HEADERS: &[&str] = &[
    "Content-Type: text/plain",
    "Content-Type: application/json",
    "Content-Type: image/png",
    "Content-Type: application/octet-stream",
    "Content-Type: text/plain; charset=utf-16",
    "Content-Transfer-Encoding: base64",
    "Content-Transfer-Encoding: quoted-printable",
    "X-Folded: a\r\n b",
    "no colon",
    "",
];

fn boundary(source: &mut Source<'_>) -> String {
    match source.byte() % 4 {
        0 => "b".into(),
        1 => "----WebKitFormBoundary7MA4YWxkTrZu0gW".into(),
        2 => "a'()+_,-./:=? b".into(),
        _ => source.text(80).replace(['\r', '\n'], ""),
    }
}

fn post(boundary: &str, source: &mut Source<'_>, body: &[u8]) -> Traffic {
    let content_type = match source.byte() % 6 {
        0 => format!("multipart/form-data; boundary={boundary}"),
        1 => format!("multipart/form-data; boundary=\"{boundary}\""),
        2 => format!("Multipart/Form-Data;charset=utf-8; Boundary={boundary}"),
        3 => format!("multipart/form-data; boundary={boundary}; boundary=other"),
        4 => "multipart/form-data".into(),
        _ => format!("multipart/mixed; boundary={boundary}"),
    };
    Traffic::request(Message::post("/v1/audio/transcriptions", content_type.as_bytes(), body))
}
