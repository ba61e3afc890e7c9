//! Draws the files of one trial as a tree.

use std::collections::HashMap;

use docks_proto::file_list::ListedFile;
use indicatif::HumanBytes;

use crate::output::cell::TextStyle;
use crate::output::clean;
use crate::output::table::text_width;

/// The least that a name is cut to.
const MIN_NAME_WIDTH: usize = 24;
/// Between two columns.
const GAP: &str = "  ";

/// One line: a folder or a file.
struct Line {
    name: String,
    size: String,
    note: String,
    is_folder: bool,
}

/// Returns the lines of a tree, at most `width` columns wide. `files` are in the order of their folders.
pub(super) fn render(
    heading: Option<&str>,
    files: &[&ListedFile],
    cached: impl Fn(&ListedFile) -> bool,
    width: usize,
    colour: bool,
) -> String {
    let mut lines: Vec<Line> = Vec::new();
    let sizes = folder_sizes(files);
    let mut open: Vec<&str> = Vec::new();
    let inner = usize::from(heading.is_some());
    for file in files {
        let mut names: Vec<&str> = file.path.split('/').collect();
        let name = names.pop().unwrap_or_default();
        let same = open.iter().zip(&names).take_while(|(a, b)| a == b).count();
        open.truncate(same);
        for folder in names.iter().skip(same) {
            open.push(folder);
            lines.push(Line {
                name: format!("{}{}/", indent(inner + open.len() - 1), clean::line(folder)),
                size: sizes
                    .get(&open.join("/"))
                    .map_or_else(String::new, |bytes| shown(*bytes)),
                note: String::new(),
                is_folder: true,
            });
        }
        let note = match cached(file) {
            true => format!("{}, cached", file.r#type),
            false => file.r#type.clone(),
        };
        lines.push(Line {
            name: format!("{}{}", indent(inner + open.len()), clean::line(name)),
            size: file.size_bytes.map_or_else(|| "-".to_owned(), shown),
            note: clean::line(&note).into_owned(),
            is_folder: false,
        });
    }
    let mut text = String::new();
    if let Some(heading) = heading {
        let heading = clean::line(heading);
        text.push_str(&TextStyle::paint(Some(TextStyle::Bold), &heading, colour));
        text.push('\n');
    }
    draw(&lines, width, colour, &mut text);
    text
}

fn draw(lines: &[Line], width: usize, colour: bool, text: &mut String) {
    let widest = |of: fn(&Line) -> &str| {
        let widths = lines.iter().map(|line| text_width(of(line)));
        widths.max().unwrap_or(0)
    };
    let (sizes, notes) = (widest(|line| &line.size), widest(|line| &line.note));
    let room = width.saturating_sub(sizes + notes + 2 * GAP.len());
    let names = widest(|line| &line.name).min(room.max(MIN_NAME_WIDTH));
    for line in lines {
        let name = cut(&line.name, names);
        let pad = " ".repeat(names.saturating_sub(text_width(&name)));
        let style = line.is_folder.then_some(TextStyle::Cyan);
        text.push_str(&TextStyle::paint(style, &name, colour));
        let size = " ".repeat(sizes - text_width(&line.size)) + &line.size;
        let note = TextStyle::paint(Some(TextStyle::Dim), &line.note, colour);
        let rest = format!("{pad}{GAP}{size}{GAP}{note}");
        text.push_str(rest.trim_end());
        text.push('\n');
    }
}

fn folder_sizes(files: &[&ListedFile]) -> HashMap<String, u64> {
    let mut sizes = HashMap::new();
    for file in files {
        let ends = file.path.match_indices('/').map(|(at, _)| at);
        for folder in ends.filter_map(|end| file.path.get(..end)) {
            let size = sizes.entry(folder.to_owned()).or_insert(0_u64);
            *size = size.saturating_add(file.size_bytes.unwrap_or(0));
        }
    }
    sizes
}

fn shown(bytes: u64) -> String {
    HumanBytes(bytes).to_string()
}

fn indent(depth: usize) -> String {
    "  ".repeat(depth)
}

/// Cuts the middle of a name, since its end says what kind of file it is.
fn cut(name: &str, width: usize) -> String {
    if text_width(name) <= width {
        return name.to_owned();
    }
    let take = |letters: &mut dyn Iterator<Item = char>, most: usize| -> String {
        let mut taken = String::new();
        for letter in letters {
            taken.push(letter);
            if text_width(&taken) > most {
                taken.pop();
                break;
            }
        }
        taken
    };
    let tail_width = (width.saturating_sub(1)) / 3;
    let tail = take(&mut name.chars().rev(), tail_width);
    let tail: String = tail.chars().rev().collect();
    let head = take(
        &mut name.chars(),
        width.saturating_sub(1 + text_width(&tail)),
    );
    format!("{head}…{tail}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, size_bytes: Option<u64>, kind: &str) -> ListedFile {
        ListedFile {
            path: path.to_owned(),
            r#type: kind.to_owned(),
            size_bytes,
            modified_at: None,
            uri: format!("file:///{path}"),
        }
    }

    #[test]
    fn folders_are_opened_once_and_show_what_is_in_them() {
        let files = [
            file("agent/episode-0/prompt.txt", Some(2_048), "session"),
            file("agent/episode-0/response.txt", Some(1), "session"),
            file("agent/evil\u{1b}[2J.txt", None, "logs"),
            file("config.json", Some(10), "config"),
        ];
        let files: Vec<&ListedFile> = files.iter().collect();
        let text = render(
            Some("t"),
            &files,
            |file| file.path == "config.json",
            80,
            false,
        );
        assert_eq!(
            text,
            "t\n  agent/            2.00 KiB\n    episode-0/      2.00 KiB\n      \
             prompt.txt    2.00 KiB  session\n      response.txt       1 B  session\n    \
             evil.txt               -  logs\n  config.json           10 B  config, cached\n"
        );
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        let long = format!("agent/{}.jsonl", "x".repeat(200));
        let files = [file(&long, Some(1), "session")];
        let files: Vec<&ListedFile> = files.iter().collect();
        let text = render(None, &files, |_| false, 60, false);
        assert!(text.lines().all(|line| text_width(line) <= 60), "{text}");
        assert!(
            text.contains("….jsonl") || text.contains("x.jsonl"),
            "{text}"
        );
    }
}
