//! Those whom alerts are sent to, who keep every byte that comes.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

/// What came in, one text for each request or mail. It listens until the process ends.
#[derive(Clone)]
pub(crate) struct Receiver {
    pub(crate) address: SocketAddr,
    taken: Arc<Mutex<Vec<String>>>,
}

impl Receiver {
    pub(crate) fn http() -> Self {
        Self::start(|stream| {
            let mut text = String::new();
            let mut n_bytes = 0;
            while !text.ends_with("\r\n\r\n") {
                let from = text.len();
                if stream.read_line(&mut text).ok()? == 0 {
                    return None;
                }
                let line = text.get(from..)?.to_ascii_lowercase();
                if let Some(value) = line.strip_prefix("content-length:") {
                    n_bytes = value.trim().parse().ok()?;
                }
            }
            let mut body = vec![0; n_bytes];
            stream.read_exact(&mut body).ok()?;
            stream
                .get_mut()
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
                .ok()?;
            Some(text + &String::from_utf8(body).ok()?)
        })
    }

    /// Takes mail, as far as RFC 5321 asks for it.
    pub(crate) fn mail() -> Self {
        Self::start(|stream| {
            let mut said = String::new();
            stream.get_mut().write_all(b"220 mail.test ESMTP\r\n").ok()?;
            loop {
                let from = said.len();
                if stream.read_line(&mut said).ok()? == 0 {
                    return Some(said);
                }
                let line = said.get(from..)?;
                let answer: &[u8] = match line.split([' ', '\r']).next()? {
                    "DATA" => {
                        stream.get_mut().write_all(b"354 go on\r\n").ok()?;
                        while !said.ends_with("\r\n.\r\n") {
                            if stream.read_line(&mut said).ok()? == 0 {
                                return None;
                            }
                        }
                        b"250 taken\r\n"
                    }
                    "QUIT" => b"221 bye\r\n",
                    _ => b"250 fine\r\n",
                };
                stream.get_mut().write_all(answer).ok()?;
            }
        })
    }

    fn start(take: fn(&mut BufReader<TcpStream>) -> Option<String>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let receiver = Self { address: listener.local_addr().unwrap(), taken: Arc::default() };
        let server = receiver.clone();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let server = server.clone();
                thread::spawn(move || {
                    if let Some(text) = take(&mut BufReader::new(stream)) {
                        server.taken.lock().unwrap().push(text);
                    }
                });
            }
        });
        receiver
    }

    pub(crate) fn taken(&self) -> Vec<String> {
        self.taken.lock().unwrap().clone()
    }
}
