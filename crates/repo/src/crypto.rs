//! The one cipher of the format: AES-256 in counter mode, authenticated with Poly1305-AES.
//!
//! Each encrypted piece is `nonce (16) ‖ ciphertext ‖ tag (16)`; see "Keys, Encryption and MAC" in
//! restic's design document. The Poly1305 one-time key is `r ‖ AES-128_k(nonce)`. A nonce is 16
//! random bytes, so that 2^48 pieces under one key still leave the chance of a repetition
//! below 2^-32.
//!
//! Nothing is decrypted before its tag was compared, in constant time.

use aes::cipher::{BlockCipherEncrypt, InnerIvInit, KeyInit, StreamCipher};
use aes::{Aes128, Aes256};
use ctr::{Ctr128BE, CtrCore};
use data_encoding::BASE64;
use poly1305::Poly1305;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::{Error, Result, json};

/// Bytes that encryption adds to a piece: nonce and tag.
pub const OVERHEAD_BYTES: usize = NONCE_BYTES + TAG_BYTES;

/// Bytes of a nonce, which stand before the ciphertext.
pub const NONCE_BYTES: usize = 16;

const TAG_BYTES: usize = 16;

/// The bits of `r` that Poly1305 uses: RFC 8439, section 2.5.
const R_MASK: [u8; 16] = [
    255, 255, 255, 15, 252, 255, 255, 15, 252, 255, 255, 15, 252, 255, 255, 15,
];

/// A key that encrypts and authenticates: the master key of a repository, or the key that scrypt
/// makes of a password.
///
/// Debug shows nothing of it; the key material is wiped when dropped.
#[derive(Clone)]
pub struct Key {
    material: Material,
    cipher: Aes256,
    mac: Aes128,
}

#[derive(Clone, Zeroize, ZeroizeOnDrop)]
struct Material {
    encrypt: [u8; 32],
    mac_k: [u8; 16],
    mac_r: [u8; 16],
}

impl Key {
    /// Makes a new random key.
    ///
    /// # Errors
    /// [`Error::NoRandomness`].
    pub fn generate() -> Result<Self> {
        let mut bytes = Zeroizing::new([0; 64]);
        getrandom::fill(bytes.as_mut_slice()).map_err(|_| Error::NoRandomness)?;
        Ok(Self::from_bytes(&bytes))
    }

    /// Takes `encrypt (32) ‖ k (16) ‖ r (16)`, the order in which scrypt's output is used.
    pub fn from_bytes(bytes: &[u8; 64]) -> Self {
        let mut material = Material {
            encrypt: [0; 32],
            mac_k: [0; 16],
            mac_r: [0; 16],
        };
        let (encrypt, mac) = bytes.split_at(32);
        let (mac_k, mac_r) = mac.split_at(16);
        material.encrypt.copy_from_slice(encrypt);
        material.mac_k.copy_from_slice(mac_k);
        material.mac_r.copy_from_slice(mac_r);
        Self::of_material(material)
    }

    fn of_material(material: Material) -> Self {
        Self {
            cipher: Aes256::new(&material.encrypt.into()),
            mac: Aes128::new(&material.mac_k.into()),
            material,
        }
    }

    /// Encrypts `plain` into a new buffer.
    ///
    /// # Errors
    /// [`Error::NoRandomness`].
    pub fn seal(&self, plain: &[u8]) -> Result<Vec<u8>> {
        let mut buffer = Vec::with_capacity(plain.len() + OVERHEAD_BYTES);
        buffer.resize(NONCE_BYTES, 0);
        buffer.extend_from_slice(plain);
        self.seal_in_place(&mut buffer)?;
        Ok(buffer)
    }

    /// Encrypts what follows the first [`NONCE_BYTES`] of `buffer`, whose place the nonce takes,
    /// and appends the tag.
    ///
    /// # Errors
    /// [`Error::NoRandomness`]; [`Error::Invalid`] where the buffer has no room for the nonce.
    pub fn seal_in_place(&self, buffer: &mut Vec<u8>) -> Result<()> {
        let Some((nonce, text)) = buffer.split_first_chunk_mut::<NONCE_BYTES>() else {
            return Err(Error::Invalid(
                "A buffer without room for a nonce".to_owned(),
            ));
        };
        getrandom::fill(nonce).map_err(|_| Error::NoRandomness)?;
        self.apply_keystream(nonce, text);
        let tag = self.tag(nonce, text);
        buffer.extend_from_slice(&tag);
        Ok(())
    }

    /// Checks and decrypts a piece where it lies; returns the plain text within `buffer`.
    ///
    /// Returns `None` where the piece is too short or its tag is wrong; then nothing was decrypted.
    pub fn open_in_place<'a>(&self, buffer: &'a mut [u8]) -> Option<&'a mut [u8]> {
        let (nonce, rest) = buffer.split_first_chunk_mut::<NONCE_BYTES>()?;
        let (text, tag) = rest.split_last_chunk_mut::<TAG_BYTES>()?;
        if !bool::from(self.tag(nonce, text).as_slice().ct_eq(tag.as_slice())) {
            return None;
        }
        self.apply_keystream(nonce, text);
        Some(text)
    }

    /// Checks and decrypts a piece into a new buffer; `None` as in [`Key::open_in_place`].
    pub fn open(&self, sealed: &[u8]) -> Option<Vec<u8>> {
        let mut buffer = sealed.to_vec();
        let length = self.open_in_place(&mut buffer)?.len();
        buffer.copy_within(NONCE_BYTES..NONCE_BYTES + length, 0);
        buffer.truncate(length);
        Some(buffer)
    }

    /// Derives `N` bytes for another purpose, by HKDF-SHA-256 (RFC 5869) from the whole key.
    ///
    /// Of `r` the bits are cleared that Poly1305 never uses: key files differ in them, since restic
    /// 0.14 clears them in those that it adds, and all are one key.
    ///
    /// # Errors
    /// [`Error::Invalid`] for more bytes than HKDF has.
    pub fn derive<const N: usize>(&self, purpose: &str) -> Result<Zeroizing<[u8; N]>> {
        let mut input = Zeroizing::new([0; 64]);
        let (encrypt, mac) = input.split_at_mut(32);
        let (mac_k, mac_r) = mac.split_at_mut(16);
        encrypt.copy_from_slice(&self.material.encrypt);
        mac_k.copy_from_slice(&self.material.mac_k);
        mac_r.copy_from_slice(&self.material.mac_r);
        clamp(mac_r);
        let mut output = Zeroizing::new([0; N]);
        hkdf::Hkdf::<sha2::Sha256>::new(None, input.as_slice())
            .expand(purpose.as_bytes(), output.as_mut_slice())
            .map_err(|_| Error::Invalid(format!("{N} bytes are too many to derive")))?;
        Ok(output)
    }

    /// The key as the JSON that a key file holds encrypted.
    pub(crate) fn to_json(&self) -> Result<Zeroizing<Vec<u8>>> {
        let wire = WireKey {
            mac: WireMac {
                k: BASE64.encode(&self.material.mac_k),
                r: BASE64.encode(&self.material.mac_r),
            },
            encrypt: BASE64.encode(&self.material.encrypt),
        };
        let json = json::encode(&wire)?;
        Ok(Zeroizing::new(json))
    }

    /// Reads the JSON of [`Key::to_json`]; `None` where it is not that.
    pub(crate) fn from_json(json: &[u8]) -> Option<Self> {
        let wire: WireKey = serde_json::from_slice(json).ok()?;
        let decode = |text: &str| BASE64.decode(text.as_bytes()).ok().map(Zeroizing::new);
        let mut material = Material {
            encrypt: [0; 32],
            mac_k: [0; 16],
            mac_r: [0; 16],
        };
        copy_exact(&mut material.encrypt, &decode(&wire.encrypt)?)?;
        copy_exact(&mut material.mac_k, &decode(&wire.mac.k)?)?;
        copy_exact(&mut material.mac_r, &decode(&wire.mac.r)?)?;
        Some(Self::of_material(material))
    }

    fn apply_keystream(&self, nonce: &[u8; NONCE_BYTES], text: &mut [u8]) {
        let core = CtrCore::inner_iv_init(self.cipher.clone(), &(*nonce).into());
        Ctr128BE::from_core(core).apply_keystream(text);
    }

    fn tag(&self, nonce: &[u8; NONCE_BYTES], text: &[u8]) -> [u8; TAG_BYTES] {
        let mut pad = (*nonce).into();
        self.mac.encrypt_block(&mut pad);
        let mut key = Zeroizing::new([0; 32]);
        let (r, s) = key.split_at_mut(16);
        r.copy_from_slice(&self.material.mac_r);
        s.copy_from_slice(&pad);
        let key: poly1305::Key = (*key).into();
        Poly1305::new(&key).compute_unpadded(text).into()
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(…)")
    }
}

#[derive(Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
struct WireKey {
    mac: WireMac,
    encrypt: String,
}

#[derive(Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
struct WireMac {
    k: String,
    r: String,
}

/// Clears the bits of `r` that Poly1305 never uses: RFC 8439, section 2.5.
fn clamp(mac_r: &mut [u8]) {
    for (byte, mask) in mac_r.iter_mut().zip(R_MASK) {
        *byte &= mask;
    }
}

fn copy_exact(target: &mut [u8], source: &[u8]) -> Option<()> {
    (target.len() == source.len()).then(|| target.copy_from_slice(source))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The Poly1305-AES test vectors of Bernstein's paper, appendix B.
    #[test]
    fn tags_are_those_of_the_paper() {
        let cases: [(&str, &str, &str, &str, &str); 2] = [
            (
                "f3f6",
                "851fc40c3467ac0be05cc20404f3f700",
                "ec074c835580741701425b623235add6",
                "fb447350c4e868c52ac3275cf9d4327e",
                "f4c633c3044fc145f84f335cb81953de",
            ),
            (
                "",
                "a0f3080000f46400d0c7e9076c834403",
                "75deaa25c09f208e1dc4ce6b5cad3fbf",
                "61ee09218d29b0aaed7e154a2c5509cc",
                "dd3fab2251f11ac759f0887129cc2ee7",
            ),
        ];
        let hex = |text: &str| data_encoding::HEXLOWER.decode(text.as_bytes()).unwrap();
        for (message, r, k, nonce, tag) in cases {
            let mut bytes = [0; 64];
            bytes[32..48].copy_from_slice(&hex(k));
            bytes[48..].copy_from_slice(&hex(r));
            let key = Key::from_bytes(&bytes);
            let nonce: [u8; 16] = hex(nonce).try_into().unwrap();
            assert_eq!(key.tag(&nonce, &hex(message)).to_vec(), hex(tag));
        }
    }

    proptest! {
        #[test]
        fn what_was_sealed_opens_and_nothing_else_does(
            plain in proptest::collection::vec(any::<u8>(), 0..300),
            flip in any::<proptest::sample::Index>(),
        ) {
            let key = Key::generate().unwrap();
            let mut sealed = key.seal(&plain).unwrap();
            prop_assert_eq!(sealed.len(), plain.len() + OVERHEAD_BYTES);
            prop_assert_eq!(key.open(&sealed), Some(plain));
            let position = flip.index(sealed.len());
            sealed[position] ^= 0x10;
            prop_assert_eq!(key.open(&sealed), None);
        }

        #[test]
        fn no_input_panics(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            prop_assert_eq!(Key::generate().unwrap().open(&bytes), None);
        }
    }

    #[test]
    fn what_is_derived_does_not_depend_on_bits_that_poly1305_never_uses() {
        let mut bytes = [0xa5; 64];
        let plain = Key::from_bytes(&bytes);
        // As restic 0.14 writes the same key.
        let (_, mac_r) = bytes.split_at_mut(48);
        clamp(mac_r);
        assert_ne!(bytes, [0xa5; 64]);
        let clamped = Key::from_bytes(&bytes);
        assert_eq!(plain.open(&clamped.seal(b"x").unwrap()).unwrap(), b"x");
        let derived = |key: &Key| key.derive::<32>("a purpose").unwrap().to_vec();
        assert_eq!(derived(&plain), derived(&clamped));
        // Any other bit makes another key.
        bytes[48] ^= 1;
        assert_ne!(derived(&plain), derived(&Key::from_bytes(&bytes)));
    }

    #[test]
    fn a_key_survives_its_json() {
        let key = Key::generate().unwrap();
        let again = Key::from_json(&key.to_json().unwrap()).unwrap();
        assert_eq!(again.open(&key.seal(b"x").unwrap()).unwrap(), b"x");
        assert!(
            Key::from_json(b"{\"mac\":{\"k\":\"AA==\",\"r\":\"\"},\"encrypt\":\"\"}").is_none()
        );
    }
}
