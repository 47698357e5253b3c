//! Why TLS came to nothing, in words that say who has to mend what.

use std::fmt::Write as _;
use std::io::{Error as IoError, ErrorKind};

use tokio_rustls::rustls::pki_types::UnixTime;
use tokio_rustls::rustls::{CertificateError, Error};

use crate::access::rfc3339;

pub(super) fn of_handshake(error: &IoError) -> String {
    match of_tls(error) {
        Some(reason) => reason,
        None if error.kind() == ErrorKind::UnexpectedEof => {
            "it closed the connection; perhaps it speaks no TLS on this port".to_owned()
        }
        None => error.to_string(),
    }
}

/// If it is TLS that the error is about.
pub fn of_tls(error: &IoError) -> Option<String> {
    Some(match error.get_ref()?.downcast_ref::<Error>()? {
        Error::InvalidCertificate(certificate) => of_certificate(certificate),
        Error::InvalidMessage(_) => "what it sends is no TLS".to_owned(),
        other => other.to_string(),
    })
}

fn of_certificate(error: &CertificateError) -> String {
    match error {
        CertificateError::Expired => "its certificate has expired".to_owned(),
        CertificateError::ExpiredContext { not_after, .. } => {
            format!("its certificate has expired: it was good until {}", date(*not_after))
        }
        CertificateError::NotValidYet => "its certificate is not good yet".to_owned(),
        CertificateError::NotValidYetContext { not_before, .. } => {
            format!("its certificate is not good yet: it begins at {}", date(*not_before))
        }
        CertificateError::UnknownIssuer => {
            "its certificate is of a CA that is not trusted here; --ca-file may name it".to_owned()
        }
        CertificateError::NotValidForName => "its certificate is for another name".to_owned(),
        CertificateError::NotValidForNameContext { expected, presented } => {
            let mut text = format!("its certificate is not for {}", expected.to_str());
            for (idx, name) in presented.iter().take(NAMES_SHOWN_MAX).enumerate() {
                let name: String = name.chars().filter(char::is_ascii_graphic).take(NAME_CHARS_MAX).collect();
                // Writing to a text cannot fail.
                let _ = write!(text, "{}{name}", if idx == 0 { ", but for " } else { ", " });
            }
            text
        }
        CertificateError::Other(other) if other.to_string().contains("CaUsedAsEndEntity") => {
            "its certificate is one of a CA; it needs one for a server".to_owned()
        }
        other => format!("its certificate: {other}"),
    }
}

fn date(time: UnixTime) -> String {
    rfc3339::write(i64::try_from(time.as_secs()).unwrap_or(i64::MAX).saturating_mul(1_000))
}

const NAMES_SHOWN_MAX: usize = 5;
const NAME_CHARS_MAX: usize = 100;
