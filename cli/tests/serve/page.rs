//! The web page, in a headless Chromium.

use std::time::Duration;

use linklock_relukko::ClientError;
use serde_json::{Value, json};
use tempfile::tempdir;

use crate::browser::Browser;
use crate::common::skip;
use crate::common::until;
use crate::server::{KEY, Server};

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

    // Without a key it shows nothing.
    browser.enter("wrong");
    browser.wait_for("document.getElementById('trouble').textContent.includes('does not accept')");
    assert_eq!(browser.run("document.getElementById('locks').hidden"), true);
    browser.enter(KEY);
    browser.wait_for("!document.getElementById('locks').hidden");
    browser.wait_for("document.getElementById('live').textContent === 'live'");

    // Names chosen by others are shown as text, and have no effect.
    browser.wait_for("document.getElementById('count').textContent === '1 lock'");
    assert_eq!(browser.run(NAMES), json!([hostile]));
    assert_eq!(browser.run("document.querySelectorAll('#rows img, #rows script').length"), 0);
    assert_ne!(browser.run("document.title"), "owned");

    // A deletion by another client is shown at once: polling is turned off for this.
    browser.run(
        "for (let timer = setInterval(() => {}, 1e9); timer > 0; timer -= 1) clearInterval(timer)",
    );
    held.unlock().unwrap();
    browser.wait_for("document.getElementById('count').textContent === '0 locks'");

    // Created, prolonged and deleted from the page.
    browser.run("document.getElementById('name').value = 'from the page'; document.getElementById('create').requestSubmit()");
    browser.wait_for("document.getElementById('count').textContent === '1 lock'");
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
    browser.wait_for("document.getElementById('count').textContent === '0 locks'");

    // Errors are shown.
    browser.run("document.getElementById('name').removeAttribute('maxlength')");
    browser.run("document.getElementById('name').value = 'x'.repeat(20000); document.getElementById('create').requestSubmit()");
    browser.wait_for("document.getElementById('trouble').textContent.includes('is longer than')");

    // Nothing was loaded from other servers, and no URL contained the key.
    let urls = browser.events.iter().filter_map(|event| event["params"]["request"]["url"].as_str());
    let urls: Vec<_> = urls.filter(|url| !url.starts_with("data:")).collect();
    assert!(urls.len() >= 6, "{urls:?}");
    assert!(
        urls.iter().all(|url| url.starts_with(&server.url()) && !url.contains(KEY)),
        "{urls:?}"
    );
    let broken = browser.events.iter().filter(|event| event["method"] == "Runtime.exceptionThrown");
    assert_eq!(broken.count(), 0);
    let refused =
        browser.events.iter().map(Value::to_string).filter(|it| it.contains("Content Security"));
    assert_eq!(refused.collect::<Vec<_>>(), Vec::<String>::new());
}

/// The page of a server, with the key entered, on a screen of this width in CSS pixels.
fn open_page(browser: &mut Browser, server: &Server, width: u32) {
    browser.open(&server.url());
    browser.set_width(width);
    browser.enter(KEY);
    browser.wait_for("!document.getElementById('locks').hidden");
}

/// Clicks the delete button of the lock with this name, as a keyboard's user does.
fn delete_by_keyboard(browser: &mut Browser, name: &str) {
    browser.run(&format!(
        "(() => {{ window.confirm = () => true;
            const button = document.querySelector('[aria-label=\"Delete {name}\"]');
            button.focus(); button.click(); }})()"
    ));
}

/// What axe, the checker of accessible pages, finds on this page.
fn violations(browser: &mut Browser, axe: &str) -> Value {
    browser.run(&format!("{axe}; 0"));
    browser.run(
        "axe.run().then((found) => found.violations.map((it) => \
         it.id + ': ' + it.nodes.map((node) => node.html).join(' ')))",
    )
}

#[test]
fn the_page_fits_a_phone_and_a_desktop_and_is_accessible() {
    let dir = tempdir().unwrap();
    let server = Server::start(dir.path());
    let Some(mut browser) = Browser::start() else {
        return skip("the web page", "there is no Chromium");
    };
    let client = server.client();
    let long = "a-name-without-a-place-to-break-it-".repeat(6);
    let _long = client.try_lock(&long, Some(&"creator".repeat(30))).unwrap();
    let _short = client.try_lock("nightly", Some("cron on web1")).unwrap();
    for width in [1280, 390] {
        open_page(&mut browser, &server, width);
        browser.wait_for("document.querySelectorAll('#rows tr').length === 2");
        let widest = "document.documentElement.scrollWidth - document.documentElement.clientWidth";
        assert_eq!(browser.run(widest), 0, "the page scrolls sideways at {width} px");
        let off_screen = "[...document.querySelectorAll('button')].filter((button) => \
             button.getBoundingClientRect().right > innerWidth).length";
        assert_eq!(browser.run(off_screen), 0, "buttons are off the screen at {width} px");
        // A short name, an address and a date take one line each.
        let lines = "[0, 2, 3, 4].map((at) => { const range = document.createRange(); \
             range.selectNodeContents(document.querySelector( \
                 'tr:has([aria-label=\"Delete nightly\"])').cells[at]); \
             return range.getClientRects().length; })";
        assert_eq!(browser.run(lines), json!([1, 1, 1, 1]), "at {width} px");
        match std::env::var_os("LINKLOCK_AXE") {
            None => skip("axe", "LINKLOCK_AXE does not name its axe.min.js"),
            Some(path) => {
                let axe = std::fs::read_to_string(path).unwrap();
                assert_eq!(violations(&mut browser, &axe), json!([]), "at {width} px");
            }
        }
        browser.reload_by("document.getElementById('forget').click()");
    }
}

#[track_caller]
fn wait_for_names(browser: &mut Browser, names: &[&str]) {
    browser.wait_for(&format!("JSON.stringify({NAMES}) === '{}'", json!(names)));
}

#[test]
fn many_locks_are_filtered_and_sorted_and_an_empty_result_is_shown() {
    let dir = tempdir().unwrap();
    let server = Server::start(dir.path());
    let Some(mut browser) = Browser::start() else {
        return skip("the web page", "there is no Chromium");
    };
    open_page(&mut browser, &server, 1280);
    browser.wait_for("document.getElementById('empty').textContent === 'No locks are held.'");
    let directory = dir.path().display();
    let directory =
        format!("document.getElementById('directory').textContent.includes('{directory}')");
    assert_eq!(browser.run(&directory), true);

    let client = server.client();
    let held: Vec<_> = [("beta", "zoe"), ("alpha", "amy"), ("gamma", "bob")]
        .map(|(name, creator)| client.try_lock(name, Some(creator)).unwrap())
        .into();
    wait_for_names(&mut browser, &["alpha", "beta", "gamma"]);
    let choose = |order: &str| {
        format!(
            "(() => {{ const sort = document.getElementById('sort'); sort.value = '{order}';
                sort.dispatchEvent(new Event('input', {{ bubbles: true }})); }})()"
        )
    };
    browser.run(&choose("holder"));
    wait_for_names(&mut browser, &["alpha", "gamma", "beta"]);
    browser.run(&choose("since"));
    wait_for_names(&mut browser, &["gamma", "alpha", "beta"]);
    let filter = |text: &str| {
        format!(
            "(() => {{ const filter = document.getElementById('filter'); filter.value = '{text}';
                filter.dispatchEvent(new Event('input', {{ bubbles: true }})); }})()"
        )
    };
    browser.run(&filter("ZOE"));
    wait_for_names(&mut browser, &["beta"]);
    assert_eq!(browser.run("document.getElementById('count').textContent"), "1 of 3 locks");
    browser.run(&filter("nothing of that kind"));
    assert_eq!(browser.run("document.getElementById('empty').hidden"), false);
    browser.run(&filter(""));
    browser.run(&choose("name"));

    // The focus goes to the row that takes the deleted one's place.
    delete_by_keyboard(&mut browser, "beta");
    browser.wait_for("document.activeElement.getAttribute('aria-label') === 'Delete gamma'");
    delete_by_keyboard(&mut browser, "gamma");
    browser.wait_for("document.activeElement.getAttribute('aria-label') === 'Delete alpha'");
    drop(held);
}

#[test]
fn a_reload_keeps_the_key_and_an_outage_is_over_when_the_server_is_back() {
    let dir = tempdir().unwrap();
    let mut server = Server::start(dir.path());
    let Some(mut browser) = Browser::start() else {
        return skip("the web page", "there is no Chromium");
    };
    open_page(&mut browser, &server, 1280);
    browser.reload_by("location.reload()");
    browser.wait_for("!document.getElementById('locks').hidden");

    server.kill();
    browser.wait_for("document.getElementById('trouble').textContent.includes('does not answer')");
    server.restart();
    browser.wait_for("document.getElementById('trouble').hidden");
    browser.wait_for("document.getElementById('live').textContent === 'live'");

    browser.reload_by("document.getElementById('forget').click()");
    assert_eq!(browser.run("document.getElementById('enter').hidden"), false);
    assert_eq!(browser.run("sessionStorage.length"), 0);
}

/// A browser whose clock is an hour fast takes no lock for expired.
#[test]
fn the_servers_clock_decides_what_has_expired() {
    let dir = tempdir().unwrap();
    let server = Server::start(dir.path());
    let Some(mut browser) = Browser::start() else {
        return skip("the web page", "there is no Chromium");
    };
    let _held = server.client().try_lock("report", None).unwrap();
    browser
        .run_in_each_page("{ const now = Date.now.bind(Date); Date.now = () => now() + 3600000; }");
    open_page(&mut browser, &server, 1280);
    browser.wait_for("document.querySelectorAll('#rows tr').length === 1");
    let expires = "document.querySelector('#rows td:nth-child(5)').textContent.startsWith('in ')";
    assert_eq!(browser.run(expires), true);
}
