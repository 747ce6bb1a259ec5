//! What the host and the guest say to each other, over one virtio serial port.
//!
//! A message is its length (32 bits, little endian) and its postcard encoding.

use anyhow::ensure;
use anyhow::Result;
use serde::de::DeserializeOwned;
use serde::Deserialize;
use serde::Serialize;
use std::io::Read;
use std::io::Write;

/// The name of the port, as the guest finds it in `/sys/class/virtio-ports`.
pub const PORT: &str = "vm";

/// No message is longer; a longer one means that the two lost step.
const LIMIT: u32 = 1 << 20;

/// Host to guest.
#[derive(Debug, Serialize, Deserialize)]
pub enum Request {
    /// Run a command; answered by [`Event::Exit`]. One at a time.
    Run(Command),
    /// Keys for the terminal of the command.
    Input(Vec<u8>),
    /// The host's terminal has a new size.
    Resize(Size),
    /// Write one letter to `/proc/sysrq-trigger`, then send the kernel log.
    Sysrq(char),
    /// Put the disks away and power off.
    PowerOff,
}

/// A command line for the shell.
#[derive(Debug, Serialize, Deserialize)]
pub struct Command {
    pub line: String,
    /// Give it a terminal of this size, rather than two pipes.
    pub terminal: Option<Size>,
}

impl Command {
    /// A command without a terminal.
    pub fn new(line: &str) -> Command {
        Command {
            line: line.to_owned(),
            terminal: None,
        }
    }
}

/// The size of a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Size {
    pub columns: u16,
    pub rows: u16,
}

/// Guest to host.
#[derive(Debug, Serialize, Deserialize)]
pub enum Event {
    /// The machine is up.
    Ready,
    Stdout(Vec<u8>),
    Stderr(Vec<u8>),
    /// Lines that the kernel has logged since the last time.
    KernelLog(Vec<String>),
    /// The command ended with this status, as a shell counts it: 128 and the
    /// number of the signal if it was killed. All it wrote has been sent.
    Exit(i32),
}

/// Write one message.
pub fn send(to: &mut impl Write, message: &impl Serialize) -> Result<()> {
    let body = postcard::to_stdvec(message)?;
    let length = u32::try_from(body.len())?;
    ensure!(length <= LIMIT, "a message of {length} bytes is too long");
    let mut frame = length.to_le_bytes().to_vec();
    frame.extend(body);
    to.write_all(&frame)?;
    Ok(to.flush()?)
}

/// Read one message.
pub fn receive<M: DeserializeOwned>(from: &mut impl Read) -> Result<M> {
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    let length = u32::from_le_bytes(length);
    ensure!(length <= LIMIT, "a message of {length} bytes is too long");
    let mut body = vec![0; usize::try_from(length)?];
    from.read_exact(&mut body)?;
    Ok(postcard::from_bytes(&body)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_survives_the_wire() -> Result<()> {
        let mut wire = Vec::new();
        send(&mut wire, &Event::Exit(137))?;
        send(&mut wire, &Event::Stdout(b"hello".to_vec()))?;
        let mut wire = wire.as_slice();
        assert!(matches!(receive(&mut wire)?, Event::Exit(137)));
        assert!(matches!(receive(&mut wire)?, Event::Stdout(data) if data == b"hello"));
        Ok(())
    }

    #[test]
    fn a_length_out_of_step_is_refused() {
        let wire = [0xff; 8];
        assert!(receive::<Event>(&mut wire.as_slice()).is_err());
    }
}
