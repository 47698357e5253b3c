//! A store of bundles, as workerd asks for the values of a namespace: `GET /KEY?urlencoded=true`, and 404 where there is none.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use sentinel_harness::{upstream::Upstream, wire::Response};

pub(crate) struct Store {
    value: Arc<Mutex<Vec<u8>>>,
    server: Upstream,
}

impl Store {
    pub(crate) fn start(value: Vec<u8>) -> Self {
        let value = Arc::new(Mutex::new(value));
        let server = Upstream::start_unrecorded({
            let value = Arc::clone(&value);
            move |saw| match saw.path.split('?').next() {
                Some("/bundle") => {
                    // Requests come while the first one waits.
                    thread::sleep(Duration::from_millis(200));
                    Response::new(200, value.lock().unwrap().clone())
                }
                _ => Response::new(404, ""),
            }
        });
        Self { value, server: server.unwrap() }
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.server.addr()
    }

    pub(crate) fn value(&self) -> Vec<u8> {
        self.value.lock().unwrap().clone()
    }

    pub(crate) fn put(&self, value: Vec<u8>) {
        *self.value.lock().unwrap() = value;
    }
}
