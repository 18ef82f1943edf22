//! The goals of linklock, and whether it reaches them here.

/// One goal.
#[derive(Clone, Debug)]
pub(crate) struct Goal {
    what: String,
    figure: f64,
    bound: Bound,
    /// Beyond this something is broken, however busy the machine is.
    alarm: f64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

impl Goal {
    pub(crate) fn at_most(what: impl Into<String>, figure: f64, limit: f64, alarm: f64) -> Goal {
        Goal { what: what.into(), figure, bound: Bound::AtMost(limit), alarm }
    }

    pub(crate) fn at_least(what: impl Into<String>, figure: f64, limit: f64, alarm: f64) -> Goal {
        Goal { what: what.into(), figure, bound: Bound::AtLeast(limit), alarm }
    }

    fn is_met(&self) -> bool {
        match self.bound {
            Bound::AtMost(limit) => self.figure <= limit,
            Bound::AtLeast(limit) => self.figure >= limit,
        }
    }

    fn is_alarming(&self) -> bool {
        match self.bound {
            Bound::AtMost(_) => self.figure > self.alarm,
            Bound::AtLeast(_) => self.figure < self.alarm,
        }
    }
}

/// Prints them, and returns whether all are at least near.
pub(crate) fn judge(goals: &[Goal]) -> bool {
    println!("\n## Goals\n\n| | goal | here | |\n|---|---|---:|---|");
    for goal in goals {
        let bound = match goal.bound {
            Bound::AtMost(limit) => format!("at most {limit}"),
            Bound::AtLeast(limit) => format!("at least {limit}"),
        };
        let verdict = match (goal.is_met(), goal.is_alarming()) {
            (true, _) => "met",
            (false, false) => "missed",
            (false, true) => "FAR OFF",
        };
        println!("| {} | {bound} | {:.2} | {verdict} |", goal.what, goal.figure);
    }
    !goals.iter().any(Goal::is_alarming)
}
