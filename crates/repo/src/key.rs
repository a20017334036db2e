//! Key files: the master key under a password.
//!
//! Plain JSON with scrypt parameters and an encrypted part; host, user and time stand open in it.
//! Whoever may upload may put a junk key beside the real ones, so that every field is an attack:
//! the parameters are bounded before any memory is spent, a key that does not parse is passed
//! over, at most [`MAX_KEY_FILES_READ`] are read, and of these [`MAX_KEYS_TRIED`] are tried with a
//! password. Which of them come first is told by
//! [`Repository::open`](crate::Repository::open).
//!
//! Removing a key does not revoke it: who has an old version of the repository and the old
//! password still reads everything, because the master key stays the same.

use data_encoding::BASE64;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::{Error, Key, Result, json};

/// How many key files are tried with one password; as restic does.
pub const MAX_KEYS_TRIED: usize = 20;

/// How many key files are read to find those that are tried: whoever may upload makes any number.
pub const MAX_KEY_FILES_READ: usize = 1000;

/// The most bytes of a key file that is read.
pub const MAX_KEY_FILE_BYTES: u64 = 64 << 10;

/// The most memory that a key file may ask scrypt for: `128 · N · r` bytes.
const MAX_SCRYPT_MEMORY_BYTES: u64 = 1 << 30;
/// The most work that a key file may ask for, as `N · r · p`; ours asks for 2^20.
const MAX_SCRYPT_WORK: u64 = 1 << 26;

/// The cost of a new key file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScryptCost {
    /// The binary logarithm of N.
    pub log_n: u8,
    /// The block size r.
    pub r: u32,
    /// The parallelisation p.
    pub p: u32,
}

impl ScryptCost {
    /// N = 16, r = 8, p = 1: opens at once and guards nothing, for repositories of tests.
    pub const LEAST: Self = Self {
        log_n: 4,
        r: 8,
        p: 1,
    };
}

impl Default for ScryptCost {
    /// N = 32768, r = 8, p = 4: what new keys get at least.
    fn default() -> Self {
        Self {
            log_n: 15,
            r: 8,
            p: 4,
        }
    }
}

/// A key file as stored. Who made it and when is for people to read, and not every client says it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct KeyFile {
    /// When it was made, by the clock of who made it.
    #[serde(default)]
    pub created: Option<Timestamp>,
    /// The user that made it.
    #[serde(default)]
    pub username: Option<String>,
    /// The host that made it.
    #[serde(default)]
    pub hostname: Option<String>,
    kdf: String,
    #[serde(rename = "N")]
    n: u64,
    r: u32,
    p: u32,
    salt: String,
    data: String,
}

impl KeyFile {
    /// Puts `master` under `password`.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an empty password, [`Error::NoRandomness`].
    pub fn seal(
        master: &Key,
        password: &[u8],
        cost: ScryptCost,
        created: Timestamp,
        username: &str,
        hostname: &str,
    ) -> Result<Self> {
        if password.is_empty() {
            return Err(Error::Invalid(
                "An empty password protects nothing".to_owned(),
            ));
        }
        let mut salt = [0; 64];
        getrandom::fill(&mut salt).map_err(|_| Error::NoRandomness)?;
        let user_key = derive(password, &salt, cost)
            .ok_or_else(|| Error::Invalid(format!("Impossible scrypt parameters {cost:?}")))?;
        Ok(Self {
            created: Some(created),
            username: Some(username.to_owned()),
            hostname: Some(hostname.to_owned()),
            kdf: "scrypt".to_owned(),
            n: 1_u64.checked_shl(cost.log_n.into()).unwrap_or_default(),
            r: cost.r,
            p: cost.p,
            salt: BASE64.encode(&salt),
            data: BASE64.encode(&user_key.seal(&master.to_json()?)?),
        })
    }

    /// The bytes of the file, whose SHA-256 is its name.
    ///
    /// # Errors
    /// None in practice: all fields are text and numbers.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        json::encode(self)
    }

    /// Reads a key file and checks that opening it would cost no more than is reasonable.
    ///
    /// # Errors
    /// A text that says what is wrong with it.
    pub fn parse(bytes: &[u8]) -> std::result::Result<Self, String> {
        let file: Self = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        file.cost()?;
        Ok(file)
    }

    /// Tries a password; `None` where it is not the right one.
    pub fn open(&self, password: &[u8]) -> Option<Key> {
        let salt = BASE64.decode(self.salt.as_bytes()).ok()?;
        let data = BASE64.decode(self.data.as_bytes()).ok()?;
        let user_key = derive(password, &salt, self.cost().ok()?)?;
        let json = Zeroizing::new(user_key.open(&data)?);
        Key::from_json(&json)
    }

    /// The parameters, within bounds.
    ///
    /// # Errors
    /// A text that says which is out of bounds.
    pub fn cost(&self) -> std::result::Result<ScryptCost, String> {
        if self.kdf != "scrypt" {
            return Err(format!("unknown key derivation {:?}", self.kdf));
        }
        if !self.n.is_power_of_two() || self.n < 2 || self.r == 0 || self.p == 0 {
            return Err("impossible scrypt parameters".to_owned());
        }
        let blocks = self.n.saturating_mul(self.r.into());
        if blocks.saturating_mul(128) > MAX_SCRYPT_MEMORY_BYTES
            || blocks.saturating_mul(self.p.into()) > MAX_SCRYPT_WORK
        {
            return Err("scrypt parameters that ask for too much memory or work".to_owned());
        }
        Ok(ScryptCost {
            log_n: u8::try_from(self.n.ilog2()).unwrap_or(u8::MAX),
            r: self.r,
            p: self.p,
        })
    }
}

fn derive(password: &[u8], salt: &[u8], cost: ScryptCost) -> Option<Key> {
    let params = scrypt::Params::new(cost.log_n, cost.r, cost.p).ok()?;
    let mut bytes = Zeroizing::new([0; 64]);
    scrypt::scrypt(password, salt, &params, bytes.as_mut_slice()).ok()?;
    Some(Key::from_bytes(&bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key_file(master: &Key) -> KeyFile {
        KeyFile::seal(
            master,
            b"right",
            ScryptCost::LEAST,
            Timestamp::UNIX_EPOCH,
            "u",
            "h",
        )
        .unwrap()
    }

    #[test]
    fn only_the_right_password_opens() {
        let master = Key::generate().unwrap();
        let file = KeyFile::parse(&key_file(&master).to_bytes().unwrap()).unwrap();
        assert!(file.open(b"wrong").is_none());
        let opened = file.open(b"right").unwrap();
        assert_eq!(opened.open(&master.seal(b"x").unwrap()).unwrap(), b"x");
    }

    #[test]
    fn parameters_that_would_eat_the_machine_are_refused() {
        let mut file = key_file(&Key::generate().unwrap());
        file.n = 1 << 40;
        assert!(KeyFile::parse(&file.to_bytes().unwrap()).is_err());
        file.n = 1 << 10;
        file.p = 1 << 30;
        assert!(KeyFile::parse(&file.to_bytes().unwrap()).is_err());
        file.p = 1;
        file.n = 1000;
        assert!(KeyFile::parse(&file.to_bytes().unwrap()).is_err());
        assert!(KeyFile::parse(b"{}").is_err());
    }

    #[test]
    fn a_key_that_a_stock_client_made_may_ask_for_more_than_ours() {
        let mut file = key_file(&Key::generate().unwrap());
        (file.n, file.r, file.p) = (1 << 19, 8, 1);
        assert!(file.cost().is_ok());
    }

    #[test]
    fn who_made_a_key_and_when_need_not_be_said() {
        let master = Key::generate().unwrap();
        let file = key_file(&master);
        let json: serde_json::Value = serde_json::from_slice(&file.to_bytes().unwrap()).unwrap();
        for field in ["created", "username", "hostname"] {
            let mut without = json.clone();
            without.as_object_mut().unwrap().remove(field);
            let mut null = json.clone();
            null[field] = serde_json::Value::Null;
            for other in [without, null] {
                let parsed = KeyFile::parse(other.to_string().as_bytes()).unwrap();
                assert!(parsed.open(b"right").is_some(), "{other}");
                let said = [
                    parsed.created.is_some(),
                    parsed.username.is_some(),
                    parsed.hostname.is_some(),
                ];
                assert_eq!(said.iter().filter(|said| **said).count(), 2);
            }
        }
    }

    #[test]
    fn an_empty_password_is_refused() {
        let master = Key::generate().unwrap();
        let made = KeyFile::seal(
            &master,
            b"",
            ScryptCost::LEAST,
            Timestamp::UNIX_EPOCH,
            "",
            "",
        );
        assert!(made.is_err());
    }
}
