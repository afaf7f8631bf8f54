//! A picture for each video, drawn from its id: the same id is the same picture,
//! on every machine.

use maud::{Markup, html};
use sha2::{Digest, Sha256};

/// The byte of the hash that chooses among the shapes; the demo's videos get one each.
const CHOICE: usize = 3;

/// How many shapes there are to choose from.
const SHAPES: u8 = 3;

/// An SVG of 16 to 9. It says nothing that its title does not.
pub fn draw(video_id: &str) -> Markup {
    let hash = Sha256::digest(video_id.as_bytes());
    let numbers: Vec<f64> = hash.iter().map(|byte| f64::from(*byte) / 255.0).collect();
    html! {
        svg.poster viewBox="0 0 320 180" preserveAspectRatio="xMidYMid slice" aria-hidden="true" {
            rect.ground width="320" height="180" {}
            @match hash[CHOICE] % SHAPES {
                0 => { (rings(&numbers)) }
                1 => { (waves(&numbers)) }
                _ => { (columns(&numbers)) }
            }
            g.play {
                circle cx="160" cy="90" r="30" {}
                path d="M152 75 L176 90 L152 105 Z" {}
            }
        }
    }
}

fn rings(numbers: &[f64]) -> Markup {
    let x = format!("{:.0}", 60.0 + 200.0 * numbers[0]);
    let y = format!("{:.0}", 40.0 + 100.0 * numbers[1]);
    html! {
        @for ring in 0..6_u8 {
            circle.line cx=(x) cy=(y) r=(18 + 34 * u16::from(ring)) {}
        }
    }
}

fn waves(numbers: &[f64]) -> Markup {
    html! {
        @for (wave, pair) in numbers.chunks_exact(2).take(7).enumerate() {
            @let y = 15.0 + 25.0 * wave as f64;
            @let (rise, fall) = (60.0 * pair[0], 60.0 * pair[1]);
            path.line d=(format!(
                "M-10 {y:.0} C80 {:.0} 120 {:.0} 165 {y:.0} S270 {:.0} 330 {y:.0}",
                y - rise, y - rise, y + fall,
            )) {}
        }
    }
}

fn columns(numbers: &[f64]) -> Markup {
    html! {
        @for (column, number) in numbers.iter().take(11).enumerate() {
            @let height = 20.0 + 140.0 * number;
            rect.block x=(10 + 28 * column) y=(format!("{:.0}", 180.0 - height))
                width="20" height=(format!("{height:.0}")) {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_always_the_same_picture_and_another_id_another() {
        let pictures: Vec<String> = ["", "streams", "projections", "idempotence"]
            .map(|id| draw(id).into_string())
            .to_vec();
        assert_eq!(pictures[1], draw("streams").into_string());
        for (index, picture) in pictures.iter().enumerate() {
            assert!(!pictures[..index].contains(picture));
        }
    }
}
