//! `--record`: what the terminal is told, as an asciicast (version 2), to be played or drawn later.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::time::Instant;

use anyhow::Context;
use jiff::Timestamp;
use serde::Serialize;

use crate::problem::Result;

/// A recording that goes on.
#[derive(Debug)]
pub(super) struct Recorder {
    file: File,
    begun: Instant,
}

/// The first line of the file.
#[derive(Serialize)]
struct CastHeader {
    version: u32,
    width: u16,
    height: u16,
    timestamp: i64,
    title: &'static str,
}

impl Recorder {
    /// Begins a new file.
    pub(super) fn create(path: &Path, (width, height): (u16, u16)) -> Result<Self> {
        let header = CastHeader {
            version: 2,
            width,
            height,
            timestamp: Timestamp::now().as_second(),
            title: "petset top",
        };
        let begin = || -> io::Result<File> {
            let mut file = File::create(path)?;
            writeln!(file, "{}", serde_json::to_string(&header)?)?;
            Ok(file)
        };
        let file = begin().with_context(|| format!("cannot record to {}", path.display()))?;
        Ok(Self {
            file,
            begun: Instant::now(),
        })
    }

    /// Adds output.
    pub(super) fn output(&mut self, text: &str) -> io::Result<()> {
        self.add("o", text)
    }

    /// Adds that the terminal has another size.
    pub(super) fn resized(&mut self, (width, height): (u16, u16)) -> io::Result<()> {
        self.add("r", &format!("{width}x{height}"))
    }

    fn add(&mut self, kind: &str, text: &str) -> io::Result<()> {
        let seconds = self.begun.elapsed().as_secs_f64();
        let line = serde_json::to_string(&(seconds, kind, text))?;
        writeln!(self.file, "{line}")
    }
}
