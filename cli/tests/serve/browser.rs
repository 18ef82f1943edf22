//! A headless Chromium that is driven over the DevTools protocol.

use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};
use tungstenite::{Message, WebSocket};

use crate::common::until;

/// The names of Chromium on different systems.
const BROWSERS: [&str; 4] =
    ["chromium-headless-shell", "chromium", "chromium-browser", "google-chrome"];

pub(crate) struct Browser {
    child: Child,
    socket: WebSocket<TcpStream>,
    number: u64,
    session: Option<String>,
    /// What it reported unasked, such as errors and requests.
    pub(crate) events: Vec<Value>,
    /// Runs in a page before its own scripts.
    first: Option<String>,
    _profile: TempDir,
}

impl Browser {
    /// `None` if no Chromium is installed.
    pub(crate) fn start() -> Option<Browser> {
        let profile = tempdir().unwrap();
        let start = |name: &&str| {
            Command::new(name)
                .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"])
                .args(["--remote-debugging-port=0", "--no-first-run", "about:blank"])
                .arg(format!("--user-data-dir={}", profile.path().display()))
                .process_group(0)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .spawn()
                .ok()
        };
        let mut child = BROWSERS.iter().find_map(start)?;
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let url = |line: String| Some(line.split_once("listening on ")?.1.to_owned());
        let url = lines.find_map(url).expect("it says where");
        let host = url.strip_prefix("ws://").unwrap().split('/').next().unwrap();
        let stream = TcpStream::connect(host).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let (socket, _) = tungstenite::client(&url, stream).unwrap();
        let (number, session, events) = (0, None, Vec::new());
        Some(Browser { child, socket, number, session, events, first: None, _profile: profile })
    }

    /// Gives the page this many CSS pixels in width, as a phone or a desktop has.
    pub(crate) fn set_width(&mut self, width: u32) {
        let size =
            json!({ "width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 600 });
        self.call("Emulation.setDeviceMetricsOverride", &size);
    }

    fn call(&mut self, method: &str, params: &Value) -> Value {
        let called = self.try_call(method, params);
        called.unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    /// The result of a call, or the browser's error.
    fn try_call(&mut self, method: &str, params: &Value) -> Result<Value, Value> {
        self.number += 1;
        let mut call = json!({ "id": self.number, "method": method, "params": params });
        if let Some(session) = &self.session {
            call["sessionId"] = json!(session);
        }
        self.socket.send(Message::Text(call.to_string().into())).unwrap();
        loop {
            let Message::Text(text) = self.socket.read().unwrap() else { continue };
            let answer: Value = serde_json::from_str(&text).unwrap();
            if answer["id"] == self.number {
                let (error, result) = (answer["error"].clone(), answer["result"].clone());
                return if error.is_null() { Ok(result) } else { Err(error) };
            }
            self.events.push(answer);
        }
    }

    pub(crate) fn run_in_each_page(&mut self, script: &str) {
        self.first = Some(script.to_owned());
    }

    pub(crate) fn open(&mut self, url: &str) {
        let target = self.call("Target.createTarget", &json!({ "url": "about:blank" }));
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let session = self.call("Target.attachToTarget", &attach)["sessionId"].clone();
        self.session = Some(session.as_str().unwrap().to_owned());
        for domain in ["Page", "Runtime", "Log", "Network"] {
            self.call(&format!("{domain}.enable"), &json!({}));
        }
        if let Some(script) = self.first.clone() {
            let script = json!({ "source": script });
            self.call("Page.addScriptToEvaluateOnNewDocument", &script);
        }
        self.call("Page.navigate", &json!({ "url": url }));
        self.wait_for("document.readyState === 'complete' && !!document.getElementById('enter')");
    }

    /// The value of an expression in the page.
    pub(crate) fn run(&mut self, expression: &str) -> Value {
        let value = self.try_run(expression);
        value.unwrap_or_else(|error| panic!("{expression}: {error}"))
    }

    /// The same, or the browser's error if the page is just being replaced by the next one.
    fn try_run(&mut self, expression: &str) -> Result<Value, Value> {
        let params = json!({ "expression": expression, "returnByValue": true, "awaitPromise": true, "userGesture": true });
        let answer = self.try_call("Runtime.evaluate", &params)?;
        assert!(answer["exceptionDetails"].is_null(), "{expression}: {answer}");
        Ok(answer["result"]["value"].clone())
    }

    #[track_caller]
    pub(crate) fn wait_for(&mut self, expression: &str) {
        until(expression, || self.try_run(expression).is_ok_and(|value| value == true));
    }

    /// Runs something that loads the page again, and waits until it is loaded.
    pub(crate) fn reload_by(&mut self, action: &str) {
        // The page may be gone before its answer is sent.
        let _ = self.try_run(&format!("window.isOld = true; {action}; 0"));
        self.wait_for(
            "!window.isOld && document.readyState === 'complete' && !!document.getElementById('enter')",
        );
    }

    /// Types a key into the page's form.
    pub(crate) fn enter(&mut self, key: &str) {
        self.run(&format!(
            "key_(); function key_() {{ document.getElementById('key').value = '{key}'; \
                  document.getElementById('enter').requestSubmit(); }}"
        ));
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Debian's command is a shell script, which runs the browser as a child.
        let group = Pid::from_raw(i32::try_from(self.child.id()).unwrap());
        let _ = killpg(group, Signal::SIGKILL);
        let _ = self.child.wait();
    }
}
