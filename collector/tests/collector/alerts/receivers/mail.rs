//! A server that takes mail, as far as RFC 5321 asks for it, with TLS from the beginning, from a word on, or without.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

#[derive(Clone, Copy, PartialEq)]
pub(in crate::alerts) enum Safety {
    None,
    Starttls,
    Tls,
}

#[derive(Clone)]
pub(in crate::alerts) struct MailBox {
    pub(in crate::alerts) address: SocketAddr,
    taken: Arc<Mutex<Taken>>,
}

#[derive(Default)]
struct Taken {
    mails: Vec<String>,
    /// What was said before a mail, line by line: without TLS, and with it.
    in_the_clear: Vec<String>,
    sealed: Vec<String>,
}

impl MailBox {
    pub(in crate::alerts) async fn start() -> Self {
        Self::with(Safety::None).await
    }

    pub(in crate::alerts) async fn with(safety: Safety) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let mailbox = Self { address, taken: Arc::default() };
        let server = mailbox.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let server = server.clone();
                tokio::spawn(async move { server.serve(stream, safety).await });
            }
        });
        mailbox
    }

    pub(in crate::alerts) fn mails(&self) -> Vec<String> {
        self.taken.lock().unwrap().mails.clone()
    }

    pub(in crate::alerts) fn subjects(&self) -> Vec<String> {
        let subject = |mail: &String| {
            mail.lines().find_map(|line| Some(line.strip_prefix("Subject: ")?.to_owned())).unwrap_or_default()
        };
        self.mails().iter().map(subject).collect()
    }

    pub(in crate::alerts) fn said_in_the_clear(&self) -> Vec<String> {
        self.taken.lock().unwrap().in_the_clear.clone()
    }

    pub(in crate::alerts) fn said_sealed(&self) -> Vec<String> {
        self.taken.lock().unwrap().sealed.clone()
    }

    async fn serve(&self, stream: TcpStream, safety: Safety) -> Option<()> {
        const GREETING: &[u8] = b"220 mail.test ESMTP\r\n";
        let acceptor = crate::tls::acceptor(&[]);
        let mut stream = BufReader::new(stream);
        let mut sealed = match safety {
            Safety::Tls => BufReader::new(acceptor.accept(stream.into_inner()).await.ok()?),
            _ => {
                stream.get_mut().write_all(GREETING).await.ok()?;
                let keep = |taken: &mut Taken, line| taken.in_the_clear.push(line);
                if !self.speak(&mut stream, safety == Safety::Starttls, keep).await? {
                    return Some(());
                }
                BufReader::new(acceptor.accept(stream.into_inner()).await.ok()?)
            }
        };
        if safety == Safety::Tls {
            sealed.get_mut().write_all(GREETING).await.ok()?;
        }
        self.speak(&mut sealed, false, |taken, line| taken.sealed.push(line)).await.map(drop)
    }

    /// Until the end, or until TLS shall begin, which is true.
    async fn speak<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: &mut BufReader<S>,
        offers_tls: bool,
        keep: impl Fn(&mut Taken, String),
    ) -> Option<bool> {
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await.ok()? == 0 {
                return Some(false);
            }
            keep(&mut self.taken.lock().unwrap(), line.trim_end().to_owned());
            let verb = line.split([' ', '\r']).next().unwrap_or_default().to_ascii_uppercase();
            let answer = match verb.as_str() {
                "EHLO" | "HELO" if offers_tls => "250-mail.test\r\n250 STARTTLS",
                "EHLO" | "HELO" => "250-mail.test\r\n250 AUTH PLAIN",
                "STARTTLS" if offers_tls => "220 go on",
                "AUTH" => "235 welcome",
                "MAIL" | "RCPT" => "250 fine",
                "DATA" => {
                    stream.get_mut().write_all(b"354 go on\r\n").await.ok()?;
                    let mut mail = String::new();
                    while !mail.ends_with("\r\n.\r\n") {
                        if stream.read_line(&mut mail).await.ok()? == 0 {
                            return None;
                        }
                    }
                    self.taken.lock().unwrap().mails.push(mail);
                    "250 taken"
                }
                "QUIT" => "221 bye",
                _ => "502 not here",
            };
            stream.get_mut().write_all(format!("{answer}\r\n").as_bytes()).await.ok()?;
            if answer == "220 go on" {
                return Some(true);
            }
        }
    }
}
