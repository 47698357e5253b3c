//! HTTP/1.1 messages as bytes: heads by `httparse`, body framing by hand.

use anyhow::{Context, Result, bail};

use crate::wire::{Headers, content_length, header};

#[derive(Debug)]
pub(crate) struct Head {
    /// 0 in a request.
    pub(crate) status: u16,
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: Headers,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    None,
    Length(usize),
    Chunked,
    UntilClose,
}

/// Takes body bytes off the wire; what belongs to the next message stays in the buffer.
#[derive(Debug)]
pub(crate) struct Decoder {
    state: State,
    trailers: Option<Headers>,
}

#[derive(Debug)]
enum State {
    Length(usize),
    ChunkSize,
    ChunkData(usize),
    Trailers,
    UntilClose,
    Done,
}

/// None: not whole yet. Otherwise the head and its size.
pub(crate) fn parse_response_head(bytes: &[u8]) -> Result<Option<(Head, usize)>> {
    let mut slots = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut slots);
    let httparse::Status::Complete(size) = response.parse(bytes).context("response head")? else {
        return Ok(None);
    };
    let headers = owned(response.headers);
    let status = response.code.unwrap_or(0);
    Ok(Some((Head { status, method: String::new(), path: String::new(), headers }, size)))
}

pub(crate) fn parse_request_head(bytes: &[u8]) -> Result<Option<(Head, usize)>> {
    let mut slots = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut slots);
    let httparse::Status::Complete(size) = request.parse(bytes).context("request head")? else {
        return Ok(None);
    };
    let headers = owned(request.headers);
    let method = request.method.unwrap_or_default().to_owned();
    Ok(Some((Head { status: 0, method, path: request.path.unwrap_or_default().to_owned(), headers }, size)))
}

pub(crate) fn write_headers(out: &mut Vec<u8>, headers: &[(Vec<u8>, Vec<u8>)]) {
    for (name, value) in headers {
        out.extend_from_slice(name);
        out.extend_from_slice(b": ");
        out.extend_from_slice(value);
        out.extend_from_slice(b"\r\n");
    }
}

pub(crate) fn chunk(bytes: &[u8]) -> Vec<u8> {
    let mut out = format!("{:x}\r\n", bytes.len()).into_bytes();
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
    out
}

pub(crate) fn last_chunk(trailers: Option<&[(Vec<u8>, Vec<u8>)]>) -> Vec<u8> {
    let mut out = b"0\r\n".to_vec();
    write_headers(&mut out, trailers.unwrap_or_default());
    out.extend_from_slice(b"\r\n");
    out
}

impl Framing {
    pub(crate) fn of_response(method: &str, head: &Head) -> Result<Self> {
        if method == "HEAD" || matches!(head.status, 100..=199 | 204 | 304) {
            return Ok(Self::None);
        }
        Ok(Self::given(&head.headers)?.unwrap_or(Self::UntilClose))
    }

    pub(crate) fn of_request(head: &Head) -> Result<Self> {
        Ok(Self::given(&head.headers)?.unwrap_or(Self::None))
    }

    fn given(headers: &Headers) -> Result<Option<Self>> {
        if header(headers, "transfer-encoding")
            .is_some_and(|te| te.to_ascii_lowercase().ends_with(b"chunked"))
        {
            return Ok(Some(Self::Chunked));
        }
        if header(headers, "content-length").is_none() {
            return Ok(None);
        }
        let length = content_length(headers).context("content-length is not a number")?;
        Ok(Some(Self::Length(length)))
    }
}

impl Decoder {
    pub(crate) fn new(framing: Framing) -> Self {
        let state = match framing {
            Framing::None | Framing::Length(0) => State::Done,
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => State::ChunkSize,
            Framing::UntilClose => State::UntilClose,
        };
        Self { state, trailers: None }
    }

    pub(crate) fn done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    pub(crate) fn trailers(&self) -> Option<Headers> {
        self.trailers.clone()
    }

    /// The other side closed: only a body without any framing ends well that way.
    pub(crate) fn end_of_input(&mut self) {
        if matches!(self.state, State::UntilClose) {
            self.state = State::Done;
        }
    }

    /// Takes what can be decoded from the front of `buffer` and gives the body bytes in it.
    pub(crate) fn decode(&mut self, buffer: &mut Vec<u8>) -> Result<Vec<u8>> {
        let mut body = Vec::new();
        while self.step(buffer, &mut body)? {}
        Ok(body)
    }

    /// False: nothing more to do with these bytes.
    fn step(&mut self, buffer: &mut Vec<u8>, body: &mut Vec<u8>) -> Result<bool> {
        match self.state {
            State::Done => Ok(false),
            State::UntilClose => {
                body.append(buffer);
                Ok(false)
            }
            State::Length(left) => {
                let n = left.min(buffer.len());
                body.extend(buffer.drain(..n));
                self.state = if n == left { State::Done } else { State::Length(left - n) };
                Ok(false)
            }
            State::ChunkSize => match httparse::parse_chunk_size(buffer) {
                Ok(httparse::Status::Complete((head, size))) => {
                    buffer.drain(..head);
                    self.state = match usize::try_from(size)? {
                        0 => State::Trailers,
                        size => State::ChunkData(size),
                    };
                    Ok(true)
                }
                Ok(httparse::Status::Partial) => Ok(false),
                Err(_) => bail!("chunk size: {:?}", String::from_utf8_lossy(buffer)),
            },
            State::ChunkData(0) => {
                // The line end after the data.
                if buffer.len() < 2 {
                    return Ok(false);
                }
                buffer.drain(..2);
                self.state = State::ChunkSize;
                Ok(true)
            }
            State::ChunkData(left) => {
                let n = left.min(buffer.len());
                body.extend(buffer.drain(..n));
                self.state = State::ChunkData(left - n);
                Ok(n > 0)
            }
            State::Trailers => self.read_trailers(buffer),
        }
    }

    fn read_trailers(&mut self, buffer: &mut Vec<u8>) -> Result<bool> {
        let mut slots = [httparse::EMPTY_HEADER; MAX_HEADERS];
        match httparse::parse_headers(buffer, &mut slots).context("trailers")? {
            httparse::Status::Partial => Ok(false),
            httparse::Status::Complete((size, trailers)) => {
                if !trailers.is_empty() {
                    self.trailers = Some(owned(trailers));
                }
                buffer.drain(..size);
                self.state = State::Done;
                Ok(false)
            }
        }
    }
}

const MAX_HEADERS: usize = 256;

fn owned(headers: &[httparse::Header<'_>]) -> Headers {
    headers.iter().map(|h| (h.name.to_ascii_lowercase().into_bytes(), h.value.to_vec())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_cut_anywhere_decode_alike() {
        let mut wire = chunk(b"hello");
        wire.extend(chunk(b" world"));
        wire.extend(last_chunk(Some(&[(b"a".to_vec(), b"b".to_vec())])));
        for cut in 0..wire.len() {
            let mut decoder = Decoder::new(Framing::Chunked);
            let mut buffer = wire[..cut].to_vec();
            let mut body = decoder.decode(&mut buffer).unwrap();
            assert!(!decoder.done(), "cut at {cut}");
            buffer.extend(&wire[cut..]);
            buffer.extend(b"next");
            body.extend(decoder.decode(&mut buffer).unwrap());
            assert_eq!(
                (body.as_slice(), buffer.as_slice()),
                (&b"hello world"[..], &b"next"[..]),
                "cut at {cut}"
            );
            assert!(decoder.done());
            assert_eq!(decoder.trailers(), Some(vec![(b"a".to_vec(), b"b".to_vec())]));
        }
    }
}
