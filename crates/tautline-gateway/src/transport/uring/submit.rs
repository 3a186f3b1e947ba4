//! The system call, and the only `unsafe` code of the gateway.

use std::io;

use io_uring::{IoUring, opcode::Send, types::Fd};
use rustix::net::SendFlags;

use super::batch::{Batch, SENDS_MAX};

/// `MSG_DONTWAIT`: else the kernel would keep a send that finds no room. `MSG_NOSIGNAL`: a peer that left
/// must not end the process.
const FLAGS: i32 = SendFlags::DONTWAIT.union(SendFlags::NOSIGNAL).bits().cast_signed();

/// A ring that is empty between two calls.
pub(super) struct SubmitRing(IoUring);

impl SubmitRing {
    /// # Errors
    /// Where the kernel has no `io_uring`, one from before Linux 5.18, or forbids it, as in most containers.
    pub(super) fn new() -> io::Result<Self> {
        let entries = u32::try_from(SENDS_MAX).expect("a small number");
        // A send that fails does not keep the others from being submitted.
        IoUring::builder().setup_submit_all().build(entries).map(Self)
    }

    /// One that refuses all sends.
    #[cfg(test)]
    pub(super) fn broken() -> Self {
        Self(IoUring::builder().setup_r_disabled().build(64).expect("there is io_uring"))
    }

    /// Sends all, and records how many bytes each socket took.
    ///
    /// # Errors
    /// When the kernel accepts no more sends. Those that it accepted are recorded. The ring still holds the
    /// others, and must not be used again.
    pub(super) fn send(&mut self, batch: &mut Batch) -> io::Result<()> {
        let mut left = batch.sends().len();
        self.fill(batch);
        while left > 0 {
            let submitted = self.0.submit_and_wait(left);
            for completion in self.0.completion() {
                left -= 1;
                let index = usize::try_from(completion.user_data()).expect("the index it was given");
                // The connection sees an error again when it writes the rest.
                batch.record(index, usize::try_from(completion.result()).unwrap_or(0));
            }
            match submitted {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    #[allow(unsafe_code)]
    fn fill(&mut self, batch: &Batch) {
        let mut queue = self.0.submission();
        for (index, (socket, bytes)) in batch.sends().enumerate() {
            let length = u32::try_from(bytes.len()).expect("as long as a send may be");
            let send = Send::new(Fd(socket), bytes.as_ptr(), length).flags(FLAGS).build();
            let send = send.user_data(u64::try_from(index).expect("a small number"));
            // SAFETY: the kernel reads the bytes until the send completes. send() borrows the batch until all
            // have completed, or fails: the kernel has then not seen those that are left, and never will, as
            // the ring is dropped.
            unsafe { queue.push(&send) }.expect("a batch is no longer than the queue");
        }
    }
}
