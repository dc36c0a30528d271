//! Training: the one loop that steps rankers and keeps their memories up, the comparison of variants on one stream, and what reads
//! a run: evaluation, snapshots, traces.

mod comparison;
pub mod device;
mod error;
mod evaluation;
mod learner;
mod losses;
mod passes;
mod portrait;
pub mod readback;
pub mod recording;
mod run;
mod scoring;
mod snapshot;
pub mod trace;

pub use comparison::Comparison;
pub use comparison::saving::is_measured;
pub use error::TrainError;
pub use evaluation::score_by_rule;
pub use learner::{Learner, Upkeep};
pub use run::{Keeper, Moment, RunOptions, run, run_with};
pub use scoring::{Exported, Scorer, Trained};
