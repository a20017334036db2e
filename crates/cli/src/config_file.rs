//! Where the configuration is found.

use std::path::{Path, PathBuf};

use etcetera::BaseStrategy;
use strongroom_model::Config;

use crate::error::{Error, Result};

const NAME: &str = "strongroom.toml";
const SYSTEM: &str = "/etc/strongroom";
/// Above this it is not a configuration.
const MOST_BYTES: u64 = 1 << 20;

/// Reads the file that is given, or else the first one that exists.
pub(crate) fn read(given: Option<&Path>) -> Result<(PathBuf, Config)> {
    let path = match given {
        Some(path) => path.to_owned(),
        None => find()?,
    };
    let reading = || Error::local(format!("read {}", path.display()));
    let size_bytes = std::fs::metadata(&path).map_err(reading())?.len();
    if size_bytes > MOST_BYTES {
        return Err(reading()(std::io::Error::other(
            "it is too large for a configuration",
        )));
    }
    let text = std::fs::read_to_string(&path).map_err(reading())?;
    match Config::parse(&text, &|name| std::env::var(name).ok()) {
        Ok(config) => Ok((path, config)),
        Err(problems) => Err(Error::Config { path, problems }),
    }
}

fn find() -> Result<PathBuf> {
    let user = etcetera::choose_base_strategy().ok();
    let folders = [
        Some(PathBuf::new()),
        user.map(|user| user.config_dir().join("strongroom")),
        Some(PathBuf::from(SYSTEM)),
    ];
    let searched: Vec<PathBuf> = folders
        .into_iter()
        .flatten()
        .map(|folder| folder.join(NAME))
        .collect();
    // One that exists and cannot be read is an error, not a reason to look further.
    let found = searched.iter().find(|path| path.symlink_metadata().is_ok());
    found.cloned().ok_or(Error::NoConfig { searched })
}
