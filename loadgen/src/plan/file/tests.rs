//! Plans that are read, and plans that are refused with the line at fault.

use pushbench_server::contract::factors::{FACTORS, Factor};

use super::*;
use crate::plan::{EXAMPLE, quick};

fn refused(text: &str) -> Fault {
    parse(text, "my.toml", "my").unwrap_err()
}

#[test]
fn the_example_is_the_quick_plan_with_every_key() {
    let example = parse(EXAMPLE, "example.toml", "-").unwrap();
    let quick = quick();
    assert_eq!(example.name, "example");
    assert_eq!(example.arms, quick.arms);
    let mut of_quick = quick.experiments.clone();
    // What is in no built-in plan file has its defaults.
    for experiment in [
        Experiment::Wire(Default::default()),
        Experiment::Setup(Default::default()),
    ] {
        of_quick.push(Entry {
            experiment,
            ..of_quick[0].clone()
        });
    }
    assert_eq!(example.experiments.len(), of_quick.len());
    for (example, quick) in example.experiments.iter().zip(&of_quick) {
        assert_eq!(example.experiment, quick.experiment);
        assert_eq!(example.arms, quick.arms);
        let metrics = quick.experiment.describe().metrics;
        for (name, margin) in &example.margins {
            let own = metrics.iter().find(|metric| metric.name == *name);
            assert_eq!(own.map(|metric| metric.margin), Some(*margin), "{name}");
        }
    }
    for entry in &of_quick {
        for key in entry.experiment.describe().settings.keys() {
            assert!(EXAMPLE.contains(&format!("\n{key} = ")), "{key} is missing");
        }
    }
    for Factor { name, .. } in FACTORS {
        // One that is left to somebody else has no level to stand there.
        let named = ["\n", "\n# ", "`"].map(|start| EXAMPLE.contains(&format!("{start}{name} = ")));
        assert!(named.contains(&true), "{name} is missing");
    }
}

#[test]
fn what_is_left_out_has_its_default() {
    let text = "[[arm]]\ntransport = \"ws-h1\"\n[[arm]]\ntransport = \"ws-h1\"\nlabel = \"again\"\n\
                control_of = \"ws-h1\"\n[memory]\n";
    let plan = parse(text, "my.toml", "my").unwrap();
    assert_eq!(
        (plan.name.as_str(), plan.seed, plan.baseline.as_str()),
        ("my", SEED, "ws-h1")
    );
    assert_eq!(
        plan.experiments,
        [Entry {
            experiment: Experiment::Memory(Default::default()),
            arms: vec!["ws-h1".into(), "again".into()],
            margins: Default::default(),
            design: None,
        }]
    );
}

/// The example with one line replaced; the fault must be on that line.
#[test]
fn faults_name_the_line_and_the_remedy() {
    let cases = [
        (
            "seed = 1 ",
            "sead = 1",
            "unknown key `sead`, expected one of name, seed",
        ),
        ("seed = 1 ", "seed = \"x\"", "expected a whole number"),
        (
            "margins = { token_latency_ms_p50 = 1.0 }",
            "margins = { token_latency = 1.0 }",
            "use one of token_latency_ms_p50",
        ),
        (
            "margins = { token_latency_ms_p50 = 1.0 }",
            "margins = { token_latency_ms_p50 = -1.0 }",
            "use 0 or more",
        ),
        ("seed = 1 ", "seed = ", "; `pushbench plan --example`"),
        (
            "baseline = \"sse-h1\"",
            "baseline = \"sse\"",
            "use one of sse-h1, ws-h1, sse-h1 (A/A)",
        ),
        (
            "transport = \"ws-h1\"",
            "transport = \"ws\"",
            "use one of sse-h1, sse-h2",
        ),
        (
            "label = \"sse-h1 (A/A)\"",
            "label = \"ws-h1\"",
            "`label` of its own",
        ),
        (
            "control_of = \"sse-h1\"",
            "control_of = \"sse\"",
            "use one of sse-h1",
        ),
        (
            "control_of = \"sse-h1\"",
            "control_of = \"sse-h1 (A/A)\"",
            "name another",
        ),
        (
            "control_of = \"sse-h1\"",
            "control_of = \"ws-h1\"",
            "the same transport",
        ),
        ("nodelay = true", "nodelay = 1", "expected a boolean"),
        (
            "nodelay = true",
            "nodeley = true",
            "unknown key `nodeley`, expected one of `tls`",
        ),
        (
            "envelope = \"minimal\"",
            "envelope = \"big\"",
            "expected one of `minimal`, `openai`, `raw`",
        ),
        (
            "ws_read_buffer_bytes = 4096",
            "ws_read_buffer_bytes = 0",
            "expected a whole number from 1 up",
        ),
        (
            "turns_per_second = 90.0",
            "turns_per_second = 0",
            "use one above 0",
        ),
        ("window_s = 2.5", "window_s = \"long\"", "expected a number"),
        (
            "window_s = 2.5",
            "windows_s = 2.5",
            "unknown key `windows_s`, expected one of `rounds`",
        ),
        (
            "warm_connections = 250",
            "warm_connections = -1",
            "expected a whole number",
        ),
        (
            "connections = [200, 400, 600, 800, 1000]",
            "connections = [400, 200]",
            "4 rising",
        ),
        (
            "connections = [200, 400, 600, 800, 1000]",
            "connections = [0, 1, 2, 3]",
            "use 1 to",
        ),
        (
            "arms = [\"sse-h1\", \"ws-h1\", \"sse-h1 (A/A)\"]",
            "arms = [\"ws-h1\"]",
            "leaves out the baseline",
        ),
        (
            "arms = [\"sse-h1\", \"ws-h1\", \"sse-h1 (A/A)\"]",
            "arms = [\"sse-h1\", \"ws-h1\"]",
            "A/A control",
        ),
        (
            "arms = [\"sse-h1\", \"ws-h1\", \"sse-h1 (A/A)\"]",
            "arms = [\"sse-h1\", \"x\"]",
            "use one of",
        ),
        ("[throughput]", "[througput]", "unknown key `througput`"),
        ("rounds = 6", "rounds = 5", "even number"),
    ];
    for (right, wrong, remedy) in cases {
        let at = EXAMPLE
            .find(&format!("\n{right}"))
            .unwrap_or_else(|| panic!("no {right}"))
            + 1;
        let text = EXAMPLE.replacen(&format!("\n{right}"), &format!("\n{wrong}"), 1);
        let fault = refused(&text);
        assert_eq!(fault.line, EXAMPLE[..at].lines().count() + 1, "{fault}");
        assert!(fault.text.starts_with(wrong.trim()), "{fault}");
        let sentence = fault.to_string();
        assert!(sentence.starts_with("my.toml, line "), "{sentence}");
        assert!(sentence.contains(remedy), "{sentence} lacks {remedy}");
        assert!(!sentence.contains('\n'));
    }
}

#[test]
fn refuses_a_plan_of_nothing_and_what_is_not_a_table() {
    assert!(refused("").to_string().contains("no arm"));
    assert!(
        refused("[[arm]]\nlabel = \"x\"\n")
            .to_string()
            .contains("no `transport`")
    );
    assert!(
        refused("[[arm]]\ntransport = \"ws-h1\"\n")
            .to_string()
            .contains("no experiment")
    );
    assert!(refused("arm = 1\n").to_string().contains("[[arm]]"));
    assert!(
        refused("[arm]\ntransport = \"ws-h1\"\n")
            .to_string()
            .contains("[[arm]]")
    );
    assert!(
        refused("[[arm]]\ntransport = \"ws-h1\"\n[latency.x]\n")
            .to_string()
            .contains("control")
    );
    assert!(
        refused("latency = 1\n[[arm]]\ntransport = \"ws-h1\"\n")
            .to_string()
            .contains("[latency]")
    );
}

#[test]
fn a_margin_of_the_plans_own_is_the_one_that_verdicts_use() {
    let text = EXAMPLE.replace("token_latency_ms_p50 = 1.0", "token_latency_ms_p50 = 0.25");
    let plan = parse(&text, "my.toml", "my").unwrap();
    let manifest = plan.manifest(String::new(), Default::default());
    let metric = &manifest.plan.experiments[0].metrics[0];
    assert_eq!(
        (metric.name.as_str(), metric.margin),
        ("token_latency_ms_p50", 0.25)
    );
    assert_eq!(metric.margin_reason, "set in the plan");
}

#[test]
fn a_longest_warm_up_below_the_least_is_refused() {
    let text = EXAMPLE.replacen("warm_up_max_s = 5.0", "warm_up_max_s = 0.25", 1);
    let fault = refused(&text);
    let sentence = fault.to_string();
    assert!(
        sentence.contains("is 0.25 s") && sentence.contains("0.6 s") && fault.text == "[latency]",
        "{sentence}"
    );
}

#[test]
fn what_an_experiment_cannot_ask_of_an_arm_is_refused_with_the_reason() {
    let plan = |factor: &str, experiment: &str| {
        let arm = format!("[[arm]]\ntransport = \"sse-h1\"\n{factor}\n");
        format!("{arm}{arm}label = \"again\"\ncontrol_of = \"sse-h1\"\n[{experiment}]\n")
    };
    for (factor, experiment, says) in [
        ("envelope = \"raw\"", "latency", "has no stamps"),
        ("envelope = \"raw\"", "throughput", "has no stamps"),
        ("envelope = \"raw\"", "reconnect", "has no number"),
        (
            "resume = true",
            "reconnect",
            "every other subscriber resumes",
        ),
    ] {
        let fault = refused(&plan(factor, experiment));
        let sentence = fault.to_string();
        assert!(
            sentence.contains(says) && sentence.contains("`sse-h1`"),
            "{sentence}"
        );
        assert_eq!(fault.text, format!("[{experiment}]"), "{sentence}");
    }
    for (factor, experiment) in [
        ("envelope = \"raw\"", "memory"),
        ("envelope = \"raw\"", "wire"),
        ("envelope = \"raw\"", "setup"),
        ("resume = true", "latency"),
        ("resume = true", "throughput"),
        ("resume = true", "memory"),
    ] {
        parse(&plan(factor, experiment), "my.toml", "my").unwrap();
    }
}

#[test]
fn programs_of_others_are_measured_where_they_can_be_and_nowhere_else() {
    let plan = |transport: &str, factor: &str, experiment: &str| {
        format!(
            "[[arm]]\ntransport = \"{transport}\"\n{factor}\n[[arm]]\ntransport = \"{transport}\"\n{factor}\n\
             label = \"again\"\ncontrol_of = \"{transport}\"\n[{experiment}]\n"
        )
    };
    let nginx = "proxy = \"nginx\"";
    let theirs = "server = \"websockets\"\nws_library = \"yawc\"\ncompression = \"deflate-15\"";
    for (transport, factor, experiment) in [
        ("sse-h1", nginx, "latency"),
        ("fetch-h1", "proxy = \"nginx-buffering\"", "latency"),
        ("ws-h1", nginx, "latency"),
        ("ws-h1", theirs, "memory"),
        ("ws-h1", "server = \"websockets\"", "memory"),
    ] {
        parse(&plan(transport, factor, experiment), "my.toml", "my").unwrap();
    }
    for (transport, factor, experiment, says) in [
        ("sse-h2", nginx, "latency", "before sse-h1"),
        (
            "sse-h1",
            "proxy = \"nginx\"\ntls = true",
            "latency",
            "in clear text",
        ),
        (
            "sse-h1",
            "proxy = \"haproxy\"",
            "latency",
            "nginx-unbuffered",
        ),
        ("ws-h1", "server = \"tornado\"", "memory", "websockets"),
        (
            "sse-h1",
            "server = \"websockets\"",
            "memory",
            "serves WebSockets",
        ),
        (
            "ws-h1",
            "server = \"websockets\"\nnodelay = false",
            "memory",
            "our server's knobs",
        ),
    ] {
        let sentence = refused(&plan(transport, factor, experiment)).to_string();
        assert!(sentence.contains(says), "{sentence} lacks {says}");
    }
    for experiment in Experiment::NAMES.iter().filter(|name| **name != "screen") {
        let measured = |factor, says: &str| {
            let sentence = refused(&plan("ws-h1", factor, experiment)).to_string();
            assert!(sentence.contains(says), "{experiment}: {sentence}");
        };
        if *experiment != "latency" {
            measured(nginx, "is measured by latency");
        }
        if *experiment != "memory" {
            measured(theirs, "is measured by memory");
        }
    }
}

#[test]
fn levels_out_of_range_are_refused_with_the_range() {
    for (level, says) in [
        ("http_buffer_bytes = 8191", "use 8192 or more"),
        ("http_buffer_bytes = 0", "use 8192 or more"),
        ("payload_bytes = 16385", "16,384 is the most"),
        ("payload_bytes = 0", "from 1 up"),
        ("flush = \"1025\"", "1024 at most"),
        ("flush = \"often\"", "use ready, each"),
        ("allocator = \"mimalloc\"", "`glibc` or `jemalloc`"),
        ("http_stack = \"actix\"", "`hyper` or `axum`"),
    ] {
        let text = format!("[[arm]]\ntransport = \"sse-h1\"\n{level}\n[memory]\n");
        let sentence = refused(&text).to_string();
        assert!(sentence.contains(says), "{sentence} lacks {says}");
    }
}
