//! The two plots of an evaluation, as SVG.

use dataset::Day;
use domain::{Error, Result, evaluation::Metrics};
use jiff::civil::Date;
use plotters::{
    chart::{ChartBuilder, ChartContext},
    coord::{Shift, types::RangedCoordf64},
    prelude::*,
};

use crate::picture::Picture;

const SIZE: (u32, u32) = (760, 640);
const TALL: (u32, u32) = (760, 760);
const FONT: &str = "sans-serif";
const INK: RGBColor = RGBColor(0x33, 0x3f, 0x4d);
const PALE: RGBColor = RGBColor(0xd6, 0xe6, 0xf4);
const DEEP: RGBColor = RGBColor(0x08, 0x30, 0x6b);
const GRID: RGBColor = RGBColor(0xe9, 0xec, 0xef);
const LINE: RGBColor = RGBColor(0xd9, 0x48, 0x01);
/// Cells along an axis: 64 × 64 marks at most, however many rows.
const CELLS: usize = 64;
const BARS: usize = 61;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Plane = Cartesian2d<RangedCoordf64, RangedCoordf64>;

/// Actual against predicted sales: how many rows lie where, by depth of colour.
pub(crate) fn actual_against_predicted(
    job: &str,
    metrics: &Metrics,
    picture: &Picture,
) -> Result<String> {
    drawn(SIZE, |whole| {
        let area = titled(
            whole,
            "Actual against predicted sales",
            &subtitle(job, metrics, picture),
        )?;
        let all = picture
            .pairs
            .iter()
            .flat_map(|&(actual, predicted)| [actual, predicted]);
        let (low, high) = all.fold((0.0_f64, 1.0_f64), |(low, high), value| {
            (low.min(value), high.max(value))
        });
        let mut chart = charted(&area, (low, high), (low, high))?;
        mesh(&mut chart, "actual, units", "predicted, units", figure)?;
        let cell = (high - low) / CELLS as f64;
        let index = |value: f64| bin(value, low, cell, CELLS);
        let mut counts = vec![0_u32; CELLS * CELLS];
        for &(actual, predicted) in &picture.pairs {
            counts[index(predicted) * CELLS + index(actual)] += 1;
        }
        let most = counts.iter().copied().max().unwrap_or_default();
        let cells = counts.iter().enumerate().filter(|&(_, &count)| count > 0);
        chart
            .draw_series(cells.map(|(place, &count)| {
                let corner = |step: usize| low + step as f64 * cell;
                let (column, line) = (place % CELLS, place / CELLS);
                let corners = [
                    (corner(column), corner(line)),
                    (corner(column + 1), corner(line + 1)),
                ];
                Rectangle::new(corners, shade(count, most).filled())
            }))
            .map_err(unplottable)?;
        chart
            .draw_series(LineSeries::new(
                [(low, low), (high, high)],
                LINE.stroke_width(1),
            ))
            .map_err(unplottable)?;
        legend(whole, most)
    })
}

/// The errors: how they are distributed, and how they lie over time.
pub(crate) fn residuals(job: &str, metrics: &Metrics, picture: &Picture) -> Result<String> {
    drawn(TALL, |area| {
        let area = titled(
            area,
            "Errors (actual - predicted)",
            &subtitle(job, metrics, picture),
        )?;
        let (above, below) = area.split_vertically(area.dim_in_pixel().1 / 2);
        distribution(&above, picture)?;
        over_time(&below, picture)
    })
}

fn distribution(area: &Area<'_>, picture: &Picture) -> Result<()> {
    let mut errors: Vec<f64> = picture
        .pairs
        .iter()
        .map(|(actual, predicted)| actual - predicted)
        .collect();
    errors.sort_by(f64::total_cmp);
    // The middle 99 % set the scale, so that single outliers don't flatten it; the outer bars hold them.
    let tail = errors.len() / 200;
    let ends = errors
        .get(tail)
        .copied()
        .zip(errors.get(errors.len().saturating_sub(1 + tail)).copied());
    let reach = ends
        .map_or(1.0, |(low, high)| low.abs().max(high.abs()))
        .max(f64::MIN_POSITIVE);
    let bar = 2.0 * reach / BARS as f64;
    let mut shares = vec![0.0_f64; BARS];
    for &error in &errors {
        shares[bin(error, -reach, bar, BARS)] += 100.0 / errors.len() as f64;
    }
    let highest = shares.iter().copied().fold(1.0, f64::max);
    let mut chart = charted(area, (-reach, reach), (0.0, 1.05 * highest))?;
    mesh(
        &mut chart,
        "error, units (the outer bars hold all beyond)",
        "share of rows, %",
        figure,
    )?;
    chart
        .draw_series(shares.iter().enumerate().map(|(place, &share)| {
            let left = -reach + place as f64 * bar;
            Rectangle::new(
                [(left, 0.0), (left + 0.9 * bar, share)],
                shade(3, 6).filled(),
            )
        }))
        .map_err(unplottable)?;
    chart
        .draw_series(LineSeries::new(
            [(0.0, 0.0), (0.0, 1.05 * highest)],
            LINE.stroke_width(1),
        ))
        .map_err(unplottable)?;
    Ok(())
}

fn over_time(area: &Area<'_>, picture: &Picture) -> Result<()> {
    let days: Vec<(f64, f64, f64)> = picture
        .days
        .iter()
        .map(|(day, errors)| (f64::from(day.number()), errors.mean(), errors.deviation()))
        .collect();
    let reach = days
        .iter()
        .map(|(_, mean, deviation)| mean.abs() + deviation)
        .fold(1.0, f64::max)
        * 1.05;
    let first = days.first().map_or(0.0, |(day, ..)| *day);
    let last = days.last().map_or(1.0, |(day, ..)| *day).max(first + 1.0);
    let mut chart = charted(area, (first, last), (-reach, reach))?;
    mesh(
        &mut chart,
        "day",
        "mean error, band of one deviation, units",
        date,
    )?;
    let upper = days
        .iter()
        .map(|&(day, mean, deviation)| (day, mean + deviation));
    let lower = days
        .iter()
        .rev()
        .map(|&(day, mean, deviation)| (day, mean - deviation));
    let band = Polygon::new(upper.chain(lower).collect::<Vec<_>>(), PALE);
    chart
        .draw_series(std::iter::once(band))
        .map_err(unplottable)?;
    chart
        .draw_series(LineSeries::new(
            [(first, 0.0), (last, 0.0)],
            LINE.stroke_width(1),
        ))
        .map_err(unplottable)?;
    let means = days.iter().map(|&(day, mean, _)| (day, mean));
    chart
        .draw_series(LineSeries::new(means, DEEP.stroke_width(2)))
        .map_err(unplottable)?;
    Ok(())
}

fn drawn(size: (u32, u32), draw: impl FnOnce(&Area<'_>) -> Result<()>) -> Result<String> {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        area.fill(&WHITE).map_err(unplottable)?;
        draw(&area)?;
        area.present().map_err(unplottable)?;
    }
    Ok(svg)
}

fn titled<'a>(area: &Area<'a>, title: &str, subtitle: &str) -> Result<Area<'a>> {
    let style = |size: i32| (FONT, size).into_font().color(&INK);
    area.draw(&Text::new(title.to_owned(), (24, 18), style(22)))
        .map_err(unplottable)?;
    area.draw(&Text::new(subtitle.to_owned(), (24, 48), style(13)))
        .map_err(unplottable)?;
    Ok(area.margin(72, 12, 12, 24))
}

fn charted<'a, 'b>(
    area: &'b Area<'a>,
    x: (f64, f64),
    y: (f64, f64),
) -> Result<ChartContext<'b, SVGBackend<'a>, Plane>> {
    ChartBuilder::on(area)
        .margin_right(12)
        .margin_bottom(8)
        .x_label_area_size(44)
        .y_label_area_size(60)
        .build_cartesian_2d(x.0..x.1, y.0..y.1)
        .map_err(unplottable)
}

fn mesh(
    chart: &mut ChartContext<'_, SVGBackend<'_>, Plane>,
    x: &str,
    y: &str,
    x_figure: fn(f64) -> String,
) -> Result<()> {
    let style = |size: i32| (FONT, size).into_font().color(&INK);
    chart
        .configure_mesh()
        .x_labels(10)
        .y_labels(8)
        .max_light_lines(0)
        .bold_line_style(GRID)
        .axis_style(INK)
        .label_style(style(12))
        .axis_desc_style(style(13))
        .x_desc(x)
        .y_desc(y)
        .x_label_formatter(&|value| x_figure(*value))
        .y_label_formatter(&|value| figure(*value))
        .draw()
        .map_err(unplottable)
}

/// Which colour is how many rows, beside the title.
fn legend(area: &Area<'_>, most: u32) -> Result<()> {
    const STEPS: i32 = 24;
    const STEP: i32 = 5;
    let right = SIZE.0.cast_signed() - 72;
    let left = right - STEPS * STEP;
    for step in 0..STEPS {
        let from = left + step * STEP;
        let share = f64::from(step) / f64::from(STEPS - 1);
        let bar = Rectangle::new([(from, 24), (from + STEP, 34)], blend(share).filled());
        area.draw(&bar).map_err(unplottable)?;
    }
    let style = (FONT, 12).into_font().color(&INK);
    for (text, left) in [
        ("rows in a cell: 1".to_owned(), left - 100),
        (most.to_string(), right + 8),
    ] {
        let label = Text::new(text, (left, 23), style.clone());
        area.draw(&label).map_err(unplottable)?;
    }
    Ok(())
}

fn subtitle(job: &str, metrics: &Metrics, picture: &Picture) -> String {
    let accuracy = metrics.accuracy.map_or_else(
        || "undefined".to_owned(),
        |accuracy| format!("{accuracy:.4}"),
    );
    let sample = match picture.one_in {
        1 => String::new(),
        one_in => format!(", one in {one_in} shown"),
    };
    format!(
        "{job}: {} rows{sample}, accuracy {accuracy}, RMSE {:.2}, MAE {:.2}",
        metrics.rows, metrics.rmse, metrics.mae
    )
}

/// The bin of a value; what lies beyond the ends is in the outer bins.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the cast saturates, and so do the outer bins"
)]
fn bin(value: f64, low: f64, width: f64, bins: usize) -> usize {
    (((value - low) / width).floor() as usize).min(bins - 1)
}

/// Counts differ by orders of magnitude: the colour is by their logarithm.
fn shade(count: u32, most: u32) -> RGBColor {
    blend(f64::from(count).ln() / f64::from(most.max(2)).ln())
}

fn blend(share: f64) -> RGBColor {
    let share = share.clamp(0.0, 1.0);
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between two bytes"
    )]
    let mix = |from: u8, to: u8| (f64::from(from) * (1.0 - share) + f64::from(to) * share) as u8;
    RGBColor(
        mix(PALE.0, DEEP.0),
        mix(PALE.1, DEEP.1),
        mix(PALE.2, DEEP.2),
    )
}

fn figure(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn date(number: f64) -> String {
    #[allow(clippy::cast_possible_truncation, reason = "the number of a day")]
    let days = number.round() as i32;
    Day::from(Date::constant(1970, 1, 1)).plus(days).to_string()
}

fn unplottable(error: impl std::fmt::Display) -> Error {
    Error::permanent(format!("drawing a plot: {error}"))
}

#[cfg(test)]
mod tests {
    use dataset::Row;

    use super::*;

    fn picture(rows: u32) -> Picture {
        let mut picture = Picture::of(u64::from(rows));
        for number in 0..rows {
            let noise = f64::from(number.wrapping_mul(2_654_435_761) >> 22) / 100.0 - 5.0;
            let sales = f64::from(number % 97) + 10.0;
            let row = Row {
                day: Day::from(Date::constant(2024, 1, 1)).plus((number / 500).cast_signed()),
                store: 1,
                item: 1,
                sales,
            };
            picture.add(u64::from(number), &row, sales + noise);
        }
        picture
    }

    fn metrics() -> Metrics {
        Metrics {
            rows: 46_000,
            mse: 66.0,
            rmse: 8.12,
            mae: 6.2,
            r2_score: Some(0.92),
            accuracy: Some(0.8861),
        }
    }

    #[test]
    fn plots_stay_small_however_many_rows_there_are() {
        let picture = picture(46_000);
        for svg in [
            actual_against_predicted("job", &metrics(), &picture).unwrap(),
            residuals("job", &metrics(), &picture).unwrap(),
        ] {
            assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
            assert!(svg.contains("accuracy 0.8861"));
            assert!(
                svg.matches("<rect").count() <= 5000,
                "{}",
                svg.matches("<rect").count()
            );
            assert!(!svg.contains("NaN") && !svg.contains("inf"));
        }
    }

    #[test]
    fn nothing_to_show_is_still_a_plot() {
        for rows in [0, 1] {
            let picture = picture(rows);
            assert!(actual_against_predicted("job", &metrics(), &picture).is_ok());
            assert!(residuals("job", &metrics(), &picture).is_ok());
        }
    }
}
