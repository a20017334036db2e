//! Posting over HTTP: ten seconds for the whole of it, no redirects, and of the answer nothing but its
//! status.

use std::path::Path;
use std::time::Duration;

use strongroom_model::Secret;
use ureq::{Agent, Error as HttpError};
use url::Url;

use crate::Result;
use crate::config::is_loopback;
use crate::publication::tls;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Posts to one address, which is told to nobody.
#[derive(Debug)]
pub(super) struct Poster {
    address: Secret,
    agent: Agent,
}

impl Poster {
    /// Posts to an address, whose certificate is by an authority in a file where one is given, and
    /// else by one that browsers trust.
    ///
    /// # Errors
    /// [`Certificate`](crate::Error::Certificate) and [`Local`](crate::Error::Local) where the file
    /// cannot be read.
    pub(super) fn open(address: &Secret, ca_file: Option<&Path>) -> Result<Self> {
        let mut agent = Agent::config_builder()
            .user_agent(concat!("strongroom-vault/", env!("CARGO_PKG_VERSION")))
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .max_idle_connections(0)
            .timeout_global(Some(PATIENCE))
            .tls_config(tls(ca_file)?);
        let url = Url::parse(address.expose()).ok();
        if url.is_some_and(|url| is_loopback(&url)) {
            // A proxy's loopback is another machine.
            agent = agent.proxy(None);
        }
        Ok(Self {
            address: address.clone(),
            agent: agent.build().new_agent(),
        })
    }

    /// Posts a body.
    ///
    /// # Errors
    /// Says why it was not taken, without the address.
    pub(super) fn post(&self, headers: &[(&str, &str)], body: &[u8]) -> Result<(), String> {
        let mut request = self.agent.post(self.address.expose());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send(body).map_err(|error| told(&error))?;
        let status = response.status();
        match status.is_success() {
            true => Ok(()),
            false => Err(format!("it answers with status {}", status.as_u16())),
        }
    }
}

/// What an error says, without the address, which stands in some of them.
fn told(error: &HttpError) -> String {
    match error {
        HttpError::Timeout(_) => "it did not answer within ten seconds".to_owned(),
        HttpError::HostNotFound => "its host is not found".to_owned(),
        HttpError::ConnectionFailed => "nobody answers there".to_owned(),
        HttpError::Io(error) => format!("the connection failed: {}", error.kind()),
        HttpError::Tls(reason) => format!("no TLS with it: {reason}"),
        HttpError::Rustls(error) => format!("no TLS with it: {error}"),
        _ => "it cannot be asked".to_owned(),
    }
}
