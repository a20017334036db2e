//! Passkeys, spoken by webauthn-rs: what a browser is asked to sign, and what its answer proves.
//!
//! The library draws its own challenge. Where somebody agrees to an operation it is replaced by ours
//! ([`strongroom_ledger::approval::challenge`]), in what the browser gets and in what the answer is
//! compared with.
//!
//! **Security:** the person is verified each time, by a PIN or a finger; the origin is that of
//! `public_url` and nothing else. Keys are of ES256 alone, since a log that is audited for ever has to
//! be read by simple means.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use webauthn_rs::prelude::{
    COSEKey, COSEKeyType, CredentialID, DiscoverableAuthentication, DiscoverableKey, Passkey,
    PasskeyAuthentication, PasskeyRegistration, PublicKeyCredential, RegisterPublicKeyCredential,
    Url, Uuid, Webauthn, WebauthnBuilder, WebauthnError,
};

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};

use crate::config::PublicUrl;
use crate::{Error, Result};

/// ES256 in the registry of COSE.
const ES256: i64 = -7;

/// The longest answer of a browser.
pub const LARGEST_ANSWER_BYTES: usize = 64 << 10;

/// Asks for passkeys under one address.
#[derive(Debug)]
pub struct Passkeys {
    webauthn: Webauthn,
    /// The host that passkeys are bound to.
    pub host: String,
    /// The address of the pages that ask.
    pub origin: String,
}

/// What a browser is asked, and what its answer will be compared with.
#[derive(Clone, Debug)]
pub struct Asked {
    /// For `navigator.credentials`, as JSON with bytes in base64url.
    pub options: Value,
    /// To be kept here, for [`Passkeys`] alone.
    pub state: String,
}

/// A passkey that was enrolled.
#[derive(Clone, Debug)]
pub struct Enrolled {
    /// Its id.
    pub credential: Vec<u8>,
    /// As the library keeps it.
    pub passkey: String,
    /// Its public key, an uncompressed point of P-256: 65 bytes.
    pub public_key: Vec<u8>,
    /// What vouches for the device, as JSON: the format, the model, the SHA-256 of the certificate.
    pub attestation: String,
}

/// What a passkey has signed.
#[derive(Clone, Debug)]
pub struct Signed {
    /// The passkey, where it has changed by that.
    pub passkey: Option<String>,
    /// The id of the passkey.
    pub credential: Vec<u8>,
    /// What the authenticator said.
    pub authenticator_data: Vec<u8>,
    /// What the browser said.
    pub client_data: Vec<u8>,
    /// The signature over both.
    pub signature: Vec<u8>,
}

/// An answer of a browser that was asked for a signature.
#[derive(Debug)]
pub struct Answer(PublicKeyCredential);

impl Answer {
    /// Reads it.
    ///
    /// # Errors
    /// [`Error::NotSigned`].
    pub fn parse(text: &str) -> Result<Self> {
        from_browser(text).map(Self)
    }

    /// The id of the passkey that has signed.
    pub fn credential(&self) -> &[u8] {
        self.0.get_credential_id()
    }

    fn signed(&self, passkey: Option<String>) -> Signed {
        let response = &self.0.response;
        Signed {
            passkey,
            credential: self.credential().to_vec(),
            authenticator_data: bytes(&response.authenticator_data),
            client_data: bytes(&response.client_data_json),
            signature: bytes(&response.signature),
        }
    }
}

impl Passkeys {
    /// For the pages of an address.
    ///
    /// # Errors
    /// [`Error::Refused`] where passkeys cannot be bound to it.
    pub fn new(url: &PublicUrl) -> Result<Self> {
        let (host, origin) = (url.host(), url.origin());
        let refused = |reason: String| Error::Refused {
            reason: format!("passkeys cannot be bound to {origin}: {reason}"),
        };
        let address = Url::parse(&origin).map_err(|error| refused(error.to_string()))?;
        let webauthn = WebauthnBuilder::new(&host, &address)
            .and_then(|builder| builder.rp_name("Strongroom").build())
            .map_err(|error| refused(error.to_string()))?;
        Ok(Self {
            webauthn,
            host,
            origin,
        })
    }

    /// Asks for a new passkey of an operator, who is known to it by `handle` and is shown as `name`;
    /// none of those that he `has` already.
    ///
    /// # Errors
    /// [`Error::Unfinished`] where the library fails.
    pub fn ask_to_enrol(&self, handle: [u8; 16], name: &str, has: &[Vec<u8>]) -> Result<Asked> {
        let has: Vec<CredentialID> = has.to_vec();
        let asked = self.webauthn.start_passkey_registration(
            Uuid::from_bytes(handle),
            name,
            name,
            (!has.is_empty()).then_some(has),
        );
        let (options, state) = asked.map_err(ours)?;
        let (mut options, mut state) = (value(&options)?, value(&state)?);
        set(&mut options, "/publicKey/attestation", json!("direct"))?;
        let only = json!([{ "type": "public-key", "alg": ES256 }]);
        set(&mut options, "/publicKey/pubKeyCredParams", only)?;
        // Found by the browser itself, so that nobody has to say his name first.
        let selection = json!({
            "residentKey": "required",
            "requireResidentKey": true,
            "userVerification": "required",
        });
        set(&mut options, "/publicKey/authenticatorSelection", selection)?;
        set(&mut state, "/rs/credential_algorithms", json!(["ES256"]))?;
        Ok(Asked {
            options,
            state: state.to_string(),
        })
    }

    /// What was enrolled.
    ///
    /// # Errors
    /// [`Error::NotSigned`].
    pub fn enrolled(&self, state: &str, answer: &str) -> Result<Enrolled> {
        let state: PasskeyRegistration = kept(state)?;
        let answer: RegisterPublicKeyCredential = from_browser(answer)?;
        let passkey = self.webauthn.finish_passkey_registration(&answer, &state);
        let passkey = passkey.map_err(not_signed)?;
        let kept = value(&passkey)?;
        Ok(Enrolled {
            credential: passkey.cred_id().to_vec(),
            public_key: point(passkey.get_public_key())?,
            attestation: attestation(&kept),
            passkey: kept.to_string(),
        })
    }

    /// Asks whoever is there to sign in.
    ///
    /// # Errors
    /// [`Error::Unfinished`] where the library fails.
    pub fn ask_who(&self) -> Result<Asked> {
        let asked = self.webauthn.start_discoverable_authentication();
        let (options, state) = asked.map_err(ours)?;
        let mut options = value(&options)?;
        // A button is pressed; nothing waits in a field of the page.
        if let Some(options) = options.as_object_mut() {
            options.remove("mediation");
        }
        Ok(Asked {
            options,
            state: value(&state)?.to_string(),
        })
    }

    /// That a passkey has signed in.
    ///
    /// # Errors
    /// [`Error::NotSigned`].
    pub fn signed_in(&self, state: &str, answer: &Answer, passkey: &str) -> Result<Signed> {
        let state: DiscoverableAuthentication = kept(state)?;
        let mut passkey: Passkey = kept(passkey)?;
        let key = DiscoverableKey::from(&passkey);
        let proven = self
            .webauthn
            .finish_discoverable_authentication_v2(&answer.0, state, &key)
            .map_err(not_signed)?;
        let changed = match passkey.update_credential(&proven) {
            Some(true) => Some(value(&passkey)?.to_string()),
            _ => None,
        };
        Ok(answer.signed(changed))
    }

    /// Asks for a signature over a challenge of ours, by one of these passkeys.
    ///
    /// # Errors
    /// [`Error::Unfinished`] where the library fails.
    pub fn ask_to_sign(&self, challenge: &[u8; 32], passkeys: &[String]) -> Result<Asked> {
        let passkeys: Vec<Passkey> = passkeys
            .iter()
            .map(|passkey| kept(passkey))
            .collect::<Result<_>>()?;
        let asked = self.webauthn.start_passkey_authentication(&passkeys);
        let (options, state) = asked.map_err(ours)?;
        let (mut options, mut state) = (value(&options)?, value(&state)?);
        let challenge = json!(BASE64URL_NOPAD.encode(challenge));
        set(&mut options, "/publicKey/challenge", challenge.clone())?;
        set(&mut state, "/ast/challenge", challenge)?;
        Ok(Asked {
            options,
            state: state.to_string(),
        })
    }

    /// That one of the passkeys has signed, of which `passkey` is the one that the answer names.
    ///
    /// # Errors
    /// [`Error::NotSigned`].
    pub fn signed(&self, state: &str, answer: &Answer, passkey: &str) -> Result<Signed> {
        let state: PasskeyAuthentication = kept(state)?;
        let mut passkey: Passkey = kept(passkey)?;
        let proven = self
            .webauthn
            .finish_passkey_authentication(&answer.0, &state)
            .map_err(not_signed)?;
        let changed = match passkey.update_credential(&proven) {
            Some(true) => Some(value(&passkey)?.to_string()),
            Some(false) => None,
            None => return Err(Error::NotSigned),
        };
        Ok(answer.signed(changed))
    }
}

/// The point of a public key; the library has checked that it is one.
fn point(key: &COSEKey) -> Result<Vec<u8>> {
    let COSEKeyType::EC_EC2(key) = &key.key else {
        return Err(Error::NotSigned);
    };
    let mut point = vec![4];
    point.extend_from_slice(&key.x);
    point.extend_from_slice(&key.y);
    match point.len() {
        65 => Ok(point),
        _ => Err(Error::NotSigned),
    }
}

/// What vouches for a device, of a passkey as the library keeps it.
fn attestation(passkey: &Value) -> String {
    let format = passkey.pointer("/cred/attestation_format");
    let metadata = passkey.pointer("/cred/attestation/metadata");
    let data = passkey.pointer("/cred/attestation/data");
    let certificate = data
        .and_then(Value::as_object)
        .and_then(|data| data.values().next())
        .and_then(|chain| chain.get(0))
        .and_then(Value::as_str)
        .and_then(|text| BASE64URL_NOPAD.decode(text.as_bytes()).ok())
        .map(|der| HEXLOWER.encode(&Sha256::digest(der)));
    json!({ "format": format, "device": metadata, "certificate": certificate }).to_string()
}

fn set(value: &mut Value, pointer: &str, new: Value) -> Result<()> {
    let place = value.pointer_mut(pointer).ok_or(Error::Unfinished)?;
    *place = new;
    Ok(())
}

fn value(of: &impl Serialize) -> Result<Value> {
    serde_json::to_value(of).map_err(|_| Error::Unfinished)
}

fn kept<T: DeserializeOwned>(text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|_| Error::Unfinished)
}

fn from_browser<T: DeserializeOwned>(text: &str) -> Result<T> {
    if text.len() > LARGEST_ANSWER_BYTES {
        return Err(Error::NotSigned);
    }
    serde_json::from_str(text).map_err(|error| {
        tracing::debug!(%error, "What a browser answered is no signature");
        Error::NotSigned
    })
}

fn bytes(of: impl AsRef<[u8]>) -> Vec<u8> {
    of.as_ref().to_vec()
}

fn ours(error: WebauthnError) -> Error {
    tracing::error!(%error, "A passkey cannot be asked for");
    Error::Unfinished
}

fn not_signed(error: WebauthnError) -> Error {
    tracing::info!(%error, "What a passkey signed was refused");
    Error::NotSigned
}
