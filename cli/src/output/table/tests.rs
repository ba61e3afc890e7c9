use proptest::prelude::*;

use super::super::cell::TextStyle;
use super::widths::{MIN_ID, unique_width};
use super::*;

fn columns() -> Vec<Column> {
    let column = |heading: &'static str, shrink, align_right, optional: bool| Column {
        heading: heading.into(),
        shrink,
        align_right,
        hide: if optional { Hide::First } else { Hide::Never },
    };
    vec![
        column("ID", Shrink::Id, false, false),
        column("NAME", Shrink::Cut(8), false, true),
        column("STATUS", Shrink::Never, false, false),
        column("TRIALS", Shrink::Never, true, true),
        column("CREATED", Shrink::Never, false, true),
    ]
}

fn table(rows: &[[&str; 5]]) -> Table {
    let mut table = Table::new(columns());
    for row in rows {
        table.add_row(row.iter().map(Cell::new).collect());
    }
    table
}

const ROWS: &[[&str; 5]] = &[
    [
        "3f2c9a10-5b1e-4c6b-9d6b-000000000001",
        "nightly regression of the whole suite",
        "running",
        "3/10",
        "3m ago",
    ],
    [
        "3f2c9a10-5b77-4c6b-9d6b-000000000002",
        "短い名前",
        "completed",
        "10/10",
        "2d ago",
    ],
];

#[test]
fn a_wide_terminal_shows_everything() {
    insta::assert_snapshot!(table(ROWS).render(200, false).text);
}

#[test]
fn at_eighty_columns_ids_and_names_shrink() {
    insta::assert_snapshot!(table(ROWS).render(80, false).text);
}

#[test]
fn a_long_text_shrinks_before_an_id_loses_a_character() {
    let id = ROWS[0][0];
    let message = "the package mirror cannot be reached ".repeat(9);
    let table = table(&[[id, &message, "failed", "3/10", "3m ago"]]);
    for width in [90, 120, 200] {
        let rendered = table.render(width, false);
        assert!(rendered.text.contains(id), "at {width}: {}", rendered.text);
        assert!(
            rendered.hidden.is_empty(),
            "at {width}: {:?}",
            rendered.hidden
        );
        let row = rendered.text.lines().nth(1).unwrap();
        // The heading of the last column is wider than its cell.
        assert!(
            (width - 2..=width).contains(&text_width(row)),
            "{width}: {row}"
        );
    }
}

#[test]
fn at_forty_columns_ids_still_distinguish_rows() {
    let rendered = table(ROWS).render(40, false);
    insta::assert_snapshot!(rendered.text);
    assert_eq!(rendered.hidden, ["TRIALS", "CREATED"]);
}

#[test]
fn colour_adds_sequences_and_nothing_else() {
    let mut table = Table::plain(&["A", "B"]);
    table.add_row(vec![
        Cell::new("x").styled(Some(TextStyle::Red)),
        Cell::new("y").styled(Some(TextStyle::Dim)),
    ]);
    assert_eq!(
        table.render(80, true).text,
        "\u{1b}[1mA\u{1b}[0m  \u{1b}[1mB\u{1b}[0m\n\u{1b}[31mx\u{1b}[0m  \u{1b}[2my\u{1b}[0m\n"
    );
    assert_eq!(table.render(80, false).text, "A  B\nx  y\n");
}

#[test]
fn tab_separated_values_are_complete() {
    let long = "x".repeat(5_000);
    let mut table = Table::plain(&["A", "B"]);
    table.add_row(vec![
        Cell::new("a\tb\nc").with_display("short"),
        Cell::new(&long),
    ]);
    table.add_row(vec![Cell::missing(), Cell::from_option(None)]);
    assert_eq!(table.tsv(true), format!("A\tB\na b c\t{long}\n\t\n"));
    assert!(!table.tsv(false).starts_with('A'));
}

/// Returns a thousand texts, each from two hostile parts.
fn hostile() -> Vec<String> {
    let payloads = [
        "\u{1b}[2J",
        "\u{1b}]0;t\u{7}",
        "\u{1b}]8;;http://x\u{1b}\\y",
        "\u{1b}]52;c;QQ==\u{9c}",
        "\u{1b}P1$r\u{1b}\\",
        "\u{1b}_G\u{1b}\\",
        "\u{1b}^x\u{1b}\\",
        "\u{1b}Xx\u{1b}\\",
        "\u{9b}31m",
        "\u{9d}0;x\u{7}",
        "\u{90}q\u{9c}",
        "\u{1b}",
        "\u{1b}[",
        "\u{1b}]",
        "\u{0}",
        "\u{7}",
        "\u{8}\u{8}\u{8}",
        "\u{7f}",
        "\r",
        "\n",
        "\r\n",
        "\t",
        "\u{b}",
        "\u{c}",
        "\u{85}",
        "\u{2028}",
        "\u{202e}",
        "\u{2066}",
        "\u{200f}",
        "\u{200b}",
        "\u{feff}",
        "\u{fffd}",
        "\u{e0101}",
        "\u{e0041}",
        "[red]x[/x]",
        "👩‍👩‍👧‍👦",
        "e\u{301}\u{301}\u{301}",
        "漢字",
        "🇩🇪",
    ];
    let mut texts = Vec::new();
    for first in payloads {
        for second in payloads {
            texts.push(format!("a{first}b{second}c"));
        }
    }
    texts.truncate(1_000);
    texts
}

#[test]
fn a_thousand_hostile_texts_produce_no_control_characters() {
    let texts = hostile();
    assert_eq!(texts.len(), 1_000);
    let mut table = Table::new(columns());
    for text in &texts {
        let cells = (0..5).map(|_| Cell::new(text).styled(Some(TextStyle::Red)));
        table.add_row(cells.collect());
    }
    for width in [1, 40, 80, 200] {
        let text = table.render(width, false).text;
        assert!(harmless(&text), "width {width}");
        assert_eq!(text.lines().count(), texts.len() + 1, "width {width}");
    }
    assert!(harmless(&table.tsv(true).replace('\t', " ")));
    assert_eq!(table.tsv(true).lines().count(), texts.len() + 1);
}

fn harmless(text: &str) -> bool {
    text.chars()
        .all(|c| c == '\n' || !(c.is_control() || clean::is_deceptive(c)))
}

#[test]
fn long_values_are_wrapped_between_words_and_every_character_stays() {
    let mut table = Table::new(vec![
        Column::new("what", Shrink::Never),
        Column::new("value", Shrink::Wrap(8)),
    ]);
    table.add_row(vec![
        Cell::new("error"),
        Cell::new("the remote cannot be reached"),
    ]);
    table.add_row(vec![Cell::new("path"), Cell::new("/a/path/of/some/length")]);
    table.add_row(vec![Cell::new("漢字"), Cell::new("漢字漢字漢字漢字漢字")]);
    assert_eq!(
        table.render(20, false).text,
        "WHAT   VALUE\n\
         error  the remote\n       cannot be\n       reached\n\
         path   /a/path/of/so\n       me/length\n\
         漢字   漢字漢字漢字\n       漢字漢字\n"
    );
    assert!(
        table
            .render(80, false)
            .text
            .contains("error  the remote cannot be reached\n")
    );
}

proptest! {
    #[test]
    fn a_wrapped_text_keeps_its_words_and_fits(text in "([a-z]{1,12} ){0,9}[a-z]", width in 1_usize..30) {
        let mut table = Table::new(vec![Column::new("a", Shrink::Wrap(1))]);
        table.add_row(vec![Cell::new(&text)]);
        let rendered = table.render(width, false).text;
        let lines: Vec<&str> = rendered.lines().skip(1).collect();
        prop_assert!(lines.iter().all(|line| text_width(line) <= width.max(4)), "{}", rendered);
        prop_assert_eq!(lines.concat().replace(' ', ""), text.replace(' ', ""));
    }

    #[test]
    fn any_row_takes_one_line_and_fits_unless_its_id_does_not(
        ids in proptest::collection::vec("[ -~]{0,40}|\\PC{0,20}", 1..6),
        name in any::<String>(),
        width in 24usize..200,
    ) {
        let mut table = Table::new(columns());
        for id in &ids {
            table.add_row([id, &name, "running", "1/2", "now"].iter().map(Cell::new).collect());
        }
        let rendered = table.render(width, false);
        prop_assert_eq!(rendered.text.lines().count(), ids.len() + 1);
        let unique = unique_width(table.rows.iter().map(|row| row[0].display.as_str()));
        let room = width.max(unique + MIN_ID + 2 + "running".len());
        for line in rendered.text.lines() {
            prop_assert!(text_width(line) <= room, "{:?} is {} wide", line, text_width(line));
        }
    }

    #[test]
    fn ids_are_never_cut_below_what_is_unique(
        ids in proptest::collection::hash_set("(same-beginning-)?[a-c]{1,30}", 2..20),
        width in 1usize..60,
    ) {
        let mut table = Table::new(columns());
        for id in &ids {
            table.add_row([id.as_str(), "n", "x", "", ""].iter().map(Cell::new).collect());
        }
        let text = table.render(width, false).text;
        let mut shown: Vec<&str> = text
            .lines()
            .skip(1)
            .map(|line| line.split(' ').next().unwrap_or(""))
            .collect();
        for id in &shown {
            prop_assert!(ids.contains(*id) || id.len() >= MIN_ID);
        }
        shown.sort_unstable();
        shown.dedup();
        prop_assert_eq!(shown.len(), ids.len());
    }
}
