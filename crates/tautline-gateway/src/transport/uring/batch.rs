//! Sends that go to the kernel together.

use std::{ops::Range, os::fd::RawFd, task::Waker};

use crate::transport::{frames::Frames, unsent::Unsent};

/// The most sends in one batch. More save nothing, and hold up their thread for longer.
pub(super) const SENDS_MAX: usize = 64;

/// Sends of different sockets: none has two in a batch, or bytes could be lost between them.
pub(super) struct Batch {
    pub(super) number: u32,
    sends: Vec<Send>,
    frames: Frames,
}

struct Send {
    socket: RawFd,
    /// The unsent part of the batch's frames.
    left: Range<usize>,
    waker: Waker,
}

impl Batch {
    pub(super) fn new(number: u32) -> Self {
        Self { number, sends: Vec::with_capacity(SENDS_MAX), frames: Frames::default() }
    }

    pub(super) fn len(&self) -> usize {
        self.sends.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.sends.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.len() == SENDS_MAX
    }

    pub(super) fn push(&mut self, socket: RawFd, frames: &Frames, waker: Waker) {
        let left = self.frames.append(frames);
        self.sends.push(Send { socket, left, waker });
    }

    /// Each socket with its bytes.
    pub(super) fn sends(&self) -> impl ExactSizeIterator<Item = (RawFd, &[u8])> {
        self.sends.iter().map(|send| (send.socket, &self.frames.bytes[send.left.clone()]))
    }

    /// Records how many bytes the socket of a send has taken.
    pub(super) fn record(&mut self, index: usize, bytes: usize) {
        self.sends[index].left.start += bytes;
    }

    /// Each socket that did not take all of its bytes, with the rest and the task to wake.
    pub(super) fn unsent(&self) -> impl Iterator<Item = (RawFd, Unsent, &Waker)> {
        let is_left = |send: &&Send| !send.left.is_empty();
        self.sends
            .iter()
            .filter(is_left)
            .map(|send| (send.socket, self.frames.unsent(send.left.clone()), &send.waker))
    }

    pub(super) fn clear(&mut self) {
        self.sends.clear();
        self.frames.clear();
    }
}
