//! PostgreSQL's text has no place for the character NUL. Nothing may fail because somebody sent one, so another
//! character stands for it, in what is kept as in what is asked for.

use std::borrow::Cow;

pub(in crate::store) fn plain(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { Cow::Owned(text.replace('\0', "\u{fffd}")) } else { Cow::Borrowed(text) }
}
