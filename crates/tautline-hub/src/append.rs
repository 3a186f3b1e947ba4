//! Appends publications through the engine, and fans them out to subscribers.
//!
//! Start at [`Hub::publish`] and [`Hub::append`].

use std::sync::Arc;

use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};
use tautline_engine::{
    Answer, Append, Appended, Content, Doubt, EngineError, Entry, Job, Origin, Page, Position, Read, Span,
    budget::Holder,
};
use tautline_protocol::{
    ChannelName, Cursor, ErrorCode, Now, TraceId,
    packet::{ErrorBody, server::Published},
};

use crate::{
    Hub,
    channel::{AppendedEntry, Channel},
    events::DoubtfulAppend,
    gather::gather,
    sync::Ordering,
    tags::with_exclude,
    tail::AppendOutcome,
};

/// The most publications in one [`Hub::publish_many`].
pub const PUBLISH_MANY_MAX: usize = 1_000;

/// Optional parts of a back-end publication.
#[derive(Clone, Copy, Debug, Default)]
pub struct PublishOptions<'a> {
    /// Labels that travel with the publication; a JSON object.
    pub tags: Option<&'a RawValue>,
    /// A session whose clients do not hand the publication to their app.
    pub exclude: Option<&'a str>,
    /// Makes a repetition harmless: for as long as the log keeps the publication, the same key in the same
    /// channel is the same publication. With other data or tags it is refused with the code `conflict`.
    pub idempotency_key: Option<&'a str>,
    /// Publishes only behind this head of the log, and is refused with the code `conflict` otherwise; the error has
    /// the present head. A repeated key is answered as before, so give both to what may be repeated.
    pub expect: Option<&'a Cursor>,
    /// The trace of the request that publishes: events tell it.
    pub trace: Option<TraceId>,
}

/// One of several publications of the back end.
#[derive(Clone, Debug)]
pub struct Publish<'a> {
    /// The channel.
    pub channel: ChannelName,
    /// The payload.
    pub data: &'a RawValue,
    /// The rest.
    pub options: PublishOptions<'a>,
}

/// A publication to append.
pub(crate) struct NewPublication {
    pub(crate) channel: ChannelName,
    pub(crate) content: Content,
    pub(crate) origin: Option<Origin>,
    pub(crate) doubt: Option<Doubt>,
    /// The head of the log before it.
    pub(crate) expect: Option<Position>,
    /// The publisher's budget holder.
    pub(crate) holder: Holder,
    pub(crate) trace: Option<TraceId>,
}

impl Hub {
    /// The id of a new trace.
    #[must_use]
    pub fn new_trace(&self) -> TraceId {
        TraceId::new(self.random().id())
    }

    /// Publishes for the back end, without a permission check. A key that the log still knows appends nothing
    /// and returns the first result. `done` is called once, from any thread, when the engine has completed
    /// the append: with `overloaded` or `unavailable` where it currently has no room or no disk, with `conflict` and
    /// the present head where another one was expected.
    pub fn publish(
        &self,
        now: Now,
        channel: &ChannelName,
        data: &RawValue,
        options: PublishOptions<'_>,
        done: impl FnOnce(Result<Published, ErrorBody>) + Send + 'static,
    ) {
        let origin = options.idempotency_key.map(|key| Origin::Key(digest(key)));
        let tags = options.tags.map(RawValue::get);
        let tags = match options.exclude {
            Some(session) => Some(with_exclude(tags, session)),
            None => tags.map(Into::into),
        };
        let content = Content { data: data.get().into(), from: None, tags };
        let channel = channel.clone();
        let expect =
            options.expect.map(|head| Position { epoch: head.epoch.as_str().into(), offset: head.offset });
        let holder = Holder::BACK_END;
        let new =
            NewPublication { channel, content, origin, doubt: None, expect, holder, trace: options.trace };
        self.append(now, new, done);
    }

    /// Publishes several for the back end, each as [`Hub::publish`] does, in this order in each channel; one that is
    /// refused does not stop the others. `done` is called once, from any thread, when the engine has completed all,
    /// with an outcome for each. More than [`PUBLISH_MANY_MAX`] are refused, all of them, with `too_large`.
    pub fn publish_many(
        &self,
        now: Now,
        publications: &[Publish<'_>],
        done: impl FnOnce(Vec<Result<Published, ErrorBody>>) + Send + 'static,
    ) {
        if publications.len() > PUBLISH_MANY_MAX {
            let words = format!("at most {PUBLISH_MANY_MAX} publications at a time");
            let refused = ErrorBody::new(ErrorCode::TooLarge, words);
            return done(publications.iter().map(|_| Err(refused.clone())).collect());
        }
        for (publication, tell) in publications.iter().zip(gather(publications.len(), done)) {
            self.publish(now, &publication.channel, publication.data, publication.options, tell);
        }
    }

    /// Hands a publication to the engine. Once it is in the log, subscribers are notified and `done` is
    /// called.
    pub(crate) fn append(
        &self,
        now: Now,
        new: NewPublication,
        done: impl FnOnce(Result<Published, ErrorBody>) + Send + 'static,
    ) {
        self.observe_time(now);
        let NewPublication { channel, content, origin, doubt, expect, holder, trace } = new;
        let tags = content.tags.as_ref().map_or(0, |tags| tags.len());
        let bytes = content.data.len() + tags + channel.as_str().len();
        let Some(claim) = self.0.budgets.appends.claim(holder, bytes, holder.claimant()) else {
            let busy =
                ErrorBody::new(ErrorCode::Overloaded, "more is being published than this node can store");
            return done(Err(ErrorBody { retry_after_ms: Some(1000), ..busy }));
        };
        let retention = self.retention_of(now, &channel);
        let (hub, name) = (self.clone(), channel.clone());
        // A key identifies one publication: a repetition must have the same content.
        let claimed = matches!(origin, Some(Origin::Key(_))).then(|| content.clone());
        let origin = self.origin_of(&channel, origin);
        let doubtful = move |name: &ChannelName| {
            origin.map(|origin| DoubtfulAppend::new(name, origin, doubt).with_trace(trace))
        };
        let answer = Answer::new(move |outcome: Result<Appended, EngineError>| {
            match outcome {
                Err(error) => {
                    if matches!(error, EngineError::InDoubt(_)) {
                        hub.read_missed(&name);
                        // A repetition in doubt adds nothing: the first request is known, or another process had it.
                        if doubt.is_none() {
                            doubtful(&name).into_iter().for_each(|append| hub.note_doubt(append));
                        }
                    }
                    drop(claim);
                    done(Err(error.to_body()));
                }
                Ok(Appended::Repeated { epoch, offset, at }) => {
                    let published = Published { epoch: epoch.to_string(), offset, at };
                    let (asking, of) = (hub.clone(), name.clone());
                    let answer = move || {
                        drop(claim);
                        match claimed {
                            Some(content) => asking.check_same_content(&of, published, &content, done),
                            None => done(Ok(published)),
                        }
                    };
                    match doubtful(&name) {
                        Some(append) => hub.tell_repeated(append, offset, at, answer),
                        None => answer(),
                    }
                }
                Ok(Appended::New { epoch, entry, before_at, base, base_at }) => {
                    let published =
                        Published { epoch: epoch.to_string(), offset: entry.offset(), at: entry.at() };
                    origin.iter().for_each(|origin| hub.settle_doubt(&name, *origin));
                    hub.fan_out(&name, AppendedEntry { epoch, entry, before_at, base, base_at }, trace);
                    hub.when_told(&name, move || {
                        drop(claim);
                        done(Ok(published));
                    });
                }
            }
        });
        let wall_ms = now.wall_ms;
        self.0.engine.submit(Job::Append(Append {
            channel,
            content,
            origin,
            doubt,
            expect,
            holder,
            retention,
            wall_ms,
            answer,
        }));
    }

    /// Answers a repeated key: with the first publication if the content is the same.
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
            holder: Holder::BACK_END,
            retention: self.retention_of(now, channel),
            wall_ms: now.wall_ms,
            answer: Answer::new(move |page: Result<Page, EngineError>| {
                done(match page {
                    Err(error) => Err(error.to_body()),
                    Ok(page) => match page.entries.first() {
                        Some(found) if found.offset() == offset && !found.has_same_content(&claimed) => {
                            let words = "this idempotency key belongs to another publication";
                            Err(ErrorBody::new(ErrorCode::CONFLICT, words))
                        }
                        // The publication may be deleted by now; the content cannot be compared.
                        _ => Ok(published),
                    },
                });
            }),
        };
        self.0.engine.submit(Job::Read(read));
    }

    /// Applies a publication appended through this node, and notifies its subscribers.
    fn fan_out(&self, name: &ChannelName, appended: AppendedEntry, trace: Option<TraceId>) {
        self.0.publications.fetch_add(1, Ordering::Relaxed);
        if let Some(events) = self.events() {
            events.published(name, &appended.epoch, &appended.entry, trace);
        }
        // The channel is not in use here: later subscribers ask the engine.
        let Some(channel) = self.find_channel(name) else { return };
        self.apply(&channel, appended);
    }

    pub(crate) fn apply(&self, channel: &Arc<Channel>, appended: AppendedEntry) {
        let crowded = self.0.channels.tail_bytes() >= self.0.limits.engine.log_bytes_max;
        let entries_max = if crowded { 1 } else { usize::MAX };
        let (outcome, fan_out) = channel.apply(appended, &self.0.limits.hub, entries_max);
        self.pump_if(fan_out, channel);
        if outcome == AppendOutcome::Uncertain {
            self.restat(channel);
        }
    }

    /// Finds the channel of this name, or creates it. `None`: this holder has reached its limit.
    pub(crate) fn open_channel(&self, name: &ChannelName, holder: Holder) -> Option<Arc<Channel>> {
        self.0.channels.get_or_open(name, holder, || self.rules().of(name).presence)
    }
}

fn digest(key: &str) -> u128 {
    let digest = Sha256::digest(key);
    u128::from_le_bytes(digest[..16].try_into().expect("16 of 32 bytes"))
}
