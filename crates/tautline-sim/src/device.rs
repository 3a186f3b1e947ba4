//! What lives longer than an app, and what kills it: the device's storage, and the host that destroys apps at any moment.

use tautline_protocol::client::{Store, Stored};

/// When an app is destroyed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CrashPoint {
    /// Now, between two inputs.
    Now,
    /// When it writes next, and the write is lost with it.
    BeforeWrite,
    /// When it writes next, before it says or does what the write was for.
    AfterWrite,
    /// In the middle of what it says and does next: after so many things.
    Between(u32),
}

/// What the device still has when the app begins again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SurvivingState {
    /// What was written last: ticket, cursors, outbox.
    All,
    /// Nothing.
    Nothing,
    /// Half of the text: as good as nothing.
    Damaged,
}

/// A device with an app on it.
#[derive(Debug, Default)]
pub(crate) struct Device {
    /// None: the app has no storage.
    storage: Option<Option<String>>,
    doom: Option<CrashPoint>,
    dead: bool,
}

impl Device {
    pub(crate) const fn is_alive(&self) -> bool {
        !self.dead
    }

    /// True where the app will be destroyed at its next write or word.
    pub(crate) const fn is_doomed(&self) -> bool {
        self.doom.is_some()
    }

    pub(crate) const fn has_storage(&self) -> bool {
        self.storage.is_some()
    }

    pub(crate) fn give_storage(&mut self) {
        self.storage.get_or_insert_default();
    }

    pub(crate) fn destroy(&mut self, moment: CrashPoint) {
        self.doom = Some(moment);
        self.dead |= moment == CrashPoint::Now;
    }

    /// Writes what is to be written, before anything else is done. False: the app did not live to see more.
    pub(crate) fn keep(&mut self, store: Option<Store>) -> bool {
        let writes = store.is_some();
        let dies = match &mut self.doom {
            Some(CrashPoint::BeforeWrite | CrashPoint::AfterWrite) => writes,
            Some(CrashPoint::Between(0)) => true,
            Some(CrashPoint::Between(more)) => {
                *more -= 1;
                false
            }
            Some(CrashPoint::Now) | None => false,
        };
        if self.doom != Some(CrashPoint::BeforeWrite) || !dies {
            match (&mut self.storage, store) {
                (Some(storage), Some(Store::Write(text))) => *storage = Some(text),
                (Some(storage), Some(Store::Clear)) => *storage = None,
                _ => {}
            }
        }
        self.dead |= dies;
        !self.dead
    }

    /// What a new app finds.
    pub(crate) fn begin_again(&mut self, surviving: SurvivingState) -> Option<Stored> {
        (self.dead, self.doom) = (false, None);
        let storage = self.storage.as_mut()?;
        match surviving {
            SurvivingState::All => {}
            SurvivingState::Nothing => *storage = None,
            SurvivingState::Damaged => {
                if let Some(text) = storage {
                    let half = (0..=text.len() / 2).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
                    text.truncate(half);
                }
            }
        }
        let text = storage.as_ref()?;
        let stored = Stored::parse(text);
        assert!(
            surviving != SurvivingState::All || stored.is_ok(),
            "what was written cannot be read, {stored:?}: {text}"
        );
        if stored.is_err() {
            *storage = None;
        }
        stored.ok()
    }
}
