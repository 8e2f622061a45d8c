//! How far long work is: a bar with rate and time left on a terminal, plain lines elsewhere.

use std::{
    io::IsTerminal,
    time::{Duration, Instant},
};

use indicatif::{HumanCount, HumanDuration, ProgressBar, ProgressStyle};

use crate::output;

/// Between two plain lines.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// The progress of one piece of work, told on standard error.
pub(crate) struct Progress {
    what: &'static str,
    shown: Shown,
    begun: Instant,
    done: u64,
    note: String,
}

enum Shown {
    Bar(ProgressBar),
    Lines { total: Option<u64>, next: Instant },
    Nothing,
}

impl Progress {
    /// Of `total` steps, if that is known. `what` names the steps: "events", "rows".
    pub(crate) fn new(what: &'static str, total: Option<u64>, quiet: bool) -> Self {
        let begun = Instant::now();
        let shown = if quiet {
            Shown::Nothing
        } else if std::io::stderr().is_terminal() {
            Shown::Bar(bar(what, total))
        } else {
            Shown::Lines { total, next: begun + LINE_EVERY }
        };
        Self { what, shown, begun, done: 0, note: String::new() }
    }

    /// What else there is to say of it, from now on.
    pub(crate) fn note(&mut self, note: String) {
        if let Shown::Bar(bar) = &self.shown {
            bar.set_message(note.clone());
        }
        self.note = note;
    }

    /// So many steps are done by now.
    pub(crate) fn at(&mut self, done: u64) {
        self.done = done;
        match &mut self.shown {
            Shown::Bar(bar) => bar.set_position(done),
            Shown::Lines { total, next } => {
                let now = Instant::now();
                if now >= *next {
                    *next = now + LINE_EVERY;
                    let of = total.map_or_else(String::new, |n| format!(" of {}", HumanCount(n)));
                    let comma = if self.note.is_empty() { "" } else { ", " };
                    let rate = rate(done, self.begun.elapsed());
                    let left = total.and_then(|n| n.checked_sub(done)?.checked_div(rate));
                    let left = left.map_or_else(String::new, |left| format!(", {left} s left"));
                    output::say(&format!(
                        "{}{of} {}, {} a second{left}{comma}{}",
                        HumanCount(done),
                        self.what,
                        HumanCount(rate),
                        self.note
                    ));
                }
            }
            Shown::Nothing => {}
        }
    }

    /// The work is over; says how much and how fast.
    pub(crate) fn finish(self) {
        let took = self.begun.elapsed();
        if let Shown::Bar(bar) = &self.shown {
            bar.finish_and_clear();
        }
        if !matches!(self.shown, Shown::Nothing) {
            output::say(&format!(
                "{} {} in {}, {} a second",
                HumanCount(self.done),
                self.what,
                if took < Duration::from_secs(10) {
                    format!("{:.1} s", took.as_secs_f64())
                } else {
                    HumanDuration(took).to_string()
                },
                HumanCount(rate(self.done, took))
            ));
        }
    }
}

fn bar(what: &'static str, total: Option<u64>) -> ProgressBar {
    let (bar, template) = match total {
        Some(total) => (
            ProgressBar::new(total),
            format!(
                "{{bar:40}} {{human_pos}}/{{human_len}} {what}, {{per_sec}}, {{eta}} left {{msg}}"
            ),
        ),
        None => {
            (ProgressBar::new_spinner(), format!("{{spinner}} {{human_pos}} {what}, {{per_sec}}"))
        }
    };
    match ProgressStyle::with_template(&template) {
        Ok(style) => bar.with_style(style),
        // A template that cannot be read would look plain, not fail.
        Err(_) => bar,
    }
}

fn rate(done: u64, elapsed: Duration) -> u64 {
    let millis = elapsed.as_millis().max(1);
    u64::try_from(u128::from(done) * 1_000 / millis).unwrap_or(u64::MAX)
}
