//! What the home page offers.

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

impl Video {
    /// What the demo offers.
    pub fn of_the_demo() -> Vec<Self> {
        [
            ("streams", "Streams: one story, told in order"),
            ("projections", "Projecting data into useful shapes"),
            ("idempotence", "Say it twice, count it once"),
        ]
        .map(|(id, title)| Self {
            id: id.to_owned(),
            title: title.to_owned(),
        })
        .to_vec()
    }
}
