//! Questions at the terminal whose answer is a text.

use std::io::{self, BufRead, IsTerminal};

use super::{Output, clean};
use crate::failure::{Failure, Kind};

impl Output {
    /// Tells whether somebody can be asked.
    pub(crate) fn can_ask(&self) -> bool {
        io::stdin().is_terminal() && self.look.stderr_terminal
    }

    /// Asks for a text; an empty answer is the usual one, where there is one.
    ///
    /// # Errors
    ///
    /// When input cannot be read or ends.
    pub(crate) fn ask(&self, question: &str, usual: Option<&str>) -> Result<String, Failure> {
        let usual_shown = usual.map(|text| format!(" [{}]", clean::line(text)));
        self.stderr(&format!(
            "{}{}: ",
            clean::line(question),
            usual_shown.unwrap_or_default()
        ));
        let mut answer = String::new();
        let read = io::stdin().lock().read_line(&mut answer);
        match read {
            Ok(0) => return Err(Failure::new(Kind::Interrupted, "no answer was given")),
            Ok(_) => {}
            Err(error) => {
                return Err(Failure::chain(
                    Kind::Failed,
                    "could not read the answer",
                    &error,
                ));
            }
        }
        match (answer.trim(), usual) {
            ("", Some(usual)) => Ok(usual.to_owned()),
            (text, _) => Ok(text.to_owned()),
        }
    }

    /// Asks for a secret, which is not shown while it is typed.
    ///
    /// # Errors
    ///
    /// When the terminal cannot be read.
    pub(crate) fn ask_secret(&self, question: &str) -> Result<String, Failure> {
        rpassword::prompt_password(format!("{question}: "))
            .map_err(|error| Failure::chain(Kind::Failed, "could not read the answer", &error))
    }
}
