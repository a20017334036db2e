//! ntfy: a topic that a telephone listens to.
//!
//! What is sent is JSON to the server itself, and not text to the topic: so nothing that somebody has
//! written stands in a header, and the topic in no address.

use std::path::Path;

use serde_json::json;
use strongroom_model::Secret;
use url::Url;

use crate::Result;
use crate::notify::post::Poster;
use crate::notify::{Message, secret_file};
use crate::rules::notices::Level;

#[derive(Debug)]
pub(super) struct Ntfy {
    poster: Poster,
    topic: Secret,
    token: Option<Secret>,
}

impl Ntfy {
    pub(super) fn open(
        url: &Url,
        topic: &Secret,
        token_file: Option<&Path>,
        ca_file: Option<&Path>,
    ) -> Result<Self> {
        Ok(Self {
            poster: Poster::open(&Secret::new(url.as_str()), ca_file)?,
            topic: topic.clone(),
            token: token_file.map(secret_file::read).transpose()?,
        })
    }

    pub(super) fn send(&self, message: &Message) -> Result<(), String> {
        let (priority, tag) = match message.level {
            Level::Critical => (5, "rotating_light"),
            Level::Ordinary => (3, "lock"),
        };
        let body = json!({
            "topic": self.topic.expose(),
            "title": message.title(),
            "message": message.body,
            "priority": priority,
            "tags": [tag, message.kind.word()],
        });
        let authorization = self.token.as_ref();
        let authorization = authorization.map(|token| format!("Bearer {}", token.expose()));
        let mut headers = vec![("Content-Type", "application/json")];
        headers.extend(
            authorization
                .iter()
                .map(|text| ("Authorization", text.as_str())),
        );
        self.poster.post(&headers, body.to_string().as_bytes())
    }
}
