//! Attacks on servers that answer as none should: what is said counts for less than what is left.

mod fake;
mod remnants;
mod server;

use std::sync::Arc;

use strongroom_model::attack::{Attempt, Left, Mark, PlaceKind, Said, Tried, Verdict};
use strongroom_model::blast::PlaceKey;
use strongroom_store::{Attacked, Remnants, Store};

use crate::attacks::fake::{Deletion, HONEST, Lies, Taking, drill, serve, store};
use crate::s3::BUCKET;
use crate::server::Request;

fn of(attacked: &Attacked, attempt: Attempt) -> &Tried {
    let mut tried = attacked.tried.iter();
    tried.find(|one| one.attempt == attempt).unwrap()
}

#[test]
fn a_bucket_that_keeps_its_locks_is_proven_and_a_refusal_in_a_body_is_read() {
    let (attacked, judged) = drill(HONEST);
    assert!(judged.verdict.is_proven(), "{judged:?} {attacked:?}");
    assert_eq!(attacked.place, PlaceKind::Bucket);
    let multi = of(&attacked, Attempt::MultiDelete);
    let said = Said::Refused("200, and AccessDenied in it".to_owned());
    assert_eq!((&multi.said, &multi.left), (&said, &Left::Whole));
    // What it does not understand harms nothing where it is known what was asked.
    let removed = of(&attacked, Attempt::RemoveLock);
    let said = Said::Unclear("400 MalformedXML".to_owned());
    assert_eq!((&removed.said, &removed.left), (&said, &Left::Whole));
    assert_eq!(removed.mark(), Mark::Withstood);
    // No bucket may be made beside it.
    let probe = of(&attacked, Attempt::SuspendVersioning);
    assert!(matches!(probe.said, Said::NotTried(_)), "{probe:?}");
}

/// Forbids whoever it is to delete by version.
const POLICY: &str = r#"{"Statement":[{"Effect":"Deny","Principal":"*","Action":"s3:DeleteObjectVersion","Resource":["arn:aws:s3:::bucket","arn:aws:s3:::bucket/*"]}]}"#;

/// The bucket that a request is about.
fn bucket_of(request: &Request) -> &str {
    request.path.split(['/', '?']).nth(1).unwrap()
}

/// Whether it is about the whole bucket, and no key in it.
fn is_of_whole(request: &Request) -> bool {
    let path = request.path.split('?').next().unwrap();
    path.trim_matches('/') == bucket_of(request)
}

#[test]
fn what_acts_on_a_whole_bucket_is_tried_on_a_probe_that_has_the_policy_of_the_bucket() {
    let kept = Arc::default();
    let lies = Lies {
        makes_buckets: true,
        policy: Some(POLICY),
        ..HONEST
    };
    let server = serve(lies, &kept);
    let (store, remnants) = (store(&server, true), Remnants::default());
    let attacked = store.attacks().unwrap().attack(&[], &remnants).unwrap();
    let probes = kept.lock().probes();
    let [probe] = &probes[..] else {
        panic!("{probes:?}");
    };
    let requests = server.requests();
    let about_policy = requests
        .iter()
        .filter(|request| request.path.contains("?policy"));
    let asked: Vec<_> = about_policy
        .map(|request| (request.method.as_str(), bucket_of(request), &request.body))
        .collect();
    let [get, put, delete, ..] = &asked[..] else {
        panic!("{asked:?}");
    };
    assert_eq!((get.0, get.1), ("GET", BUCKET));
    assert_eq!((put.0, put.1), ("PUT", probe.as_str()));
    assert_eq!((delete.0, delete.1), ("DELETE", probe.as_str()));
    let policy = POLICY.replace(":bucket", &format!(":{probe}"));
    assert_eq!(String::from_utf8_lossy(put.2), policy);

    for attempt in [
        Attempt::SuspendVersioning,
        Attempt::LowerBucketRetention,
        Attempt::RemovePolicy,
        Attempt::DeleteBucket,
    ] {
        let one = of(&attacked, attempt);
        assert!(!matches!(one.said, Said::NotTried(_)), "{one:?}");
        assert_eq!(one.left, Left::Whole, "{one:?}");
    }
    // Without its policy the lock alone is left, and holds.
    let removed = of(&attacked, Attempt::RemovePolicy);
    assert!(matches!(removed.said, Said::Refused(_)), "{removed:?}");
    // Nothing was changed of the bucket itself.
    let mut changes = requests
        .iter()
        .filter(|request| ["PUT", "DELETE"].contains(&request.method.as_str()));
    let is_of_bucket = |request: &Request| is_of_whole(request) && bucket_of(request) == BUCKET;
    assert!(!changes.any(is_of_bucket), "{requests:?}");
}

#[test]
fn a_multi_delete_that_tells_errors_and_deletes_all_the_same_is_seen() {
    for in_a_list in [Deletion::OnlyDone, Deletion::Done] {
        let (attacked, judged) = drill(Lies {
            in_a_list,
            ..HONEST
        });
        assert_eq!(judged.verdict, Verdict::Destroyable);
        assert_eq!(of(&attacked, Attempt::MultiDelete).left, Left::Lost);
        // What came later was tried on other canaries.
        assert_eq!(of(&attacked, Attempt::Overwrite).left, Left::Whole);
    }
}

#[test]
fn a_yes_that_does_nothing_shows_no_right_and_no_lock() {
    let (attacked, judged) = drill(Lies {
        of_unlocked: Deletion::OnlySaid,
        of_locked: Deletion::OnlySaid,
        in_a_list: Deletion::OnlySaid,
        ..HONEST
    });
    assert_eq!(judged.verdict, Verdict::NotProven, "{attacked:?}");
    let control = of(&attacked, Attempt::DeleteUnlocked);
    assert_eq!((&control.said, &control.left), (&Said::Done, &Left::Whole));
}

#[test]
fn a_copy_that_a_server_does_not_understand_has_not_withstood_anything() {
    for (status, code, mark, is_certain) in [
        ("403 Forbidden", "AccessDenied", Mark::Withstood, true),
        (
            "501 Not Implemented",
            "NotImplemented",
            Mark::NotTried,
            true,
        ),
        (
            "405 Method Not Allowed",
            "MethodNotAllowed",
            Mark::NotTried,
            true,
        ),
        ("400 Bad Request", "InvalidArgument", Mark::Open, false),
        ("404 Not Found", "NoSuchKey", Mark::Open, false),
    ] {
        let (attacked, judged) = drill(Lies {
            of_copies: Taking::Answered(status, code),
            ..HONEST
        });
        assert_eq!(of(&attacked, Attempt::CopyOverSelf).mark(), mark, "{code}");
        let is_proven = mark == Mark::Withstood;
        assert_eq!(judged.verdict.is_proven(), is_proven, "{code}: {judged:?}");
        assert_eq!(judged.is_certain, is_certain, "{code}: {judged:?}");
    }
}

#[test]
fn a_yes_to_a_copy_counts_where_the_copy_is_to_be_seen() {
    for (of_copies, mark) in [
        (Taking::Copied, Mark::Withstood),
        (Taking::TakenForPut, Mark::Open),
        (Taking::OnlySaid, Mark::Open),
        (Taking::Moved, Mark::Fell),
    ] {
        let (attacked, judged) = drill(Lies {
            of_copies,
            ..HONEST
        });
        let copy = of(&attacked, Attempt::CopyOverSelf);
        assert_eq!(copy.mark(), mark, "{copy:?}");
        let is_proven = mark == Mark::Withstood;
        assert_eq!(judged.verdict.is_proven(), is_proven, "{judged:?}");
    }
}

#[test]
fn a_rename_that_is_taken_for_a_put_or_passed_over_was_not_tried() {
    for (of_renames, mark) in [
        (Taking::TakenForPut, Mark::NotTried),
        (Taking::OnlySaid, Mark::NotTried),
        (
            Taking::Answered("501 Not Implemented", "NotImplemented"),
            Mark::NotTried,
        ),
        (
            Taking::Answered("403 Forbidden", "AccessDenied"),
            Mark::Withstood,
        ),
        // The bytes are there under both names, and by version.
        (Taking::Copied, Mark::Withstood),
        (Taking::Moved, Mark::Fell),
    ] {
        let (attacked, judged) = drill(Lies {
            of_renames,
            ..HONEST
        });
        let rename = of(&attacked, Attempt::Rename);
        assert_eq!(rename.mark(), mark, "{rename:?}");
        // Nothing rests on it where it was not tried.
        let is_proven = mark != Mark::Fell;
        assert_eq!(judged.verdict.is_proven(), is_proven, "{judged:?}");
    }
}

#[test]
fn a_yes_to_what_hides_or_overwrites_counts_where_that_is_to_be_seen() {
    let (attacked, judged) = drill(Lies {
        writes: false,
        ..HONEST
    });
    for attempt in [Attempt::Delete, Attempt::Overwrite, Attempt::Truncate] {
        let one = of(&attacked, attempt);
        assert_eq!(
            (&one.left, one.mark()),
            (&Left::Whole, Mark::Open),
            "{one:?}"
        );
    }
    assert!(
        !judged.verdict.is_proven() && !judged.is_certain,
        "{judged:?}"
    );
}

#[test]
fn a_key_of_an_account_is_never_tried_and_the_lock_is_not_proven_under_it() {
    const BY_KEY: &str = "<ServerSideEncryptionConfiguration><Rule>\
        <ApplyServerSideEncryptionByDefault><SSEAlgorithm>aws:kms</SSEAlgorithm>\
        <KMSMasterKeyID>arn:aws:kms:eu-central-1:111122223333:key/1</KMSMasterKeyID>\
        </ApplyServerSideEncryptionByDefault></Rule></ServerSideEncryptionConfiguration>";
    let lies = Lies {
        encryption: Some(BY_KEY),
        ..HONEST
    };
    let name = "arn:aws:kms:eu-central-1:111122223333:key/1".to_owned();
    let server = serve(lies, &Arc::default());
    let key = store(&server, false).holder().key;
    assert_eq!(key, Some(PlaceKey::named(Some(name))));
    let (attacked, judged) = drill(lies);
    let key = of(&attacked, Attempt::DestroyKey);
    assert_eq!(key.mark(), Mark::NotTried, "{key:?}");
    assert_eq!(judged.verdict, Verdict::NotProven);
    let named = |note: &String| {
        note.contains("arn:aws:kms:eu-central-1:111122223333:key/1")
            && note.contains("kms:ScheduleKeyDeletion")
    };
    assert!(attacked.notes.iter().any(named), "{attacked:?}");
    // Where the default is not told, the canary tells it.
    let (attacked, judged) = drill(Lies {
        told: "x-amz-server-side-encryption: aws:kms\r\n",
        ..HONEST
    });
    let put = of(&attacked, Attempt::Put);
    assert!(matches!(put.left, Left::Weaker(_)), "{put:?}");
    assert_eq!(judged.verdict, Verdict::NotProven);
    // And where there is none, that is told as well.
    let (attacked, _) = drill(HONEST);
    let none = of(&attacked, Attempt::DestroyKey).seen();
    assert!(none.contains("no key of an account"), "{none}");
}

#[test]
fn a_lock_is_not_proven_where_this_credential_is_let_in_where_the_server_is_ruled() {
    let by_name = "Server: Ceph Object Gateway (tentacle)\r\n";
    let by_number = "x-amz-request-id: tx00000d9a3f1e6b0c5d2a7-006745e2a1-5e47-default\r\n";
    for (ruled_at, shown) in [
        ("admin/bucket", ""),
        ("admin/metadata/user", ""),
        ("admin/user", by_name),
        ("admin/user", by_number),
    ] {
        let (attacked, judged) = drill(Lies {
            ruled_at,
            shown,
            ..HONEST
        });
        assert_eq!(judged.verdict, Verdict::NotProven, "{attacked:?}");
        assert!(judged.reason.contains("ruled"), "{judged:?}");
        let door = of(&attacked, Attempt::MakeToken);
        assert_eq!(door.mark(), Mark::NotTried);
        assert!(door.seen().contains("caps"), "{door:?}");
        assert!(door.seen().contains(ruled_at), "{door:?}");
    }
    // It was asked, and nothing else.
    let server = serve(HONEST, &Arc::default());
    let (store, remnants) = (store(&server, true), Remnants::default());
    store.attacks().unwrap().attack(&[], &remnants).unwrap();
    let asked = server.requests().into_iter();
    let asked: Vec<_> = asked
        .filter(|request| request.path.starts_with("/admin"))
        .map(|request| request.method)
        .collect();
    assert_eq!(asked, ["GET"; 3]);
}

#[test]
fn a_server_that_is_no_ceph_and_does_not_understand_a_request_lets_nobody_in() {
    for shown in ["", "Server: MinIO\r\n", "x-amz-request-id: tx-1\r\n"] {
        let (attacked, judged) = drill(Lies {
            ruled_at: "admin/user",
            shown,
            ..HONEST
        });
        assert!(judged.verdict.is_proven(), "{judged:?} {attacked:?}");
        let door = of(&attacked, Attempt::MakeToken);
        assert!(!door.seen().contains("caps"), "{door:?}");
    }
}

#[test]
fn a_lifecycle_that_moves_files_into_an_archive_is_told_and_what_lies_there_is_not_proven() {
    const MOVES: &str = "<LifecycleConfiguration><Rule><ID>cold</ID><Status>Enabled</Status>\
        <Filter><Prefix></Prefix></Filter>\
        <Transition><Days>30</Days><StorageClass>DEEP_ARCHIVE</StorageClass></Transition>\
        </Rule></LifecycleConfiguration>";
    let (attacked, judged) = drill(Lies {
        lifecycle: Some(MOVES),
        ..HONEST
    });
    assert!(judged.verdict.is_proven(), "{judged:?}");
    let told = |note: &String| {
        note.contains("\"cold\"") && note.contains("DEEP_ARCHIVE") && note.contains("hours")
    };
    assert!(attacked.notes.iter().any(told), "{attacked:?}");
    assert!(judged.reason.contains("into an archive"), "{judged:?}");
    let quick = MOVES.replace("DEEP_ARCHIVE", "STANDARD_IA");
    let (attacked, _) = drill(Lies {
        lifecycle: Some(quick.leak()),
        ..HONEST
    });
    assert_eq!(attacked.notes, [""; 0]);
    let (_, judged) = drill(Lies {
        told: "x-amz-storage-class: GLACIER\r\n",
        ..HONEST
    });
    assert_eq!(judged.verdict, Verdict::NotProven);
    assert!(judged.reason.contains("archive (GLACIER)"), "{judged:?}");
}

#[test]
fn who_may_set_a_lifecycle_may_move_locked_versions_into_an_archive_and_that_is_told() {
    let is_told = |note: &String| note.contains("may set a lifecycle") && note.contains("hours");
    let (attacked, judged) = drill(Lies {
        makes_buckets: true,
        ..HONEST
    });
    let change = of(&attacked, Attempt::ChangeLifecycle);
    assert!(matches!(change.said, Said::NotTried(_)), "{change:?}");
    assert!(attacked.notes.iter().any(is_told), "{attacked:?}");
    assert!(judged.verdict.is_proven(), "{judged:?} {attacked:?}");
    assert!(judged.reason.contains("into an archive"), "{judged:?}");
    let (attacked, judged) = drill(HONEST);
    assert!(!attacked.notes.iter().any(is_told), "{attacked:?}");
    assert!(!judged.reason.contains("archive"), "{judged:?}");
}

#[test]
fn a_lock_that_is_shown_and_does_not_hold_is_none() {
    for of_locked in [Deletion::Done, Deletion::OnlyDone] {
        let (attacked, judged) = drill(Lies {
            of_locked,
            ..HONEST
        });
        assert_eq!(of(&attacked, Attempt::Put).said, Said::Done);
        assert_eq!(judged.verdict, Verdict::Destroyable);
    }
}

#[test]
fn a_lock_that_takes_an_earlier_date_is_none() {
    let (attacked, judged) = drill(Lies {
        obeys_earlier_dates: true,
        ..HONEST
    });
    assert_eq!(judged.verdict, Verdict::NotProven);
    let shortened = of(&attacked, Attempt::Shorten);
    assert!(matches!(shortened.left, Left::Weaker(_)), "{shortened:?}");
}

#[test]
fn who_may_not_delete_what_is_not_locked_proves_no_lock() {
    let (_, judged) = drill(Lies {
        of_unlocked: Deletion::Refused,
        ..HONEST
    });
    assert_eq!(judged.verdict, Verdict::DeniedNotProven);
}

#[test]
fn a_drill_asks_a_bounded_number_of_times_whatever_is_answered() {
    for lies in [
        HONEST,
        Lies {
            of_locked: Deletion::OnlyDone,
            in_a_list: Deletion::OnlyDone,
            obeys_earlier_dates: true,
            ..HONEST
        },
    ] {
        let server = serve(lies, &Arc::default());
        let (store, remnants) = (store(&server, false), Remnants::default());
        store.attacks().unwrap().attack(&[], &remnants).unwrap();
        let requests = server.requests().len();
        assert!(requests < 150, "{requests}");
        let puts = server.requests().into_iter();
        let puts = puts.filter(|request| request.method == "PUT" && request.body.len() > 128);
        assert_eq!(puts.count(), 0);
    }
}
