//! What somebody may have meant who wrote a name that does not exist.

/// The name that is nearest, if it is near enough to be meant.
pub(crate) fn nearest<'a>(names: impl Iterator<Item = &'a str>, written: &str) -> Option<&'a str> {
    let far = (written.chars().count() / 3).max(2);
    let near = names.map(|name| (distance(&name.to_lowercase(), &written.to_lowercase()), name));
    near.filter(|(distance, _)| *distance <= far).min().map(|(_, name)| name)
}

/// Letters that have to change to make one word of another.
pub(crate) fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (cell, to) in row.iter_mut().skip(1).zip(b.chars()) {
            let next = (*cell + 1).min(left + 1).min(diagonal + usize::from(from != to));
            diagonal = std::mem::replace(cell, next);
            left = next;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_meant_only_where_it_is_near() {
        let names = ["level", "limits", "pii/card"];
        for (written, meant) in [
            ("levle", Some("level")),
            ("Limit", Some("limits")),
            ("pii/crad", Some("pii/card")),
            ("colour", None),
        ] {
            assert_eq!(nearest(names.into_iter(), written), meant, "{written}");
        }
    }

    #[test]
    fn distances_are_counted_in_letters() {
        for (a, b, expected) in
            [("", "", 0), ("kitten", "sitting", 3), ("abc", "", 3), ("", "ab", 2), ("same", "same", 0)]
        {
            assert_eq!(distance(a, b), expected, "{a} {b}");
        }
    }
}
