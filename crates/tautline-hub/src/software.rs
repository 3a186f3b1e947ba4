//! The software of clients, as their hellos name it: each name is kept once, however many sessions have it.
//!
//! Start at [`SoftwareNames::acquire`]. A session keeps two bytes.

use std::{collections::HashMap, sync::Arc};

use tautline_protocol::packet::client::ClientInfo;

use crate::sync::{Mutex, lock};

/// Different names on a node; sessions beyond it have none.
const NAMES_MAX: usize = 4_096;
/// Bytes of each part that are kept.
const PART_BYTES_MAX: usize = 64;

/// Names an entry; 0 is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SoftwareId(u16);

/// All kinds of software that sessions have at the moment.
#[derive(Default)]
pub(crate) struct SoftwareNames(Mutex<State>);

#[derive(Default)]
struct State {
    ids: HashMap<Arc<ClientInfo>, SoftwareId>,
    /// The entry of id 1 is the first one.
    entries: Vec<Option<Entry>>,
}

struct Entry {
    software: Arc<ClientInfo>,
    sessions: usize,
}

impl SoftwareNames {
    /// The id of what a hello says; release it later.
    pub(crate) fn acquire(&self, client: Option<&ClientInfo>) -> SoftwareId {
        let Some(client) = client else { return SoftwareId::default() };
        let software = ClientInfo { sdk: cut(&client.sdk), platform: cut(&client.platform), version: None };
        if software.sdk.is_empty() && software.platform.is_empty() {
            return SoftwareId::default();
        }
        lock(&self.0).acquire(software)
    }

    pub(crate) fn release(&self, id: SoftwareId) {
        if id != SoftwareId::default() {
            lock(&self.0).release(id);
        }
    }

    pub(crate) fn get(&self, id: SoftwareId) -> Option<Arc<ClientInfo>> {
        let index = usize::from(id.0).checked_sub(1)?;
        lock(&self.0).entries.get(index)?.as_ref().map(|entry| Arc::clone(&entry.software))
    }
}

impl State {
    fn acquire(&mut self, software: ClientInfo) -> SoftwareId {
        if let Some(&id) = self.ids.get(&software) {
            let entry = self.entries[usize::from(id.0) - 1].as_mut().expect("an id has an entry");
            entry.sessions += 1;
            return id;
        }
        let free = self.entries.iter().position(Option::is_none);
        let index = free.unwrap_or(self.entries.len());
        if index >= NAMES_MAX {
            return SoftwareId::default();
        }
        if free.is_none() {
            self.entries.push(None);
        }
        let id = SoftwareId(u16::try_from(index + 1).expect("below NAMES_MAX"));
        let software = Arc::new(software);
        self.ids.insert(Arc::clone(&software), id);
        self.entries[index] = Some(Entry { software, sessions: 1 });
        id
    }

    fn release(&mut self, id: SoftwareId) {
        let slot = &mut self.entries[usize::from(id.0) - 1];
        let Some(entry) = slot else { return };
        entry.sessions -= 1;
        if entry.sessions == 0 {
            self.ids.remove(&entry.software);
            *slot = None;
        }
    }
}

fn cut(text: &str) -> String {
    text[..text.floor_char_boundary(PART_BYTES_MAX)].into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(sdk: &str) -> Option<ClientInfo> {
        Some(ClientInfo { sdk: sdk.to_owned(), platform: "wechat".to_owned(), version: None })
    }

    #[test]
    fn equal_names_share_an_entry_until_last_release() {
        let names = SoftwareNames::default();
        let [one, two] = [(); 2].map(|()| names.acquire(client("js/1").as_ref()));
        let other = names.acquire(client("js/2").as_ref());
        assert!(one == two && one != other);
        names.release(one);
        assert_eq!(names.get(two).map(|software| software.sdk.to_string()).as_deref(), Some("js/1"));
        names.release(two);
        assert_eq!(names.get(one), None);
        assert_eq!(names.acquire(client("js/3").as_ref()), one, "its place is used again");
    }

    #[test]
    fn names_beyond_the_limit_are_not_kept() {
        let names = SoftwareNames::default();
        let full = (0..NAMES_MAX).map(|n| names.acquire(client(&n.to_string()).as_ref())).collect::<Vec<_>>();
        assert!(full.iter().all(|id| *id != SoftwareId::default()));
        assert_eq!(names.acquire(client("one more").as_ref()), SoftwareId::default());
        assert_eq!(names.acquire(client("7").as_ref()), full[7], "a known one still is");
        names.release(SoftwareId::default());
    }

    #[test]
    fn long_name_is_cut_and_empty_one_is_none() {
        let names = SoftwareNames::default();
        let id = names.acquire(client(&"é".repeat(100)).as_ref());
        assert_eq!(names.get(id).map(|software| software.sdk.len()), Some(PART_BYTES_MAX));
        assert_eq!(names.acquire(Some(&ClientInfo::default())), SoftwareId::default());
        assert_eq!(names.acquire(None), SoftwareId::default());
    }
}
