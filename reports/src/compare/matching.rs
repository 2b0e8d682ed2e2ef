//! What two plans have in common, and what has to be said about the rest.

use std::collections::BTreeSet;

use crate::record::{Arm, Experiment, Facts, Metric, Plan};

/// One metric of one arm that both runs measured.
pub(super) struct Match<'a> {
    pub(super) experiment: &'a str,
    pub(super) arm: &'a str,
    pub(super) metric: &'a Metric,
    /// How the two sides are called.
    pub(super) names: [String; 2],
}

/// Two plans, and what was said of them.
pub(super) struct Sides<'a> {
    a: &'a Plan,
    b: &'a Plan,
    /// Whether arms of another build are of the same one in both.
    same_other_build: bool,
    /// Of what is compared.
    pub(super) warnings: Vec<String>,
    /// Of what is not.
    pub(super) apart: Vec<String>,
    /// Whether a screen is among that.
    pub(super) screens: bool,
}

impl<'a> Sides<'a> {
    pub(super) fn new(a: &'a Plan, b: &'a Plan, same_other_build: bool) -> Self {
        Self {
            a,
            b,
            same_other_build,
            warnings: Vec::new(),
            apart: Vec::new(),
            screens: false,
        }
    }

    /// What both plans have, in A's order; what only one has, or has otherwise, is said.
    pub(super) fn matches(&mut self) -> Vec<Match<'a>> {
        let (a, b) = (self.a, self.b);
        let names = |plan: &'a Plan| plan.experiments.iter().map(|own| own.name.as_str());
        self.one_sided("experiment", "", names(a).collect(), names(b).collect());
        self.unlike_arms();
        let mut matches = Vec::new();
        for of_a in &a.experiments {
            let Some(of_b) = b.experiments.iter().find(|own| own.name == of_a.name) else {
                continue;
            };
            if of_a.screen.is_some() || of_b.screen.is_some() {
                self.screens = true;
                self.apart.push(format!(
                    "`{}` is a screen and is not compared: its arms are rows of a design; compare its effects in \
                     the two reports.",
                    of_a.name
                ));
                continue;
            }
            self.within(of_a, of_b, &mut matches);
        }
        matches
    }

    /// The arms and metrics of one experiment.
    fn within(&mut self, a: &'a Experiment, b: &'a Experiment, matches: &mut Vec<Match<'a>>) {
        let place = format!(" of `{}`", a.name);
        let arms = |own: &'a Experiment| own.arms.iter().map(String::as_str).collect();
        self.one_sided("arm", &place, arms(a), arms(b));
        let metrics = |own: &'a Experiment| own.metrics.iter().map(|m| m.name.as_str()).collect();
        self.one_sided("metric", &place, metrics(a), metrics(b));
        if a.settings != b.settings {
            let unlike = unlike(&a.settings, &b.settings);
            let name = &a.name;
            self.warnings
                .push(format!("`{name}` was not asked alike: {unlike}."));
        }
        let metrics = self.comparable(a, b);
        for arm in a.arms.iter().filter(|arm| b.arms.contains(arm)) {
            if let Some(why) = self.unlike_by_nature(arm) {
                self.apart
                    .push(format!("`{arm}`{place} is not compared: {why}."));
                continue;
            }
            matches.extend(metrics.iter().map(|metric| Match {
                experiment: &a.name,
                arm,
                metric,
                names: [format!("{arm} (A)"), format!("{arm} (B)")],
            }));
        }
    }

    /// Why an arm of this label in both is not compared.
    fn unlike_by_nature(&self, label: &str) -> Option<String> {
        let arms = [self.a, self.b].map(|plan| find(plan, label));
        let mut arms = arms.into_iter().flatten();
        arms.find_map(|arm| match (&arm.control_of, &arm.held_against) {
            (Some(original), _) => Some(format!("it is the control of `{original}`")),
            (_, Some(_)) if !self.same_other_build => Some(
                "it is served by another build, which is not known to be the same in both"
                    .to_owned(),
            ),
            _ => None,
        })
    }

    /// The metrics of both that mean the same; a margin that differs is A's.
    fn comparable(&mut self, a: &'a Experiment, b: &Experiment) -> Vec<&'a Metric> {
        let mut metrics = Vec::new();
        for of_a in &a.metrics {
            let Some(of_b) = b.metrics.iter().find(|own| own.name == of_a.name) else {
                continue;
            };
            let (name, experiment) = (&of_a.name, &a.name);
            if (&of_a.unit, of_a.better) != (&of_b.unit, of_b.better) {
                self.apart.push(format!(
                    "`{name}` of `{experiment}` is not compared: its unit or direction differs."
                ));
                continue;
            }
            if (of_a.margin, of_a.margin_kind) != (of_b.margin, of_b.margin_kind) {
                self.warnings.push(format!(
                    "`{name}` of `{experiment}` has another margin in B; it is judged by A's."
                ));
            }
            metrics.push(of_a);
        }
        metrics
    }

    /// Arms of one label that are not the same; those that only a screen has are not compared.
    fn unlike_arms(&mut self) {
        let contests = self.a.experiments.iter().filter(|own| own.screen.is_none());
        let contenders: BTreeSet<&String> = contests.flat_map(|own| &own.arms).collect();
        let arms = self.a.arms.iter();
        for of_a in arms.filter(|arm| contenders.contains(&arm.label)) {
            let Some(of_b) = find(self.b, &of_a.label) else {
                continue;
            };
            let facts = |arm: &Arm| {
                let transport = ("transport".to_owned(), arm.transport.clone());
                arm.factors.clone().into_iter().chain([transport]).collect()
            };
            let [in_a, in_b]: [Facts; 2] = [of_a, of_b].map(facts);
            if in_a != in_b {
                let (label, unlike) = (&of_a.label, unlike(&in_a, &in_b));
                self.warnings
                    .push(format!("`{label}` is not the same arm in both: {unlike}."));
            }
        }
    }

    /// Names on one side only, a sentence each.
    fn one_sided(&mut self, what: &str, place: &str, a: Vec<&str>, b: Vec<&str>) {
        for (own, other, side) in [(&a, &b, "A"), (&b, &a, "B")] {
            let only = own.iter().filter(|name| !other.contains(name));
            let said = only.map(|name| format!("The {what} `{name}`{place} is in {side} only."));
            self.apart.extend(said);
        }
    }
}

fn find<'a>(plan: &'a Plan, label: &str) -> Option<&'a Arm> {
    plan.arms.iter().find(|arm| arm.label == label)
}

/// The facts that differ, with both values.
fn unlike(a: &Facts, b: &Facts) -> String {
    let names: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
    let value = |facts: &Facts, name: &str| match facts.get(name) {
        Some(value) => value.clone(),
        None => "not set".to_owned(),
    };
    let differ: Vec<String> = names
        .into_iter()
        .filter(|name| a.get(*name) != b.get(*name))
        .map(|name| format!("{name} ({} in A, {} in B)", value(a, name), value(b, name)))
        .collect();
    differ.join(", ")
}
