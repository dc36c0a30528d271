//! What burn has no operation for, or takes a dozen for. An operation is a folder: its functions with their autodiff in the file of
//! its name, the loops for the CPU in `cpu.rs` and the kernels for every GPU in `gpu.rs` beside each other.
//!
//! | module | operations |
//! | --- | --- |
//! | [`rows`] | gather rows of a table, lazy Adam on the touched ones, rows written by a rule |
//! | [`clusters`] | the nearest centres (Eq. 2 and 3), their pull (Eq. 4 and 5), centres in the place of items (Eq. 11) |
//! | [`experts`] | the weighted sum of experts behind a gate (PLE) |
//! | [`dense`] | dense layers whose gradients are summed over the batch by many units |
//! | [`enhancement`] | the gate, the norm and the fit of enhancement vectors (A11, A12) |
//! | [`attention`] | target attention over a window of behaviours |
//! | [`activation`] | DIN's activation unit over a window of behaviours |
//! | [`mod@dots`] | the dot product of a user with each of their candidates (Eq. 1) |
//!
//! The functions take and give burn tensors; their device decides which side runs. Both sides walk samples in the same order and
//! use no float atomics, so a step is deterministic. `cpu` and `gpu` state how a loop gets its slices and how a kernel is
//! launched.

pub mod activation;
pub mod attention;
pub mod clusters;
pub mod dense;
pub mod dots;
pub mod enhancement;
pub mod experts;
pub mod rows;

mod cpu;
mod gpu;
mod graph;

pub use activation::activation_unit;
pub use attention::attend;
pub use clusters::{Levels, Pull, centre_pull, chosen_centres, count_shared, entries, follow, nearest, pool_centres};
pub use dense::{linear, mean, product, scaled, sum_samples};
pub use dots::dots;
pub use enhancement::{fit, gated, rms_norm};
pub use experts::{Mix, mix};
pub use rows::{AdamStep, BETA_1, BETA_2, Bags, EPSILON, PRIOR_TOUCHES, RowRule, adam_rows, pool_rows, recall, write_rows};
