//! Fuzz target: the trajectories that agents write. Its corpus is `tests/corpus/trajectories`.

use std::io::{Seek, Write};

use docks_fuzz::fuzz;

use super::step::{Step, render_totals};
use super::step_reader::{Event, read};
use crate::output::fuzz::check;

#[test]
fn fuzz_trajectory_reader() {
    let mut file = tempfile::tempfile().unwrap();
    fuzz(
        env!("CARGO_MANIFEST_DIR"),
        "tests/corpus/trajectories",
        |input| {
            let mut file = file.try_clone().unwrap();
            file.set_len(0).unwrap();
            file.rewind().unwrap();
            file.write_all(input).unwrap();
            file.rewind().unwrap();
            let mut position = 0;
            drop(read(file, &mut |event| {
                match event {
                    Event::Step(text) => {
                        position += 1;
                        for full in [false, true] {
                            check(&Step::parse(text, position).render(full, false));
                        }
                    }
                    Event::Total(text) => check(&render_totals(text, false)),
                    Event::Continued(_) => {}
                }
                true
            }));
        },
    );
    file.flush().unwrap();
}
