//! A real browser: Debian's chromium without a window, each with a profile of its own, for as long
//! as a test runs.
//!
//! Whatever is asked of it waits a little for what is asked about, and what fails names the page,
//! the selector and the reason, and shows the page's text. Names other than `localhost`, those below
//! it and those that end in `.test` lead nowhere, and those lead to loopback.
//!
//! WebDriver is plain JSON over HTTP, and what makes this harness worth having is past what the
//! libraries wrap: virtual authenticators, chromium's own protocol, its log. So there is a small
//! client over the `ureq` that `store` links anyway, and nothing more is built. thirtyfour is kept and
//! would do too; but it takes more than a minute of one core to build with what it brings along, and
//! wants every test to be asynchronous.

mod authenticator;
mod axe;
mod driver;
mod elements;
mod looks;
mod sound;

use std::ffi::OsStr;
use std::fmt::Display;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use data_encoding::BASE64;
use parking_lot::Mutex;
use serde_json::{Value, json};

pub use crate::browser::authenticator::{Authenticator, Credential, Passkeys};
pub use crate::browser::axe::Violation;
use crate::browser::driver::{Driver, Refused, as_text};
use crate::browser::elements::PATIENCE;
use crate::browser::looks::Looks;
pub use crate::browser::looks::Scheme;
use crate::programs::program;

/// So much of a page's text is shown where something fails.
const SHOWN_CHARACTERS: usize = 2000;

/// How often it is looked for what is waited for.
const STEP: Duration = Duration::from_millis(20);

/// A chromium, which ends when this is dropped.
#[derive(Debug)]
pub struct Browser {
    driver: Arc<Driver>,
    looks: Mutex<Looks>,
    patience: Mutex<Duration>,
}

/// A cookie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cookie {
    /// Its name.
    pub name: String,
    /// What it holds.
    pub value: String,
    /// The host that it is sent to.
    pub domain: String,
    /// The path below which it is sent.
    pub path: String,
    /// Whether it is sent over TLS alone, or to loopback.
    pub is_secure: bool,
    /// Whether scripts do not see it.
    pub is_http_only: bool,
    /// `Strict`, `Lax` or `None`.
    pub same_site: String,
    /// When it ends, in seconds since 1970; none where it ends with the browser.
    pub expires: Option<u64>,
}

impl Browser {
    /// Starts one with a new profile, at 1280 × 800 pixels and in the light scheme.
    ///
    /// # Panics
    /// Where chromium or chromedriver are missing or do not start: such a test has not been run.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts one that trusts a certificate of the test's own, a file in PEM, whatever names it is for;
    /// so that names that end in `.test` can be reached over TLS.
    ///
    /// # Panics
    /// As [`Browser::start`], and where openssl cannot read it.
    pub fn start_trusting(certificate: &Path) -> Self {
        let key = key_hash(certificate);
        Self::start_with(&[&format!("--ignore-certificate-errors-spki-list={key}")])
    }

    /// Starts one with more arguments of chromium's.
    ///
    /// # Panics
    /// As [`Browser::start`].
    pub fn start_with(arguments: &[&str]) -> Self {
        let browser = Self {
            driver: Arc::new(Driver::start(arguments)),
            looks: Mutex::new(Looks::default()),
            patience: Mutex::new(PATIENCE),
        };
        browser.apply(Looks::default());
        browser
    }

    /// The numbers of all processes that it consists of.
    pub fn processes(&self) -> Vec<i32> {
        self.driver.processes()
    }

    /// Lets actions wait so long for their element from now on, instead of 4 s.
    pub fn set_patience(&self, patience: Duration) {
        *self.patience.lock() = patience;
    }

    /// Opens a page, and waits until it has loaded.
    ///
    /// # Panics
    /// Where nobody answers, or with a certificate that is not trusted; an answer of any status is a
    /// page.
    #[track_caller]
    pub fn goto(&self, url: &str) {
        let answer = self.driver.post("/url", &json!({"url": url}));
        self.loaded(&format!("Opening {url}"), answer);
    }

    /// Loads the page anew.
    ///
    /// # Panics
    /// Where nobody answers.
    #[track_caller]
    pub fn reload(&self) {
        self.loaded("Reloading", self.driver.post("/refresh", &json!({})));
    }

    /// Goes to the page before.
    ///
    /// # Panics
    /// Where nobody answers.
    #[track_caller]
    pub fn back(&self) {
        self.loaded("Going back", self.driver.post("/back", &json!({})));
    }

    /// The page's URL.
    ///
    /// # Panics
    /// Where the browser has ended.
    #[track_caller]
    pub fn url(&self) -> String {
        as_text(Some(
            &self.done("Asking for the URL", self.driver.get("/url")),
        ))
    }

    /// The page's title.
    ///
    /// # Panics
    /// Where the browser has ended.
    #[track_caller]
    pub fn title(&self) -> String {
        let title = self.driver.get("/title");
        as_text(Some(&self.done("Asking for the title", title)))
    }

    /// The page's HTTP status.
    ///
    /// # Panics
    /// Where there is no page.
    #[track_caller]
    pub fn status(&self) -> u16 {
        let script = "return performance.getEntriesByType('navigation')[0]?.responseStatus";
        let told = self.execute(script).as_u64();
        match told.and_then(|status| u16::try_from(status).ok()) {
            Some(status) => status,
            None => self.fail("Asking for the status", "no page was loaded"),
        }
    }

    /// All text of the page that can be seen.
    ///
    /// # Panics
    /// Where the browser has ended.
    #[track_caller]
    pub fn page_text(&self) -> String {
        as_text(Some(
            &self.done("Asking for the text", self.try_page_text()),
        ))
    }

    /// Runs the body of a function in the page, which may return a value, or a promise.
    ///
    /// # Panics
    /// Where it throws.
    #[track_caller]
    pub fn execute(&self, script: &str) -> Value {
        self.execute_on(script, json!([]))
    }

    /// What cookies the page is sent with.
    ///
    /// # Panics
    /// Where the browser has ended.
    #[track_caller]
    pub fn cookies(&self) -> Vec<Cookie> {
        let told = self.done("Asking for cookies", self.driver.get("/cookie"));
        let told = told.as_array().map(Vec::as_slice).unwrap_or_default();
        told.iter().map(Cookie::read).collect()
    }

    /// Sets a cookie of the page's host, or one that holds something else from now on.
    ///
    /// # Panics
    /// Where chromium refuses it.
    #[track_caller]
    pub fn set_cookie(&self, cookie: &Cookie) {
        let answer = self.driver.post("/cookie", &cookie.write());
        self.done(&format!("Setting the cookie {}", cookie.name), answer);
    }

    /// Forgets the cookie of that name.
    ///
    /// # Panics
    /// Where the browser has ended.
    #[track_caller]
    pub fn remove_cookie(&self, name: &str) {
        let answer = self.driver.delete(&format!("/cookie/{name}"));
        self.done(&format!("Removing the cookie {name}"), answer);
    }

    /// Waits until there is an element for a CSS selector.
    ///
    /// # Panics
    /// Where there is none in time.
    #[track_caller]
    pub fn wait_for(&self, css: &str, limit: Duration) {
        self.wait_until(&format!("`{css}`"), limit, || self.exists(css));
    }

    /// Waits until a text can be seen on the page.
    ///
    /// # Panics
    /// Where it cannot in time.
    #[track_caller]
    pub fn wait_for_text(&self, text: &str, limit: Duration) {
        self.wait_until(&format!("the text {text:?}"), limit, || {
            let page = self.try_page_text();
            page.is_ok_and(|page| as_text(Some(&page)).contains(text))
        });
    }

    /// Waits until the page's URL ends in something.
    ///
    /// # Panics
    /// Where it does not in time.
    #[track_caller]
    pub fn wait_for_url(&self, end: &str, limit: Duration) {
        self.wait_until(&format!("a URL that ends in {end}"), limit, || {
            self.url().ends_with(end)
        });
    }

    /// Waits until something holds; `what` names it in the failure.
    ///
    /// # Panics
    /// Where it does not in time.
    #[track_caller]
    pub fn wait_until(&self, what: &str, limit: Duration, holds: impl Fn() -> bool) {
        let start = Instant::now();
        while !holds() {
            if start.elapsed() > limit {
                self.fail(
                    &format!("Waiting for {what}"),
                    format!("it was not there within {limit:?}"),
                );
            }
            thread::park_timeout(STEP);
        }
    }

    /// What went wrong in the pages since this was asked last: exceptions that nobody caught, what was
    /// refused by a content security policy, what could not be loaded, and calls of
    /// `console.error`. Each begins with where it comes from, as `security: `.
    ///
    /// # Panics
    /// Where the browser has ended.
    #[track_caller]
    pub fn console_errors(&self) -> Vec<String> {
        let log = self.driver.post("/se/log", &json!({"type": "browser"}));
        let log = self.done("Asking for the log", log);
        let log = log.as_array().map(Vec::as_slice).unwrap_or_default();
        let errors = log.iter().filter_map(|entry| {
            let (level, source) = (as_text(entry.get("level")), as_text(entry.get("source")));
            let is_error = level == "SEVERE" || source == "security";
            is_error.then(|| format!("{source}: {}", as_text(entry.get("message"))))
        });
        errors.collect()
    }

    fn driver(&self) -> &Arc<Driver> {
        &self.driver
    }

    /// Runs the body of a function with `arguments`, a list, which may hold elements.
    #[track_caller]
    fn execute_on(&self, script: &str, arguments: Value) -> Value {
        let answer = self.try_execute(script, arguments);
        self.done(&format!("Running `{script}`"), answer)
    }

    fn try_execute(&self, script: &str, arguments: Value) -> Result<Value, Refused> {
        let body = json!({"script": script, "args": arguments});
        self.driver.post("/execute/sync", &body)
    }

    fn try_page_text(&self) -> Result<Value, Refused> {
        let script = "return document.body ? document.body.innerText : ''";
        self.try_execute(script, json!([]))
    }

    /// The end of a navigation, which has to lead to a page that is not chromium's own.
    #[track_caller]
    fn loaded(&self, what: &str, answer: Result<Value, Refused>) {
        self.done(what, answer);
        let place = self.done(what, self.driver.evaluate("location.href", None));
        if as_text(Some(&place)).starts_with("chrome-error:") {
            self.fail(what, "chromium shows an error of its own instead");
        }
    }

    #[track_caller]
    fn done<T>(&self, what: &str, answer: Result<T, Refused>) -> T {
        match answer {
            Ok(value) => value,
            Err(refused) => self.fail(what, refused),
        }
    }

    /// Ends the test: what was tried on the page, and why it did not succeed.
    #[track_caller]
    fn fail(&self, what: &str, why: impl Display) -> ! {
        let told = |answer: Result<Value, Refused>| match answer {
            Ok(value) => as_text(Some(&value)),
            Err(refused) => format!("({refused})"),
        };
        let url = told(self.driver.get("/url"));
        let text = told(self.try_page_text());
        let shown: String = text.chars().take(SHOWN_CHARACTERS).collect();
        panic!("{what} failed on {url}: {why}\n--- the page's text:\n{shown}\n---");
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // An authenticator that outlives it holds the driver too.
        self.driver.end();
    }
}

impl Cookie {
    /// One for the page's host and all its paths, that scripts see, and that ends with the browser.
    pub fn new(name: &str, value: &str) -> Self {
        Self {
            name: name.to_owned(),
            value: value.to_owned(),
            domain: String::new(),
            path: "/".to_owned(),
            is_secure: false,
            is_http_only: false,
            same_site: "Lax".to_owned(),
            expires: None,
        }
    }

    fn read(told: &Value) -> Self {
        let text = |key: &str| as_text(told.get(key));
        let is = |key: &str| told.get(key) == Some(&Value::Bool(true));
        Self {
            name: text("name"),
            value: text("value"),
            domain: text("domain"),
            path: text("path"),
            is_secure: is("secure"),
            is_http_only: is("httpOnly"),
            same_site: text("sameSite"),
            expires: told.get("expiry").and_then(Value::as_u64),
        }
    }

    fn write(&self) -> Value {
        let mut cookie = json!({
            "name": self.name,
            "value": self.value,
            "path": self.path,
            "secure": self.is_secure,
            "httpOnly": self.is_http_only,
            "sameSite": self.same_site,
        });
        if !self.domain.is_empty() {
            cookie["domain"] = json!(self.domain);
        }
        if let Some(expires) = self.expires {
            cookie["expiry"] = json!(expires);
        }
        json!({"cookie": cookie})
    }
}

/// How chromium names the key of a certificate: the SHA-256 of it, in base64.
fn key_hash(certificate: &Path) -> String {
    let folder = tempfile::tempdir().expect("a folder of its own");
    let (pem, der) = (folder.path().join("pem"), folder.path().join("der"));
    let openssl = |arguments: &[&OsStr]| {
        let output = Command::new(program("openssl")).args(arguments).output();
        let output = output.expect("it can be started");
        assert!(
            output.status.success(),
            "{}: {output:?}",
            certificate.display()
        );
        output.stdout
    };
    let x509 = ["x509", "-noout", "-pubkey", "-in"].map(OsStr::new);
    let key = openssl(&[&x509[..], &[certificate.as_os_str()]].concat());
    fs::write(&pem, key).expect("the key is written");
    let convert = ["pkey", "-pubin", "-outform", "DER", "-in"].map(OsStr::new);
    let key = openssl(&[&convert[..], &[pem.as_os_str()]].concat());
    fs::write(&der, key).expect("the key is written");
    let digest = ["dgst", "-sha256", "-binary"].map(OsStr::new);
    BASE64.encode(&openssl(&[&digest[..], &[der.as_os_str()]].concat()))
}
