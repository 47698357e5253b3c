//! International bank account numbers: a country with its length, and mod 97.

use super::{Candidate, Entity, Evidence, Scan, checksum::mod_97, run::Run};

/// Country and length, each four bytes.
const LENGTHS: &[u8] = b"ad24ae23al28at20az28ba20be16bg22bh22bi27br29by28ch21cr22cy28cz24de22dj27dk18do28ee20eg29es24\
fi18fk18fo18fr27gb22ge22gi23gl18gr27gt28hn28hr21hu28ie22il23iq23is26it27jo30kw30kz20lb28lc32li21lt20lu20lv21ly25\
mc27md24me22mk19mn20mr27mt31mu30ni28nl18no15om23pk24pl28ps29pt25qa29ro24rs22ru33sa24sc31sd18se24si19sk24sm27so23\
st25sv28tl23tn24tr26ua29va22vg24xk20ye30";

pub(super) fn offer(scan: &mut Scan<'_>, run: &Run) {
    let Some(len) = length(run.chars()) else { return };
    let Some(chars) = run.first(len) else { return };
    let (head, account) = chars.split_at(4);
    if mod_97(account.iter().chain(head).copied()) != 1 {
        return;
    }
    if let Some(end) = run.end_of(len).filter(|end| scan.text.stands_alone(run.start, *end)) {
        scan.offer(Candidate::new(Entity::Iban, run.start, end, Evidence::Checksum));
    }
}

fn length(chars: &[u8]) -> Option<usize> {
    let [a, b, c, d, ..] = chars else { return None };
    if !(a.is_ascii_lowercase() && b.is_ascii_lowercase() && c.is_ascii_digit() && d.is_ascii_digit()) {
        return None;
    }
    let (entries, _) = LENGTHS.as_chunks::<4>();
    let [.., tens, ones] = entries.iter().find(|[x, y, ..]| x == a && y == b)?;
    Some(usize::from((tens - b'0') * 10 + (ones - b'0')))
}
