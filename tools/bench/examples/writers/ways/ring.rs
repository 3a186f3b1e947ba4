//! Many sends in one system call: `io_uring`.

use std::{io, os::fd::RawFd};

use anyhow::ensure;
use io_uring::{IoUring, opcode::Send, types};
use rustix::net::SendFlags;

use super::stage::MESSAGE_BYTES;

/// What a socket says that is full. It is asked to: else the ring would hold the send until there is room.
const WOULD_BLOCK: i32 = -rustix::io::Errno::WOULDBLOCK.raw_os_error();

/// Sends that wait to be submitted together.
pub(crate) struct Ring {
    ring: IoUring,
    /// One place for each send of a batch.
    messages: Vec<[u8; MESSAGE_BYTES]>,
    waiting: usize,
    is_registered: bool,
}

impl Ring {
    /// A ring that submits so many at once.
    pub(crate) fn new(batch: u32) -> anyhow::Result<Self> {
        Self::build(batch, None)
    }

    /// The same for sockets that it knows, by their number among these, and for one thread.
    pub(crate) fn tuned(batch: u32, sockets: &[RawFd]) -> anyhow::Result<Self> {
        Self::build(batch, Some(sockets))
    }

    fn build(batch: u32, sockets: Option<&[RawFd]>) -> anyhow::Result<Self> {
        let mut builder = IoUring::builder();
        builder.setup_submit_all();
        if sockets.is_some() {
            builder.setup_single_issuer().setup_coop_taskrun().setup_defer_taskrun();
        }
        let ring = builder.build(batch)?;
        sockets.map_or(Ok(()), |sockets| ring.submitter().register_files(sockets))?;
        let messages = vec![[0; MESSAGE_BYTES]; usize::try_from(batch)?];
        Ok(Self { ring, messages, waiting: 0, is_registered: sockets.is_some() })
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.waiting == 0
    }

    /// Adds a send, by descriptor or number; what makes the batch full submits it.
    #[allow(unsafe_code)]
    pub(crate) fn push(&mut self, socket: RawFd, message: &[u8]) -> anyhow::Result<()> {
        let place = &mut self.messages[self.waiting];
        place.copy_from_slice(message);
        let (bytes, length) = (place.as_ptr(), u32::try_from(MESSAGE_BYTES)?);
        let send = if self.is_registered {
            Send::new(types::Fixed(socket.cast_unsigned()), bytes, length)
        } else {
            Send::new(types::Fd(socket), bytes, length)
        };
        let entry = send.flags((SendFlags::DONTWAIT | SendFlags::NOSIGNAL).bits().cast_signed()).build();
        // SAFETY: submit() waits for all completions, and until then nobody touches the message's place.
        unsafe { self.ring.submission().push(&entry) }?;
        self.waiting += 1;
        if self.waiting == self.messages.len() { self.submit() } else { Ok(()) }
    }

    /// Sends all that wait, and hears what became of them.
    pub(crate) fn submit(&mut self) -> anyhow::Result<()> {
        let waiting = std::mem::take(&mut self.waiting);
        self.ring.submit_and_wait(waiting)?;
        let mut completed = 0;
        for completion in self.ring.completion() {
            completed += 1;
            match completion.result() {
                WOULD_BLOCK => {}
                error if error < 0 => return Err(io::Error::from_raw_os_error(-error).into()),
                bytes => ensure!(usize::try_from(bytes)? == MESSAGE_BYTES, "a socket took {bytes} bytes"),
            }
        }
        ensure!(completed == waiting, "{completed} of {waiting} sends completed");
        Ok(())
    }
}
