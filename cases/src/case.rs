//! The form of a case file, and the exchange that a case describes. Unknown keys are errors.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, anyhow, bail, ensure};
use sentinel_core::policy::Policy;
use sentinel_wire::{Headers, Request, Response};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::expect::Expect;

/// One exchange with what is expected of it. A twin is a case of its own.
#[derive(Clone, Debug)]
pub struct Case {
    /// Path below the folder of cases, with `/`.
    pub file: String,
    pub name: String,
    /// Key into [`Policies`].
    pub policy: String,
    /// Exchanges that come first and are not looked at.
    pub before: Vec<(Request, Response)>,
    /// The address of the client, for engines that are told one: the core by itself.
    pub address: Option<String>,
    /// Carries an `x-request-id` that no other case has.
    pub request: Request,
    pub response: Response,
    pub expect: Expect,
}

/// Every policy by its name: the files of `policies/`, and `level-1` to `level-4` for the built-in one.
#[derive(Debug)]
pub struct Policies {
    documents: BTreeMap<String, Value>,
    /// The one that every case gets, whatever it names.
    instead: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    policy: Option<String>,
    cases: Vec<Source>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Source {
    name: String,
    /// Paranoia level of the built-in policy.
    level: Option<u8>,
    #[serde(default)]
    before: Vec<Earlier>,
    #[serde(default)]
    request: RequestSource,
    #[serde(default)]
    upstream: ResponseSource,
    #[serde(default)]
    expect: Expect,
    twin: Option<Twin>,
    #[serde(default)]
    twins: Vec<Twin>,
}

/// An exchange before the one that counts. What is not given is as in that one.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Earlier {
    request: Option<RequestSource>,
    upstream: Option<ResponseSource>,
}

/// The same exchange with something harmless in it. What is not given is as in the case itself; `chat`, `json`,
/// `text` and `parts` take the place of the request's body.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Twin {
    name: Option<String>,
    before: Option<Vec<Earlier>>,
    request: Option<RequestSource>,
    chat: Option<Vec<Value>>,
    json: Option<Value>,
    text: Option<String>,
    parts: Option<Vec<Part>>,
    upstream: Option<ResponseSource>,
    expect: Option<Expect>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RequestSource {
    method: Option<String>,
    path: Option<String>,
    host: Option<String>,
    address: Option<String>,
    headers: BTreeMap<String, Option<Values>>,
    /// Messages of an OpenAI chat completion.
    chat: Option<Vec<Value>>,
    /// Further members beside `messages`.
    with: Map<String, Value>,
    json: Option<Value>,
    text: Option<String>,
    parts: Option<Vec<Part>>,
    split: Option<usize>,
    chunked: bool,
    trailers: BTreeMap<String, String>,
    http2: bool,
    expect_continue: bool,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ResponseSource {
    status: Option<u16>,
    headers: BTreeMap<String, Option<Values>>,
    /// The text of an OpenAI chat answer.
    chat: Option<String>,
    json: Option<Value>,
    text: Option<String>,
    parts: Option<Vec<Part>>,
    /// The data of server-sent events; a value that is no string is written as JSON.
    sse: Option<Vec<Value>>,
    empty: bool,
    split: Option<usize>,
    chunked: bool,
    trailers: BTreeMap<String, String>,
}

/// A piece of a body that no other form can say.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Part {
    /// With `\xff` for a byte.
    Text(String),
    Repeat {
        repeat: String,
        times: usize,
    },
    Base64 {
        base64: String,
    },
}

/// Header values: one, or several lines. `\xff` stands for a byte.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Values {
    One(String),
    Many(Vec<String>),
}

/// Reads every `.yaml` below a folder. `policies` must know each policy that is named.
pub fn load(folder: &Path, policies: &Policies) -> Result<Vec<Case>> {
    let mut paths = Vec::new();
    find_yaml(folder, &mut paths)?;
    paths.sort();
    let mut cases = Vec::new();
    for path in paths {
        let file = path.strip_prefix(folder)?.to_string_lossy().replace('\\', "/");
        read_file(&path, &file, policies, &mut cases).with_context(|| file.clone())?;
    }
    no_name_twice(&cases)?;
    Ok(cases)
}

/// Reads files, and every `.yaml` below folders, in the order given.
pub fn load_all(paths: &[PathBuf], policies: &Policies) -> Result<Vec<Case>> {
    let mut cases = Vec::new();
    for path in paths {
        let mut files = Vec::new();
        match path.is_dir() {
            true => find_yaml(path, &mut files)?,
            false => files.push(path.clone()),
        }
        files.sort();
        for path in files {
            let file = path.display().to_string();
            read_file(&path, &file, policies, &mut cases).with_context(|| file.clone())?;
        }
    }
    no_name_twice(&cases)?;
    Ok(cases)
}

fn no_name_twice(cases: &[Case]) -> Result<()> {
    let mut names: Vec<_> = cases.iter().map(|case| (&case.file, &case.name)).collect();
    names.sort();
    if let Some([(file, name), _]) = names.windows(2).find_map(|pair| match pair {
        [a, b] if a == b => Some([*a, *b]),
        _ => None,
    }) {
        bail!("{file}: two cases are named {name:?}");
    }
    Ok(())
}

fn find_yaml(folder: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() {
            find_yaml(&path, found)?;
        } else if path.extension().is_some_and(|ext| ext == "yaml") {
            found.push(path);
        }
    }
    Ok(())
}

fn read_file(path: &Path, file: &str, policies: &Policies, cases: &mut Vec<Case>) -> Result<()> {
    let text = fs::read_to_string(path)?;
    let File { policy, cases: sources } = serde_saphyr::from_str(&text).map_err(|e| anyhow!("{e}"))?;
    ensure!(!sources.is_empty(), "no cases");
    for source in sources {
        let name = source.name.clone();
        source.read(file, policy.as_deref(), policies, cases).with_context(|| format!("case {name:?}"))?;
    }
    Ok(())
}

impl Policies {
    pub fn load(folder: &Path) -> Result<Self> {
        let mut policies = BTreeMap::new();
        for level in 1..=4 {
            policies.insert(builtin(level), json!({"profiles": {"default": {"level": level}}}));
        }
        let mut paths = Vec::new();
        find_yaml(folder, &mut paths)?;
        for path in paths {
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let text = fs::read_to_string(&path)?;
            let value: Value =
                serde_saphyr::from_str(&text).map_err(|e| anyhow!("{}: {e}", path.display()))?;
            policies.insert(name, value);
        }
        policies.values_mut().for_each(without_model);
        let policies = Self { documents: policies, instead: None };
        for name in policies.names() {
            policies.policy(name).with_context(|| format!("policies/{name}.yaml"))?;
        }
        Ok(policies)
    }

    /// The built-in policy at the lowest level, and no other.
    pub fn only_builtin() -> Self {
        let mut policy = json!({ "profiles": { "default": {} } });
        without_model(&mut policy);
        Self { documents: BTreeMap::from([(builtin(1), policy)]), instead: None }
    }

    /// One policy as it is, for every case, whatever policy and level it names.
    pub fn only(name: &str, document: Value) -> Self {
        Self { documents: BTreeMap::from([(name.into(), document)]), instead: Some(name.into()) }
    }

    /// One policy and no other: every one is a listener, and a VM in each thread.
    #[must_use]
    pub fn without_others(mut self, name: &str) -> Self {
        self.documents.retain(|other, _| other == name);
        self
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.documents.keys().map(String::as_str)
    }

    pub fn policy(&self, name: &str) -> Result<Policy> {
        Ok(serde_json::from_value(self.document(name)?.clone())?)
    }

    /// As it was written, for a plugin configuration.
    pub fn document(&self, name: &str) -> Result<&Value> {
        self.documents.get(name).with_context(|| format!("there is no policy {name:?}"))
    }
}

/// The name of the built-in policy at a paranoia level.
pub fn builtin(level: u8) -> String {
    format!("level-{level}")
}

/// Cases are about rules, and stay what they are when the model is trained again; those about the model say so.
fn without_model(policy: &mut Value) {
    for profile in
        policy.get_mut("profiles").and_then(Value::as_object_mut).into_iter().flat_map(|all| all.values_mut())
    {
        if let Some(profile) = profile.as_object_mut() {
            profile.entry("model").or_insert_with(|| json!({ "enabled": false }));
        }
    }
}

impl Source {
    fn read(
        self,
        file: &str,
        policy: Option<&str>,
        policies: &Policies,
        cases: &mut Vec<Case>,
    ) -> Result<()> {
        let policy = match (policy, self.level) {
            (Some(_), Some(_)) => bail!("level is that of the built-in policy: not together with a policy"),
            (Some(policy), None) => policy.to_owned(),
            (None, level) => builtin(level.unwrap_or(1)),
        };
        let policy = policies.instead.clone().unwrap_or(policy);
        policies.document(&policy)?;
        let mut add = |name: String,
                       before: &[Earlier],
                       request: &RequestSource,
                       response: &ResponseSource,
                       expect: Expect| {
            let id = format!("case-{:016x}", fnv(&format!("{file}/{name}")));
            let build_earlier = |(idx, earlier): (usize, &Earlier)| {
                let request = earlier.request.as_ref().unwrap_or(request);
                exchange(request, earlier.upstream.as_ref().unwrap_or(response), format!("{id}-{idx}"))
            };
            let before: Result<Vec<_>> = before.iter().enumerate().map(build_earlier).collect();
            let before = before.context("before")?;
            let address = request.address.clone();
            let (request, response) = exchange(request, response, id)?;
            expect.check_itself().context("expect")?;
            cases.push(Case {
                file: file.to_owned(),
                name,
                policy: policy.clone(),
                before,
                address,
                request,
                response,
                expect,
            });
            Ok::<_, anyhow::Error>(())
        };
        let twins: Vec<Twin> = self.twin.into_iter().chain(self.twins).collect();
        add(self.name.clone(), &self.before, &self.request, &self.upstream, self.expect)?;
        for (idx, twin) in twins.into_iter().enumerate() {
            let name = match &twin.name {
                Some(name) => format!("{} (twin: {name})", self.name),
                None if idx == 0 => format!("{} (twin)", self.name),
                None => format!("{} (twin {})", self.name, idx + 1),
            };
            let request = twin.request(&self.request);
            let before = twin.before.unwrap_or_else(|| self.before.clone());
            let response = twin.upstream.unwrap_or_else(|| self.upstream.clone());
            add(name.clone(), &before, &request, &response, twin.expect.unwrap_or_default())
                .with_context(|| name.clone())?;
        }
        Ok(())
    }
}

fn exchange(request: &RequestSource, response: &ResponseSource, id: String) -> Result<(Request, Response)> {
    let mut request = request.build().context("request")?;
    ensure!(request.header("x-request-id").is_none(), "x-request-id is set by the runner");
    request.headers.push((b"x-request-id".to_vec(), id.into_bytes()));
    let response = response.build(&request.method).context("upstream")?;
    Ok((request, response))
}

impl Twin {
    fn request(&self, of: &RequestSource) -> RequestSource {
        let base = self.request.clone().unwrap_or_else(|| of.clone());
        let given = self.chat.is_some() || self.json.is_some() || self.text.is_some() || self.parts.is_some();
        if !given {
            return base;
        }
        RequestSource {
            chat: self.chat.clone(),
            json: self.json.clone(),
            text: self.text.clone(),
            parts: self.parts.clone(),
            ..base
        }
    }
}

impl RequestSource {
    fn build(&self) -> Result<Request> {
        let chat = self.chat.as_ref().map(|messages| {
            let mut body = Map::from_iter([
                ("model".to_owned(), json!("gpt-4o")),
                ("messages".to_owned(), json!(messages)),
            ]);
            body.extend(self.with.clone());
            Value::Object(body)
        });
        ensure!(self.with.is_empty() || self.chat.is_some(), "\"with\" goes with \"chat\"");
        let json = chat.or_else(|| self.json.clone());
        let body = body(json.as_ref(), self.text.as_deref(), self.parts.as_deref())?;
        let mut request = Request::new(
            self.method.as_deref().unwrap_or("POST"),
            self.path.as_deref().unwrap_or("/v1/chat/completions"),
        );
        if let Some(host) = &self.host {
            request.authority.clone_from(host);
        }
        request.http2 = self.http2;
        request.expect_continue = self.expect_continue;
        let default = body.is_some().then_some("application/json");
        request.headers = headers(&self.headers, default)?;
        if self.chunked {
            request.headers.push((b"transfer-encoding".to_vec(), b"chunked".to_vec()));
        }
        request.chunks = body.into_iter().collect();
        if let Some(size) = self.split {
            request = request.split(size);
        }
        for (name, value) in &self.trailers {
            request = request.with_trailer(name, bytes(value)?);
        }
        Ok(request)
    }
}

impl ResponseSource {
    fn build(&self, method: &str) -> Result<Response> {
        let nothing =
            self.json.is_none() && self.text.is_none() && self.parts.is_none() && self.sse.is_none();
        let chat = match (&self.chat, nothing && !self.empty) {
            (Some(text), _) => Some(answer(text)),
            (None, true) => Some(answer("ok")),
            (None, false) => None,
        };
        let json = chat.or_else(|| self.json.clone());
        let sse = self.sse.as_ref().map(|events| events.iter().map(event).collect::<String>());
        let content_type = match (&json, &sse) {
            (_, Some(_)) => Some("text/event-stream"),
            (Some(_), None) => Some("application/json"),
            (None, None) => None,
        };
        let text = sse.or_else(|| self.text.clone());
        let body = body(json.as_ref(), text.as_deref(), self.parts.as_deref())?;
        let status = self.status.unwrap_or(200);
        let mut response =
            Response { status, headers: headers(&self.headers, content_type)?, ..Response::default() };
        let bodiless = method == "HEAD" || matches!(status, 100..=199 | 204 | 304);
        if let Some(body) = body.filter(|body| !body.is_empty()) {
            let chunked =
                self.chunked || self.sse.is_some() || self.split.is_some() || !self.trailers.is_empty();
            if !chunked && status != 204 {
                response = response.with_header("content-length", body.len().to_string());
            }
            if !bodiless {
                response.chunks =
                    body.chunks(self.split.unwrap_or(body.len()).max(1)).map(<[u8]>::to_vec).collect();
            }
        }
        for (name, value) in &self.trailers {
            response = response.with_trailer(name, bytes(value)?);
        }
        Ok(response)
    }
}

fn answer(text: &str) -> Value {
    json!({
        "id": "chatcmpl-1", "object": "chat.completion", "model": "gpt-4o",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
    })
}

fn event(data: &Value) -> String {
    match data {
        Value::String(text) => format!("data: {text}\n\n"),
        other => format!("data: {other}\n\n"),
    }
}

fn body(json: Option<&Value>, text: Option<&str>, parts: Option<&[Part]>) -> Result<Option<Vec<u8>>> {
    Ok(match (json, text, parts) {
        (None, None, None) => None,
        (Some(json), None, None) => Some(serde_json::to_vec(json)?),
        (None, Some(text), None) => Some(text.into()),
        (None, None, Some(parts)) => {
            Some(parts.iter().map(Part::bytes).collect::<Result<Vec<_>>>()?.concat())
        }
        _ => bail!("a body is one of chat, json, text, parts, sse"),
    })
}

impl Part {
    fn bytes(&self) -> Result<Vec<u8>> {
        match self {
            Self::Text(text) => bytes(text),
            Self::Repeat { repeat, times } => Ok(bytes(repeat)?.repeat(*times)),
            Self::Base64 { base64 } => from_base64(base64),
        }
    }
}

/// A header that is `null` is left out, also the one that is there by default.
fn headers(given: &BTreeMap<String, Option<Values>>, content_type: Option<&str>) -> Result<Headers> {
    let mut headers = Headers::new();
    if let Some(content_type) = content_type.filter(|_| !given.contains_key("content-type")) {
        headers.push((b"content-type".to_vec(), content_type.into()));
    }
    for (name, values) in given {
        let lines = match values {
            None => &[][..],
            Some(Values::One(value)) => std::slice::from_ref(value),
            Some(Values::Many(values)) => values.as_slice(),
        };
        for value in lines {
            headers.push((name.to_ascii_lowercase().into_bytes(), bytes(value)?));
        }
    }
    Ok(headers)
}

/// Text in which `\xff` is a byte.
fn bytes(text: &str) -> Result<Vec<u8>> {
    let mut pieces = text.split("\\x");
    let mut out = pieces.next().unwrap_or_default().as_bytes().to_vec();
    for piece in pieces {
        let (digits, rest) = piece.split_at_checked(2).context("\\x needs two digits")?;
        out.push(u8::from_str_radix(digits, 16).context("\\x needs two hexadecimal digits")?);
        out.extend_from_slice(rest.as_bytes());
    }
    Ok(out)
}

fn from_base64(text: &str) -> Result<Vec<u8>> {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut bits, mut n_bits, mut out) = (0_u32, 0, Vec::new());
    for byte in text.bytes().filter(|b| !b.is_ascii_whitespace() && *b != b'=') {
        let value = ALPHABET
            .iter()
            .position(|b| *b == byte)
            .with_context(|| format!("{:?} in base64", char::from(byte)))?;
        bits = bits << 6 | value as u32;
        n_bits += 6;
        if n_bits >= 8 {
            n_bits -= 8;
            out.push((bits >> n_bits) as u8);
            bits &= (1 << n_bits) - 1;
        }
    }
    Ok(out)
}

/// FNV-1a: a name for a case that stays the same from run to run.
fn fnv(text: &str) -> u64 {
    text.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}
