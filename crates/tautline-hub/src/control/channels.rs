//! What control tells of channels: history, standing and rosters.
//!
//! Start at [`Control::history`]. No rule applies: the back end may read everything.

use serde_json::value::RawValue;
use tautline_engine::{
    Answer, EngineError, Entry, Job, Page, Read, Span, StatRequest, StatResult, budget::Holder,
};
use tautline_protocol::{
    ChannelName, Cursor, Now,
    packet::{ErrorBody, server::Roster},
};

use super::{CONTROL_PAGE_MAX, Control};
use crate::{
    gather::gather,
    history::{has_more, prove},
};

/// The part of a log to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HistorySpan {
    /// The newest publications.
    Newest,
    /// The oldest publications that are kept.
    Oldest,
    /// The oldest publications behind a cursor.
    After(Cursor),
    /// The newest publications before a cursor.
    Before(Cursor),
}

/// A page of a log.
#[derive(Clone, Debug, serde::Serialize)]
pub struct HistoryPage {
    /// The log's epoch.
    pub epoch: String,
    /// The log's last offset; 0 before the first.
    pub head: u64,
    /// Each with `offset`, `at`, `data`, and `from` and `tags` where it has some; offsets rise by one.
    pub publications: Vec<Box<RawValue>>,
    /// There is more in the direction that was read: forwards from `Oldest` and `After`, else backwards.
    pub more: bool,
}

/// The standing of a channel.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct ChannelStanding {
    /// The channel.
    pub channel: String,
    /// The epoch of its log.
    pub epoch: String,
    /// The last offset; 0 before the first publication.
    pub head: u64,
    /// When that was published, in wall milliseconds.
    pub at: u64,
    /// The number of publications kept, the most recent ones.
    pub kept: u64,
    /// Subscribed connections on this node.
    pub subscribers: usize,
    /// Members of its roster on this node; `None` where it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub members: Option<usize>,
}

impl Control {
    /// Reads a page of a channel's log, of at most `count_max` publications and a client's page
    /// (`history_page_max`, `history_page_bytes_max`). `done` is called once, from any thread: with `gap` where the
    /// log cannot prove the cursor.
    pub fn history(
        &self,
        now: Now,
        channel: &ChannelName,
        span: HistorySpan,
        count_max: usize,
        done: impl FnOnce(Result<HistoryPage, ErrorBody>) + Send + 'static,
    ) {
        let (span, cursor) = match span {
            HistorySpan::Newest => (Span::Before(u64::MAX), None),
            HistorySpan::Oldest => (Span::After(0), None),
            HistorySpan::After(cursor) => (Span::After(cursor.offset), Some(cursor)),
            HistorySpan::Before(cursor) => (Span::Before(cursor.offset), Some(cursor)),
        };
        let limits = self.0.limits();
        let read = Read {
            channel: channel.clone(),
            span,
            count_max: count_max.clamp(1, limits.history_page_max),
            bytes_max: limits.history_page_bytes_max,
            holder: Holder::BACK_END,
            retention: self.0.retention_of(now, channel),
            wall_ms: now.wall_ms,
            answer: Answer::new(move |page: Result<Page, EngineError>| {
                let page = page.map_err(|error| error.to_body());
                let proven = page.and_then(|page| prove(page, cursor.as_ref()));
                done(proven.map(|page| HistoryPage::of(&page, span)));
            }),
        };
        self.0.engine().submit(Job::Read(read));
    }

    /// The standing of many channels, at most [`CONTROL_PAGE_MAX`]: each as the engine tells it, in use on this node
    /// or not. `done` is called once, from any thread, with an outcome for each.
    pub fn standing(
        &self,
        now: Now,
        channels: &[ChannelName],
        done: impl FnOnce(Vec<Result<ChannelStanding, ErrorBody>>) + Send + 'static,
    ) {
        let channels = &channels[..channels.len().min(CONTROL_PAGE_MAX)];
        for (channel, tell) in channels.iter().zip(gather(channels.len(), done)) {
            let (control, name) = (self.clone(), channel.clone());
            let request = StatRequest {
                channel: channel.clone(),
                offset: None,
                user: None,
                holder: Holder::BACK_END,
                retention: self.0.retention_of(now, channel),
                wall_ms: now.wall_ms,
                answer: Answer::new(move |stat: Result<StatResult, EngineError>| {
                    tell(stat.map(|stat| control.standing_of(&name, &stat)).map_err(|error| error.to_body()));
                }),
            };
            self.0.engine().submit(Job::Stat(request));
        }
    }

    fn standing_of(&self, channel: &ChannelName, stat: &StatResult) -> ChannelStanding {
        let open = self.0.find_channel(channel);
        ChannelStanding {
            channel: channel.to_string(),
            epoch: stat.log.epoch.to_string(),
            head: stat.log.head,
            at: stat.log.head_at,
            kept: stat.log.head - stat.log.base,
            subscribers: open.as_ref().map_or(0, |open| open.subscribers()),
            members: open.and_then(|open| open.members()),
        }
    }

    /// The rosters of many channels, at most [`CONTROL_PAGE_MAX`], each with at most so many members as a client is
    /// told of; `None` where a channel has none.
    #[must_use]
    pub fn rosters(&self, channels: &[ChannelName]) -> Vec<Option<Roster>> {
        let limits = self.0.limits();
        let bounds = (limits.presence_members_max, limits.history_page_bytes_max);
        let roster = |name: &ChannelName| self.0.find_channel(name)?.roster(bounds.0, bounds.1);
        channels.iter().take(CONTROL_PAGE_MAX).map(roster).collect()
    }
}

impl HistoryPage {
    fn of(page: &Page, span: Span) -> Self {
        let publication = |entry: &Entry| {
            let mut json = Vec::new();
            entry.write_history(&mut json);
            let text = String::from_utf8(json).expect("an entry is UTF-8");
            RawValue::from_string(text).expect("an entry is JSON")
        };
        Self {
            epoch: page.log.epoch.to_string(),
            head: page.log.head,
            publications: page.entries.iter().map(publication).collect(),
            more: has_more(page, span),
        }
    }
}
