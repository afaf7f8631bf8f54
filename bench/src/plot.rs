//! Plots of a work, as SVG: one of the ratios of its contests, and one for each series.
//!
//! The same record makes the same bytes, and no font of the machine is looked at. The background
//! is white, so that they read the same on a light page and on a dark one.

mod axis;
mod canvas;
mod lines;
mod ratios;

use crate::comparison::Comparison;
use crate::record::Record;

/// A picture.
pub struct Plot {
    /// What it is called in a folder of plots.
    pub file_name: String,
    /// What it shows.
    pub title: String,
    /// The picture itself.
    pub svg: String,
}

/// All plots of a work.
pub fn plots(record: &Record) -> Vec<Plot> {
    let ratios = ratios::draw(record).map(|svg| Plot {
        file_name: format!("{}.svg", record.work),
        title: record.title.clone(),
        svg,
    });
    let series = record
        .comparisons
        .iter()
        .filter_map(|comparison| match comparison {
            Comparison::Contest(_) => None,
            Comparison::Series(series) => Some(series),
        });
    let lines = series.enumerate().map(|(number, series)| Plot {
        file_name: format!("{}-{}.svg", record.work, number + 1),
        title: format!("{}, by {}", series.label, series.axis),
        svg: lines::draw(series, record.rounds),
    });
    ratios.into_iter().chain(lines).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn the_ratios_and_each_series_are_a_picture_with_everybody_s_name() {
        let plots = plots(&sample::record());
        let names: Vec<&str> = plots.iter().map(|plot| plot.file_name.as_str()).collect();
        assert_eq!(names, ["write.svg", "write-1.svg"]);
        for (plot, contestants) in plots
            .iter()
            .zip([&["ours", "Peer &amp; &lt;Co&gt;"], &["ours", "a full scan"]])
        {
            for name in contestants {
                assert!(plot.svg.contains(name), "{name} is not in {}", plot.svg);
            }
        }
    }

    #[test]
    fn a_picture_is_the_same_whenever_it_is_drawn() {
        let record = sample::record();
        for (one, other) in plots(&record).iter().zip(plots(&record)) {
            assert_eq!(one.svg, other.svg);
        }
    }

    /// Every tag is closed by its own name, every attribute quoted, every `&` an entity.
    #[test]
    fn a_picture_is_well_formed() {
        for plot in plots(&sample::record()) {
            let svg = &plot.svg;
            assert!(svg.starts_with("<svg ") && svg.trim_end().ends_with("</svg>"));
            let mut open: Vec<&str> = Vec::new();
            for tag in svg.split('<').skip(1) {
                let (tag, text) = tag.split_once('>').unwrap();
                assert!(tag.matches('"').count().is_multiple_of(2), "{tag}");
                assert!(!text.contains('>'), "{text}");
                for entity in text.split('&').skip(1) {
                    assert!(
                        ["amp;", "lt;", "gt;"]
                            .iter()
                            .any(|one| entity.starts_with(one))
                    );
                }
                let name = tag.split([' ', '\n']).next().unwrap();
                if let Some(name) = name.strip_prefix('/') {
                    assert_eq!(open.pop(), Some(name));
                } else if !tag.ends_with('/') {
                    open.push(name);
                }
            }
            assert!(open.is_empty(), "{open:?} stays open");
        }
    }
}
