//! Slack, and what takes the same webhooks.

use std::path::Path;

use serde_json::json;

use crate::Result;
use crate::config::AddressConfig;
use crate::notify::post::Poster;
use crate::notify::{Message, secret_file};

#[derive(Debug)]
pub(super) struct Slack {
    poster: Poster,
}

impl Slack {
    pub(super) fn open(url: &AddressConfig, ca_file: Option<&Path>) -> Result<Self> {
        let address = secret_file::address(url)?;
        Ok(Self {
            poster: Poster::open(&address, ca_file)?,
        })
    }

    pub(super) fn send(&self, message: &Message) -> Result<(), String> {
        let body = json!({ "text": text(message) });
        let headers = [("Content-Type", "application/json")];
        self.poster.post(&headers, body.to_string().as_bytes())
    }
}

/// The text, in which nothing is a link or calls everybody that a name or a path contains.
fn text(message: &Message) -> String {
    let text = format!("{}\n{}\n{}", message.title(), message.body, message.at);
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notify::message::tests::message;

    #[test]
    fn nothing_in_it_is_markup() {
        let told = Message {
            subject: "<!channel> & <https://evil.example|click>".to_owned(),
            ..message()
        };
        let text = text(&told);
        assert!(!text.contains(['<', '>']), "{text}");
        assert!(text.contains("&lt;!channel&gt; &amp; &lt;https"), "{text}");
    }
}
