//! Writes trees byte for byte as restic does: the order of fields, what is left out when it is
//! empty, `null` beside `[]`, escapes, and the newline at the end.

use data_encoding::{BASE64, HEXLOWER};
use strongroom_model::Id;

use crate::gojson::{push_quoted_name, push_string, push_unsigned};
use crate::node::{ExtendedAttribute, Node, NodeTime, Rare, is_safe_name};
use crate::tree::error::{TreeError, shown};

/// Writes a tree node by node, so that a folder of a million files needs no list of nodes.
#[derive(Debug)]
pub struct TreeEncoder {
    out: Vec<u8>,
    last_name: Box<[u8]>,
    count: usize,
}

impl Default for TreeEncoder {
    fn default() -> Self {
        Self::new()
    }
}

impl TreeEncoder {
    /// Begins a tree.
    pub fn new() -> Self {
        Self {
            out: b"{\"nodes\":[".to_vec(),
            last_name: Box::default(),
            count: 0,
        }
    }

    /// Appends a node; its name must come after that of the one before, by raw bytes.
    pub fn push(&mut self, node: &Node) -> Result<(), TreeError> {
        if !is_safe_name(&node.name) {
            return Err(TreeError::UnsafeName {
                name: shown(&node.name),
            });
        }
        if *node.name <= *self.last_name {
            return Err(TreeError::Unordered {
                name: shown(&node.name),
                previous: shown(&self.last_name),
            });
        }
        if self.count > 0 {
            self.out.push(b',');
        }
        push_node(&mut self.out, node);
        self.last_name.clone_from(&node.name);
        self.count += 1;
        Ok(())
    }

    /// How many nodes there are so far.
    pub fn count(&self) -> usize {
        self.count
    }

    /// How many bytes the tree has so far.
    pub fn len_bytes(&self) -> usize {
        self.out.len()
    }

    /// Ends the tree; its id is the SHA-256 of these bytes.
    pub fn finish(self) -> Vec<u8> {
        self.finish_with("")
    }

    /// Ends the tree with fields that we do not know, verbatim.
    pub(super) fn finish_with(mut self, unknown: &str) -> Vec<u8> {
        self.out.push(b']');
        self.out.extend_from_slice(unknown.as_bytes());
        self.out.extend_from_slice(b"}\n");
        self.out
    }
}

fn push_node(out: &mut Vec<u8>, node: &Node) {
    out.extend_from_slice(b"{\"name\":");
    push_quoted_name(out, &node.name);
    out.extend_from_slice(b",\"type\":");
    push_string(out, node.kind_text().as_bytes());
    push_number(out, b",\"mode\":", u64::from(node.mode.0));
    push_time(out, b",\"mtime\":\"", &node.mtime);
    push_time(out, b"\",\"atime\":\"", &node.atime);
    push_time(out, b"\",\"ctime\":\"", &node.ctime);
    out.extend_from_slice(b"\",\"uid\":");
    push_unsigned(out, u64::from(node.uid));
    out.extend_from_slice(b",\"gid\":");
    push_unsigned(out, u64::from(node.gid));
    push_text(
        out,
        b",\"user\":",
        node.user.as_deref().unwrap_or_default().as_bytes(),
    );
    push_text(
        out,
        b",\"group\":",
        node.group.as_deref().unwrap_or_default().as_bytes(),
    );
    push_number(out, b",\"inode\":", node.inode);
    push_number(out, b",\"device_id\":", node.device_id);
    push_number(out, b",\"size\":", node.size);
    push_number(out, b",\"links\":", node.links);
    let rare = node.rare();
    push_rare_before_content(out, rare);
    push_content(out, node.content.as_deref());
    if let Some(subtree) = &node.subtree {
        out.extend_from_slice(b",\"subtree\":");
        push_id(out, subtree);
    }
    push_text(out, b",\"error\":", rare.error.as_bytes());
    out.extend_from_slice(rare.unknown.as_bytes());
    out.push(b'}');
}

fn push_rare_before_content(out: &mut Vec<u8>, rare: &Rare) {
    push_text(out, b",\"linktarget\":", &rare.link_target);
    if str::from_utf8(&rare.link_target).is_err() {
        out.extend_from_slice(b",\"linktarget_raw\":");
        push_base64(out, &rare.link_target);
    }
    push_extended_attributes(out, &rare.extended_attributes);
    if !rare.generic_attributes.is_empty() {
        out.extend_from_slice(b",\"generic_attributes\":");
        out.extend_from_slice(rare.generic_attributes.as_bytes());
    }
    push_number(out, b",\"device\":", rare.device);
}

fn push_extended_attributes(out: &mut Vec<u8>, attributes: &[ExtendedAttribute]) {
    for (position, attribute) in attributes.iter().enumerate() {
        out.extend_from_slice(match position {
            0 => b",\"extended_attributes\":[{\"name\":",
            _ => b"},{\"name\":",
        });
        push_string(out, &attribute.name);
        out.extend_from_slice(b",\"value\":");
        match &attribute.value {
            Some(value) => push_base64(out, value),
            None => out.extend_from_slice(b"null"),
        }
    }
    if !attributes.is_empty() {
        out.extend_from_slice(b"}]");
    }
}

fn push_content(out: &mut Vec<u8>, content: Option<&[Id]>) {
    let Some(ids) = content else {
        out.extend_from_slice(b",\"content\":null");
        return;
    };
    out.extend_from_slice(b",\"content\":[");
    for (position, id) in ids.iter().enumerate() {
        if position > 0 {
            out.push(b',');
        }
        push_id(out, id);
    }
    out.push(b']');
}

/// Appends a number unless it is 0.
fn push_number(out: &mut Vec<u8>, key: &[u8], number: u64) {
    if number != 0 {
        out.extend_from_slice(key);
        push_unsigned(out, number);
    }
}

/// Appends a text unless it is empty.
fn push_text(out: &mut Vec<u8>, key: &[u8], text: &[u8]) {
    if !text.is_empty() {
        out.extend_from_slice(key);
        push_string(out, text);
    }
}

fn push_time(out: &mut Vec<u8>, key: &[u8], time: &NodeTime) {
    out.extend_from_slice(key);
    time.write(out);
}

fn push_id(out: &mut Vec<u8>, id: &Id) {
    let mut text = [0; 64];
    HEXLOWER.encode_mut(id.as_bytes(), &mut text);
    out.push(b'"');
    out.extend_from_slice(&text);
    out.push(b'"');
}

fn push_base64(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'"');
    out.extend_from_slice(BASE64.encode(bytes).as_bytes());
    out.push(b'"');
}
