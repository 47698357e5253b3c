//! Mail over TLS: nothing is said to a server whose certificate nobody believes, and no password in the clear.

use serde_json::{Value, json};

use super::receivers::{MailBox, Safety};
use super::{ADMIN, mine, serve};
use crate::support::{Folder, Running};
use crate::tls;

/// What came of a test mail.
async fn tried(running: &Running) -> Value {
    let client = running.client.with_token(ADMIN);
    client.send("POST", "/v1/alerts/test", br#"{"sink": "mail"}"#).await.ok()["delivery"].clone()
}

fn sink(mailbox: &MailBox, tls: &str, ca_file: Option<&str>) -> Value {
    let mut email = json!({
        "host": "localhost", "port": mailbox.address.port(), "tls": tls, "user": "sentinel", "password": "SECRET-WORD",
        "from": "Sentinel <sentinel@example.org>", "to": ["security@example.org"]
    });
    if let Some(path) = ca_file {
        email["ca_file"] = path.into();
    }
    json!([{"name": "mail", "email": email}])
}

#[tokio::test]
async fn a_mail_goes_out_over_tls_from_the_beginning_and_from_a_word_on() {
    for (safety, tls) in [(Safety::Tls, "tls"), (Safety::Starttls, "starttls")] {
        let (folder, mailbox) = (Folder::new(), MailBox::with(safety).await);
        let ca_file = tls::ca_file(&folder);
        let running = serve(&folder, mine(sink(&mailbox, tls, ca_file.to_str()), json!({}))).await;
        let sent = tried(&running).await;
        assert_eq!(sent["state"], "delivered", "{tls}: {sent}");
        assert_eq!(mailbox.mails().len(), 1);
        let sealed = mailbox.said_sealed();
        assert!(sealed.iter().any(|line| line.starts_with("AUTH PLAIN")), "{sealed:?}");
        for line in mailbox.said_in_the_clear() {
            assert!(line.starts_with("EHLO") || line == "STARTTLS", "{line}");
        }
        running.stop().await;
    }
}

#[tokio::test]
async fn no_mail_goes_to_a_server_that_is_not_believed_or_has_no_tls() {
    for (safety, tls) in [(Safety::Tls, "tls"), (Safety::Starttls, "starttls"), (Safety::None, "starttls")] {
        let (folder, mailbox) = (Folder::new(), MailBox::with(safety).await);
        let running = serve(&folder, mine(sink(&mailbox, tls, None), json!({}))).await;
        let failed = tried(&running).await;
        assert_eq!(failed["state"], "failed", "{tls}: {failed}");
        let outcome = failed["outcome"].as_str().unwrap();
        assert!(outcome.contains("mail server") && !outcome.contains("SECRET-WORD"), "{outcome}");
        assert_eq!((mailbox.mails().len(), mailbox.said_sealed().len()), (0, 0), "{tls}");
        for line in mailbox.said_in_the_clear() {
            assert!(["EHLO", "STARTTLS", "QUIT"].iter().any(|verb| line.starts_with(verb)), "{line}");
        }
        running.stop().await;
    }
}
