//! The `petset` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    petset::main()
}
