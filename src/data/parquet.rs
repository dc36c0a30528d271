//! Tables in Parquet.

mod reader;
mod writer;

pub use reader::{columns, read, read_shown, rows};
pub use writer::Writer;
