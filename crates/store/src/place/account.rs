//! Whose account this machine runs in, as the provider itself says by its instance metadata.
//!
//! Each provider answers at an address that only machines of its own reach. What can go wrong:
//! elsewhere nobody answers there, or never does (so: short limits, all providers at once, no
//! proxy), or somebody else does (so: an answer counts only in its provider's form, and is no more
//! than a name).

use std::io::Read;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use serde::Deserialize;
use strongroom_model::Account;
use ureq::http::{Response, StatusCode};
use ureq::{Agent, Body};

/// How long all of it may take; machines of a provider answer within milliseconds.
const LIMIT: Duration = Duration::from_secs(2);

/// The longest token of Amazon's that is sent back.
const LONGEST_TOKEN: usize = 1024;

/// No answer is longer.
const ANSWER_BYTES: u64 = 64 << 10;

/// Where providers answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// Amazon's, without a slash at its end; `None` is not asked.
    pub aws: Option<String>,
    /// Google's.
    pub gcp: Option<String>,
    /// Microsoft's.
    pub azure: Option<String>,
}

impl Metadata {
    /// Where they answer, or where their own variables of the environment say:
    /// `AWS_EC2_METADATA_DISABLED`, `AWS_EC2_METADATA_SERVICE_ENDPOINT`, `GCE_METADATA_HOST`.
    pub fn of(environment: &dyn Fn(&str) -> Option<String>) -> Self {
        let link_local = || "http://169.254.169.254".to_owned();
        let set = |name: &str| environment(name).filter(|value| !value.is_empty());
        let is_off = set("AWS_EC2_METADATA_DISABLED")
            .is_some_and(|value| value.eq_ignore_ascii_case("true"));
        let aws = set("AWS_EC2_METADATA_SERVICE_ENDPOINT").unwrap_or_else(link_local);
        let gcp = set("GCE_METADATA_HOST").unwrap_or_else(|| "169.254.169.254".to_owned());
        Self {
            aws: (!is_off).then(|| aws.trim_end_matches('/').to_owned()),
            gcp: Some(format!("http://{gcp}")),
            azure: Some(link_local()),
        }
    }

    /// Asks all of them at once; `None` where none answers in time.
    pub fn account(&self) -> Option<Account> {
        let agent: Agent = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            // A proxy's link-local address is another machine's.
            .proxy(None)
            .timeout_global(Some(LIMIT))
            .build()
            .new_agent();
        let asked: [(&Option<String>, Ask); 3] =
            [(&self.aws, aws), (&self.gcp, gcp), (&self.azure, azure)];
        let (reply, answers) = channel();
        for (base, ask) in asked {
            let Some(base) = base.clone() else { continue };
            let (agent, reply) = (agent.clone(), reply.clone());
            // Left behind where it takes too long; it ends by its own limit.
            let _ = thread::Builder::new().spawn(move || {
                if let Some(account) = ask(&agent, &base) {
                    let _ = reply.send(account);
                }
            });
        }
        drop(reply);
        answers.recv_timeout(LIMIT).ok()
    }
}

type Ask = fn(&Agent, &str) -> Option<Account>;

/// The instance identity document of Amazon EC2, by IMDSv2.
fn aws(agent: &Agent, base: &str) -> Option<Account> {
    #[derive(Deserialize)]
    struct Document {
        #[serde(rename = "accountId")]
        account_id: String,
    }
    let token = agent
        .put(format!("{base}/latest/api/token"))
        .header("X-aws-ec2-metadata-token-ttl-seconds", "60")
        .send_empty();
    let token = text(token.ok()?)?;
    let is_plain =
        token.len() <= LONGEST_TOKEN && token.bytes().all(|byte| byte.is_ascii_graphic());
    if !is_plain {
        return None;
    }
    let document = agent
        .get(format!("{base}/latest/dynamic/instance-identity/document"))
        .header("X-aws-ec2-metadata-token", token)
        .call();
    let document: Document = serde_json::from_str(&text(document.ok()?)?).ok()?;
    let account = document.account_id;
    let is_account = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
    is_account.then(|| named("aws", &account))?
}

/// The project of Google Compute Engine.
fn gcp(agent: &Agent, base: &str) -> Option<Account> {
    let response = agent
        .get(format!("{base}/computeMetadata/v1/project/project-id"))
        .header("Metadata-Flavor", "Google")
        .call()
        .ok()?;
    // Whoever answers for everything does not say this.
    let flavor = response.headers().get("Metadata-Flavor")?;
    if flavor != "Google" {
        return None;
    }
    named("gcp", &text(response)?)
}

/// The subscription of Microsoft Azure.
fn azure(agent: &Agent, base: &str) -> Option<Account> {
    let path = "metadata/instance/compute/subscriptionId?api-version=2021-02-01&format=text";
    let response = agent
        .get(format!("{base}/{path}"))
        .header("Metadata", "true")
        .call();
    let subscription = text(response.ok()?)?;
    // A UUID; other servers answer this path with a page.
    let is_uuid = subscription.len() == 36
        && subscription.bytes().enumerate().all(|(place, byte)| {
            match matches!(place, 8 | 13 | 18 | 23) {
                true => byte == b'-',
                false => byte.is_ascii_hexdigit(),
            }
        });
    is_uuid.then(|| named("azure", &subscription.to_ascii_lowercase()))?
}

fn named(provider: &str, name: &str) -> Option<Account> {
    // An old project of Google's has the domain of its company in front, as example.com:my-project.
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.:".contains(c);
    let is_name = (1..=100).contains(&name.len()) && name.chars().all(is_plain);
    is_name.then(|| format!("{provider}:{name}").parse().ok())?
}

fn text(response: Response<Body>) -> Option<String> {
    if response.status() != StatusCode::OK {
        return None;
    }
    let mut text = String::new();
    let body = response.into_body().into_reader();
    body.take(ANSWER_BYTES).read_to_string(&mut text).ok()?;
    Some(text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn providers_are_asked_where_their_own_variables_say() {
        let none = Metadata::of(&|_| None);
        assert_eq!(none.aws.as_deref(), Some("http://169.254.169.254"));
        assert_eq!(none.gcp.as_deref(), Some("http://169.254.169.254"));
        let set = Metadata::of(&|name| match name {
            "AWS_EC2_METADATA_SERVICE_ENDPOINT" => Some("http://127.0.0.1:1/".to_owned()),
            "GCE_METADATA_HOST" => Some("127.0.0.1:2".to_owned()),
            _ => None,
        });
        assert_eq!(set.aws.as_deref(), Some("http://127.0.0.1:1"));
        assert_eq!(set.gcp.as_deref(), Some("http://127.0.0.1:2"));
        let off =
            Metadata::of(&|name| (name == "AWS_EC2_METADATA_DISABLED").then(|| "true".to_owned()));
        assert_eq!(off.aws, None);
    }

    #[test]
    fn what_is_no_name_of_an_account_is_none() {
        assert_eq!(named("aws", "1").unwrap().to_string(), "aws:1");
        for name in ["", "a b", "<html>", "a\nb", "\u{1b}"] {
            assert_eq!(named("aws", name), None, "{name:?}");
        }
    }
}
