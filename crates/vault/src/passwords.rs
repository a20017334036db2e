//! Passwords by argon2id, and codes of TOTP (RFC 6238) beside them.
//!
//! The secret of TOTP is not kept anywhere: it is derived from a key of the vault's folder and a salt,
//! so that whoever reads the database alone learns nothing, and nothing has to be decrypted.

use std::sync::atomic::{AtomicUsize, Ordering};

use argon2::Argon2;
use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use data_encoding::BASE32_NOPAD;
use hkdf::Hkdf;
use parking_lot::Mutex;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::Sha256;
use strongroom_model::Secret;
use totp_rs::{Algorithm, Builder};

use crate::{Error, Result};

/// The fewest characters of a password.
pub const SHORTEST: usize = 12;

/// The most bytes of one.
pub const LONGEST_BYTES: usize = 1024;

/// How many bytes the salts of both have.
pub const SALT_BYTES: usize = 16;

/// A code counts for so many seconds, and one step before and after.
const STEP_S: u64 = 30;

/// As RFC 4226 recommends.
const TOTP_SECRET_BYTES: usize = 20;

/// A hash of nothing that anybody knows: names that nobody has cost the same as others.
const NOBODYS: &str = "$argon2id$v=19$m=19456,t=2,p=1$c3Ryb25ncm9vbW5vYm9keQ$\
                       7uCGq2bB0zEo6ZZ6Nq3mXkVnQ2c0b2ZqTqf6mS0g9bE";

/// How many wait for their turn; whoever comes then is asked to come again.
const MOST_WAITING: usize = 8;

/// So many more may be those who were signed in in their browser before.
const MOST_KNOWN: usize = 8;

/// Hashes and compares passwords, one at a time: each takes 19 MiB and some 20 ms of a processor, and
/// whoever guesses shall neither have all of them nor all the threads that wait.
#[derive(Debug)]
pub struct Passwords {
    key: Secret,
    turn: Mutex<()>,
    waiting: AtomicUsize,
}

/// A place among those that wait, until it is dropped.
#[derive(Debug)]
pub struct Place<'p>(&'p AtomicUsize);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Passwords {
    /// `key` is that of the vault's folder from which secrets of TOTP are derived.
    pub const fn new(key: Secret) -> Self {
        Self {
            key,
            turn: Mutex::new(()),
            waiting: AtomicUsize::new(0),
        }
    }

    /// A place among those that wait for their turn, which has to be taken before anything is counted:
    /// whoever finds none has guessed nothing.
    ///
    /// # Errors
    /// [`Error::Crowded`] where too many wait.
    pub fn place(&self, is_known: bool) -> Result<Place<'_>> {
        let most = match is_known {
            true => MOST_WAITING + MOST_KNOWN,
            false => MOST_WAITING,
        };
        let before = self.waiting.fetch_add(1, Ordering::Relaxed);
        let place = Place(&self.waiting);
        match before < most {
            true => Ok(place),
            false => Err(Error::Crowded {
                what: "sign-ins by password",
            }),
        }
    }

    /// What is kept of a password.
    ///
    /// # Errors
    /// [`Error::Malformed`] where it is too short or too long.
    pub fn hash(&self, password: &Secret, salt: &[u8; SALT_BYTES]) -> Result<String> {
        let text = password.expose();
        if text.chars().count() < SHORTEST || text.len() > LONGEST_BYTES {
            return Err(Error::Malformed {
                what: "password",
                reason: format!(
                    "it needs {SHORTEST} characters at least, and at most {LONGEST_BYTES} bytes"
                ),
            });
        }
        let salt = SaltString::encode_b64(salt).map_err(|_| Error::Unfinished)?;
        let _place = self.place(true)?;
        let _turn = self.turn.lock();
        let hash = Argon2::default().hash_password(text.as_bytes(), &salt);
        hash.map(|hash| hash.to_string())
            .map_err(|_| Error::Unfinished)
    }

    /// Whether a password is the one of which `kept` is kept; where there is none, after the same work.
    pub fn is_right(&self, _place: &Place<'_>, password: &Secret, kept: Option<&str>) -> bool {
        let text = password.expose();
        if text.len() > LONGEST_BYTES {
            return false;
        }
        let hash = PasswordHash::new(kept.unwrap_or(NOBODYS));
        let Ok(hash) = hash else {
            return false;
        };
        let _turn = self.turn.lock();
        let is_right = Argon2::default().verify_password(text.as_bytes(), &hash);
        is_right.is_ok() && kept.is_some()
    }

    /// The step to which a code belongs at a moment of the wall clock, where it is right.
    ///
    /// # Errors
    /// [`Error::Unfinished`] where the library fails.
    pub fn step_of(&self, code: &str, salt: &[u8], wall_ms: i64) -> Result<Option<u64>> {
        let seconds = u64::try_from(wall_ms / 1000).unwrap_or_default();
        let totp = Builder::new()
            .with_algorithm(Algorithm::SHA1)
            .with_digits(6)
            .with_skew(1)
            .with_step_duration(STEP_S)
            .with_secret(self.totp_secret(salt))
            .build()
            .map_err(|_| Error::Unfinished)?;
        Ok(totp.check(code, seconds))
    }

    /// What an application for codes is given: the secret in base32, and the address that says all.
    pub fn for_application(&self, salt: &[u8], vault: &str, name: &str) -> (Secret, Secret) {
        let secret = BASE32_NOPAD.encode(&self.totp_secret(salt));
        let of = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let address = format!(
            "otpauth://totp/{vault}:{name}?secret={secret}&issuer={vault}",
            vault = of(vault),
            name = of(name)
        );
        (Secret::new(secret), Secret::new(address))
    }

    fn totp_secret(&self, salt: &[u8]) -> [u8; TOTP_SECRET_BYTES] {
        let mut secret = [0; TOTP_SECRET_BYTES];
        let derived = Hkdf::<Sha256>::new(Some(salt), self.key.expose().as_bytes())
            .expand(b"strongroom totp", &mut secret);
        // So short a secret can always be derived.
        debug_assert!(derived.is_ok());
        secret
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passwords() -> Passwords {
        Passwords::new(Secret::new("a key of 32 random bytes or more"))
    }

    #[test]
    fn a_password_is_right_and_another_one_is_not_and_nobody_has_one() {
        let passwords = passwords();
        let place = passwords.place(false).unwrap();
        let password = Secret::new("correct horse battery");
        let kept = passwords.hash(&password, &[1; SALT_BYTES]).unwrap();
        assert!(
            kept.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{kept}"
        );
        assert!(passwords.is_right(&place, &password, Some(&kept)));
        let other = Secret::new("correct horse batterz");
        assert!(!passwords.is_right(&place, &other, Some(&kept)));
        assert!(!passwords.is_right(&place, &password, None));
        assert!(PasswordHash::new(NOBODYS).unwrap().hash.is_some());
        let long = Secret::new("x".repeat(LONGEST_BYTES + 1));
        assert!(passwords.hash(&long, &[1; SALT_BYTES]).is_err());
        assert!(!passwords.is_right(&place, &long, Some(&kept)));
        let short = Secret::new("x".repeat(SHORTEST - 1));
        let refused = passwords.hash(&short, &[1; SALT_BYTES]).unwrap_err();
        assert!(refused.to_string().contains("12 characters"), "{refused}");
    }

    #[test]
    fn no_more_wait_for_their_turn_than_there_are_places_and_strangers_take_not_all() {
        let passwords = passwords();
        let strangers: Vec<_> = (0..MOST_WAITING)
            .map(|_| passwords.place(false).unwrap())
            .collect();
        let crowded = passwords.place(false).unwrap_err();
        assert!(matches!(crowded, Error::Crowded { .. }));
        let known: Vec<_> = (0..MOST_KNOWN)
            .map(|_| passwords.place(true).unwrap())
            .collect();
        assert!(passwords.place(true).is_err());
        drop((strangers, known));
        assert!(passwords.place(false).is_ok());
    }

    #[test]
    fn a_code_belongs_to_a_step_and_counts_one_before_and_after() {
        let passwords = passwords();
        let (secret, address) = passwords.for_application(b"salt", "vault.example.net", "anna b");
        let bytes = BASE32_NOPAD.decode(secret.expose().as_bytes()).unwrap();
        assert_eq!(bytes.len(), TOTP_SECRET_BYTES);
        let address = address.expose();
        assert!(
            address.starts_with("otpauth://totp/vault%2Eexample%2Enet:anna%20b?secret="),
            "{address}"
        );
        let bytes = <[u8; TOTP_SECRET_BYTES]>::try_from(bytes).unwrap();
        let totp = Builder::new().with_secret(bytes).build_noncompliant();
        let code = totp.generate(3_000).to_string();
        for (wall_ms, step) in [
            (3_000_000, Some(100)),
            (2_970_000, Some(100)),
            (3_059_999, Some(100)),
            (2_969_999, None),
            (3_060_000, None),
        ] {
            let found = passwords.step_of(&code, b"salt", wall_ms).unwrap();
            assert_eq!(found, step, "{wall_ms}");
        }
        assert_eq!(passwords.step_of(&code, b"other", 3_000_000).unwrap(), None);
        assert_eq!(passwords.step_of("", b"salt", 3_000_000).unwrap(), None);
    }
}
