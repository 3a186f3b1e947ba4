//! The signals that end a server: the first one politely, the second one at once. Those by which others turn their logs end
//! nothing, and SIGHUP is for programs that reload their files.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::info;

/// SIGTERM (service managers) and SIGINT (Ctrl-C); and SIGHUP (a terminal that was closed, tools that turn logs), SIGUSR1 and
/// SIGUSR2, which would end the process if nobody listened.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Option<Signal>,
    user1: Signal,
    user2: Signal,
}

/// A signal that came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// SIGTERM.
    Terminate,
    /// SIGINT.
    Interrupt,
}

impl Ending {
    /// As people know it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Terminate => "SIGTERM",
            Self::Interrupt => "SIGINT",
        }
    }

    /// What shells expect of a process that a signal ended: 128 and the signal's number.
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Terminate => 128 + 15,
            Self::Interrupt => 128 + 2,
        }
    }
}

impl Signals {
    /// From now on the signals no longer end the process by themselves.
    pub fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: Some(signal(SignalKind::hangup())?),
            user1: signal(SignalKind::user_defined1())?,
            user2: signal(SignalKind::user_defined2())?,
        })
    }

    /// SIGHUPs from now on, for a program that reloads something; until then they do nothing.
    pub fn take_hangups(&mut self) -> Option<Signal> {
        self.hangup.take()
    }

    /// The next one that is to end it.
    pub async fn next(&mut self) -> Ending {
        loop {
            let harmless = tokio::select! {
                _ = self.terminate.recv() => return Ending::Terminate,
                _ = self.interrupt.recv() => return Ending::Interrupt,
                () = next(&mut self.hangup) => "SIGHUP",
                _ = self.user1.recv() => "SIGUSR1",
                _ = self.user2.recv() => "SIGUSR2",
            };
            info!(event = "signal_ignored", "{harmless} does not end it");
        }
    }
}

async fn next(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => {
            signal.recv().await;
        }
        None => std::future::pending().await,
    }
}
