//! A vault's leaves as a test tells them, with passkeys in software.

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey};
use sha2::{Digest, Sha256};

use crate::approval::challenge;
use crate::approvals::operation::id;
use crate::approvals::{Approvals, Approved, DAY_MS, Problem};

pub(super) const URL: &str = "https://vault.example.net:8000";
const HOST: &str = "vault.example.net";

/// 2027-01-15T08:00:00Z.
const START_MS: i64 = 1_800_000_000_000;

/// What is lowered here: from thirty days to one.
pub(super) const LOWER: &str = r#"{"act":"keep","repository":"acme","from":{"retention_ms":2592000000,"grace_ms":2592000000},"to":{"retention_ms":86400000,"grace_ms":2592000000},"agreed":{"retention_ms":2592000000,"grace_ms":2592000000},"is_compliant":false}"#;

/// And how its leaf tells that it was done.
pub(super) const LOWERED: &str = r#""repository":"acme","retention_s":86400,"grace_s":2592000"#;

pub(super) const ROLES: &str = r#"["viewer","restorer","keeper","security"]"#;

/// The leaves so far, and what time it is.
#[derive(Clone)]
pub(super) struct Story {
    pub(super) leaves: Vec<Vec<u8>>,
    pub(super) now_ms: i64,
    /// The number of the first leaf.
    pub(super) base: u64,
    nonces: u8,
}

pub(super) type OperationId = [u8; 32];

/// A yes, of which a lie changes a part.
pub(super) struct Yes {
    pub(super) operation: OperationId,
    pub(super) signed_operation: OperationId,
    pub(super) operator: i64,
    pub(super) key: SigningKey,
    pub(super) nonce: [u8; 32],
    pub(super) origin: &'static str,
}

pub(super) fn key(number: u8) -> SigningKey {
    SigningKey::from_slice(&[number; 32]).unwrap()
}

/// The public key of a passkey, in base64url.
fn public(key: &SigningKey) -> String {
    BASE64URL_NOPAD.encode(key.verifying_key().to_sec1_point(false).as_bytes())
}

fn own(operator: i64) -> SigningKey {
    key(u8::try_from(operator).unwrap())
}

/// A time as leaves have it.
fn time(ms: i64) -> String {
    let (days, rest) = (ms.div_euclid(DAY_MS), ms.rem_euclid(DAY_MS));
    let shifted = days + 719_468;
    let of_era = shifted.rem_euclid(146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (month, later) = match month < 10 {
        true => (month + 3, 0),
        false => (month - 9, 1),
    };
    let year = year + shifted.div_euclid(146_097) * 400 + later;
    let (hour, minute) = (rest / 3_600_000, rest / 60_000 % 60);
    let (second, part) = (rest / 1_000 % 60, rest % 1_000);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{part:03}Z")
}

impl Story {
    pub(super) fn new() -> Self {
        Self {
            leaves: Vec::new(),
            now_ms: START_MS,
            base: 0,
            nonces: 0,
        }
    }

    /// A vault with a repository that was just made.
    pub(super) fn made() -> Self {
        let mut story = Self::new();
        story.tell("made", r#""origin":"vault.example/log""#);
        story.tell("start", &format!(r#""public_url":"{URL}""#));
        let keeps = r#""repository":"acme","retention_s":2592000,"grace_s":2592000"#;
        story.tell("repository", keeps);
        story
    }

    /// One with so many operators, all of them security, and set-up over.
    pub(super) fn with(operators: i64) -> Self {
        let mut story = Self::made();
        story.tell("setup-claimed", r#""operator":1"#);
        story.joins(1, r#""first-link""#, r#""first-link""#);
        for operator in 2..=operators {
            story.joins(operator, r#"{"operator":1}"#, r#""invitation""#);
        }
        story.tell("setup-closed", r#""operator":1"#);
        story
    }

    /// Somebody is invited, and comes with a passkey and a password.
    pub(super) fn joins(&mut self, operator: i64, by: &str, link: &str) {
        let who = format!(r#""operator":{operator},"name":"o{operator}","roles":{ROLES}"#);
        self.tell("operator-invited", &format!(r#"{who},"by":{by}"#));
        self.enrols(operator, operator * 10, &own(operator), link);
        let factor = operator * 10 + 1;
        let rest =
            format!(r#""operator":{operator},"factor":{factor},"kind":"password","by":{link}"#);
        self.tell("factor-enrolled", &rest);
        let rest = format!(r#""operator":{operator},"standing":"active","by":{link}"#);
        self.tell("operator-stands", &rest);
    }

    pub(super) fn enrols(&mut self, operator: i64, factor: i64, key: &SigningKey, by: &str) {
        let public_key = public(key);
        let rest = format!(
            r#""operator":{operator},"factor":{factor},"kind":"passkey","public_key":"{public_key}","by":{by}"#
        );
        self.tell("factor-enrolled", &rest);
    }

    pub(super) fn number(&self) -> u64 {
        self.base + self.leaves.len() as u64
    }

    pub(super) fn tell(&mut self, act: &str, rest: &str) {
        let (number, now) = (self.number(), time(self.now_ms));
        let rest = match rest {
            "" => String::new(),
            rest => format!(",{rest}"),
        };
        let leaf = format!(r#"{{"n":{number},"at":"{now}","vault":"{now}","act":"{act}"{rest}}}"#);
        self.leaves.push(leaf.into_bytes());
    }

    pub(super) fn pass(&mut self, ms: i64) {
        self.now_ms += ms;
    }

    pub(super) fn nonce(&mut self) -> [u8; 32] {
        self.nonces += 1;
        [self.nonces; 32]
    }

    pub(super) fn asks(&mut self, asker: i64, contents: &str) -> OperationId {
        let nonce = self.nonce();
        self.asks_with(asker, contents, &nonce)
    }

    pub(super) fn asks_with(
        &mut self,
        asker: i64,
        contents: &str,
        nonce: &[u8; 32],
    ) -> OperationId {
        let operation = id(contents.as_bytes(), asker, nonce);
        let rest = format!(
            r#""operation":"{}","number":1,"asker":{asker},"contents":{contents},"nonce":"{}""#,
            HEXLOWER.encode(&operation),
            BASE64URL_NOPAD.encode(nonce),
        );
        self.tell("operation-asked", &rest);
        operation
    }

    pub(super) fn yes(&mut self, operator: i64, operation: &OperationId) {
        let yes = self.signed(operator, operation);
        self.says(&yes);
    }

    /// A good yes, which was not said.
    pub(super) fn signed(&mut self, operator: i64, operation: &OperationId) -> Yes {
        Yes {
            operation: *operation,
            signed_operation: *operation,
            operator,
            key: own(operator),
            nonce: self.nonce(),
            origin: URL,
        }
    }

    pub(super) fn says(&mut self, yes: &Yes) {
        let challenge = challenge(&yes.signed_operation, yes.operator, &yes.nonce);
        let client_data = format!(
            r#"{{"type":"webauthn.get","challenge":"{}","origin":"{}","crossOrigin":false}}"#,
            BASE64URL_NOPAD.encode(&challenge),
            yes.origin,
        );
        let mut authenticator_data = Sha256::digest(HOST).to_vec();
        authenticator_data.extend([0x1d, 0, 0, 0, 0]);
        let mut signed = authenticator_data.clone();
        signed.extend_from_slice(&Sha256::digest(&client_data));
        let signature: Signature = yes.key.sign(&signed);
        let rest = format!(
            r#""operation":"{}","number":1,"operator":{},"nonce":"{}","authenticator_data":"{}","client_data":"{}","signature":"{}","public_key":"{}""#,
            HEXLOWER.encode(&yes.operation),
            yes.operator,
            BASE64URL_NOPAD.encode(&yes.nonce),
            BASE64URL_NOPAD.encode(&authenticator_data),
            BASE64URL_NOPAD.encode(client_data.as_bytes()),
            BASE64URL_NOPAD.encode(signature.to_der().as_bytes()),
            public(&yes.key),
        );
        self.tell("operation-approved", &rest);
    }

    /// Something comes of an operation, and it is told to be done.
    pub(super) fn does(&mut self, operation: &OperationId, act: &str, rest: &str, yeses: &str) {
        self.effect(operation, act, rest);
        self.done(operation, yeses);
    }

    pub(super) fn effect(&mut self, operation: &OperationId, act: &str, rest: &str) {
        let by = HEXLOWER.encode(operation);
        self.tell(act, &format!(r#"{rest},"by":{{"operation":"{by}"}}"#));
    }

    pub(super) fn done(&mut self, operation: &OperationId, yeses: &str) {
        let operation = HEXLOWER.encode(operation);
        let rest = format!(r#""operation":"{operation}","number":1,"yeses":[{yeses}]"#);
        self.tell("operation-done", &rest);
    }

    pub(super) fn ended(&mut self, operation: &OperationId) {
        let operation = HEXLOWER.encode(operation);
        let rest = format!(r#""operation":"{operation}","number":1,"why":"stopped","operator":2"#);
        self.tell("operation-ended", &rest);
    }

    pub(super) fn found(&self) -> Approved {
        let mut approvals = Approvals::default();
        self.read_by(&mut approvals);
        approvals.found()
    }

    pub(super) fn read_by(&self, approvals: &mut Approvals) {
        for (place, leaf) in (0..).zip(&self.leaves) {
            approvals.read(leaf, place);
        }
    }

    /// What is wrong, without where.
    pub(super) fn problems(&self) -> Vec<Problem> {
        let complaints = self.found().complaints;
        complaints.into_iter().map(|it| it.problem).collect()
    }
}
