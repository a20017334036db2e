//! Posting over HTTP: ten seconds for the whole of it, no redirects, and of the answer nothing but its
//! status.

use std::io;
use std::path::Path;
use std::time::Duration;

use rustls::{CertificateError, Error as TlsError};
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
        HttpError::Io(error) => told_by_system(error),
        HttpError::Rustls(error) => told_by_tls(error).to_owned(),
        _ => "it cannot be asked".to_owned(),
    }
}

fn told_by_system(error: &io::Error) -> String {
    let inner = error.get_ref();
    if let Some(error) = inner.and_then(|inner| inner.downcast_ref::<TlsError>()) {
        return told_by_tls(error).to_owned();
    }
    match error.raw_os_error() {
        Some(_) => format!("the connection failed: {error}"),
        // The words of the standard library, which has no kind for it.
        None if error.to_string().starts_with("failed to lookup") => {
            "its host is not found".to_owned()
        }
        None => format!("the connection failed: {}", error.kind()),
    }
}

/// What is wrong with a certificate, without the names in it.
fn told_by_tls(error: &TlsError) -> &'static str {
    match error {
        TlsError::InvalidCertificate(error) => match error {
            CertificateError::UnknownIssuer => {
                "nobody who is known vouches for its certificate; see ca_file"
            }
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                "its certificate has expired"
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                "its certificate is for another name"
            }
            _ => "its certificate is not to be believed",
        },
        _ => "it does not speak TLS as it should",
    }
}
