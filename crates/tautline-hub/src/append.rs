//! What passes between the hub and the engine: publications going in, news and pages coming back.

use std::sync::Arc;

use tautline_protocol::{
    ChannelName, ErrorCode, Now,
    packet::{ErrorBody, server::Published},
};

use crate::{
    Hub,
    budget::Holder,
    channel::{AppendedEntry, Channel, FanOut, TailPosition},
    engine::{
        Answer, Append, Appended, Content, Doubt, EngineError, Entry, InUse, Job, LogState, Origin, Page,
        PositionUpdate, Read, SavePositions, Span, StatRequest, StatResult,
    },
    mailbox::PeerMailbox,
    packets::Packets,
    pages::{PageKey, PageLookup},
    sync::Ordering,
    tail::{AppendOutcome, join},
};

/// What is to be appended.
pub(crate) struct NewPublication {
    pub(crate) channel: ChannelName,
    pub(crate) content: Content,
    pub(crate) origin: Option<Origin>,
    pub(crate) doubt: Option<Doubt>,
    /// Who publishes.
    pub(crate) holder: Holder,
}

impl Hub {
    /// Hands a publication to the engine. Who reads the channel is rung when it is in the log, and `done` told.
    pub(crate) fn append(
        &self,
        now: Now,
        new: NewPublication,
        done: impl FnOnce(Result<Published, ErrorBody>) + Send + 'static,
    ) {
        self.observe_time(now);
        let NewPublication { channel, content, origin, doubt, holder } = new;
        let tags = content.tags.as_ref().map_or(0, |tags| tags.len());
        let bytes = content.data.len() + tags + channel.as_str().len();
        let Some(claim) = self.0.budgets.appends.claim(holder, bytes, holder.claimant()) else {
            let busy = ErrorBody::new(ErrorCode::Overloaded, "more is published than this node can store");
            return done(Err(ErrorBody { retry_after_ms: Some(1000), ..busy }));
        };
        let retention = self.retention_of(now, &channel);
        let (hub, name) = (self.clone(), channel.clone());
        // A key stands for one publication: whoever comes with it again must say the same.
        let claimed = matches!(origin, Some(Origin::Key(_))).then(|| content.clone());
        let answer = Answer::new(move |outcome: Result<Appended, EngineError>| {
            drop(claim);
            let outcome = match outcome {
                Err(error) => {
                    if matches!(error, EngineError::InDoubt(_)) {
                        hub.read_missed(&name);
                    }
                    Err(error.to_body())
                }
                Ok(Appended::Repeated { epoch, offset, at }) => {
                    let published = Published { epoch: epoch.to_string(), offset, at };
                    match claimed {
                        Some(content) => return hub.check_same_content(&name, published, &content, done),
                        None => Ok(published),
                    }
                }
                Ok(Appended::New { epoch, entry, before_at, base, base_at }) => {
                    let published =
                        Published { epoch: epoch.to_string(), offset: entry.offset(), at: entry.at() };
                    hub.fan_out(&name, AppendedEntry { epoch, entry, before_at, base, base_at });
                    Ok(published)
                }
            };
            done(outcome);
        });
        let wall_ms = now.wall_ms;
        self.0.engine.submit(Job::Append(Append {
            channel,
            content,
            origin,
            doubt,
            holder,
            retention,
            wall_ms,
            answer,
        }));
    }

    /// Answers who came with a key again: with the publication of the first time, if it says the same.
    fn check_same_content(
        &self,
        channel: &ChannelName,
        published: Published,
        content: &Content,
        done: impl FnOnce(Result<Published, ErrorBody>) + Send + 'static,
    ) {
        let offset = published.offset;
        let claimed = Entry::encode(channel, offset, published.at, content);
        let now = self.last_now();
        let read = Read {
            channel: channel.clone(),
            span: Span::After(offset.saturating_sub(1)),
            count_max: 1,
            bytes_max: usize::MAX,
            retention: self.retention_of(now, channel),
            wall_ms: now.wall_ms,
            answer: Answer::new(move |page: Result<Page, EngineError>| {
                done(match page {
                    Err(error) => Err(error.to_body()),
                    Ok(page) => match page.entries.first() {
                        Some(found) if found.offset() == offset && !found.says_the_same(&claimed) => {
                            let words = "this idempotency key stands for another publication";
                            Err(ErrorBody::new(ErrorCode::Other("conflict".into()), words))
                        }
                        // It may have been dropped by now, and nobody can tell.
                        _ => Ok(published),
                    },
                });
            }),
        };
        self.0.engine.submit(Job::Read(read));
    }

    /// Tells those who read a channel of a publication that was appended through this node.
    fn fan_out(&self, name: &ChannelName, appended: AppendedEntry) {
        self.0.publications.fetch_add(1, Ordering::Relaxed);
        // Nobody uses it here: whoever comes will ask the engine.
        let Some(channel) = self.find_channel(name) else { return };
        self.apply(&channel, appended);
    }

    fn apply(&self, channel: &Arc<Channel>, appended: AppendedEntry) {
        let crowded = self.0.channels.tail_bytes() >= self.0.limits.log_bytes_max;
        let entries_max = if crowded { 1 } else { usize::MAX };
        let (outcome, fan_out) = channel.apply(appended, &self.0.limits, entries_max);
        self.pump_if(fan_out, channel);
        if outcome == AppendOutcome::Uncertain {
            self.restat(channel);
        }
    }

    /// A publication may be in the log without a word to us: those who read live are not to wait for the next one.
    fn read_missed(&self, name: &ChannelName) {
        let Some(channel) = self.find_channel(name) else { return };
        let Some(then) = channel.tail_position() else { return };
        let (hub, of, now) = (self.clone(), Arc::clone(&channel), self.last_now());
        let read = Read {
            channel: name.clone(),
            span: Span::After(then.head),
            count_max: usize::MAX,
            bytes_max: self.0.limits.batch_bytes_max,
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

    /// What the engine has read behind where memory stood then.
    fn apply_missed(&self, channel: &Arc<Channel>, then: TailPosition, page: Page) {
        self.apply_state(channel, &page.log, Some(then));
        let Page { log: LogState { epoch, base, base_at, .. }, at, entries } = page;
        // Where nobody knows what the first one follows, the next publication will tell.
        let Some(mut before_at) = at.or((then.head == 0).then_some(0)) else { return };
        for entry in entries {
            let at = entry.at();
            // What memory was told of meanwhile it may have let go of again.
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

    /// Asks the engine where a channel's log really stands.
    fn restat(&self, channel: &Arc<Channel>) {
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
            retention,
            wall_ms,
            answer,
        };
        self.0.engine.submit(Job::Stat(request));
    }

    pub(crate) fn apply_state(&self, channel: &Arc<Channel>, state: &LogState, then: Option<TailPosition>) {
        let fan_out = channel.apply_state(state, then, &self.0.limits);
        self.pump_if(fan_out, channel);
    }

    /// The channel of this name, made where it is not in use. `None`: this holder has as many as it may have.
    pub(crate) fn open_channel(&self, name: &ChannelName, holder: Holder) -> Option<Arc<Channel>> {
        self.0.channels.get_or_open(name, holder, || Arc::clone(self.rule(name)))
    }

    /// What a reader that is behind the tail gets; it is rung when there is something.
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
            // A quick engine has answered by now, and rung. That bell stays for what follows.
            (lookup, next) = self.0.pages.take_asked(&key(), mailbox, slot);
        }
        next.into_iter().for_each(|next| self.read_page(next));
        match lookup {
            PageLookup::Page(packets, to) => Some((packets, to)),
            PageLookup::Wait(_) => None,
        }
    }

    /// A reader unsubscribes or moves: it wants no page any more.
    pub(crate) fn cancel_page(&self, mailbox: &Arc<PeerMailbox>, slot: u32) {
        let next = self.0.pages.cancel_wait(mailbox, slot);
        next.into_iter().for_each(|next| self.read_page(next));
    }

    fn read_page(&self, key: PageKey) {
        let now = self.last_now();
        let channel = self.find_channel(&key.channel).filter(|channel| channel.number == key.number);
        let then = channel.as_ref().and_then(|channel| channel.tail_position());
        let hub = self.clone();
        let read = Read {
            channel: key.channel.clone(),
            span: Span::After(key.after),
            count_max: usize::MAX,
            bytes_max: self.0.limits.batch_bytes_max,
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
            // The readers find out by themselves what became of it.
            return pages.cancel(key);
        };
        // What memory was not told of yet has its turn later: it may be of another log than what is told first.
        let entries = page.entries.iter().take_while(|entry| entry.offset() <= position.head);
        match join(entries, self.0.limits.batch_bytes_max) {
            (_, 0) => pages.cancel(key),
            (packets, taken) => {
                let page = (Packets::new(packets), key.after + taken);
                pages.put(self.last_now().mono_ms, key, Some(page))
            }
        }
    }

    /// Housekeeping of channels, pages and positions.
    pub(crate) fn tidy_logs(&self, now: Now) {
        let wall_ms = now.wall_ms - self.clock_lead_ms(now);
        self.0.channels.tidy_some(wall_ms, |channel| self.save_delivered(channel));
        self.0.pages.tidy(now.mono_ms).into_iter().for_each(|next| self.read_page(next));
        self.save_positions();
        let hub = self.clone();
        let in_use = InUse::new(move |channel| hub.find_channel(channel).is_some());
        self.0.engine.submit(Job::Tidy { wall_ms, rules: Arc::clone(self.rules()), in_use });
    }

    /// Hands all positions that are on their way to the engine: how far users have taken channels, and how far inboxes were
    /// handed out. [`Hub::tick`] does so too, in its time; this is for the end.
    pub fn flush(&self) {
        self.0.channels.each_inbox(|channel| self.save_delivered(channel));
        self.save_positions();
    }

    fn save_delivered(&self, channel: &Channel) {
        if let Some(delivered) = channel.take_delivered() {
            let node = (None, Holder::BACK_END);
            self.0.acks.advance(&channel.name, node, &delivered.epoch, delivered.offset);
        }
    }

    fn save_positions(&self) {
        let updates: Vec<PositionUpdate> = self.0.acks.hand_over();
        if !updates.is_empty() {
            let (hub, given) = (self.clone(), updates.clone());
            let answer = Answer::new(move |outcome: Result<(), EngineError>| {
                hub.0.acks.settle(given, outcome.is_ok());
            });
            self.0.engine.submit(Job::SavePositions(SavePositions { updates: updates, answer }));
        }
    }
}
