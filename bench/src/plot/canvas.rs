//! A white sheet to draw on, in pixels from its top left corner.
//!
//! Who draws keeps texts apart: no font is measured, so places go by the width of a usual letter.

use plotters::backend::SVGBackend;
use plotters::coord::Shift;
use plotters::drawing::{DrawingArea, DrawingAreaErrorKind, IntoDrawingArea};
use plotters::element::{Circle, PathElement, Polygon, Rectangle};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color, FontStyle, IntoFont, RGBColor, ShapeStyle};

/// Of every plot, in pixels.
pub(super) const WIDTH: i32 = 860;

/// What all is drawn on.
pub(super) const PAPER: RGBColor = RGBColor(255, 255, 255);
/// What most text is written in.
pub(super) const INK: RGBColor = RGBColor(31, 41, 55);
/// What text is written in that one reads second.
pub(super) const FAINT_INK: RGBColor = RGBColor(100, 110, 125);
/// What the lines of ticks are drawn in.
pub(super) const GRID: RGBColor = RGBColor(226, 230, 236);
/// Ours, and where it is better.
pub(super) const OURS: RGBColor = RGBColor(29, 94, 186);
/// Where ours is worse.
pub(super) const WORSE: RGBColor = RGBColor(194, 65, 12);
/// The others, one after another.
pub(super) const OTHERS: [RGBColor; 5] = [
    WORSE,
    RGBColor(15, 118, 110),
    RGBColor(124, 58, 237),
    RGBColor(161, 98, 7),
    RGBColor(190, 24, 93),
];

/// plotters writes fonts this much smaller than it is told.
const FONT_SCALE: f64 = 1.24;

/// A place, in pixels from the left and from the top.
pub(super) type Place = (i32, i32);

/// Where a text stands beside its place.
#[derive(Clone, Copy)]
pub(super) enum Anchor {
    Left,
    Middle,
    Right,
}

/// How a text is written.
#[derive(Clone, Copy)]
pub(super) struct Pen {
    pub(super) size: i32,
    pub(super) bold: bool,
    pub(super) colour: RGBColor,
    pub(super) anchor: Anchor,
}

/// Text of the usual size.
pub(super) const PEN: Pen = Pen {
    size: 13,
    bold: false,
    colour: INK,
    anchor: Anchor::Left,
};

/// The sheet.
pub(super) struct Canvas<'a> {
    area: DrawingArea<SVGBackend<'a>, Shift>,
}

/// Draws a picture of this height.
pub(super) fn draw(height: i32, picture: impl FnOnce(&Canvas<'_>)) -> String {
    let mut svg = String::new();
    let size = (WIDTH as u32, height as u32);
    let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
    let canvas = Canvas { area };
    canvas.sheet(height);
    picture(&canvas);
    done(canvas.area.present());
    drop(canvas);
    svg
}

/// The width of a text in pixels, or a little more.
pub(super) fn width_of(text: &str, pen: Pen) -> i32 {
    let letters = text.chars().count() as i32;
    (letters * pen.size * 58 + 99) / 100
}

/// The text, cut where it is wider than this.
pub(super) fn fitted(text: &str, pen: Pen, width: i32) -> String {
    if width_of(text, pen) <= width {
        return text.to_owned();
    }
    let letter = width_of("m", pen);
    let letters = (width / letter - 1).max(1) as usize;
    let cut: String = text.chars().take(letters).collect();
    format!("{}…", cut.trim_end())
}

impl Canvas<'_> {
    fn sheet(&self, height: i32) {
        let corners = [(0, 0), (WIDTH - 1, height - 1)];
        done(self.area.draw(&Rectangle::new(corners, PAPER.filled())));
        done(
            self.area
                .draw(&Rectangle::new(corners, GRID.stroke_width(1))),
        );
    }

    /// Writes a text whose middle line is at the height of its place.
    pub(super) fn text(&self, text: &str, place: Place, pen: Pen) {
        let style = if pen.bold {
            FontStyle::Bold
        } else {
            FontStyle::Normal
        };
        let size = f64::from(pen.size) * FONT_SCALE;
        let anchor = match pen.anchor {
            Anchor::Left => HPos::Left,
            Anchor::Middle => HPos::Center,
            Anchor::Right => HPos::Right,
        };
        let font = ("sans-serif", size, style).into_font().color(&pen.colour);
        let font = font.pos(Pos::new(anchor, VPos::Center));
        done(self.area.draw_text(text, &font, place));
    }

    /// Draws a line through places.
    pub(super) fn line(&self, places: Vec<Place>, colour: RGBColor, width: u32) {
        done(
            self.area
                .draw(&PathElement::new(places, colour.stroke_width(width))),
        );
    }

    /// Draws a dot.
    pub(super) fn dot(&self, centre: Place, colour: RGBColor) {
        let style: ShapeStyle = colour.filled();
        done(self.area.draw(&Circle::new(centre, 5, style)));
    }

    /// Draws a shape between corners.
    pub(super) fn shape(&self, corners: Vec<Place>, colour: RGBColor) {
        done(self.area.draw(&Polygon::new(corners, colour.filled())));
    }
}

/// Drawing into memory cannot fail.
fn done<E: std::error::Error + Send + Sync>(drawn: Result<(), DrawingAreaErrorKind<E>>) {
    drawn.unwrap();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_does_not_fit_is_cut() {
        assert_eq!(fitted("1 client", PEN, 100), "1 client");
        let cut = fitted(&"a long name ".repeat(9), PEN, 100);
        assert!(cut.ends_with('…') && width_of(&cut, PEN) <= 100, "{cut}");
    }
}
