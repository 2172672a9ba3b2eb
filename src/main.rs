//! The `petset` program.

fn main() {}
