//! Whose account the vault runs in: what the provider's instance metadata says, or else what its
//! configuration declares.
//!
//! A vault inside production's account falls with production, whatever it is called; so clients
//! are told, and compare. This finds an honest mistake. It proves nothing: whoever rules the
//! machine, or its network, can answer for the provider.
//!
//! What can go wrong: the address is nobody's, and the network is silent (a time limit of a second
//! for each provider, all at once), or a stranger's (nothing is sent there but the question, no
//! answer is followed elsewhere, and what is taken of it has the form of an account's name).

use std::io::Read;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::RwLock;
use serde::{Deserialize, Serialize};
use ureq::http::{Response, StatusCode};
use ureq::{Agent, Body};

/// Where all providers answer.
pub const METADATA: &str = "http://169.254.169.254";

/// How long a provider is waited for.
pub const LIMIT: Duration = Duration::from_secs(1);

/// The most bytes of an answer that are looked at.
const ANSWER_BYTES: u64 = 64 << 10;

/// The longest token of AWS that is sent back.
const LONGEST_TOKEN: usize = 1024;

/// How it is known where the vault runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum KnownBy {
    /// The provider says so.
    Metadata,
    /// Somebody has written so.
    Declared,
}

/// Whose account a machine runs in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Account {
    /// As `aws:123456789012`, `gcp:my-project` or `azure:` and a subscription; or as declared.
    pub account: String,
    /// How it is known.
    pub by: KnownBy,
}

/// Where the vault runs, as it was last found out. Clones are the same.
#[derive(Clone, Debug)]
pub struct RunsIn {
    declared: Option<String>,
    found: Arc<RwLock<Option<String>>>,
}

impl RunsIn {
    /// Knows no more than what the configuration declares.
    pub fn declared(declared: Option<String>) -> Self {
        Self {
            declared,
            found: Arc::default(),
        }
    }

    /// What is known: the provider's word before the declared one.
    pub fn account(&self) -> Option<Account> {
        let known = |account: &String, by| Account {
            account: account.clone(),
            by,
        };
        let found = self.found.read();
        let found = found.as_ref().map(|it| known(it, KnownBy::Metadata));
        found.or_else(|| {
            let declared = self.declared.as_ref();
            declared.map(|it| known(it, KnownBy::Declared))
        })
    }

    /// Asks all providers at an address, as [`METADATA`]. Blocks, no longer than `limit` and a
    /// moment. An account that was found stays known when nobody answers later.
    pub fn ask(&self, base: &str, limit: Duration) {
        let Some(account) = ask(base, limit) else {
            return;
        };
        let mut found = self.found.write();
        if found.as_ref() == Some(&account) {
            return;
        }
        match &self.declared {
            Some(declared) if !is_same(declared, &account) => tracing::warn!(
                account,
                declared,
                "The vault runs in another account than vault.toml says in runs_in"
            ),
            _ => tracing::info!(account, "The vault runs in this account"),
        }
        *found = Some(account);
    }
}

/// Whether a declared account may be one that was found, with or without its provider in front.
fn is_same(declared: &str, found: &str) -> bool {
    let bare = |text: &str| text.rsplit(':').next().unwrap_or_default().to_lowercase();
    bare(declared.trim()) == bare(found)
}

/// Asks all providers at once.
fn ask(base: &str, limit: Duration) -> Option<String> {
    let providers: [fn(&Question<'_>) -> Option<String>; 3] = [aws, gcp, azure];
    thread::scope(|scope| {
        let asked = providers.map(|provider| {
            scope.spawn(move || {
                let until = Instant::now().checked_add(limit)?;
                provider(&Question { base, until })
            })
        });
        let answers = asked.map(|answer| answer.join().ok().flatten());
        answers.into_iter().flatten().next()
    })
}

/// What is asked, and until when.
struct Question<'q> {
    base: &'q str,
    until: Instant,
}

impl Question<'_> {
    /// Does one request; the body of a plain 200, where the check passes.
    fn answer(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        check: impl FnOnce(&Response<Body>) -> bool,
    ) -> Option<String> {
        let left = self.until.checked_duration_since(Instant::now())?;
        let agent: Agent = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            // A proxy's link-local address is another machine's.
            .proxy(None)
            .user_agent(concat!("strongroom/", env!("CARGO_PKG_VERSION")))
            .timeout_global(Some(left))
            .build()
            .new_agent();
        let mut request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut response = agent.run(request.body(()).ok()?).ok()?;
        if response.status() != StatusCode::OK || !check(&response) {
            return None;
        }
        let mut text = String::new();
        let body = response.body_mut().as_reader();
        body.take(ANSWER_BYTES).read_to_string(&mut text).ok()?;
        Some(text)
    }
}

/// The account's number, by version 2 of the instance metadata service: with a token that must be
/// asked for first.
fn aws(question: &Question<'_>) -> Option<String> {
    #[derive(Deserialize)]
    struct Identity {
        #[serde(rename = "accountId")]
        account: String,
    }
    let seconds = ("x-aws-ec2-metadata-token-ttl-seconds", "60");
    let token = question.answer("PUT", "/latest/api/token", &[seconds], |_| true)?;
    let is_plain =
        token.len() <= LONGEST_TOKEN && token.bytes().all(|byte| byte.is_ascii_graphic());
    let token = ("x-aws-ec2-metadata-token", token.as_str());
    let path = "/latest/dynamic/instance-identity/document";
    let document = is_plain.then(|| question.answer("GET", path, &[token], |_| true))??;
    let Identity { account } = serde_json::from_str(&document).ok()?;
    let is_account = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
    is_account.then(|| format!("aws:{account}"))
}

/// The project's id.
fn gcp(question: &Question<'_>) -> Option<String> {
    let flavor = ("metadata-flavor", "Google");
    let path = "/computeMetadata/v1/project/project-id";
    let is_google = |response: &Response<Body>| {
        let named = response.headers().get("metadata-flavor");
        named.is_some_and(|flavor| flavor.as_bytes() == b"Google")
    };
    let project = question.answer("GET", path, &[flavor], is_google)?;
    let project = project.trim();
    // An old one has the domain of its company in front, as example.com:my-project.
    let is_plain = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.' | b':')
    };
    let is_project = (1..=100).contains(&project.len()) && project.bytes().all(is_plain);
    is_project.then(|| format!("gcp:{project}"))
}

/// The subscription's id.
fn azure(question: &Question<'_>) -> Option<String> {
    let metadata = ("metadata", "true");
    let path = "/metadata/instance/compute/subscriptionId?api-version=2021-02-01&format=text";
    let subscription = question.answer("GET", path, &[metadata], |_| true)?;
    let subscription = subscription.trim().to_ascii_lowercase();
    let is_uuid = subscription.len() == 36
        && subscription.bytes().enumerate().all(|(place, byte)| {
            match matches!(place, 8 | 13 | 18 | 23) {
                true => byte == b'-',
                false => byte.is_ascii_hexdigit(),
            }
        });
    is_uuid.then(|| format!("azure:{subscription}"))
}

#[cfg(test)]
mod tests;
