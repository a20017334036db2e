//! Who asks: a machine with its token, or whoever administers the vault.

use hyper::header::{AUTHORIZATION, HeaderMap};
use strongroom_model::RepositoryPath;
use subtle::ConstantTimeEq;

use crate::http::api::Api;
use crate::http::rest;
use crate::http::service::{Peer, Request, is_proxied};
use crate::people::Who;
use crate::vault::Principal;
use crate::{Error, Result};

/// The longest token that is looked at.
const LONGEST_TOKEN: usize = 1024;

impl Api {
    /// Who a token belongs to: as password of any user, as restic has it, or as bearer.
    pub(super) async fn log_in(
        &self,
        request: &Request,
        peer: &Peer,
        repository: Option<&RepositoryPath>,
    ) -> Result<Principal> {
        let headers = request.headers();
        let token = rest::token_of(headers).or_else(|| bearer(headers).map(str::to_owned));
        let Some(token) = token else {
            self.parts().vault.note_no_token(repository);
            return Err(Error::Unauthorized);
        };
        self.parts().rest.authenticate(token, peer).await
    }

    /// Lets the administrator in, and nobody else.
    ///
    /// **Security:** the token alone is not enough. Whoever comes over the network, or through a
    /// proxy on this machine, is refused before it is looked at.
    pub(super) fn admit(&self, request: &Request, peer: &Peer) -> Result<Who> {
        let headers = request.headers();
        if !peer.is_loopback() || is_proxied(headers) {
            return Err(Error::Refused {
                reason: "the vault is administered from its own machine only, and not through a \
                         proxy"
                    .to_owned(),
            });
        }
        let token = self.parts().admin_token.expose().as_bytes();
        let is_right = bearer(headers).is_some_and(|given| token.ct_eq(given.as_bytes()).into());
        match is_right {
            true => Ok(Who::Folder),
            false => Err(Error::Unauthorized),
        }
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    let is_bearer = scheme.eq_ignore_ascii_case("bearer") && token.len() <= LONGEST_TOKEN;
    is_bearer.then_some(token)
}
