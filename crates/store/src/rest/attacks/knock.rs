//! One request as an intruder writes it: any method, any path, and nothing that is understood on
//! the way.

use std::io::Read;

use serde_json::Value;
use strongroom_model::attack::Said;
use strongroom_model::vault::VaultError;
use ureq::Body;
use ureq::http::{HeaderValue, Request, Response, header};

use crate::attacks::in_one_line;
use crate::rest::client::Client;
use crate::rest::retry::Fault;
use crate::{Error, Result};

/// What a vault says, with 429, to a wrong login after many others.
const MANY_WRONG_LOGINS: &str = "Too many wrong logins";

/// The most bytes that are read of an answer.
const LIMIT_BYTES: u64 = 4096;

/// A request that is made up.
#[derive(Clone, Debug)]
pub(super) struct Knock<'a> {
    method: &'static str,
    url: String,
    body: &'a [u8],
    header: Option<(&'static str, String)>,
    /// Whether the password goes as that of whoever administers.
    is_bearer: bool,
}

/// What was heard in answer to one.
#[derive(Clone, Debug)]
pub(super) struct Heard {
    pub(super) status: u16,
    /// Whether its body is an error as a vault tells it.
    pub(super) is_error_of_vault: bool,
    /// Whether that is what a vault says to a wrong login where there were many before it.
    pub(super) is_wrong_login: bool,
    /// The name of the token that it says to have made, if any.
    pub(super) token: Option<String>,
}

impl<'a> Knock<'a> {
    pub(super) fn new(method: &'static str, url: &str) -> Self {
        Self {
            method,
            url: url.to_owned(),
            body: b"",
            header: None,
            is_bearer: false,
        }
    }

    /// With these bytes.
    pub(super) fn with(mut self, body: &'a [u8]) -> Self {
        self.body = body;
        self
    }

    /// With a header.
    pub(super) fn saying(mut self, name: &'static str, value: &str) -> Self {
        self.header = Some((name, value.to_owned()));
        self
    }

    /// With the password as bearer token.
    pub(super) fn bearing(mut self) -> Self {
        self.is_bearer = true;
        self
    }
}

impl Client {
    /// Sends it with our credentials; tells the status of the answer.
    pub(super) fn knock(&self, knock: &Knock<'_>) -> Result<u16, Fault> {
        let response = self.answer_to(knock)?;
        let status = response.status().as_u16();
        self.drain(response);
        Ok(status)
    }

    /// The same, and whether the answer is an error as a vault tells it.
    pub(super) fn knock_and_hear(&self, knock: &Knock<'_>) -> Result<Heard, Fault> {
        let response = self.answer_to(knock)?;
        let status = response.status().as_u16();
        let body = self.beginning(response)?;
        Ok(Heard {
            status,
            is_error_of_vault: is_error_of_vault(&body),
            is_wrong_login: is_wrong_login(&body),
            token: token_in(&body),
        })
    }

    /// The few bytes of an answer that are looked at, from its first on.
    pub(super) fn beginning(&self, response: Response<Body>) -> Result<Vec<u8>, Fault> {
        let mut bytes = Vec::new();
        let mut body = self.incoming(response).take(LIMIT_BYTES);
        let read = body.read_to_end(&mut bytes);
        read.map_err(|error| Fault::again(error.to_string()))?;
        Ok(bytes)
    }

    fn answer_to(&self, knock: &Knock<'_>) -> Result<Response<Body>, Fault> {
        let action = "withstand an attack";
        let mut request = Request::builder()
            .method(knock.method)
            .uri(knock.url.as_str());
        if let Some(value) = self.authorization() {
            let bearer = knock.is_bearer.then(|| bearer(value)).flatten();
            let value = bearer.as_ref().map_or(value, |bearer| bearer.as_str());
            if let Ok(mut value) = HeaderValue::from_str(value) {
                value.set_sensitive(true);
                request = request.header(header::AUTHORIZATION, value);
            }
        }
        if let Some((name, value)) = &knock.header {
            request = request.header(*name, value.as_str());
        }
        let request = request
            .body(knock.body)
            .map_err(|error| self.wrong(action, &error.to_string()))?;
        let request = self
            .agent()
            .configure_request(request)
            .allow_non_standard_methods(true)
            .build();
        self.sent(self.agent().run(request), action)
    }
}

/// Whether a body is a [`VaultError`]: a vault always says of a hint whether there is one, which
/// tells its errors from those of what stands before it.
fn is_error_of_vault(body: &[u8]) -> bool {
    let has_hint = |text: Value| text.get("hint").is_some();
    serde_json::from_slice::<VaultError>(body).is_ok()
        && serde_json::from_slice::<Value>(body).is_ok_and(has_hint)
}

/// Whether a body is what a vault says to a login that is wrong, and to no other, from an address
/// that had too many of them.
fn is_wrong_login(body: &[u8]) -> bool {
    let told = serde_json::from_slice::<VaultError>(body);
    is_error_of_vault(body) && told.is_ok_and(|told| told.error.starts_with(MANY_WRONG_LOGINS))
}

/// The name of a token in an answer, if it is one: only what can stand in an address as it is.
fn token_in(body: &[u8]) -> Option<String> {
    let answer: Value = serde_json::from_slice(body).ok()?;
    let name = answer.get("name")?.as_str()?;
    is_token_name(name).then(|| name.to_owned())
}

/// Whether a token may be called so.
pub(super) fn is_token_name(name: &str) -> bool {
    (1..=64).contains(&name.len()) && name.bytes().all(|c| c.is_ascii_alphanumeric())
}

/// The password of a `Basic` header, as a `Bearer` one.
fn bearer(value: &str) -> Option<zeroize::Zeroizing<String>> {
    let pair = value.strip_prefix("Basic ")?;
    let pair = data_encoding::BASE64.decode(pair.as_bytes()).ok()?;
    let pair = zeroize::Zeroizing::new(String::from_utf8(pair).ok()?);
    let (_, password) = pair.split_once(':')?;
    Some(zeroize::Zeroizing::new(format!("Bearer {password}")))
}

/// What an answer says, whoever gave it.
pub(super) fn said_of(sent: Result<u16>) -> Result<Said> {
    Ok(match sent {
        Ok(200..=299) => Said::Done,
        Ok(status @ (408 | 429)) => Said::Failed(status.to_string()),
        // A redirect is followed by nobody here, and does nothing.
        Ok(status @ (300..=499 | 501)) => Said::Refused(status.to_string()),
        Ok(status) => Said::Failed(status.to_string()),
        Err(error @ Error::Cancelled { .. }) => return Err(error),
        Err(error) => Said::Failed(in_one_line(&error.to_string())),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_goes_as_bearer_and_never_shows() {
        let value = format!("Basic {}", data_encoding::BASE64.encode(b"any:srt-a-b:c"));
        assert_eq!(*bearer(&value).unwrap(), "Bearer srt-a-b:c");
        assert_eq!(bearer("Bearer x"), None);
        assert_eq!(bearer("Basic !"), None);
    }

    #[test]
    fn one_wrong_login_too_many_is_told_from_one_request_too_many() {
        let told = |error: &str| {
            let error = VaultError {
                error: error.to_owned(),
                ..VaultError::default()
            };
            is_wrong_login(&serde_json::to_vec(&error).unwrap())
        };
        assert!(told("Too many wrong logins"));
        assert!(!told("Too many requests a second"));
        assert!(!is_wrong_login(b"Too many wrong logins"));
    }

    #[test]
    fn the_name_of_a_token_is_taken_where_it_can_stand_in_an_address() {
        let name = |body: &str| token_in(body.as_bytes());
        let made = r#"{"name":"b3ae661f7984","token":"srt-b3ae661f7984-x","right":"append"}"#;
        assert_eq!(name(made).as_deref(), Some("b3ae661f7984"));
        for other in [
            "",
            "{}",
            r#"{"name":"../x"}"#,
            r#"{"name":""}"#,
            r#"{"name":7}"#,
        ] {
            assert_eq!(name(other), None, "{other}");
        }
    }

    #[test]
    fn an_error_of_a_vault_is_known_by_its_form() {
        let error = VaultError {
            error: "The request is no JSON of this form".to_owned(),
            ..VaultError::default()
        };
        let told = serde_json::to_vec(&error).unwrap();
        assert!(is_error_of_vault(&told));
        for other in [
            "",
            "<html>404 Not Found</html>",
            r#"{"error":"Not Found"}"#,
            r#"{"hint":null}"#,
            r#"["error","hint"]"#,
        ] {
            assert!(!is_error_of_vault(other.as_bytes()), "{other}");
        }
    }

    #[test]
    fn what_is_no_yes_and_no_answer_is_a_refusal() {
        let said = |status| said_of(Ok(status)).unwrap();
        assert_eq!(said(204), Said::Done);
        for status in [301, 400, 401, 403, 404, 405, 501] {
            assert!(matches!(said(status), Said::Refused(_)), "{status}");
        }
        for status in [408, 429, 500, 503] {
            assert!(matches!(said(status), Said::Failed(_)), "{status}");
        }
    }
}
