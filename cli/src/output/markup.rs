//! Tables for other programs: Markdown, CSV and LaTeX. No text of a remote can end a cell or become a command.

use super::clean;

/// A Markdown table.
pub(crate) fn markdown(headings: &[&str], rows: &[Vec<String>]) -> String {
    let mut text = format!("| {} |\n", joined(headings, escaped_markdown, " | "));
    text.push_str(&format!("|{}\n", " --- |".repeat(headings.len())));
    for row in rows {
        text.push_str(&format!("| {} |\n", joined(row, escaped_markdown, " | ")));
    }
    text
}

/// Comma-separated values with a header, as RFC 4180 has them, with `\n` at the end of lines.
pub(crate) fn csv(headings: &[&str], rows: &[Vec<String>]) -> String {
    let mut text = format!("{}\n", joined(headings, csv_field, ","));
    for row in rows {
        text.push_str(&format!("{}\n", joined(row, csv_field, ",")));
    }
    text
}

/// A LaTeX `tabular` with nothing but `\hline`, so that it needs no package.
pub(crate) fn latex(headings: &[&str], rows: &[Vec<String>]) -> String {
    let columns = "l".repeat(headings.len());
    let headings = joined(headings, escaped_latex, " & ");
    let mut text = format!("\\begin{{tabular}}{{{columns}}}\n\\hline\n{headings} \\\\\n\\hline\n");
    for row in rows {
        text.push_str(&format!("{} \\\\\n", joined(row, escaped_latex, " & ")));
    }
    text.push_str("\\hline\n\\end{tabular}\n");
    text
}

fn joined(cells: &[impl AsRef<str>], escape: fn(&str) -> String, between: &str) -> String {
    let cells = cells.iter().map(|cell| escape(cell.as_ref()));
    cells.collect::<Vec<_>>().join(between)
}

/// Text of a remote that cannot end a cell, or become a link, an image or HTML.
pub(crate) fn escaped_markdown(text: &str) -> String {
    let mut out = String::new();
    for c in clean::line(text).chars() {
        if matches!(
            c,
            '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '|' | '!' | '#' | '@' | '&'
        ) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

fn csv_field(text: &str) -> String {
    let text = clean::line(text);
    if text.contains([',', '"']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.into_owned()
    }
}

fn escaped_latex(text: &str) -> String {
    let mut out = String::new();
    for c in clean::line(text).chars() {
        match c {
            '\\' => out.push_str("\\textbackslash{}"),
            '~' => out.push_str("\\textasciitilde{}"),
            '^' => out.push_str("\\textasciicircum{}"),
            '<' => out.push_str("\\textless{}"),
            '>' => out.push_str("\\textgreater{}"),
            '|' => out.push_str("\\textbar{}"),
            '\u{b1}' => out.push_str("$\\pm$"),
            '&' | '%' | '$' | '#' | '_' | '{' | '}' => out.extend(['\\', c]),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_a_remote_stays_text() {
        assert_eq!(
            escaped_markdown("a|b <x> ![y](z)\n"),
            "a\\|b \\<x\\> \\!\\[y\\](z) "
        );
        assert_eq!(escaped_markdown("ping @team"), "ping \\@team");
        assert_eq!(
            escaped_latex("\\input{x} 58 & % \u{b1}4 a_b^c"),
            "\\textbackslash{}input\\{x\\} 58 \\& \\% $\\pm$4 a\\_b\\textasciicircum{}c"
        );
    }

    #[test]
    fn a_table_is_written_for_each_program() {
        let rows = vec![vec!["a,b".to_owned(), "say \"x\"".to_owned()]];
        let headings = ["name", "what"];
        assert_eq!(
            csv(&headings, &rows),
            "name,what\n\"a,b\",\"say \"\"x\"\"\"\n"
        );
        assert_eq!(
            markdown(&headings, &rows),
            "| name | what |\n| --- | --- |\n| a,b | say \"x\" |\n"
        );
        assert_eq!(
            latex(&headings, &rows),
            "\\begin{tabular}{ll}\n\\hline\nname & what \\\\\n\\hline\na,b & say \"x\" \\\\\n\\hline\n\\end{tabular}\n"
        );
    }
}
