//! Reads from the engine: pages for readers behind the tail, missed publications, log states.
//!
//! Start at [`Hub::page`].

use std::sync::Arc;

use tautline_engine::{
    Answer, EngineError, Job, LogState, Page, Read, Span, StatRequest, StatResult, budget::Holder,
};
use tautline_protocol::{ChannelName, Now};

use crate::{
    Hub,
    channel::{AppendedEntry, Channel, FanOut, TailPosition},
    mailbox::PeerMailbox,
    packets::Packets,
    pages::{PageKey, PageLookup},
    tail::join,
};

impl Hub {
    /// Reads publications that the log may contain unreported: live readers must not wait for the next
    /// report.
    pub(crate) fn read_missed(&self, name: &ChannelName) {
        let Some(channel) = self.find_channel(name) else { return };
        let Some(then) = channel.tail_position() else { return };
        let (hub, of, now) = (self.clone(), Arc::clone(&channel), self.last_now());
        let read = Read {
            channel: name.clone(),
            span: Span::After(then.head),
            count_max: usize::MAX,
            bytes_max: self.0.limits.protocol.batch_bytes_max,
            holder: Holder::BACK_END,
            retention: self.retention_of(now, name),
            wall_ms: now.wall_ms,
            answer: Answer::new(move |page: Result<Page, EngineError>| {
                if let Ok(page) = page {
                    hub.apply_missed(&of, then, page);
                }
            }),
        };
        self.0.engine.submit(Job::Read(read));
    }

    /// Another node has appended: the channel's log has come to `head`, as far as the sender knows. A hint may be
    /// late, repeated or wrong: it only makes this node look, and one look at a time.
    pub fn on_hint(&self, now: Now, channel: &ChannelName, head: u64) {
        self.observe_time(now);
        // The channel is not in use here: later subscribers ask the engine.
        let Some(open) = self.find_channel(channel) else { return };
        if open.take_hint(head) {
            self.read_hinted(&open);
        }
    }

    fn read_hinted(&self, channel: &Arc<Channel>) {
        let (hub, of, now) = (self.clone(), Arc::clone(channel), self.last_now());
        let then = channel.tail_position();
        let read = Read {
            channel: channel.name.clone(),
            span: Span::After(then.map_or(0, |then| then.head)),
            count_max: usize::MAX,
            bytes_max: self.0.limits.protocol.batch_bytes_max,
            holder: Holder::BACK_END,
            retention: self.retention_of(now, &channel.name),
            wall_ms: now.wall_ms,
            answer: Answer::new(move |page: Result<Page, EngineError>| {
                if let (Ok(page), Some(then)) = (page, then) {
                    hub.apply_missed(&of, then, page);
                }
                if of.end_hint(then.map(|then| then.head)) {
                    hub.read_hinted(&of);
                }
            }),
        };
        self.0.engine.submit(Job::Read(read));
    }

    /// Applies the entries that the engine read behind the tail position of that time.
    fn apply_missed(&self, channel: &Arc<Channel>, then: TailPosition, page: Page) {
        self.apply_state(channel, &page.log, Some(then));
        let Page { log: LogState { epoch, base, base_at, .. }, at, entries } = page;
        // If the predecessor of the first entry is unknown, the next publication decides.
        let Some(mut before_at) = at.or((then.head == 0).then_some(0)) else { return };
        for entry in entries {
            let at = entry.at();
            // The tail may already have evicted entries that it received meanwhile.
            if channel
                .tail_position()
                .is_some_and(|now| now.generation == then.generation && now.head + 1 == entry.offset())
            {
                let epoch = Arc::clone(&epoch);
                self.apply(channel, AppendedEntry { epoch, entry, before_at, base, base_at });
            }
            before_at = at;
        }
    }

    /// Asks the engine for the actual state of a channel's log.
    pub(crate) fn restat(&self, channel: &Arc<Channel>) {
        let (hub, of) = (self.clone(), Arc::clone(channel));
        let then = channel.tail_position();
        let answer = Answer::new(move |stat: Result<StatResult, _>| {
            if let Ok(stat) = stat {
                hub.apply_state(&of, &stat.log, then);
            }
        });
        let now = self.last_now();
        let (retention, wall_ms) = (self.retention_of(now, &channel.name), now.wall_ms);
        let request = StatRequest {
            channel: channel.name.clone(),
            offset: None,
            user: None,
            holder: Holder::BACK_END,
            retention,
            wall_ms,
            answer,
        };
        self.0.engine.submit(Job::Stat(request));
    }

    pub(crate) fn apply_state(&self, channel: &Arc<Channel>, state: &LogState, then: Option<TailPosition>) {
        let fan_out = channel.apply_state(state, then, &self.0.limits.hub);
        self.pump_if(fan_out, channel);
    }

    /// Returns the page for a reader behind the tail; without one, the reader is notified later.
    pub(crate) fn page(
        &self,
        now: Now,
        channel: &Arc<Channel>,
        (generation, after): (u32, u64),
        mailbox: &Arc<PeerMailbox>,
        slot: u32,
    ) -> Option<(Packets, u64)> {
        self.observe_time(now);
        let key = || PageKey { channel: channel.name.clone(), number: channel.number, generation, after };
        let (mut lookup, mut next) = self.0.pages.take(key(), mailbox, slot);
        if let PageLookup::Wait(Some(first)) = &lookup {
            self.read_page(first.clone());
            // A fast engine has answered and notified by now. That notification stays for the next read.
            (lookup, next) = self.0.pages.take_asked(&key(), mailbox, slot);
        }
        next.into_iter().for_each(|next| self.read_page(next));
        match lookup {
            PageLookup::Page(packets, to) => Some((packets, to)),
            PageLookup::Wait(_) => None,
        }
    }

    /// A reader unsubscribes or moves: cancels the page that it waits for.
    pub(crate) fn cancel_page(&self, mailbox: &Arc<PeerMailbox>, slot: u32) {
        let next = self.0.pages.cancel_wait(mailbox, slot);
        next.into_iter().for_each(|next| self.read_page(next));
    }

    pub(crate) fn read_page(&self, key: PageKey) {
        let now = self.last_now();
        let channel = self.find_channel(&key.channel).filter(|channel| channel.number == key.number);
        let then = channel.as_ref().and_then(|channel| channel.tail_position());
        let hub = self.clone();
        let read = Read {
            channel: key.channel.clone(),
            span: Span::After(key.after),
            count_max: usize::MAX,
            bytes_max: self.0.limits.protocol.batch_bytes_max,
            // A page is everybody's who waits for it, so each channel has a turn of its own.
            holder: self.holder(&key.number.to_le_bytes()),
            retention: self.retention_of(now, &key.channel),
            wall_ms: now.wall_ms,
            answer: Answer::new(move |page: Result<Page, EngineError>| {
                let more = hub.apply_page(&key, channel.as_ref(), then, page);
                more.into_iter().for_each(|next| hub.read_page(next));
            }),
        };
        self.0.engine.submit(Job::Read(read));
    }

    fn apply_page(
        &self,
        key: &PageKey,
        channel: Option<&Arc<Channel>>,
        then: Option<TailPosition>,
        page: Result<Page, EngineError>,
    ) -> Option<PageKey> {
        let pages = &self.0.pages;
        let Some(channel) = channel else { return pages.cancel(key) };
        let Ok(page) = page else {
            return pages.put(self.last_now().mono_ms, key, None);
        };
        self.apply_state(channel, &page.log, then);
        let position = channel.tail_position().filter(|position| position.generation == key.generation);
        let (good, fan_out) =
            position.map_or((false, FanOut::Done), |_| channel.verify_page(key.after, &page));
        self.pump_if(fan_out, channel);
        let Some(position) = position.filter(|_| good) else {
            // The readers detect the cause when they read again.
            return pages.cancel(key);
        };
        // Unreported entries follow later: they may belong to another log than the next report.
        let entries = page.entries.iter().take_while(|entry| entry.offset() <= position.head);
        match join(entries, self.0.limits.protocol.batch_bytes_max) {
            (_, 0) => pages.cancel(key),
            (packets, taken) => {
                let page = (Packets::new(packets), key.after + taken);
                pages.put(self.last_now().mono_ms, key, Some(page))
            }
        }
    }
}
