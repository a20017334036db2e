//! Asking witnesses to cosign what was published, as C2SP tlog-witness.
//!
//! Nothing here is waited for by the log: a checkpoint is published without cosignatures, and gets
//! them when they come. The last one that has any is kept beside it, for a log that grows so fast
//! that the newest never has.

use std::io::Read;
use std::path::Path;
use std::time::Duration;

use parking_lot::Mutex;
use strongroom_ledger::note::NoteSignature;
use strongroom_ledger::witness::{ANSWER_LIMIT_BYTES, AddCheckpoint, Answer};
use strongroom_ledger::{Folder, KeyKind, SignedCheckpoint, Signer, Verifier, consistency_proof};
use ureq::Agent;
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};
use url::Url;

use crate::config::WitnessConfig;
use crate::publication::files::LogFolder;
use crate::publication::{CHECKPOINT, Publisher, WITNESSED, changed, keys, of_log};
use crate::rules::witness::{Cosigned, Heard, Next, Trouble, Watched};
use crate::{Error, Result};

/// How long a witness may take for its whole answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// No sound file of certificates is larger.
const CA_FILE_LIMIT_BYTES: u64 = 8 << 20;

/// The file of the key that this vault cosigns others' logs with, and of its public half.
const KEY: &str = "witness.key";
const KEY_PUBLIC: &str = "witness.pub";

/// A witness of this vault's log.
#[derive(Debug)]
pub struct Witness {
    url: Url,
    key: Verifier,
    agent: Agent,
    watched: Mutex<Watched>,
}

/// What is known of a witness, for those who watch.
#[derive(Clone, Debug)]
pub struct WitnessStatus {
    /// The name of its key.
    pub name: String,
    /// Its last cosignature.
    pub cosigned: Option<Cosigned>,
    /// What is wrong.
    pub trouble: Option<Trouble>,
}

impl Witness {
    /// A witness as it is configured, which nobody has asked yet.
    ///
    /// # Errors
    /// [`Error::Local`] and [`Error::Certificate`] where its authority's certificate cannot be
    /// read.
    pub fn new(config: &WitnessConfig) -> Result<Self> {
        let mut agent = Agent::config_builder()
            .user_agent(concat!("strongroom-vault/", env!("CARGO_PKG_VERSION")))
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_global(Some(PATIENCE))
            .tls_config(tls(config.ca_file.as_deref())?);
        let is_loopback = match config.url.host() {
            Some(url::Host::Domain(name)) => name == "localhost",
            Some(url::Host::Ipv4(address)) => address.is_loopback(),
            Some(url::Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        };
        if is_loopback {
            // A proxy's loopback is another machine.
            agent = agent.proxy(None);
        }
        let mut url = config.url.clone();
        let path = format!("{}/add-checkpoint", url.path().trim_end_matches('/'));
        url.set_path(&path);
        Ok(Self {
            url,
            key: config.key.clone(),
            agent: agent.build().new_agent(),
            watched: Mutex::default(),
        })
    }

    /// What is known of it.
    pub fn status(&self) -> WitnessStatus {
        let watched = self.watched.lock();
        WitnessStatus {
            name: self.key.name().to_owned(),
            cosigned: watched.cosigned,
            trouble: watched.trouble.clone(),
        }
    }

    /// Asks it to cosign what was published last, where it is time for that. Blocks, up to some
    /// ten seconds twice.
    ///
    /// # Errors
    /// Where the cosignature cannot be written down; what is wrong with the witness is in its
    /// [`Witness::status`].
    pub fn ask(&self, publisher: &Publisher) -> Result<()> {
        let Some(signed) = publisher.current() else {
            return Ok(());
        };
        let size = signed.checkpoint().size();
        if !self.watched.lock().is_due(size, publisher.vault.boot_ms()) {
            return Ok(());
        }
        for is_again in [false, true] {
            let old_size = self.watched.lock().known_size;
            let (heard, signature) = self.hear(publisher, &signed, old_size);
            let before = self.status().trouble;
            let now_ms = publisher.vault.boot_ms();
            let next = self.watched.lock().learn(heard, size, now_ms, is_again);
            if let Some(signature) = signature {
                publisher.add_cosignature(&signed, signature, &self.key)?;
            }
            if next == Next::Wait {
                return self.tell(publisher, before);
            }
        }
        Ok(())
    }

    /// Tells what is wrong, once.
    fn tell(&self, publisher: &Publisher, before: Option<Trouble>) -> Result<()> {
        let witness = self.key.name();
        match self.status().trouble {
            None if before.is_some() => tracing::info!(witness, "The witness cosigns again"),
            Some(trouble) if Some(&trouble) != before.as_ref() => {
                let reason = trouble.to_string();
                if trouble.is_alarm() {
                    tracing::error!(witness, reason, "A witness gives alarm");
                    let what = format!("The witness {witness} gives alarm: {reason}");
                    return publisher.vault.note_log_wrong(&what);
                }
                tracing::warn!(witness, reason, "A witness does not cosign");
            }
            _ => {}
        }
        Ok(())
    }

    /// Asks, and verifies what comes.
    fn hear(
        &self,
        publisher: &Publisher,
        signed: &SignedCheckpoint,
        old_size: u64,
    ) -> (Heard, Option<NoteSignature>) {
        let answer = match self.answer(publisher, signed, old_size) {
            Ok(answer) => answer,
            Err(reason) => return (Heard::Nothing(reason), None),
        };
        let Answer::Cosigned(signatures) = answer else {
            return (Heard::Answer(answer), None);
        };
        let own = signatures
            .into_iter()
            .find(|signature| self.key.is_named_by(signature));
        let Some(signature) = own else {
            let reason = format!("there is none by {}", self.key.label());
            return (Heard::WrongSignature(reason), None);
        };
        match self.key.verify(signed.note().text(), &signature) {
            Ok(time_s) => {
                let time_s = time_s.unwrap_or_default();
                (Heard::Cosigned { time_s }, Some(signature))
            }
            Err(error) => (Heard::WrongSignature(error.to_string()), None),
        }
    }

    fn answer(
        &self,
        publisher: &Publisher,
        signed: &SignedCheckpoint,
        old_size: u64,
    ) -> std::result::Result<Answer, String> {
        let size = signed.checkpoint().size();
        let files = Folder::new(publisher.folder.path());
        let proof = match old_size {
            0 => Vec::new(),
            old_size => consistency_proof(&files, old_size, size).map_err(told)?,
        };
        let request = AddCheckpoint {
            old_size,
            proof,
            checkpoint: signed.note().clone(),
        };
        let body = request.encode().map_err(told)?;
        let sent = self.agent.post(self.url.as_str()).send(body);
        let response = sent.map_err(|error| error.to_string())?;
        let status = response.status().as_u16();
        let mut answer = Vec::new();
        // One byte more than is taken, so that what is too long is refused.
        let limit_bytes = ANSWER_LIMIT_BYTES as u64 + 1;
        let mut reader = response.into_body().into_reader().take(limit_bytes);
        let read = reader.read_to_end(&mut answer);
        read.map_err(|error| error.to_string())?;
        Answer::decode(status, &answer).map_err(told)
    }
}

impl Publisher {
    /// The last checkpoint that a witness has cosigned.
    pub fn last_witnessed(&self) -> Option<SignedCheckpoint> {
        self.witnessed.lock().clone()
    }

    /// Puts a cosignature, which is verified once more, on the checkpoint that it is for, and on
    /// the one that is published where that is the same.
    fn add_cosignature(
        &self,
        of: &SignedCheckpoint,
        signature: NoteSignature,
        witness: &Verifier,
    ) -> Result<()> {
        {
            let mut state = self.state.lock();
            let known = state.known.as_mut();
            if let Some(known) = known.filter(|known| is_same(known.signed.as_ref(), of))
                && let Some(signed) = &mut known.signed
            {
                if self.folder.read(CHECKPOINT)?.as_ref() != Some(&known.note) {
                    return Err(changed("the checkpoint is not the one that was written"));
                }
                let added = signed.add_cosignature(signature.clone(), witness);
                added.map_err(of_log)?;
                known.note = signed.note().to_string().into_bytes();
                self.folder.write(CHECKPOINT, &known.note)?;
            }
        }
        let mut kept = self.witnessed.lock();
        let mut next = match kept.take() {
            Some(kept) if is_same(Some(&kept), of) => kept,
            Some(newer) if newer.checkpoint().size() > of.checkpoint().size() => {
                *kept = Some(newer);
                return Ok(());
            }
            _ => of.clone(),
        };
        next.add_cosignature(signature, witness).map_err(of_log)?;
        self.data
            .write(WITNESSED, next.note().to_string().as_bytes())?;
        *kept = Some(next);
        Ok(())
    }
}

fn is_same(known: Option<&SignedCheckpoint>, of: &SignedCheckpoint) -> bool {
    known.is_some_and(|known| known.checkpoint() == of.checkpoint())
}

/// The key that this vault cosigns others' logs with, made where there is none. `host` names a new
/// one; one that is there keeps its name.
///
/// # Errors
/// [`Error::Local`] and [`Error::Log`] where it cannot be had.
pub fn witness_signer(data: &Path, host: &str) -> Result<Signer> {
    let keys = LogFolder::open(data.join("keys"))?;
    let seed = keys::open(keys.path(), KEY)?;
    let named = keys.read(KEY_PUBLIC)?;
    let named = named.and_then(|text| String::from_utf8(text).ok());
    let named = named.and_then(|text| text.trim().parse::<Verifier>().ok());
    let name = named.map_or_else(
        || format!("{host}/strongroom-witness"),
        |known| known.name().to_owned(),
    );
    let signer = Signer::from_seed(KeyKind::Witness, &name, &seed).map_err(of_log)?;
    let text = format!("{}\n", signer.verifier());
    if keys.read(KEY_PUBLIC)?.as_deref() != Some(text.as_bytes()) {
        keys.write(KEY_PUBLIC, text.as_bytes())?;
    }
    Ok(signer)
}

/// The certificates to trust: the file's alone where one is given, else the public ones.
fn tls(ca_file: Option<&Path>) -> Result<TlsConfig> {
    let Some(path) = ca_file else {
        return Ok(TlsConfig::builder().root_certs(RootCerts::WebPki).build());
    };
    let unusable = |reason: String| Error::Certificate {
        path: path.to_owned(),
        reason,
    };
    let mut pem = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(CA_FILE_LIMIT_BYTES).read_to_end(&mut pem))
        .map_err(Error::local(format!("read {}", path.display())))?;
    let mut certificates = Vec::new();
    for item in parse_pem(&pem) {
        let item = item.map_err(|error| unusable(error.to_string()))?;
        if let PemItem::Certificate(certificate) = item {
            certificates.push(certificate);
        }
    }
    if certificates.is_empty() {
        return Err(unusable("it holds no certificate in PEM".to_owned()));
    }
    let roots = RootCerts::new_with_certs(&certificates);
    Ok(TlsConfig::builder().root_certs(roots).build())
}

fn told(error: strongroom_ledger::Error) -> String {
    error.to_string()
}
