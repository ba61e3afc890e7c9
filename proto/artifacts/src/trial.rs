//! The artifacts that a trial or a run has, by their addresses.

use docks_proto::file_list::{FileList, ListedFile};
use docks_proto::object::{RawObject, TrialFields};
use docks_proto::repair;
use serde_json::Value;

use crate::artifact::ArtifactType;
use crate::sanitise::{file_suffix, source_name};

/// A trial and the addresses of its artifacts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrialArtifacts {
    /// Full id; empty when the remote sent none.
    pub id: String,
    /// Task; empty when the remote sent none.
    pub task: String,
    /// Status as the remote wrote it; empty when it sent none.
    pub status: String,
    /// Addresses of the artifacts of the four main types; the first of each type is the main one.
    pub uris: Vec<(ArtifactType, String)>,
    /// Every file that is known: at first those that the object names, these among them.
    pub files: Vec<ListedFile>,
}

impl TrialArtifacts {
    /// Reads the artifacts of a trial, or of a run, from the object that the remote sent.
    ///
    /// A jobs directory lists all files of the four types in `harbor.artifacts`; other remotes may list files
    /// of more types there. Of a type the list is used only if it begins with the address in the type's own
    /// field: an old hub replaces the address in the field only.
    #[must_use]
    pub fn from_object(object: &RawObject) -> Self {
        let fields = TrialFields::from_object(object);
        let main_uris = [
            (ArtifactType::Logs, fields.logs_uri.text()),
            (ArtifactType::Trajectory, fields.trajectory_uri.text()),
            (ArtifactType::Diff, fields.diff_uri.text()),
            (ArtifactType::Result, fields.result_uri.text()),
        ];
        let value: Value = repair::read(object.text());
        let listed = value.pointer("/harbor/artifacts").and_then(Value::as_array);
        let listed: Vec<ListedFile> = listed
            .into_iter()
            .flatten()
            .filter_map(listed_file)
            .collect();
        let uris = main_files(&listed, main_uris);
        Self {
            id: fields.id.text().unwrap_or_default(),
            task: fields.task_slug.text().unwrap_or_default(),
            status: fields.status.text().unwrap_or_default(),
            files: known_files(listed, &uris),
            uris,
        }
    }

    /// Returns the main address of a type.
    #[must_use]
    pub fn uri(&self, kind: ArtifactType) -> Option<&str> {
        let found = self.uris.iter().find(|(known, _)| *known == kind);
        found.map(|(_, uri)| uri.as_str())
    }

    /// Adds the files of a list; what the object said of a file stays. The order is that of the list.
    pub fn add_files(&mut self, list: FileList) {
        let mut known = std::mem::take(&mut self.files);
        for file in list.files {
            match known.iter().position(|old| old.path == file.path) {
                Some(at) => {
                    let old = known.swap_remove(at);
                    self.files.push(ListedFile {
                        r#type: old.r#type,
                        uri: old.uri,
                        ..file
                    });
                }
                None => self.files.push(file),
            }
        }
        // Gone since the object was confirmed, or beyond what is listed.
        self.files.append(&mut known);
    }

    /// Takes the listed files of the four main types for those that the object would name, for a trial that names none
    /// before it has ended.
    pub fn use_listed_files(&mut self) {
        let files = self.files.iter().filter_map(|file| {
            let kind = ArtifactType::from_name(&file.r#type)?;
            kind.is_main().then(|| (kind, file.uri.clone()))
        });
        self.uris = files.collect();
    }

    /// Returns the files that are not among [`TrialArtifacts::uris`].
    pub fn further_files(&self) -> impl Iterator<Item = (ArtifactType, &ListedFile)> {
        let is_further = |file: &&ListedFile| self.uris.iter().all(|(_, uri)| *uri != file.uri);
        self.files.iter().filter(is_further).map(|file| {
            let kind = ArtifactType::from_name(&file.r#type);
            (kind.unwrap_or(ArtifactType::Other), file)
        })
    }
}

fn listed_file(entry: &Value) -> Option<ListedFile> {
    let text = |key: &str| Some(entry[key].as_str()?.to_owned());
    let uri = text("uri")?;
    Some(ListedFile {
        path: text("path").unwrap_or_else(|| source_name(&uri).into_owned()),
        r#type: text("type")?,
        size_bytes: entry["size_bytes"].as_u64(),
        modified_at: text("modified_at"),
        uri,
    })
}

fn main_files(
    listed: &[ListedFile],
    main_uris: [(ArtifactType, Option<String>); 4],
) -> Vec<(ArtifactType, String)> {
    let mut uris = Vec::new();
    for (kind, uri) in main_uris {
        let of_kind = listed.iter().filter(|file| file.r#type == kind.name());
        let all: Vec<String> = of_kind.map(|file| file.uri.clone()).collect();
        match uri {
            Some(uri) if all.first() != Some(&uri) => uris.push((kind, uri)),
            _ => uris.extend(all.into_iter().map(|uri| (kind, uri))),
        }
    }
    uris
}

/// Returns the listed files that can be had, and those of which only the address is known, under names of
/// their own.
fn known_files(listed: Vec<ListedFile>, uris: &[(ArtifactType, String)]) -> Vec<ListedFile> {
    let is_main = |file: &ListedFile| {
        ArtifactType::from_name(&file.r#type).is_some_and(ArtifactType::is_main)
    };
    let mut files: Vec<ListedFile> = listed
        .into_iter()
        .filter(|file| !is_main(file) || uris.iter().any(|(_, uri)| *uri == file.uri))
        .collect();
    for (kind, uri) in uris {
        if files.iter().any(|file| file.uri == *uri) {
            continue;
        }
        let last = source_name(uri);
        let is_free = |path: &str| files.iter().all(|file| file.path != path);
        let path = match is_free(&last) && !last.is_empty() {
            true => last.into_owned(),
            false => format!("{}{}", kind.name(), file_suffix(uri)),
        };
        files.push(ListedFile {
            path,
            r#type: kind.name().to_owned(),
            size_bytes: None,
            modified_at: None,
            uri: uri.clone(),
        });
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trial(text: &str) -> TrialArtifacts {
        TrialArtifacts::from_object(&RawObject::parse(text).unwrap().unwrap())
    }

    fn paths(trial: &TrialArtifacts) -> Vec<&str> {
        trial.files.iter().map(|file| file.path.as_str()).collect()
    }

    #[test]
    fn files_of_further_types_are_known_without_changing_the_four() {
        let mut trial = trial(
            r#"{"id":"t","logs_uri":"https://h/1?uri=a","result_uri":"gs://b/t/result.json","harbor":{"artifacts":[
            {"type":"logs","path":"agent/a.txt","uri":"https://h/1?uri=a","size_bytes":3},
            {"type":"recording","path":"agent/r.cast","uri":"https://h/1?uri=r"},
            {"type":"diff"},7]}}"#,
        );
        assert_eq!(
            trial.uris,
            [
                (ArtifactType::Logs, "https://h/1?uri=a".to_owned()),
                (ArtifactType::Result, "gs://b/t/result.json".to_owned())
            ]
        );
        assert_eq!(
            paths(&trial),
            ["agent/a.txt", "agent/r.cast", "result.json"]
        );
        let further: Vec<_> = trial
            .further_files()
            .map(|(kind, f)| (kind, f.path.clone()))
            .collect();
        assert_eq!(
            further,
            [(ArtifactType::Recording, "agent/r.cast".to_owned())]
        );
        let file = |path: &str, kind: &str| ListedFile {
            path: path.to_owned(),
            r#type: kind.to_owned(),
            size_bytes: Some(9),
            modified_at: None,
            uri: format!("file:///{path}"),
        };
        trial.add_files(FileList {
            files: vec![file("agent/a.txt", "other"), file("z", "unheard-of")],
            ..FileList::default()
        });
        assert_eq!(
            paths(&trial),
            ["agent/a.txt", "z", "result.json", "agent/r.cast"]
        );
        assert_eq!(trial.files[0].r#type, "logs");
        assert_eq!(trial.files[0].uri, "https://h/1?uri=a");
        assert_eq!(trial.files[0].size_bytes, Some(9));
        assert_eq!(trial.further_files().next().unwrap().0, ArtifactType::Other);
    }

    #[test]
    fn files_known_by_address_only_have_distinct_names() {
        let trial = trial(
            r#"{"logs_uri":"gs://b/1/x.json","diff_uri":"gs://b/2/x.json","result_uri":"gs://b/"}"#,
        );
        assert_eq!(paths(&trial), ["x.json", "diff.json", "result.json"]);
    }
}
