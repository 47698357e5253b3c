//! The recognisers together: what is found, what is not, what wins where two overlap, what a stream holds back.

#![expect(clippy::string_slice, reason = "an index that is not there fails the test, as it should")]

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};

use proptest::prelude::*;

use super::*;

const LEVEL_MAX: u8 = 4;

fn detector(level: u8) -> PiiDetector {
    PiiDetector::new(RuleIdx(0), level)
}

/// Rule and text of everything that is found up to a level.
fn found_to(level: u8, text: &str) -> Vec<(&'static str, String)> {
    let folded = text.to_lowercase();
    assert_eq!(folded.len(), text.len(), "a text whose lower case is longer is no good test here");
    let mut found = Vec::new();
    detector(level).find(&folded, text, &mut Budget::for_bytes(text.len()), |_, candidate| {
        let Some(entity) = candidate.entity else { return };
        found.push((RULES[entity as usize].0, text[candidate.start..candidate.end].to_string()));
    });
    found
}

/// What is found by default.
fn found(text: &str) -> Vec<(&'static str, String)> {
    found_to(1, text)
}

fn check_at(level: u8, rule: &str, text: &str, expected: &str) {
    let found = found_to(level, text);
    assert!(found.contains(&(rule_named(rule), expected.to_string())), "{rule} in {text:?}: {found:?}");
}

fn check(rule: &str, text: &str, expected: &str) {
    check_at(1, rule, text, expected);
}

fn check_nothing(text: &str) {
    assert_eq!(found(text), [], "{text:?}");
}

fn rule_named(id: &str) -> &'static str {
    RULES.iter().find(|(known, ..)| *known == id).unwrap().0
}

/// Numbers that authorities and standards publish as examples, or that follow from the published check.
const EXAMPLES: &[(&str, &str, &str)] = &[
    ("pii/iban", "", "GB82WEST12345698765432"),
    ("pii/iban", "", "DE89 3704 0044 0532 0130 00"),
    ("pii/iban", "", "NO9386011117947"),
    ("pii/iban", "", "MT84MALT011000012345MTLCAST001S"),
    ("pii/ssn", "", "536-90-4399"),
    ("pii/ssn", "my ssn is ", "536904399"),
    ("pii/itin", "", "912-70-1234"),
    ("pii/nino", "", "AB123456C"),
    ("pii/nino", "", "AB 12 34 56 C"),
    ("pii/nhs", "NHS number ", "943 476 5919"),
    ("pii/sin", "social insurance number ", "193 456 787"),
    ("pii/tfn", "TFN ", "123 456 782"),
    ("pii/medicare", "Medicare ", "2123 45670 1"),
    ("pii/aadhaar", "Aadhaar ", "2341 2341 2346"),
    ("pii/pan", "", "ABCPE1234F"),
    ("pii/cpf", "", "111.444.777-35"),
    ("pii/cpf", "CPF ", "11144477735"),
    ("pii/cnpj", "", "11.222.333/0001-81"),
    ("pii/dni", "", "12345678Z"),
    ("pii/nie", "", "X1234567L"),
    ("pii/fiscale", "", "RSSMRA85T10A562S"),
    ("pii/steuer-id", "Steuer-ID ", "86095742719"),
    ("pii/insee", "", "2 55 08 14 168 025 38"),
    ("pii/insee", "", "255081416802538"),
    ("pii/bsn", "BSN ", "111222333"),
    ("pii/pesel", "PESEL ", "44051401359"),
    ("pii/personnummer", "", "811218-9876"),
    ("pii/personnummer", "", "19811218-9876"),
    ("pii/nric", "", "S1234567D"),
    ("pii/my-number", "mynumber ", "123456789018"),
    ("pii/rrn", "", "900101-1234567"),
    ("pii/resident-id", "", "11010519491231002X"),
    ("pii/vin", "", "1M8GDM9AXKP042788"),
    ("pii/dea", "DEA ", "AB1234563"),
    ("pii/btc", "", "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa"),
    ("pii/btc", "", "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq"),
    ("pii/btc", "", "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0"),
    ("pii/eth", "", "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"),
    ("pii/eth", "", "0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed"),
    ("pii/email", "", "mary.smith+news@mail.example.co.uk"),
    ("pii/phone", "", "+1 (212) 555-0143"),
    ("pii/phone", "", "+49 30 12345678"),
    ("pii/phone", "", "(212) 555-0143 x12"),
    ("pii/phone", "", "212-555-0143"),
    ("pii/phone", "Tel. ", "030 12345678"),
    ("pii/phone", "call me at ", "2125550143"),
];

#[test]
fn published_examples_are_found() {
    for (rule, before, number) in EXAMPLES {
        for (head, tail) in [("", ""), ("It is ", ", thanks."), ("{\"a\": \"", "\"}"), ("(", ")")] {
            check(rule, &format!("{head}{before}{number}{tail}"), number);
        }
    }
}

#[test]
fn a_number_inside_something_longer_is_none() {
    for (_, before, number) in EXAMPLES.iter().filter(|(rule, ..)| !matches!(*rule, "pii/email")) {
        for (head, tail) in [("x7", ""), ("", "z9"), ("", "_a"), ("a_", "")] {
            let found = found(&format!("{before}{head}{number}{tail}"));
            assert!(found.iter().all(|(_, text)| text != number), "{before}{head}{number}{tail}: {found:?}");
        }
    }
}

/// What a checksum over all digits notices for certain.
const CHECKED: &[(&str, &str, &str)] = &[
    ("pii/iban", "", "GB82WEST12345698765432"),
    ("pii/nhs", "nhs ", "9434765919"),
    ("pii/sin", "canadian sin ", "193456787"),
    ("pii/tfn", "tfn ", "123456782"),
    ("pii/aadhaar", "aadhaar ", "234123412346"),
    ("pii/cpf", "cpf ", "11144477735"),
    ("pii/cnpj", "cnpj ", "11222333000181"),
    ("pii/dni", "", "12345678Z"),
    ("pii/insee", "", "255081416802538"),
    ("pii/bsn", "bsn ", "111222333"),
    ("pii/steuer-id", "steuer ", "86095742719"),
    ("pii/resident-id", "", "11010519491231002X"),
    ("pii/nric", "", "S1234567D"),
];

#[test]
fn one_wrong_digit_is_no_find() {
    for (rule, before, number) in CHECKED {
        for (place, _) in number.char_indices().filter(|(_, c)| c.is_ascii_digit()) {
            for digit in '0'..='9' {
                let mut wrong = number.to_string();
                wrong.replace_range(place..=place, &digit.to_string());
                let is_found = found(&format!("{before}{wrong}")).iter().any(|(found, _)| found == rule);
                assert_eq!(is_found, wrong == *number || is_twin(rule, &wrong), "{rule} {wrong}");
            }
        }
    }
}

/// Some checks take several digits for one remainder.
fn is_twin(rule: &str, number: &str) -> bool {
    match rule {
        "pii/cpf" => americas::IDS[4].is_valid(number),
        "pii/cnpj" => americas::IDS[5].is_valid(number),
        _ => false,
    }
}

#[test]
fn things_with_numbers_are_nobodys() {
    for text in [
        "order #276591459 has shipped on 2025-03-01",
        "uuid c8078f6b-af86-44e8-a2e6-7c644d8ad5d5",
        "commit 0f5be8b9c74490f2b90a2a470e2b481c broke it",
        "sha256: cc8ec879b914ad16ab1028c9a4e830facc8ec879b914ad16ab1028c9a4e830fa",
        "it took 1234567.89 ms, 12,345,678 bytes, 3.14159265358979",
        // A valid number of the French INSEE, were it not for the point.
        "[0.25, 1862.77880859375]",
        "timestamp 1718031600, 1718031600000",
        "version 10.15.7.1234, build 20240501",
        "from 1939-1945 and 2019-2024",
        "SELECT * FROM t WHERE id = 748072224; phone",
        "ISBN 978-3-16-148410-0",
        "10.0.0.1:8080 and 192.168.1.1/24, 255.255.255.0",
        "at 10:42:05 on 12/05/2024",
        "lodash@4.17.21 and @types/node@20.1.0, icon@2x.png, a @ b",
        "git@github.com:owner/name.git",
        "postgres://app:secret@db.example.com:5432/app",
        "user@example.com is a placeholder, as is a@b.example",
        "tracking number 29WNIAQ5W1HO",
        "Meeting ID: 359 5978 3005",
        "the ratio is 4536:1, room 3285, 21.8 %",
        "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24",
        "+12345678 points, C++17, 1+23456789",
        "(2 + 3) * 45678901",
        "std::vec a1::b2 abc::def dead::beef",
        "use 0000-0000-0000-0000, 123-456-7890",
    ] {
        check_nothing(text);
    }
}

#[test]
fn the_best_evidence_wins() {
    assert_eq!(found("call 4111 1111 1111 1111"), []);
    let iban = "DE89 3704 0044 0532 0130 00";
    assert_eq!(found(&format!("phone {iban}")), [("pii/iban", iban.to_string())]);
    assert_eq!(found("phone, ssn 536-90-4399"), [("pii/ssn", "536-90-4399".to_string())]);
}

#[test]
fn weaker_rules_are_off_unless_asked_for() {
    for (level, rule, text, number) in [
        (2, "pii/ip", "login from 140.25.89.139 failed", "140.25.89.139"),
        (2, "pii/ip", "2a00:1450:4001:81b::200e up", "2a00:1450:4001:81b::200e"),
        (2, "pii/mac", "device 54:63:95:e5:0d:5c", "54:63:95:e5:0d:5c"),
        (2, "pii/mac", "device fa-ce-12-aa-bb-cc", "fa-ce-12-aa-bb-cc"),
        (2, "pii/passport", "passport no. R31193709", "R31193709"),
        (2, "pii/licence", "driving licence number is K7845824", "K7845824"),
        (2, "pii/birth-date", "born 02.11.1978.", "02.11.1978"),
        (2, "pii/birth-date", "DOB June 29, 1963", "June 29, 1963"),
        (2, "pii/birth-date", "geboren am 16 August 1995", "16 August 1995"),
        (2, "pii/mrn", "patient (MRN999275)", "MRN999275"),
        (2, "pii/wallet", "wallet 38s4xgu2u23e69re5zv98z5j9kqtf56wz", "38s4xgu2u23e69re5zv98z5j9kqtf56wz"),
        (2, "pii/tax-id", "tax number 38975829046", "38975829046"),
        (3, "pii/loose/email", "mary at example dot org", "mary at example dot org"),
        (3, "pii/loose/email", "mary [at] mail.example [dot] org", "mary [at] mail.example [dot] org"),
        (3, "pii/loose/phone", "it is 020 7496 0669", "020 7496 0669"),
        (3, "pii/location", "lat 52.52000, lon 13.40500", "52.52000, lon 13.40500"),
        (4, "pii/address", "lives at 12 Main Street, Springfield", "12 Main Street"),
        (4, "pii/address", "wohnt Hauptstrasse 12 in Bonn", "Hauptstrasse 12"),
        (4, "pii/person", "ask Mrs. Mary Jones about it", "Mary Jones"),
    ] {
        check_at(level, rule, text, number);
        assert!(found_to(level - 1, text).iter().all(|(found, _)| *found != rule), "{rule}");
    }
}

#[test]
fn addresses_may_have_letters_of_any_script() {
    check("pii/email", "an jürgen@münchen.example.de schreiben", "jürgen@münchen.example.de");
    check("pii/email", "邮箱是zhang3@example.com。谢谢", "zhang3@example.com");
    check("pii/email", "이메일은 lee@example.com입니다", "lee@example.com");
    check("pii/phone", "我的电话是010-8888-1234。", "010-8888-1234");
}

#[test]
fn a_stream_holds_back_what_may_grow_and_no_prose() {
    let open =
        |text: &str| open::start(Bytes(text.as_bytes()), &Words::new()).map(|at| text[at..].to_string());
    for (text, held) in [
        ("call +49 30 12", "+49 30 12"),
        ("iban gb82 west 1234 56", "gb82 west 1234 56"),
        ("pay to de89 3704 ", "de89 3704 "),
        ("write to mary@exam", "mary@exam"),
        ("write to mary.smith", "mary.smith"),
        ("my email is mary", "mary"),
        ("bc1qar0srrr7xfk", "bc1qar0srrr7xfk"),
    ] {
        assert!(open(text).is_some_and(|open| open.ends_with(held)), "{text:?}: {:?}", open(text));
    }
    for text in
        ["", " ", "the quick brown fox", "it is over.", "well-known", "In 2024 the", "wait ... ", "Yes, sir"]
    {
        assert_eq!(open(text), None, "{text:?}");
    }
    assert_eq!(open(&"a1".repeat(200)), None, "a blob is nobody's number");
}

#[test]
fn rules_have_names_of_their_own() {
    let mut ids: Vec<&str> = RULES.iter().map(|(id, ..)| *id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), RULES.len());
    assert!(RULES.iter().all(|(id, level, score)| {
        id.starts_with("pii/") && (1..=LEVEL_MAX).contains(level) && *score > 0.0 && *score <= 1.0
    }));
}

/// The digits of a number with separators thrown in between.
fn spaced(number: &str, breaks: &[bool], separator: char) -> String {
    let mut out = String::new();
    for (idx, c) in number.chars().enumerate() {
        if idx > 0 && breaks.get(idx).copied().unwrap_or(false) {
            out.push(separator);
        }
        out.push(c);
    }
    out
}

proptest! {
    #[test]
    fn a_valid_iban_is_found_however_it_is_spaced(
        account in 0_u64..10_u64.pow(18),
        breaks in prop::collection::vec(prop::bool::weighted(0.3), 22),
        place in 4_usize..22,
        change in 1_u8..10,
    ) {
        let account = format!("{account:018}");
        let check = 98 - checksum::mod_97(format!("{account}de00").bytes());
        let iban = format!("DE{check:02}{account}");
        let mut breaks = breaks;
        // The country is not set apart from its check digits.
        breaks[..4].fill(false);
        let written = spaced(&iban, &breaks, ' ');
        let all_found = found(&format!("to {written}"));
        prop_assert!(all_found.contains(&("pii/iban", written)), "{:?}", all_found);
        let mut wrong = iban.into_bytes();
        wrong[place] = (wrong[place] - b'0' + change) % 10 + b'0';
        let wrong = String::from_utf8(wrong).unwrap();
        let all_found = found(&format!("to {wrong}"));
        prop_assert!(all_found.iter().all(|(rule, _)| *rule != "pii/iban"), "{:?}", all_found);
    }

    #[test]
    fn a_valid_aadhaar_is_found_and_one_changed_digit_is_not(
        body in 2_u64 * 10_u64.pow(10)..10_u64.pow(11),
        breaks in prop::collection::vec(prop::bool::weighted(0.3), 12),
        place in 1_usize..12,
        change in 1_u8..10,
    ) {
        let check = (0..10).find(|check| checksum::verhoeff(format!("{body}{check}").as_bytes())).unwrap();
        let number = format!("{body}{check}");
        let written = spaced(&number, &breaks, ' ');
        let all_found = found(&format!("aadhaar {written}"));
        prop_assert!(all_found.contains(&("pii/aadhaar", written)), "{:?}", all_found);
        let mut wrong = number.into_bytes();
        wrong[place] = (wrong[place] - b'0' + change) % 10 + b'0';
        let wrong = String::from_utf8(wrong).unwrap();
        let all_found = found(&format!("aadhaar {wrong}"));
        prop_assert!(all_found.iter().all(|(rule, _)| *rule != "pii/aadhaar"), "{:?}", all_found);
    }

    #[test]
    fn nothing_panics_and_finds_are_in_order(text in "[ -~é中\u{a0}0-9@.:+a-f-]{0,200}") {
        let folded = text.to_lowercase();
        let mut last = 0;
        detector(3).find(&folded, &folded, &mut Budget::for_bytes(folded.len()), |_, candidate| {
            assert!(candidate.start >= last && candidate.end > candidate.start && candidate.end <= folded.len());
            last = candidate.end;
        });
        let held = open::start(Bytes(folded.as_bytes()), &Words::new());
        prop_assert!(held.is_none_or(|at| folded.len() - at <= 64));
    }
}

proptest! {
    #[test]
    fn finds_lie_between_characters(text in "([@.0-9a-c +-]|dot|at|é|\u{fffd}|한|\u{1f600}){0,120}") {
        detector(LEVEL_MAX).find(&text, &text, &mut Budget::for_bytes(text.len()), |_, candidate| {
            assert!(text.get(candidate.start..candidate.end).is_some(), "{candidate:?} in {text:?}");
        });
    }

    #[test]
    fn long_names_and_streets_are_not_cut(before in "(mr |[a-z]{0,40}){0,2}", wide in "(é|\u{fffd}|한|a){1,40}", after in "(str|straße| 12|, rue 한| rue){0,3}") {
        let text = format!("{before}{wide}{after} 12 {wide}{after}");
        detector(LEVEL_MAX).find(&text, &text, &mut Budget::for_bytes(text.len()), |_, candidate| {
            assert!(text.get(candidate.start..candidate.end).is_some(), "{candidate:?} in {text:?}");
        });
    }

    #[test]
    fn long_local_parts_are_not_cut(before in "[0-9 ]{0,6}", wide in "(é|\u{fffd}|한|a){15,40}", after in "[0-9 ]{0,6}") {
        let text = format!("{before}{wide}{after}m@firma.com");
        detector(LEVEL_MAX).find(&text, &text, &mut Budget::for_bytes(text.len()), |_, candidate| {
            assert!(text.get(candidate.start..candidate.end).is_some(), "{candidate:?} in {text:?}");
        });
    }
}

#[test]
fn a_street_takes_no_number_apart() {
    check_at(4, "pii/address", "Hauptstr 12", "Hauptstr 12");
    check_at(4, "pii/ssn", "Hauptstr 536-90-4399", "536-90-4399");
    check_at(4, "pii/ssn", "2)ainstr\n536-90-4399", "536-90-4399");
}

/// What the scan of a text leaves of its budget.
fn is_spent(level: u8, text: &str) -> bool {
    let mut budget = Budget::for_bytes(text.len());
    detector(level).find(text, text, &mut budget, |_, _| {});
    budget.is_spent()
}

#[test]
fn tables_of_numbers_are_within_the_budget() {
    const LEN: usize = 512 * 1024;
    for text in [
        "212-45-6789,1985-03-12,mary@firma.com,+49 30 1234567,4111 1111 1111 1111\n",
        "123456789 12345678901 1234567890 123456789012\n",
        "0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed\n",
        "1bvbmseystwetqtfn5au4m4gfg7xjanvn3\n",
        "212-555-0143 ",
        "10.0.0.1 ",
        "1)2)3)",
        "1 2 3 4 5 6 7 8 ",
    ] {
        assert!(!is_spent(LEVEL_MAX, &text.repeat(LEN / text.len())), "{text:?}");
    }
}

#[test]
fn a_spent_budget_ends_the_scan() {
    let text = "mary@firma.com ".repeat(1000);
    let mut budget = Budget::for_bytes(0);
    budget.spend(u32::MAX);
    let mut n_found = 0;
    detector(1).find(&text, &text, &mut budget, |_, _| n_found += 1);
    assert!(n_found <= 1);
}
