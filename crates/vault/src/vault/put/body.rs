//! What has come of a body: it goes to storage at once, but for a short pack, which stays in memory until
//! it is here and is what it says, so that it can be written in one go.

use std::borrow::Cow;
use std::sync::Arc;

use strongroom_model::FileType;
use strongroom_store::{Bodies, BodyKey, Named, Staged};

use crate::Result;

/// A pack of no more bytes is taken in one turn, and a new one is made durable together with others.
pub const SHORT_BYTES: u64 = 64 << 10;

/// A body that is being sent. Dropping it leaves nothing behind.
#[derive(Debug)]
pub(super) struct Body {
    bodies: Arc<dyn Bodies>,
    key: BodyKey,
    came: Came,
}

#[derive(Debug)]
enum Came {
    InMemory(Vec<u8>),
    Staged(Box<dyn Staged>),
}

impl Body {
    /// Begins a body, of which so many bytes are declared.
    pub(super) fn begin(
        bodies: &Arc<dyn Bodies>,
        key: BodyKey,
        length_bytes: Option<u64>,
    ) -> Result<Self> {
        let is_short = length_bytes.is_some_and(|length| length <= SHORT_BYTES);
        let came = match is_short && key.name.kind() == FileType::Data {
            true => Came::InMemory(Vec::new()),
            false => Came::Staged(bodies.stage(&key)?),
        };
        Ok(Self {
            bodies: Arc::clone(bodies),
            key,
            came,
        })
    }

    /// Whether what has come is on no disk yet.
    pub(super) const fn is_in_memory(&self) -> bool {
        matches!(self.came, Came::InMemory(_))
    }

    /// Appends bytes.
    pub(super) fn write(&mut self, bytes: Cow<'_, [u8]>) -> Result<()> {
        if let Came::InMemory(content) = &mut self.came {
            if content.len().saturating_add(bytes.len()) as u64 <= SHORT_BYTES {
                append(content, bytes);
                return Ok(());
            }
            // More has come than was declared.
            let mut staged = self.bodies.stage(&self.key)?;
            staged.write(content)?;
            self.came = Came::Staged(staged);
        }
        match &mut self.came {
            Came::Staged(staged) => Ok(staged.write(&bytes)?),
            Came::InMemory(_) => Ok(()),
        }
    }

    /// Gives it its name, in place of whatever had it, durably.
    pub(super) fn publish(self) -> Result<()> {
        let staged = match self.came {
            Came::Staged(staged) => staged,
            Came::InMemory(content) => {
                let mut staged = self.bodies.stage(&self.key)?;
                staged.write(&content)?;
                staged
            }
        };
        Ok(staged.publish()?)
    }

    /// Gives it its name, and may leave it to others to make it durable.
    pub(super) fn name(self) -> Result<Named> {
        Ok(match self.came {
            Came::Staged(staged) => staged.name()?,
            Came::InMemory(content) => self.bodies.name(&self.key, &content)?,
        })
    }
}

/// Appends bytes to what is in memory; the first ones are not copied where they can be had.
pub(super) fn append(content: &mut Vec<u8>, bytes: Cow<'_, [u8]>) {
    match content.is_empty() {
        true => *content = bytes.into_owned(),
        false => content.extend_from_slice(&bytes),
    }
}
