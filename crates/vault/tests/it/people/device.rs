//! An authenticator in software: what a person holds, and his browser.

use std::cell::RefCell;

use passkey::authenticator::{Authenticator, UiHint, UserCheck, UserValidationMethod};
use passkey::client::{Client, DefaultClientData};
use passkey::types::Passkey;
use passkey::types::ctap2::{Aaguid, Ctap2Error};
use passkey::types::webauthn::{CredentialCreationOptions, CredentialRequestOptions};
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};
use url::Url;

/// Whoever is asked says yes, and is verified or not.
struct Person {
    is_verified: bool,
}

#[async_trait::async_trait]
impl UserValidationMethod for Person {
    type PasskeyItem = Passkey;

    async fn check_user<'a>(
        &self,
        _hint: UiHint<'a, Passkey>,
        presence: bool,
        _verification: bool,
    ) -> Result<UserCheck, Ctap2Error> {
        Ok(UserCheck {
            presence,
            verification: self.is_verified,
        })
    }

    fn is_verification_enabled(&self) -> Option<bool> {
        Some(self.is_verified)
    }

    fn is_presence_enabled(&self) -> bool {
        true
    }
}

/// A device that holds one passkey.
pub(crate) struct Device {
    store: RefCell<Option<Passkey>>,
    runtime: Runtime,
    /// Whether it verifies who holds it.
    pub(crate) is_verified: bool,
}

impl Device {
    pub(crate) fn new() -> Self {
        Self {
            store: RefCell::new(None),
            runtime: Builder::new_current_thread().build().unwrap(),
            is_verified: true,
        }
    }

    /// What a browser on a page of `origin` answers for a new passkey.
    pub(crate) fn enrol(&self, origin: &str, options: Value) -> String {
        let options: CredentialCreationOptions = serde_json::from_value(options).unwrap();
        let origin = Url::parse(origin).unwrap();
        let mut client = Client::new(self.authenticator()).allows_insecure_localhost(true);
        let made = client.register(&origin, options, DefaultClientData);
        let made = self.runtime.block_on(made).unwrap();
        *self.store.borrow_mut() = client.authenticator().store().clone();
        serde_json::to_string(&made).unwrap()
    }

    /// What it answers where a signature is asked for; none where the device has no such passkey.
    pub(crate) fn sign(&self, origin: &str, options: Value) -> Option<String> {
        let options: CredentialRequestOptions = serde_json::from_value(options).unwrap();
        let origin = Url::parse(origin).unwrap();
        let mut client = Client::new(self.authenticator()).allows_insecure_localhost(true);
        let signed = client.authenticate(&origin, options, DefaultClientData);
        let signed = self.runtime.block_on(signed).ok()?;
        Some(serde_json::to_string(&signed).unwrap())
    }

    fn authenticator(&self) -> Authenticator<Option<Passkey>, Person> {
        let person = Person {
            is_verified: self.is_verified,
        };
        Authenticator::new(Aaguid::new_empty(), self.store.borrow().clone(), person)
    }
}
