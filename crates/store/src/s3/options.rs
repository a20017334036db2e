//! How to reach a bucket, and how patient to be with it.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use strongroom_model::{S3Address, Secret};
use url::Url;

use crate::rest::{Retries, Timeouts, without_userinfo};
use crate::{Error, Result};

/// What [`S3Bodies`](crate::S3Bodies) and [`S3Store`](crate::S3Store) are made from.
pub struct S3Options {
    /// The bucket.
    pub bucket: String,
    /// What all keys begin with, as folders with slashes between them; may be empty.
    pub prefix: String,
    /// The region; else `us-east-1` where there is an endpoint, or what the environment, the files
    /// of Amazon's programs or the machine itself says.
    pub region: Option<String>,
    /// The server, where it is not Amazon's.
    pub endpoint: Option<Url>,
    /// PEM certificates that the server's must descend from; given these, no other is trusted. Else
    /// those that this system trusts.
    pub ca_file: Option<PathBuf>,
    /// Whether the bucket stands in the path of addresses rather than in front of the host.
    pub path_style: bool,
    /// The account; else the one that the environment, the files of Amazon's programs or the
    /// machine itself has.
    pub credentials: Option<S3Credentials>,
    /// The folder for what waits to be sent and has no room in memory, in files without a name; the
    /// system's own for such files where none is named.
    pub spool: Option<PathBuf>,
    /// How many bytes of that folder's disk stay free.
    pub spool_reserve_bytes: u64,
    /// How long to wait for what.
    pub timeouts: Timeouts,
    /// How often to try.
    pub retries: Retries,
    /// Set from outside to end all waiting; a vault's bodies do not look at it.
    pub cancelled: Arc<AtomicBool>,
}

/// An account of S3.
#[derive(Clone, Debug)]
pub struct S3Credentials {
    /// Its name.
    pub access_key: String,
    /// What signs its requests.
    pub secret_key: Secret,
}

impl S3Options {
    /// The defaults for a bucket of Amazon's.
    pub fn new(bucket: impl Into<String>) -> Self {
        Self {
            bucket: bucket.into(),
            prefix: String::new(),
            region: None,
            endpoint: None,
            ca_file: None,
            path_style: false,
            credentials: None,
            spool: None,
            spool_reserve_bytes: 0,
            timeouts: Timeouts {
                connect: Duration::from_secs(10),
                answer: Duration::from_secs(30),
                least_bytes_per_second: 128 << 10,
            },
            retries: Retries {
                tries: 4,
                first_pause: Duration::from_millis(200),
                longest_pause: Duration::from_secs(5),
            },
            cancelled: Arc::default(),
        }
    }

    /// Where it is, as people write it and without any secret: `s3:https://host/bucket/prefix/`.
    pub(super) fn location(&self) -> String {
        let endpoint = match (&self.endpoint, &self.region) {
            (Some(url), _) => without_userinfo(url).to_string(),
            (None, Some(region)) => format!("https://s3.{region}.amazonaws.com"),
            (None, None) => "https://s3.amazonaws.com".to_owned(),
        };
        let endpoint = endpoint.trim_end_matches('/');
        let slash = if self.prefix.is_empty() { "" } else { "/" };
        format!("s3:{endpoint}/{}/{}{slash}", self.bucket, self.prefix)
    }

    /// Refuses what could mean something else in an address, and secrets where they do not belong.
    pub(super) fn check(&self) -> Result<()> {
        let refuse = |reason: &str| {
            Err(Error::Address {
                address: self.location(),
                reason: reason.to_owned(),
            })
        };
        if !S3Address::is_plain_name(&self.bucket) {
            return refuse("The bucket's name needs letters, digits, '-', '_' and '.'");
        }
        if !self.prefix.is_empty() && !self.prefix.split('/').all(S3Address::is_plain_name) {
            return refuse(
                "The prefix needs folders of letters, digits, '-', '_' and '.', without a slash \
                 around them",
            );
        }
        let Some(endpoint) = &self.endpoint else {
            return Ok(());
        };
        if !matches!(endpoint.scheme(), "http" | "https") || endpoint.host_str().is_none() {
            return refuse("The endpoint must begin with https:// or http:// and name a host");
        }
        if *endpoint != without_userinfo(endpoint) {
            return refuse("The endpoint must have no user, password, ? or #");
        }
        Ok(())
    }
}

impl fmt::Debug for S3Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Options")
            .field("location", &self.location())
            .field("region", &self.region)
            .field("ca_file", &self.ca_file)
            .field("path_style", &self.path_style)
            .field("timeouts", &self.timeouts)
            .field("retries", &self.retries)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_endpoint(endpoint: &str) -> S3Options {
        S3Options {
            endpoint: Some(endpoint.parse().unwrap()),
            ..S3Options::new("bucket")
        }
    }

    #[test]
    fn the_location_tells_server_bucket_and_prefix() {
        let mut options = with_endpoint("https://s3.example:7480/");
        assert_eq!(options.location(), "s3:https://s3.example:7480/bucket/");
        options.prefix = "vaults/one".to_owned();
        assert_eq!(
            options.location(),
            "s3:https://s3.example:7480/bucket/vaults/one/"
        );
        options.check().unwrap();
        let amazon = S3Options {
            region: Some("eu-central-1".to_owned()),
            ..S3Options::new("bucket")
        };
        assert_eq!(
            amazon.location(),
            "s3:https://s3.eu-central-1.amazonaws.com/bucket/"
        );
    }

    #[test]
    fn a_secret_in_the_endpoint_is_refused_and_shown_nowhere() {
        for endpoint in [
            "https://u:geheim@h/",
            "https://h/?key=geheim",
            "https://h/#geheim",
        ] {
            let options = with_endpoint(endpoint);
            let error = options.check().unwrap_err().to_string();
            assert!(!error.contains("geheim"), "{error}");
            assert!(!format!("{options:?}").contains("geheim"));
        }
    }

    #[test]
    fn names_that_could_leave_the_bucket_are_refused() {
        for bad in ["", ".", "..", "a/b", "a?b", "-a", "ä"] {
            assert!(S3Options::new(bad).check().is_err(), "{bad:?}");
        }
        for bad in ["/", "a/", "/a", "a//b", "a/../b", "a?"] {
            let mut options = S3Options::new("bucket");
            options.prefix = bad.to_owned();
            assert!(options.check().is_err(), "{bad:?}");
        }
        assert!(with_endpoint("ftp://h/").check().is_err());
    }
}
