//! Lesson 2: a parser of event streams, held against the standard case by case.

mod cases;

use std::time::Duration;

use serde::Deserialize;

use super::{
    Call, Lesson, Mark,
    program::{Heard, Program},
    program_of, said,
};
use cases::{CASES, Case};

pub const LESSON: Lesson = Lesson {
    number: 2,
    title: ("The articles' demos", "文章里的示例"),
    question: (
        "Write a parser of event streams (WHATWG HTML, 9.2.6), in any language. For each case of a table it is started once:\n\
         \x20 standard input   one chunk of the stream a line, as hexadecimal digits; the input's end is the stream's end\n\
         \x20 standard output  for each event that is dispatched a line of JSON: {\"event\":\"message\",\"data\":\"…\",\"id\":\"…\"}\n\
         Print an event as soon as its blank line has come, and flush.\n\n\
         Answer:  pushbench lesson 2 -- python3 mine.py",
        "写一个事件流解析器（WHATWG HTML 9.2.6），语言不限。表中每个用例启动它一次：\n\
         \x20 标准输入  一行是流的一块，写成十六进制；输入结束就是流结束\n\
         \x20 标准输出  每派发一个事件输出一行 JSON：{\"event\":\"message\",\"data\":\"…\",\"id\":\"…\"}\n\
         空行一到就输出该事件，并冲刷缓冲。\n\n\
         回答：pushbench lesson 2 -- python3 mine.py",
    ),
};

/// For one case: far above what any language's start takes.
const PATIENCE: Duration = Duration::from_secs(10);

/// A line of the learner's.
#[derive(Debug, PartialEq, Eq, Deserialize)]
struct Event {
    event: String,
    data: String,
    id: String,
}

/// Every case for itself.
pub async fn grade(call: &Call) -> anyhow::Result<Vec<Mark>> {
    call.answers.only(&[])?;
    let command = program_of(call)?;
    let mut marks = Vec::new();
    for case in CASES {
        let name = said(case.name, call.language);
        let wrong = run(case, command, call).await?;
        marks.push(Mark {
            right: wrong.is_none(),
            text: match wrong {
                None => name.to_owned(),
                Some(wrong) => format!("{name}\n    {wrong}"),
            },
        });
    }
    Ok(marks)
}

/// What is wrong, if something is.
async fn run(case: &Case, command: &[String], call: &Call) -> anyhow::Result<Option<String>> {
    let mut program = Program::start(command, &[])?;
    let mut lines = Vec::new();
    for chunk in case.chunks {
        let hex: String = chunk.iter().map(|byte| format!("{byte:02x}")).collect();
        program.tell(&hex).await;
        if case.at_once && lines.len() < case.events.len() {
            match program.hear(PATIENCE).await {
                Heard::Line(line) => lines.push(line),
                // What it said at its end is told below.
                Heard::Gone => break,
                Heard::Silence => {
                    let late = call.language.of(
                        "nothing was printed when the event's blank line had come: print it at once, and flush",
                        "事件的空行已到，却没有输出：应立即输出并冲刷缓冲（flush）",
                    );
                    return Ok(Some(late.to_owned()));
                }
            }
        }
    }
    let ended = program.end(PATIENCE).await;
    lines.extend(ended.lines);
    if let Some(trouble) = ended.trouble {
        return Ok(Some(trouble));
    }
    let mut events = Vec::new();
    for line in &lines {
        match serde_json::from_str::<Event>(line) {
            Ok(event) => events.push(event),
            Err(error) => return Ok(Some(format!("`{line}`: {error}"))),
        }
    }
    let expected: Vec<_> = case.events.iter().map(event).collect();
    Ok((events != expected).then(|| {
        let [came, should] = [&events, &expected].map(|events| told(events));
        let rule = said(case.rule, call.language);
        let (got, not) = call
            .language
            .of(("printed", "instead of"), ("输出了", "应为"));
        format!("{rule}\n    {got} {came}, {not} {should}")
    }))
}

fn event(&(event, data, id): &(&str, &str, &str)) -> Event {
    Event {
        event: event.to_owned(),
        data: data.to_owned(),
        id: id.to_owned(),
    }
}

fn told(events: &[Event]) -> String {
    let told = events
        .iter()
        .map(|Event { event, data, id }| format!("{event} {data:?} id {id:?}"));
    format!("[{}]", told.collect::<Vec<_>>().join(", "))
}
