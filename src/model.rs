//! The model: components and the ranker that loops over them. Each line knows those above it and none below.
//!
//! | file | what |
//! | --- | --- |
//! | [`takes`] | the memory that a part takes |
//! | [`export`] | what nodes of an ONNX graph read and find |
//! | [`layers`] | what components are made of: PLE, centres, the generalization layer, row tables, dense layers |
//! | [`batch`] | ids and features on the device |
//! | [`component`] | what a component is, and the blackboards on which components meet |
//! | [`components`] | the components, one file each |
//! | [`ranker`] | forward, step and snapshot of a model: loops over its components, and who receives whose gradient (Eq. 15) |

pub mod batch;
pub mod component;
pub mod components;
pub mod export;
pub mod layers;
pub mod ranker;
pub mod takes;
pub mod together;
