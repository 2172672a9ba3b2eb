//! The `petset` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    if let Some(code) = petset::runner() {
        return code;
    }
    ExitCode::SUCCESS
}
