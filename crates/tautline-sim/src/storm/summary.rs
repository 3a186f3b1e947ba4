//! What a history contained, in figures.

/// What a history contained.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Histories.
    pub histories: u64,
    /// Phones.
    pub phones: u64,
    /// Virtual milliseconds.
    pub virtual_ms: u64,
    /// Faults of the network that hit a phone.
    pub faults: u64,
    /// Faults of the server, its engine or its clock.
    pub server_faults: u64,
    /// Apps that were destroyed.
    pub destroyed: u64,
    /// Connections that were lost.
    pub drops: u64,
    /// Publications in all logs.
    pub publications: u64,
    /// Publications that were taken back, by an engine that may.
    pub taken_back: u64,
    /// Publications handed to apps.
    pub deliveries: u64,
    /// Of these, marked as perhaps handed over before.
    pub redelivered: u64,
    /// Gaps told.
    pub gaps: u64,
    /// Requests settled.
    pub settled: u64,
    /// Of these, with an outcome that nobody can know.
    pub unknown: u64,
    /// Subscriptions that began with what was published from then on.
    pub starts: u64,
    /// Pages of the past.
    pub pages: u64,
    /// Lines that ended with their login.
    pub expired: u64,
    /// Logins that were refreshed on the open connection, or tried to.
    pub refreshed: u64,
    /// Lines that had nothing to do, and ended.
    pub hung_up: u64,
    /// Messages that arrived on a socket which its client had closed.
    pub late: u64,
    /// Questions to the back end about a permission.
    pub questions: u64,
}

impl Summary {
    /// Both together.
    pub fn add(&mut self, other: &Self) {
        self.histories += other.histories;
        self.phones += other.phones;
        self.virtual_ms += other.virtual_ms;
        self.faults += other.faults;
        self.server_faults += other.server_faults;
        self.destroyed += other.destroyed;
        self.drops += other.drops;
        self.publications += other.publications;
        self.taken_back += other.taken_back;
        self.deliveries += other.deliveries;
        self.redelivered += other.redelivered;
        self.gaps += other.gaps;
        self.settled += other.settled;
        self.unknown += other.unknown;
        self.starts += other.starts;
        self.pages += other.pages;
        self.expired += other.expired;
        self.refreshed += other.refreshed;
        self.hung_up += other.hung_up;
        self.late += other.late;
        self.questions += other.questions;
    }
}

impl std::fmt::Display for Summary {
    /// What one history contained, on average.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let each = |sum: u64| sum as f64 / self.histories.max(1) as f64;
        write!(
            f,
            "one history on average: {:.1} phones, {:.0} virtual seconds, {:.1} faults of the network and {:.1} of the server, \
             {:.1} apps destroyed, {:.1} connections lost, {:.0} publications ({:.1} taken back), {:.0} deliveries ({:.1} marked), \
             {:.1} gaps, {:.0} requests ({:.1} in doubt), {:.1} subscriptions from now on, {:.1} pages of the past, {:.1} logins expired, {:.1} idle lines ended, {:.1} messages on closed sockets, {:.1} questions to the back end",
            each(self.phones),
            each(self.virtual_ms) / 1000.0,
            each(self.faults),
            each(self.server_faults),
            each(self.destroyed),
            each(self.drops),
            each(self.publications),
            each(self.taken_back),
            each(self.deliveries),
            each(self.redelivered),
            each(self.gaps),
            each(self.settled),
            each(self.unknown),
            each(self.starts),
            each(self.pages),
            each(self.expired),
            each(self.hung_up),
            each(self.late),
            each(self.questions),
        )
    }
}
