//! Handing a mail to its server.

use lettre::message::header::ContentType;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};

use super::sink::{Mail, MailServer, MailTls};

/// The error says what the server said by number alone: its text may repeat an address.
pub(super) async fn send(mail: Mail) -> Result<(), String> {
    let Mail { server, subject, text, id } = mail;
    let mut message = Message::builder()
        .from(server.from.clone())
        .subject(subject)
        .message_id(Some(id))
        .header(ContentType::TEXT_PLAIN);
    for to in &server.to {
        message = message.to(to.clone());
    }
    let message = message.body(text).map_err(|_| "the mail cannot be made".to_owned())?;
    let mut transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&server.host)
        .port(server.port)
        .tls(tls(&server)?)
        .timeout(Some(super::send::SEND_WAIT));
    if let Some((user, password)) = server.login {
        transport = transport.credentials(Credentials::new(user, password));
    }
    let sent = transport.build().send(message).await;
    sent.map(drop).map_err(|error| match error.status() {
        Some(code) => format!("the mail server refuses with {code}"),
        None if error.is_timeout() => "the mail server took too long".to_owned(),
        None if error.is_tls() => "no TLS with the mail server".to_owned(),
        None => "the mail server cannot be reached, or does not speak SMTP".to_owned(),
    })
}

fn tls(server: &MailServer) -> Result<Tls, String> {
    if server.tls == MailTls::None {
        return Ok(Tls::None);
    }
    let mut parameters = TlsParameters::builder(server.host.clone());
    if let Some(file) = &server.ca_file {
        let pem = std::fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
        let certificate = Certificate::from_pem(&pem);
        let certificate = certificate.map_err(|_| format!("{}: no certificate", file.display()))?;
        parameters = parameters.add_root_certificate(certificate);
    }
    let parameters = parameters.build().map_err(|_| "TLS cannot be used for mail".to_owned())?;
    Ok(match server.tls {
        MailTls::Tls => Tls::Wrapper(parameters),
        _ => Tls::Required(parameters),
    })
}
