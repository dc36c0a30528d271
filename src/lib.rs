//! DUIA (Dynamic User Interest Augmentation, arXiv 2405.13238): stream clustering and memory networks that give each
//! user of a recommender what similar users know.

pub mod checkpoint;
pub mod config;
pub mod control;
pub mod counter;
pub mod data;
pub mod lesson;
pub mod metrics;
pub mod simulation;
pub mod variants;
pub mod view;
pub mod wire;

#[cfg(feature = "train")]
pub mod footprint;
#[cfg(feature = "train")]
pub mod kernels;
#[cfg(feature = "train")]
pub mod model;
pub mod platform;
#[cfg(feature = "train")]
pub mod training;
