//! What people and other clients write: the configuration, receipts, evidence.

use std::collections::BTreeSet;

use jiff::Timestamp;
use strongroom_model::evidence::{Share, Verifier, Verify};
use strongroom_model::receipt::{Chain, Signature};
use strongroom_model::{Config, ConfigError, CopyEvidence, SignedReceipt};

/// The longest line of a message: a piece of what was written, and words around it.
const LONGEST_MESSAGE: usize = 2_000;

pub(crate) fn strongroom_toml(data: &[u8]) -> bool {
    let Ok(text) = str::from_utf8(data) else {
        return false;
    };
    match Config::parse(text, &environment) {
        Ok(config) => {
            assert!(!config.sources.is_empty() && !config.copies.is_empty());
            let names: BTreeSet<_> = config.copies.iter().map(|copy| &copy.name).collect();
            assert_eq!(names.len(), config.copies.len(), "two copies of one name");
            true
        }
        Err(error) => {
            refused_with_reasons(text, &error);
            false
        }
    }
}

/// Whatever is refused is refused with a line of the file and what to write instead.
pub(crate) fn refused_with_reasons(text: &str, error: &ConfigError) {
    assert!(!error.problems().is_empty(), "refused without a reason");
    let last_line = text.split('\n').count();
    for problem in error.problems() {
        assert!((1..=last_line).contains(&problem.line), "{problem}");
        assert!(problem.message.len() < LONGEST_MESSAGE, "{problem}");
        assert!(!problem.hint.is_empty(), "{problem}");
    }
}

pub(crate) fn environment(name: &str) -> Option<String> {
    match name {
        "HOME" => Some("/home/user".to_owned()),
        "TOKEN" => Some("a:b@c/d?e#f%\"\\\n\u{e4}".to_owned()),
        "EMPTY" => Some(String::new()),
        _ => None,
    }
}

pub(crate) fn receipt(data: &[u8]) -> bool {
    let Ok(signed) = SignedReceipt::from_json(data) else {
        return false;
    };
    let json = signed.to_json().unwrap_or_default();
    assert_eq!(SignedReceipt::from_json(&json).as_ref().ok(), Some(&signed));
    assert!(signed.verify(|_, _, _| false).is_err(), "taken unsigned");
    let Ok(verified) = signed.verify(|_, _, _| true) else {
        return false;
    };
    assert_eq!(verified.id(), signed.id());
    let signature = |_: &[u8]| Signature::from_bytes([0; 64]);
    let again = SignedReceipt::new(verified.receipt(), signature);
    let again = again.and_then(|signed| signed.verify(|_, _, _| true));
    assert_eq!(
        again.as_ref().map(|again| again.receipt()).ok(),
        Some(verified.receipt())
    );
    let mut chain = Chain::default();
    if chain.push(&verified).is_ok() {
        assert_eq!(chain.last(), Some(verified.id()));
        let _ = chain.needs().files().count();
        assert!(chain.push(&verified).is_err(), "it followed itself");
    }
    true
}

pub(crate) fn evidence(data: &[u8]) -> bool {
    let Ok(mut evidence) = CopyEvidence::from_json(data) else {
        return false;
    };
    let json = evidence.to_json().unwrap_or_default();
    assert_eq!(
        CopyEvidence::from_json(&json).ok().as_ref(),
        Some(&evidence)
    );
    let _ = evidence.every_byte_read_since();
    for share in [
        Share::Slice { number: 1, of: 3 },
        Share::Percent(5),
        Share::All,
    ] {
        let verify = Verify {
            at: Timestamp::UNIX_EPOCH,
            by: Verifier::Us,
            share,
            decoded: true,
        };
        evidence.record_verify(verify, []);
    }
    assert!(evidence.damage().is_empty(), "all was read and was good");
    assert!(evidence.every_byte_read_since() >= Some(Timestamp::UNIX_EPOCH));
    true
}
