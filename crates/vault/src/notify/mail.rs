//! Mail: plain text, by SMTP.
//!
//! What can go wrong: what somebody has called a repository ends a header and begins another one. The
//! headers are made by lettre, which encodes what is no plain word, and a subject is on one line
//! before that.

use std::path::Path;
use std::time::{Duration, SystemTime};

use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, MessageBuilder};
use lettre::transport::smtp::Error as SmtpError;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::{Address, SmtpTransport, Transport};

use crate::config::{MailConfig, MailTls};
use crate::notify::{Message, secret_file};
use crate::records::notices::{LONGEST_ERROR, LONGEST_SUBJECT, on_one_line};
use crate::rules::notices::Level;
use crate::{Error, Result};

/// How long each step may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// No sound file of certificates is larger.
const CA_FILE_LIMIT_BYTES: usize = 8 << 20;

#[derive(Debug)]
pub(super) struct Mail {
    transport: SmtpTransport,
    from: Address,
    to: Vec<Address>,
    host: String,
}

impl Mail {
    pub(super) fn open(config: &MailConfig, ca_file: Option<&Path>, host: &str) -> Result<Self> {
        let tls = match config.tls {
            MailTls::None => Tls::None,
            MailTls::Whole => Tls::Wrapper(parameters(&config.host, ca_file)?),
            MailTls::Started => Tls::Required(parameters(&config.host, ca_file)?),
        };
        // Not dangerous with what is asked for here: TLS is required, but on this machine.
        let mut builder = SmtpTransport::builder_dangerous(config.host.as_str())
            .port(config.port)
            .tls(tls)
            .hello_name(ClientId::Domain(host.to_owned()))
            .timeout(Some(PATIENCE));
        if let Some((user, password)) = &config.login {
            let password = secret_file::of(password)?.expose().to_owned();
            builder = builder.credentials(Credentials::new(user.clone(), password));
        }
        Ok(Self {
            transport: builder.build(),
            from: config.from.clone(),
            to: config.to.clone(),
            host: host.to_owned(),
        })
    }

    pub(super) fn send(&self, message: &Message, now_s: i64) -> Result<(), String> {
        let mail = self.mail(message, now_s)?;
        let sent = self.transport.send(&mail);
        sent.map(drop).map_err(|error| told(&error))
    }

    fn mail(&self, message: &Message, now_s: i64) -> Result<lettre::Message, String> {
        let subject = on_one_line(&message.title(), LONGEST_SUBJECT + 100);
        let seconds = Duration::from_secs(u64::try_from(now_s).unwrap_or_default());
        let id = format!("<{}.{now_s}@{}>", message.id, self.host);
        let mut mail: MessageBuilder = lettre::Message::builder()
            .from(Mailbox::new(
                Some("Strongroom".to_owned()),
                self.from.clone(),
            ))
            .date(SystemTime::UNIX_EPOCH + seconds)
            .message_id(Some(id))
            .subject(subject)
            .header(ContentType::TEXT_PLAIN);
        for address in &self.to {
            mail = mail.to(Mailbox::new(None, address.clone()));
        }
        // Nobody's holiday answers it.
        mail = mail.raw_header(raw("Auto-Submitted", "auto-generated")?);
        if message.level == Level::Critical {
            mail = mail.raw_header(raw("X-Priority", "1")?);
        }
        let body = format!("{}\n\n{}\n{}\n", message.body, message.at, message.vault);
        let mail = mail.body(body);
        mail.map_err(|_| "no mail can be made of it".to_owned())
    }
}

fn raw(name: &'static str, value: &str) -> Result<HeaderValue, String> {
    let name = HeaderName::new_from_ascii(name.to_owned());
    let name = name.map_err(|_| "a header has no name".to_owned())?;
    Ok(HeaderValue::new(name, value.to_owned()))
}

/// Whom the server must be, by which authorities.
fn parameters(host: &str, ca_file: Option<&Path>) -> Result<TlsParameters> {
    let mut builder = TlsParameters::builder(host.to_owned());
    if let Some(path) = ca_file {
        let unusable = |reason: &str| Error::Certificate {
            path: path.to_owned(),
            reason: reason.to_owned(),
        };
        let failed = Error::local(format!("read {}", path.display()));
        let pem = std::fs::read(path).map_err(failed)?;
        if pem.len() > CA_FILE_LIMIT_BYTES {
            return Err(unusable("it is no file of certificates"));
        }
        let certificate = Certificate::from_pem(&pem);
        let certificate = certificate.map_err(|_| unusable("it holds no certificate in PEM"))?;
        builder = builder
            .certificate_store(CertificateStore::None)
            .add_root_certificate(certificate);
    }
    builder.build().map_err(|error| Error::Refused {
        reason: format!("no TLS is possible with {host}: {error}"),
    })
}

/// What an error says: what the server answered, or what failed on the way.
fn told(error: &SmtpError) -> String {
    if error.is_timeout() {
        return "it did not answer within ten seconds".to_owned();
    }
    on_one_line(&strongroom_model::chain(error), LONGEST_ERROR)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notify::message::tests::message;

    fn mail() -> Mail {
        let config = MailConfig {
            host: "localhost".to_owned(),
            port: 25,
            tls: MailTls::None,
            login: None,
            from: "vault@example.net".parse().unwrap(),
            to: vec![
                "one@example.net".parse().unwrap(),
                "two@example.net".parse().unwrap(),
            ],
        };
        Mail::open(&config, None, "vault.example.net").unwrap()
    }

    #[test]
    fn no_subject_makes_a_header() {
        let attacks = [
            "x\r\nBcc: thief@evil.example",
            "x\nBcc: thief@evil.example",
            "x\r\n\r\nbody",
            "x\u{85}Bcc: a@b",
            "x\u{2028}Bcc: a@b",
            "=?utf-8?q?x=0D=0ABcc:_a@b?=",
        ];
        for attack in attacks {
            let told = Message {
                subject: attack.to_owned(),
                ..message()
            };
            let mail = mail().mail(&told, 1_800_000_000).unwrap();
            let text = String::from_utf8(mail.formatted()).unwrap();
            let (head, body) = text.split_once("\r\n\r\n").unwrap();
            let names: Vec<_> = head
                .split("\r\n")
                .filter(|line| !line.starts_with(' '))
                .map(|line| line.split(':').next().unwrap())
                .collect();
            let expected = [
                "From",
                "Date",
                "Message-ID",
                "Subject",
                "Content-Type",
                "To",
                "Auto-Submitted",
                "X-Priority",
                "Content-Transfer-Encoding",
            ];
            let mut found = names.clone();
            let mut wanted = expected.to_vec();
            found.sort_unstable();
            wanted.sort_unstable();
            assert_eq!(found, wanted, "{attack:?}: {head}");
            assert!(!head.contains("\r\nBcc"), "{head}");
            assert!(body.contains("first line"), "{body}");
            let envelope = mail.envelope();
            assert_eq!(envelope.to().len(), 2);
        }
    }
}
