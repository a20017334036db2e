//! Requests whose answers are JSON: what a vault is asked beside restic's protocol.
//!
//! They go through the client of the store, and so through its limits of time, its certificates and
//! its credentials. What comes is read up to a limit, and texts in it lose what could steer a
//! terminal before anybody shows them.

use std::io::Read;

use serde::de::DeserializeOwned;
use strongroom_model::vault::VaultError;
use ureq::Body;
use ureq::http::{Response, StatusCode, header};

use crate::Error;
use crate::rest::client::{Client, is_passing, retry_after};
use crate::rest::retry::Fault;

/// The longest text of an answer that is shown.
const LONGEST_TEXT: usize = 500;

/// An answer, whatever its status.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    is_json: bool,
    body: Vec<u8>,
}

impl Reply {
    /// What it says; `None` where it is not JSON of this form.
    pub(super) fn decode<T: DeserializeOwned>(&self) -> Option<T> {
        let is_json = self.is_json && !self.body.is_empty();
        is_json
            .then(|| serde_json::from_slice(&self.body).ok())
            .flatten()
    }

    /// Whether it says nothing at all.
    pub(super) fn is_empty(&self) -> bool {
        self.body.is_empty()
    }

    /// The error that it tells, its texts fit to be shown.
    pub(super) fn error(&self) -> VaultError {
        let told: VaultError = self.decode().unwrap_or_else(|| VaultError {
            error: self.status.to_string(),
            ..VaultError::default()
        });
        VaultError {
            error: plain(&told.error),
            hint: told.hint.as_deref().map(plain),
            needs: told.needs,
        }
    }
}

impl Client {
    /// Asks, and reads the answer up to a limit.
    pub(super) fn get_json(
        &self,
        url: &str,
        action: &str,
        limit_bytes: u64,
    ) -> Result<Reply, Fault> {
        self.get_json_noting(url, action, limit_bytes, || ())
    }

    /// The same; `note` hears when an answer has begun, whatever comes of it.
    pub(super) fn get_json_noting(
        &self,
        url: &str,
        action: &str,
        limit_bytes: u64,
        note: impl FnOnce(),
    ) -> Result<Reply, Fault> {
        let request = self
            .prepare(self.agent().get(url))
            .header(header::ACCEPT, "application/json");
        let response = self.ask(request, action)?;
        note();
        self.reply(response, action, limit_bytes)
    }

    /// Sends JSON, or nothing, and reads the answer up to a limit.
    pub(super) fn post_json(
        &self,
        url: &str,
        body: &[u8],
        action: &str,
        limit_bytes: u64,
    ) -> Result<Reply, Fault> {
        let request = self
            .prepare(self.agent().post(url))
            .content_type("application/json")
            .header(header::ACCEPT, "application/json")
            .config()
            .timeout_send_body(Some(self.timeouts().for_body(body.len() as u64)))
            .build();
        self.reply(self.sent(request.send(body), action)?, action, limit_bytes)
    }

    /// What an answer says, which is none where the vault at `root` refuses.
    pub(super) fn decode<T: DeserializeOwned>(
        &self,
        reply: &Reply,
        root: &str,
        action: &str,
    ) -> Result<T, Error> {
        if !reply.status.is_success() {
            return Err(refusal(reply, root, action));
        }
        let decoded = reply.decode();
        decoded.ok_or_else(|| self.bad_answer(action, "it is not the JSON that was expected"))
    }

    /// Reads an answer; one that may pass is worth another try.
    fn reply(
        &self,
        response: Response<Body>,
        action: &str,
        limit_bytes: u64,
    ) -> Result<Reply, Fault> {
        let status = response.status();
        if is_passing(status) {
            let pause = retry_after(&response);
            self.drain(response);
            let reason = format!("It answers {status}");
            return Err(Fault::Again { reason, pause });
        }
        let is_json = response
            .headers()
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .is_some_and(|value| value.starts_with("application/json"));
        let mut body = Vec::new();
        self.incoming(response)
            .take(limit_bytes.saturating_add(1))
            .read_to_end(&mut body)
            .map_err(|error| Fault::again(error.to_string()))?;
        if body.len() as u64 > limit_bytes {
            let reason = format!("the answer is longer than {limit_bytes} bytes");
            return Err(self.wrong(action, &reason));
        }
        Ok(Reply {
            status,
            is_json,
            body,
        })
    }
}

/// What a vault's refusal becomes.
pub(super) fn refusal(reply: &Reply, location: &str, action: &str) -> Error {
    let VaultError { error, hint, .. } = reply.error();
    Error::Vault {
        location: location.to_owned(),
        action: action.to_owned(),
        status: reply.status.as_u16(),
        reason: error,
        hint: hint.map(String::into_boxed_str),
    }
}

/// A text of unknown origin on one line, without what could steer a terminal, and not endless.
fn plain(text: &str) -> String {
    let shown = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(LONGEST_TEXT);
    shown.collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(is_json: bool, body: &str) -> Reply {
        Reply {
            status: StatusCode::FORBIDDEN,
            is_json,
            body: body.as_bytes().to_vec(),
        }
    }

    #[test]
    fn what_a_vault_says_cannot_steer_a_terminal_and_is_not_endless() {
        let long = format!(r#"{{"error":"no\u001b[2J\nway{}"}}"#, "x".repeat(1000));
        let told = reply(true, &long).error();
        assert!(told.error.starts_with("no [2J way"), "{}", told.error);
        assert_eq!(told.error.chars().count(), LONGEST_TEXT);
    }

    #[test]
    fn an_answer_that_is_no_json_tells_its_status() {
        for other in [
            reply(false, r#"{"error":"x"}"#),
            reply(true, "<html>"),
            reply(true, ""),
        ] {
            assert_eq!(other.error().error, "403 Forbidden");
        }
    }
}
