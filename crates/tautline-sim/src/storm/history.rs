//! Pages of the past: each is a part of a log as it was, without holes, and as much of it as was asked for.

use tautline_protocol::packet::{
    client::{After, History},
    server::HistoryPage,
};

use super::{World, checker::InjectedFaults};
use crate::{
    app::{Look, Outcome, payload_of},
    engine::{GroundTruth, Written, life_of},
};

/// Looks at each page that came, and counts them.
///
/// # Panics
/// When one is not true, or leaves out what it should have.
pub(super) fn check(world: &World, injected: &InjectedFaults) -> u64 {
    let mut pages = 0;
    world.ground_truth(|ground_truth| {
        for (number, phone) in world.phones.iter().enumerate() {
            for (request, look) in &phone.app.looks {
                let asked: History<'_> = serde_json::from_str(&look.body).expect("the app asks in JSON");
                let outcome = phone.app.asked.get(request).and_then(|asked| asked.outcome.as_ref());
                let named = asked.before.is_some() || matches!(asked.after, Some(After::Cursor(_)));
                let may_refuse = named && (injected.may_lose() || injected.short);
                assert!(
                    may_refuse || outcome != Some(&Outcome::Failed("gap".to_owned())),
                    "phone {number} was told of a gap where nothing can be missing: {look:?}"
                );
                for (came_ms, text) in &look.pages {
                    let page = serde_json::from_str(text).expect("a page");
                    let keeps_all = !injected.short;
                    let reader =
                        Reader { look, asked: &asked, came_ms: *came_ms, page, keeps_all, ground_truth };
                    let kept = reader.check_matches_log().and_then(|()| reader.check_complete());
                    assert!(kept.is_ok(), "phone {number}: {kept:?}, {look:?}");
                    pages += 1;
                }
            }
        }
    });
    pages
}

/// A page, and what it answers.
struct Reader<'a> {
    look: &'a Look,
    asked: &'a History<'a>,
    came_ms: u64,
    page: HistoryPage<'a>,
    /// Logs keep everything.
    keeps_all: bool,
    ground_truth: &'a GroundTruth,
}

/// What is wrong with a page.
type Wrong = String;

impl Reader<'_> {
    /// Everything on the page stood there, one behind the other.
    fn check_matches_log(&self) -> Result<(), Wrong> {
        let mut before: Option<(u64, u64)> = self.cursor_before();
        for entry in &self.page.publications {
            let offset = entry.offset;
            let mut ever = self.ever_at(offset);
            let payload = payload_of(entry.data);
            let written = ever
                .find(|it| it.payload == payload && it.at == entry.at)
                .ok_or_else(|| format!("{payload} never stood at {offset}"))?;
            if let Some((last, last_at)) = before {
                demand(offset == last + 1, || format!("{offset} comes behind {last}"))?;
                let follows = written.before_at.is_none_or(|at| at == last_at);
                demand(follows, || format!("{offset} does not follow this {last}"))?;
            }
            before = Some((offset, entry.at));
        }
        Ok(())
    }

    /// Nothing is left out at either end, and `more` says whether there is more.
    fn check_complete(&self) -> Result<(), Wrong> {
        let (page, limit) = (&self.page, self.asked.limit);
        let (first, last) = (page.publications.first(), page.publications.last());
        let (first, last) = (first.map(|it| it.offset), last.map(|it| it.offset));
        let len = page.publications.len();
        demand(len <= limit, || format!("{len} of at most {limit}"))?;
        demand(!page.more || len == limit, || format!("{len} of {limit}, and there is more"))?;
        match (&self.asked.after, &self.asked.before) {
            (Some(after), _) => {
                let start = match after {
                    After::Cursor(cursor) => Some(cursor.offset),
                    After::Word(_) => self.keeps_all.then_some(0),
                };
                let begins_there = first.is_none() || start.is_none_or(|start| first == Some(start + 1));
                demand(begins_there, || format!("begins with {first:?}"))?;
                let Some(end) = last.or(start) else { return Ok(()) };
                let told = self.told();
                demand(page.more || end >= told, || format!("ends with {end} of {told}, and that is all"))?;
                let goes_on = !page.more || self.ever_at(end + 1).next().is_some();
                demand(goes_on, || format!("ends with {end}, and nothing ever followed"))
            }
            (None, Some(before)) => {
                let ends_there = last.is_none_or(|last| last + 1 == before.offset);
                demand(ends_there, || format!("ends with {last:?}"))?;
                self.goes_back_to(first.unwrap_or(before.offset))
            }
            (None, None) => {
                let told = self.told();
                let newest = last.unwrap_or(0) >= told || (last.is_none() && !self.keeps_all);
                demand(newest, || format!("ends with {last:?} of {told}"))?;
                self.goes_back_to(first.unwrap_or(1))
            }
        }
    }

    /// A page that is read backwards begins with the first of all, or there is more.
    fn goes_back_to(&self, first: u64) -> Result<(), Wrong> {
        let more = self.page.more;
        demand(!more || first > 1, || format!("begins with {first}, and there is more"))?;
        demand(more || first == 1 || !self.keeps_all, || format!("begins with {first}, and that is all"))
    }

    /// What the page has to follow: the publication that the app named, where it said when that was appended.
    fn cursor_before(&self) -> Option<(u64, u64)> {
        let Some(After::Cursor(cursor)) = &self.asked.after else { return None };
        cursor.at.map(|at| (cursor.offset, at))
    }

    /// Everything that stood at this place before the page came.
    fn ever_at(&self, offset: u64) -> impl Iterator<Item = &Written> {
        let ever = self.ground_truth.ever_at(&self.asked.channel, &self.page.epoch, offset);
        ever.filter(|it| it.committed_ms <= self.came_ms)
    }

    /// How far the server had been told of the log before the page was asked for.
    fn told(&self) -> u64 {
        let epoch = &self.page.epoch;
        // A log that was forgotten, and began anew, is in the records of the one before it.
        if life_of(epoch) != epoch {
            return 0;
        }
        self.ground_truth.told_before(&self.asked.channel, epoch, self.look.asked_ms)
    }
}

fn demand(holds: bool, wrong: impl FnOnce() -> Wrong) -> Result<(), Wrong> {
    if holds { Ok(()) } else { Err(wrong()) }
}
