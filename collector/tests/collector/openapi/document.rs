//! The served document: its operations, and whether an answer is one that it names.

use serde_json::Value;

use super::schema::Schemas;
use crate::support::{Answer, Client};

pub(crate) struct Document(Value);

/// One operation of it.
#[derive(Clone, Copy)]
pub(crate) struct Operation<'d> {
    pub(crate) method: &'d str,
    pub(crate) path: &'d str,
    pub(crate) says: &'d Value,
}

impl Document {
    /// As anybody gets it.
    pub(crate) async fn of(client: &Client) -> Self {
        Self(client.with_authorization(None).json("/openapi.json").await)
    }

    pub(crate) fn operations(&self) -> Vec<Operation<'_>> {
        let paths = self.0["paths"].as_object().unwrap();
        let mut all = Vec::new();
        for (path, methods) in paths {
            for (method, says) in methods.as_object().unwrap() {
                all.push(Operation { method, path, says });
            }
        }
        all
    }

    /// What is wrong with an answer is the text of the panic.
    #[track_caller]
    pub(super) fn check(&self, operation: Operation<'_>, answer: &Answer) {
        let schemas = Schemas { document: &self.0 };
        let name = operation.name();
        let status = answer.status.to_string();
        let declared = operation.says["responses"]
            .get(&status)
            .unwrap_or_else(|| panic!("{name} answers {status}, which is not declared: {}", answer.body()));
        let declared = schemas.resolve(declared);
        for (header, says) in declared["headers"].as_object().into_iter().flatten() {
            let is_there = answer.header(header).is_some() || says["required"] == false;
            assert!(is_there, "{name} {status} without {header}");
        }
        let Some(content) = declared["content"].as_object() else {
            assert!(answer.bytes.is_empty(), "{name} {status} has a body, which is not declared");
            return;
        };
        let media = answer.header("content-type").unwrap_or_else(|| panic!("{name} {status} has no type"));
        let media = media.split(';').next().unwrap();
        let form = content.get(media).unwrap_or_else(|| panic!("{name} {status} as {media}: not declared"));
        let body = body(answer);
        match media {
            "application/json" => {
                let value = serde_json::from_slice(&body)
                    .unwrap_or_else(|error| panic!("{name} {status}: {error}: {answer:?}"));
                let wrong = schemas.check(&form["schema"], &value);
                assert!(wrong.is_empty(), "{name} {status}: {wrong:#?} in {value:#}");
            }
            "application/jsonl" => {
                for line in std::str::from_utf8(&body).unwrap().lines() {
                    serde_json::from_str::<Value>(line)
                        .unwrap_or_else(|error| panic!("{name}: {error}: {line}"));
                }
            }
            "text/plain" | "text/csv" => assert!(std::str::from_utf8(&body).is_ok(), "{name}"),
            "application/octet-stream" => {}
            other => panic!("{name} {status}: the test does not know {other}"),
        }
    }
}

impl<'d> Operation<'d> {
    pub(crate) fn name(&self) -> String {
        format!("{} {}", self.method(), self.path)
    }

    pub(crate) fn method(&self) -> String {
        self.method.to_ascii_uppercase()
    }

    pub(crate) fn id(&self) -> &'d str {
        self.says["operationId"].as_str().unwrap()
    }

    /// `anyone`, `own_proof`, `any_role`, or `permission`.
    pub(crate) fn access(&self) -> &'d str {
        self.says["x-access"].as_str().unwrap()
    }

    pub(crate) fn permission(&self) -> Option<&'d str> {
        self.says["x-permission"].as_str()
    }

    /// Those that may use it.
    pub(crate) fn roles(&self) -> Vec<&'d str> {
        self.says["x-roles"].as_array().into_iter().flatten().map(|role| role.as_str().unwrap()).collect()
    }

    pub(super) fn parameters(&self, place: &str) -> Vec<&'d Value> {
        let all = self.says["parameters"].as_array().into_iter().flatten();
        all.filter(|parameter| parameter["in"] == place).collect()
    }

    pub(super) fn media(&self) -> Option<&'d str> {
        self.says["requestBody"]["content"].as_object()?.keys().next().map(String::as_str)
    }

    /// Of its body.
    pub(super) fn example(&self) -> Option<&'d Value> {
        self.says["requestBody"]["content"].as_object()?.values().next()?.get("example")
    }

    /// With the examples of the document, where `fill` has no value for a parameter of the path.
    pub(crate) fn target(&self, fill: &[(&str, &str)]) -> String {
        let mut path = self.path.to_owned();
        for parameter in self.parameters("path") {
            let name = parameter["name"].as_str().unwrap();
            let given = fill.iter().find(|(of, _)| *of == name).map(|(_, value)| *value);
            let value = given.unwrap_or_else(|| parameter["example"].as_str().unwrap());
            path = path.replace(&format!("{{{name}}}"), value);
        }
        let required: Vec<String> = self
            .parameters("query")
            .iter()
            .filter(|parameter| parameter["required"] == true)
            .map(|parameter| {
                let example = &parameter["example"];
                let value = example.as_str().map_or_else(|| example.to_string(), str::to_owned);
                format!("{}={value}", parameter["name"].as_str().unwrap())
            })
            .collect();
        if required.is_empty() { path } else { format!("{path}?{}", required.join("&")) }
    }
}

/// Without the lengths of chunks.
fn body(answer: &Answer) -> Vec<u8> {
    if answer.header("transfer-encoding").is_none() {
        return answer.bytes.clone();
    }
    let (mut body, mut rest) = (Vec::new(), answer.bytes.as_slice());
    loop {
        let end = rest.windows(2).position(|window| window == b"\r\n").unwrap();
        let length = usize::from_str_radix(std::str::from_utf8(&rest[..end]).unwrap(), 16).unwrap();
        if length == 0 {
            return body;
        }
        body.extend_from_slice(&rest[end + 2..end + 2 + length]);
        rest = &rest[end + 4 + length..];
    }
}
