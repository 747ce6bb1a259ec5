//! The serial console: kept in a file and in memory.

use anyhow::Result;
use std::fs::File;
use std::io::Read;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::thread;
use std::thread::JoinHandle;

/// What the machine has printed on its console since it was started.
pub struct Console {
    text: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
    pub path: PathBuf,
}

impl Console {
    /// Read the console until the machine ends.
    pub fn follow(mut source: Box<dyn Read + Send>, path: PathBuf) -> Result<Console> {
        let mut file = File::create(&path)?;
        let text = Arc::new(Mutex::new(Vec::new()));
        let shared = text.clone();
        let reader = thread::spawn(move || {
            let mut data = [0; 4096];
            while let Ok(length @ 1..) = source.read(&mut data) {
                file.write_all(&data[..length]).ok();
                if let Ok(mut text) = shared.lock() {
                    text.extend_from_slice(&data[..length]);
                }
            }
        });
        Ok(Console {
            text,
            reader: Some(reader),
            path,
        })
    }

    /// Wait until the machine has ended and everything is read.
    pub fn finish(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.join().ok();
        }
    }

    pub fn lines(&self) -> Vec<String> {
        let text = self
            .text
            .lock()
            .map(|text| text.clone())
            .unwrap_or_default();
        String::from_utf8_lossy(&text)
            .lines()
            .map(str::to_owned)
            .collect()
    }

    /// The last lines; from where the kernel died, if it did.
    pub fn tail(&self) -> String {
        let lines = self.lines();
        let death = lines.iter().position(|line| {
            ["BUG: ", "Oops", "Kernel panic", "kernel BUG"]
                .iter()
                .any(|sign| line.contains(sign))
        });
        let start = death.map_or(lines.len().saturating_sub(30), |death| {
            death.saturating_sub(5)
        });
        let end = lines.len().min(start.saturating_add(80));
        lines.get(start..end).unwrap_or_default().join("\n")
    }
}
