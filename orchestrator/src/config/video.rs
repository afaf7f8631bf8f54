//! `[web] videos`: what the demo's home page offers.

use schemars::JsonSchema;
use serde::Deserialize;

/// A video of the demo home page.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Video {
    /// Its id in `POST /videos/<id>/viewings`.
    pub id: String,
    /// Its title on the page.
    pub title: String,
}

/// What it offers where the file does not say.
pub(super) fn demo() -> Vec<Video> {
    [
        ("streams", "Streams: one story, told in order"),
        ("projections", "Projecting data into useful shapes"),
        ("idempotence", "Say it twice, count it once"),
    ]
    .map(|(id, title)| Video {
        id: id.to_owned(),
        title: title.to_owned(),
    })
    .to_vec()
}
