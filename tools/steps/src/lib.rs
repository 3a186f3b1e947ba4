//! Child processes as the steps of a longer task: shown while they run, logged, and given what they need.
//!
//! [`step`] runs one step, [`live`] shows it, [`prerequisites`] finds or installs what it needs, [`command`] is a child process as
//! data, [`npm`] brings Node packages, [`report`] is the table at the end.

use std::path::{Path, PathBuf};

pub mod command;
pub mod live;
pub mod npm;
pub mod prerequisites;
pub mod report;
pub mod step;

/// The checkout that this very library was built from.
#[must_use]
pub fn root() -> PathBuf {
    let tools = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    tools
        .and_then(Path::parent)
        .expect("this package lies in a folder of a folder of the workspace")
        .to_owned()
}
