//! The ways without a runtime: one thread, system calls or a ring.

use std::{
    io::{ErrorKind, Write as _},
    os::fd::{AsRawFd as _, RawFd},
};

use anyhow::ensure;

use super::{
    ring::Ring,
    stage::{MESSAGE_BYTES, Outcome, Stage},
};

const MESSAGE: [u8; MESSAGE_BYTES] = [b'm'; MESSAGE_BYTES];

pub(crate) fn send(mut stage: Stage) -> anyhow::Result<(Stage, Outcome)> {
    stage.begin()?;
    let size = stage.score.per_channel;
    while let Some(channel) = stage.next()? {
        for mut socket in &stage.sockets[channel * size..][..size] {
            match socket.write(&MESSAGE) {
                Ok(bytes) => ensure!(bytes == MESSAGE_BYTES, "a socket took {bytes} bytes"),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    stage.end()
}

/// `batch` sends a submission. Tuned: sockets are registered, and the kernel need not expect other threads.
pub(crate) fn ring(mut stage: Stage, batch: u32, is_tuned: bool) -> anyhow::Result<(Stage, Outcome)> {
    let files: Vec<_> = stage.sockets.iter().map(|socket| socket.as_raw_fd()).collect();
    let mut ring = if is_tuned { Ring::tuned(batch, &files)? } else { Ring::new(batch)? };
    let sockets = if is_tuned { (0..RawFd::try_from(files.len())?).collect() } else { files };
    stage.begin()?;
    let size = stage.score.per_channel;
    while let Some(channel) = stage.next()? {
        for socket in &sockets[channel * size..][..size] {
            ring.push(*socket, &MESSAGE)?;
        }
        if !ring.is_empty() {
            ring.submit()?;
        }
    }
    stage.end()
}
