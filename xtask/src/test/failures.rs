//! What failed, said once more at the end: after half an hour of output nobody should have to search for it.

use std::fmt;

/// Enough for the message of a panic and what it compared; the whole is further up.
const LINES_OF_EACH: usize = 12;

#[derive(Default)]
pub(crate) struct Failures {
    failures: Vec<Failure>,
    /// Whether the lines read now are the output of the last failure.
    within: bool,
}

struct Failure {
    test: String,
    output: Vec<String>,
}

impl Failures {
    /// Reads the next line that the tests wrote.
    pub(crate) fn read(&mut self, line: &str) {
        if let Some(test) = line.strip_prefix("---- ").and_then(|rest| rest.strip_suffix(" stdout ----")) {
            self.failures.push(Failure { test: test.to_owned(), output: Vec::new() });
            self.within = true;
        } else if line == "failures:" {
            self.within = false;
        } else if self.within
            && let Some(failure) = self.failures.last_mut()
            && failure.output.len() < LINES_OF_EACH
            && !line.trim().is_empty()
        {
            failure.output.push(line.to_owned());
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.failures.is_empty()
    }
}

impl fmt::Display for Failures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n{} failed:", self.failures.len())?;
        for failure in &self.failures {
            writeln!(f, "\n  {}", failure.test)?;
            for line in &failure.output {
                writeln!(f, "    {line}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Failures;

    #[test]
    fn each_failure_is_said_with_the_beginning_of_its_output() {
        let mut failures = Failures::default();
        let written = "
test a::holds ... ok
test b::breaks ... FAILED

failures:

---- b::breaks stdout ----

thread 'b::breaks' panicked at b.rs:1:
not the same


failures:
    b::breaks

test result: FAILED. 1 passed; 1 failed";
        for line in written.lines() {
            failures.read(line);
        }
        assert_eq!(
            failures.to_string(),
            "\n1 failed:\n\n  b::breaks\n    thread 'b::breaks' panicked at b.rs:1:\n    not the same\n"
        );
    }

    #[test]
    fn nothing_is_said_where_nothing_failed() {
        let mut failures = Failures::default();
        failures.read("test a::holds ... ok");
        assert!(failures.is_empty());
    }
}
