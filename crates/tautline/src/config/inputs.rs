//! Reads the files of the configuration, which are read again and again while the server runs.

use std::{
    collections::HashMap,
    fs::{self, File},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

/// What can be read only once is kept: pipes, as in `--config <(sops -d tautline.toml)`, and the terminal. All copies share it.
#[derive(Clone, Default)]
pub(super) struct Inputs(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    pipes: HashMap<PathBuf, String>,
    is_closed: bool,
}

impl Inputs {
    /// The text of a file.
    ///
    /// # Errors
    /// In words, where it cannot be read, is too large, or is no text.
    pub(super) fn read(&self, path: &Path, bytes_max: u64) -> Result<String, String> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(text) = state.pipes.get(path) {
            return Ok(text.clone());
        }
        let is_pipe =
            !state.is_closed && fs::metadata(path).is_ok_and(|found| !found.is_file() && !found.is_dir());
        let read = match is_pipe {
            true => File::open(path).and_then(|pipe| tautline_files::read_bounded(pipe, bytes_max)),
            false => tautline_files::read_regular(path, bytes_max),
        };
        let bytes = read.map_err(|error| format!("cannot be read: {error}"))?;
        let text = String::from_utf8(bytes).map_err(|_| "cannot be read: it is not UTF-8".to_owned())?;
        if is_pipe {
            state.pipes.insert(path.to_owned(), text.clone());
        }
        Ok(text)
    }

    /// From here on only regular files are read, and what was kept of others: a pipe could hold up each later reload.
    pub(super) fn close(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_closed = true;
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Write as _, process::Command, thread};

    use super::*;

    #[test]
    fn pipe_is_read_once_at_the_start_and_refused_later() {
        let folder = std::env::temp_dir().join(format!("tautline-inputs-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let (known, later, file) = (folder.join("known"), folder.join("later"), folder.join("file"));
        for pipe in [&known, &later] {
            assert!(Command::new("mkfifo").arg(pipe).status().unwrap().success());
        }
        fs::write(&file, "text").unwrap();
        let inputs = Inputs::default();
        let writer = thread::spawn({
            let known = known.clone();
            move || File::options().write(true).open(known).unwrap().write_all(b"once").unwrap()
        });
        assert_eq!(inputs.read(&known, 8), Ok("once".to_owned()));
        writer.join().unwrap();
        inputs.close();
        assert_eq!(inputs.clone().read(&known, 8), Ok("once".to_owned()), "nobody writes it again");
        assert_eq!(inputs.read(&later, 8), Err("cannot be read: it is not a regular file".to_owned()));
        assert_eq!(inputs.read(&file, 4), Ok("text".to_owned()));
        assert_eq!(inputs.read(&file, 3), Err("cannot be read: it has more than 3 bytes".to_owned()));
        fs::write(&file, b"\xff").unwrap();
        assert_eq!(inputs.read(&file, 8), Err("cannot be read: it is not UTF-8".to_owned()));
        fs::remove_dir_all(&folder).unwrap();
    }
}
