//! Everything that fuzzing has found worth keeping, through the same functions, at every commit.

use std::{fs, path::PathBuf};

use tautline_fuzz::TARGETS;

fn fuzz_dir() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz"))
}

/// The inputs in a folder, in an order that does not depend on the machine.
fn inputs(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let dir = fuzz_dir().join("corpus").join(target);
    let entries = fs::read_dir(&dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    paths.into_iter().map(|path| (path.clone(), fs::read(path).expect("readable"))).collect()
}

#[test]
fn every_input_that_was_kept_still_passes() {
    for (name, target) in TARGETS {
        let inputs = inputs(name);
        assert!(inputs.len() > 1, "{name} has no corpus");
        for (path, input) in inputs {
            // Printed only where the target panics.
            println!("{name}: {}", path.display());
            target(&input);
        }
    }
}

#[test]
fn nothing_and_every_single_byte_passes() {
    for (_, target) in TARGETS {
        target(&[]);
        (0..=u8::MAX).for_each(|byte| target(&[byte]));
    }
}

/// Neighbours of what was kept: a bit turned, a byte left out, the end cut off. A fuzzer in small, without its compass.
#[test]
fn neighbours_of_what_was_kept_pass() {
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut below = |end: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        usize::try_from(random % end as u64).expect("below a usize")
    };
    for (name, target) in TARGETS {
        for (path, input) in inputs(name).into_iter().filter(|(_, input)| !input.is_empty()) {
            println!("near {name}: {}", path.display());
            let mut turned = input.clone();
            turned[below(input.len())] ^= 1 << below(8);
            target(&turned);
            let mut shorter = input.clone();
            shorter.remove(below(input.len()));
            target(&shorter);
            target(&input[..below(input.len())]);
        }
    }
}

#[test]
fn every_target_has_its_file_for_the_fuzzer() {
    let manifest = fs::read_to_string(fuzz_dir().join("Cargo.toml")).expect("the fuzzer's manifest");
    for (name, _) in TARGETS {
        assert!(manifest.contains(&format!("name = \"{name}\"")), "{name} is missing in fuzz/Cargo.toml");
        let path = fuzz_dir().join(format!("fuzz_targets/{name}.rs"));
        let text = fs::read_to_string(&path).expect("a target's file");
        assert!(text.contains(&format!("tautline_fuzz::{name}(data)")), "{}", path.display());
    }
}
