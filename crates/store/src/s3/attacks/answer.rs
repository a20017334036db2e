//! What an answer of S3 says to an attempt.
//!
//! Only a no on grounds of a right or a lock is a refusal: whoever does not understand a request has
//! refused nothing. Servers have codes of their own for the same:
//!
//! | answer | where | what it says |
//! |---|---|---|
//! | 401, 403 | everywhere, of a right and of a lock | refused |
//! | 403 of a signature, a key or a time | the request was not ours to them | nothing |
//! | 409 `InvalidBucketState`, `BucketNotEmpty` | versioning under Object Lock; what is in a bucket | refused |
//! | 400 `InvalidRequest` | an earlier date, a lock where there is no Object Lock | refused; of all else unclear |
//! | 400 `MalformedXML` | Ceph, of a lock that is none | unclear |
//! | 405, 501, `NotImplemented`, `MethodNotAllowed` | a verb that the server does not know | not tried |
//! | 404 | of a canary that was put | nothing |
//! | 408, 429, from 500 | a fault of its own, or no time | nothing |
//! | any other from 400 to 499 | | unclear |

use strongroom_model::attack::{Attempt, Left, PlaceKind, Said, Tried};

use crate::attacks::in_one_line;

/// Codes of 400 and 403 by which a server says that it cannot tell who asks, or when.
const OF_NOBODY: [&str; 6] = [
    "AuthorizationHeaderMalformed",
    "ExpiredToken",
    "InvalidAccessKeyId",
    "RequestTimeTooSkewed",
    "RequestTimeout",
    "SignatureDoesNotMatch",
];

/// The code of 400 by which servers refuse a change of a lock, or a lock as such.
pub(super) const NOT_VALID: &str = "InvalidRequest";

/// What a status and the code in its body say.
pub(super) fn said_by(status: u16, code: &str) -> Said {
    let reason = in_one_line(format!("{status} {code}").trim_end());
    match (status, code) {
        // Its answer makes no sense; what it has done is seen.
        (200..=299, _) => Said::Done,
        (405 | 501, _) | (_, "NotImplemented" | "MethodNotAllowed") => not_known(&reason),
        (404 | 408 | 429, _) => Said::Failed(reason),
        (400..=499, code) if OF_NOBODY.contains(&code) => Said::Failed(reason),
        (401 | 403, _) | (409, "InvalidBucketState" | "BucketNotEmpty") => Said::Refused(reason),
        (400..=499, _) => Said::Unclear(reason),
        _ => Said::Failed(reason),
    }
}

/// What a code says that stands in a body of status 200, about one of several files.
pub(super) fn said_in_list(code: &str) -> Said {
    let reason = in_one_line(&format!("200, and {code} in it"));
    match code {
        "AccessDenied" => Said::Refused(reason),
        "NotImplemented" | "MethodNotAllowed" => not_known(&reason),
        "InternalError" | "ServiceUnavailable" | "SlowDown" => Said::Failed(reason),
        _ => Said::Unclear(reason),
    }
}

fn not_known(reason: &str) -> Said {
    Said::NotTried(format!("the server does not know it: {reason}"))
}

/// An attempt as it is told. What a server does not know was not tried, unless it has done
/// something all the same; and where nothing rests on it, neither was what it does not understand.
pub(super) fn told(attempt: Attempt, said: Said, left: Left) -> Tried {
    let is_idle = left == Left::Whole && !attempt.is_needed(PlaceKind::Bucket);
    match said {
        Said::NotTried(reason) if matches!(left, Left::Whole | Left::Nothing) => {
            Tried::not(attempt, reason)
        }
        Said::NotTried(reason) => Tried::new(attempt, Said::Unclear(reason), left),
        Said::Failed(reason) if is_idle => Tried::not(attempt, reason),
        Said::Unclear(reason) if is_idle && !attempt.is_plain() => Tried::not(attempt, reason),
        said => Tried::new(attempt, said, left),
    }
}

#[cfg(test)]
mod tests {
    use strongroom_model::attack::Mark;

    use super::*;

    #[test]
    fn only_a_no_of_a_right_or_a_lock_is_a_refusal() {
        for (status, code) in [
            (403, "AccessDenied"),
            (403, ""),
            (401, "Unauthorized"),
            (409, "InvalidBucketState"),
            (409, "BucketNotEmpty"),
        ] {
            let said = said_by(status, code);
            assert!(matches!(said, Said::Refused(_)), "{said:?}");
        }
        for (status, code) in [
            (400, NOT_VALID),
            (400, "MalformedXML"),
            (400, ""),
            (409, "OperationAborted"),
            (411, "MissingContentLength"),
        ] {
            let said = said_by(status, code);
            assert!(matches!(said, Said::Unclear(_)), "{said:?}");
        }
        for (status, code) in [
            (403, "SignatureDoesNotMatch"),
            (400, "AuthorizationHeaderMalformed"),
            (404, "NoSuchKey"),
            (429, ""),
            (503, "SlowDown"),
        ] {
            let said = said_by(status, code);
            assert!(matches!(said, Said::Failed(_)), "{said:?}");
        }
        for (status, code) in [
            (405, "MethodNotAllowed"),
            (405, ""),
            (501, "NotImplemented"),
            (400, "NotImplemented"),
        ] {
            let said = said_by(status, code);
            assert!(matches!(said, Said::NotTried(_)), "{said:?}");
        }
        assert_eq!(said_by(204, ""), Said::Done);
    }

    #[test]
    fn in_a_list_the_code_alone_counts() {
        let refused = Said::Refused("200, and AccessDenied in it".to_owned());
        assert_eq!(said_in_list("AccessDenied"), refused);
        assert!(matches!(said_in_list("MalformedXML"), Said::Unclear(_)));
        assert!(matches!(said_in_list("InternalError"), Said::Failed(_)));
        assert!(matches!(said_in_list("NotImplemented"), Said::NotTried(_)));
    }

    #[test]
    fn what_a_server_does_not_know_was_not_tried_unless_it_has_done_it() {
        let unknown = || said_by(501, "NotImplemented");
        let mark = |attempt, said, left| told(attempt, said, left).mark();
        let rename = Attempt::Rename;
        assert_eq!(mark(rename, unknown(), Left::Whole), Mark::NotTried);
        assert_eq!(mark(rename, unknown(), Left::Lost), Mark::Fell);
        let not_seen = Left::Unknown("503".to_owned());
        assert_eq!(mark(rename, unknown(), not_seen), Mark::Open);
        // What has to be tried and is not understood is open, where it may have been our fault.
        let malformed = || said_by(400, "InvalidArgument");
        assert_eq!(mark(rename, malformed(), Left::Whole), Mark::NotTried);
        let copy = Attempt::CopyOverSelf;
        assert_eq!(mark(copy, malformed(), Left::Whole), Mark::Open);
        let remove = Attempt::RemoveLock;
        assert_eq!(mark(remove, malformed(), Left::Whole), Mark::Withstood);
        assert_eq!(mark(remove, said_by(404, ""), Left::Whole), Mark::Open);
    }
}
