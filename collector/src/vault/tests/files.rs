use std::io::{self, Cursor, Read, Write};

use proptest::prelude::*;

use super::*;

const CHUNK: usize = 64 << 10;
const SEALED_CHUNK: usize = CHUNK + 16;

fn label() -> Label {
    Label::new("database", "2026-11-22.db").unwrap()
}

fn sealed(content: &[u8], ring: &Ring) -> Vec<u8> {
    let mut sealer = Sealer::begin(Vec::new(), label(), ring, &mut seeded(5)).unwrap();
    sealer.write_all(content).unwrap();
    sealer.finish().unwrap()
}

fn opened(file: &[u8], ring: &Ring) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    Opener::begin(file, ring)?.read_to_end(&mut content)?;
    Ok(content)
}

fn refusal(file: &[u8]) -> StreamRefused {
    let error = opened(file, &ring(1)).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    *error.get_ref().unwrap().downcast_ref().unwrap()
}

fn content(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i * 31 % 251) as u8).collect()
}

fn header_bytes() -> usize {
    sealed(b"", &ring(1)).len() - 16
}

#[test]
fn a_file_of_any_length_comes_back() {
    for length in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 3 * CHUNK + 17] {
        let file = sealed(&content(length), &ring(1));
        let chunks = length.div_ceil(CHUNK).max(1);
        assert_eq!(file.len(), header_bytes() + length + 16 * chunks);
        assert!(opened(&file, &ring(1)).unwrap() == content(length), "{length}");
    }
}

#[test]
fn the_label_is_genuine() {
    let file = sealed(b"x", &ring(1));
    assert_eq!(Opener::begin(&file[..], &ring(1)).unwrap().label(), &label());
    let at = file.windows(8).position(|bytes| bytes == b"database").unwrap();
    let mut renamed = file.clone();
    renamed[at..at + 8].copy_from_slice(b"fakebase");
    assert_eq!(refusal(&renamed), StreamRefused::Key(Refused::Forged));
    assert_eq!(Label::new(&"k".repeat(256), ""), None);
    assert!(Label::new(&"k".repeat(255), &"n".repeat(255)).is_some());
}

#[test]
fn a_file_cut_off_anywhere_is_refused() {
    let file = sealed(&content(2 * CHUNK + 9), &ring(1));
    let start = header_bytes();
    for (cut, expected) in [
        (0, StreamRefused::NotSealed),
        (5, StreamRefused::NotSealed),
        (start - 1, StreamRefused::NotSealed),
        (start, StreamRefused::Chunk(0)),
        (start + 15, StreamRefused::Chunk(0)),
        (start + SEALED_CHUNK - 1, StreamRefused::Chunk(0)),
        (start + SEALED_CHUNK, StreamRefused::CutOff(0)),
        (start + SEALED_CHUNK + 1, StreamRefused::Chunk(1)),
        (start + 2 * SEALED_CHUNK, StreamRefused::CutOff(1)),
        (file.len() - 1, StreamRefused::Chunk(2)),
    ] {
        assert_eq!(refusal(&file[..cut]), expected, "{cut}");
    }
}

#[test]
fn chunks_moved_repeated_taken_out_or_from_another_file_are_refused() {
    let file = sealed(&content(3 * CHUNK + 9), &ring(1));
    let (header, rest) = file.split_at(header_bytes());
    let chunks: Vec<&[u8]> = rest.chunks(SEALED_CHUNK).collect();
    let made_of = |chunks: &[&[u8]]| [&[header], chunks].concat().concat();
    assert!(opened(&made_of(&chunks), &ring(1)).is_ok());
    let [a, b, c, d] = chunks[..] else { panic!("four chunks") };
    let mut elsewhere = Sealer::begin(Vec::new(), label(), &ring(1), &mut seeded(6)).unwrap();
    elsewhere.write_all(&content(3 * CHUNK + 9)).unwrap();
    let elsewhere = elsewhere.finish().unwrap();
    let foreign = &elsewhere[header.len() + SEALED_CHUNK..][..SEALED_CHUNK];
    for (file, at) in [
        (made_of(&[b, a, c, d]), 0),
        (made_of(&[a, a, b, c, d]), 1),
        (made_of(&[a, c, d]), 1),
        (made_of(&[a, b, c, c, d]), 3),
        (made_of(&[a, foreign, c, d]), 1),
        (made_of(&[a, b, d]), 2),
    ] {
        assert_eq!(refusal(&file), StreamRefused::Chunk(at));
    }
}

#[test]
fn bytes_after_the_end_are_refused() {
    let short = sealed(b"short", &ring(1));
    assert_eq!(refusal(&[&short[..], b"!"].concat()), StreamRefused::Chunk(0));
    let full = sealed(&content(CHUNK), &ring(1));
    assert_eq!(refusal(&[&full[..], b"!"].concat()), StreamRefused::Trailing(0));
    assert_eq!(refusal(&[&full[..], &full[..]].concat()), StreamRefused::Trailing(0));
}

#[test]
fn an_empty_last_chunk_after_others_is_refused_even_if_genuine() {
    // The one who can make it is the owner of the key; still, content has one form.
    let file = sealed(&content(CHUNK), &ring(1));
    let odd = stream::with_empty_last_chunk(&file, &ring(1)).unwrap();
    assert_eq!(refusal(&odd), StreamRefused::Chunk(1));
}

#[test]
fn a_refusal_is_final_and_gives_nothing_of_its_chunk() {
    let mut file = sealed(&content(CHUNK + 100), &ring(1));
    *file.last_mut().unwrap() ^= 1;
    let mut opener = Opener::begin(&file[..], &ring(1)).unwrap();
    let mut got = Vec::new();
    assert!(opener.read_to_end(&mut got).is_err());
    assert!(got == content(CHUNK));
    for _ in 0..3 {
        assert!(opener.read(&mut [0; 10]).is_err());
    }
}

#[test]
fn only_the_key_that_wrapped_it_opens_a_file() {
    let file = sealed(b"x", &ring(1));
    let unknown = opened(&file, &ring(2)).unwrap_err();
    assert!(unknown.to_string().contains(&ring(1).first().id().to_string()), "{unknown}");
    assert!(opened(&file, &joined(&[&ring(2), &ring(1)])).is_ok());
    let mut later = file.clone();
    later[8] = 2;
    assert_eq!(refusal(&later), StreamRefused::Key(Refused::Version(2)));
}

#[test]
fn a_new_key_takes_a_file_over_by_its_header() {
    let (old, new) = (ring(1), ring(2));
    let mut file = sealed(&content(CHUNK + 1), &old);
    let both = joined(&[&new, &old]);
    let header = rewrapped_header(&mut &file[..], &both, nonce(&mut seeded(9))).unwrap();
    assert_eq!(header.len(), header_bytes());
    file[..header.len()].copy_from_slice(&header);
    assert!(opened(&file, &new).unwrap() == content(CHUNK + 1));
    assert!(opened(&file, &old).is_err());
}

/// Gives and takes a few bytes at a time, and is interrupted now and then.
struct Halting<T> {
    inner: T,
    step: usize,
    calls: usize,
}

impl<T> Halting<T> {
    fn pause(&mut self) -> io::Result<()> {
        self.calls += 1;
        match self.calls % 3 {
            0 => Err(io::ErrorKind::Interrupted.into()),
            _ => Ok(()),
        }
    }
}

impl<R: Read> Read for Halting<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.pause()?;
        let n = into.len().min(self.step);
        self.inner.read(&mut into[..n])
    }
}

impl<W: Write> Write for Halting<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.pause()?;
        self.inner.write(&bytes[..bytes.len().min(self.step)])
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// A disk that is full after some bytes.
struct Full(usize);

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = bytes.len().min(self.0);
        self.0 -= n;
        match n {
            0 => Err(io::ErrorKind::StorageFull.into()),
            n => Ok(n),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn after_a_chunk_was_not_written_nothing_is() {
    let mut sealer = Sealer::begin(Full(1_000), label(), &ring(1), &mut seeded(5)).unwrap();
    let error = sealer.write_all(&content(2 * CHUNK)).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    assert!(sealer.write(b"more").is_err());
    assert!(sealer.finish().is_err());
}

#[test]
fn without_chance_no_file_is_begun() {
    let mut file = Vec::new();
    let error = Sealer::begin(&mut file, label(), &ring(1), &mut Dry).unwrap_err();
    assert!(error.get_ref().unwrap().source().is_none() && file.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn any_bit_of_a_file_counts(length in 0usize..2 * CHUNK + 10, bit: usize) {
        let file = sealed(&content(length), &ring(1));
        prop_assert!(opened(&flipped(&file, bit % (file.len() * 8)), &ring(1)).is_err());
    }

    #[test]
    fn any_bit_of_a_header_counts(bit in 0usize..120 * 8) {
        let file = sealed(b"", &ring(1));
        prop_assert!(opened(&flipped(&file, bit % (file.len() * 8)), &ring(1)).is_err());
    }

    #[test]
    fn how_it_is_written_and_read_makes_no_difference(
        parts in proptest::collection::vec(0usize..40_000, 0..8), step in 1usize..9_000
    ) {
        let whole = content(parts.iter().sum());
        let to = Halting { inner: Vec::new(), step, calls: 0 };
        let mut sealer = Sealer::begin(to, label(), &ring(1), &mut seeded(5)).unwrap();
        let mut rest = &whole[..];
        for part in parts {
            let (now, later) = rest.split_at(part);
            sealer.write_all(now).unwrap();
            sealer.flush().unwrap();
            rest = later;
        }
        let file = sealer.finish().unwrap().inner;
        prop_assert!(file == sealed(&whole, &ring(1)));
        let from = Halting { inner: Cursor::new(file), step, calls: 0 };
        let mut got = Vec::new();
        Opener::begin(from, &ring(1)).unwrap().read_to_end(&mut got).unwrap();
        prop_assert!(got == whole);
    }

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), genuine: bool) {
        let start = if genuine { sealed(b"", &ring(1))[..header_bytes()].to_vec() } else { b"SNTLSEAL\x01".to_vec() };
        prop_assert!(opened(&[&start[..], &bytes].concat(), &ring(1)).is_err());
        prop_assert!(opened(&bytes, &ring(1)).is_err());
    }
}
