//! Tables: framed and fitted to the terminal, or plain columns for other programs.

use comfy_table::presets::{NOTHING, UTF8_HORIZONTAL_ONLY};
use comfy_table::{Attribute, Cell, Color, ContentArrangement, Table};

use crate::terminal::{Output, Tone, one_line};

/// A table with these columns.
pub fn table(output: &Output, header: &[&str]) -> Table {
    let mut table = Table::new();
    if output.terminal {
        table.load_style(UTF8_HORIZONTAL_ONLY);
        table.set_content_arrangement(ContentArrangement::Dynamic);
    } else {
        table.load_style(NOTHING);
        table.force_no_tty();
    }
    table.set_header(header.iter().map(|name| cell(output, name, Tone::Strong)));
    table
}

/// A cell of somebody's text.
pub fn cell(output: &Output, text: &str, tone: Tone) -> Cell {
    let cell = Cell::new(one_line(text));
    if !output.colour {
        return cell;
    }
    match tone {
        Tone::Good => cell.fg(Color::Green),
        Tone::Doubtful => cell.fg(Color::Yellow),
        Tone::Bad => cell.fg(Color::Red),
        Tone::Faint => cell.add_attribute(Attribute::Dim),
        Tone::Strong => cell.add_attribute(Attribute::Bold),
    }
}

/// A cell without a tone.
pub fn plain(text: &str) -> Cell {
    Cell::new(one_line(text))
}

/// The table's lines, without spaces at their ends or before the first column.
pub fn lines(table: &Table) -> String {
    let lines: Vec<String> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    let indented = lines.iter().filter(|line| !line.is_empty()).all(|line| line.starts_with(' '));
    let mut text = String::new();
    for line in &lines {
        text.push_str(if indented { line.strip_prefix(' ').unwrap_or(line) } else { line });
        text.push('\n');
    }
    text
}
