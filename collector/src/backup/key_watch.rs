//! Looks for a key-encryption key in bytes that go by: `kek:`, eight hexadecimal digits, `:`. What holds one does not
//! belong into a backup, because whoever has the backup would have its key, too.

/// Bytes that begin like a key, as far as they do.
#[derive(Debug, Default)]
pub(super) struct KeyWatch {
    n_matched: usize,
    found: bool,
}

impl KeyWatch {
    pub(super) fn see(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.n_matched = match (fits(self.n_matched, byte), self.n_matched, byte) {
                (true, n, _) => n + 1,
                // The last letter of `kek` was the first of the next.
                (false, 3, b'e') => 2,
                (false, ..) => usize::from(fits(0, byte)),
            };
            if self.n_matched == LENGTH {
                self.found = true;
                self.n_matched = 0;
            }
        }
    }

    pub(super) const fn has_seen_one(&self) -> bool {
        self.found
    }
}

fn fits(at: usize, byte: u8) -> bool {
    match at {
        0 | 2 => byte == b'k',
        1 => byte == b'e',
        3 | 12 => byte == b':',
        _ => byte.is_ascii_hexdigit(),
    }
}

const LENGTH: usize = 13;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vault::{Kek, System};

    fn sees(chunks: &[&[u8]]) -> bool {
        let mut watch = KeyWatch::default();
        chunks.iter().for_each(|chunk| watch.see(chunk));
        watch.has_seen_one()
    }

    #[test]
    fn a_key_is_seen_wherever_it_stands_and_however_it_is_cut() {
        let key = Kek::fresh(&mut System).unwrap().to_text();
        for before in ["", "SENTINEL_KEYS=", "k", "ke", "kek", "kek:", "kek:0123", "kkek", "keke"] {
            let text = format!("{before}{}\n", *key);
            for at in 0..text.len() {
                let (a, b) = text.as_bytes().split_at(at);
                assert!(sees(&[a, b]), "{before} cut at {at}");
            }
        }
        assert!(!sees(&[b"kek:<id>:<base64> stands in a manual, kek:0123456 too"]));
    }
}
