//! Fuzz target: objects of a remote as tables and detail views. Its corpus is `tests/corpus/objects`.

use std::time::Duration;

use docks_fuzz::fuzz;
use docks_proto::object::{RawObject, parse_list};
use docks_proto::time::UnixMs;

use super::detail;
use super::lists::{ALL_TRIALS, EVALUATIONS, ListColumns, RUNS, RowContext, TRIALS};

/// Checks that a text for a terminal has no control characters but those of lines and columns.
pub(crate) fn check(text: &str) {
    let is_harmful = |c: char| c.is_control() && c != '\n' && c != '\t';
    assert!(!text.contains(is_harmful), "{text:?}");
}

fn draw<R>(columns: &ListColumns<R>, objects: &[RawObject], row_context: RowContext) {
    let names: Vec<String> = columns
        .columns
        .iter()
        .map(|spec| spec.key.to_owned())
        .collect();
    for requested in [&[][..], &names] {
        let specs = columns.select(requested).unwrap();
        let table = columns.table(objects, &specs, row_context);
        check(&table.tsv(true));
        for width in [1, 40, 200] {
            check(&table.render(width, false).text);
        }
    }
}

#[test]
fn fuzz_object_views() {
    let row_context = RowContext {
        now: UnixMs::parse("2026-11-24T03:00:00Z").unwrap(),
        age: Duration::from_secs(100),
    };
    fuzz(
        env!("CARGO_MANIFEST_DIR"),
        "tests/corpus/objects",
        |input| {
            let text = String::from_utf8_lossy(input);
            let one = RawObject::parse(&text).ok().flatten();
            let mut objects = parse_list(input).map_or_else(|_| Vec::new(), |list| list.objects);
            objects.extend(one);
            for object in &objects {
                for width in [None, Some(30), Some(120)] {
                    check(&detail::evaluation(object, row_context, width).render(false));
                    check(&detail::trial(object, row_context, width).render(false));
                }
                check(&detail::run(object, row_context).render(false));
            }
            draw(&RUNS, &objects, row_context);
            draw(&EVALUATIONS, &objects, row_context);
            draw(&TRIALS, &objects, row_context);
            draw(&ALL_TRIALS, &objects, row_context);
        },
    );
}
