//! An event as a line of CSV: RFC 4180, every text in quotes, and nothing that a spreadsheet would run.
//!
//! What stands in an event can come from whoever writes to a model, and the file is opened by whoever reads evidence: a
//! text that begins like a formula gets an apostrophe before it.

use serde::Deserialize;

use crate::access::rfc3339;
use crate::domain::StoredEvent;

/// Columns are only ever added at the end.
pub(super) const HEAD: &str = "id,vm,seq,time,time_ms,request_id,session_id,subject,route,host,path,verdict,action,\
score,rules,findings,policy,bundle,model,erased\r\n";

pub(super) fn write(body: &str, to: &mut String) {
    #[derive(Deserialize)]
    struct Gone {
        #[serde(default)]
        erased: bool,
    }
    let Ok(event) = StoredEvent::read(body) else {
        // What was taken in as an event reads as one, so only a newer collector's database can have others.
        text(to, &format!("unreadable: {body}"));
        to.push_str(&",".repeat(HEAD.matches(',').count()));
        to.push_str("\r\n");
        return;
    };
    let is_erased = serde_json::from_str::<Gone>(body).is_ok_and(|gone| gone.erased);
    let optional = |to: &mut String, value: &Option<String>| {
        if let Some(value) = value {
            text(to, value);
        }
        to.push(',');
    };
    for value in [&event.id, &event.vm] {
        text(to, value);
        to.push(',');
    }
    to.push_str(&format!("{},{},{},", event.seq, rfc3339::write(event.time_ms), event.time_ms));
    for value in [&event.request_id, &event.session, &event.subject, &event.route, &event.host, &event.path] {
        optional(to, value);
    }
    for value in [&event.verdict, &event.action] {
        text(to, value);
        to.push(',');
    }
    to.push_str(&format!("{},", event.score));
    text(to, &event.rules().join(" "));
    to.push_str(&format!(",{},", event.findings.len()));
    for value in [&event.provenance.policy, &event.provenance.bundle, &event.provenance.model] {
        optional(to, value);
    }
    to.push_str(if is_erased { "true\r\n" } else { "false\r\n" });
}

/// Always in quotes: a spreadsheet that splits at other characters than commas then meets no beginning of a cell where
/// there is none.
fn text(to: &mut String, value: &str) {
    to.push('"');
    if value.starts_with(FORMULA) {
        to.push('\'');
    }
    to.push_str(&value.replace('"', "\"\""));
    to.push('"');
}

/// The wide forms are read as the narrow ones by some.
const FORMULA: [char; 11] = ['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠'];

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn cell(value: &str, expected: &str) {
        let mut to = String::new();
        text(&mut to, value);
        assert_eq!(to, expected, "{value:?}");
    }

    #[test]
    fn a_text_is_quoted_and_never_a_formula() {
        cell("chat", "\"chat\"");
        cell("", "\"\"");
        cell("a \"b\", c\r\nd", "\"a \"\"b\"\", c\r\nd\"");
        for begin in FORMULA {
            cell(&format!("{begin}1"), &format!("\"'{begin}1\""));
        }
        cell("a=1", "\"a=1\"");
        cell("=\"\"", "\"'=\"\"\"\"\"");
    }

    #[test]
    fn a_line_has_a_cell_for_each_column() {
        let body = "{\"schema\":\"sentinel.event/1\",\"vm\":\"a\",\"seq\":7,\"time_ms\":0,\"verdict\":\"clean\",\
                    \"action\":\"allow\",\"score\":0.25,\"request_id\":\"=1+1\",\"findings\":[\
                    {\"rule\":\"pii/email\"},{\"rule\":\"pii/email\"},{\"rule\":\"pii/iban\"}]}";
        let mut line = String::new();
        write(body, &mut line);
        assert_eq!(
            line,
            "\"a-7\",\"a\",7,1970-01-01T00:00:00.000Z,0,\"'=1+1\",,,,,,\"clean\",\"allow\",0.25,\
             \"pii/email pii/iban\",3,,,,false\r\n"
        );
        assert_eq!(line.matches(',').count(), HEAD.matches(',').count());
        let mut line = String::new();
        write("[1]", &mut line);
        assert_eq!(line.matches(',').count(), HEAD.matches(',').count());
    }
}
