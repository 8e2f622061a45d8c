//! How figures are printed.

use hdrhistogram::Histogram;
use serde_json::{Value, json};

use super::load::Measured;
use crate::{
    cli::Format,
    failure::Failure,
    output::{self, Table},
};

/// The quantiles that are told, with their names.
const QUANTILES: [(&str, f64); 4] = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999)];

/// The figures of one run, in the sequence in which they are told.
pub(crate) struct Report(Vec<(String, Value)>);

impl Report {
    pub(crate) fn new() -> Self {
        Self(Vec::new())
    }

    /// Adds one figure.
    pub(crate) fn add(&mut self, name: impl Into<String>, value: impl Into<Value>) {
        self.0.push((name.into(), value.into()));
    }

    /// Adds what a load run showed; `prefix` stands before each name.
    pub(crate) fn measured(&mut self, prefix: &str, measured: &Measured) {
        self.add(format!("{prefix}requests"), measured.latency.len());
        self.add(format!("{prefix}seconds"), rounded(measured.elapsed.as_secs_f64(), 3));
        self.add(format!("{prefix}requests_per_second"), rounded(measured.rate(), 1));
        self.quantiles(&format!("{prefix}latency_ms"), &measured.latency);
        self.add(format!("{prefix}answers"), json!(measured.kinds));
    }

    /// Adds the quantiles of a histogram of microseconds, in milliseconds.
    pub(crate) fn quantiles(&mut self, name: &str, histogram: &Histogram<u64>) {
        for (quantile, q) in QUANTILES {
            self.add(format!("{name}_{quantile}"), millis(histogram.value_at_quantile(q)));
        }
        self.add(format!("{name}_max"), millis(histogram.max()));
    }

    /// Prints everything.
    pub(crate) fn print(self, format: Format) -> Result<(), Failure> {
        match format {
            Format::Json => output::json(&Value::Object(self.0.into_iter().collect())),
            Format::Table => {
                let mut table = Table::new(&["figure", "value"]);
                for (name, value) in self.0 {
                    let Value::Object(members) = value else {
                        table.row(vec![name, text(&value)]);
                        continue;
                    };
                    for (member, value) in members {
                        table.row(vec![format!("{name} {member}"), text(&value)]);
                    }
                }
                table.print()
            }
        }
    }
}

/// A number with so many digits behind the point.
pub(crate) fn rounded(value: f64, digits: i32) -> f64 {
    let scale = 10f64.powi(digits);
    (value * scale).round() / scale
}

fn millis(micros: u64) -> Value {
    #[expect(clippy::cast_precision_loss, reason = "two minutes in microseconds are below 2^53")]
    let micros = micros as f64;
    rounded(micros / 1000.0, 3).into()
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
