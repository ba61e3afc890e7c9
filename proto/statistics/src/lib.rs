//! Every figure that docks shows, once: what is true of one trial, what is computed from many, and when a difference
//! between runs is one.
//!
//! `docs/statistics.md` describes them for people. Everything here is a pure function of its arguments, does no I/O and
//! gives the same result for the same trials; where chance is needed, its seed is fixed.
//!
//! - [`trial`]: the facts of one trial, read from its object, and their compact form in the mirror.
//! - [`harbor`]: which rewards and exceptions count, by the release of Harbor that wrote a job.
//! - [`figures`]: all figures of some trials, made of [`aggregate`]s that say over how many values they are, of
//!   [`attempts`] at the same task, and of the [`rate`] with its [`interval`].
//! - [`difference`]: between two sides that tried the same tasks, and what may be said of it.
//! - [`comparison`]: two or more sides with all of that, task by task, and the [`gate`] that a candidate passes.
//! - [`failures`]: why trials failed, by rules, and clusters of like messages.
//! - [`rerun`]: which trials are worth running again.
//! - [`score`]: figures of agents, models, datasets or runs, side by side.
//! - [`tasks`]: each task over all runs, and over time.
//! - [`special`]: distribution functions and quantiles.

pub mod aggregate;
pub mod attempts;
pub mod comparison;
pub mod difference;
pub mod failures;
pub mod figures;
pub mod gate;
pub mod harbor;
pub mod interval;
pub mod rate;
pub mod rerun;
pub mod score;
pub mod special;
pub mod tasks;
pub mod trial;
