//! Pages of history, for clients and for the back end alike.
//!
//! Start at [`prove`].

use tautline_engine::{Entry, Page, Span};
use tautline_protocol::{Cursor, ErrorCode, packet::ErrorBody};

use crate::tail::{ResumePoint, locate};

/// Returns the page if the log can prove the cursor's position.
pub(crate) fn prove(page: Page, cursor: Option<&Cursor>) -> Result<Page, ErrorBody> {
    let Some(cursor) = cursor else { return Ok(page) };
    let log = &page.log;
    match locate(&log.epoch, log.head, log.base, page.at, cursor) {
        ResumePoint::At(_) => Ok(page),
        ResumePoint::Gap { reason, .. } => {
            let words = format!("the log cannot prove what follows this cursor ({reason:?})");
            Err(ErrorBody::new(ErrorCode::Gap, words))
        }
    }
}

/// True if the log has more in the direction that was read.
pub(crate) fn has_more(page: &Page, span: Span) -> bool {
    match span {
        Span::After(after) => {
            let last = page.entries.last().map_or(after.max(page.log.base), Entry::offset);
            last < page.log.head
        }
        Span::Before(_) => page.entries.first().is_some_and(|first| first.offset() > page.log.base + 1),
    }
}
