//! `history`: a page of a log, read for one client (protocol, section 4).
//!
//! Start at [`Peer::read_history`].

use std::sync::Arc;

use tautline_engine::{Answer, EngineError, Job, Page, Read, Span, budget::Holder};
use tautline_protocol::{ChannelName, Now, RequestId, json};

use super::{Peer, action::PageRequest};
use crate::history::{has_more, prove};

impl Peer {
    /// Answers a `history`.
    pub(super) fn read_history(
        &mut self,
        now: Now,
        id: RequestId,
        channel: ChannelName,
        PageRequest { span, cursor, limit }: PageRequest,
        holder: Holder,
    ) {
        let limits = self.hub.limits();
        let (hub, mailbox) = (self.hub.clone(), Arc::clone(&self.mailbox));
        let read = Read {
            span,
            count_max: limit.clamp(1, limits.history_page_max),
            bytes_max: limits.history_page_bytes_max,
            holder,
            retention: self.hub.retention_of(now, &channel),
            channel,
            wall_ms: now.wall_ms,
            answer: Answer::new(move |page: Result<Page, EngineError>| {
                let mut out = Vec::new();
                match page.map_err(|error| error.to_body()).and_then(|page| prove(page, cursor.as_ref())) {
                    Ok(page) => write_reply(&mut out, id, &page, span),
                    Err(error) => {
                        hub.0.counters.count_refused(Some(&error));
                        json::write_reply(&mut out, id, Err::<&(), _>(&error));
                    }
                }
                mailbox.complete(&out);
            }),
        };
        self.rare.get_or_insert_default().engine_jobs += 1;
        self.hub.engine().submit(Job::Read(read));
    }
}

fn write_reply(out: &mut Vec<u8>, id: RequestId, page: &Page, span: Span) {
    let more = has_more(page, span);
    out.extend_from_slice(b"{\"id\":");
    json::write_json(out, &id);
    out.extend_from_slice(b",\"ok\":{\"epoch\":");
    json::write_json(out, &&*page.log.epoch);
    out.extend_from_slice(b",\"publications\":[");
    for (index, entry) in page.entries.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        entry.write_history(out);
    }
    out.extend_from_slice(b"],\"more\":");
    json::write_json(out, &more);
    out.extend_from_slice(b"}}\n");
}
