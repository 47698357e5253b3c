//! The collector as the commands speak to it: one call, one answer in JSON, or a sentence that says who must act.

use std::{
    io::{Read as _, Write},
    path::PathBuf,
    time::Duration,
};

use sentinel_collector::outgoing::{Roots, crypto, of_tls};
use serde_json::Value;
use ureq::{
    Agent, Body, RequestBuilder,
    http::Response,
    tls::{Certificate, RootCerts, TlsConfig, TlsProvider},
    typestate::WithBody,
};

use crate::{
    document,
    report::{Fault, Report},
};

// The arguments of a command that has these among its own are a group of the same name.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(crate) struct Args {
    /// Where the collector listens, such as http://127.0.0.1:8088 or https://sentinel.example.org.
    #[arg(long, value_name = "URL", env = "SENTINEL_COLLECTOR")]
    pub(crate) collector: String,
    /// A file with the token to send.
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: PathBuf,
    /// Certificates of CAs, PEM, that are believed beside the system's; several are allowed.
    #[arg(long = "ca-file", value_name = "FILE", env = "SENTINEL_CA_FILE", value_delimiter = ',')]
    pub(crate) ca_files: Vec<PathBuf>,
}

pub(crate) struct Collector {
    agent: Agent,
    url: String,
    token: String,
}

/// A bundle of 16 MiB over a slow line takes its time; a collector that is not there does not.
const TIMEOUT: Duration = Duration::from_secs(60);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A list that never ends is no list.
const ENTRIES_MAX: usize = 1_000_000;
const COPY_BYTES: usize = 64 * 1024;
/// 256 events with all the content that a policy can ask for.
const ANSWER_BYTES_MAX: u64 = 64 * 1024 * 1024;

impl Collector {
    pub(crate) fn new(args: &Args) -> Result<Self, Fault> {
        let url = args.collector.trim_end_matches('/');
        let has_tls = url.starts_with("https://");
        if !has_tls && !url.starts_with("http://") {
            return Err(Fault::Input(format!("{url}: expected https://HOST:PORT or http://HOST:PORT")));
        }
        let token = document::read_text(&args.token_file)?.trim().to_owned();
        if token.is_empty() || !token.bytes().all(|b| b.is_ascii_graphic()) {
            let place = args.token_file.display();
            return Err(Fault::Input(format!("{place}: expected one token of visible ASCII characters")));
        }
        // A proxy of the environment has no business with the token; an address that moved is for a person to see.
        let config = Agent::config_builder()
            .timeout_global(Some(TIMEOUT))
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None);
        let config = match has_tls {
            true => config.tls_config(tls(&args.ca_files)?),
            false => config,
        };
        Ok(Self { agent: config.build().into(), url: url.to_owned(), token })
    }

    pub(crate) fn get(&self, path: &str) -> Result<Value, Fault> {
        let request = self.agent.get(format!("{}{path}", self.url));
        self.answer(path, request.header("authorization", format!("Bearer {}", self.token)).call())
    }

    /// All pages of a list. What `next` says comes back as it is: ids and addresses, which need no escape in a URL.
    pub(crate) fn all(&self, path: &str, list: &str) -> Result<Vec<Value>, Fault> {
        let (mut all, mut after) = (Vec::new(), String::new());
        loop {
            let mut page = self.get(&format!("{path}?limit=1000{after}"))?;
            if let Some(Value::Array(entries)) = page.get_mut(list).map(Value::take) {
                all.extend(entries);
            }
            match page.get("next").and_then(Value::as_str) {
                Some(next) if all.len() < ENTRIES_MAX => after = format!("&after={next}"),
                _ => return Ok(all),
            }
        }
    }

    /// `None` if there is no such thing.
    pub(crate) fn get_bytes(&self, path: &str) -> Result<Option<Vec<u8>>, Fault> {
        let place = format!("{}{path}", self.url);
        let request = self.agent.get(&place).header("authorization", format!("Bearer {}", self.token));
        match request.call() {
            Ok(mut answer) if answer.status() == 200 => {
                let bytes = answer.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_vec();
                bytes.map(Some).map_err(|e| Fault::Internal(format!("{place}: the answer was cut: {e}")))
            }
            Ok(answer) if answer.status() == 404 => Ok(None),
            // The error as it is for any other answer.
            answer => self.answer(path, answer).map(|_| None),
        }
    }

    /// A large answer, as it comes and however long it takes; says how many bytes it had.
    pub(crate) fn copy(&self, path: &str, to: &mut dyn Write) -> Result<u64, Fault> {
        let place = format!("{}{path}", self.url);
        let request = self.agent.get(&place).header("authorization", format!("Bearer {}", self.token));
        let request = request.config().timeout_global(None).timeout_recv_response(Some(TIMEOUT)).build();
        let answer = match request.call() {
            Ok(answer) if answer.status() == 200 => answer,
            answer => {
                self.answer(path, answer)?;
                return Err(Fault::Internal(format!("{place}: the collector answers something else")));
            }
        };
        let mut from = answer.into_body().into_reader();
        let mut buffer = vec![0; COPY_BYTES];
        let mut n_bytes = 0;
        loop {
            let cut = |error| Fault::Internal(format!("{place}: the answer was cut: {error}"));
            let n = from.read(&mut buffer).map_err(cut)?;
            let Some(read) = buffer.get(..n).filter(|read| !read.is_empty()) else { return Ok(n_bytes) };
            to.write_all(read)
                .map_err(|error| Fault::Internal(format!("the file cannot be written: {error}")))?;
            n_bytes += read.len() as u64;
        }
    }

    pub(crate) fn post_json(&self, path: &str, body: &Value) -> Result<Value, Fault> {
        let request = self.post(path).content_type("application/json");
        self.answer(path, request.send(body.to_string()))
    }

    pub(crate) fn put_json(&self, path: &str, body: &Value) -> Result<Value, Fault> {
        let request = self.agent.put(format!("{}{path}", self.url)).content_type("application/json");
        let request = request.header("authorization", format!("Bearer {}", self.token));
        self.answer(path, request.send(body.to_string()))
    }

    pub(crate) fn delete(&self, path: &str) -> Result<Value, Fault> {
        let request = self.agent.delete(format!("{}{path}", self.url));
        self.answer(path, request.header("authorization", format!("Bearer {}", self.token)).call())
    }

    pub(crate) fn post_bytes(&self, path: &str, body: &[u8]) -> Result<Value, Fault> {
        let request = self.post(path).content_type("application/octet-stream");
        self.answer(path, request.send(body))
    }

    fn post(&self, path: &str) -> RequestBuilder<WithBody> {
        let request = self.agent.post(format!("{}{path}", self.url));
        request.header("authorization", format!("Bearer {}", self.token))
    }

    fn answer(&self, path: &str, answer: Result<Response<Body>, ureq::Error>) -> Result<Value, Fault> {
        let place = format!("{}{path}", self.url);
        let mut answer = answer.map_err(|error| match error {
            ureq::Error::BadUri(_) | ureq::Error::Http(_) => Fault::Input(format!("{place}: {error}")),
            ureq::Error::Io(io) => {
                let why = of_tls(&io).unwrap_or_else(|| io.to_string());
                Fault::Internal(format!("{place}: the collector cannot be reached: {why}"))
            }
            _ => Fault::Internal(format!("{place}: the collector cannot be reached: {error}")),
        })?;
        let status = answer.status();
        let text = answer.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_string();
        let text = text.map_err(|e| Fault::Internal(format!("{place}: the answer was cut: {e}")))?;
        let json: Option<Value> = serde_json::from_str(&text).ok();
        if status.is_success() {
            let what = "the answer is no JSON; does the address lead to a collector?";
            return json.ok_or_else(|| Fault::Internal(format!("{place}: {what}")));
        }
        let message = json.as_ref().and_then(|json| json.pointer("/error/message")).and_then(Value::as_str);
        let why = message.unwrap_or_else(|| status.canonical_reason().unwrap_or("no reason given"));
        let fault = format!("{place}: the collector refuses with {}: {why}", status.as_u16());
        // What is wrong with the question is for the one who asks.
        Err(if status.is_client_error() { Fault::Input(fault) } else { Fault::Internal(fault) })
    }
}

fn tls(ca_files: &[PathBuf]) -> Result<TlsConfig, Fault> {
    let roots = Roots::read(ca_files).map_err(Fault::Input)?;
    let certificates: Vec<_> =
        roots.certificates().map(|der| Certificate::from_der(der).to_owned()).collect();
    Ok(TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        .unversioned_rustls_crypto_provider(crypto())
        .root_certs(RootCerts::new_with_certs(&certificates))
        .build())
}

/// What the collector says, with a sentence for people.
pub(crate) fn report(text: String, json: Value) -> Report {
    Report { text, json, code: 0 }
}
