//! Telling people: channels, and what is sent over each.
//!
//! A notice that is to be told is in the database ([`records::notices`](crate::records::notices));
//! [`Teller`] sends it. Nothing here is waited for by any act, and no channel waits for another.
//!
//! What can go wrong: a channel tells a secret on. So addresses of webhooks, topics and passwords stand
//! in no error and in no log, and no answer is followed to another address.

mod mail;
mod message;
mod ntfy;
mod post;
mod secret_file;
mod slack;
mod teller;
mod webhook;

pub use message::Message;
pub use teller::Teller;

use crate::Result;
use crate::config::{NotifyConfig, Way};
use crate::rules::notices::Wants;

use mail::Mail;
use ntfy::Ntfy;
use slack::Slack;
use webhook::Webhook;

/// A channel over which somebody is told.
#[derive(Debug)]
pub struct Channel {
    /// What it is called.
    pub name: String,
    /// What it wants to be told.
    pub wants: Wants,
    sender: Sender,
}

#[derive(Debug)]
enum Sender {
    Mail(Box<Mail>),
    Webhook(Webhook),
    Ntfy(Ntfy),
    Slack(Slack),
}

impl Channel {
    /// Opens a channel: its secrets are read, and nobody is asked. `host` is what mail servers are
    /// told that the vault is called.
    ///
    /// # Errors
    /// [`Refused`](crate::Error::Refused) where others can read a secret, or it is none;
    /// [`Certificate`](crate::Error::Certificate) and [`Local`](crate::Error::Local).
    pub fn open(config: &NotifyConfig, host: &str) -> Result<Self> {
        let ca_file = config.ca_file.as_deref();
        let sender = match &config.way {
            Way::Mail(mail) => Sender::Mail(Box::new(Mail::open(mail, ca_file, host)?)),
            Way::Webhook { url, secret_file } => {
                Sender::Webhook(Webhook::open(url, secret_file, ca_file)?)
            }
            Way::Ntfy {
                url,
                topic,
                token_file,
            } => Sender::Ntfy(Ntfy::open(url, topic, token_file.as_deref(), ca_file)?),
            Way::Slack { url } => Sender::Slack(Slack::open(url, ca_file)?),
        };
        Ok(Self {
            name: config.name.as_str().to_owned(),
            wants: config.wants,
            sender,
        })
    }

    /// Sends a message, and blocks, over HTTP for ten seconds at most; mail for that long at each
    /// step. `now_s` is the wall clock's time, in seconds since 1970.
    ///
    /// # Errors
    /// Says why it could not be sent, without any secret.
    pub fn send(&self, message: &Message, now_s: i64) -> Result<(), String> {
        match &self.sender {
            Sender::Mail(mail) => mail.send(message, now_s),
            Sender::Webhook(webhook) => webhook.send(message, now_s),
            Sender::Ntfy(ntfy) => ntfy.send(message),
            Sender::Slack(slack) => slack.send(message),
        }
    }
}

/// Opens all channels of a configuration.
///
/// # Errors
/// As [`Channel::open`].
pub fn open_all(configs: &[NotifyConfig], host: &str) -> Result<Vec<Channel>> {
    let channels = configs.iter().map(|config| Channel::open(config, host));
    channels.collect()
}
