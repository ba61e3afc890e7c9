//! Puts the places together that one remote's artifacts may lie in.

use std::path::{Path, PathBuf};
use std::time::Duration;

use docks_proto::secret::Token;
use docks_proto::settings::{StoreKeys, Target};

use super::{
    AzureSettings, BucketSource, FileSource, GcsSettings, HttpSettings, HttpSource, S3Settings,
    Sources, StoreVariables, Surroundings,
};

/// Longest silence of a server; there is no limit on the whole download.
const IDLE: Duration = Duration::from_secs(60);

/// What decides where a remote's artifacts may lie and what opens them.
#[derive(Debug)]
pub struct Reach<'a> {
    /// The remote that lists them.
    pub target: &'a Target,
    /// Its token, if any of them lies with the remote itself.
    pub token: Option<Token>,
    /// Whether the profile allows plain `http` to anybody.
    pub insecure: bool,
    /// Certificates that the profile trusts besides the system's.
    pub ca_file: Option<PathBuf>,
    /// The profile's keys about object stores.
    pub keys: &'a StoreKeys,
    /// Variables that the stores' own programs read.
    pub variables: &'a StoreVariables,
}

impl Reach<'_> {
    /// Reads what the stores' own programs left on this machine; connects to nothing.
    #[must_use]
    pub fn sources(self) -> Sources {
        let (api_url, jobs_dirs) = match self.target {
            Target::DocksApi { api_url, .. } => (Some(api_url.clone()), Vec::new()),
            Target::HarborJobs { dirs } => (None, dirs.clone()),
        };
        // What the firmware calls the machine and its maker; other systems than Linux do not say.
        let firmware = |name: &str| text_of(Path::new("/sys/class/dmi/id").join(name).as_path());
        let machine = [firmware("product_name"), firmware("sys_vendor")]
            .map(Option::unwrap_or_default)
            .concat();
        let around = Surroundings {
            variables: self.variables,
            keys: self.keys,
            file: &text_of,
            machine: &machine,
        };
        Sources {
            http: HttpSource::new(HttpSettings {
                token: self.token,
                api_url,
                insecure: self.insecure,
                ca_file: self.ca_file,
                idle: IDLE,
            }),
            files: FileSource::new(jobs_dirs),
            buckets: BucketSource::new(
                GcsSettings::decide(around),
                S3Settings::decide(around),
                AzureSettings::decide(around),
                IDLE,
            ),
        }
    }
}

fn text_of(path: &Path) -> Option<String> {
    std::fs::read_to_string(path).ok()
}
