//! Receipts survive being written and read, and chains with any link missing are refused.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::error::Error;
use crate::signed::{decode, encode};

fn id(number: u8) -> Id {
    Id::from_bytes([number; 32])
}

fn ids(numbers: &[u8]) -> BTreeSet<Id> {
    numbers.iter().copied().map(id).collect()
}

fn needs(packs: &[u8], index: &[u8]) -> Needs {
    Needs {
        packs: ids(packs),
        index: ids(index),
        keys: ids(&[200]),
        config: id(201),
    }
}

fn receipt(parent: Option<Id>, change: NeedsChange) -> Receipt {
    let behind = Outcome::Behind { files: 12 };
    let failed = Outcome::Failed {
        reason: "offsite is full".to_owned(),
    };
    Receipt {
        version: Version,
        snapshot: id(1),
        tree: id(2),
        source: "repos".parse().unwrap(),
        host: "web1".to_owned(),
        client: id(3),
        parent,
        time: "2026-11-23T04:00:00Z".parse().unwrap(),
        needs: change,
        copies: [
            ("here", Outcome::Whole),
            ("offsite", failed),
            ("vault", behind),
        ]
        .map(|(name, outcome)| (name.parse().unwrap(), outcome))
        .into(),
        work: Work {
            files: 7,
            ..Work::default()
        },
    }
}

/// Not a signature, but something that changes with the message.
fn sign(message: &[u8]) -> Signature {
    let digest = Id::of(message);
    let bytes = [digest.as_bytes().as_slice(), digest.as_bytes()].concat();
    Signature::from_bytes(bytes.try_into().unwrap())
}

fn holds(_: &Id, message: &[u8], signature: &Signature) -> bool {
    sign(message) == *signature
}

fn verified(receipt: &Receipt) -> VerifiedReceipt {
    SignedReceipt::new(receipt, sign)
        .unwrap()
        .verify(holds)
        .unwrap()
}

/// Three receipts whose snapshots need more, then other, then fewer files.
fn three() -> (Vec<Receipt>, Needs) {
    let steps = [
        needs(&[1, 2], &[10]),
        needs(&[2, 3, 4], &[10, 11]),
        needs(&[4], &[12]),
    ];
    let mut receipts: Vec<Receipt> = Vec::new();
    let mut before = Needs::default();
    for step in &steps {
        let parent = receipts.last().map(|receipt| verified(receipt).id());
        receipts.push(receipt(parent, NeedsChange::between(&before, step)));
        before = step.clone();
    }
    (receipts, before)
}

fn broken(receipts: &[Receipt]) -> String {
    let verified: Vec<_> = receipts.iter().map(verified).collect();
    match Chain::of(&verified) {
        Err(Error::BrokenChain { reason, .. }) => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_wire_form_is_the_documented_one() {
    let change = NeedsChange::between(&Needs::default(), &needs(&[1], &[]));
    let body = encode(&receipt(None, change)).unwrap();
    let hex = |number: u8| format!("{number:02x}").repeat(32);
    assert_eq!(
        body,
        format!(
            "{{\"version\":1,\"snapshot\":\"{}\",\"tree\":\"{}\",\"source\":\"repos\",\
             \"host\":\"web1\",\"client\":\"{}\",\"parent\":null,\
             \"time\":\"2026-11-23T04:00:00Z\",\"needs\":{{\"packs_added\":[\"{}\"],\
             \"keys\":[\"{}\"],\"config\":\"{}\"}},\
             \"copies\":{{\"here\":{{\"outcome\":\"whole\"}},\
             \"offsite\":{{\"outcome\":\"failed\",\"reason\":\"offsite is full\"}},\
             \"vault\":{{\"outcome\":\"behind\",\"files\":12}}}},\
             \"work\":{{\"files\":7,\"bytes\":0,\"bytes_read\":0,\"bytes_added\":0,\
             \"source_errors\":0}}}}",
            hex(1),
            hex(2),
            hex(3),
            hex(1),
            hex(200),
            hex(201),
        ),
    );
}

#[test]
fn an_envelope_opens_only_with_its_signature() {
    let (receipts, _) = three();
    let signed = SignedReceipt::new(&receipts[0], sign).unwrap();
    let json = signed.to_json().unwrap();
    let again = SignedReceipt::from_json(&json).unwrap();
    assert_eq!(again, signed);
    assert_eq!(again.verify(holds).unwrap().receipt(), &receipts[0]);

    let forged = String::from_utf8(json).unwrap().replace("repos", "other");
    let forged = SignedReceipt::from_json(forged.as_bytes()).unwrap();
    assert!(matches!(forged.verify(holds), Err(Error::Signature { .. })));
}

#[test]
fn an_envelope_of_a_known_client_is_not_read_before_its_signature_holds() {
    let (receipts, _) = three();
    let signed = SignedReceipt::new(&receipts[0], sign).unwrap();
    let client = receipts[0].client;
    let signs = |message: &[u8], signature: &Signature| holds(&client, message, signature);
    let verified = signed.verify_by(client, signs).unwrap();
    assert_eq!(verified.receipt(), &receipts[0]);
    let other = Id::of(b"another client");
    let refused = signed.verify_by(other, signs);
    assert!(matches!(refused, Err(Error::Signature { .. })));
    // Neither is a body that makes no sense looked at, where the signature does not hold.
    let nonsense = br#"{"body":"[[[[","signature":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=="}"#;
    let nonsense = SignedReceipt::from_json(nonsense).unwrap();
    let refused = nonsense.verify_by(client, |_, _| false);
    assert!(matches!(refused, Err(Error::Signature { .. })));
}

#[test]
fn what_is_signed_is_the_body_behind_a_line_of_its_own() {
    let (receipts, _) = three();
    let body = encode(&receipts[0]).unwrap();
    let mut signed = Vec::new();
    SignedReceipt::new(&receipts[0], |message| {
        signed = message.to_vec();
        sign(message)
    })
    .unwrap();
    assert_eq!(
        signed,
        format!("strongroom receipt v1\n{body}").into_bytes()
    );
}

#[test]
fn a_receipt_of_a_newer_version_is_named_as_such() {
    let error = decode::<Receipt>(r#"{"version":2,"other":[]}"#).unwrap_err();
    assert!(matches!(error, Error::UnknownVersion { version: 2, .. }));
    assert!(error.hint().is_some());
}

#[test]
fn a_chain_adds_up_to_what_the_last_snapshot_needs() {
    let (receipts, last) = three();
    let verified: Vec<_> = receipts.iter().map(verified).collect();
    let chain = Chain::of(&verified).unwrap();
    assert_eq!(chain.needs(), &last);
    assert_eq!(chain.last(), Some(verified[2].id()));
    let files: Vec<String> = chain
        .needs()
        .files()
        .map(|file| file.kind().to_string())
        .collect();
    assert_eq!(files, ["keys", "config", "data", "index"]);
}

#[test]
fn a_chain_with_a_link_missing_swapped_or_repeated_is_refused() {
    let (receipts, _) = three();
    let [a, b, c] = receipts.try_into().unwrap();
    assert!(broken(&[b.clone(), c.clone()]).starts_with("its parent is"));
    assert!(broken(&[a.clone(), c.clone()]).starts_with("its parent is"));
    assert!(broken(&[a.clone(), a.clone()]).starts_with("its parent is none and should be"));
    assert!(broken(&[a.clone(), c.clone(), b.clone()]).starts_with("its parent is"));
}

#[test]
fn a_chain_stays_with_one_client_and_one_source() {
    let (receipts, _) = three();
    let [a, b, _] = receipts.try_into().unwrap();
    let client = Receipt {
        client: id(99),
        ..b.clone()
    };
    assert_eq!(broken(&[a.clone(), client]), "another client signed it");
    let source = Receipt {
        source: "other".parse().unwrap(),
        ..b
    };
    assert_eq!(broken(&[a, source]), "it is of source other");
}

#[test]
fn a_difference_that_does_not_fit_is_refused_and_changes_nothing() {
    let (receipts, _) = three();
    let mut chain = Chain::of(&[verified(&receipts[0])]).unwrap();
    let before = chain.needs().clone();
    let twice = NeedsChange {
        packs_added: ids(&[1]),
        ..NeedsChange::default()
    };
    let never = NeedsChange {
        index_dropped: ids(&[77]),
        ..NeedsChange::default()
    };
    for change in [twice, never] {
        assert!(
            chain
                .push(&verified(&receipt(chain.last(), change)))
                .is_err()
        );
        assert_eq!(chain.needs(), &before);
    }
}

proptest! {
    #[test]
    fn a_difference_leads_from_any_set_to_any_other(
        from in (prop::collection::vec(0u8..9, 0..9), prop::collection::vec(0u8..9, 0..9)),
        to in (prop::collection::vec(0u8..9, 0..9), prop::collection::vec(0u8..9, 0..9)),
    ) {
        let (from, to) = (needs(&from.0, &from.1), needs(&to.0, &to.1));
        let mut set = from.clone();
        set.apply(&NeedsChange::between(&from, &to)).unwrap();
        prop_assert_eq!(set, to);
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..99), body in "\\PC*") {
        let _ = SignedReceipt::from_json(&bytes);
        let _ = decode::<Receipt>(&body);
    }
}
