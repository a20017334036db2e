//! A virtual authenticator: what holds passkeys, and says whether a person is there.
//!
//! Whatever page asks is answered at once. It belongs to the window in which it was added, and stays
//! there from page to page.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::browser::Browser;
use crate::browser::driver::{Driver, Refused, as_text};

/// What kind of authenticator it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Passkeys {
    /// Whether it is part of the device, as a phone's or a laptop's, of which a browser has one; else
    /// it is a key at USB, of which it may have several.
    pub is_internal: bool,
    /// Whether it can tell who is there, by a finger or a PIN.
    pub can_verify: bool,
}

impl Default for Passkeys {
    /// Part of the device, and can tell who is there.
    fn default() -> Self {
        Self {
            is_internal: true,
            can_verify: true,
        }
    }
}

/// A virtual authenticator of a browser, which stays until it is removed or the browser ends.
#[derive(Debug)]
pub struct Authenticator {
    driver: Arc<Driver>,
    id: String,
}

/// A passkey, with what only its authenticator knows of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// Its id, base64url without padding.
    pub id: String,
    /// For whom it signs: a host.
    pub relying_party: String,
    /// What the relying party calls its holder, base64url without padding.
    pub user_handle: String,
    /// Whether it is found without its id.
    pub is_resident: bool,
    /// How often it has signed.
    pub signatures: u64,
    /// PKCS #8, base64url without padding.
    private_key: String,
}

impl Authenticator {
    /// Adds one that is part of the device, and verifies whoever is there.
    ///
    /// # Panics
    /// Where the browser refuses, as it does a second one of that kind.
    #[track_caller]
    pub fn add(browser: &Browser) -> Self {
        Self::add_with(browser, Passkeys::default())
    }

    /// Adds one of some kind; it keeps its passkeys itself.
    ///
    /// # Panics
    /// As [`Authenticator::add`].
    #[track_caller]
    pub fn add_with(browser: &Browser, passkeys: Passkeys) -> Self {
        let transport = match passkeys.is_internal {
            true => "internal",
            false => "usb",
        };
        let options = json!({
            "protocol": "ctap2",
            "transport": transport,
            "hasResidentKey": true,
            "hasUserVerification": passkeys.can_verify,
            "isUserConsenting": true,
            "isUserVerified": passkeys.can_verify,
        });
        let driver = Arc::clone(browser.driver());
        let id = answer(driver.post("/webauthn/authenticator", &options), "add");
        Self {
            driver,
            id: as_text(Some(&id)),
        }
    }

    /// Takes it away, with all its passkeys.
    ///
    /// # Panics
    /// Where the browser refuses.
    #[track_caller]
    pub fn remove(self) {
        answer(self.driver.delete(&self.path("")), "remove");
    }

    /// Says whether whoever is there from now on is the one who it thinks it is, as by a finger.
    ///
    /// # Panics
    /// Where the browser refuses.
    #[track_caller]
    pub fn set_user_verified(&self, is_verified: bool) {
        let body = json!({"isUserVerified": is_verified});
        answer(self.driver.post(&self.path("/uv"), &body), "tell");
    }

    /// The passkeys that it holds.
    ///
    /// # Panics
    /// Where the browser refuses.
    #[track_caller]
    pub fn credentials(&self) -> Vec<Credential> {
        let told = answer(self.driver.get(&self.path("/credentials")), "ask");
        let told = told.as_array().map(Vec::as_slice).unwrap_or_default();
        told.iter().map(Credential::read).collect()
    }

    /// Gives it a passkey, as a thief does who has copied it, or whoever syncs devices.
    ///
    /// # Panics
    /// Where the browser refuses.
    #[track_caller]
    pub fn add_credential(&self, credential: &Credential) {
        let body = credential.write();
        answer(self.driver.post(&self.path("/credential"), &body), "give");
    }

    /// Takes a passkey from it, by its id.
    ///
    /// # Panics
    /// Where it has none of that id.
    #[track_caller]
    pub fn remove_credential(&self, id: &str) {
        let path = self.path(&format!("/credentials/{id}"));
        answer(self.driver.delete(&path), "take");
    }

    fn path(&self, rest: &str) -> String {
        format!("/webauthn/authenticator/{}{rest}", self.id)
    }
}

impl Credential {
    fn read(told: &Value) -> Self {
        Self {
            id: as_text(told.get("credentialId")),
            relying_party: as_text(told.get("rpId")),
            user_handle: as_text(told.get("userHandle")),
            is_resident: told.get("isResidentCredential") == Some(&Value::Bool(true)),
            signatures: told.get("signCount").and_then(Value::as_u64).unwrap_or(0),
            private_key: as_text(told.get("privateKey")),
        }
    }

    fn write(&self) -> Value {
        json!({
            "credentialId": self.id,
            "isResidentCredential": self.is_resident,
            "rpId": self.relying_party,
            "privateKey": self.private_key,
            "userHandle": self.user_handle,
            "signCount": self.signatures,
        })
    }
}

#[track_caller]
fn answer(answer: Result<Value, Refused>, what: &str) -> Value {
    match answer {
        Ok(value) => value,
        Err(refused) => panic!("Cannot {what} the virtual authenticator: {refused}"),
    }
}
