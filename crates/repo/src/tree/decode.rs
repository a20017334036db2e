//! Reads trees: fields in any order, white space anywhere, `null` for anything, as Go reads them.
//!
//! A field that we do not know is kept as its text, and a later field of one name wins.

use std::sync::Arc;

use data_encoding::BASE64;
use strongroom_model::Id;

use crate::gojson::{Scanner, Unexpected, unquote};
use crate::node::{ExtendedAttribute, GoMode, Node, NodeKind, NodeTime};
use crate::tree::error::TreeError;

type Result<T> = std::result::Result<T, Unexpected>;

/// Reads the nodes of one tree, and remembers what one has in common with the next.
pub(super) struct Decoder<'a> {
    scanner: Scanner<'a>,
    field: &'static str,
    next_field: usize,
    last_user: Option<Arc<str>>,
    last_group: Option<Arc<str>>,
    unknown: String,
}

const NO_FIELD: &str = "the tree";

impl<'a> Decoder<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self {
            scanner: Scanner::new(text),
            field: NO_FIELD,
            next_field: 0,
            last_user: None,
            last_group: None,
            unknown: String::new(),
        }
    }

    /// Reads the whole text, hands every node to `accept`, and returns the tree's unknown fields.
    pub(super) fn run(
        mut self,
        accept: impl FnMut(Node),
    ) -> std::result::Result<String, TreeError> {
        match self.tree(accept) {
            Ok(unknown) => Ok(unknown),
            Err(Unexpected { offset, wanted }) => Err(TreeError::Syntax {
                offset,
                field: self.field,
                wanted,
            }),
        }
    }

    fn tree(&mut self, mut accept: impl FnMut(Node)) -> Result<String> {
        let mut unknown = String::new();
        let mut found = false;
        self.scanner.open(b'{', "an object")?;
        let mut first = true;
        while let Some(key) = self.scanner.next_key(&mut first)? {
            if key == "nodes" && !found {
                found = true;
                self.nodes(&mut accept)?;
                self.field = NO_FIELD;
            } else {
                push_member(&mut unknown, key, self.scanner.raw_value()?);
            }
        }
        self.scanner.end()?;
        if found {
            Ok(unknown)
        } else {
            self.scanner.refuse("a list of nodes")
        }
    }

    fn nodes(&mut self, accept: &mut impl FnMut(Node)) -> Result<()> {
        if self.scanner.null() {
            return Ok(());
        }
        self.scanner.open(b'[', "a list of nodes")?;
        let mut first = true;
        while self.scanner.next_element(b']', &mut first)? {
            self.field = "a node";
            self.scanner.open(b'{', "a node")?;
            accept(self.node()?);
        }
        Ok(())
    }

    /// Reads a node after its opening brace.
    fn node(&mut self) -> Result<Node> {
        let mut node = Node::new([], NodeKind::Other);
        let mut raw_link_target = None;
        let mut first = true;
        while let Some(key) = self.scanner.next_key(&mut first)? {
            self.member(&mut node, key, &mut raw_link_target)?;
        }
        if raw_link_target.is_some() || !self.unknown.is_empty() {
            let unknown = std::mem::take(&mut self.unknown);
            node.edit_rare(|rare| {
                rare.unknown = unknown.into();
                if let Some(target) = raw_link_target {
                    rare.link_target = target;
                }
            });
        }
        Ok(node)
    }

    fn member(
        &mut self,
        node: &mut Node,
        key: &'a str,
        raw_link_target: &mut Option<Box<[u8]>>,
    ) -> Result<()> {
        let Some(field) = self.known_field(key) else {
            self.field = "an unknown field";
            push_member(&mut self.unknown, key, self.scanner.raw_value()?);
            return Ok(());
        };
        if self.scanner.null() {
            return Ok(());
        }
        match field {
            Field::Name => node.name = self.name()?,
            Field::Kind => self.kind(node)?,
            Field::Mode => node.mode = GoMode(self.unsigned_32()?),
            Field::Mtime => node.mtime = self.time()?,
            Field::Atime => node.atime = self.time()?,
            Field::Ctime => node.ctime = self.time()?,
            Field::Uid => node.uid = self.unsigned_32()?,
            Field::Gid => node.gid = self.unsigned_32()?,
            Field::User => node.user = shared(&mut self.last_user, &self.scanner.string()?),
            Field::Group => node.group = shared(&mut self.last_group, &self.scanner.string()?),
            Field::Inode => node.inode = self.scanner.unsigned()?,
            Field::DeviceId => node.device_id = self.scanner.unsigned()?,
            Field::Size => node.size = self.scanner.unsigned()?,
            Field::Links => node.links = self.scanner.unsigned()?,
            Field::Content => node.content = Some(self.content()?),
            Field::Subtree => node.subtree = Some(self.id()?),
            Field::LinkTargetRaw => *raw_link_target = Some(self.base64()?),
            _ => self.rare_member(node, field)?,
        }
        Ok(())
    }

    /// Looks a field up, first where restic's order lets it be expected.
    fn known_field(&mut self, key: &str) -> Option<Field> {
        let (before, after) = FIELDS.split_at_checked(self.next_field)?;
        let known = after
            .iter()
            .chain(before)
            .position(|(name, _)| *name == key)?;
        let position = (self.next_field + known) % FIELDS.len();
        self.next_field = (position + 1) % FIELDS.len();
        let (name, field) = FIELDS.get(position)?;
        self.field = name;
        Some(*field)
    }

    fn rare_member(&mut self, node: &mut Node, field: Field) -> Result<()> {
        match field {
            Field::LinkTarget => {
                let target = self.scanner.string()?;
                node.edit_rare(|rare| rare.link_target = target.as_bytes().into());
            }
            Field::ExtendedAttributes => {
                let attributes = self.extended_attributes()?;
                node.edit_rare(|rare| rare.extended_attributes = attributes);
            }
            Field::GenericAttributes => {
                let raw = self.scanner.raw_value()?;
                node.edit_rare(|rare| rare.generic_attributes = raw.into());
            }
            Field::Device => {
                let device = self.scanner.unsigned()?;
                node.edit_rare(|rare| rare.device = device);
            }
            _ => {
                let error = self.scanner.string()?;
                node.edit_rare(|rare| rare.error = error.as_ref().into());
            }
        }
        Ok(())
    }

    fn name(&mut self) -> Result<Box<[u8]>> {
        let text = self.scanner.string()?;
        match unquote(&text) {
            Some(name) => Ok(name.into()),
            None => self.scanner.refuse("a quoted name"),
        }
    }

    fn kind(&mut self, node: &mut Node) -> Result<()> {
        let text = self.scanner.string()?;
        node.kind = NodeKind::from_text(&text);
        let spelled = match node.kind {
            NodeKind::Other => text.as_ref(),
            _ => "",
        };
        if *node.rare().kind != *spelled {
            node.edit_rare(|rare| rare.kind = spelled.into());
        }
        Ok(())
    }

    fn unsigned_32(&mut self) -> Result<u32> {
        match u32::try_from(self.scanner.unsigned()?) {
            Ok(number) => Ok(number),
            Err(_) => self.scanner.refuse("a number of at most 32 bits"),
        }
    }

    fn time(&mut self) -> Result<NodeTime> {
        match NodeTime::parse(self.scanner.string()?.as_bytes()) {
            Some(time) => Ok(time),
            None => self.scanner.refuse("a time of RFC 3339"),
        }
    }

    fn content(&mut self) -> Result<Box<[Id]>> {
        self.scanner.open(b'[', "a list of ids")?;
        let mut ids = Vec::new();
        let mut first = true;
        while self.scanner.next_element(b']', &mut first)? {
            ids.push(self.id()?);
        }
        Ok(ids.into())
    }

    fn id(&mut self) -> Result<Id> {
        match self.scanner.string()?.parse() {
            Ok(id) => Ok(id),
            Err(_) => self.scanner.refuse("an id"),
        }
    }

    fn base64(&mut self) -> Result<Box<[u8]>> {
        match BASE64.decode(self.scanner.string()?.as_bytes()) {
            Ok(bytes) => Ok(bytes.into()),
            Err(_) => self.scanner.refuse("Base64"),
        }
    }

    fn extended_attributes(&mut self) -> Result<Vec<ExtendedAttribute>> {
        self.scanner.open(b'[', "a list of attributes")?;
        let mut attributes = Vec::new();
        let mut first = true;
        while self.scanner.next_element(b']', &mut first)? {
            self.scanner.open(b'{', "an attribute")?;
            attributes.push(self.extended_attribute()?);
        }
        Ok(attributes)
    }

    fn extended_attribute(&mut self) -> Result<ExtendedAttribute> {
        let (mut name, mut value) = (Box::default(), None);
        let mut first = true;
        while let Some(key) = self.scanner.next_key(&mut first)? {
            match key {
                "name" => name = self.scanner.string()?.as_bytes().into(),
                "value" if self.scanner.null() => value = None,
                "value" => value = Some(self.base64()?),
                _ => return self.scanner.refuse("name and value only"),
            }
        }
        Ok(ExtendedAttribute { name, value })
    }
}

/// The fields of a node that we know.
#[derive(Debug, Clone, Copy)]
enum Field {
    Name,
    Kind,
    Mode,
    Mtime,
    Atime,
    Ctime,
    Uid,
    Gid,
    User,
    Group,
    Inode,
    DeviceId,
    Size,
    Links,
    LinkTarget,
    LinkTargetRaw,
    ExtendedAttributes,
    GenericAttributes,
    Device,
    Content,
    Subtree,
    Error,
}

/// The names of the fields in restic's order.
const FIELDS: [(&str, Field); 22] = [
    ("name", Field::Name),
    ("type", Field::Kind),
    ("mode", Field::Mode),
    ("mtime", Field::Mtime),
    ("atime", Field::Atime),
    ("ctime", Field::Ctime),
    ("uid", Field::Uid),
    ("gid", Field::Gid),
    ("user", Field::User),
    ("group", Field::Group),
    ("inode", Field::Inode),
    ("device_id", Field::DeviceId),
    ("size", Field::Size),
    ("links", Field::Links),
    ("linktarget", Field::LinkTarget),
    ("linktarget_raw", Field::LinkTargetRaw),
    ("extended_attributes", Field::ExtendedAttributes),
    ("generic_attributes", Field::GenericAttributes),
    ("device", Field::Device),
    ("content", Field::Content),
    ("subtree", Field::Subtree),
    ("error", Field::Error),
];

/// Keeps an unknown member so that it can be written again.
fn push_member(unknown: &mut String, key: &str, value: &str) {
    for part in [",\"", key, "\":", value] {
        unknown.push_str(part);
    }
}

/// Shares an owner's name with the node before, which mostly has the same.
fn shared(last: &mut Option<Arc<str>>, text: &str) -> Option<Arc<str>> {
    if last.as_deref() != Some(text) {
        *last = (!text.is_empty()).then(|| text.into());
    }
    last.clone()
}
