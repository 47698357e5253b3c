//! Calls to servers that are real, and seldom as they should be.

mod certificates;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use hyper::header::AUTHORIZATION;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::config::TlsFiles;
use crate::port::Certificate;
use certificates::{Authority, Server};

const WITHIN: Duration = Duration::from_secs(20);
const FINE: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\nx-a: b\r\n\r\nfine";

/// What a server does with each connection after the head of a request has come.
#[derive(Clone)]
enum Does {
    /// Sends this and closes.
    Answers(Vec<u8>),
    /// Sends this and holds the connection open.
    Stalls(Vec<u8>),
}

struct Scene {
    address: SocketAddr,
    /// What the server was sent.
    asked: mpsc::UnboundedReceiver<String>,
    folder: tempfile::TempDir,
}

impl Scene {
    async fn plain(does: Does) -> Self {
        Self::begin(does, None).await
    }

    async fn tls(does: Does, server: &Server<'_>) -> Self {
        Self::begin(does, Some(server)).await
    }

    async fn begin(does: Does, server: Option<&Server<'_>>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let [cert, key, _] = Authority::new(1).write(server.unwrap_or(&Server::local()), folder.path());
        let certificate = server.map(|_| Certificate::read(TlsFiles { cert, key }).unwrap());
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (tell, asked) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (does, tell) = (does.clone(), tell.clone());
                let tls = certificate.as_ref().map(|certificate| TlsAcceptor::from(certificate.current()));
                tokio::spawn(async move {
                    match tls {
                        None => converse(socket, does, tell).await,
                        Some(tls) => match tls.accept(socket).await {
                            Ok(socket) => converse(socket, does, tell).await,
                            Err(_) => Ok(()),
                        },
                    }
                });
            }
        });
        Self { address, asked, folder }
    }

    fn ca(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    fn url(&self, scheme: &str) -> Url {
        Url::parse(&format!("{scheme}://{}/a/SECRET?k=SECRET", self.address)).unwrap()
    }

    async fn get(&self, scheme: &str) -> Result<Answer, Failure> {
        self.get_within(scheme, WITHIN).await
    }

    async fn get_within(&self, scheme: &str, within: Duration) -> Result<Answer, Failure> {
        let outgoing = Outgoing::new(&Roots::read(&[self.ca()]).unwrap()).unwrap();
        let request = Request::get(self.url(scheme)).with_header(AUTHORIZATION, "Bearer SECRET").unwrap();
        assert!(!format!("{request:?}").contains("SECRET"));
        outgoing.send(request, within).await
    }
}

async fn converse(
    mut socket: impl AsyncRead + AsyncWrite + Unpin,
    does: Does,
    tell: mpsc::UnboundedSender<String>,
) -> std::io::Result<()> {
    let mut request = Vec::new();
    while !request.windows(4).any(|window| window == b"\r\n\r\n") {
        if socket.read_buf(&mut request).await? == 0 {
            return Ok(());
        }
    }
    tell.send(String::from_utf8(request).unwrap()).unwrap();
    match does {
        Does::Answers(bytes) => {
            socket.write_all(&bytes).await?;
            socket.shutdown().await
        }
        Does::Stalls(bytes) => {
            socket.write_all(&bytes).await?;
            socket.flush().await?;
            std::future::pending().await
        }
    }
}

#[track_caller]
fn failed(result: Result<Answer, Failure>, step: Step, says: &str) {
    let failure = result.unwrap_err();
    let text = failure.to_string();
    assert!(failure.step == step && text.contains(says), "{failure:?}");
    assert!(!format!("{text}{failure:?}").contains("SECRET"), "{failure:?}");
    assert!(text.starts_with("http"), "it says with whom: {text}");
}

#[tokio::test]
async fn an_answer_comes_whole_with_and_without_tls() {
    for scheme in ["http", "https"] {
        let mut scene = match scheme {
            "http" => Scene::plain(Does::Answers(FINE.to_vec())).await,
            _ => Scene::tls(Does::Answers(FINE.to_vec()), &Server::local()).await,
        };
        let answer = scene.get(scheme).await.unwrap();
        assert_eq!((answer.status, answer.said().as_str()), (200, "fine"));
        assert_eq!(answer.header(&"x-a".parse().unwrap()), "b");
        let asked = scene.asked.recv().await.unwrap().to_ascii_lowercase();
        assert!(asked.starts_with("get /a/secret?k=secret http/1.1\r\n"), "{asked}");
        assert!(asked.contains(&format!("\r\nhost: {}\r\n", scene.address)), "{asked}");
        assert!(asked.contains("\r\nauthorization: bearer secret\r\n"), "{asked}");
    }
}

#[tokio::test]
async fn a_body_is_sent_whole_with_its_kind() {
    let scene = Scene::plain(Does::Answers(FINE.to_vec())).await;
    let outgoing = Outgoing::new(&Roots::read(&[]).unwrap()).unwrap();
    let mut asked = scene.asked;
    let url = Url::parse(&format!("http://{}/x", scene.address)).unwrap();
    let answer = outgoing.send(Request::post(url, "text/plain", "said"), WITHIN).await.unwrap();
    assert_eq!(answer.status, 200);
    let asked = asked.recv().await.unwrap();
    assert!(
        asked.starts_with("POST /x HTTP/1.1\r\n") && asked.contains("content-type: text/plain\r\n"),
        "{asked}"
    );
    assert!(asked.contains("content-length: 4\r\n"), "{asked}");
}

#[tokio::test]
async fn a_redirect_and_a_refusal_are_answers_and_no_success() {
    let redirect = b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n";
    let answer = Scene::plain(Does::Answers(redirect.to_vec())).await.get("http").await.unwrap();
    assert_eq!(answer.status, 302);
    failed(answer.success(), Step::Status, "302, and redirects are not followed");
    let refusal = b"HTTP/1.1 403 No\r\ncontent-length: 6\r\n\r\nSECRET";
    let answer = Scene::plain(Does::Answers(refusal.to_vec())).await.get("http").await.unwrap();
    failed(answer.success(), Step::Status, "it answers 403");
    let noisy = b"HTTP/1.1 500 x\r\n\r\na\r\nb\x1b[31mc";
    let answer = Scene::plain(Does::Answers(noisy.to_vec())).await.get("http").await.unwrap();
    assert_eq!(answer.said(), "a  b [31mc");
}

#[tokio::test]
async fn certificates_that_are_not_as_they_should_be_are_refused_with_the_reason() {
    let good = Server::local();
    for (server, says) in [
        (Server { until: "210101000000Z", ..good }, "has expired: it was good until 2021-01-01T00:00:00"),
        (Server { from: "480101000000Z", ..good }, "not good yet: it begins at 2048-01-01T00:00:00"),
        (Server { names: &["other.example", "10.0.0.1"], ..good }, "is not for 127.0.0.1, but for "),
        (Server { names: &["localhost"], ..good }, "localhost"),
    ] {
        let mut scene = Scene::tls(Does::Answers(FINE.to_vec()), &server).await;
        failed(scene.get("https").await, Step::Tls, says);
        assert!(scene.asked.try_recv().is_err(), "nothing was sent to it");
    }
    let scene = Scene::tls(Does::Answers(FINE.to_vec()), &good).await;
    std::fs::write(scene.ca(), Authority::new(2).certificate()).unwrap();
    failed(scene.get("https").await, Step::Tls, "of a CA that is not trusted here");
    // A server's certificate makes nobody else's good.
    let other = Authority::new(1).issue(&Server { seed: 8, ..good });
    std::fs::write(scene.ca(), other.certificate).unwrap();
    failed(scene.get("https").await, Step::Tls, "certificate");
}

#[tokio::test]
async fn a_ca_that_comes_later_is_believed_from_then_on() {
    let scene = Scene::tls(Does::Answers(FINE.to_vec()), &Server::local()).await;
    let right = std::fs::read(scene.ca()).unwrap();
    std::fs::write(scene.ca(), Authority::new(2).certificate()).unwrap();
    let outgoing = Outgoing::new(&Roots::read(&[scene.ca()]).unwrap()).unwrap();
    let send = async || outgoing.send(Request::get(scene.url("https")), WITHIN).await;
    failed(send().await, Step::Tls, "not trusted");
    std::fs::write(scene.ca(), "no certificate").unwrap();
    assert!(outgoing.reload().unwrap_err().contains("ca.pem"));
    failed(send().await, Step::Tls, "not trusted");
    std::fs::write(scene.ca(), right).unwrap();
    outgoing.reload().unwrap();
    assert_eq!(send().await.unwrap().status, 200);
}

#[tokio::test]
async fn tls_where_there_is_none_and_none_where_there_is() {
    let scene = Scene::plain(Does::Answers(FINE.to_vec())).await;
    let begun = Instant::now();
    failed(scene.get_within("https", Duration::from_secs(3)).await, Step::Tls, "no TLS with it");
    assert!(begun.elapsed() < WITHIN);
    // One that speaks first, as those of mail do.
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let greets = Scene { address: listener.local_addr().unwrap(), ..scene };
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let _ = socket.write_all(b"220 mail.example ESMTP\r\n").await;
            let _ = socket.read_u8().await;
        }
    });
    failed(greets.get("https").await, Step::Tls, "what it sends is no TLS");
    let scene = Scene::tls(Does::Answers(FINE.to_vec()), &Server::local()).await;
    failed(scene.get("http").await, Step::Answer, "no HTTP/1.1");
}

#[tokio::test]
async fn whoever_is_slow_is_given_up_at_the_deadline() {
    // Longer than a busy machine leaves a handshake waiting.
    let within = Duration::from_secs(4);
    let drips = [b"HTTP/1.1 200 OK\r\n\r\n", &[b'x'; 10][..]].concat();
    let cases = [
        (Does::Stalls(Vec::new()), "http"),
        (Does::Stalls(FINE[..20].to_vec()), "https"),
        (Does::Stalls(FINE[..FINE.len() - 1].to_vec()), "http"),
        (Does::Stalls(drips), "https"),
    ];
    let mut asking = tokio::task::JoinSet::new();
    for (does, scheme) in cases {
        asking.spawn(async move {
            let scene = match scheme {
                "http" => Scene::plain(does).await,
                _ => Scene::tls(does, &Server::local()).await,
            };
            let begun = Instant::now();
            failed(scene.get_within(scheme, within).await, Step::Answer, "not within 4s");
            let took = begun.elapsed();
            assert!(took >= within && took < within * 5, "{took:?}");
        });
    }
    asking.join_all().await;
    // Nobody takes the connection from the system's queue, so there is no handshake.
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = Url::parse(&format!("https://{}", listener.local_addr().unwrap())).unwrap();
    let outgoing = Outgoing::new(&Roots::read(&[]).unwrap()).unwrap();
    failed(outgoing.send(Request::get(url), within).await, Step::Tls, "not within 4s");
}

#[tokio::test]
async fn an_answer_without_end_is_given_up_at_its_bound() {
    let announced = b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n".to_vec();
    let scene = Scene::plain(Does::Stalls(announced)).await;
    failed(scene.get("http").await, Step::TooLarge, "more than 65536 bytes");
    let mut whole = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
    whole.resize(1 << 20, b'x');
    failed(
        Scene::plain(Does::Answers(whole)).await.get("http").await,
        Step::TooLarge,
        "more than 65536 bytes",
    );
    let chunks =
        format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{}", "1\r\nx\r\n".repeat(70_000));
    let scene = Scene::tls(Does::Answers(chunks.into_bytes()), &Server::local()).await;
    failed(scene.get("https").await, Step::TooLarge, "more than 65536 bytes");
    for line in ["x: y\r\n".repeat(20_000), format!("x: {}\r\n", "y".repeat(200_000))] {
        let head = Does::Answers(format!("HTTP/1.1 200 OK\r\n{line}\r\n").into_bytes());
        failed(Scene::plain(head).await.get("http").await, Step::TooLarge, "headers");
    }
    // As much as is allowed is.
    let mut most = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
    most.resize(most.len() + (64 << 10), b'x');
    let answer = Scene::plain(Does::Answers(most)).await.get("http").await.unwrap();
    assert_eq!((answer.body.len(), answer.said().len()), (64 << 10, 300));
}

#[tokio::test]
async fn a_connection_that_ends_early_is_no_answer() {
    for bytes in [&FINE[..0], &FINE[..20], &FINE[..FINE.len() - 1]] {
        let scene = Scene::plain(Does::Answers(bytes.to_vec())).await;
        failed(scene.get("http").await, Step::Answer, "no whole answer");
    }
    let scene = Scene::plain(Does::Answers(b"220 hello\r\n\r\n".to_vec())).await;
    failed(scene.get("http").await, Step::Answer, "no HTTP/1.1");
}

#[tokio::test]
async fn an_answer_that_somebody_cuts_on_the_way_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let [cert, key, ca] = Authority::new(1).write(&Server::local(), folder.path());
    let certificate = Certificate::read(TlsFiles { cert, key }).unwrap();
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = Url::parse(&format!("https://{}", listener.local_addr().unwrap())).unwrap();
    tokio::spawn(async move {
        let (socket, _) = listener.accept().await.unwrap();
        let mut socket = TlsAcceptor::from(certificate.current()).accept(socket).await.unwrap();
        let _ = socket.read(&mut [0; 4096]).await;
        // Without a length the end of the connection is the end of the answer, and here nobody says that it is one.
        socket.write_all(b"HTTP/1.1 200 OK\r\n\r\nnot all").await.unwrap();
        socket.flush().await.unwrap();
        drop(socket);
    });
    let outgoing = Outgoing::new(&Roots::read(&[ca]).unwrap()).unwrap();
    failed(outgoing.send(Request::get(url), WITHIN).await, Step::Answer, "close_notify");
}

#[tokio::test]
async fn nobody_there_is_told_from_no_such_name() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let closed = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    drop(listener);
    let outgoing = Outgoing::new(&Roots::read(&[]).unwrap()).unwrap();
    failed(outgoing.send(Request::get(closed), WITHIN).await, Step::Connect, "refused");
    let nowhere = Url::parse("https://nowhere.invalid/SECRET").unwrap();
    failed(outgoing.send(Request::get(nowhere), WITHIN).await, Step::Resolve, "leads nowhere");
}

#[test]
fn a_ca_file_without_a_certificate_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [("empty.pem", ""), ("key.pem", &*Authority::new(1).issue(&Server::local()).key)] {
        let file = folder.path().join(name);
        std::fs::write(&file, text).unwrap();
        let reason = Roots::read(&[file]).unwrap_err();
        assert!(reason.contains(name) && reason.contains("no certificate"), "{reason}");
    }
    assert!(Roots::read(&[folder.path().join("missing.pem")]).unwrap_err().contains("missing.pem"));
    let named = folder.path().join("named.pem");
    std::fs::write(&named, Authority::new(1).certificate()).unwrap();
    let (with, without) = (Roots::read(&[named]).unwrap(), Roots::read(&[]).unwrap());
    assert_eq!(with.certificates().count(), without.certificates().count() + 1);
}
