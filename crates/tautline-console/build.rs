//! Compiles the pages in again when they were built again.

fn main() {
    println!("cargo:rerun-if-changed=../../console/dist");
}
