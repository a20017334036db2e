//! What an answer of S3 means: absent, full, refused, away, or no answer of such a server at all.
//!
//! Nothing of what a server says may bring a secret or a line of its own into our logs.

use std::error::Error as StdError;
use std::fmt;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};

use crate::Error;

/// The most characters that are told of what a server or the SDK says.
const REASON_CHARACTERS: usize = 200;

/// A failed request.
pub(super) type Failure<E> = SdkError<E, HttpResponse>;

/// Why a request failed that nobody waits for any more.
#[derive(Debug)]
pub(super) struct Interrupted;

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Interrupted")
    }
}

impl StdError for Interrupted {}

/// Makes of a failed request what others can decide on; everything worth it was tried again.
pub(super) fn fault<E>(location: String, action: impl ToString, error: &Failure<E>) -> Error
where
    E: ProvideErrorMetadata + StdError + 'static,
{
    let action = action.to_string();
    let Some(status) = status(error) else {
        return if is_because_of::<Interrupted>(error) {
            Error::Cancelled { location }
        } else if is_because_of::<CredentialsError>(error) {
            // The request was never sent because nobody could sign it.
            Error::Denied {
                location,
                action,
                reason: "there are no credentials for it".to_owned(),
            }
        } else {
            Error::Unreachable {
                location,
                reason: plain(&innermost(error)),
            }
        };
    };
    let code = error.code().unwrap_or_default();
    let reason = plain(format!("{status} {code}").trim_end());
    match (status, code) {
        (507, _) | (_, "QuotaExceeded" | "StorageFull" | "XMinioStorageFull") => {
            Error::Full { location }
        }
        (401 | 403 | 405, _) => Error::Denied {
            location,
            action,
            reason,
        },
        // What a server never has (501) it will not have in a moment either.
        (408 | 429 | 500 | 502.., _) => Error::Unreachable {
            location,
            reason: format!("It answers {reason}"),
        },
        (200..=299, _) => Error::BadAnswer {
            location,
            action,
            reason: plain(&innermost(error)),
        },
        _ => Error::BadAnswer {
            location,
            action,
            reason,
        },
    }
}

/// The status of the answer, where there was one.
pub(super) fn status<E>(error: &Failure<E>) -> Option<u16> {
    error
        .raw_response()
        .map(|response| response.status().as_u16())
}

/// Whether an error, or what lies below it, is one of this type.
fn is_because_of<C: StdError + 'static>(error: &(dyn StdError + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if error.is::<C>() {
            return true;
        }
        cause = error.source();
    }
    false
}

/// What lies at the bottom of an error, which is what a person can mend.
fn innermost(error: &(dyn StdError + 'static)) -> String {
    let mut bottom = error;
    while let Some(cause) = bottom.source() {
        bottom = cause;
    }
    bottom.to_string()
}

/// A text of somebody else's, in one line and of bounded length.
fn plain(text: &str) -> String {
    text.chars()
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .take(REASON_CHARACTERS)
        .collect()
}
