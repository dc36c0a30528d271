//! DUIA (Dynamic User Interest Augmentation, arXiv 2405.13238): stream clustering and memory networks that lend each
//! user of a recommender what his cluster knows.

pub mod config;
pub mod counter;
pub mod data;
pub mod device;
pub mod kernels;
pub mod message;
pub mod metrics;
pub mod model;
pub mod platform;
pub mod projection;
pub mod train;
