//! Five set-ups and their answers, and answers that no honest place gives.

use super::*;

fn until() -> Option<Timestamp> {
    Some("2027-01-15T00:00:00Z".parse().unwrap())
}

fn done(attempt: Attempt, left: Left) -> Tried {
    Tried::new(attempt, Said::Done, left)
}

fn refused(attempt: Attempt) -> Tried {
    let reason = "403 AccessDenied".to_owned();
    Tried::new(attempt, Said::Refused(reason), Left::Whole)
}

/// What a bucket in COMPLIANCE answers to whoever may delete.
fn locked() -> Vec<Tried> {
    vec![
        done(Attempt::DeleteUnlocked, Left::Lost),
        done(Attempt::Put, Left::Whole),
        done(Attempt::LookAtFiles, Left::Whole),
        done(Attempt::Delete, Left::Whole),
        refused(Attempt::DeleteVersion),
        refused(Attempt::DeleteVersionBypassing),
        refused(Attempt::MultiDelete),
        refused(Attempt::MultiDeleteBypassing),
        done(Attempt::Overwrite, Left::Whole),
        done(Attempt::Truncate, Left::Whole),
        done(Attempt::CopyOverSelf, Left::Whole),
        refused(Attempt::Rename),
        refused(Attempt::Shorten),
        refused(Attempt::ShortenBypassing),
        refused(Attempt::ChangeMode),
        refused(Attempt::ChangeModeBypassing),
        refused(Attempt::RemoveLock),
        Tried::not(
            Attempt::SuspendVersioning,
            "no bucket may be made beside it",
        ),
    ]
}

/// The same with another outcome of some attempts.
fn with(changes: Vec<Tried>) -> Vec<Tried> {
    let mut tried = locked();
    for change in changes {
        tried.retain(|one| one.attempt != change.attempt);
        tried.push(change);
    }
    tried
}

fn bucket(tried: &[Tried]) -> Judged {
    judge(PlaceKind::Bucket, tried, until(), false)
}

fn not_locked(attempts: &[Attempt]) -> Vec<Tried> {
    let none = attempts.iter();
    none.map(|attempt| Tried::not(*attempt, "the canary has no lock"))
        .collect()
}

const OF_LOCKS: [Attempt; 5] = [
    Attempt::Shorten,
    Attempt::ShortenBypassing,
    Attempt::ChangeMode,
    Attempt::ChangeModeBypassing,
    Attempt::RemoveLock,
];

#[test]
fn a_bucket_in_compliance_is_proven_against_whoever_may_delete() {
    let judged = bucket(&locked());
    assert_eq!(judged.verdict, Verdict::Proven { until: until() });
    assert!(judged.is_certain && judged.verdict.binds_everyone());
}

#[test]
fn governance_that_may_be_bypassed_is_destroyable() {
    let seen = "GOVERNANCE until 2027-01-15".to_owned();
    let judged = bucket(&with(vec![
        done(Attempt::Put, Left::Weaker(seen.clone())),
        done(Attempt::DeleteVersionBypassing, Left::Lost),
        done(Attempt::MultiDeleteBypassing, Left::Lost),
    ]));
    assert_eq!(judged.verdict, Verdict::Destroyable);
    assert_eq!(
        judged.reason,
        "destroyable by this credential: delete by version, bypassing, multi-delete, bypassing"
    );
    // And where it may not be bypassed, it is no lock that nobody can take back.
    let judged = bucket(&with(vec![done(Attempt::Put, Left::Weaker(seen))]));
    assert_eq!(judged.verdict, Verdict::NotProven);
    assert!(judged.reason.contains("GOVERNANCE until 2027-01-15"));
}

#[test]
fn a_bucket_without_versions_is_destroyable() {
    let none = "no lock, or none that may be seen".to_owned();
    let mut changes = not_locked(&OF_LOCKS);
    changes.extend([
        done(Attempt::Put, Left::Weaker(none)),
        done(Attempt::Delete, Left::Lost),
        done(Attempt::Overwrite, Left::Lost),
    ]);
    let judged = judge(PlaceKind::Bucket, &with(changes), None, false);
    assert_eq!(judged.verdict, Verdict::Destroyable);
}

#[test]
fn a_lifecycle_that_may_reach_locked_versions_is_named_beside_the_proof() {
    let plain = bucket(&locked());
    assert!(plain.verdict.is_proven(), "{plain:?}");
    assert!(!plain.reason.contains("archive"), "{plain:?}");
    for why in [RULE_TAKEN, RULE_ARCHIVES] {
        let judged = bucket(&with(vec![Tried::not(Attempt::ChangeLifecycle, why)]));
        assert!(judged.verdict.is_proven(), "{judged:?}");
        assert!(judged.reason.contains("into an archive"), "{judged:?}");
        // Of another attempt that says nothing.
        let judged = bucket(&with(vec![Tried::not(Attempt::SuspendVersioning, why)]));
        assert_eq!(judged, plain);
    }
}

#[test]
fn a_policy_that_merely_denies_deletion_proves_no_lock() {
    let none = "no lock, or none that may be seen".to_owned();
    let mut changes = not_locked(&OF_LOCKS);
    changes.push(refused(Attempt::DeleteUnlocked));
    changes.push(done(Attempt::Put, Left::Weaker(none)));
    let judged = judge(PlaceKind::Bucket, &with(changes), None, false);
    assert_eq!(judged.verdict, Verdict::DeniedNotProven);
    // Nor does it where there is a lock.
    let judged = bucket(&with(vec![refused(Attempt::DeleteUnlocked)]));
    assert_eq!(judged.verdict, Verdict::DeniedNotProven);
    assert!(judged.reason.contains("403 AccessDenied"));
}

#[test]
fn what_a_key_of_an_account_encrypts_is_not_proven() {
    let key = Tried::new(
        Attempt::DestroyKey,
        Said::NotTried("it is a real key".to_owned()),
        Left::Weaker("whoever rules it ends all".to_owned()),
    );
    assert_eq!(key.mark(), Mark::NotTried);
    assert_eq!(key.seen(), "not tried: it is a real key");
    let judged = bucket(&with(vec![key]));
    assert_eq!(judged.verdict, Verdict::NotProven);
    assert_eq!(
        judged.reason,
        "destroy the key of its encryption: whoever rules it ends all"
    );
    let none = Tried::not(Attempt::DestroyKey, "no key of an account encrypts it");
    assert!(bucket(&with(vec![none])).verdict.is_proven());
}

#[test]
fn a_folder_is_destroyable_by_whoever_is_root_whatever_was_refused() {
    let fell = [done(Attempt::Delete, Left::Lost)];
    for tried in [&fell[..], &[refused(Attempt::Delete)], &[]] {
        let judged = judge(PlaceKind::Folder, tried, until(), true);
        assert_eq!(judged.verdict, Verdict::Destroyable);
        let root = "destroyable by whoever is root here";
        assert!(judged.reason.contains(root), "{}", judged.reason);
        assert_eq!(judged.to_string(), format!("not proven: {}", judged.reason));
    }
}

#[test]
fn what_is_said_counts_for_less_than_what_is_left() {
    // It says no, and has done it.
    let mut refusal = refused(Attempt::DeleteVersion);
    refusal.left = Left::Lost;
    assert_eq!(bucket(&with(vec![refusal])).verdict, Verdict::Destroyable);
    // It says yes to everything, and does nothing: of what is not locked neither, so that it shows
    // no right.
    let nothing = with(vec![done(Attempt::DeleteUnlocked, Left::Whole)]);
    assert_eq!(bucket(&nothing).verdict, Verdict::NotProven);
    // A yes to what is locked that did nothing is no harm.
    let harmless = with(vec![done(Attempt::MultiDelete, Left::Whole)]);
    assert!(bucket(&harmless).verdict.is_proven());
    // A lock that is shown, and gives way.
    let shorter = Left::Weaker("COMPLIANCE until 2026-01-01".to_owned());
    let judged = bucket(&with(vec![done(Attempt::Shorten, shorter)]));
    assert_eq!(judged.verdict, Verdict::NotProven);
    assert!(judged.reason.starts_with("shorten the lock: "));
}

#[test]
fn files_that_are_not_locked_are_not_proven_by_a_canary_that_is() {
    let seen = "data/3f: no lock, or none that may be seen".to_owned();
    let judged = bucket(&with(vec![done(Attempt::LookAtFiles, Left::Weaker(seen))]));
    assert_eq!(judged.verdict, Verdict::NotProven);
    assert!(judged.reason.contains("data/3f"), "{}", judged.reason);
}

#[test]
fn what_could_not_be_found_out_is_neither_a_proof_nor_its_contrary() {
    let away = || Said::Failed("503".to_owned());
    for open in [
        Tried::new(Attempt::DeleteVersion, away(), Left::Whole),
        Tried::new(
            Attempt::DeleteVersion,
            Said::Done,
            Left::Unknown("503".to_owned()),
        ),
    ] {
        let judged = bucket(&with(vec![open]));
        assert_eq!(judged.verdict, Verdict::NotProven);
        assert!(!judged.is_certain);
    }
    // What is lost is lost, whatever else did not answer.
    let judged = bucket(&with(vec![
        Tried::new(Attempt::Shorten, away(), Left::Whole),
        done(Attempt::DeleteVersion, Left::Lost),
    ]));
    assert_eq!(judged.verdict, Verdict::Destroyable);
    assert!(judged.is_certain);
}

#[test]
fn each_attempt_that_is_needed_has_to_be_made() {
    for one in locked() {
        let left_out: Vec<Tried> = locked()
            .into_iter()
            .filter(|other| other.attempt != one.attempt)
            .collect();
        let needed = one.attempt.is_needed(PlaceKind::Bucket);
        let is_proven = bucket(&left_out).verdict.is_proven();
        assert_eq!(is_proven, !needed, "{:?}", one.attempt);
        let not = with(vec![Tried::not(one.attempt, "no such verb")]);
        assert_eq!(bucket(&not).verdict.is_proven(), !needed);
    }
}

#[test]
fn an_unclear_answer_counts_by_what_is_left_and_only_where_it_is_known_what_was_asked() {
    let unclear = |attempt, left| {
        let said = Said::Unclear("400 MalformedXML".to_owned());
        Tried::new(attempt, said, left)
    };
    let withstood = unclear(Attempt::RemoveLock, Left::Whole);
    assert_eq!(withstood.mark(), Mark::Withstood);
    assert_eq!(
        withstood.seen(),
        "unclear: 400 MalformedXML; the bytes are there"
    );
    assert!(bucket(&with(vec![withstood])).verdict.is_proven());
    for open in [
        // It may not have been understood at all.
        unclear(Attempt::CopyOverSelf, Left::Whole),
        unclear(Attempt::Delete, Left::Whole),
        unclear(Attempt::DeleteUnlocked, Left::Whole),
        unclear(Attempt::Put, Left::Nothing),
        unclear(Attempt::Shorten, Left::Unknown("503".to_owned())),
    ] {
        assert_eq!(open.mark(), Mark::Open, "{open:?}");
        let judged = bucket(&with(vec![open]));
        assert_eq!(judged.verdict, Verdict::NotProven);
        assert!(!judged.is_certain);
    }
    let lost = bucket(&with(vec![unclear(Attempt::RemoveLock, Left::Lost)]));
    assert_eq!(lost.verdict, Verdict::Destroyable);
    let weaker = unclear(Attempt::Shorten, Left::Weaker("no lock".to_owned()));
    assert_eq!(weaker.mark(), Mark::Fell);
    // Nor is a door open that nobody has seen.
    let unseen = unclear(Attempt::MakeToken, Left::Nothing);
    assert_eq!(unseen.mark(), Mark::Open);
    let mut doors = vault();
    doors.retain(|one| one.attempt != Attempt::MakeToken);
    doors.push(unseen);
    let judged = judge(PlaceKind::Vault, &doors, None, true);
    assert_eq!(judged.verdict, Verdict::NotProven);
    assert!(!judged.is_certain);
}

#[test]
fn what_is_needed_of_each_kind_of_place_is_missed_when_it_was_not_made() {
    let bucket_tried = locked();
    let vault_tried = vault();
    for (place, all, until) in [
        (PlaceKind::Bucket, &bucket_tried, until()),
        (PlaceKind::Vault, &vault_tried, None),
    ] {
        assert!(judge(place, all, until, true).verdict.is_proven());
        for attempt in Attempt::needed(place) {
            assert!(attempt.is_needed(place), "{place:?} {attempt:?}");
            let mut others = all.clone();
            others.retain(|one| one.attempt != *attempt);
            let judged = judge(place, &others, until, true);
            assert_eq!(judged.verdict, Verdict::NotProven, "{place:?} {attempt:?}");
        }
    }
    for place in [PlaceKind::Server, PlaceKind::Folder] {
        let needed = Attempt::needed(place);
        let tried: Vec<Tried> = needed
            .iter()
            .map(|attempt| Tried::not(*attempt, "no canary"))
            .collect();
        let judged = judge(place, &tried, None, true);
        assert_ne!(judged.verdict, Verdict::DeniedNotProven, "{place:?}");
        assert!(!judged.verdict.is_proven(), "{place:?}");
    }
}

fn vault() -> Vec<Tried> {
    let doors = [
        Attempt::MakeToken,
        Attempt::RaiseRights,
        Attempt::LowerRetention,
        Attempt::PurgeNow,
        Attempt::MoveClock,
    ];
    let files = [
        Attempt::Overwrite,
        Attempt::Truncate,
        Attempt::PathTrick,
        Attempt::Delete,
    ];
    let mut tried = vec![done(Attempt::Put, Left::Whole)];
    tried.extend(files.into_iter().chain(doors).map(refused));
    tried
}

#[test]
fn a_vault_is_proven_against_production_while_its_word_counts() {
    let judged = judge(PlaceKind::Vault, &vault(), None, true);
    assert_eq!(judged.verdict, Verdict::Proven { until: None });
    assert!(!judged.verdict.binds_everyone());
    let doubted = judge(PlaceKind::Vault, &vault(), None, false);
    assert_eq!(doubted.verdict, Verdict::NotProven);
    // A token that may ask for deletion, and what it deleted is kept.
    let mut kept = vault();
    kept.retain(|one| one.attempt != Attempt::Delete);
    kept.push(done(Attempt::Delete, Left::Whole));
    assert!(
        judge(PlaceKind::Vault, &kept, None, true)
            .verdict
            .is_proven()
    );
    kept.pop();
    kept.push(done(Attempt::Delete, Left::Lost));
    let lost = judge(PlaceKind::Vault, &kept, None, true);
    assert_eq!(lost.verdict, Verdict::Destroyable);
}

#[test]
fn a_door_that_opens_is_the_end_of_a_vault() {
    let mut open = vault();
    open.retain(|one| one.attempt != Attempt::MakeToken);
    open.push(done(Attempt::MakeToken, Left::Nothing));
    let judged = judge(PlaceKind::Vault, &open, None, true);
    assert_eq!(judged.verdict, Verdict::Destroyable);
    assert!(judged.reason.ends_with("make a token"), "{}", judged.reason);
    assert_eq!(open.last().unwrap().seen(), "let in");
}

#[test]
fn a_server_that_refuses_is_no_lock() {
    let tried: Vec<Tried> = [Attempt::Overwrite, Attempt::Truncate, Attempt::Delete]
        .map(refused)
        .into();
    let judged = judge(PlaceKind::Server, &tried, None, true);
    assert_eq!(judged.verdict, Verdict::DeniedNotProven);
    let lost = [done(Attempt::Delete, Left::Lost)];
    let judged = judge(PlaceKind::Server, &lost, None, true);
    assert_eq!(judged.verdict, Verdict::Destroyable);
}

#[test]
fn attempts_are_kept_as_they_were_told() {
    let unclear = Said::Unclear("400".to_owned());
    let unclear = Tried::new(Attempt::RemoveLock, unclear, Left::Whole);
    for one in locked().into_iter().chain(vault()).chain([unclear]) {
        let text = serde_json::to_string(&one).unwrap();
        assert_eq!(serde_json::from_str::<Tried>(&text).unwrap(), one, "{text}");
    }
    let text = serde_json::to_string(&refused(Attempt::MultiDelete)).unwrap();
    assert_eq!(
        text,
        r#"{"attempt":"multi-delete","said":"refused","reason":"403 AccessDenied","left":"whole"}"#
    );
    for verdict in [
        Verdict::Proven { until: until() },
        Verdict::Proven { until: None },
        Verdict::DeniedNotProven,
    ] {
        let text = serde_json::to_string(&verdict).unwrap();
        assert_eq!(serde_json::from_str::<Verdict>(&text).unwrap(), verdict);
    }
}

#[test]
fn a_statement_is_believed_of_its_signer_alone() {
    let client = Id::of(b"client");
    let statement = Statement {
        version: Default::default(),
        client,
        host: "h".to_owned(),
        at: until().unwrap(),
        copies: vec![DrilledCopy {
            copy: "offsite".to_owned(),
            store: "s3:https://s3.example/bucket/".to_owned(),
            place: PlaceKind::Bucket,
            principal: Some("owner".to_owned()),
            verdict: Verdict::Proven { until: until() },
            reason: "withstood".to_owned(),
            certain: true,
            tried: locked(),
        }],
    };
    let signature = crate::signed::Signature::from_bytes([7; 64]);
    let signed = SignedDrill::new(&statement, |message| {
        assert!(message.starts_with(b"strongroom drill v1\n{"));
        signature
    })
    .unwrap();
    let kept = SignedDrill::from_json(&signed.to_json().unwrap()).unwrap();
    let verified = kept
        .verify_by(client, |_, given| *given == signature)
        .unwrap();
    assert_eq!((verified.id(), verified.claim()), (signed.id(), &statement));
    assert!(kept.verify_by(client, |_, _| false).is_err());
    assert!(kept.verify_by(Id::of(b"other"), |_, _| true).is_err());
}

#[test]
fn the_canary_of_a_place_is_always_the_same() {
    assert_eq!(canary().id(), Some(Id::of(CANARY)));
    assert_eq!(canary().kind(), FileType::Data);
}
