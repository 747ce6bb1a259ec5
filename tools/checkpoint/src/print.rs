// SPDX-License-Identifier: GPL-2.0

//! Prints an image, for people and as JSON.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::io::Write;
use std::time::Duration;
use std::time::UNIX_EPOCH;

use indicatif::HumanBytes;
use serde_json::json;
use serde_json::Value as Json;

use crate::format::header;
use crate::format::task::Process;
use crate::format::task::Regset;
use crate::format::task::Task;
use crate::format::task::PROCESS_STOPPED;
use crate::format::task::TASK_ZOMBIE;
use crate::format::Failure;
use crate::format::Header;
use crate::format::ObjRef;
use crate::format::Value;
use crate::image::Entry;
use crate::kind;
use crate::kind::Fields;
use crate::kind::Tail;
use crate::names;
use crate::regs;

/// Where the fields of a record start.
const INDENT: &str = "             ";

/// Where lines are broken.
const WIDTH: usize = 100;

/// Elements of a list and bytes of an array that are shown unless all are asked for.
const SHOWN: usize = 32;

/// `NT_PRSTATUS`.
const NT_PRSTATUS: u32 = 1;

/// How much is printed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Detail {
    /// Every element of every list, every byte, and fields that are zero.
    pub all: bool,
    /// The general registers by name.
    pub registers: bool,
}

/// Bytes that can be read as text.
fn text(bytes: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(bytes).ok()?;
    let plain = |c: char| !c.is_control() || matches!(c, '\n' | '\t');
    text.chars().all(plain).then_some(text)
}

/// Bytes without the zeros that pad them.
fn unpadded(bytes: &[u8]) -> &[u8] {
    let len = bytes.iter().rposition(|byte| *byte != 0);
    &bytes[..len.map_or(0, |at| at + 1)]
}

/// Text of an image or of the kernel that a terminal may be given.
pub fn harmless(text: &str) -> String {
    text.replace(char::is_control, "?")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The general registers of a record, by name.
fn registers(header: &Header, entry: &Entry<'_>) -> Option<Vec<(&'static str, u64)>> {
    let regset: &Regset = entry.body.as_any().downcast_ref()?;
    if regset.note != NT_PRSTATUS {
        return None;
    }
    regs::general(header.machine, entry.tail)
}

/// The fields of both parts. Where the fixed part has the length of what the tail has under the
/// same name, the length is left out.
fn fields<'a>(entry: &Entry<'a>) -> Fields<'a> {
    let mut rest = Tail::new(entry.tail);
    let tail = match entry.body.tail(&mut rest) {
        Ok(fields) => fields,
        Err(_) => vec![("tail", Value::Bytes(entry.tail))],
    };
    let mut fields = entry.body.describe();
    fields.retain(|(name, _)| !tail.iter().any(|(other, _)| name == other));
    for (_, value) in &mut fields {
        if let Value::Bytes(bytes) = value {
            *bytes = unpadded(bytes);
        }
    }
    fields.extend(tail);
    fields
}

/// The header, a field a line.
pub fn header(out: &mut dyn Write, header: &Header) -> io::Result<()> {
    let release = text(unpadded(&header.release)).unwrap_or("?");
    let pages = header.data_pages;
    let bytes = HumanBytes(pages.saturating_mul(1 << header.page_shift));
    let mut line = |name: &str, value: String| writeln!(out, "{name:<13}{value}");
    let mut mode = names::mode(header.mode);
    if header.flags & header::FLAG_FAILED != 0 {
        mode.push_str(", FAILED");
    }
    line("image", format!("{mode}, checkpoint {}", header.id))?;
    if header.flags & header::FLAG_INCREMENTAL != 0 {
        let (id, time) = (header.parent_id, time(header.parent_realtime));
        line("parent", format!("checkpoint {id} of {time}"))?;
    }
    line("format", header.format.to_string())?;
    line("machine", names::machine(header.machine))?;
    line(
        "kernel",
        format!("{release}, configuration {:#x}", header.config),
    )?;
    line("frozen at", time(header.realtime))?;
    let uptime = u64::try_from(header.boottime).unwrap_or(0);
    line(
        "after boot",
        format!("{:.3?}", Duration::from_nanos(uptime)),
    )?;
    line("metadata", HumanBytes(header.meta_len).to_string())?;
    let size = HumanBytes(1 << header.page_shift);
    line("page data", format!("{pages} pages of {size}, {bytes}"))
}

fn time(realtime: i64) -> String {
    match u64::try_from(realtime) {
        Ok(ns) => {
            humantime::format_rfc3339_millis(UNIX_EPOCH + Duration::from_nanos(ns)).to_string()
        }
        Err(_) => format!("{realtime} ns"),
    }
}

/// The header as JSON.
pub fn header_json(header: &Header) -> Json {
    use crate::format::Describe;
    let mut fields = fields_json(&header.describe());
    fields["magic"] = json!(text(unpadded(&header.magic)));
    fields["release"] = json!(text(unpadded(&header.release)));
    fields["mode_name"] = json!(names::mode(header.mode));
    fields["machine_name"] = json!(names::machine(header.machine));
    fields
}

/// A process of the tree.
struct Node {
    process: Process,
    name: String,
    threads: Vec<i32>,
    zombie: Option<i32>,
    children: Vec<usize>,
}

/// The processes, in the order of the image, and the indices of those without a parent.
fn nodes(entries: &[Entry<'_>]) -> (Vec<Node>, Vec<usize>) {
    let mut processes: BTreeMap<ObjRef, Process> = BTreeMap::new();
    let mut nodes: Vec<Node> = Vec::new();
    let mut by_thread: BTreeMap<i32, usize> = BTreeMap::new();
    let mut by_process: BTreeMap<ObjRef, usize> = BTreeMap::new();
    let mut roots = Vec::new();
    for entry in entries {
        let any = entry.body.as_any();
        if let Some(process) = any.downcast_ref::<Process>() {
            processes.insert(entry.head.object, *process);
        }
        let Some(task) = any.downcast_ref::<Task>() else {
            continue;
        };
        if let Some(index) = by_process.get(&task.process) {
            nodes[*index].threads.push(task.tid);
            by_thread.insert(task.tid, *index);
            continue;
        }
        let Some(process) = processes.get(&task.process) else {
            continue;
        };
        let index = nodes.len();
        match by_thread.get(&process.parent) {
            Some(parent) => nodes[*parent].children.push(index),
            None => roots.push(index),
        }
        nodes.push(Node {
            process: *process,
            name: harmless(&String::from_utf8_lossy(unpadded(&task.comm))),
            threads: vec![task.tid],
            zombie: (task.flags & TASK_ZOMBIE != 0).then_some(task.exit_code),
            children: Vec::new(),
        });
        by_thread.insert(task.tid, index);
        by_process.insert(task.process, index);
    }
    (nodes, roots)
}

impl Node {
    fn line(&self) -> String {
        let process = &self.process;
        let mut line = format!("{} {}", process.tgid, self.name);
        if self.threads.len() > 1 {
            let threads: Vec<_> = self.threads[1..].iter().map(i32::to_string).collect();
            let _ = write!(line, ", threads {}", threads.join(" "));
        }
        if let Some(status) = self.zombie {
            match status & 0x7f {
                0 => write!(line, ", zombie: exited with {}", status >> 8 & 0xff),
                signal => write!(line, ", zombie: killed by signal {signal}"),
            }
            .unwrap_or(());
        }
        if process.flags & PROCESS_STOPPED != 0 {
            let _ = write!(line, ", stopped by signal {}", process.stop_signal);
        }
        let _ = write!(line, "  (group {}, session {})", process.pgid, process.sid);
        line
    }
}

/// The tree of processes.
pub fn tree(out: &mut dyn Write, entries: &[Entry<'_>]) -> io::Result<()> {
    let (nodes, roots) = nodes(entries);
    // The next process to print: its index, what stands before its line and its children's.
    let mut stack: Vec<(usize, String, String)> = Vec::new();
    for root in roots.iter().rev() {
        stack.push((*root, String::new(), String::new()));
    }
    while let Some((index, first, rest)) = stack.pop() {
        let node = &nodes[index];
        writeln!(out, "{first}{}", node.line())?;
        for (place, child) in node.children.iter().enumerate().rev() {
            let last = place + 1 == node.children.len();
            let (branch, bar) = if last {
                ("└─ ", "   ")
            } else {
                ("├─ ", "│  ")
            };
            stack.push((*child, format!("{rest}{branch}"), format!("{rest}{bar}")));
        }
    }
    Ok(())
}

/// The tree of processes as JSON: a list, each with its parent.
pub fn tree_json(entries: &[Entry<'_>]) -> Json {
    let (nodes, _) = nodes(entries);
    let list = nodes.iter().map(|node| {
        json!({
            "pid": node.process.tgid,
            "parent": node.process.parent,
            "pgid": node.process.pgid,
            "sid": node.process.sid,
            "comm": node.name,
            "threads": node.threads,
            "zombie": node.zombie.is_some(),
        })
    });
    Json::Array(list.collect())
}

/// Why the checkpoint failed, if it did.
pub fn failure(out: &mut dyn Write, entries: &[Entry<'_>]) -> io::Result<bool> {
    for entry in entries {
        let Some(failure) = entry.body.as_any().downcast_ref::<Failure>() else {
            continue;
        };
        let log = String::from_utf8_lossy(entry.tail);
        for line in log.lines() {
            writeln!(out, "{}", harmless(line))?;
        }
        let error = i32::try_from(failure.errno).unwrap_or(0);
        let error = io::Error::from_raw_os_error(error);
        match failure.pid {
            0 => writeln!(out, "checkpoint failed: {error}")?,
            pid => writeln!(out, "checkpoint failed at pid {pid}: {error}")?,
        }
        return Ok(true);
    }
    Ok(false)
}

/// Puts `name=value` pairs on lines of a bounded width.
struct Lines<'o> {
    out: &'o mut dyn Write,
    line: String,
}

impl<'o> Lines<'o> {
    fn new(out: &'o mut dyn Write) -> Lines<'o> {
        Lines {
            out,
            line: String::new(),
        }
    }

    fn pair(&mut self, name: &str, value: &str) -> io::Result<()> {
        if !self.line.is_empty() && self.line.len() + name.len() + value.len() > WIDTH - 15 {
            self.flush()?;
        }
        let _ = write!(self.line, "{name}={value}  ");
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        if !self.line.is_empty() {
            writeln!(self.out, "{INDENT}{}", self.line.trim_end())?;
            self.line.clear();
        }
        Ok(())
    }

    /// A list, an element a line.
    fn list(
        &mut self,
        record: &str,
        name: &str,
        values: &[Value<'_>],
        detail: Detail,
    ) -> io::Result<()> {
        self.flush()?;
        writeln!(self.out, "{INDENT}{name}")?;
        // Signals are counted from 1.
        let first = usize::from(record == "Sighand");
        let mut shown = 0;
        for (index, value) in values.iter().enumerate() {
            if !detail.all && kind::is_zero(value) {
                continue;
            }
            shown += 1;
            if !detail.all && shown > SHOWN {
                let rest = values.len() - index;
                writeln!(self.out, "{INDENT}  ... {rest} more, see --verbose")?;
                break;
            }
            let text = one_line(record, name, value, detail);
            writeln!(self.out, "{INDENT}{:>5}: {text}", index + first)?;
        }
        Ok(())
    }
}

/// A record: its place and kind, then its fields.
pub fn record(
    out: &mut dyn Write,
    header: &Header,
    entry: &Entry<'_>,
    detail: Detail,
) -> io::Result<()> {
    let object = match entry.head.object {
        ObjRef::NONE => String::new(),
        ObjRef(number) => format!("#{number}"),
    };
    let name = entry.place.name;
    let title = format!("{name} {object}");
    let title = title.trim_end();
    let place = entry.place;
    writeln!(out, "{:#010x} {:>5}  {title}", place.offset, place.number)?;
    let mut lines = Lines::new(out);
    let registers = match detail.registers {
        true => registers(header, entry),
        false => None,
    };
    for (field, value) in &fields(entry) {
        if *field == "registers" && registers.is_some() {
            continue;
        }
        if field.starts_with("reserved") || (!detail.all && kind::is_zero(value)) {
            continue;
        }
        match value {
            Value::List(values) if values.iter().any(is_long) => {
                lines.list(name, field, values, detail)?;
            }
            value => lines.pair(field, &one_line(name, field, value, detail))?,
        }
    }
    lines.flush()?;
    for (register, value) in registers.unwrap_or_default() {
        lines.pair(register, &format!("{value:#x}"))?;
    }
    lines.flush()
}

/// Whether a value takes a line of its own.
fn is_long(value: &Value<'_>) -> bool {
    matches!(value, Value::Struct(_) | Value::Bytes(_))
}

/// A value in one line.
fn one_line(record: &str, field: &str, value: &Value<'_>, detail: Detail) -> String {
    if let Some(text) = names::field(record, field, value) {
        return text;
    }
    match value {
        Value::Unsigned(u64::MAX) => "unlimited".into(),
        Value::Unsigned(number) => number.to_string(),
        Value::Signed(number) => number.to_string(),
        Value::Object(ObjRef::NONE) => "none".into(),
        Value::Object(ObjRef(number)) => format!("#{number}"),
        Value::Bytes(bytes) => bytes_line(bytes, detail),
        Value::List(values) => {
            let mut texts: Vec<_> = values
                .iter()
                .map(|value| one_line(record, field, value, detail))
                .collect();
            if texts.len() > SHOWN && !detail.all {
                let rest = texts.len() - SHOWN;
                texts.truncate(SHOWN);
                texts.push(format!("... {rest} more"));
            }
            format!("[{}]", texts.join(" "))
        }
        Value::Struct(fields) => {
            let texts: Vec<_> = fields
                .iter()
                .filter(|(name, _)| !name.starts_with("reserved"))
                .map(|(name, value)| format!("{name}={}", one_line(field, name, value, detail)))
                .collect();
            texts.join(" ")
        }
    }
}

fn bytes_line(bytes: &[u8], detail: Detail) -> String {
    let limit = if detail.all { usize::MAX } else { SHOWN };
    match text(bytes) {
        // Paths are shown whole.
        Some(text) if text.len() <= 4096 || detail.all => format!("{text:?}"),
        _ if bytes.len() > limit => {
            format!("{}... ({} bytes)", hex(&bytes[..limit]), bytes.len())
        }
        _ => hex(bytes),
    }
}

/// A record as JSON.
pub fn record_json(header: &Header, entry: &Entry<'_>) -> Json {
    let mut json = json!({
        "number": entry.place.number,
        "offset": entry.place.offset,
        "kind": entry.place.name,
        "version": entry.head.version,
        "object": entry.head.object.0,
        "fields": fields_json(&fields(entry)),
    });
    if let Some(registers) = registers(header, entry) {
        json["registers"] = registers
            .into_iter()
            .map(|(name, value)| (name.to_string(), json!(value)))
            .collect();
    }
    json
}

fn fields_json(fields: &Fields<'_>) -> Json {
    fields
        .iter()
        .filter(|(name, _)| !name.starts_with("reserved"))
        .map(|(name, value)| (name.to_string(), value_json(value)))
        .collect()
}

fn value_json(value: &Value<'_>) -> Json {
    match value {
        Value::Unsigned(number) => json!(number),
        Value::Signed(number) => json!(number),
        Value::Object(object) => json!(object.0),
        Value::Bytes(bytes) => match text(bytes) {
            Some(text) => json!(text),
            None => json!({ "hex": hex(bytes) }),
        },
        Value::List(values) => values.iter().map(value_json).collect(),
        Value::Struct(fields) => fields_json(fields),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compose::Composer;
    use crate::image::Metadata;
    use crate::image::Reader;

    fn read(composer: &Composer) -> (Header, Metadata) {
        let image = composer.image();
        let mut reader = Reader::new(image.as_slice());
        let header = reader.header().unwrap();
        let metadata = reader.metadata(&header).unwrap();
        (header, metadata)
    }

    fn entries(metadata: &Metadata) -> Vec<Entry<'_>> {
        metadata.records().collect::<Result<_, _>>().unwrap()
    }

    #[test]
    fn bytes_are_text_or_hex() {
        assert_eq!(text(b"sh"), Some("sh"));
        assert_eq!(text(b"sh\0"), None);
        assert_eq!(text(b"\xff"), None);
        assert_eq!(unpadded(b"sh\0\0"), b"sh");
        assert_eq!(unpadded(b"\0"), b"");
        assert_eq!(hex(&[1, 0xab]), "01ab");
    }

    #[test]
    fn the_tree_is_drawn() {
        let mut composer = Composer::new();
        let shared = composer.shared();
        for (pid, parent) in [(1, 0), (2, 1), (3, 2), (4, 1)] {
            let process = composer.process(pid, parent);
            composer.task(pid, process, &shared);
        }
        let (_, metadata) = read(&composer);
        let mut out = Vec::new();
        tree(&mut out, &entries(&metadata)).unwrap();
        let text = String::from_utf8(out).unwrap();
        let starts: Vec<_> = text
            .lines()
            .map(|line| &line[..line.find('(').unwrap()])
            .collect();
        assert_eq!(
            starts,
            [
                "1 victim  ",
                "├─ 2 victim  ",
                "│  └─ 3 victim  ",
                "└─ 4 victim  "
            ]
        );
    }

    #[test]
    fn threads_and_zombies_are_shown() {
        let (_, metadata) = read(&Composer::small());
        let mut out = Vec::new();
        tree(&mut out, &entries(&metadata)).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.starts_with("100 victim, threads 101  ("), "{text}");
        assert!(text.contains("└─ 102 , zombie: exited with 3"), "{text}");
    }

    #[test]
    fn every_record_is_printed() {
        let (head, metadata) = read(&Composer::small());
        for entry in entries(&metadata) {
            for all in [false, true] {
                let mut out = Vec::new();
                let detail = Detail {
                    all,
                    registers: all,
                };
                record(&mut out, &head, &entry, detail).unwrap();
                let text = String::from_utf8(out).unwrap();
                assert!(text.contains(entry.place.name), "{text}");
            }
            let json = record_json(&head, &entry);
            assert_eq!(json["kind"], entry.place.name);
        }
    }

    #[test]
    fn json_has_paths_and_references() {
        let (head, metadata) = read(&Composer::small());
        let records: Vec<_> = entries(&metadata)
            .iter()
            .map(|entry| record_json(&head, entry))
            .collect();
        let find = |kind: &str| records.iter().find(|json| json["kind"] == kind).unwrap();
        assert_eq!(find("PathFile")["fields"]["path"], "/usr/bin/victim");
        assert_eq!(find("Creds")["fields"]["groups"], json!([4, 27]));
        assert_eq!(find("Pipe")["fields"]["data"], "hello");
        assert_eq!(
            find("Files")["fields"]["fds"][0]["file"],
            find("PathFile")["object"]
        );
        assert_eq!(find("Regset")["registers"]["rip"], 0);
    }
}
