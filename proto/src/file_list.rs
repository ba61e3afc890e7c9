//! The files of a trial or a run, as a list.

use serde::{Deserialize, Serialize};

/// The last segment of the path of such a list, below the path of its trial or run.
pub const FILES: &str = "files";

/// The files of one trial, or a run's own files.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileList {
    /// Id of the trial, or of the run.
    pub id: String,
    /// Id of the trial's run; absent in the list of a run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
    /// The files, in the order of their paths.
    pub files: Vec<ListedFile>,
    /// What is there and was left out, each a sentence for people.
    #[serde(default)]
    pub left_out: Vec<String>,
}

impl FileList {
    /// Reads a list from JSON.
    ///
    /// # Errors
    ///
    /// When it is something else.
    pub fn parse(json: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(json)
    }
}

/// One file of such a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedFile {
    /// Its path, relative to the folder of the trial or the run, with `/` between the names.
    pub path: String,
    /// Its type, such as `logs` or `session`; readers accept types that they do not know.
    pub r#type: String,
    /// Its size in bytes when it was listed, if that is known.
    pub size_bytes: Option<u64>,
    /// When it was last modified, RFC 3339, if that is known.
    #[serde(default)]
    pub modified_at: Option<String>,
    /// Its address.
    pub uri: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_a_newer_or_an_older_daemon_is_read() {
        let text = r#"{"id":"t","more":1,"files":[
            {"path":"a/b","type":"new","size_bytes":null,"uri":"file:///a/b","else":[]}]}"#;
        let list = FileList::parse(text.as_bytes()).unwrap();
        assert_eq!(list.run_id, None);
        assert_eq!(list.files[0].r#type, "new");
        assert_eq!(list.files[0].modified_at, None);
        assert!(list.left_out.is_empty());
    }
}
