//! Reads typed values out of a table of TOML.
//!
//! Every accessor of [`Section`] reports what it refuses and returns `None`.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;

use serde_spanned::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use crate::address::absolute_path;
use crate::byte_size::{self, ByteSize};
use crate::command_line::CommandLine;
use crate::config::reader::{Reader, Text, quote, quoted};
use crate::name::{self, Name};
use crate::period::{self, Period};
use crate::secret::Secret;

/// A table of the file and how messages call it.
pub struct Section<'a> {
    title: String,
    table: &'a DeTable<'a>,
    line: usize,
}

impl<'a> Section<'a> {
    /// The file as a whole.
    pub fn top(reader: &mut Reader<'_>, table: &'a DeTable<'a>, known: &[&str]) -> Self {
        let section = Self {
            title: "the file".to_owned(),
            table,
            line: 1,
        };
        section.refuse_unknown(reader, known);
        section
    }

    /// The table under a key, `[key]`.
    pub fn section(&self, reader: &mut Reader<'_>, key: &str, known: &[&str]) -> Option<Self> {
        let (_, value) = self.get(key)?;
        let DeValue::Table(table) = value.get_ref() else {
            reader.problem(
                reader.line(&value.span()),
                format!("{key} is {} and not a table", kind(value.get_ref())),
                format!("write [{key}] on a line of its own, and its keys below"),
            );
            return None;
        };
        let section = Self {
            title: format!("[{key}]"),
            table,
            line: reader.line(&value.span()),
        };
        section.refuse_unknown(reader, known);
        Some(section)
    }

    /// The table under a key in the line of that key, `key = { … }`; `example` is such a table.
    pub fn inline(
        &self,
        reader: &mut Reader<'_>,
        key: &str,
        known: &[&str],
        example: &str,
    ) -> Option<Self> {
        let (_, value) = self.get(key)?;
        let line = reader.line(&value.span());
        let DeValue::Table(table) = value.get_ref() else {
            wrong_type(reader, line, key, value.get_ref(), "a table", example);
            return None;
        };
        let section = Self {
            title: key.to_owned(),
            table,
            line,
        };
        section.refuse_unknown(reader, known);
        Some(section)
    }

    /// All tables under a key, `[[key]]`.
    pub fn sections(&self, reader: &mut Reader<'_>, key: &str, known: &[&str]) -> Vec<Self> {
        let Some((_, value)) = self.get(key) else {
            return Vec::new();
        };
        let mut sections = Vec::new();
        let items = match value.get_ref() {
            DeValue::Array(items) => items.iter().collect(),
            _ => vec![value],
        };
        for item in items {
            let line = reader.line(&item.span());
            match item.get_ref() {
                DeValue::Table(table) if value.get_ref().is_array() => {
                    let section = Self {
                        title: format!("[[{key}]]"),
                        table,
                        line,
                    };
                    section.refuse_unknown(reader, known);
                    sections.push(section);
                }
                _ => reader.problem(
                    line,
                    format!("{key} is not a list of tables"),
                    format!("write [[{key}]], in double brackets, on a line of its own"),
                ),
            }
        }
        sections
    }

    /// The line on which the table begins.
    pub fn line(&self) -> usize {
        self.line
    }

    /// Whether no key is there.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// Whether a key is there.
    pub fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// The line of a key, where the key is there.
    pub fn line_of(&self, reader: &Reader<'_>, key: &str) -> Option<usize> {
        let (key, _) = self.get(key)?;
        Some(reader.line(&key.span()))
    }

    /// Reports a key that must be there and is not.
    pub fn require(&self, reader: &mut Reader<'_>, key: &str, instead: &str) {
        if !self.has(key) {
            reader.problem(
                self.line,
                format!("{} has no {key}", self.title),
                format!("write {instead}"),
            );
        }
    }

    /// Reports a key that is there and must not be, or not so; nothing where it is not there.
    pub fn refuse(
        &self,
        reader: &mut Reader<'_>,
        key: &str,
        reason: impl Into<String>,
        instead: impl Into<String>,
    ) {
        if let Some(line) = self.line_of(reader, key) {
            reader.problem(line, reason, instead);
        }
    }

    /// Reports two keys that stand for each other and are both there.
    pub fn refuse_both(&self, reader: &mut Reader<'_>, one: &str, other: &str) {
        if self.has(one) {
            let reason = format!("Both {one} and {other} are given");
            self.refuse(reader, other, reason, "remove one of them");
        }
    }

    /// A string as written, before its variables are replaced.
    pub fn written(&self, reader: &mut Reader<'_>, key: &str) -> Option<(usize, &'a str)> {
        let (_, value) = self.get(key)?;
        let line = reader.line(&value.span());
        match value.get_ref().as_str() {
            Some(text) => Some((line, text)),
            None => {
                wrong_type(reader, line, key, value.get_ref(), "a string", "\"text\"");
                None
            }
        }
    }

    /// A string with its variables replaced.
    pub fn text(&self, reader: &mut Reader<'_>, key: &str) -> Option<Text<'a>> {
        let (line, written) = self.written(reader, key)?;
        reader.expand(line, written, |_, value| value)
    }

    /// A list of strings with their variables replaced.
    pub fn texts(&self, reader: &mut Reader<'_>, key: &str) -> Option<Vec<Text<'a>>> {
        let (_, value) = self.get(key)?;
        let line = reader.line(&value.span());
        let Some(items) = value.get_ref().as_array() else {
            wrong_type(reader, line, key, value.get_ref(), "a list", "[\"text\"]");
            return None;
        };
        let mut texts = Vec::new();
        let mut all = true;
        for item in items.iter() {
            let line = reader.line(&item.span());
            let text = match item.get_ref().as_str() {
                Some(written) => reader.expand(line, written, |_, value| value),
                None => {
                    wrong_type(
                        reader,
                        line,
                        key,
                        item.get_ref(),
                        "a list of strings",
                        "[\"text\"]",
                    );
                    None
                }
            };
            all &= text.is_some();
            texts.extend(text);
        }
        all.then_some(texts)
    }

    /// True or false.
    pub fn flag(&self, reader: &mut Reader<'_>, key: &str) -> Option<bool> {
        let (_, value) = self.get(key)?;
        if value.get_ref().as_bool().is_none() {
            let line = reader.line(&value.span());
            wrong_type(reader, line, key, value.get_ref(), "true or false", "true");
        }
        value.get_ref().as_bool()
    }

    /// A whole number within bounds.
    pub fn number(
        &self,
        reader: &mut Reader<'_>,
        key: &str,
        bounds: RangeInclusive<u32>,
    ) -> Option<u32> {
        let (_, value) = self.get(key)?;
        let number = value
            .get_ref()
            .as_integer()
            .and_then(|number| u32::from_str_radix(number.as_str(), number.radix()).ok())
            .filter(|number| bounds.contains(number));
        if number.is_none() {
            let (least, most) = bounds.into_inner();
            let written = value.get_ref().as_integer().map(ToString::to_string);
            reader.problem(
                reader.line(&value.span()),
                match written {
                    Some(written) => format!("{key} = {} is out of bounds", quote(&written)),
                    None => format!("{key} is {} and not a number", kind(value.get_ref())),
                },
                format!(
                    "write a whole number from {least} to {most}: {key} = {}",
                    least.max(1)
                ),
            );
        }
        number
    }

    /// A period of time.
    pub fn period(&self, reader: &mut Reader<'_>, key: &str) -> Option<Period> {
        let suggest = |text: &str| Period::suggest(text).map(|period| period.to_string());
        self.unit(reader, key, "a period of time", 'h', suggest, period::RULE)
    }

    /// A size, with its line.
    pub fn size(&self, reader: &mut Reader<'_>, key: &str) -> Option<(usize, ByteSize)> {
        let rule = byte_size::RULE;
        let size = self.unit(reader, key, "a size", 'M', ByteSize::suggest, rule)?;
        Some((self.line_of(reader, key)?, size))
    }

    /// A name.
    pub fn name(&self, reader: &mut Reader<'_>, key: &str) -> Option<Name> {
        let text = self.text(reader, key)?;
        let name = text.value.parse().ok();
        if name.is_none() {
            let instead = match Name::suggest(text.written) {
                Some(meant) => format!("write \"{meant}\"; {}", name::RULE),
                None => name::RULE.to_owned(),
            };
            reader.problem(
                text.line,
                format!("{} is not a good {key}", quoted(text.written)),
                instead,
            );
        }
        name
    }

    /// A string that `parse` makes something of; where it does not, the string is `wrong`, as "not an
    /// account".
    pub fn parsed<T>(
        &self,
        reader: &mut Reader<'_>,
        key: &str,
        parse: impl FnOnce(&str) -> Option<T>,
        wrong: &str,
        instead: &str,
    ) -> Option<T> {
        let text = self.text(reader, key)?;
        let parsed = parse(&text.value);
        if parsed.is_none() {
            let message = format!("{} is {wrong}", quoted(text.written));
            reader.problem(text.line, message, instead);
        }
        parsed
    }

    /// An absolute path.
    pub fn path(&self, reader: &mut Reader<'_>, key: &str) -> Option<PathBuf> {
        let text = self.text(reader, key)?;
        path(reader, key, &text)
    }

    /// A program and its arguments.
    pub fn command(&self, reader: &mut Reader<'_>, key: &str) -> Option<CommandLine> {
        if let Some((_, value)) = self.get(key)
            && value.get_ref().is_str()
        {
            reader.problem(
                reader.line(&value.span()),
                format!("{key} is one string, and no shell is there to split it"),
                format!("write a list: {key} = [\"program\", \"argument\"]"),
            );
            return None;
        }
        let texts = self.texts(reader, key)?;
        let nul = texts.iter().any(|text| text.value.contains('\0'));
        let named = texts.first().is_some_and(|text| !text.value.is_empty());
        let parts = texts
            .into_iter()
            .map(|text| (text.written.to_owned(), Secret::new(text.value.as_str())));
        let command = CommandLine::new(parts).filter(|_| named && !nul);
        if command.is_none() {
            reader.problem(
                self.line_of(reader, key)?,
                format!("{key} names no program, or holds a NUL"),
                format!("write {key} = [\"program\", \"argument\"]"),
            );
        }
        command
    }

    fn unit<T: FromStr>(
        &self,
        reader: &mut Reader<'_>,
        key: &str,
        what: &str,
        unit: char,
        suggest: impl Fn(&str) -> Option<String>,
        rule: &str,
    ) -> Option<T> {
        let (_, value) = self.get(key)?;
        if let Some(number) = value.get_ref().as_integer() {
            let number = quote(number.as_str());
            let meant = suggest(&format!("{number}{unit}"));
            reader.problem(
                reader.line(&value.span()),
                format!("{key} = {number} has no unit"),
                match meant {
                    Some(meant) => format!("write \"{meant}\" if that is meant; {rule}"),
                    None => rule.to_owned(),
                },
            );
            return None;
        }
        let text = self.text(reader, key)?;
        let parsed = text.value.parse().ok();
        if parsed.is_none() {
            reader.problem(
                text.line,
                format!("{} for {key} is not {what}", quoted(text.written)),
                match suggest(text.written) {
                    Some(meant) => format!("write \"{meant}\""),
                    None => rule.to_owned(),
                },
            );
        }
        parsed
    }

    fn get(&self, key: &str) -> Option<(&'a Spanned<DeString<'a>>, &'a Spanned<DeValue<'a>>)> {
        self.table.get_key_value(key)
    }

    fn refuse_unknown(&self, reader: &mut Reader<'_>, known: &[&str]) {
        for key in self.table.keys() {
            let name = key.get_ref().as_ref();
            if known.contains(&name) {
                continue;
            }
            let line = reader.line(&key.span());
            if name == "password" {
                reader.problem(
                    line,
                    "A password does not belong in this file",
                    "write password_file = \"/etc/strongroom/password\" or password_command = \
                     [\"program\"] at the top, or set STRONGROOM_PASSWORD",
                );
                continue;
            }
            reader.problem(
                line,
                format!("Unknown key {} in {}", quoted(name), self.title),
                match nearest(name, known) {
                    Some(meant) => format!("write {meant}"),
                    None => format!("the keys here are {}", known.join(", ")),
                },
            );
        }
    }
}

/// Reads an absolute path.
pub fn path(reader: &mut Reader<'_>, key: &str, text: &Text<'_>) -> Option<PathBuf> {
    match absolute_path(&text.value) {
        Ok(path) => Some(path),
        Err(refusal) => {
            reader.problem(
                text.line,
                format!("{} for {key}: {}", quoted(text.written), refusal.reason),
                refusal.instead,
            );
            None
        }
    }
}

fn wrong_type(
    reader: &mut Reader<'_>,
    line: usize,
    key: &str,
    value: &DeValue<'_>,
    wanted: &str,
    example: &str,
) {
    reader.problem(
        line,
        format!("{key} is {} and not {wanted}", kind(value)),
        format!("write {key} = {example}"),
    );
}

fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a number",
        DeValue::Float(_) => "a number with decimals",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// The known key that was probably meant: few letters apart, or the same beginning.
fn nearest<'k>(name: &str, known: &[&'k str]) -> Option<&'k str> {
    let shared = |key: &str| {
        name.bytes()
            .zip(key.bytes())
            .take_while(|(a, b)| a == b)
            .count()
    };
    known
        .iter()
        .copied()
        .filter(|key| name.len() <= 40 && (distance(name, key) <= 2 || shared(key) >= 3))
        .min_by_key(|key| (distance(name, key), usize::MAX - shared(key)))
}

/// How many letters must be put in, taken out or changed to make one word the other.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (index, from) in a.chars().enumerate() {
        let mut next = vec![index + 1];
        let pairs = row.iter().zip(row.iter().skip(1));
        for ((diagonal, above), to) in pairs.zip(b.chars()) {
            let left = next.last().copied().unwrap_or_default();
            let change = diagonal + usize::from(from != to);
            next.push(change.min(above + 1).min(left + 1));
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}
