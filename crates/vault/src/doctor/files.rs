//! What lies in the vault's folder beside the database, and what the configuration says.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use data_encoding::HEXLOWER;
use strongroom_model::shell::quoted;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;

use crate::config::{DatabaseConfig, PublicUrl};
use crate::doctor::certificate::{ends_s, own_certificate};
use crate::doctor::{Examination, Line};

const DAY_S: i64 = 86_400;

/// So long before its end a certificate is warned of; those who renew by themselves do so earlier.
const RENEW_BEFORE_S: i64 = 14 * DAY_S;

impl Examination<'_> {
    /// Folders, keys, the configuration, the certificate.
    pub(super) fn files(&self) -> Vec<Line> {
        let mut lines = vec![self.modes(), self.keys()];
        for warning in &self.config.warnings {
            let found = format!("vault.toml, line {}: {}", warning.line, warning.message);
            lines.push(Line::warn("config", found, warning.hint.clone()));
        }
        if self.config.warnings.is_empty() {
            lines.push(Line::ok("config", "without contradictions"));
        }
        let problem = match &self.config.public_url {
            Some(url) => url.passkey_problem(self.config.tls.is_none()),
            None => Some(PublicUrl::missing()),
        };
        lines.push(match problem {
            Some(problem) => Line::warn(
                "public_url",
                problem,
                "write it in vault.toml; machines with tokens need it where they trust the vault's own \
                 certificate, which is made for its host",
            ),
            None => Line::ok("public_url", "browsers offer passkeys there"),
        });
        lines.push(self.certificate());
        if self.config.grace < self.config.retention {
            lines.push(Line::warn(
                "keeping",
                format!(
                    "what is asked to be deleted is kept for {} only, and what arrives for {}",
                    self.config.grace, self.config.retention
                ),
                "an old object may be gone before anybody notices: leave grace out of vault.toml, \
                 and it is as long as the retention",
            ));
        }
        lines
    }

    /// Nobody else may enter the folder, or read what is secret.
    fn modes(&self) -> Line {
        let data = &self.config.data;
        let keys = data.join("keys");
        let mut open = Vec::new();
        let mut look = |path: &Path| {
            if let Ok(metadata) = fs::metadata(path)
                && metadata.permissions().mode() & 0o077 != 0
            {
                open.push(path.to_owned());
            }
        };
        look(data);
        look(&keys);
        if let DatabaseConfig::File(path) = &self.config.database {
            look(path);
        }
        let secrets = fs::read_dir(&keys).into_iter().flatten().flatten();
        for secret in secrets {
            let is_secret = |end: &str| secret.file_name().to_string_lossy().ends_with(end);
            if is_secret(".key") || is_secret(".token") {
                look(&secret.path());
            }
        }
        match open.first() {
            None => Line::ok("folder", "nobody else can read it"),
            Some(first) => Line::fail(
                "folder",
                format!(
                    "others than its owner may enter or read {}",
                    first.display()
                ),
                format!("chmod go= {}", quoted(first)),
            ),
        }
    }

    fn keys(&self) -> Line {
        let keys = self.config.data.join("keys");
        let names = fs::read_dir(&keys).into_iter().flatten().flatten();
        let mut seeds = 0;
        for entry in names {
            let name = entry.file_name().to_string_lossy().into_owned();
            let is_ours = name == "witness.key"
                || name == "log.key"
                || name.starts_with("log-") && name.ends_with(".key");
            if !is_ours {
                continue;
            }
            let text = fs::read_to_string(entry.path()).unwrap_or_default();
            let seed = HEXLOWER.decode(text.trim().as_bytes());
            if seed.is_ok_and(|seed| seed.len() == 32) {
                seeds += usize::from(name != "witness.key");
                continue;
            }
            return Line::fail(
                "keys",
                format!("{} is no key", entry.path().display()),
                "put it back from a backup",
            );
        }
        match seeds {
            0 => Line::warn(
                "keys",
                "the log has no key yet",
                "it is made by: strongroom-vault serve",
            ),
            _ => Line::ok("keys", "they can be read"),
        }
    }

    fn certificate(&self) -> Line {
        let path = match &self.config.tls {
            Some(files) => files.certificate.clone(),
            None => self.config.data.join("keys/tls.crt"),
        };
        if self.config.tls.is_none() && !path.exists() {
            return Line::ok("certificate", "the vault makes its own at its first start");
        }
        let read = fs::read(&path).ok();
        let certificate = read.and_then(|pem| CertificateDer::from_pem_slice(&pem).ok());
        let Some(ends_s) = certificate.and_then(|certificate| ends_s(&certificate)) else {
            return Line::fail(
                "certificate",
                format!("{} cannot be read, or is none", path.display()),
                format!("openssl x509 -noout -subject -in {}", quoted(&path)),
            );
        };
        let left_s = ends_s.saturating_sub(self.now_s);
        let next = match &self.config.tls {
            Some(_) => {
                "renew it: certbot renew; the vault takes the new one within seconds, and at its \
                 next start where it has copies of systemd's (LoadCredential=)"
            }
            None => "remove keys/tls.crt and keys/tls.key, restart, and give clients the new one",
        };
        let days = left_s / DAY_S;
        if left_s <= 0 {
            return Line::fail("certificate", "it has expired: no client connects", next);
        }
        if left_s < RENEW_BEFORE_S {
            return Line::warn("certificate", format!("it expires in {days} days"), next);
        }
        own_certificate(self.config, &self.config.listen)
            .unwrap_or_else(|| Line::ok("certificate", format!("it counts for {days} days more")))
    }
}
