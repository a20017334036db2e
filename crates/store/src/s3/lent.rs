//! The account with which a bucket is asked, lent to another program that asks it for us.
//!
//! Other programs know fewer ways to an account than we do: stock restic looks into the environment and
//! into one file of Amazon's programs, and knows of no program, role to assume or login that the other
//! file names. So it is lent what these gave, and need not find it.
//!
//! What can go wrong: what is given for a time ends while the other program is still at work (so: it is
//! told when).

use std::time::SystemTime;

use aws_credential_types::provider::ProvideCredentials;
use strongroom_model::Secret;

use crate::s3::client::FIRST_REGION;
use crate::s3::options::S3Credentials;
use crate::s3::store::S3Store;

/// An account as it is by now, with all that another program needs to ask by it.
#[derive(Clone, Debug)]
pub struct LentAccount {
    /// Its name, and what signs its requests.
    pub credentials: S3Credentials,
    /// What has to go with these where they are given for a time.
    pub session_token: Option<Secret>,
    /// When they end, where they do.
    pub ends: Option<SystemTime>,
    /// The region that requests are signed for.
    pub region: String,
}

impl S3Store {
    /// The account with which it asks, as whoever has it gives it now; `None` where nobody does.
    pub fn lend(&self) -> Option<LentAccount> {
        let bucket = self.bucket();
        let identity = bucket.identity.as_ref()?;
        let given = bucket.wait_unless_interrupted(identity.provide_credentials())?;
        let given = given.ok()?;
        let region = bucket.client.config().region();
        Some(LentAccount {
            credentials: S3Credentials {
                access_key: given.access_key_id().to_owned(),
                secret_key: Secret::new(given.secret_access_key()),
            },
            session_token: given.session_token().map(Secret::new),
            ends: given.expiry(),
            region: region.map_or(FIRST_REGION, AsRef::as_ref).to_owned(),
        })
    }
}
