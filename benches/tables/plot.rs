//! The README's plots.

use std::error::Error;
use std::path::Path;

use plotters::prelude::*;

const INK: RGBColor = RGBColor(40, 40, 40);
const OURS: RGBColor = RGBColor(200, 80, 30);
const OTHERS: RGBColor = RGBColor(110, 130, 155);

/// Bars from left to right on a logarithmic scale, each with its label.
pub(crate) fn bars(
    file: &Path,
    title: &str,
    bars: &[(&str, f64, String)],
) -> Result<(), Box<dyn Error>> {
    const LEFT: i32 = 240;
    const WIDTH: i32 = 430;
    const STEP: i32 = 24;
    let height = 60 + STEP * i32::try_from(bars.len())?;
    let root = SVGBackend::new(file, (760, u32::try_from(height)?)).into_drawing_area();
    root.fill(&WHITE)?;
    let font = |size| ("sans-serif", size).into_font().color(&INK);
    root.draw(&Text::new(title.to_owned(), (16, 14), font(18)))?;
    let least = bars.iter().map(|bar| bar.1).fold(f64::MAX, f64::min) / 2.0;
    let most = bars.iter().map(|bar| bar.1).fold(0.0, f64::max);
    for ((name, value, label), top) in bars.iter().zip((46..).step_by(usize::try_from(STEP)?)) {
        #[allow(clippy::cast_possible_truncation)]
        let length = (f64::from(WIDTH) * (value / least).ln() / (most / least).ln()) as i32;
        let color = if name.starts_with("linklock") { OURS } else { OTHERS };
        root.draw(&Text::new((*name).to_owned(), (16, top + 1), font(14)))?;
        let corners = [(LEFT, top), (LEFT + length, top + STEP - 8)];
        root.draw(&Rectangle::new(corners, color.filled()))?;
        root.draw(&Text::new(label.clone(), (LEFT + length + 6, top + 1), font(14)))?;
    }
    root.present()?;
    Ok(())
}

/// Lines, both scales logarithmic.
pub(crate) fn lines(
    file: &Path,
    title: &str,
    (x, y): (&str, &str),
    lines: &[(&str, Vec<(f64, f64)>)],
) -> Result<(), Box<dyn Error>> {
    let root = SVGBackend::new(file, (760, 420)).into_drawing_area();
    root.fill(&WHITE)?;
    let points = || lines.iter().flat_map(|line| &line.1);
    let range = |of: fn(&(f64, f64)) -> f64| {
        let (least, most) = points()
            .map(of)
            .fold((f64::MAX, 0.0_f64), |(least, most), value| (least.min(value), most.max(value)));
        (least / 1.3..most * 1.3).log_scale()
    };
    let mut chart = ChartBuilder::on(&root)
        .caption(title, ("sans-serif", 18).into_font().color(&INK))
        .margin(12)
        .x_label_area_size(42)
        .y_label_area_size(70)
        .build_cartesian_2d(range(|point| point.0), range(|point| point.1))?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .x_desc(x)
        .y_desc(y)
        .x_label_formatter(&|value| format!("{value:.0}"))
        .label_style(("sans-serif", 13).into_font().color(&INK))
        .draw()?;
    for (number, (name, line)) in lines.iter().enumerate() {
        let color = Palette99::pick(number).to_rgba();
        chart
            .draw_series(
                LineSeries::new(line.iter().copied(), color.stroke_width(2)).point_size(3),
            )?
            .label(*name)
            .legend(move |(x, y)| Rectangle::new([(x, y - 1), (x + 16, y + 1)], color.filled()));
    }
    chart
        .configure_series_labels()
        .background_style(WHITE.mix(0.8))
        .border_style(INK.mix(0.3))
        .label_font(("sans-serif", 13).into_font().color(&INK))
        .draw()?;
    root.present()?;
    Ok(())
}
