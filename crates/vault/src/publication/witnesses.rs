//! Asking witnesses to cosign what was published, as C2SP tlog-witness.
//!
//! Nothing here is waited for by the log: a checkpoint is published without cosignatures, and gets
//! them when they come. One process at a time asks (lease `witness`), every witness beside the
//! others, so that one that is slow holds up nobody.

use std::io::Read;
use std::path::Path;
use std::thread;
use std::time::Duration;

use parking_lot::Mutex;
use strongroom_ledger::note::NoteSignature;
use strongroom_ledger::witness::{ANSWER_LIMIT_BYTES, AddCheckpoint, Answer};
use strongroom_ledger::{SignedCheckpoint, Verifier, consistency_proof};
use ureq::Agent;
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};
use url::Url;

use crate::config::WitnessConfig;
use crate::publication::cosigning::News;
use crate::publication::{Publisher, Tiles};
use crate::rules::witness::{Heard, Next, Watched};
use crate::vault::{Held, Job};
use crate::{Error, Result};

/// How long a witness may take for its whole answer; a lease lasts longer.
const PATIENCE: Duration = Duration::from_secs(10);

/// No sound file of certificates is larger.
const CA_FILE_LIMIT_BYTES: u64 = 8 << 20;

/// The witnesses of a vault's log, as they are configured.
#[derive(Debug)]
pub struct Witnesses(Vec<Witness>);

/// A witness.
#[derive(Debug)]
struct Witness {
    url: Url,
    key: Verifier,
    agent: Agent,
    watched: Mutex<Watched>,
}

impl Witnesses {
    /// Witnesses that nobody has asked yet.
    ///
    /// # Errors
    /// [`Error::Local`] and [`Error::Certificate`] where an authority's certificate cannot be read.
    pub fn new(configs: &[WitnessConfig]) -> Result<Self> {
        let witnesses = configs.iter().map(Witness::new);
        Ok(Self(witnesses.collect::<Result<_>>()?))
    }

    /// Whether there are any.
    pub fn are_there(&self) -> bool {
        !self.0.is_empty()
    }

    /// Asks those for which it is time to cosign what was published last, where no other process
    /// does; to be called every second. Blocks, up to some ten seconds twice. What is wrong with a
    /// witness is in the database, for whoever looks.
    ///
    /// # Errors
    /// Where a cosignature cannot be written down.
    pub fn ask(&self, publisher: &Publisher) -> Result<()> {
        let asked = publisher.vault.run_job(Job::Witness, |held| {
            let Some(signed) = publisher.newest()? else {
                return Ok(());
            };
            let (size, now_ms) = (signed.checkpoint().size(), publisher.vault.boot_ms());
            let is_due = |witness: &&Witness| witness.watched.lock().is_due(size, now_ms);
            let due: Vec<_> = self.0.iter().filter(is_due).collect();
            if due.is_empty() {
                return Ok(());
            }
            let keys = self.0.iter().map(|witness| witness.key.to_string());
            publisher.keep_witnesses(keys.collect(), held)?;
            let (signed, mut outcomes) = (&signed, Vec::new());
            thread::scope(|scope| {
                let asking: Vec<_> = due
                    .into_iter()
                    .map(|witness| scope.spawn(move || witness.ask(publisher, signed, held)))
                    .collect();
                for asked in asking {
                    outcomes.push(asked.join().unwrap_or(Err(Error::Unfinished)));
                }
            });
            outcomes.into_iter().collect()
        });
        asked.map(drop)
    }
}

impl Witness {
    fn new(config: &WitnessConfig) -> Result<Self> {
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

    /// Asks it to cosign a checkpoint.
    fn ask(&self, publisher: &Publisher, signed: &SignedCheckpoint, held: &Held<'_>) -> Result<()> {
        let size = signed.checkpoint().size();
        for is_again in [false, true] {
            held.keep()?;
            let old_size = self.watched.lock().known_size;
            let (heard, signature) = self.hear(publisher, signed, old_size);
            let now_ms = publisher.vault.boot_ms();
            let (next, trouble) = {
                let mut watched = self.watched.lock();
                let next = watched.learn(heard, size, now_ms, is_again);
                (next, watched.trouble.clone())
            };
            if next == Next::AskAgain {
                continue;
            }
            let news = News {
                witness: &self.key,
                of: signed,
                signature,
                trouble,
            };
            return publisher.note_witness(news, held);
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
        let files = Tiles(&*publisher.files);
        let proof = match old_size {
            0 => Vec::new(),
            old_size => consistency_proof(files, old_size, size).map_err(told)?,
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

/// The certificates to trust: the file's alone where one is given, else the public ones.
pub(crate) fn tls(ca_file: Option<&Path>) -> Result<TlsConfig> {
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
