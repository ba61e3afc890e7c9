//! Fuzz target: the results that verifiers write. Its corpus is `tests/corpus/results`.

use docks_fuzz::fuzz;
use docks_proto::repair;

use super::summary::{ResultSummary, result_data};
use crate::output::fuzz::check;

#[test]
fn fuzz_result_reader() {
    fuzz(
        env!("CARGO_MANIFEST_DIR"),
        "tests/corpus/results",
        |input| {
            let text = String::from_utf8_lossy(input);
            let mut summary = ResultSummary::default();
            match repair::parse::<serde_json::Value>(&text) {
                Some(value) => {
                    summary.read(&value);
                    summary.read(&result_data(value));
                }
                None => summary.read_text(&text),
            }
            check(&summary.render(false));
        },
    );
}
