//! Random irreducible polynomials over GF(2) of degree 53, which a `config` must contain.
//!
//! Our own chunker does not use it, but restic refuses a repository whose polynomial is reducible
//! and would use it for what it writes there itself.

use crate::{Error, Result};

const DEGREE: u32 = 53;

/// Draws polynomials until one is irreducible: one in 53 of degree 53 is, one in 27 of the odd.
pub(crate) fn random_irreducible() -> Result<u64> {
    loop {
        let drawn = getrandom::u64().map_err(|_| Error::NoRandomness)?;
        let candidate = drawn & ((1 << DEGREE) - 1) | (1 << DEGREE) | 1;
        if is_irreducible(candidate) {
            return Ok(candidate);
        }
    }
}

/// Ben-Or's test: `f` of degree `n` is irreducible if and only if `gcd(f, x^(2^i) − x) = 1` for
/// all `i` up to `n / 2`.
fn is_irreducible(f: u64) -> bool {
    let mut power = 2;
    for _ in 0..degree(f) / 2 {
        power = multiply(power, power, f);
        if gcd(f, power ^ 2) != 1 {
            return false;
        }
    }
    degree(f) > 0
}

fn degree(f: u64) -> u32 {
    63_u32.saturating_sub(f.leading_zeros())
}

fn remainder(mut a: u64, b: u64) -> u64 {
    while a != 0 && degree(a) >= degree(b) {
        a ^= b << (degree(a) - degree(b));
        if degree(b) == 0 {
            return 0;
        }
    }
    a
}

fn gcd(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, remainder(a, b));
    }
    a
}

fn multiply(mut a: u64, mut b: u64, modulus: u64) -> u64 {
    let mut product = 0;
    while b != 0 {
        if b & 1 == 1 {
            product ^= a;
        }
        b >>= 1;
        a <<= 1;
        if degree(a) == degree(modulus) {
            a ^= modulus;
        }
    }
    product
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_polynomials_are_told_apart() {
        // x^8 + x^4 + x^3 + x + 1 (AES) and restic's test polynomial are irreducible.
        assert!(is_irreducible(0x11b));
        assert!(is_irreducible(0x003d_a335_8b4d_c173));
        // x^8 + 1 = (x + 1)^8, and a product of two of degree 2 and 3.
        assert!(!is_irreducible(0x101));
        assert!(!is_irreducible(multiply(0b111, 0b1011, 1 << 62)));
    }

    #[test]
    fn drawn_ones_have_degree_53() {
        let drawn = random_irreducible().unwrap();
        assert_eq!(degree(drawn), 53);
        assert!(is_irreducible(drawn));
    }
}
