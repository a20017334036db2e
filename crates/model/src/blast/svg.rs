//! The blast radius as a picture: one file that needs no other, for a report or a wall.
//!
//! Every cell has its word, so that it can be read without colours and by whoever prints it; the
//! sentences below say the same to who cannot see it.

use crate::blast::{Blast, Outcome};
use crate::name::Name;

/// How wide a letter is taken to be, which has to be enough for any font.
const LETTER: usize = 9;
/// How high a line is, and how far letters stand above its end.
const LINE: usize = 30;
const BASE: usize = 20;
/// Room around everything, and around the words of a cell.
const EDGE: usize = 16;

/// What can be in a cell: the word, and how it is drawn.
const DESTROYED: (&str, &str) = ("destroyed", "destroyed");
const DOUBTFUL: (&str, &str) = ("unproven", "doubtful");
const SURVIVES: (&str, &str) = ("survives", "surviving");

const STYLE: &str = "text{font-family:sans-serif;font-size:15px;fill:#111}\
    rect{stroke:#111;stroke-width:1}\
    .destroyed{fill:#f3b8b0;stroke-width:3}\
    .doubtful{fill:#fdf3c4;stroke-dasharray:5 3}\
    .surviving{fill:#fff}\
    .head{font-weight:bold}";

/// Draws who destroys what: a line for each set of domains, a column for each copy.
pub fn svg(blast: &Blast) -> String {
    let (outcomes, is_all) = blast.outcomes();
    let rows: Vec<(String, &Outcome)> = outcomes
        .iter()
        .map(|outcome| (together(outcome), outcome))
        .collect();
    let notes = notes(blast, is_all);
    let head = "who holds";
    let labels = rows.iter().map(|(label, _)| label.as_str());
    let label_width = width(labels.chain([head]));
    let columns: Vec<(&Name, usize)> = blast
        .copies
        .iter()
        .map(|copy| (&copy.copy, width([copy.copy.as_str(), DESTROYED.0])))
        .collect();
    let table_width = label_width + columns.iter().map(|(_, width)| width).sum::<usize>();
    let note_width = width(notes.iter().map(String::as_str));
    let total_width = 2 * EDGE + table_width.max(note_width);
    let total_height = 2 * EDGE + (rows.len() + 1 + notes.len()) * LINE;

    let mut body = String::new();
    let mut top = EDGE;
    body.push_str(&text("head", EDGE, top, head));
    let mut left = EDGE + label_width;
    for (name, width) in &columns {
        body.push_str(&text("head", left + EDGE / 2, top, name.as_str()));
        left += width;
    }
    for (label, outcome) in &rows {
        top += LINE;
        body.push_str(&text("held", EDGE, top, label));
        let mut left = EDGE + label_width;
        for (name, width) in &columns {
            body.push_str(&cell(left, top, *width, word(outcome, name)));
            left += width;
        }
    }
    for note in &notes {
        top += LINE;
        body.push_str(&text("note", EDGE, top, note));
    }
    let description = escaped(&described(&rows, &notes));
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" role=\"img\" \
         aria-labelledby=\"blast-title blast-desc\" \
         viewBox=\"0 0 {total_width} {total_height}\" width=\"{total_width}\" \
         height=\"{total_height}\">\n\
         <title id=\"blast-title\">Blast radius: who destroys which copies</title>\n\
         <desc id=\"blast-desc\">{description}</desc>\n\
         <style>{STYLE}</style>\n\
         <rect class=\"surviving\" width=\"{total_width}\" height=\"{total_height}\"/>\n\
         {body}</svg>\n"
    )
}

/// The domains of a set, in one line.
fn together(outcome: &Outcome) -> String {
    let held: Vec<&str> = outcome.held.iter().map(Name::as_str).collect();
    held.join(" + ")
}

/// What becomes of a copy.
fn word(outcome: &Outcome, copy: &Name) -> (&'static str, &'static str) {
    if outcome.destroyed.contains(copy) {
        DESTROYED
    } else if outcome.doubtful.contains(copy) {
        DOUBTFUL
    } else {
        SURVIVES
    }
}

/// What stands below the table.
fn notes(blast: &Blast, is_all: bool) -> Vec<String> {
    let mut notes = vec![blast.spoken()];
    for domain in &blast.domains {
        for alias in &domain.also {
            let (name, into, reason) = (&alias.name, &domain.name, &alias.reason);
            notes.push(format!("{name} counts as {into}: {reason}"));
        }
    }
    if !is_all {
        notes.push("Larger sets of domains are left out.".to_owned());
    }
    notes
}

/// All of it in sentences.
fn described(rows: &[(String, &Outcome)], notes: &[String]) -> String {
    let list = |copies: &[Name]| match copies {
        [] => "nothing".to_owned(),
        copies => {
            let names: Vec<&str> = copies.iter().map(Name::as_str).collect();
            names.join(", ")
        }
    };
    let rows = rows.iter().map(|(label, outcome)| {
        let (destroyed, doubtful) = (list(&outcome.destroyed), list(&outcome.doubtful));
        let surviving = list(&outcome.surviving);
        format!("{label}: destroyed {destroyed}; unproven {doubtful}; survives {surviving}.")
    });
    let sentences: Vec<String> = rows.chain(notes.iter().cloned()).collect();
    sentences.join(" ")
}

fn text(class: &str, left: usize, top: usize, text: &str) -> String {
    let (bottom, text) = (top + BASE, escaped(text));
    format!("<text class=\"{class}\" x=\"{left}\" y=\"{bottom}\">{text}</text>\n")
}

fn cell(left: usize, top: usize, width: usize, (word, class): (&str, &str)) -> String {
    let inner = width.saturating_sub(EDGE / 2);
    let height = LINE - 4;
    let rect = format!(
        "<rect class=\"{class}\" x=\"{left}\" y=\"{top}\" width=\"{inner}\" height=\"{height}\"/>\n"
    );
    rect + &text("cell", left + EDGE / 2, top, word)
}

/// The width of the longest of several texts, with room around it.
fn width<'a>(texts: impl IntoIterator<Item = &'a str>) -> usize {
    let letters = texts.into_iter().map(|text| text.chars().count()).max();
    letters.unwrap_or_default() * LETTER + 2 * EDGE
}

/// A text as XML may have it: hosts and accounts come from outside.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&apos;"),
            // What XML cannot hold at all.
            '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            character if character.is_control() => escaped.push('\u{fffd}'),
            character => escaped.push(character),
        }
    }
    escaped
}
