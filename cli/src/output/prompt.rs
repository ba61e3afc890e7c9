//! Questions to the user at the terminal.

use std::io::{self, BufRead, IsTerminal};

use super::{Output, clean};
use crate::failure::{Failure, Kind};

impl Output {
    /// Whether the user can be asked: stdin and stderr are a terminal.
    pub(crate) fn can_prompt(&self) -> bool {
        io::stdin().is_terminal() && self.style.stderr_terminal
    }

    /// Asks a yes-or-no question at the terminal; anything but yes means no.
    ///
    /// # Errors
    ///
    /// [`Kind::Usage`] when stdin is not a terminal.
    pub(crate) fn confirm(&self, question: &str) -> Result<bool, Failure> {
        self.confirm_unless(question, "--force")
    }

    /// As [`Self::confirm`], where another option skips the question.
    ///
    /// # Errors
    ///
    /// [`Kind::Usage`] when stdin is not a terminal.
    pub(crate) fn confirm_unless(&self, question: &str, option: &str) -> Result<bool, Failure> {
        self.require_prompt(option)?;
        self.stderr(&format!("{} [y/N] ", clean::line(question)));
        let mut answer = String::new();
        io::stdin()
            .lock()
            .read_line(&mut answer)
            .map_err(|error| Failure::chain(Kind::Failed, "could not read the answer", &error))?;
        Ok(matches!(
            answer.trim().to_ascii_lowercase().as_str(),
            "y" | "yes"
        ))
    }

    /// Checks that the user can be asked, before anything is looked up for the question that
    /// `option` skips.
    ///
    /// # Errors
    ///
    /// [`Kind::Usage`] when stdin is not a terminal.
    pub(crate) fn require_prompt(&self, option: &str) -> Result<(), Failure> {
        if self.can_prompt() {
            return Ok(());
        }
        Err(
            Failure::usage("this needs a confirmation, and stdin is not a terminal")
                .hint(format!("add {option} to skip the confirmation")),
        )
    }

    /// Asks for a text; an empty answer means `default`, if there is one.
    ///
    /// # Errors
    ///
    /// When stdin cannot be read or is at its end.
    pub(crate) fn prompt(&self, question: &str, default: Option<&str>) -> Result<String, Failure> {
        let shown_default = default.map(|text| format!(" [{}]", clean::line(text)));
        self.stderr(&format!(
            "{}{}: ",
            clean::line(question),
            shown_default.unwrap_or_default()
        ));
        let mut answer = String::new();
        let read = io::stdin().lock().read_line(&mut answer);
        match read {
            Ok(0) => return Err(Failure::new(Kind::Interrupted, "no answer was entered")),
            Ok(_) => {}
            Err(error) => {
                return Err(Failure::chain(
                    Kind::Failed,
                    "could not read the answer",
                    &error,
                ));
            }
        }
        match (answer.trim(), default) {
            ("", Some(default)) => Ok(default.to_owned()),
            (text, _) => Ok(text.to_owned()),
        }
    }

    /// Asks for a secret, which the terminal does not show.
    ///
    /// # Errors
    ///
    /// When the terminal cannot be read.
    pub(crate) fn prompt_secret(&self, question: &str) -> Result<String, Failure> {
        rpassword::prompt_password(format!("{question}: "))
            .map_err(|error| Failure::chain(Kind::Failed, "could not read the answer", &error))
    }
}
