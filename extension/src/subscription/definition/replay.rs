//! Which messages were handled before, so that handling them again is a replay.
//!
//! One position says it where all members of a group are alike. Where they are not, a member that
//! was behind comes to some messages for the first time while another repeats its own: then a
//! layer keeps how far each member was. Pure.

use crate::consumer_group::member_of;
use crate::error::Error;
use serde_json::{Value, json};

/// What was handled before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replayed {
    /// Everything up to here.
    pub mark: i64,
    layers: Vec<Layer>,
}

/// How far the members of a group have come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// Says nothing about messages up to here.
    pub after: i64,
    /// How far each member has come, in order.
    pub positions: Vec<i64>,
}

impl Layer {
    fn covers(&self, position: i64, stream_name: &[u8]) -> Result<bool, Error> {
        let size = i64::try_from(self.positions.len()).unwrap_or(1);
        let member = match size {
            1 => 0,
            size => usize::try_from(member_of(stream_name, size)?).unwrap_or(0),
        };
        Ok(position > self.after && position <= self.positions[member])
    }

    fn furthest(&self) -> i64 {
        self.positions.iter().copied().max().unwrap_or(0)
    }
}

impl Replayed {
    /// As it is stored: the mark, and the layers as JSON text.
    pub fn stored(mark: i64, layers: &str) -> Self {
        let layer = |value: &Value| {
            let positions = value.get("positions")?.as_array()?;
            let positions: Option<Vec<i64>> = positions.iter().map(Value::as_i64).collect();
            Some(Layer {
                after: value.get("after")?.as_i64()?,
                positions: positions.filter(|positions| !positions.is_empty())?,
            })
        };
        let layers: Vec<Value> = serde_json::from_str(layers).unwrap_or_default();
        Self {
            mark,
            layers: layers.iter().filter_map(layer).collect(),
        }
    }

    /// The layers as they are stored.
    pub fn layers_text(&self) -> String {
        let layer = |layer: &Layer| json!({"after": layer.after, "positions": layer.positions});
        Value::Array(self.layers.iter().map(layer).collect()).to_string()
    }

    /// Whether a message was handled before.
    pub fn covers(
        &self,
        position: i64,
        stream_name: impl FnOnce() -> Vec<u8>,
    ) -> Result<bool, Error> {
        if position <= self.mark {
            return Ok(true);
        }
        if !self.layers.iter().any(|layer| position <= layer.furthest()) {
            return Ok(false);
        }
        let stream_name = stream_name();
        for layer in &self.layers {
            if layer.covers(position, &stream_name)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Adds how far members have come by now.
    pub fn add(&mut self, layer: Layer) {
        if layer.after <= self.mark {
            let least = layer.positions.iter().copied().min().unwrap_or(0);
            self.mark = self.mark.max(least);
        }
        self.layers.push(layer);
        let mark = self.mark;
        self.layers.retain(|layer| layer.furthest() > mark);
    }

    /// Adds everything up to a position.
    pub fn add_all_until(&mut self, position: i64) {
        self.add(Layer {
            after: 0,
            positions: vec![position],
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn covers(replayed: &Replayed, position: i64, stream: &str) -> bool {
        replayed
            .covers(position, || stream.as_bytes().to_vec())
            .is_ok_and(|covers| covers)
    }

    #[test]
    fn members_that_are_alike_are_one_mark() {
        let mut replayed = Replayed::default();
        replayed.add(Layer {
            after: 0,
            positions: vec![7, 7],
        });
        assert_eq!(replayed.mark, 7);
        assert_eq!(replayed.layers_text(), "[]");
    }

    #[test]
    fn a_layer_says_nothing_about_what_lies_before_it() {
        let mut replayed = Replayed::default();
        replayed.add(Layer {
            after: 5,
            positions: vec![10],
        });
        assert_eq!(replayed.mark, 0);
        let covered: Vec<i64> = (1..13)
            .filter(|position| covers(&replayed, *position, "account-1"))
            .collect();
        assert_eq!(covered, [6, 7, 8, 9, 10]);
        // Once the mark has come to where it begins, the next one moves the mark on.
        replayed.add_all_until(5);
        assert_eq!(replayed.mark, 5);
        replayed.add(Layer {
            after: 5,
            positions: vec![10, 8],
        });
        assert_eq!(replayed.mark, 8);
    }

    proptest! {
        #[test]
        fn what_a_member_had_not_reached_is_no_replay(
            positions in prop::collection::vec(0..20_i64, 1..5),
            later in prop::collection::vec(0..20_i64, 1..5),
            position in 1..25_i64,
            id in "[a-z]{1,3}",
        ) {
            let stream = format!("account-{id}");
            let mut replayed = Replayed::default();
            let mut expected = false;
            for positions in [positions, later] {
                let size = i64::try_from(positions.len()).unwrap_or(1);
                let member = member_of(stream.as_bytes(), size).map_or(0, |member| member);
                expected |= position <= positions[usize::try_from(member).unwrap_or(0)];
                replayed.add(Layer { after: 0, positions });
            }
            let stored = Replayed::stored(replayed.mark, &replayed.layers_text());
            prop_assert_eq!(&stored, &replayed);
            prop_assert_eq!(covers(&stored, position, &stream), expected);
        }
    }
}
