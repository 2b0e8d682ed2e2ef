//! Figures: links into a committed run whose title is the key of a value, and whose text is that value.
//!
//! `[6.8 KiB](../sample/transports/index.html "memory user_bytes_per_idle_connection ws-h1")`: experiment,
//! metric, arm, `_` for each space of an arm's label; then `ratio`, `difference` or `verdict` of the arm against
//! the run's baseline. Of a screen: `screen`, metric, factor.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use pushbench_reports::{
    language::Language,
    quantity::{quantity, ratios, signed_span},
    table::word,
};
use serde_json::Value;

/// A page with its figures filled in.
pub struct Filled {
    pub text: String,
    pub figures: usize,
}

/// Fills in the figures of a page of `folder`; what has no such value is added to `wrong`.
pub fn filled(text: &str, folder: &Path, wrong: &mut Vec<String>) -> Filled {
    let language = match folder.ends_with("zh") {
        true => Language::Chinese,
        false => Language::English,
    };
    let mut runs = BTreeMap::new();
    let mut out = String::new();
    let mut figures = 0;
    let mut rest = text;
    // From behind: the link's end tells a figure, its text is what stands before.
    while let Some(at) = rest.find("](../sample/") {
        let (before, link) = rest.split_at(at);
        // A title may have parentheses of its own.
        let titled = link
            .find(" \"")
            .is_some_and(|title| link.find(')').is_some_and(|end| title < end));
        let Some(end) = (match titled {
            true => link.find("\")").map(|quote| quote + 1),
            false => link.find(')'),
        }) else {
            break;
        };
        let target = &link[2..end];
        rest = &link[end..];
        let Some((path, key)) = target.split_once(" \"") else {
            out.push_str(before);
            out.push_str(&link[..end]);
            continue;
        };
        let key = key.trim_end_matches('"');
        let opening = before.rfind('[').unwrap();
        let run = folder.join(path.split('#').next().unwrap());
        let run = run.parent().unwrap().to_owned();
        figures += 1;
        let found = value(summary(&mut runs, &run), key, language);
        let found = found.map(|found| in_edition(&found, language));
        if found.is_none() {
            wrong.push(format!("{}: no `{key}`", run.display()));
        }
        let old = before[opening + 1..].to_owned();
        out.push_str(&before[..=opening]);
        out.push_str(&found.unwrap_or(old));
        out.push_str(&link[..end]);
    }
    out.push_str(rest);
    Filled { text: out, figures }
}

fn summary<'a>(runs: &'a mut BTreeMap<PathBuf, Value>, run: &Path) -> &'a Value {
    runs.entry(run.to_owned()).or_insert_with(|| {
        let text = fs::read_to_string(run.join("summary.json")).unwrap_or_default();
        serde_json::from_str(&text).unwrap_or(Value::Null)
    })
}

/// What the run says under that key.
fn value(summary: &Value, key: &str, language: Language) -> Option<String> {
    let words: Vec<_> = key.split(' ').collect();
    match words[..] {
        // The transport is a factor too, and has no name of its own.
        ["screen", metric, factor] => {
            let screens = summary["screens"].as_array()?;
            let metrics = screens.iter().flat_map(|screen| array(&screen["metrics"]));
            let metric = { metrics }.find(|found| found["metric"] == metric)?;
            let effects = array(&metric["effects"]);
            let own = { effects }
                .find(|found| found["factor"].as_str().unwrap_or("transport") == factor)?;
            ratio(&own["effect"])
        }
        [experiment, metric, arm, ref field @ ..] => {
            let arm = arm.replace('_', " ");
            let asked =
                |effect: &&Value| effect["experiment"] == experiment && effect["metric"] == metric;
            let mut effects = array(&summary["effects"])
                .chain(array(&summary["noise_floor"]))
                .filter(asked);
            let own = effects.clone().find(|effect| effect["arm"] == arm.as_str());
            match *field {
                [] => {
                    let (effect, end) = match own {
                        Some(own) => (own, "arm_value"),
                        None => {
                            let as_baseline =
                                effects.find(|effect| effect["baseline"] == arm.as_str())?;
                            (as_baseline, "baseline_value")
                        }
                    };
                    Some(quantity(effect[end].as_f64()?, effect["unit"].as_str()?))
                }
                ["ratio"] => ratio(own?),
                ["difference"] => {
                    let effect = own?;
                    let [low, high] =
                        ["difference_low", "difference_high"].map(|end| effect[end].as_f64());
                    Some(signed_span(low?, high?, effect["unit"].as_str()?))
                }
                ["verdict"] => {
                    let verdict = serde_json::from_value(own?["verdict"].clone()).ok()?;
                    Some(word(verdict, language).to_owned())
                }
                _ => None,
            }
        }
        _ => None,
    }
}

/// The words between the digits in the edition's language.
fn in_edition(figure: &str, language: Language) -> String {
    const WORDS: [(&str, &str); 6] = [
        (" to ", " 到 "),
        ("round trips", "次往返"),
        ("round trip", "次往返"),
        ("bytes", "字节"),
        ("messages", "条消息"),
        ("message", "条消息"),
    ];
    match language {
        Language::English => figure.to_owned(),
        Language::Chinese => WORDS
            .iter()
            .fold(figure.to_owned(), |text, (english, chinese)| {
                text.replace(english, chinese)
            }),
    }
}

fn ratio(effect: &Value) -> Option<String> {
    let [middle, low, high] = ["ratio", "ratio_low", "ratio_high"].map(|end| effect[end].as_f64());
    let [middle, low, high] = ratios([middle?, low?, high?]);
    Some(format!("{middle} ({low}–{high})"))
}

fn array(value: &Value) -> impl Iterator<Item = &Value> + Clone {
    value.as_array().into_iter().flatten()
}

#[test]
fn a_figure_is_filled_in_and_a_missing_one_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("sample/r");
    let page = folder.path().join("en");
    fs::create_dir_all(&run).unwrap();
    fs::create_dir_all(&page).unwrap();
    let effect = r#"{"experiment":"memory","metric":"m","unit":"bytes","baseline":"a","arm":"b c",
        "baseline_value":1024,"arm_value":3072,"ratio":3.0,"ratio_low":2.5,"ratio_high":3.5,
        "difference_low":2047,"difference_high":2049,"verdict":"worse"}"#;
    fs::write(
        run.join("summary.json"),
        format!(r#"{{"effects":[{effect}]}}"#),
    )
    .unwrap();
    let fill = |key: &str, wrong: &mut Vec<String>| {
        let page_text =
            format!("[x] [?](../sample/r/index.html \"{key}\") and [y](../sample/r/a.svg).");
        let filled = filled(&page_text, &page, wrong);
        assert_eq!(filled.figures, 1);
        let start = filled.text.strip_prefix("[x] [").unwrap();
        assert!(
            filled.text.ends_with("\") and [y](../sample/r/a.svg)."),
            "{}",
            filled.text
        );
        start.split(']').next().unwrap().to_owned()
    };
    let mut wrong = Vec::new();
    assert_eq!(fill("memory m b_c", &mut wrong), "3 KiB");
    assert_eq!(fill("memory m a", &mut wrong), "1 KiB");
    assert_eq!(fill("memory m (b)", &mut Vec::new()), "?");
    assert_eq!(fill("memory m b_c ratio", &mut wrong), "3.00 (2.50–3.50)");
    assert_eq!(fill("memory m b_c verdict", &mut wrong), "worse");
    assert_eq!(fill("memory m b_c difference", &mut wrong), "+2 KiB");
    assert_eq!(
        in_edition("+1 to +2 messages", Language::Chinese),
        "+1 到 +2 条消息"
    );
    assert!(wrong.is_empty());
    assert_eq!(fill("memory m nobody", &mut wrong), "?");
    assert_eq!(wrong.len(), 1);
}
