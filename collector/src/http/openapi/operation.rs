//! The description of one endpoint: what no type and no table of the code says.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::Value;

use super::parameter::Parameter;

pub(super) struct Operation {
    pub(super) method: &'static str,
    /// As the router has it.
    pub(super) path: &'static str,
    /// What generated clients call it. It never changes.
    pub(super) id: &'static str,
    pub(super) tag: &'static str,
    pub(super) summary: &'static str,
    pub(super) description: Option<&'static str>,
    pub(super) parameters: Vec<Parameter>,
    pub(super) body: Option<Body>,
    pub(super) answers: Vec<Answer>,
    /// Of errors, besides those that follow from who may use it.
    pub(super) codes: Vec<&'static str>,
    /// The scheme of a proof of its own.
    pub(super) proof: Option<&'static str>,
}

pub(super) struct Body {
    pub(super) media: &'static str,
    pub(super) shape: Shape,
    pub(super) is_required: bool,
    /// Of a body that is taken; tests send it.
    pub(super) example: Option<Value>,
}

pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) about: &'static str,
    pub(super) content: Vec<(&'static str, Shape)>,
    /// Name and meaning.
    pub(super) headers: Vec<(&'static str, &'static str)>,
}

#[derive(Clone, Copy)]
pub(super) enum Shape {
    Of(fn(&mut SchemaGenerator) -> Schema),
    Text,
    Bytes,
}

impl Operation {
    pub(super) fn new(
        method: &'static str,
        path: &'static str,
        tag: &'static str,
        id: &'static str,
        summary: &'static str,
    ) -> Self {
        Self {
            method,
            path,
            id,
            tag,
            summary,
            description: None,
            parameters: Vec::new(),
            body: None,
            answers: Vec::new(),
            codes: Vec::new(),
            proof: None,
        }
    }

    pub(super) fn about(mut self, description: &'static str) -> Self {
        self.description = Some(description);
        self
    }

    pub(super) fn with(mut self, parameter: Parameter) -> Self {
        self.parameters.push(parameter);
        self
    }

    pub(super) fn with_all(mut self, parameters: Vec<Parameter>) -> Self {
        self.parameters.extend(parameters);
        self
    }

    /// An endpoint that looks at its query, and so refuses what it does not know.
    pub(super) fn reads_query(self) -> Self {
        self.or("bad_parameter")
    }

    pub(super) fn takes<T: JsonSchema>(self, example: Value) -> Self {
        self.body(Body {
            media: JSON,
            shape: Shape::Of(SchemaGenerator::subschema_for::<T>),
            is_required: true,
            example: Some(example),
        })
    }

    /// The same where an empty body says the same as an empty object.
    pub(super) fn may_take<T: JsonSchema>(self, example: Value) -> Self {
        let mut operation = self.takes::<T>(example);
        if let Some(body) = &mut operation.body {
            body.is_required = false;
        }
        operation
    }

    pub(super) fn takes_bytes(self) -> Self {
        self.body(Body { media: BYTES, shape: Shape::Bytes, is_required: true, example: None })
    }

    fn body(mut self, body: Body) -> Self {
        if body.media == JSON {
            self.codes.push("malformed_body");
        }
        self.codes.extend(["too_large", "too_slow"]);
        self.body = Some(body);
        self
    }

    pub(super) fn answers<T: JsonSchema>(self, status: u16, about: &'static str) -> Self {
        self.answers_as(status, about, JSON, Shape::Of(SchemaGenerator::subschema_for::<T>))
    }

    /// Several media types of one status are said one after another.
    pub(super) fn answers_as(
        mut self,
        status: u16,
        about: &'static str,
        media: &'static str,
        shape: Shape,
    ) -> Self {
        match self.answers.iter_mut().find(|answer| answer.status == status) {
            Some(answer) => answer.content.push((media, shape)),
            None => {
                self.answers.push(Answer {
                    status,
                    about,
                    content: vec![(media, shape)],
                    headers: Vec::new(),
                });
            }
        }
        self
    }

    pub(super) fn answers_nothing(mut self, status: u16, about: &'static str) -> Self {
        self.answers.push(Answer { status, about, content: Vec::new(), headers: Vec::new() });
        self
    }

    /// Of the answer that was said last.
    pub(super) fn with_header(mut self, name: &'static str, about: &'static str) -> Self {
        if let Some(answer) = self.answers.last_mut() {
            answer.headers.push((name, about));
        }
        self
    }

    /// An error by its code.
    pub(super) fn or(mut self, code: &'static str) -> Self {
        self.codes.push(code);
        self
    }

    pub(super) fn proven_by(mut self, scheme: &'static str) -> Self {
        self.proof = Some(scheme);
        self
    }
}

pub(super) const JSON: &str = "application/json";
pub(super) const JSONL: &str = "application/jsonl";
pub(super) const BYTES: &str = "application/octet-stream";
pub(super) const EVENT_STREAM: &str = "text/event-stream";
pub(super) const PLAIN: &str = "text/plain";
pub(super) const OPENMETRICS: &str = "application/openmetrics-text";
