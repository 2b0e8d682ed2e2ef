//! The metrics' margins, each with its reason, said once.

use pushbench_reports::record::{Better, MarginKind, Metric};

/// A metric of which less is better; `margin` as the functions below make it.
pub fn lower(name: &str, title: &str, unit: &str, margin: Margin) -> Metric {
    let Margin { size, kind, reason } = margin;
    Metric {
        name: name.to_owned(),
        title: title.to_owned(),
        unit: unit.to_owned(),
        better: Better::Lower,
        margin: size,
        margin_kind: kind,
        margin_reason: reason.to_owned(),
        primary: false,
        ms_per_unit: (unit == "ms").then_some(1.0),
        client_messages: 0,
    }
}

/// A metric of which more is better.
pub fn higher(name: &str, title: &str, unit: &str, margin: Margin) -> Metric {
    Metric {
        better: Better::Higher,
        ..lower(name, title, unit, margin)
    }
}

/// The experiment's one metric that counts for the verdict.
pub fn primary(metric: Metric) -> Metric {
    Metric {
        primary: true,
        ..metric
    }
}

/// A time from the schedule or the sending until our own client has read the last of so many messages,
/// one after another, so that what the client takes for them is within it.
pub fn read_by_client(messages: u32, metric: Metric) -> Metric {
    Metric {
        client_messages: messages,
        ..metric
    }
}

/// The largest difference that does not matter.
#[derive(Debug, Clone, Copy)]
pub struct Margin {
    size: f64,
    kind: MarginKind,
    reason: &'static str,
}

const fn absolute(size: f64, reason: &'static str) -> Margin {
    Margin {
        size,
        kind: MarginKind::Absolute,
        reason,
    }
}

const fn relative(size: f64, reason: &'static str) -> Margin {
    Margin {
        size,
        kind: MarginKind::Relative,
        reason,
    }
}

/// Of the time a token takes.
pub const TOKEN: Margin = absolute(
    1.0,
    "1 ms is about a fifteenth of the gap between two tokens: nobody sees it",
);
/// Of the time to the first token.
pub const FIRST_TOKEN: Margin = absolute(
    10.0,
    "models take 500 to 900 ms to their first token: 10 ms is below its spread",
);
/// Of CPU and rates.
pub const COST: Margin = relative(0.10, "10 % is less than one machine differs from the next");
/// Of memory.
pub const MEMORY: Margin = relative(
    0.05,
    "5 % does not change how many connections a machine is bought for",
);
/// Of the gap in a stream that a reconnect leaves.
pub const RECONNECT: Margin = absolute(
    50.0,
    "50 ms is a few tokens, and less than any retry interval in use",
);
/// Of the bytes that a start takes.
pub const REQUEST_BYTES: Margin = absolute(
    200.0,
    "200 bytes is less than the request headers of two browsers differ by",
);
/// Of counts that must agree exactly.
pub const NONE: Margin = absolute(0.0, "a count: any difference is one");

#[cfg(test)]
mod tests {
    use crate::experiment::{latency, memory, reconnect, screen, setup, throughput, wire};

    #[test]
    fn the_client_is_within_times_that_it_ends_and_in_no_other() {
        let throughput = throughput::Settings::default();
        let subscribers = throughput.subscribers.get();
        let all = [
            latency::Settings::default().describe(),
            throughput.describe(),
            memory::Settings::default().describe(),
            reconnect::Settings::default().describe(),
            wire::Settings::default().describe(),
            setup::Settings::default().describe(),
            screen::Settings::default().describe(),
        ];
        for metric in all.iter().flat_map(|experiment| &experiment.metrics) {
            let begins = |with: &str| metric.name.starts_with(with);
            let expected = match () {
                () if ["token_latency_", "service_", "ttft_"]
                    .into_iter()
                    .any(begins) =>
                {
                    1
                }
                () if metric.name.contains("_start_ms_") => 1,
                () if begins("fan_out_latency_") => subscribers,
                () => 0,
            };
            assert_eq!(metric.client_messages, expected, "{}", metric.name);
        }
    }
}
