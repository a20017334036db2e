//! Tables: columns as wide as what is in them, two spaces between.
//!
//! Colour is only added: without it, every cell still says everything.

use anstyle::Style;

use crate::output::{HEADING, visible};

/// A table that grows row by row.
#[derive(Debug)]
pub(crate) struct Table {
    rows: Vec<Vec<Cell>>,
    /// Columns that are flush right.
    right: Vec<usize>,
}

/// A cell.
#[derive(Debug, Clone)]
pub(crate) struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    /// A cell in a colour.
    pub(crate) fn styled(text: impl Into<String>, style: Style) -> Self {
        Self {
            text: visible(&text.into()),
            style,
        }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::styled(text, Style::new())
    }
}

impl Table {
    /// A table without a heading.
    pub(crate) const fn new() -> Self {
        Self {
            rows: Vec::new(),
            right: Vec::new(),
        }
    }

    /// A table with a heading.
    pub(crate) fn headed(titles: &[&str]) -> Self {
        let mut table = Self::new();
        let cells = titles.iter().map(|title| Cell::styled(*title, HEADING));
        table.rows.push(cells.collect());
        table
    }

    /// Sets columns, counted from 0, flush right.
    pub(crate) fn right(mut self, columns: &[usize]) -> Self {
        self.right = columns.to_vec();
        self
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.rows.push(cells.into_iter().collect());
    }
}

impl std::fmt::Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells
                .map(|cell| cell.text.chars().count())
                .max()
                .unwrap_or(0)
        };
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns).map(width).collect();
        for row in &self.rows {
            let mut line = String::new();
            for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
                let padding = " ".repeat(width.saturating_sub(cell.text.chars().count()));
                let Cell { text, style } = cell;
                let styled = format!("{style}{text}{style:#}");
                if column > 0 {
                    line.push_str("  ");
                }
                if self.right.contains(&column) {
                    line.push_str(&padding);
                    line.push_str(&styled);
                } else {
                    line.push_str(&styled);
                    line.push_str(&padding);
                }
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::BAD;

    #[test]
    fn columns_are_as_wide_as_what_is_in_them() {
        let mut table = Table::headed(&["name", "bytes", "note"]).right(&[1]);
        table.row(["größe".into(), "7".into(), "".into()]);
        table.row(["x".into(), "123456".into(), Cell::styled("bad", BAD)]);
        let plain = anstream::adapter::strip_str(&table.to_string()).to_string();
        assert_eq!(
            plain,
            "name    bytes  note\ngröße       7\nx      123456  bad\n"
        );
    }
}
