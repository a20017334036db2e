//! What an answer of S3 means: absent, full, refused, away, or no answer of such a server at all.
//!
//! Nothing of what a server says may bring a secret or a line of its own into our logs.

use std::error::Error as StdError;
use std::fmt;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ErrorMetadata, ProvideErrorMetadata, SdkError};

use crate::Error;

/// What a log leaves out of Amazon's library, as directives of a filter: the warnings of what gets
/// credentials, which repeat an answer that cannot be read, with the secret in it. Why there are none
/// is told by the request that wanted them.
pub const UNHEARD: &str = "aws_config::meta=error,aws_config::profile=error,\
                           aws_config::sts=error,aws_config::web_identity_token=error";

/// What is told where nobody gives credentials.
const NO_CREDENTIALS: &str = "there are no credentials for it";

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
                reason: unsigned(error),
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

/// Why nobody could sign a request, as whoever should have given the credentials says. Of a server
/// that is its code alone: the rest of its answer may hold them.
fn unsigned(error: &(dyn StdError + 'static)) -> String {
    let (mut said, mut next) = (None, Some(error));
    while let Some(error) = next {
        next = error.source();
        match error.downcast_ref::<CredentialsError>() {
            // It lists all that was tried.
            Some(CredentialsError::CredentialsNotLoaded(_)) => said = None,
            Some(_) => said = next.map(|why| why.to_string()),
            None => {
                let refusal = error.downcast_ref::<ErrorMetadata>();
                let code = refusal.and_then(ErrorMetadata::code);
                said = code.map(str::to_owned).or(said);
            }
        }
    }
    match said {
        Some(said) => plain(&format!("{NO_CREDENTIALS}: {said}")),
        None => NO_CREDENTIALS.to_owned(),
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

#[cfg(test)]
mod tests {
    use aws_sdk_s3::operation::get_object::GetObjectError;

    use super::*;

    /// What is told of a request that could not be signed.
    fn reason(error: CredentialsError) -> String {
        let failure = Failure::<GetObjectError>::construction_failure(error);
        match fault("s3:here".to_owned(), "read it", &failure) {
            Error::Denied { reason, .. } => reason,
            error => panic!("{error:?}"),
        }
    }

    #[test]
    fn who_gives_no_credentials_says_why_and_nothing_of_the_answer_of_a_server_is_told() {
        let tried = CredentialsError::not_loaded("all that was tried\nin as many lines");
        assert_eq!(reason(tried), NO_CREDENTIALS);
        let program = CredentialsError::provider_error("it has failed\nand says so");
        assert_eq!(
            reason(CredentialsError::provider_error(program)),
            "there are no credentials for it: it has failed and says so"
        );
        let answer = ErrorMetadata::builder().message("geheim");
        let refusal = answer.code("AccessDenied").build();
        assert_eq!(
            reason(CredentialsError::provider_error(refusal)),
            "there are no credentials for it: AccessDenied"
        );
    }
}
