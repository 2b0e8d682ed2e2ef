//! Lesson 5: a plan that shows what coalescing saves.

use std::{path::Path, process::Stdio};

use anyhow::{Context, bail};
use pushbench_reports::{
    effect::Effect,
    quantity::{number, ratios},
    read::read,
    record::Record,
    statistics::mean,
    summary::Summary,
};

use super::{Call, Lesson, Mark};
use crate::plan::{self, Plan};

pub const LESSON: Lesson = Lesson {
    number: 5,
    title: ("Throughput and CPU", "吞吐与 CPU"),
    question: (
        "Write a plan file in which one arm needs at most half the server CPU a message that the baseline needs, at the same \
         rate, only because it writes several messages at once. It may take three minutes at most. Both arms in the throughput \
         experiment, an A/A control, at least 4 rounds. `pushbench plan --example` prints a plan to start from, \
         `pushbench list factors` the knobs.\n\n\
         Answer:  pushbench lesson 5 mine.toml",
        "写一个计划文件：其中一组每条消息的服务器 CPU 至多是基线的一半，速率相同，只因为它一次写出几条消息。总时长至多三分钟。\
         两组都在 throughput 实验中，另有 A/A 对照，至少 4 轮。`pushbench plan --example` 打印一个起点，\
         `pushbench list factors` 列出旋钮。\n\n\
         回答：pushbench lesson 5 mine.toml",
    ),
};

/// What a plan of this lesson may take, seconds.
const LONGEST_S: f64 = 180.0;

/// The CPU that may be left, as a share; the interval's upper end must be below.
const HALF: f64 = 0.5;

/// How many times as many messages a segment must carry for that to be the cause.
const MORE_A_SEGMENT: f64 = 4.0;

/// How far the delivered rates may be apart, as a share.
const SAME_RATE: f64 = 0.1;

const EXPERIMENT: &str = "throughput";

/// Runs the plan as `pushbench run` does, and judges what it found.
pub async fn grade(call: &Call) -> anyhow::Result<Vec<Mark>> {
    let Some(file) = &call.file else {
        bail!("this lesson takes a plan file: pushbench lesson 5 mine.toml");
    };
    let name = file.display().to_string();
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {name}"))?;
    let plan = plan::parse(&text, &name, "mine")?;
    bounded(&plan)?;
    let (effects, records) = run(file, call).await?;
    Ok(judge(&effects, &records, call))
}

fn bounded(plan: &Plan) -> anyhow::Result<()> {
    let takes_s = plan.seconds();
    if takes_s > LONGEST_S {
        bail!(
            "the plan takes {takes_s:.0} s and may take {LONGEST_S:.0}: ask for fewer rounds or a shorter window"
        );
    }
    Ok(())
}

async fn run(file: &Path, call: &Call) -> anyhow::Result<(Vec<Effect>, Vec<Record>)> {
    let scratch = tempfile::tempdir().context("cannot create a temporary directory")?;
    let directory = scratch.path().join("run");
    let status = tokio::process::Command::new(&call.site.server_binary)
        .arg("run")
        .arg("--plan")
        .arg(file)
        .arg("--out")
        .arg(&directory)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .status()
        .await
        .context("cannot start the run")?;
    if !status.success() {
        bail!("the run ended with {status}; what it said is above");
    }
    let run = read(&directory)?;
    let effects = Summary::new(&run).effects;
    Ok((effects, run.records))
}

/// Of the arm that saves most.
fn judge(effects: &[Effect], records: &[Record], call: &Call) -> Vec<Mark> {
    let of = |metric: &'static str| {
        effects
            .iter()
            .filter(move |own| own.experiment == EXPERIMENT && own.metric == metric)
    };
    let high = |own: &Effect| own.ratio_high.unwrap_or(f64::INFINITY);
    let saved = of("server_cpu_us_per_message").min_by(|a, b| high(a).total_cmp(&high(b)));
    let Some(cpu) = saved else {
        let none = call.language.of(
            "no arm was compared in the throughput experiment",
            "throughput 实验里没有可比较的组",
        );
        return vec![Mark {
            right: false,
            text: none.to_owned(),
        }];
    };
    let segments = of("messages_a_segment").find(|own| own.arm == cpu.arm);
    let rate = |arm: &str| mean_rate(records, arm);
    let rates = rate(&cpu.arm).zip(rate(&cpu.baseline));
    let row = |effect: Option<&Effect>, right: &dyn Fn([f64; 3]) -> bool, words: (&str, &str)| {
        let found = effect.and_then(|own| Some([own.ratio?, own.ratio_low?, own.ratio_high?]));
        let shown = found.map_or("?".to_owned(), |found| {
            let [middle, low, high] = ratios(found);
            format!("{middle} ({low}–{high})")
        });
        Mark {
            right: found.is_some_and(right),
            text: format!(
                "{}: {} {shown}",
                cpu.arm,
                call.language.of(words.0, words.1)
            ),
        }
    };
    vec![
        row(
            Some(cpu),
            &|[.., high]| high < HALF,
            (
                "CPU a message against the baseline, to be below 0.5 with its whole interval:",
                "每条消息的 CPU 与基线之比，整个区间应低于 0.5：",
            ),
        ),
        row(
            segments,
            &|[middle, ..]| middle >= MORE_A_SEGMENT,
            (
                "messages a segment against the baseline, to be at least 4:",
                "每段的消息数与基线之比，至少为 4：",
            ),
        ),
        Mark {
            right: rates.is_some_and(|(arm, baseline)| (arm / baseline - 1.0).abs() <= SAME_RATE),
            text: format!(
                "{}: {} {}",
                cpu.arm,
                call.language.of(
                    "delivered rate against the baseline, to be the same within 10 %:",
                    "送达速率与基线之比，相差不超过 10 %："
                ),
                rates.map_or("?".to_owned(), |(arm, baseline)| number(arm / baseline))
            ),
        },
    ]
}

/// Deliveries a second over the arm's valid trials.
fn mean_rate(records: &[Record], arm: &str) -> Option<f64> {
    let valid = records
        .iter()
        .filter(|own| own.arm == arm && own.invalid.is_empty());
    let rates = valid.filter_map(|own| own.metrics.get("delivered_per_second").copied().flatten());
    mean(&rates.collect::<Vec<_>>())
}
