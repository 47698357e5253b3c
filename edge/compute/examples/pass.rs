//! A program that hands everything on and looks at nothing: what the guard is measured against.
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::io::{Read, Write};

use fastly::{Error, Request, http::serve::Serve};

fn main() -> Result<(), Error> {
    Serve::new().run(handed_on).into_result()
}

fn handed_on(mut request: Request) -> Result<(), Error> {
    request.set_pass(true);
    let mut response = request.send("upstream")?;
    let mut body = response.take_body();
    let mut out = response.stream_to_client();
    let mut chunk = vec![0; 16 * 1024];
    loop {
        let n = body.read(&mut chunk)?;
        if n == 0 {
            return Ok(out.finish()?);
        }
        out.write_all(chunk.get(..n).unwrap_or_default())?;
        out.flush()?;
    }
}
