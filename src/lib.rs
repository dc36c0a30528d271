//! DUIA (Dynamic User Interest Augmentation, arXiv 2405.13238): stream clustering and memory networks that give each
//! user of a recommender what similar users know.
//!
//! # Train two models and compare them
//!
//! ```
//! use std::sync::Arc;
//!
//! use duia::platform::block_on;
//! use duia::{Config, DeviceChoice, Event, Generator, Variant, Variants, run};
//!
//! // Sizes for a test; those of `Config::default()` take about a minute.
//! let variants = Variants(vec![Variant::Ple, Variant::Duia]);
//! let config = Config { variants, users: 200, items: 800, categories: 40, rows: 20_000, ..Config::default() };
//! let rows = Arc::new(Generator::new(&config));
//!
//! let mut areas = Vec::new();
//! let ended = block_on(run(config, rows, DeviceChoice::Cpu, |event| {
//!     if let Event::Evaluation(evaluation) = event {
//!         areas = evaluation.scores.iter().map(|score| score.auc.all.value).collect();
//!     }
//! }));
//! ended.map_err(|failure| failure.what)?;
//! assert!(areas.len() == 2 && areas.iter().all(|area| (0.0..=1.0).contains(area)));
//! # Ok::<(), String>(())
//! ```
//!
//! # Where to find what
//!
//! | to | use |
//! | --- | --- |
//! | choose models, sizes and everything else | [`Config`], [`Variant`] |
//! | read your own rows | [`data::csv`], [`data::own`]; or implement [`Source`] |
//! | train and watch | `run`, which tells every [`Event`]; `Learner` for a loop of your own |
//! | add a part to a model | `Component` and its `Kind`, as `examples/add_component.rs` does |
//! | score predictions | [`metrics::TestRows`] |
//! | serve a model elsewhere | `training::Scorer::export`, which gives an `onnx::Graph` |
//! | keep weights, replay a run elsewhere | `checkpoint`, `training::trace` |
//!
//! What trains needs the feature `train`, which is on by default. The page leaves it out.

pub mod checkpoint;
pub mod config;
pub mod control;
pub mod counter;
pub mod data;
pub mod lesson;
pub mod metrics;
pub mod platform;
pub mod replay;
pub mod simulation;
pub mod variants;
pub mod view;
pub mod wire;

#[cfg(feature = "train")]
pub mod communicator;
#[cfg(feature = "train")]
pub mod footprint;
#[cfg(feature = "train")]
pub mod kernels;
#[cfg(feature = "train")]
pub mod model;
#[cfg(feature = "train")]
pub mod onnx;
#[cfg(feature = "train")]
pub mod training;

pub use config::Config;
pub use data::Source;
pub use data::generator::Generator;
pub use variants::{Variant, Variants};
pub use wire::{DeviceChoice, Event, Failure};

#[cfg(feature = "train")]
pub use model::component::{Component, Kind};
#[cfg(feature = "train")]
pub use training::{Learner, run};
