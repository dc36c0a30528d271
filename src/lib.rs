//! DUIA (Dynamic User Interest Augmentation, arXiv 2405.13238): stream clustering and memory networks that lend each
//! user of a recommender what his cluster knows.

pub mod config;
pub mod counter;
pub mod data;
pub mod message;
pub mod metrics;
pub mod projection;
pub mod simulation;

#[cfg(feature = "train")]
pub mod checkpoint;
#[cfg(feature = "train")]
pub mod device;
#[cfg(feature = "train")]
pub mod kernels;
#[cfg(feature = "train")]
pub mod model;
#[cfg(feature = "train")]
pub mod platform;
#[cfg(feature = "train")]
pub mod readback;
#[cfg(feature = "train")]
pub mod scoring;
#[cfg(feature = "train")]
pub mod trace;
#[cfg(feature = "train")]
pub mod train;
