//! A real Chromium without a window, driven through WebDriver as a person would: by what is on the page.
//!
//! It resolves no name, so that a page which asks for another host fails. Waits have a deadline and ask again and again;
//! what is asked for and does not come true is an error with what was asked. The browser ends with the handle, and with
//! this process, however that ends.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use sentinel_wire::Request;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{http1, program};

#[derive(Debug)]
pub struct Browser {
    driver: SocketAddr,
    session: String,
    child: Child,
    /// While it is open, so is the browser.
    input: Option<ChildStdin>,
    profile: TempDir,
}

/// A key of the keyboard that is no letter, as WebDriver writes it.
pub mod key {
    pub const TAB: &str = "\u{e004}";
    pub const ENTER: &str = "\u{e007}";
    pub const ESCAPE: &str = "\u{e00c}";
    pub const SPACE: &str = "\u{e00d}";
}

impl Browser {
    /// The browser and its driver; an error says how to install what is missing.
    pub fn find() -> Result<(PathBuf, PathBuf)> {
        Ok((program::CHROMIUM.find()?, program::CHROMEDRIVER.find()?))
    }

    pub fn start() -> Result<Self> {
        let (chromium, driver) = Self::find()?;
        let profile = tempfile::Builder::new().prefix("sentinel-browser-").tempdir()?;
        let mut child = Command::new("sh")
            .args(["-c", WITH_US, "sh"])
            .arg(driver)
            .arg("--port=0")
            // Where the profile is, so that nothing of the browser outlives it.
            .env("TMPDIR", profile.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("start chromedriver")?;
        let input = child.stdin.take();
        let port = match port(&mut child) {
            Ok(port) => port,
            Err(error) => {
                let _ = child.kill();
                return Err(error);
            }
        };
        let driver = SocketAddr::from(([127, 0, 0, 1], port));
        let mut browser = Self { driver, session: String::new(), child, input, profile };
        let folder = format!("--user-data-dir={}", browser.profile.path().join("profile").display());
        let mut args = vec![folder.as_str()];
        args.extend(ARGS);
        let options = json!({"binary": chromium, "args": args});
        let wanted = json!({"browserName": "chrome", "goog:loggingPrefs": {"browser": "ALL"}, "goog:chromeOptions": options});
        let begun = browser.ask("POST", "/session", &json!({"capabilities": {"alwaysMatch": wanted}}))?;
        browser.session =
            begun.get("sessionId").and_then(Value::as_str).context("no session in the answer")?.to_owned();
        // Without it, whether a page without a window has the focus is up to the machine.
        browser.devtools("Emulation.setFocusEmulationEnabled", &json!({"enabled": true}))?;
        Ok(browser)
    }

    pub fn open(&self, url: &str) -> Result<()> {
        self.command("POST", "/url", &json!({ "url": url })).map(drop)
    }

    pub fn url(&self) -> Result<String> {
        Ok(self.command("GET", "/url", &Value::Null)?.as_str().unwrap_or_default().to_owned())
    }

    /// What the body of a function gives for these arguments; a promise is waited for.
    pub fn run(&self, body: &str, args: &[Value]) -> Result<Value> {
        self.command("POST", "/execute/sync", &json!({"script": body, "args": args}))
    }

    /// Until the body of a function gives something that is true; that is the answer.
    pub fn until(&self, body: &str, args: &[Value]) -> Result<Value> {
        let started = Instant::now();
        loop {
            let found = self.run(body, args)?;
            if !matches!(found, Value::Null | Value::Bool(false)) {
                return Ok(found);
            }
            if started.elapsed() > COMES_WITHIN {
                let shown = self.run("return document.body.innerText", &[])?;
                bail!(
                    "not true within {COMES_WITHIN:?}: {body} {args:?}\n{}",
                    shown.as_str().unwrap_or_default()
                );
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Until the page shows this text.
    pub fn until_text(&self, text: &str) -> Result<()> {
        self.until("return document.body.innerText.includes(arguments[0])", &[text.into()]).map(drop)
    }

    /// Until there is such an element; its text as it is shown.
    pub fn until_there(&self, css: &str) -> Result<String> {
        let found =
            self.until("return document.querySelector(arguments[0])?.innerText ?? null", &[css.into()])?;
        Ok(found.as_str().unwrap_or_default().to_owned())
    }

    pub fn click(&self, css: &str) -> Result<()> {
        let element = self.element("css selector", css)?;
        self.command("POST", &format!("/element/{element}/click"), &json!({})).map(drop)
    }

    /// A link or button by what it says.
    pub fn click_text(&self, tag: &str, text: &str) -> Result<()> {
        let element = self.element("xpath", &format!("//{tag}[normalize-space(.)='{text}']"))?;
        self.command("POST", &format!("/element/{element}/click"), &json!({})).map(drop)
    }

    pub fn type_into(&self, css: &str, text: &str) -> Result<()> {
        let element = self.element("css selector", css)?;
        self.command("POST", &format!("/element/{element}/value"), &json!({ "text": text })).map(drop)
    }

    /// Keys, one after the other, to whatever has the focus.
    pub fn press(&self, keys: &[&str]) -> Result<()> {
        let each =
            |key: &&str| [json!({"type": "keyDown", "value": key}), json!({"type": "keyUp", "value": key})];
        let actions: Vec<Value> = keys.iter().flat_map(each).collect();
        let source = json!({"type": "key", "id": "keyboard", "actions": actions});
        self.command("POST", "/actions", &json!({ "actions": [source] })).map(drop)
    }

    /// As large as a phone, a desk, ...
    pub fn resize(&self, width: u32, height: u32) -> Result<()> {
        let metrics = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.devtools("Emulation.setDeviceMetricsOverride", &metrics)
    }

    /// Runs on every page before the page's own scripts, as what an extension brings along does.
    pub fn bring_along(&self, script: &str) -> Result<()> {
        self.devtools("Page.addScriptToEvaluateOnNewDocument", &json!({ "source": script }))
    }

    pub fn prefer_dark(&self, is_dark: bool) -> Result<()> {
        let value = if is_dark { "dark" } else { "light" };
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": value}]});
        self.devtools("Emulation.setEmulatedMedia", &features)
    }

    /// Of what is in the window, as PNG.
    pub fn screenshot(&self) -> Result<Vec<u8>> {
        let text = self.command("GET", "/screenshot", &Value::Null)?;
        decode_base64(text.as_str().context("no picture in the answer")?)
    }

    /// What the page has written to its console since the last question: errors of scripts, refusals of its policy.
    pub fn console(&self) -> Result<Vec<String>> {
        let entries = self.command("POST", "/se/log", &json!({"type": "browser"}))?;
        let line = |entry: &Value| {
            format!("{} {}", entry["level"].as_str().unwrap_or(""), entry["message"].as_str().unwrap_or(""))
        };
        Ok(entries.as_array().map(|entries| entries.iter().map(line).collect()).unwrap_or_default())
    }

    fn devtools(&self, command: &str, params: &Value) -> Result<()> {
        self.command("POST", "/goog/cdp/execute", &json!({"cmd": command, "params": params})).map(drop)
    }

    /// Until it is there.
    fn element(&self, using: &str, value: &str) -> Result<String> {
        let started = Instant::now();
        loop {
            let found = self.command("POST", "/elements", &json!({"using": using, "value": value}))?;
            let first =
                found.as_array().and_then(|found| found.first()?.as_object()?.values().next()?.as_str());
            if let Some(id) = first {
                return Ok(id.to_owned());
            }
            if started.elapsed() > COMES_WITHIN {
                let shown = self.run("return document.body.innerText", &[])?;
                bail!("no {value} within {COMES_WITHIN:?}:\n{}", shown.as_str().unwrap_or_default());
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    fn command(&self, method: &str, path: &str, body: &Value) -> Result<Value> {
        self.ask(method, &format!("/session/{}{path}", self.session), body)
    }

    fn ask(&self, method: &str, path: &str, body: &Value) -> Result<Value> {
        let bytes = if body.is_null() { Vec::new() } else { serde_json::to_vec(body)? };
        let mut request = Request::new(method, path);
        request.authority = self.driver.to_string();
        request.headers = vec![
            (b"content-type".to_vec(), b"application/json".to_vec()),
            (b"content-length".to_vec(), bytes.len().to_string().into_bytes()),
        ];
        request.chunks = vec![bytes];
        let answer =
            http1::exchange(self.driver, &request, ANSWERS_WITHIN)?.context("chromedriver is gone")?;
        let mut said: Value = serde_json::from_slice(&answer.body).context("an answer of chromedriver")?;
        let value = said.get_mut("value").map(Value::take).unwrap_or_default();
        let text = |name: &str| value.get(name).and_then(Value::as_str);
        match text("error").filter(|_| answer.status >= 400) {
            Some(error) => {
                bail!("{method} {path}: {error}: {}", text("message").unwrap_or_default())
            }
            None => Ok(value),
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if !self.session.is_empty() {
            let _ = self.ask("DELETE", &format!("/session/{}", self.session), &Value::Null);
        }
        drop(self.input.take());
        let started = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) && started.elapsed() < ENDS_WITHIN {
            thread::sleep(Duration::from_millis(5));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The driver takes a free port and says which.
fn port(child: &mut Child) -> Result<u16> {
    let lines = BufReader::new(child.stdout.take().context("no output of chromedriver")?).lines();
    for line in lines.map_while(Result::ok) {
        if let Some((_, rest)) = line.split_once("started successfully on port ") {
            return rest.trim_end_matches('.').parse().context("the port of chromedriver");
        }
    }
    bail!("chromedriver ended before it was ready")
}

fn decode_base64(text: &str) -> Result<Vec<u8>> {
    let digit = |sign: u8| -> Result<u32> {
        Ok(match sign {
            b'A'..=b'Z' => sign - b'A',
            b'a'..=b'z' => sign - b'a' + 26,
            b'0'..=b'9' => sign - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => bail!("{sign:#x} in base64"),
        }
        .into())
    };
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    for group in text.trim_end_matches('=').as_bytes().chunks(4) {
        let bits =
            group.iter().try_fold(0, |bits, sign| Ok::<_, anyhow::Error>(bits << 6 | digit(*sign)?))?;
        let bits = bits << (6 * (4 - group.len()));
        bytes.extend(bits.to_be_bytes().iter().skip(1).take(group.len() * 3 / 4));
    }
    Ok(bytes)
}

/// Its standard input ends with this process; then the driver ends, and takes the browser along.
const WITH_US: &str = r#"exec 3<&0
"$@" 3<&- </dev/null &
driver=$!
{ cat <&3; kill "$driver"; } >/dev/null 2>&1 &
exec 3<&- </dev/null
wait "$driver""#;
const ARGS: [&str; 10] = [
    "--headless=new",
    // Chromium's own sandbox does not start as root, and in a container it often cannot.
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--hide-scrollbars",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--force-color-profile=srgb",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
];
const COMES_WITHIN: Duration = Duration::from_secs(60);
/// Its start is one of the answers.
const ANSWERS_WITHIN: Duration = Duration::from_secs(180);
const ENDS_WITHIN: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_of_every_length() {
        for (text, bytes) in
            [("", &b""[..]), ("Zg==", b"f"), ("Zm8=", b"fo"), ("Zm9v", b"foo"), ("+/8A", &[0xfb, 0xff, 0])]
        {
            assert_eq!(decode_base64(text).unwrap(), bytes, "{text}");
        }
        assert!(decode_base64("Zm9 ").is_err());
    }
}
