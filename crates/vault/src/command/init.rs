//! `strongroom-vault init`: a folder with everything that is needed to start.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use strongroom_model::shell::quoted;
use strongroom_vault::config::{FILE_NAME, TEMPLATE};
use strongroom_vault::{Error, Result, admin_token, durable};

/// Make a folder for a vault, with a commented configuration
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The folder; it may be there already, without a configuration
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

impl Args {
    pub(crate) fn run(&self) -> Result<()> {
        let folder = std::path::absolute(&self.folder)
            .map_err(Error::local(format!("find {}", self.folder.display())))?;
        make_folder(&folder)?;
        make_folder(&folder.join("keys"))?;
        let config = folder.join(FILE_NAME);
        let placed = durable::place(&config, TEMPLATE.as_bytes());
        let is_new = placed.map_err(Error::local(format!("write {}", config.display())))?;
        if !is_new {
            return Err(Error::VaultExists { folder });
        }
        admin_token::open(&folder.join("keys"))?;
        let config = quoted(&config);
        let certificate = quoted(folder.join("keys/tls.crt"));
        let mut out = io::stdout().lock();
        let told = writeln!(
            out,
            "The vault is in {}. Next:\n\
             1. Before anything else write public_url into {config}, with the name by which clients \
                reach this machine: public_url = \"https://vault.example.net:8000\"\n   \
                The vault's own certificate is made for that name at the first start, and its log \
                is called by it for good. Change what else does not fit.\n\
             2. strongroom-vault serve --config {config}\n   \
                It goes on until it is stopped, and prints its address and by which fingerprint its \
                certificate is known. The rest is for another terminal.\n\
             3. For each machine a token of its own, which is shown once:\n   \
                strongroom-vault token create --config {config} --repository acme/repos \
                --right append\n\
             4. On that machine, with a copy of the certificate, and the host of public_url as \
                HOST:\n   \
                restic --cacert {certificate} -r rest:https://any:TOKEN@HOST:8000/acme/repos/ init\n\
             5. strongroom-vault log key --config {config}\n   \
                It prints the key that the log is verified with. Keep it where the vault is not.\n\
             6. strongroom-vault operators link --config {config}\n   \
                It prints the link by which the first operator comes, in a browser at public_url. \
                From then on people rule the vault there, and having this folder changes nothing.",
            quoted(&folder)
        );
        told.map_err(Error::local("write to standard output"))
    }
}

/// Makes a folder that only its owner can enter; one that is there stays as it is.
fn make_folder(path: &Path) -> Result<()> {
    let made = durable::make_folder(path);
    made.map_err(Error::local(format!("make the folder {}", path.display())))
}
