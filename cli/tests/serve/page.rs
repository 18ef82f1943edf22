//! The web page, in a headless Chromium that is driven over the DevTools protocol.

use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use linklock_relukko::ClientError;
use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};
use tungstenite::{Message, WebSocket};

use crate::common::until;
use crate::pyrelukko::skip;
use crate::server::{KEY, Server};

/// What Chromium is called where.
const BROWSERS: [&str; 4] =
    ["chromium-headless-shell", "chromium", "chromium-browser", "google-chrome"];

struct Browser {
    child: Child,
    socket: WebSocket<TcpStream>,
    number: u64,
    session: Option<String>,
    /// What it told without being asked, like errors and requests.
    told: Vec<Value>,
    _profile: TempDir,
}

impl Browser {
    /// `None` if there is none.
    fn start() -> Option<Browser> {
        let profile = tempdir().unwrap();
        let start = |name: &&str| {
            Command::new(name)
                .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"])
                .args(["--remote-debugging-port=0", "--no-first-run", "about:blank"])
                .arg(format!("--user-data-dir={}", profile.path().display()))
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
        let (number, session, told) = (0, None, Vec::new());
        Some(Browser { child, socket, number, session, told, _profile: profile })
    }

    fn call(&mut self, method: &str, params: &Value) -> Value {
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
                assert!(answer["error"].is_null(), "{method}: {answer}");
                return answer["result"].clone();
            }
            self.told.push(answer);
        }
    }

    fn open(&mut self, url: &str) {
        let target = self.call("Target.createTarget", &json!({ "url": "about:blank" }));
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let session = self.call("Target.attachToTarget", &attach)["sessionId"].clone();
        self.session = Some(session.as_str().unwrap().to_owned());
        for domain in ["Page", "Runtime", "Log", "Network"] {
            self.call(&format!("{domain}.enable"), &json!({}));
        }
        self.call("Page.navigate", &json!({ "url": url }));
        self.wait_for("document.readyState === 'complete' && !!document.getElementById('enter')");
    }

    /// What an expression is in the page.
    fn run(&mut self, expression: &str) -> Value {
        let params =
            json!({ "expression": expression, "returnByValue": true, "userGesture": true });
        let answer = self.call("Runtime.evaluate", &params);
        assert!(answer["exceptionDetails"].is_null(), "{expression}: {answer}");
        answer["result"]["value"].clone()
    }

    #[track_caller]
    fn wait_for(&mut self, expression: &str) {
        until(expression, || self.run(expression) == true);
    }

    /// Types a key into the page's form.
    fn enter(&mut self, key: &str) {
        self.run(&format!(
            "key_(); function key_() {{ document.getElementById('key').value = '{key}'; \
                  document.getElementById('enter').requestSubmit(); }}"
        ));
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const NAMES: &str =
    "[...document.querySelectorAll('#rows tr td:first-child')].map((cell) => cell.textContent)";

#[test]
fn the_page_shows_the_locks_live() {
    let dir = tempdir().unwrap();
    let server = Server::start(dir.path());
    let Some(mut browser) = Browser::start() else {
        return skip("the web page", "there is no Chromium");
    };
    let client = server.client();
    let hostile = "<img src=x onerror=\"document.title='owned'\">";
    let held = client.try_lock(hostile, Some("</td><script>alert(1)</script>")).unwrap();
    browser.open(&server.url());

    // Nothing without a key.
    browser.enter("wrong");
    browser.wait_for("document.getElementById('trouble').textContent.includes('403')");
    assert_eq!(browser.run("document.getElementById('locks').hidden"), true);
    browser.enter(KEY);
    browser.wait_for("!document.getElementById('locks').hidden");
    browser.wait_for("document.getElementById('live').textContent === 'live'");

    // What others chose is shown as it is, and does nothing.
    browser.wait_for("document.getElementById('count').textContent === '1'");
    assert_eq!(browser.run(NAMES), json!([hostile]));
    assert_eq!(browser.run("document.querySelectorAll('#rows img, #rows script').length"), 0);
    assert_eq!(browser.run("document.title"), "Locks");

    // A deletion elsewhere is seen at once: asking every few seconds is turned off for this.
    browser.run(
        "for (let timer = setInterval(() => {}, 1e9); timer > 0; timer -= 1) clearInterval(timer)",
    );
    held.unlock().unwrap();
    browser.wait_for("document.getElementById('count').textContent === '0'");

    // Created, prolonged and deleted from the page.
    browser.run("document.getElementById('name').value = 'from the page'; document.getElementById('create').requestSubmit()");
    browser.wait_for("document.getElementById('count').textContent === '1'");
    assert!(matches!(client.try_lock("from the page", None), Err(ClientError::Held { .. })));
    let lock = client.list().unwrap().remove(0);
    assert!(dir.path().join("from the page").exists());
    browser.run("document.querySelector('#rows button').click()");
    until("it is prolonged", || {
        let now = client.get(lock.id).unwrap();
        now.expires_at == lock.expires_at + Duration::from_secs(300)
    });
    browser
        .run("window.confirm = () => false; document.querySelectorAll('#rows button')[1].click()");
    assert!(client.get(lock.id).is_ok(), "not without being asked");
    browser
        .run("window.confirm = () => true; document.querySelectorAll('#rows button')[1].click()");
    until("it is deleted", || matches!(client.get(lock.id), Err(ClientError::NotFound(_))));
    browser.wait_for("document.getElementById('count').textContent === '0'");

    // What can't be done is said.
    browser.run("document.getElementById('name').removeAttribute('maxlength')");
    browser.run("document.getElementById('name').value = 'x'.repeat(20000); document.getElementById('create').requestSubmit()");
    browser.wait_for("document.getElementById('trouble').textContent.includes('422')");

    // Nothing came from elsewhere, and the key went into no URL.
    let urls = browser.told.iter().filter_map(|event| event["params"]["request"]["url"].as_str());
    let urls: Vec<_> = urls.filter(|url| !url.starts_with("data:")).collect();
    assert!(urls.len() >= 6, "{urls:?}");
    assert!(
        urls.iter().all(|url| url.starts_with(&server.url()) && !url.contains(KEY)),
        "{urls:?}"
    );
    let broken = browser.told.iter().filter(|event| event["method"] == "Runtime.exceptionThrown");
    assert_eq!(broken.count(), 0);
    let refused =
        browser.told.iter().map(Value::to_string).filter(|it| it.contains("Content Security"));
    assert_eq!(refused.collect::<Vec<_>>(), Vec::<String>::new());
}
