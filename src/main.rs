//! `duia`: trains PLE and PLE+UIE in a terminal.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
