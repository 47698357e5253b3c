//! What the words near a number say it is.
//!
//! Bounded work: every word of a text is looked up at most once, and only near places that somebody asks about.

use alloc::vec::Vec;
use core::ops::Range;

use super::Bytes;
use crate::{detect::Budget, text::Word};

/// A set of topics.
pub(super) type Topics = u64;

pub(super) const PHONE: Topics = 1 << 0;
pub(super) const EMAIL: Topics = 1 << 1;
pub(super) const SSN: Topics = 1 << 2;
pub(super) const ITIN: Topics = 1 << 3;
pub(super) const NINO: Topics = 1 << 4;
pub(super) const NHS: Topics = 1 << 5;
pub(super) const SIN: Topics = 1 << 6;
pub(super) const TFN: Topics = 1 << 7;
pub(super) const MEDICARE: Topics = 1 << 8;
pub(super) const AADHAAR: Topics = 1 << 9;
pub(super) const CPF: Topics = 1 << 10;
pub(super) const CNPJ: Topics = 1 << 11;
pub(super) const GERMAN_TAX: Topics = 1 << 12;
pub(super) const INSEE: Topics = 1 << 13;
pub(super) const BSN: Topics = 1 << 14;
pub(super) const PESEL: Topics = 1 << 15;
pub(super) const PERSONNUMMER: Topics = 1 << 16;
pub(super) const MY_NUMBER: Topics = 1 << 17;
pub(super) const RRN: Topics = 1 << 18;
pub(super) const PASSPORT: Topics = 1 << 19;
pub(super) const DRIVING: Topics = 1 << 20;
pub(super) const LICENCE: Topics = 1 << 21;
pub(super) const BIRTH: Topics = 1 << 22;
pub(super) const CRYPTO: Topics = 1 << 23;
pub(super) const MEDICAL_RECORD: Topics = 1 << 24;
pub(super) const DEA: Topics = 1 << 25;
pub(super) const VEHICLE: Topics = 1 << 26;
pub(super) const COORDINATES: Topics = 1 << 27;
pub(super) const VERSION: Topics = 1 << 28;
pub(super) const SOLANA: Topics = 1 << 29;
/// Numbers that name things, not people.
pub(super) const THING: Topics = 1 << 30;
pub(super) const TAX: Topics = 1 << 31;
pub(super) const NONE: Topics = 0;

/// Words by topic. Of a longer word the first eight bytes count, so those stand for whatever begins with them; for
/// scripts that put no spaces between words, pairs of characters.
const WORDS: &[(Topics, &str)] = &[
    (
        PHONE,
        "phone phones phoned telephone telefon telefono teléfono téléphone telefone telefoni telefonum tel tél \
         mobile mobil móvil movil cellulare celular handy handynummer telefonnummer rufnummer gsm cell cellphone call calling \
         called dial fax whatsapp sms reach reached contact kontakt erreichbar erreichen rückfragen ring puhelin \
         puhelinnumero numer numerze komórka komórkowy телефон номер звоните тел llama llámame ligue appelez appeler \
         joindre numéro número numero mitt telefoon telefoonnummer bel mobiel \
         电话 電話 手机 手機 携帯 연락 전화 휴대 핸드",
    ),
    (
        EMAIL,
        "email mail mails emails courriel correo posta sähköposti poczta postadresse почта 邮箱 邮件 메일 이메 メール",
    ),
    (SSN | ITIN, "ssn ssns social taxpayer tin itin"),
    (NINO, "nino insurance ni national"),
    (NHS, "nhs patient health"),
    (SIN, "sin sins insurance assurance nas canada canadian"),
    (TFN, "tfn tfns tax"),
    (MEDICARE, "medicare"),
    (AADHAAR, "aadhaar aadhar adhaar uidai uid आधार"),
    (CPF, "cpf cpfs cadastro contribuinte"),
    (CNPJ, "cnpj cnpjs empresa"),
    (GERMAN_TAX, "steuer steueridentifikationsnummer steuernummer idnr identifikationsnummer tax tin tins"),
    (INSEE, "insee nir sécurité securite sociale sécu"),
    (BSN, "bsn burgerservicenummer sofinummer sofi burgerservice"),
    (PESEL, "pesel pesels ewidencyjny"),
    (PERSONNUMMER, "personnummer personnr pnr samordningsnummer personal identitetsnummer"),
    (MY_NUMBER, "マイ 個人 mynumber"),
    (RRN, "주민 외국 rrn resident"),
    (
        PASSPORT,
        "passport passports passeport pasaporte passaporto reisepass passnummer passaporte paspoort paszport \
         paszportu pass passi pasaport паспорт паспорта 护照 護照 旅券 パス 여권",
    ),
    (DRIVING, "driving driver drivers driver's"),
    (LICENCE, "licence license licences licenses"),
    (
        DRIVING | LICENCE,
        "führerschein führerscheinnummer permiso conducir patente rijbewijs jazdy körkort cnh habilitação conduire \
         驾照 驾驶 免許 면허",
    ),
    (
        BIRTH,
        "born birth birthday birthdate dob geboren geburtsdatum geburtstag né née naissance nacido nacida nacimiento \
         nato nata nascita nascido nascida nascimento geboortedatum geb urodzony urodzona urodzenia född födelsedatum \
         doğum рождения родился родилась 生日 出生 生年 생년 생일",
    ),
    (CRYPTO, "wallet wallets btc bitcoin bitcoins eth ether ethereum crypto address coin usdt"),
    (SOLANA, "sol solana phantom spl"),
    (MEDICAL_RECORD, "mrn mrns medical patient patients chart"),
    (DEA, "dea prescriber"),
    (VEHICLE, "vin vins vehicle chassis car fahrgestellnummer fin bastidor châssis telaio"),
    (COORDINATES, "lat lon lng long latitude longitude coordinates coords gps location koordinaten"),
    (VERSION, "version versions v release build upgrade python node kernel firmware"),
    (
        THING,
        "order orders invoice tracking ticket isbn issn commit sha sha1 sha256 md5 uuid guid serial part sku model \
         meeting case reference ref room ratio timestamp epoch bestellung rechnung auftrag commande facture pedido \
         factura ordine fattura fatura zamówienie faktura",
    ),
    (
        THING,
        "iban card carte karte carta tarjeta cartão kaart kort karta kortti account accounts konto kontonummer compte \
         cuenta conto conta rekening",
    ),
    (TAX, "tax steuernummer nif utr vat fiscal taxpayer skattenummer"),
    (
        THING,
        "订单 发票 注文 주문 rfc pid port line id ids row rows index hash bytes byte byteorder offset ms",
    ),
    (SSN, "security ss"),
    (CRYPTO | SOLANA, "wallet address"),
];

const REACH_BEFORE: usize = 60;
const REACH_AFTER: usize = 32;

/// The table that words are looked up in, and a bit for each of its words by a hash: most words of a text are not in it.
#[derive(Debug)]
pub(super) struct Words {
    table: Vec<(u64, Topics)>,
    bits: [u64; BITS / 64],
}

const BITS: usize = 4096;

impl Words {
    pub(super) fn new() -> Self {
        let mut table: Vec<(u64, Topics)> = Vec::new();
        for (topics, words) in WORDS {
            table.extend(words.split(' ').map(|word| (Word::head_of(word.as_bytes()), *topics)));
        }
        table.sort_unstable_by_key(|(head, _)| *head);
        table.dedup_by(|next, last| {
            let same = next.0 == last.0;
            last.1 |= if same { next.1 } else { NONE };
            same
        });
        let mut bits = [0; BITS / 64];
        for (head, _) in &table {
            let bit = bit_of(*head);
            if let Some(bits) = bits.get_mut(bit / 64) {
                *bits |= 1 << (bit % 64);
            }
        }
        Self { table, bits }
    }

    fn topics(&self, word: &[u8]) -> Topics {
        let head = Word::head_of(word);
        let bit = bit_of(head);
        if self.bits.get(bit / 64).is_none_or(|bits| bits >> (bit % 64) & 1 == 0) {
            return NONE;
        }
        let found = self.table.binary_search_by_key(&head, |(head, _)| *head);
        found.ok().and_then(|idx| self.table.get(idx)).map_or(NONE, |(_, topics)| *topics)
    }
}

const fn bit_of(head: u64) -> usize {
    (head.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (u64::BITS - BITS.trailing_zeros())) as usize
}

/// The words with a topic around the place that was last asked about.
#[derive(Debug)]
pub(super) struct Context<'a> {
    words: &'a Words,
    text: Bytes<'a>,
    /// Everything before was looked up, or will not be.
    read: usize,
    seen: [(usize, Topics); SEEN],
    next: usize,
}

/// Longer words are read in pieces.
const WORD_MAX: usize = 48;

/// More words with a topic than a window has, but for the oddest texts.
const SEEN: usize = 32;

impl<'a> Context<'a> {
    pub(super) const fn new(words: &'a Words, text: Bytes<'a>) -> Self {
        Self { words, text, read: 0, seen: [(0, NONE); SEEN], next: 0 }
    }

    /// Whether one of the topics is spoken of near a range of the text.
    pub(super) fn has(&mut self, start: usize, end: usize, topics: Topics, budget: &mut Budget) -> bool {
        self.around(start, end, budget) & topics != NONE
    }

    /// Whether both are.
    pub(super) fn has_all(&mut self, start: usize, end: usize, topics: Topics, budget: &mut Budget) -> bool {
        self.around(start, end, budget) & topics == topics
    }

    /// All topics near a range of the text: of words before it, and of those that follow it in the sentence.
    pub(super) fn around(&mut self, start: usize, end: usize, budget: &mut Budget) -> Topics {
        self.read_to(start, end, budget);
        let before = start.saturating_sub(REACH_BEFORE)..start;
        let after = self.rest_of_sentence(end);
        let near = |at: &usize| before.contains(at) || after.contains(at);
        self.seen().filter(|(at, _)| near(at)).fold(NONE, |all, (_, topics)| all | topics)
    }

    /// The same with only the nearest word before it.
    pub(super) fn nearest(&mut self, start: usize, end: usize, budget: &mut Budget) -> Topics {
        let last = self.last_before(start, end, budget);
        let after = self.rest_of_sentence(end);
        let following = self.seen().filter(|(at, _)| after.contains(at));
        following.fold(last, |all, (_, topics)| all | topics)
    }

    fn rest_of_sentence(&self, end: usize) -> Range<usize> {
        let rest = self.text.range(end, end + REACH_AFTER);
        let len = rest.iter().position(|b| b".;!?\n".contains(b)).unwrap_or(rest.len());
        end..end + len
    }

    /// The topics of the nearest word before a place that has any.
    pub(super) fn last_before(&mut self, start: usize, end: usize, budget: &mut Budget) -> Topics {
        self.read_to(start, end, budget);
        let before = self.seen().filter(|(at, _)| *at < start && *at + REACH_BEFORE >= start);
        before.max_by_key(|(at, _)| *at).map_or(NONE, |(_, topics)| *topics)
    }

    fn seen(&self) -> impl Iterator<Item = &(usize, Topics)> {
        self.seen.iter().take(self.next)
    }

    fn read_to(&mut self, start: usize, end: usize, budget: &mut Budget) {
        let from = start.saturating_sub(REACH_BEFORE);
        if self.read < from {
            self.read = from;
            self.skip_word();
        }
        let to = end.saturating_add(REACH_AFTER).min(self.text.len());
        while self.read < to && budget.spend(1) {
            self.read_word();
        }
    }

    fn skip_word(&mut self) {
        while is_word(self.text.at(self.read)) && self.read < self.text.len() {
            self.read += 1;
        }
    }

    fn read_word(&mut self) {
        let start = self.read;
        let topics = match self.text.at(start) {
            // Two characters of three bytes.
            0xe0..=0xef => {
                self.read = (start + 3).min(self.text.len());
                self.words.topics(self.text.range(start, start + 6))
            }
            b if is_word(b) => {
                let rest = self.text.range(start, start + WORD_MAX);
                let ends = |b: &u8| !is_word(*b) || (0xe0..=0xef).contains(b);
                let len = rest.iter().position(ends).unwrap_or(rest.len());
                self.read += len;
                self.words.topics(rest.get(..len).unwrap_or_default())
            }
            _ => {
                let rest = self.text.range(start, start + WORD_MAX);
                self.read += rest.iter().position(|b| is_word(*b)).unwrap_or(rest.len());
                return;
            }
        };
        if topics != NONE {
            if let Some(slot) = self.seen.get_mut(self.next % SEEN) {
                *slot = (start, topics);
            }
            self.next += 1;
        }
    }
}

const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte >= 0x80
}
