//! Tables of text: cells padded to the width of their column.
//!
//! A cell that is longer than its column is wide is printed whole, and moves the rest of its row. Cells
//! are made printable here already, for their width.

use crate::printable::printable;

/// A column: how wide, on which side its cells stand, and how far from the column before.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Column {
    width: usize,
    is_right: bool,
    gap: usize,
}

/// Cells on the left, a blank after the column before.
pub(crate) const fn left(width: usize) -> Column {
    Column {
        width,
        is_right: false,
        gap: 1,
    }
}

/// Cells on the right, a blank after the column before.
pub(crate) const fn right(width: usize) -> Column {
    Column {
        width,
        is_right: true,
        gap: 1,
    }
}

impl Column {
    /// With so many blanks before it.
    pub(crate) const fn after(self, gap: usize) -> Self {
        Self { gap, ..self }
    }
}

/// Rows, in the order in which they were added.
#[derive(Debug)]
pub(crate) struct TextTable {
    columns: Vec<Column>,
    lines: Vec<String>,
}

impl TextTable {
    /// Blanks before the first column are only those that it asks for with `after`.
    pub(crate) fn new(columns: impl IntoIterator<Item = Column>) -> Self {
        Self {
            columns: columns.into_iter().collect(),
            lines: Vec::new(),
        }
    }

    /// A row: a cell for each column, or fewer. Headings are a row like any other.
    pub(crate) fn row<I>(&mut self, cells: I) -> &mut Self
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        let mut line = String::new();
        for (column, cell) in self.columns.iter().zip(cells) {
            let Column {
                width,
                is_right,
                gap,
            } = *column;
            let cell = printable(cell.as_ref());
            line += &if is_right {
                format!("{:gap$}{cell:>width$}", "")
            } else {
                format!("{:gap$}{cell:width$}", "")
            };
        }
        self.lines.push(line);
        self
    }

    pub(crate) fn into_lines(self) -> Vec<String> {
        self.lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_padded_and_never_cut() {
        let mut table = TextTable::new([left(4).after(2), right(3), right(2).after(0), left(0)]);
        table.row(["a", "1", "2", "name"]);
        table.row(["longer", "1234", "5", ""]);
        table.row(["only"]);
        assert_eq!(
            table.into_lines(),
            ["  a      1 2 name", "  longer 1234 5 ", "  only"]
        );
    }
}
