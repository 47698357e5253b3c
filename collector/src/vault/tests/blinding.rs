use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::vault::words::{Reach, WORD_CHARS_MAX, each_word};

fn words(text: &str, reach: Reach) -> Vec<String> {
    let mut words = Vec::new();
    assert!(each_word(text, reach, &mut |word| {
        words.push(word.to_owned());
        true
    }));
    words
}

fn blinder() -> Blinder {
    Root::fresh(&mut seeded(1)).unwrap().blinder()
}

fn finds(question: &str, text: &str) -> bool {
    let (asked, there) = (blinder().of_question(question, 64), blinder().of_event([text], 10_000));
    !asked.words.is_empty() && asked.words.is_subset(&there.words)
}

#[test]
fn the_words_of_a_text() {
    for (text, expected) in [
        ("", &[][..]),
        (" .,-/ ", &[]),
        ("Hello, World! 42", &["hello", "world", "42"]),
        ("don't", &["don", "t"]),
        (r#"{"rule":"injection/model"}"#, &["rule", "injection/model", "injection", "model"]),
        (
            "<Anna@mail.Example.org>.",
            &["anna@mail.example.org", "anna", "mail.example.org", "mail", "example", "org"],
        ),
        ("/etc/ssl/my-key.pem", &["etc/ssl/my-key.pem", "etc", "ssl", "my-key.pem", "my", "key", "pem"]),
        ("a.b", &["a.b", "a", "b"]),
        ("end. Next", &["end", "next"]),
        ("GRÜSSE Ｆｕｌｌ 𝐁old", &["grüsse", "full", "bold"]),
        ("cafe\u{301} café", &["café", "café"]),
        ("हिन्दी ไทย", &["हिन्दी", "ไทย"]),
    ] {
        assert_eq!(words(text, Reach::WholesAndPieces), expected, "{text}");
    }
}

#[test]
fn a_question_finds_wholes_and_their_pieces() {
    let text = r#"{"user":"Anna@mail.example.org","file":"/home/anna/my-key.pem","says":"Ignore ALL rules"}"#;
    for question in [
        "anna",
        "anna@mail.example.org",
        "MAIL.example.org",
        "example",
        "my-key.pem",
        "/home/anna/my-key.pem",
        "all ignore",
        "user: anna",
    ] {
        assert!(finds(question, text), "{question}");
    }
    for question in ["ann", "otto@mail.example.org", "example.com", "ignore none", "", "..."] {
        assert!(!finds(question, text), "{question}");
    }
}

#[test]
fn words_have_a_greatest_length_that_both_sides_share() {
    let long = "x".repeat(WORD_CHARS_MAX + 50);
    assert_eq!(words(&long, Reach::Wholes), ["x".repeat(WORD_CHARS_MAX)]);
    assert!(finds(&long, &format!("a {long} b")));
}

#[test]
fn an_event_has_so_many_words_and_says_if_it_has_more() {
    let blinder = blinder();
    let all = blinder.of_event(["one two two", "three one"], 3);
    assert!(all.complete);
    assert_eq!(all.words.len(), 3);
    let some = blinder.of_event(["one two two", "three one"], 2);
    assert!(!some.complete);
    assert_eq!(some.words, blinder.of_event(["two one"], 2).words);
    assert!(!blinder.of_event(["one"], 0).complete);
}

#[test]
fn blinded_words_have_no_order_of_their_own_and_are_hexadecimal() {
    let blinder = blinder();
    let text = blinder.of_event(["the quick brown fox"], 9).to_string();
    assert_eq!(text, blinder.of_event(["fox", "brown quick THE the"], 9).to_string());
    assert_eq!(text.split(' ').count(), 4);
    assert!(text.split(' ').all(|word| word.len() == 16 && word.bytes().all(|b| b.is_ascii_hexdigit())));
}

#[test]
fn another_root_blinds_otherwise_and_subjects_are_no_words() {
    let (here, there) = (blinder(), Root::fresh(&mut seeded(2)).unwrap().blinder());
    assert_ne!(here.subject("anna"), there.subject("anna"));
    assert_ne!(here.subject("anna"), here.subject("Anna"));
    assert_ne!(here.of_question("anna", 1), there.of_question("anna", 1));
    let word = here.of_question("anna", 1).to_string();
    assert!(!here.subject("anna").to_string().contains(&word));
}

proptest! {
    #[test]
    fn any_word_of_a_text_is_found_in_it(text in "\\PC{0,60}") {
        for word in words(&text, Reach::WholesAndPieces) {
            prop_assert!(finds(&word, &text), "{word:?} of {text:?}");
        }
    }

    #[test]
    fn a_text_is_found_by_itself(text in "[a-cA-C./@_ üŁﬁ\u{301}-]{0,40}") {
        let asked = words(&text, Reach::Wholes);
        let there: BTreeSet<String> = words(&text, Reach::WholesAndPieces).into_iter().collect();
        prop_assert!(asked.iter().all(|word| there.contains(word)));
        prop_assert_eq!(asked.is_empty(), there.is_empty());
    }
}
