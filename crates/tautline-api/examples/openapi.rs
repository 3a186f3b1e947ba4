//! Prints the OpenAPI document.
fn main() {
    println!("{:#}", tautline_api::openapi());
}
