//! Where the state folder is.

use std::path::PathBuf;

use etcetera::BaseStrategy;
use strongroom_engine::state::StateFolder;

use crate::error::{Error, Result};

/// The variable that names the folder.
const VARIABLE: &str = "STRONGROOM_STATE";

/// Chooses it: as the variable says, else the system's for root and the user's for everybody else.
pub(crate) fn choose() -> Result<StateFolder> {
    if let Some(path) = std::env::var_os(VARIABLE).filter(|path| !path.is_empty()) {
        return Ok(StateFolder::new(PathBuf::from(path)));
    }
    if rustix::process::geteuid().is_root() {
        return Ok(StateFolder::new("/var/lib/strongroom"));
    }
    let home = etcetera::choose_base_strategy()
        .map_err(|error| Error::local("find the home folder")(std::io::Error::other(error)))?;
    let state = home.state_dir().unwrap_or_else(|| home.data_dir());
    Ok(StateFolder::new(state.join("strongroom")))
}
