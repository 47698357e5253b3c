//! The little of the Redis protocol (RESP 2) that leases need: commands as arrays of byte strings, and answers of
//! integers, texts, errors and arrays of them.

use std::io;

use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    Text(String),
    /// The first word of it is a code.
    Error(String),
    Number(i64),
    Nothing,
    List(Vec<Self>),
}

pub(super) fn command<'a>(words: impl ExactSizeIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        bytes.extend_from_slice(word);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

/// What Redis sends is bounded too: it may be something else that listens there.
pub(super) async fn read(from: &mut (impl AsyncBufRead + Unpin)) -> io::Result<Reply> {
    let (kind, text) = line(from).await?;
    if kind != b'*' {
        return simple(from, kind, text).await;
    }
    let Some(n) = length(&text, ITEMS_MAX)? else { return Ok(Reply::Nothing) };
    let mut items = Vec::with_capacity(n);
    for _ in 0..n {
        let (kind, text) = line(from).await?;
        items.push(simple(from, kind, text).await?);
    }
    Ok(Reply::List(items))
}

async fn simple(from: &mut (impl AsyncBufRead + Unpin), kind: u8, text: String) -> io::Result<Reply> {
    match kind {
        b'+' => Ok(Reply::Text(text)),
        b'-' => Ok(Reply::Error(text)),
        b':' => text.parse().map(Reply::Number).map_err(|_| odd("a number")),
        b'$' => {
            let Some(n) = length(&text, BYTES_MAX)? else { return Ok(Reply::Nothing) };
            let mut bytes = vec![0; n + 2];
            from.read_exact(&mut bytes).await?;
            bytes.truncate(n);
            String::from_utf8(bytes).map(Reply::Text).map_err(|_| odd("a text"))
        }
        _ => Err(odd("the kind of a reply")),
    }
}

/// The first byte, and what follows it up to the end of the line.
async fn line(from: &mut (impl AsyncBufRead + Unpin)) -> io::Result<(u8, String)> {
    let mut bytes = Vec::new();
    from.take(LINE_MAX).read_until(b'\n', &mut bytes).await?;
    let Some((kind, text)) = bytes.strip_suffix(b"\r\n").and_then(<[u8]>::split_first) else {
        return Err(odd("a line"));
    };
    let text = std::str::from_utf8(text).map_err(|_| odd("a line"))?;
    Ok((*kind, text.to_owned()))
}

/// A length of -1 is nothing.
fn length(text: &str, max: usize) -> io::Result<Option<usize>> {
    match text.parse() {
        Ok(-1_i64) => Ok(None),
        Ok(n) => usize::try_from(n).ok().filter(|n| *n <= max).map(Some).ok_or_else(|| odd("a length")),
        Err(_) => Err(odd("a length")),
    }
}

fn odd(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{what} that Redis would not send"))
}

const LINE_MAX: u64 = 64 * 1024;
const BYTES_MAX: usize = 1 << 20;
const ITEMS_MAX: usize = 100_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn replies_are_read_one_after_another() {
        let mut bytes = &b"+OK\r\n:-7\r\n-ERR no\r\n$3\r\na\r\n\r\n$-1\r\n*2\r\n:1\r\n$1\r\nb\r\n*0\r\n"[..];
        let text = |text: &str| Reply::Text(text.to_owned());
        for expected in [
            text("OK"),
            Reply::Number(-7),
            Reply::Error("ERR no".to_owned()),
            text("a\r\n"),
            Reply::Nothing,
            Reply::List(vec![Reply::Number(1), text("b")]),
            Reply::List(vec![]),
        ] {
            assert_eq!(read(&mut bytes).await.unwrap(), expected);
        }
        assert!(read(&mut bytes).await.is_err());
    }

    #[tokio::test]
    async fn what_is_not_redis_is_an_error_and_never_a_large_allocation() {
        for bytes in [
            &b"HTTP/1.1 400 Bad Request\r\n"[..],
            b"$999999999999\r\n",
            b"*999999999\r\n",
            b"$-2\r\n",
            b":x\r\n",
            b"+OK\n",
            b"$3\r\nab",
            b"*1\r\n*1\r\n:1\r\n",
            b"+\xff\r\n",
        ] {
            let mut from = bytes;
            assert!(read(&mut from).await.is_err(), "{}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn a_command_is_an_array_of_byte_strings() {
        let words = [&b"SET"[..], b"a\r\n", b""];
        assert_eq!(command(words.into_iter()), b"*3\r\n$3\r\nSET\r\n$3\r\na\r\n\r\n$0\r\n\r\n");
    }
}
