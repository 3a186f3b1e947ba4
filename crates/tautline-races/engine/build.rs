//! Tells the hub's source which locks to use, see `sync.rs` there.

fn main() {
    println!("cargo::rustc-cfg=shuttle");
    println!("cargo::rerun-if-changed=build.rs");
}
