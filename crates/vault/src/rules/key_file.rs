//! Whether a file can be a key of restic: so much can be seen without a password.
//!
//! A key that makes every client derive from absurd parameters, or that is no JSON at all, would
//! stop them all; so neither is taken.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;
use serde::de::IgnoredAny;

/// The most memory that a key may make a client take: 128 · N · r bytes.
const MEMORY_LIMIT_BYTES: u64 = 1 << 30;

/// The most that a key may ask for of p.
const P_LIMIT: u64 = 64;

/// The bytes of a salt: restic takes no other number.
const SALT_BYTES: usize = 64;

/// The fields of a key file, with the types that restic insists on; see its design document,
/// "Keys".
#[derive(Deserialize)]
#[expect(dead_code, reason = "some only have to be of their type")]
struct KeyFile {
    created: Option<Timestamp>,
    username: Option<String>,
    hostname: Option<String>,
    kdf: String,
    #[serde(rename = "N")]
    n: u64,
    r: u64,
    p: u64,
    salt: String,
    data: String,
    #[serde(flatten)]
    others: BTreeMap<String, IgnoredAny>,
}

const FIELDS: [&str; 9] = [
    "created", "username", "hostname", "kdf", "N", "r", "p", "salt", "data",
];

/// Checks the content of a key file.
///
/// # Errors
/// Says what is wrong.
pub fn check(content: &[u8]) -> Result<(), String> {
    let key: KeyFile = serde_json::from_slice(content)
        .map_err(|error| format!("they are no key file: {error}"))?;
    // restic takes a field for one that it knows whatever the case of its letters, and some letters
    // beyond ASCII for others: what is read here must be what is read there.
    let is_disguised = |name: &String| {
        !name.is_ascii() || FIELDS.iter().any(|known| known.eq_ignore_ascii_case(name))
    };
    if key.others.keys().any(is_disguised) {
        return Err("they have a field under two names".to_owned());
    }
    if key.kdf != "scrypt" {
        return Err("their key derivation is not scrypt".to_owned());
    }
    let memory_bytes = key
        .n
        .checked_mul(key.r)
        .and_then(|product| product.checked_mul(128));
    let is_sound = key.n.is_power_of_two()
        && key.n > 1
        && (1..=P_LIMIT).contains(&key.p)
        && memory_bytes.is_some_and(|bytes| (1..=MEMORY_LIMIT_BYTES).contains(&bytes));
    if !is_sound {
        return Err("their parameters of scrypt are beyond what any client takes".to_owned());
    }
    let decode = |text: &str| data_encoding::BASE64.decode(text.as_bytes());
    match (decode(&key.salt), decode(&key.data)) {
        (Ok(salt), Ok(data)) if salt.len() == SALT_BYTES && data.len() > 32 => Ok(()),
        _ => Err("their salt or data is not base64, or of a wrong length".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(kdf: &str, n: u64, r: u64, p: u64) -> Vec<u8> {
        let data = data_encoding::BASE64.encode(&[7; 150]);
        let salt = data_encoding::BASE64.encode(&[7; 64]);
        serde_json::json!({
            "created": "2026-11-20T10:00:00Z", "username": "u", "hostname": "h",
            "kdf": kdf, "N": n, "r": r, "p": p, "salt": salt, "data": data,
        })
        .to_string()
        .into_bytes()
    }

    #[test]
    fn what_restic_writes_is_a_key() {
        assert_eq!(check(&key("scrypt", 32_768, 8, 4)), Ok(()));
        assert_eq!(check(&key("scrypt", 262_144, 8, 1)), Ok(()));
    }

    /// A good key with one thing changed.
    fn changed(from: &str, to: &str) -> Vec<u8> {
        let good = String::from_utf8(key("scrypt", 32_768, 8, 4)).unwrap();
        assert!(good.contains(from), "{good}");
        good.replacen(from, to, 1).into_bytes()
    }

    #[test]
    fn what_stops_restic_is_none_though_the_rest_is_good() {
        let salt = data_encoding::BASE64.encode(&[7; 64]);
        let short = data_encoding::BASE64.encode(&[7; 63]);
        for bad in [
            changed(
                "\"created\":\"2026-11-20T10:00:00Z\"",
                "\"created\":\"yesterday\"",
            ),
            changed("\"created\":\"2026-11-20T10:00:00Z\"", "\"created\":7"),
            changed("\"hostname\":\"h\"", "\"hostname\":[]"),
            changed("\"username\":\"u\"", "\"username\":{}"),
            changed("{", "{\"n\":\"junk\","),
            changed("{", "{\"KDF\":\"none\","),
            changed("{", "{\"\u{17f}alt\":\"AAAA\","),
            changed("{", "{\"N\":1,"),
            changed(&salt, &short),
            changed(&salt, ""),
        ] {
            assert!(check(&bad).is_err(), "{}", String::from_utf8_lossy(&bad));
        }
        assert_eq!(check(&changed("{", "{\"more\":[1],")), Ok(()));
        assert_eq!(check(&changed("\"hostname\":\"h\",", "")), Ok(()));
    }

    #[test]
    fn junk_and_bombs_are_none() {
        for bad in [
            b"".to_vec(),
            b"junk!".to_vec(),
            b"{}".to_vec(),
            key("argon2id", 32_768, 8, 4),
            key("scrypt", 32_767, 8, 4),
            key("scrypt", 0, 8, 4),
            key("scrypt", 1 << 40, 8, 4),
            key("scrypt", 32_768, u64::MAX, 4),
            key("scrypt", 32_768, 0, 4),
            key("scrypt", 32_768, 8, 0),
            key("scrypt", 32_768, 8, 1 << 20),
        ] {
            assert!(check(&bad).is_err(), "{}", String::from_utf8_lossy(&bad));
        }
    }
}
