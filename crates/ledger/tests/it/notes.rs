//! Notes and checkpoints are taken as they are written, and in no other way.

use proptest::prelude::*;
use strongroom_ledger::key::NAME_LIMIT_BYTES;
use strongroom_ledger::note::{NOTE_LIMIT_BYTES, SIGNATURES_LIMIT};
use strongroom_ledger::{
    Checkpoint, Error, Hash, KeyKind, Note, SignedCheckpoint, Signer, Verifier,
};

use crate::scene::{LogFolder, ORIGIN, log_key};

fn signed() -> String {
    LogFolder::new(5).signed().note().to_string()
}

#[test]
fn what_is_no_note_is_refused() {
    let good = signed();
    let (text, line) = good.split_once("\n\n").unwrap();
    assert!(Note::parse(good.as_bytes()).is_ok());
    for bad in [
        String::new(),
        "\n\n".to_owned(),
        text.to_owned(),
        format!("{text}\n"),
        format!("{text}\n\n"),
        format!("{text}\n{line}"),
        format!("{text}\n\n{}", line.trim_end()),
        format!("{text}\n\n{line}{line}{}", &line[..20]),
        format!("{text}\n\n{line}Unexpected line\n"),
        format!("{text}\n\n{}", line.replace('—', "-")),
        format!("{text}\n\n{}", line.replace(ORIGIN, "")),
        format!("{text}\n\n{}", line.replace(ORIGIN, "a b")),
        format!("{text}\n\n{}", line.replace(ORIGIN, "a+b")),
        format!("{text}\n\n{}", line.replace(ORIGIN, "a\u{a0}b")),
        format!(
            "{text}\n\n{}",
            line.replace(ORIGIN, &"a".repeat(NAME_LIMIT_BYTES + 1))
        ),
        format!("{text}\n\n— {ORIGIN} AAAAAA==\n"),
        format!("{text}\n\n— {ORIGIN} AAAA\n"),
        format!("{text}\n\n— {ORIGIN} not base64\n"),
        format!("{text}\n\n{}", line.trim_end().trim_end_matches('=')),
        good.replace('\n', "\r\n"),
        format!("\u{1}{good}"),
        format!("{text}\n\n{}", line.repeat(SIGNATURES_LIMIT + 1)),
    ] {
        assert!(Note::parse(bad.as_bytes()).is_err(), "{bad:?}");
    }
    assert!(Note::parse(b"\xff\n\n").is_err());
    assert!(matches!(
        Note::parse(&vec![b'a'; NOTE_LIMIT_BYTES + 1]),
        Err(Error::TooLong { .. })
    ));
    let many = format!("{text}\n\n{}", line.repeat(16));
    assert!(Note::parse(many.as_bytes()).is_ok(), "16 must be taken");
}

#[test]
fn a_checkpoint_that_somebody_kept_is_read_up_to_the_length_of_a_note() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kept");
    let key = log_key();
    let key = key.verifier();
    let missing = SignedCheckpoint::kept(&path, key).unwrap_err();
    assert!(matches!(&missing, Error::Read { file, .. } if file.ends_with("kept")));
    std::fs::write(&path, signed()).unwrap();
    let kept = SignedCheckpoint::kept(&path, key).unwrap();
    assert_eq!(kept.note().to_string(), signed());
    std::fs::write(&path, vec![b'a'; NOTE_LIMIT_BYTES + 1]).unwrap();
    let long = SignedCheckpoint::kept(&path, key).unwrap_err();
    assert!(matches!(long, Error::TooLong { .. }), "{long:?}");
    std::fs::write(&path, b"anything").unwrap();
    assert!(SignedCheckpoint::kept(&path, key).is_err());
}

#[test]
fn what_is_no_checkpoint_is_refused() {
    let root = Hash::leaf(b"");
    let good = format!("log\n12\n{root}\n");
    assert_eq!(good.parse::<Checkpoint>().unwrap().size(), 12);
    assert!(format!("log\n0\n{root}\n").parse::<Checkpoint>().is_ok());
    for bad in [
        String::new(),
        "log\n".to_owned(),
        "log\n12\n".to_owned(),
        good.trim_end().to_owned(),
        format!("\n12\n{root}\n"),
        format!("log\n012\n{root}\n"),
        format!("log\n+12\n{root}\n"),
        format!("log\n-1\n{root}\n"),
        format!("log\n1 2\n{root}\n"),
        format!("log\n\n{root}\n"),
        format!("log\n{}\n{root}\n", u64::MAX),
        format!("log\n{}\n{root}\n", 1u64 << 63),
        format!("log\n99999999999999999999\n{root}\n"),
        "log\n12\nAAAA\n".to_owned(),
        format!("log\n12\n{root} \n"),
        format!("{good}\n"),
        format!("{good}extension\n\nanother\n"),
        format!("{}\n12\n{root}\n", "l".repeat(NAME_LIMIT_BYTES + 1)),
    ] {
        assert!(bad.parse::<Checkpoint>().is_err(), "{bad:?}");
    }
}

#[test]
fn extension_lines_are_kept_and_signed() {
    let text = format!("{ORIGIN}\n12\n{}\nfirst line\nsecond\n", Hash::leaf(b""));
    let state: Checkpoint = text.parse().unwrap();
    assert_eq!(state.extensions(), ["first line", "second"]);
    let signed = SignedCheckpoint::sign(state, &log_key()).unwrap();
    let note = signed.note().to_string();
    let key = log_key();
    let again = SignedCheckpoint::open(note.as_bytes(), key.verifier()).unwrap();
    assert_eq!(again, signed);
    let other = note.replace("second", "thirds");
    assert!(SignedCheckpoint::open(other.as_bytes(), key.verifier()).is_err());
}

#[test]
fn a_checkpoint_is_believed_only_with_its_own_logs_key() {
    let note = signed();
    let open = |key: &Verifier| SignedCheckpoint::open(note.as_bytes(), key);
    assert!(open(log_key().verifier()).is_ok());
    let other = Signer::from_seed(KeyKind::Log, ORIGIN, &[8; 32]).unwrap();
    assert!(matches!(
        open(other.verifier()),
        Err(Error::NotSigned { .. })
    ));
    // The same key under another name is the key of another log.
    let renamed = Signer::from_seed(KeyKind::Log, "other.example/log", &[7; 32]).unwrap();
    assert!(matches!(
        open(renamed.verifier()),
        Err(Error::OtherLog { .. })
    ));
    let witness = Signer::from_seed(KeyKind::Witness, ORIGIN, &[7; 32]).unwrap();
    assert!(matches!(
        open(witness.verifier()),
        Err(Error::WrongKind { .. })
    ));
    let state = open(log_key().verifier()).unwrap().checkpoint().clone();
    assert!(SignedCheckpoint::sign(state, &renamed).is_err());
}

#[test]
fn one_false_signature_by_a_known_key_spoils_the_note() {
    let note = signed();
    let line = note.lines().last().unwrap();
    let mut forged = line.to_owned();
    let place = line.len() - 20;
    let byte = if &line[place..=place] == "A" {
        "B"
    } else {
        "A"
    };
    forged.replace_range(place..=place, byte);
    let both = format!("{note}{forged}\n");
    let found = SignedCheckpoint::open(both.as_bytes(), log_key().verifier());
    assert!(matches!(found, Err(Error::WrongSignature { .. })));
}

#[test]
fn weak_keys_and_odd_names_are_no_keys() {
    let weak = [1].into_iter().chain([0; 31]).collect::<Vec<u8>>();
    let weak = weak.try_into().unwrap();
    assert!(Verifier::new(KeyKind::Log, "log", &weak).is_err());
    for name in ["", "a b", "a+b", "a\nb", "a\u{2003}b", "a\u{7f}b"] {
        assert!(Signer::from_seed(KeyKind::Log, name, &[1; 32]).is_err());
    }
}

#[test]
fn a_private_key_does_not_show_itself() {
    let shown = format!("{:?}", log_key());
    assert!(shown.contains(ORIGIN));
    assert!(!shown.contains("7, 7"), "{shown}");
}

proptest! {
    #[test]
    fn any_junk_is_refused_or_comes_back_the_same(
        cut in 0..200usize,
        junk in prop::collection::vec(any::<u8>(), 0..12),
        keep in 0..200usize,
    ) {
        let good = signed().into_bytes();
        let cut = cut.min(good.len());
        let keep = keep.min(good.len() - cut);
        let bytes = [&good[..cut], &junk, &good[cut + keep..]].concat();
        if let Ok(note) = Note::parse(&bytes) {
            prop_assert_eq!(note.to_string().into_bytes(), bytes.clone());
            if let Ok(state) = note.text().parse::<Checkpoint>() {
                prop_assert_eq!(state.to_string(), note.text());
            }
            // Only the very same bytes carry the signature, or the same text with more lines.
            if SignedCheckpoint::open(&bytes, log_key().verifier()).is_ok() {
                prop_assert!(signed().starts_with(note.text()));
            }
        }
    }

    #[test]
    fn any_key_comes_back_from_its_text(seed in any::<[u8; 32]>(), name in "[a-z./]{1,20}", witness in any::<bool>()) {
        let kind = if witness { KeyKind::Witness } else { KeyKind::Log };
        let key = Signer::from_seed(kind, &name, &seed).unwrap();
        let text = key.verifier().to_string();
        prop_assert_eq!(&text.parse::<Verifier>().unwrap(), key.verifier());
    }
}
