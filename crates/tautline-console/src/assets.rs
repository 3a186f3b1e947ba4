//! The pages, which are in the binary.

use std::borrow::Cow;

use axum::{
    extract::Path,
    response::{IntoResponse as _, Response},
};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use rust_embed::RustEmbed;
use tautline_api::Problem;

/// What `npm run build` in `console/` has made; in a debug build it is read from there at each request.
#[derive(RustEmbed)]
#[folder = "../../console/dist"]
#[allow_missing = true]
struct Pages;

/// Where nobody has built the pages.
const UNBUILT: &str = "<!doctype html><meta charset=utf-8><title>Tautline console</title>\
     <p>This build has no pages of the console. Build them, and then the gateway again: \
     <code>npm ci &amp;&amp; npm run build</code> in <code>console/</code>.";

/// The first page.
pub(crate) async fn index() -> Response {
    let page = Pages::get("index.html").map_or(Cow::Borrowed(UNBUILT.as_bytes()), |file| file.data);
    respond("index.html", page, "no-cache")
}

/// A file whose name has a digest of its content: it never changes.
pub(crate) async fn asset(Path(name): Path<String>) -> Response {
    match Pages::get(&format!("assets/{name}")) {
        Some(file) => respond(&name, file.data, "public, max-age=31536000, immutable"),
        None => Problem::of_kind("not_found", "there is no such file").into_response(),
    }
}

fn respond(name: &str, bytes: Cow<'static, [u8]>, caching: &'static str) -> Response {
    let headers = [(CONTENT_TYPE, media_type(name)), (CACHE_CONTROL, caching)];
    (headers, bytes).into_response()
}

fn media_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map_or("", |(_, ending)| ending) {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "woff2" => "font/woff2",
        "json" => "application/json",
        _ => "application/octet-stream",
    }
}
