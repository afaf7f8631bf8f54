//! A series: a line for each contestant through the medians along the axis, with their ranges.

use plotters::style::RGBColor;

use super::axis::{Axis, label_of};
use super::canvas::{
    Anchor, Canvas, FAINT_INK, GRID, INK, OTHERS, OURS, PEN, Pen, WIDTH, draw as draw_on, fitted,
    width_of,
};
use crate::figure::times;
use crate::series::{Line, Series};

const HEIGHT: i32 = 420;
const MARGIN: i32 = 24;
const TOP: i32 = 76;
const BOTTOM: i32 = HEIGHT - 64;
/// Above what stands below the axis.
const LOWEST_NAME: i32 = BOTTOM - 12;
/// Between the figures of the axis, the lines and the names.
const GUTTER: i32 = 16;
const WIDEST_NAME: i32 = 250;

/// The picture.
pub(super) fn draw(series: &Series, rounds: usize) -> String {
    let lines = series.lines();
    let layout = Layout::of(series, &lines);
    draw_on(HEIGHT, |canvas| {
        layout.title(canvas, series, rounds);
        layout.axes(canvas, series);
        // Ours last: it is seen where lines cross.
        for (number, line) in lines.iter().enumerate().rev() {
            layout.line(canvas, line, colour(number));
        }
        layout.names(canvas, &lines);
    })
}

struct Layout {
    sizes: Axis,
    values: Axis,
    left: i32,
    right: i32,
}

impl Layout {
    fn of(series: &Series, lines: &[Line<'_>]) -> Self {
        let sizes: Vec<f64> = series.points.iter().map(|point| point.x).collect();
        let points = || lines.iter().flat_map(|line| &line.points);
        let ends = points().flat_map(|(_, spread)| [spread.lowest, spread.highest]);
        let values = Axis::from_zero(&ends.collect::<Vec<f64>>());
        let ticks = values.ticks().into_iter();
        let ticks = ticks.map(|tick| width_of(&label_of(tick), PEN));
        let names = lines.iter().map(|line| {
            let name = width_of(&line.identity.name, PEN);
            name.max(width_of(&growth(line), PEN))
        });
        Self {
            sizes: Axis::around(&sizes),
            left: MARGIN + ticks.max().unwrap_or(0) + GUTTER,
            right: WIDTH - MARGIN - names.max().unwrap_or(0).min(WIDEST_NAME) - 2 * GUTTER,
            values,
        }
    }

    fn x(&self, size: f64) -> i32 {
        let width = f64::from(self.right - self.left);
        self.left + (self.sizes.place(size) * width).round() as i32
    }

    fn y(&self, value: f64) -> i32 {
        let height = f64::from(BOTTOM - TOP);
        BOTTOM - (self.values.place(value) * height).round() as i32
    }

    fn title(&self, canvas: &Canvas<'_>, series: &Series, rounds: usize) {
        let title = Pen {
            size: 17,
            bold: true,
            ..PEN
        };
        canvas.text(&series.label, (MARGIN, 28), title);
        let unit = &series.points[0].contest.unit.name;
        let what = match rounds {
            1 => unit.clone(),
            _ => format!("{unit}: median and range of {rounds} interleaved rounds"),
        };
        canvas.text(
            &what,
            (MARGIN, 52),
            Pen {
                colour: FAINT_INK,
                ..PEN
            },
        );
    }

    fn axes(&self, canvas: &Canvas<'_>, series: &Series) {
        let faint = Pen {
            size: 12,
            colour: FAINT_INK,
            ..PEN
        };
        for tick in self.values.ticks() {
            let y = self.y(tick);
            canvas.line(vec![(self.left, y), (self.right, y)], GRID, 1);
            let pen = Pen {
                anchor: Anchor::Right,
                ..faint
            };
            canvas.text(&label_of(tick), (self.left - 8, y), pen);
        }
        canvas.line(vec![(self.left, BOTTOM), (self.right, BOTTOM)], INK, 1);
        let middle = Pen {
            anchor: Anchor::Middle,
            ..faint
        };
        for point in &series.points {
            let x = self.x(point.x);
            canvas.line(vec![(x, BOTTOM), (x, BOTTOM + 4)], INK, 1);
            canvas.text(&point.contest.label, (x, BOTTOM + 16), middle);
        }
        let centre = i32::midpoint(self.left, self.right);
        canvas.text(&series.axis, (centre, BOTTOM + 40), middle);
    }

    fn line(&self, canvas: &Canvas<'_>, line: &Line<'_>, colour: RGBColor) {
        let medians = line.points.iter();
        let medians = medians.map(|(size, spread)| (self.x(*size), self.y(spread.median)));
        canvas.line(medians.collect(), colour, 2);
        for (size, spread) in &line.points {
            let x = self.x(*size);
            let (low, high) = (self.y(spread.lowest), self.y(spread.highest));
            canvas.line(vec![(x, low), (x, high)], colour, 2);
            for end in [low, high] {
                canvas.line(vec![(x - 4, end), (x + 4, end)], colour, 2);
            }
            canvas.dot((x, self.y(spread.median)), colour);
        }
    }

    /// Names stand at the ends of their lines, moved apart where these meet.
    fn names(&self, canvas: &Canvas<'_>, lines: &[Line<'_>]) {
        let x = self.right + GUTTER;
        let ends: Vec<i32> = lines
            .iter()
            .map(|line| {
                line.points
                    .last()
                    .map_or(BOTTOM, |(_, end)| self.y(end.median))
            })
            .collect();
        for (number, y) in apart(&ends).into_iter().enumerate() {
            let line = &lines[number];
            let pen = Pen {
                bold: number == 0,
                colour: colour(number),
                ..PEN
            };
            let name = fitted(&line.identity.name, pen, WIDTH - MARGIN - x);
            canvas.text(&name, (x, y - 8), pen);
            let faint = Pen {
                size: 12,
                colour: FAINT_INK,
                ..PEN
            };
            canvas.text(&growth(line), (x, y + 8), faint);
        }
    }
}

/// Places for the names of lines that end at these heights, as near as there is room.
fn apart(ends: &[i32]) -> Vec<i32> {
    const NAME: i32 = 38;
    let mut order: Vec<usize> = (0..ends.len()).collect();
    order.sort_by_key(|number| (ends[*number], *number));
    let mut places = ends.to_vec();
    let mut free = TOP;
    for number in &order {
        places[*number] = places[*number].max(free);
        free = places[*number] + NAME;
    }
    let mut last = LOWEST_NAME;
    for number in order.iter().rev() {
        places[*number] = places[*number].min(last);
        last = places[*number] - NAME;
    }
    places
}

/// From the smallest to the largest median.
fn growth(line: &Line<'_>) -> String {
    let growth = format!("varies {}", times(line.growth));
    match &line.verdict {
        None => growth,
        Some(verdict) if verdict.reached => format!("{growth}, goal reached"),
        Some(verdict) => format!("{growth}, goal {} missed", times(verdict.goal.wanted())),
    }
}

fn colour(number: usize) -> RGBColor {
    match number {
        0 => OURS,
        _ => OTHERS[(number - 1) % OTHERS.len()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_lines_that_end_together_stand_apart_and_inside() {
        assert_eq!(apart(&[100, 300]), [100, 300]);
        assert_eq!(apart(&[200, 201, 199]), [237, 275, 199]);
        let low = apart(&[BOTTOM, BOTTOM]);
        assert_eq!(low, [LOWEST_NAME - 38, LOWEST_NAME]);
    }
}
