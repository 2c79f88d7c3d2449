//! Headless Chromium from Debian, steered over WebDriver (W3C) with curl.

use std::process::Command;

use serde_json::{Value, json};

use super::daemon::Daemon;
use super::wait::until;

/// A browser with one page; it is ended when dropped.
#[derive(Debug)]
pub(crate) struct Browser {
    session: String,
    _profile: tempfile::TempDir,
    _driver: Daemon,
}

impl Browser {
    /// Starts one that finds hosts where `rules` say (`MAP a.example:443 127.0.0.1:8443`), and
    /// believes every certificate.
    pub(crate) fn start(rules: &str) -> Self {
        let profile = tempfile::tempdir().unwrap();
        let driver = Daemon::spawn(Command::new("chromedriver").arg("--port=0"));
        let port = until("chromedriver listens", || {
            let said = driver.said();
            let (_, rest) = said.split_once("successfully on port ")?;
            let (port, _) = rest.split_once('.')?;
            Some(port.to_owned())
        });
        let base = format!("http://127.0.0.1:{port}/session");
        let args = [
            "--headless".into(),
            "--no-sandbox".into(),
            "--disable-gpu".into(),
            "--disable-dev-shm-usage".into(),
            "--disable-quic".into(),
            "--no-first-run".into(),
            "--disable-background-networking".into(),
            "--disable-component-update".into(),
            "--disable-sync".into(),
            "--ignore-certificate-errors".into(),
            format!("--host-resolver-rules={rules}"),
            format!("--user-data-dir={}", profile.path().display()),
        ];
        let options = json!({"binary": "/usr/bin/chromium", "args": args});
        let wanted = json!({"browserName": "chrome", "goog:chromeOptions": options});
        let made = post(&base, &json!({"capabilities": {"alwaysMatch": wanted}}));
        let id = made["sessionId"].as_str();
        let id = id.unwrap_or_else(|| panic!("no browser: {made}"));
        Self {
            session: format!("{base}/{id}"),
            _profile: profile,
            _driver: driver,
        }
    }

    /// Goes to an address, as somebody who types it.
    pub(crate) fn visit(&self, url: &str) {
        let said = post(&format!("{}/url", self.session), &json!({"url": url}));
        assert!(said.is_null(), "{said}");
    }

    /// Runs a script in the page; what it returns.
    pub(crate) fn run(&self, script: &str) -> Value {
        let url = format!("{}/execute/sync", self.session);
        post(&url, &json!({"script": script, "args": []}))
    }

    /// The text of the page's title.
    pub(crate) fn title(&self) -> String {
        let title = self.run("return document.title");
        title.as_str().unwrap_or_default().to_owned()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The driver ends the browser, and is ended itself after that.
        let _ = Command::new("curl")
            .args(["-s", "-m", "20", "-X", "DELETE", &self.session])
            .output();
    }
}

fn post(url: &str, body: &Value) -> Value {
    let done = Command::new("curl")
        .args(["-s", "-m", "60", "-H", "Content-Type: application/json"])
        .args(["-d", &body.to_string(), url])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&done.stdout).into_owned();
    let said: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{url}: {text:?}"));
    said["value"].clone()
}
