//! Witnesses: what they sign, and how they are asked.

use proptest::prelude::*;
use strongroom_ledger::note::NOTE_LIMIT_BYTES;
use strongroom_ledger::witness::{AddCheckpoint, Answer, PROOF_LINES_LIMIT};
use strongroom_ledger::{Hash, KeyKind, Signer, consistency_proof};

use crate::scene::{Files, LogFolder, log_key};

fn witness() -> Signer {
    Signer::from_seed(KeyKind::Witness, "witness.example/w1", &[9; 32]).unwrap()
}

fn request(size: u64, old_size: u64) -> AddCheckpoint {
    AddCheckpoint {
        old_size,
        proof: consistency_proof(Files::of(size).0, old_size, size).unwrap(),
        checkpoint: LogFolder::new(size).signed().note().clone(),
    }
}

#[test]
fn a_cosignature_is_verified_with_its_time_and_nothing_else() {
    let mut signed = LogFolder::new(5).signed();
    let key = witness();
    assert!(signed.witnessed_at(key.verifier()).is_err());
    let line = key.cosign(signed.note().text(), 1_700_000_000).unwrap();
    signed.add_cosignature(line, key.verifier()).unwrap();
    assert_eq!(signed.witnessed_at(key.verifier()).unwrap(), 1_700_000_000);
    // A later one takes its place.
    let line = key.cosign(signed.note().text(), 1_700_000_060).unwrap();
    signed.add_cosignature(line, key.verifier()).unwrap();
    assert_eq!(signed.note().signatures().len(), 2);
    assert_eq!(signed.witnessed_at(key.verifier()).unwrap(), 1_700_000_060);

    let of_other_state = LogFolder::new(6).signed();
    let line = key.cosign(of_other_state.note().text(), 1).unwrap();
    assert!(signed.add_cosignature(line, key.verifier()).is_err());
    let stranger = Signer::from_seed(KeyKind::Witness, "other", &[9; 32]).unwrap();
    let line = stranger.cosign(signed.note().text(), 1).unwrap();
    assert!(signed.add_cosignature(line, key.verifier()).is_err());
}

#[test]
fn keys_sign_what_they_are_for_and_times_fit() {
    assert!(witness().sign("text\n").is_err());
    assert!(log_key().cosign("text\n", 1).is_err());
    assert!(witness().cosign("text\n", u64::MAX).is_err());
    assert!(witness().cosign("text\n", i64::MAX as u64).is_ok());
}

#[test]
fn a_request_is_written_as_the_specification_shows_it() {
    let request = request(5, 2);
    let body = request.encode().unwrap();
    let lines: Vec<_> = body.lines().collect();
    assert_eq!(lines[0], "old 2");
    assert_eq!(lines[1], request.proof[0].to_string());
    assert_eq!(lines[1 + request.proof.len()], "");
    assert!(body.ends_with(&request.checkpoint.to_string()));
    assert_eq!(AddCheckpoint::decode(body.as_bytes()).unwrap(), request);
    // The first one, of which the witness knows nothing, has no proof.
    let first = self::request(5, 0).encode().unwrap();
    assert!(first.starts_with("old 0\n\nvault.example/log\n5\n"));
    assert!(AddCheckpoint::decode(first.as_bytes()).is_ok());
}

#[test]
fn what_is_no_request_is_refused() {
    let good = request(5, 2).encode().unwrap();
    let hash = Hash::leaf(b"");
    let many = format!(
        "old 2\n{}",
        format!("{hash}\n").repeat(PROOF_LINES_LIMIT + 1)
    );
    let rest = &good[good.find("\n\n").unwrap() + 1..];
    for bad in [
        String::new(),
        "old 2\n".to_owned(),
        good.replacen("old 2", "old 02", 1),
        good.replacen("old 2", "old -2", 1),
        good.replacen("old 2", "old  2", 1),
        good.replacen("old 2", "old", 1),
        good.replacen("old 2", "new 2", 1),
        good.replacen("old 2\n", "", 1),
        good.replacen("old 2\n", "old 2\nAAAA\n", 1),
        good.replacen("\n\n", "\n", 1),
        format!("{many}{rest}"),
        format!("{good}{}", "x".repeat(2 * NOTE_LIMIT_BYTES)),
    ] {
        assert!(AddCheckpoint::decode(bad.as_bytes()).is_err(), "{bad:.300}");
    }
    assert!(AddCheckpoint::decode(b"old 2\n\xff\n\n").is_err());
    let mut long = request(5, 2);
    long.proof = vec![hash; PROOF_LINES_LIMIT + 1];
    assert!(long.encode().is_err());
}

#[test]
fn every_answer_comes_back() {
    let text = LogFolder::new(5).signed().note().text().to_owned();
    let lines = vec![
        witness().cosign(&text, 1).unwrap(),
        witness().cosign(&text, 2).unwrap(),
    ];
    for answer in [
        Answer::Cosigned(lines),
        Answer::BadRequest,
        Answer::Forbidden,
        Answer::UnknownLog,
        Answer::Conflict { size: 7 },
        Answer::BadProof,
    ] {
        let body = answer.body();
        let again = Answer::decode(answer.status(), body.as_bytes());
        assert_eq!(again.unwrap(), answer);
    }
    for (status, bad) in [
        (200, ""),
        (200, "\n"),
        (200, "— w AAAA\n"),
        (409, "7"),
        (409, "07\n"),
        (409, "7\n\n"),
        (409, ""),
        (500, ""),
        (204, ""),
    ] {
        assert!(
            Answer::decode(status, bad.as_bytes()).is_err(),
            "{status} {bad:?}"
        );
    }
}

proptest! {
    #[test]
    fn any_junk_in_a_request_is_refused_or_comes_back_the_same(
        cut in 0..300usize,
        keep in 0..300usize,
        junk in "[a-zA-Z0-9+/=\n ]{0,8}",
    ) {
        let good = request(5, 2).encode().unwrap();
        let good = good.as_bytes();
        let cut = cut.min(good.len());
        let keep = keep.min(good.len() - cut);
        let body = [&good[..cut], junk.as_bytes(), &good[cut + keep..]].concat();
        if let Ok(request) = AddCheckpoint::decode(&body) {
            prop_assert_eq!(request.encode().unwrap().into_bytes(), body);
        }
    }
}
