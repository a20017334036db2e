//! What a vault reads before it knows who asks, or takes from those who may only add.

use std::path::Path;

use strongroom_model::RepositoryPath;
use strongroom_vault::config::VaultConfig;
use strongroom_vault::http::rest::{Moment, Range, Route, Target, token_in};
use strongroom_vault::rules::key_file;

use crate::model::{environment, refused_with_reasons};

/// The path of a request.
pub(crate) fn route(data: &[u8]) -> bool {
    let Some(route) = str::from_utf8(data).ok().and_then(Route::parse) else {
        return false;
    };
    let repository = route.repository.as_str();
    assert_eq!(
        repository.parse::<RepositoryPath>().ok().as_ref(),
        Some(&route.repository)
    );
    assert!(!repository.contains("..") || !repository.contains("/."));
    let target = match route.target {
        Target::Root => String::new(),
        Target::List(kind) => format!("{}/", kind.folder()),
        Target::File(name) => name.to_string(),
    };
    // Written in the plainest way it means the same.
    let plain = Route::parse(&format!("/{repository}/{target}"));
    let now = Route {
        moment: Moment::Now,
        ..route.clone()
    };
    assert_eq!(plain, Some(now));
    if let Moment::Leaves(leaves) = route.moment {
        assert!(
            i64::try_from(leaves).is_ok(),
            "more leaves than any log has"
        );
    }
    true
}

/// A size and the value of `Range`.
pub(crate) fn range(data: &[u8]) -> bool {
    let Some((size, header)) = data.split_first_chunk::<8>() else {
        return false;
    };
    let size_bytes = u64::from_be_bytes(*size);
    match Range::parse(header, size_bytes) {
        Range::Part(range) => {
            assert!(range.start < range.end && range.end <= size_bytes);
            true
        }
        Range::Whole | Range::Outside => false,
    }
}

/// The value of `Authorization`.
pub(crate) fn login(data: &[u8]) -> bool {
    let Some(token) = token_in(data) else {
        return false;
    };
    assert!(token.len() < data.len(), "more than was sent");
    true
}

/// A key file, which a client that may only add has sent.
pub(crate) fn key(data: &[u8]) -> bool {
    let is_taken = key_file::check(data).is_ok();
    assert!(!is_taken || str::from_utf8(data).is_ok());
    is_taken
}

/// The configuration.
pub(crate) fn toml(data: &[u8]) -> bool {
    let Ok(text) = str::from_utf8(data) else {
        return false;
    };
    match VaultConfig::parse(text, Path::new("/srv/vault"), &environment) {
        Ok(config) => {
            assert!(!config.listen.is_empty());
            true
        }
        Err(error) => {
            refused_with_reasons(text, &error);
            false
        }
    }
}
