//! Lesson 12: a choice for a workload, defended with a run of one's own.

use anyhow::{Context, bail};
use clap::ValueEnum;
use pushbench_reports::{
    attendance::Attendance,
    effect::{Effect, Verdict},
    noise::NOISY,
    read::read,
    record::Plan,
    summary::Summary,
};

use super::{Call, Lesson, Mark};

pub const LESSON: Lesson = Lesson {
    number: 12,
    title: ("Capstone", "毕业设计"),
    question: (
        "Choose SSE or WebSocket for a workload, and defend the choice with a run of your own.\n\
         \x20 --workload  chat, notifications, dashboard, collaboration, games or agents\n\
         \x20 --run       the run's directory\n\
         \x20 choice      sse or websocket\n\
         The run asks the experiments that the workload needs, in at least 6 rounds, has an A/A control, and at most a quarter of \
         its trials are invalid. At least as many of its primary verdicts must speak for the choice as against it; \
         of each transport the first arm counts.\n\n\
         Answer:  pushbench lesson 12 --workload chat --run mine choice=…",
        "为一种工作负载在 SSE 与 WebSocket 之间做出选择，并用自己的一次运行来辩护。\n\
         \x20 --workload  chat、notifications、dashboard、collaboration、games 或 agents\n\
         \x20 --run       运行的目录\n\
         \x20 choice      sse 或 websocket\n\
         运行须包含该负载需要的实验，至少 6 轮，有 A/A 对照，无效试验不超过四分之一。支持此选择的主要结论不得少于反对的；每种传输方式只看第一个试验组。\n\n\
         回答：pushbench lesson 12 --workload chat --run mine choice=…",
    ),
};

/// What is chosen for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Workload {
    /// Answers of a model, token by token
    Chat,
    /// Many idle clients, a message now and then
    Notifications,
    /// The same figures to many, often
    Dashboard,
    /// Everybody sends to everybody
    Collaboration,
    /// Small messages both ways, as fast as can be
    Games,
    /// Turns with many tool calls
    Agents,
}

impl Workload {
    /// The experiments that answer for it.
    const fn needs(self) -> &'static [&'static str] {
        match self {
            Self::Chat => &["latency", "memory"],
            Self::Notifications => &["memory", "reconnect"],
            Self::Dashboard => &["throughput", "latency"],
            Self::Collaboration => &["latency", "throughput"],
            Self::Games | Self::Agents => &["latency"],
        }
    }
}

/// A verdict rests on as many rounds; the signed rank beside it has no say below.
const ROUNDS: u32 = 6;

/// Reads the run, and judges it.
pub fn grade(call: &Call) -> anyhow::Result<Vec<Mark>> {
    call.answers.only(&["choice"])?;
    let (Some(directory), Some(workload)) = (&call.run, call.workload) else {
        bail!("this lesson takes a run and what it is for: --run DIR --workload NAME choice=sse");
    };
    let choice = call
        .answers
        .text("choice")
        .context("choose: choice=sse or choice=websocket")?;
    let family = match choice {
        "sse" => Family::Sse,
        "websocket" => Family::WebSocket,
        other => bail!("`choice={other}` is no choice: sse or websocket"),
    };
    let run = read(directory)?;
    let summary = Summary::new(&run);
    let found = Found {
        plan: &summary.plan,
        effects: &summary.effects,
        controlled: !summary.noise_floor.is_empty(),
        attendance: &summary.attendance,
    };
    Ok(judge(&found, workload, family, call))
}

/// What of a run is judged.
struct Found<'a> {
    plan: &'a Plan,
    effects: &'a [Effect],
    controlled: bool,
    attendance: &'a [Attendance],
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Family {
    Sse,
    WebSocket,
}

impl Family {
    fn of(transport: &str) -> Option<Self> {
        match transport.split('-').next() {
            Some("sse" | "fetch") => Some(Self::Sse),
            Some("ws") => Some(Self::WebSocket),
            _ => None,
        }
    }
}

fn judge(found: &Found<'_>, workload: Workload, choice: Family, call: &Call) -> Vec<Mark> {
    let said = |english: &'static str, chinese: &'static str| call.language.of(english, chinese);
    let planned: usize = found.attendance.iter().map(|own| own.planned).sum();
    let invalid: usize = found.attendance.iter().map(|own| own.invalid).sum();
    let mut marks = vec![
        Mark {
            right: found.controlled,
            text: said("has an A/A control", "有 A/A 对照").to_owned(),
        },
        Mark {
            right: invalid as f64 <= NOISY * planned.max(1) as f64,
            text: format!(
                "{} {invalid}/{planned}",
                said("trials that were invalid:", "无效的试验：")
            ),
        },
    ];
    let (mut for_it, mut against) = (0, 0);
    for experiment in workload.needs() {
        let between = found.effects.iter().filter(|own| {
            own.primary && own.experiment == *experiment && families(found.plan, own).is_some()
        });
        // Behind the first stand knobs of the same transport.
        let mut seen = Vec::new();
        let between: Vec<_> = between
            .filter(|own| {
                let transport = transport(found.plan, &own.arm);
                let first = !seen.contains(&transport);
                seen.push(transport);
                first
            })
            .collect();
        let rounds = between.iter().map(|own| own.rounds).min().unwrap_or(0);
        marks.push(Mark {
            right: rounds >= ROUNDS,
            text: format!(
                "{experiment}: {rounds} {}",
                said(
                    "rounds of SSE against WebSocket, at least 6",
                    "轮 SSE 对 WebSocket，至少 6 轮"
                )
            ),
        });
        for effect in between {
            let favoured =
                families(found.plan, effect).and_then(|[baseline, arm]| match effect.verdict {
                    Verdict::Better => Some(arm),
                    Verdict::Worse => Some(baseline),
                    Verdict::Equivalent | Verdict::Inconclusive => None,
                });
            for_it += u32::from(favoured == Some(choice));
            against += u32::from(favoured.is_some_and(|family| family != choice));
            marks.push(Mark {
                right: true,
                text: format!("    {}", effect.sentence),
            });
        }
    }
    marks.push(Mark {
        right: against <= for_it,
        text: format!(
            "{} {for_it}, {} {against}",
            said("primary verdicts for the choice:", "支持此选择的主要结论："),
            said("against it:", "反对的：")
        ),
    });
    marks
}

/// Of baseline and arm, if they are of two families.
fn families(plan: &Plan, effect: &Effect) -> Option<[Family; 2]> {
    let family = |label: &str| Family::of(transport(plan, label)?);
    let both = [family(&effect.baseline)?, family(&effect.arm)?];
    (both[0] != both[1]).then_some(both)
}

fn transport<'a>(plan: &'a Plan, label: &str) -> Option<&'a str> {
    let arm = plan.arms.iter().find(|arm| arm.label == label)?;
    Some(&arm.transport)
}
