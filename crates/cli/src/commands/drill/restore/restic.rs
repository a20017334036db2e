//! How stock restic reaches a copy of the configuration, as docs/restoring-without-us.md tells.

use std::ffi::OsString;
use std::time::Duration;

use jiff::Timestamp;
use strongroom_engine::drill::restore::Restic;
use strongroom_engine::session::{Password, chain};
use strongroom_model::{BackupCopy, StoreAddress};
use strongroom_store::patient::within;
use strongroom_store::rest::pinned_certificate;

use crate::context::Context;
use crate::copies::{lent, url_with_credentials};
use crate::error::Result;

/// How long each step of asking a server for its certificate may take, and all of it.
const STEP_LIMIT: Duration = Duration::from_secs(10);
const LIMIT: Duration = Duration::from_secs(60);

/// The restic that is installed with the way to a copy, or why it is not tried.
pub(super) fn for_copy(
    copy: &BackupCopy,
    password: &Password,
    context: &Context,
) -> Result<std::result::Result<Restic, String>> {
    let program = match Restic::installed() {
        Ok(program) => program,
        Err(reason) => return Ok(Err(reason)),
    };
    let mut environment: Vec<(OsString, OsString)> = Vec::new();
    let mut arguments: Vec<OsString> = Vec::new();
    let mut certificate = None;
    let mut ends = None;
    let repository = match &copy.store {
        StoreAddress::Local(path) => path.clone().into_os_string(),
        StoreAddress::Rest(address) => {
            if let Some(pinned) = copy.fingerprint {
                let url = address.url().clone();
                let fetch = move || pinned_certificate(&url, pinned, STEP_LIMIT);
                match within(LIMIT, fetch) {
                    Some(Ok(pem)) => certificate = Some(pem),
                    Some(Err(error)) => return Ok(Err(no_certificate(&chain(&error)))),
                    None => return Ok(Err(no_certificate("it takes too long"))),
                }
            }
            format!("rest:{}", url_with_credentials(address)).into()
        }
        StoreAddress::S3(address) => {
            let Some(lent) = lent(copy, address, context)? else {
                return Ok(Err("nobody gives the account of its bucket now".to_owned()));
            };
            let account = &lent.credentials;
            let told = [
                ("AWS_ACCESS_KEY_ID", account.access_key.as_str()),
                ("AWS_SECRET_ACCESS_KEY", account.secret_key.expose()),
                ("AWS_DEFAULT_REGION", lent.region.as_str()),
            ];
            let token = lent.session_token.as_ref();
            let token = token.map(|token| ("AWS_SESSION_TOKEN", token.expose()));
            let told = told.into_iter().chain(token);
            environment.extend(told.map(|(name, value)| (OsString::from(name), value.into())));
            ends = lent.ends.and_then(|ends| Timestamp::try_from(ends).ok());
            if let Some(path_style) = copy.s3.path_style {
                let lookup = if path_style { "path" } else { "dns" };
                let option = format!("s3.bucket-lookup={lookup}");
                arguments.push("-o".into());
                arguments.push(option.into());
            }
            address.to_string().into()
        }
    };
    if let Some(ca_file) = &copy.ca_file {
        arguments.push("--cacert".into());
        arguments.push(ca_file.clone().into_os_string());
    }
    Ok(Ok(Restic {
        program,
        repository,
        password: password.clone(),
        environment,
        ends,
        arguments,
        certificate,
    }))
}

fn no_certificate(reason: &str) -> String {
    format!("restic needs the certificate that is pinned, which cannot be had: {reason}")
}
