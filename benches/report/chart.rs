//! Lines in a picture, as SVG, in colours that follow the reader's light or dark theme.

use std::fmt::Write as _;

const PANEL: [f64; 2] = [250.0, 190.0];
const LEFT: f64 = 48.0;
const TOP: f64 = 58.0;
const GAP: f64 = 64.0;
const BOTTOM: f64 = 42.0;

/// Panels beside each other that share their series.
pub(crate) struct Picture {
    pub(crate) title: &'static str,
    pub(crate) panels: Vec<Panel>,
}

/// One diagram.
pub(crate) struct Panel {
    pub(crate) title: String,
    pub(crate) x: Axis,
    pub(crate) y: Axis,
    pub(crate) lines: Vec<Line>,
}

/// What an axis shows. Its range is that of the values; a linear one starts with 0.
pub(crate) struct Axis {
    pub(crate) label: &'static str,
    pub(crate) logarithmic: bool,
    /// Where to write values.
    pub(crate) ticks: Vec<(f64, String)>,
}

/// A series.
pub(crate) struct Line {
    pub(crate) name: String,
    /// With marks, for few of them.
    pub(crate) points: Vec<(f64, f64)>,
}

/// From values to places.
struct Scale {
    from: f64,
    to: f64,
    logarithmic: bool,
}

const STYLE: &str = "<style>
  svg { --ink: #1f2328; --line: #59636e; --grid: #d1d9e0; --s0: #0969da; --s1: #bc4c00; --s2: #1a7f37; --s3: #8250df; --s4: #59636e; --s5: #bf3989; --s6: #9a6700; }
  @media (prefers-color-scheme: dark) {
    svg { --ink: #f0f6fc; --line: #9198a1; --grid: #3d444d; --s0: #4493f8; --s1: #f0883e; --s2: #3fb950; --s3: #ab7df8; --s4: #9198a1; --s5: #db61a2; --s6: #d29922; }
  }
  text { fill: var(--ink); font: 11px sans-serif; }
  .title { font-size: 14px; }
  .axis { stroke: var(--line); fill: none; }
  .grid { stroke: var(--grid); fill: none; }
  .line { fill: none; stroke-width: 2; }
</style>
";

// === impl Picture ===

impl Picture {
    /// The text of the file.
    pub(crate) fn to_svg(&self) -> String {
        let count = u32::try_from(self.panels.len()).map_or(0.0, f64::from);
        let (width, height) = (count * (PANEL[0] + GAP) + 8.0, TOP + PANEL[1] + BOTTOM);
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" role=\"img\">\n\
             <title>{0}</title>\n{STYLE}<text class=\"title\" x=\"8\" y=\"16\">{0}</text>\n",
            self.title
        );
        let names = self.names();
        let mut x = 8.0;
        for (place, name) in names.iter().enumerate() {
            let _ = writeln!(
                svg,
                "<path class=\"line\" {} d=\"M{x:.0} 30h18\"/><text x=\"{:.0}\" y=\"34\">{name}</text>",
                stroke(place),
                x + 22.0
            );
            x += 40.0 + 6.0 * f64::from(u32::try_from(name.len()).unwrap_or_default());
        }
        let mut left = LEFT;
        for panel in &self.panels {
            panel.draw(&mut svg, left, &names);
            left += PANEL[0] + GAP;
        }
        svg + "</svg>\n"
    }

    /// The series of all panels, whose order gives the colours.
    fn names(&self) -> Vec<&str> {
        let mut names = Vec::new();
        for line in self.panels.iter().flat_map(|it| &it.lines) {
            if !names.contains(&&*line.name) {
                names.push(&*line.name);
            }
        }
        names
    }
}

// === impl Panel ===

impl Panel {
    fn draw(&self, svg: &mut String, left: f64, names: &[&str]) {
        let [width, height] = PANEL;
        let points = || self.lines.iter().flat_map(|it| &it.points);
        let x = Scale::over(points().map(|it| it.0), &self.x);
        let y = Scale::over(points().map(|it| it.1), &self.y);
        let (across, up) =
            (|value| left + x.place(value) * width, |value| TOP + (1.0 - y.place(value)) * height);
        let _ = writeln!(svg, "<text x=\"{left:.0}\" y=\"{:.0}\">{}</text>", TOP - 8.0, self.title);
        for (value, text) in &self.y.ticks {
            let at = up(*value);
            let _ = writeln!(
                svg,
                "<path class=\"grid\" d=\"M{left:.0} {at:.1}h{width:.0}\"/><text x=\"{:.0}\" y=\"{:.1}\" text-anchor=\"end\">{text}</text>",
                left - 4.0,
                at + 4.0
            );
        }
        let floor = TOP + height;
        for (value, text) in &self.x.ticks {
            let at = across(*value);
            let _ = writeln!(
                svg,
                "<path class=\"axis\" d=\"M{at:.1} {floor:.0}v4\"/><text x=\"{at:.1}\" y=\"{:.0}\" text-anchor=\"middle\">{text}</text>",
                floor + 16.0
            );
        }
        let _ = writeln!(
            svg,
            "<path class=\"axis\" d=\"M{left:.0} {TOP:.0}v{height:.0}h{width:.0}\"/>\
             <text x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"middle\">{}</text>",
            left + width / 2.0,
            floor + 33.0,
            self.x.label
        );
        for line in &self.lines {
            let place = names.iter().position(|it| *it == line.name).unwrap_or_default();
            let places: Vec<(f64, f64)> =
                line.points.iter().map(|it| (across(it.0), up(it.1))).collect();
            let path: Vec<String> = places.iter().map(|(x, y)| format!("{x:.1} {y:.1}")).collect();
            let _ =
                writeln!(svg, "<path class=\"line\" {} d=\"M{}\"/>", stroke(place), path.join("L"));
            for (x, y) in places.iter().filter(|_| places.len() < 10) {
                let _ = writeln!(
                    svg,
                    "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" style=\"fill: {}\"/>",
                    color(place)
                );
            }
        }
    }
}

// === impl Scale ===

impl Scale {
    fn over(values: impl Iterator<Item = f64>, axis: &Axis) -> Self {
        let values = values.chain(axis.ticks.iter().map(|it| it.0));
        let (low, high) = values
            .fold((f64::INFINITY, 0.0), |(low, high): (f64, f64), it| (low.min(it), high.max(it)));
        let logarithmic = axis.logarithmic;
        Self { from: if logarithmic { low } else { 0.0 }, to: high, logarithmic }
    }

    /// From 0 to 1.
    fn place(&self, value: f64) -> f64 {
        let Self { from, to, logarithmic } = *self;
        if logarithmic {
            (value / from).ln() / (to / from).ln()
        } else {
            (value - from) / (to - from)
        }
    }
}

/// The dashes of series, one for each colour, for those who do not see these.
const DASHES: [&str; 7] = ["", "6 3", "2 2", "9 3 2 3", "4 4", "12 4", "1 3"];

fn color(place: usize) -> String {
    format!("var(--s{})", place % DASHES.len())
}

fn stroke(place: usize) -> String {
    let dashes = match DASHES[place % DASHES.len()] {
        "" => String::new(),
        dashes => format!("; stroke-dasharray: {dashes}"),
    };
    format!("style=\"stroke: {}{dashes}\"", color(place))
}
