//! Tables in Parquet.

mod reader;
mod writer;

pub use reader::{columns, read, read_shown};
pub use writer::Writer;
